//! The service for log sharing: nodes find, fetch, check and keep each file that a user puts into a shared folder.
//!
//! The life of a file in the Inter-Planetary Swarm of Duckiebots (IPSD):
//!
//! 1. The *proposer* makes an IPFS directory of the file and its `upload_info1.yaml`. It proposes the CID of the
//!    directory in `share/files`.
//! 2. A *verifier* on another node fetches and checks the file. It proposes good files in `share/verified` and bad
//!    files in `share/discard`.
//! 3. A *replicator* keeps the good files and states this in `share/safe`. A node that may state this skips
//!    `share/verified`, since each record counts towards its quota.
//!
//! The latest bucket of a file determines its state. Each node removes its own entry from the earlier buckets. The
//! holders of a file are the peers that propose it in `share/safe`. The name and size of a file are in
//! `share/info/CID`, so that users can choose it from a list before any of it is fetched.
//!
//! The swarm remembers a limited number of records per peer. A shared file needs three records of its uploader and one
//! record of each other holder. A node makes records about a limited number of files. If it has more, it publishes the
//! list of all of them as one IPFS object, its *catalogue*. A newer version of a path replaces the older one: the
//! uploader withdraws the older version, and the holders unpin it.
//!
//! The pure deciders [`Proposal`] and [`Replication`] decide over the set; [`index_with`], which merges records and
//! catalogues, is pure as well. The service [`Logs`] runs them with the folder, the node and the disk.
//!
//! # In short
//! - **Inputs**: the shared folder, the set, the time, and the pins of the store.
//! - **Outputs**: statements in the buckets of files, and files to add, fetch, pin or let go of.
//! - **Start reading** at `propose.rs` and `replicate.rs`, the deciders; then at `proposer.rs` and
//!   `replicator.rs`, the shells.

pub mod buckets;
mod catalog;
mod check;
mod choose;
mod discarding;
mod dropped;
mod folder;
mod free;
mod freeing;
mod index;
mod info;
mod ledger;
mod left_out;
mod let_go;
mod log_files;
mod marker;
mod offer;
mod period;
mod places;
mod propose;
mod proposer;
mod protocol;
mod quota;
mod reasons;
mod receipts;
mod reconcile;
mod removal;
mod replicate;
mod replicator;
mod scan;
mod select;
mod settle;
mod shares;
mod shell;
mod sources;
mod space;
mod terms;
mod unlisted;
mod unshare;
mod versions;
mod volume;
mod watch;
mod writers;

pub use catalog::Pages;
pub use catalog::format::{
    CatalogEntries, CatalogEntry, CatalogError, CatalogReader, pieces as catalog_pieces,
};
pub use catalog::known::{CatalogVersion, Catalogs, CatalogsFull, Counting, Precedence};
pub use catalog::shared::SharedCatalogs;
pub use catalog::stated::{NotStated, StatedCatalog};
pub use catalog::walk::CatalogWalk;
pub use index::{SharedFile, Signers, State, index, index_counting, index_of, index_of_with, index_with};
pub use info::{Description, FilePath, INFO_NAME, InfoError, MAX_INFO_BYTES, Summary, Whole};
pub use let_go::{LetGo, LetGoFiles, Reason};
pub use offer::Offer;
pub use period::{Period, PeriodError};
pub use propose::Proposal;
pub use protocol::{
    Answer, CatalogFile, CatalogLine, CatalogPage, CatalogRobot, DiscardedFile, DroppedFile, FolderRow,
    FreeRow, FreedRow, LeftOutFiles, LeftOutRow, MAX_DISCARDS, MAX_FREE_ROWS, MAX_NAMES, MAX_WAITING,
    MissingRow, Request, UnsharedRow, WaitingFile,
};
pub use reasons::{MAX_REASON_BYTES, reason_item, reasons};
pub use receipts::{MOST_STATED, OwnReceipts, Receipt, ReceiptMap, is_uploaded, receipts, receipts_of};
pub use replicate::{
    Action, CopyRules, Holders, Pressure, ReleaseReason, Replication, USUAL_COPIES, choose_files,
};
pub use select::{SelectedFolder, SharedFolder};
pub use shell::{Logs, Settings};
pub use terms::Terms;
pub use versions::is_withdrawn;
