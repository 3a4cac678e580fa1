//! Experiments with many daemons, as subcommands of the program `lab`, and small ones as tests.

mod figures;
mod spread;

pub use figures::Distribution;
pub use spread::{Spread, spread};
