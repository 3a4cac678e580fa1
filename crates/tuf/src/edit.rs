//! The editor: makes and changes a release repository, and signs it.
//!
//! Each file of the repository is a *draft* while it is changed, and *published* afterwards. A draft has the next version
//! of its role. Several people sign a draft, one after the other, each with a key on a computer of their own: the folder
//! with the drafts is carried from one to the next ([`Folder`]). [`Repository::publish`] makes drafts the new files when
//! enough signatures are there. Keys are Ed25519 keys, with the key identifiers of other implementations.
//!
//! The usual steps are [`Repository::create`], [`Repository::set_target`], [`Repository::sign`] by the holders of the keys
//! of the root and the targets, [`Repository::make_snapshot`] and [`Repository::make_timestamp`], each followed by
//! [`Repository::sign`] with its key, and [`Repository::publish`].

mod document;
mod edit_error;
mod folder;
mod key;
mod metadata;
mod repository;

#[doc(hidden)]
pub use document::reread_document;
pub use edit_error::EditError;
pub use folder::{Folder, FolderError};
pub use key::{KeyId, KeySet, PublicKey, SecretKey, Signer};
pub use repository::{Delegation, Missing, NewTarget, PublishedFile, Repository, TopRole};
