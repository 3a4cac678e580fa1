//! The control socket: how a program on this computer tells the daemon to change something.
//!
//! A Unix socket that only its owner can use carries one JSON object a line: a [`RequestFrame`] that names a service, and
//! an [`AnswerFrame`]. The daemon serves it with [`serve()`], a program calls it with a [`Client`]. This crate knows no
//! service: each service defines its requests and answers by a [`Protocol`].
//!
//! People who hold a role without a robot sign with a [`KeyFile`]. [`Places`] has the default paths of socket, swarm file
//! and key files.

mod client;
mod durable;
mod failure;
mod frame;
mod key_file;
mod listener;
mod paging;
mod places;
mod server;
mod socket_path;

pub use client::{Client, ClientError};
pub use durable::{create, remove, replace};
pub use failure::{Failure, FailureKind};
pub use frame::{AnswerFrame, FrameError, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, Protocol, RequestFrame, raw};
pub use key_file::{KeyFile, KeyFileError, KeyName, KeyNameError, KeyText, KeyTextError, MAX_KEY_FILE_BYTES};
pub use listener::{BindError, Listener};
pub use paging::{MAX_PAGE_ROWS, page};
pub use places::Places;
pub use server::{Reply, serve};
pub use socket_path::told_path;
