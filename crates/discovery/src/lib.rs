//! The service for discovery: a node makes statements about itself, so that other nodes find it by name and address. It
//! also answers which robots are there, and why one is not found.
//!
//! The pure decider [`Announcer`] decides which statements to make; the service [`Discovery`] runs it with the daemon's
//! facts. The pure function [`rows`] makes the table of robots: it merges the statements of all peers, the lines that
//! were heard on channels, and robots without dt-swarm.
//!
//! | task | files |
//! |---|---|
//! | what this node states about itself, and when | `claims`, `copied`, `decide` |
//! | the properties of the robot, in one item; the files in which a robot keeps them | `profile`, `robot_files` |
//! | which of these properties are stated where strangers read them; the settings | `privacy`, `settings` |
//! | the table of robots | `directory`, `directory/stated`, `directory/draft`, `directory/merge` |
//! | requests and answers; the table between two pages | `protocol`, `shell`, `table_cache`, `watching` |
//!
//! # In short
//! - **Inputs**: facts about the node (name, version, addresses, robot files), the set, sightings on channels, and the
//!   time.
//! - **Outputs**: statements in the buckets `peer` and `pri/ID`; the table of robots.
//! - **Invariants**: a statement is renewed at half of its lifetime and withdrawn when it is untrue. The presence is
//!   withdrawn when the daemon stops. Statements that another host makes with the same key are not withdrawn. No robot
//!   is shown as present whose presence ended, unless it was heard since.
//! - **Start reading** at `decide.rs`, then `directory.rs`.

mod claims;
mod copied;
mod decide;
mod directory;
pub mod doctor;
pub mod foreign;
pub mod page;
mod paths;
pub mod privacy;
mod profile;
pub mod protocol;
mod robot_files;
mod settings;
mod shell;
mod table_cache;
mod watching;

pub use claims::{Claim, claims};
pub use decide::Announcer;
pub use directory::{FOREIGN_HERE, HEARD_HERE, HEARD_LATELY, MAX_ROWS, SHOWN, Sighting, Surroundings, rows};
pub use foreign::{ForeignRobot, ForeignRobots, ForeignSettings};
pub use profile::{MAX_PROFILE_BYTES, MAX_PROFILE_TEXT_BYTES, Profile, profile_text};
pub use settings::Settings;
pub use shell::Discovery;
