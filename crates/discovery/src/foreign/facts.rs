//! The facts that robots without dt-swarm publish about themselves, and the table of these robots.
//!
//! Each fact is an instance of the service type `_duckietown._tcp` with the name `DT::FACT::HOST`. Its value, if it has
//! one, is a JSON object in the TXT record, without a key in front of it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod table;
mod text;

pub use table::{ForeignTable, MAX_ROBOTS};
pub use text::{FactKind, parse_instance, service_name, value_of};
