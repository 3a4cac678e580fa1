//! The service for uploads: shared files go to a folder or to S3-compatible storage, each exactly once and whole.
//!
//! The pure decider [`Uploading`] decides which files this node uploads, and which files of other robots it keeps until
//! they are uploaded. The service [`Uploads`] runs it, and runs the uploads.
//!
//! An upload ([`Upload`]) survives crashes of the node and lost answers of the storage. Its pure plan decides the next
//! action from the state on the disk. The [`Engine`] performs it in a [`Destination`], and records the result in a
//! [`Journal`] before it goes on. So after any interruption an upload sends at most one part again.
//!
//! The key of an object is made of the CID of its content, so uploads of the same content by several nodes do no harm. Its
//! human name is metadata, and so is the SHA-256 of the content.
//!
//! # In short
//! - **Inputs**: the set, the content ([`Source`]), the destination of the configuration, and the state on the disk.
//! - **Outputs**: whole objects, receipts in `uploads/CID` and for the catalogue of the node, terms in `pri/ID/uploads`, files that `logs` shall keep,
//!   progress, and reasons to wait as sentences.
//! - **Invariants**: the state is on the disk before the next action; an object is visible only when it is whole; what an
//!   upload leaves in the destination is removed, or it is said what remains.
//! - **Start reading** at `decide.rs` and `shell.rs` for the service, and at `plan.rs`, then `engine.rs` and `s3.rs`, for one
//!   upload.

mod credentials;
mod decide;
mod destination;
mod engine;
mod faults;
mod folder;
mod gate;
mod hours;
mod journal;
mod object;
mod pace;
mod permission;
mod plan;
mod priority;
mod protocol;
mod rows;
mod s3;
mod settings;
mod shell;
mod source;
mod stated;
mod trouble;

pub use credentials::{Credentials, CredentialsError};
pub use decide::{Action, CancelReason, CarriedFile, UploadRules, Uploading, WaitReason, WaitingUpload};
pub use destination::{Destination, Storage};
pub use engine::{Engine, Progress, Step};
pub use folder::{Folder, OwnerError};
pub use gate::Metered;
pub use hours::{Hours, HoursError};
pub use journal::{Journal, JournalError, UploadTable};
pub use object::{
    MAX_KEY_BYTES, MAX_METADATA_BYTES, MAX_OBJECT_BYTES, MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES, Metadata,
    Object, ObjectError, SHA256, key_of,
};
pub use pace::Pace;
pub use plan::{Checked, Part, Seen, Stage, Upload};
pub use priority::{Priority, PriorityError};
pub use protocol::{
    Answer, CarriedList, CarriedRow, MAX_ROWS, Request, StoredObject, UploadList, UploadRow, UploadState,
};
pub use rows::{Changes, Row};
#[doc(hidden)]
pub use s3::listed_uploads;
pub use s3::{CertificatesError, Patience, S3, S3Config, S3Error};
pub use settings::{OpenError, Place, PlaceError, Settings};
pub use shell::Uploads;
pub use source::{ContentSource, FileSource, Source, SourceError};
pub use trouble::Trouble;
