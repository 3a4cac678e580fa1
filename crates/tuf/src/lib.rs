//! Repositories of releases: what a node may install, signed so that nobody but the publisher can change it.
//!
//! A release repository is a repository of [The Update Framework](https://theupdateframework.io) (TUF), version 1.0.34 of
//! the specification. Its metadata names targets, such as packages and images, with their sizes, hashes and content
//! identifiers (CIDs). The bytes of targets are not part of it: they come from IPFS, by their CIDs. `docs/updates.md`
//! explains which keys exist and who holds them.
//!
//! The crate has two halves:
//! - The **client** takes the newest metadata from a [`Mirror`] and verifies it. [`Refresh`] and [`Search`] are the pure
//!   workflows; [`Client`] performs their requests, and keeps what was verified in a [`MetadataStore`]. Single files are
//!   checked by the library `sigstore-tuf`. The time is an input; see [`Now`] for robots that do not know it.
//! - The **editor** ([`edit`]) makes and changes a repository, and signs it with Ed25519 keys, by several signers one after
//!   the other. It writes the files with consistent snapshots, so that a mirror can copy them at any moment.
//!
//! # Formats on the disk
//! The metadata store is a table in the node's store, with the namespace `tuf/REPOSITORY`. The value of a row is a
//! metadata file, as the mirror sent it, written as a JSON string.
//!
//! | key | file |
//! |---|---|
//! | `root/VERSION` | each root since the one with which the node was set up; the version has 20 digits |
//! | `timestamp` | the newest timestamp |
//! | `snapshot` | the newest snapshot |
//! | `snapshot/timestamp` | the timestamp with which that snapshot was verified, written together with it |
//! | `targets` | the newest file of the role `targets` |
//! | `delegated/ROLE` | the newest file of a delegated role |
//!
//! # In short
//! - **Inputs**: the root file with which a node was set up, metadata files of mirrors, and the time.
//! - **Outputs**: targets with sizes, hashes and CIDs; files of a repository.
//! - **Invariants**: nothing is trusted without enough signatures by the keys that the trusted root names; versions never
//!   go back, also after a power cut; everything that a mirror sends is bounded.
//! - **Start reading** at `refresh.rs`, then `verified.rs`; for the editor at `edit/repository.rs`.

pub mod canonical;
mod client;
pub mod edit;
mod hex;
pub mod limits;
mod metadata_store;
mod mirror;
mod names;
mod now;
mod refresh;
mod saved;
mod target;
mod verified;
mod verify_error;

pub use client::{Client, ClientError};
pub use metadata_store::MetadataStore;
pub use mirror::{FolderMirror, Mirror, MirrorError};
pub use names::{FileName, NameError, Role, RoleName, TargetPath, TargetsRole};
pub use now::{Freshness, Now};
pub use refresh::{Refresh, Request};
pub use saved::{Changes, Row, Saved};
pub use target::{CID_KEY, ContentCheck, ContentError, Hashes, NotNewer, Provenance, Target};
pub use verified::{Search, Verified};
pub use verify_error::{Cause, TargetFault, VerifyError};
