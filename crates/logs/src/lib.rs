//! The service for log sharing: a file that is put into the shared folder is found, fetched, checked and kept by the swarm.
//!
//! The life of a file (IPSD): the *proposer* makes it an IPFS directory of the file and its `upload_info1.yaml` and
//! puts the directory's CID into `share/files`. A *verifier* elsewhere fetches and checks it: good ones go to
//! `share/verified`, bad ones to `share/discard`. A *replicator* keeps what is verified and states so in `share/safe`. An
//! entry that reached a later bucket leaves the earlier ones. The holders of a file are the peers that state `share/safe`.
//! Its name and size stand in `share/info/CID`, so that it can be chosen from a list before anything of it is fetched.
//!
//! The pure deciders [`Proposal`] and [`Replication`] decide over the set; [`index()`] is pure as well.
//! The service [`Logs`] runs them with the folder, the node and the disk.

pub mod buckets;
mod check;
mod folder;
mod index;
mod info;
mod ledger;
mod left_out;
mod propose;
mod proposer;
mod protocol;
mod replicate;
mod replicator;
mod scan;
mod settle;
mod shell;
mod watch;

pub use index::{SharedFile, Signers, State, index};
pub use info::{Description, INFO_NAME, InfoError};
pub use propose::Proposal;
pub use protocol::{Answer, FolderRow, LeftOutRow, MAX_NAMES, MAX_WAITING, Request, WaitingFile};
pub use replicate::{Action, Replication};
pub use shell::{Logs, Settings};
