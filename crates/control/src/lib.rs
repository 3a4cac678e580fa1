//! The control socket, through which programs on this computer send requests to the daemon.
//!
//! It is a Unix socket that only its owner and root can use. Each line is one JSON object: a [`RequestFrame`], which names
//! a service, or an [`AnswerFrame`]. The daemon serves the socket with [`serve()`], and a program calls it with a
//! [`Client`]. This crate is independent of the services: each service defines its requests and answers by a [`Protocol`].
//!
//! People who hold a role but have no robot sign records with a [`KeyFile`]. [`Places`] has the default paths of the
//! socket, the swarm file and the key files.
//!
//! # In short
//! - **Inputs**: lines of programs on this computer, or requests of a program for the daemon.
//! - **Outputs**: answers or failures, one line each.
//! - **Invariants**: a request has at most 64 KiB; only the owner and root are answered; a key file never signs
//!   two records with one number.
//! - **Start reading** at `frame.rs`, then `server.rs`.

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

pub use client::{Client, ClientError, connect};
pub use durable::{create, remove, replace};
pub use failure::{Failure, FailureKind};
pub use frame::{AnswerFrame, FrameError, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES, Protocol, RequestFrame, raw};
pub use key_file::{KeyFile, KeyFileError, KeyName, KeyNameError, KeyText, KeyTextError, MAX_KEY_FILE_BYTES};
pub use listener::{BindError, Listener};
pub use paging::{MAX_PAGE_ROWS, page};
pub use places::Places;
pub use server::{Reply, serve};
pub use socket_path::told_path;
