//! Batches: parts of the history of a robot, sealed for the collectors of its swarm.
//!
//! A robot puts the rows of its history that no collector has yet into a *batch*, one file in IPFS. Peers carry it to a
//! collector and cannot read it; they state this in `pri/CARRIER/carries`. The robot announces its batches in `pri/ID/batches`. A collector that has stored them
//! states a receipt in `pri/COLLECTOR/receipts/ROBOT`. The robot keeps its batches until then.
//!
//! | task | files |
//! |---|---|
//! | the rows of a batch as bytes | `content` |
//! | making a batch from the history | `make` |
//! | the key of a collector; sealing and opening | `sealing_key`, `seal`, `fleet_id`, `history_id` |
//! | records: sealing keys, announcements, receipts | `stated` |
//! | when a robot makes and withdraws batches; what it remembers | `decide`, `state` |
//! | which batches of other robots a node carries | `carry` |
//!
//! # Who can do what
//! - A carrier learns the robot, the collectors, the numbers of the rows and the size. It cannot read rows.
//! - Everybody can seal something for a collector. So a collector accepts only a batch whose CID its robot announced.
//!   The signature of this record proves who made the batch.
//! - A batch is bound to its swarm, its robot and its rows. It cannot be used for others.
//! - There is no forward secrecy for the collector: a person who gets its identity key can open old batches.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod carry;
pub mod content;
pub mod decide;
mod fleet_id;
mod history_id;
pub mod make;
pub mod seal;
mod sealing_key;
pub mod state;
pub mod stated;

pub use fleet_id::FleetId;
pub use history_id::{HistoryId, MAX_NUMBER, NotAHistoryId};
pub use sealing_key::{NotAKey, SealingKey, SealingPublicKey};
