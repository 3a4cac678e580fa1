//! The service for log sharing: a file that is put into the shared folder is found, fetched, checked and kept by the swarm.
//!
//! The life of a file (IPSD): the *proposer* makes it an IPFS directory of the file and its `upload_info1.yaml` and
//! puts the directory's CID into `share/files`. A *verifier* elsewhere fetches and checks it: good ones go to
//! `share/verified`, bad ones to `share/discard`. A *replicator* keeps what is good and states so in `share/safe`; a node that
//! may do that does not state `share/verified` before, since each record counts. The latest bucket that a file is in is the one
//! that counts, and each node takes its own entry out of the earlier ones. The holders of a file are the peers that state
//! `share/safe`. Its name and size stand in `share/info/CID`, so that it can be chosen from a list before anything of it is
//! fetched.
//!
//! The swarm remembers a limited number of records of each peer. A shared file needs three of its uploader and one of each other
//! holder; files for which there is no room are left out and counted. A newer version of a path replaces the older one, which
//! its uploader withdraws and holders let go.
//!
//! The pure deciders [`Proposal`] and [`Replication`] decide over the set; [`index()`] is pure as well.
//! The service [`Logs`] runs them with the folder, the node and the disk.

pub mod buckets;
mod check;
mod choose;
mod discarding;
mod folder;
mod index;
mod info;
mod ledger;
mod left_out;
mod let_go;
mod places;
mod propose;
mod proposer;
mod protocol;
mod quota;
mod reconcile;
mod removal;
mod replicate;
mod replicator;
mod scan;
mod settle;
mod shares;
mod shell;
mod unlisted;
mod versions;
mod watch;
mod writers;

pub use index::{SharedFile, Signers, State, index};
pub use info::{Description, INFO_NAME, InfoError};
pub use let_go::{LetGo, LetGoFiles, Reason};
pub use propose::Proposal;
pub use protocol::{
    Answer, DiscardedFile, FolderRow, LeftOutFiles, LeftOutRow, MAX_DISCARDS, MAX_NAMES, MAX_WAITING,
    Request, WaitingFile,
};
pub use replicate::{Action, Holders, Replication};
pub use shell::{Logs, Settings};
