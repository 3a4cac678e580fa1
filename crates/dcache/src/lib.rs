//! The core of dt-swarm: the signed records that a swarm shares, and the rules that decide which of them count.
//!
//! All knowledge of a swarm is a set of signed *records*. A record proposes or dismisses an *item*, a text in a
//! *bucket*, for a *validity* `[from, until)`. For each item and signer, the set keeps that signer's latest record.
//! Merging two sets is a union that commutes, associates and is idempotent (a CRDT). It therefore does not matter on
//! which channel, in which order and how often a record arrives.
//!
//! This crate is pure: it reads no clock, socket, file or random source. The caller passes in the time and the keys,
//! and all iteration is in a fixed order.
//!
//! # In short
//! - **Inputs**: statements with signatures, the time, and the policy of a swarm.
//! - **Outputs**: whether a record is new, known or refused; the items of a bucket at a time; the role of each peer.
//! - **Invariants**: sets that received the same records in any order have the same content; quotas limit the size of a
//!   set; each record has a verified signature. See `set.rs` for the proof and `tests/laws.rs` for the tests.
//! - **Memory**: a record is one allocation. It stores the payload only if the payload cannot be written again from the
//!   parsed form. Items are found in a hash table by half of their SHA-256, and are iterated in a sorted set.
//! - **Start reading** at `set.rs`, then `buckets.rs` and `authority.rs`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod authority;
mod bucket;
pub mod buckets;
mod clock;
mod digest;
mod keys;
mod moment;
mod pattern;
mod peer_id;
mod policy;
mod proof;
mod record;
mod role;
mod set;
mod signature;
mod statement;
mod statements;
mod subscription;
mod swarm_file;
mod swarm_id;
mod time;
mod verified;
mod who;

pub use authority::{is_about_roles, is_of_role as is_role_bucket};
pub use bucket::{BucketError, BucketPath, Data, DataError, Item, MAX_DATA_BYTES, MAX_NAME_BYTES, MAX_NAMES};
pub use clock::{Clock, NeighbourTime, SignedTime};
pub use digest::Digest;
pub use moment::Moment;
pub use pattern::{Pattern, PatternError, PatternSyntax};
pub use peer_id::{PeerId, PeerIdError};
pub use policy::{NotAllowed, Policy, Requirement, Rule};
pub use proof::{CHALLENGE_BYTES, Challenge, Proof, Prover};
pub use record::{Record, RecordId};
pub use role::RoleError;
pub use set::{Admission, BOUND_GRID, Fingerprint, Key, Limits, Refusal, Room, Search, Set, View};
pub use signature::{Keypair, MAX_SEQUENCE, Signature, SignatureError};
pub use statement::{Kind, MAX_PAYLOAD_BYTES, Statement, StatementError};
pub use statements::Statements;
pub use subscription::{Change, Subscription};
pub use swarm_file::{MAX_SWARM_FILE_BYTES, SwarmFile, SwarmFileError};
pub use swarm_id::{Binding, SWARM_ID_BYTES, SwarmId, SwarmIdError};
pub use time::{CLOCK_LEEWAY, End, MAX_TIME, Time, Validity, ValidityError};
pub use verified::VerifiedRecords;
pub use who::{Role, Who};
