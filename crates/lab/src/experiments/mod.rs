//! Experiments with many daemons. They are subcommands of the program `lab`, and, in a small form, tests.

mod attack;
mod avahi_discovery;
mod catalog;
mod class;
mod copies;
mod crashes;
mod discover;
mod faults;
mod figures;
mod fraction;
mod heal;
mod irc;
mod limits;
mod merge;
mod pair;
mod spread;
mod storage;
mod table;

pub use attack::{Attack, Attacked, Means, Outcome, attack};
pub use catalog::{Catalog, Catalogued, catalog};
pub use class::{Class, ClassRuns, class};
pub use copies::{Copied, Copies, copies};
pub use crashes::{Crashes, Survived, crashes};
pub use discover::{Discover, Discovered, Listing, discover};
pub use faults::{Fault, Faults, Shown, faults};
pub use figures::Distribution;
pub use heal::{Heal, Healed, heal};
pub use irc::{Irc, OverIrc, irc};
pub use limits::{Held, LimitsHeld, limits_held};
pub use merge::{Merge, Merged, merge};
pub use pair::{Pair, PairRates, pair};
pub use spread::{Spread, spread};
pub use storage::{Part, Storage, storage};
pub use table::{Table, Tabled, table};
