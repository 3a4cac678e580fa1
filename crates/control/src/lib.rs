//! How a node is told to change something.
//!
//! What changes something goes through a Unix socket that only its owner can use: one JSON object a line, a [`Request`]
//! there and an [`Answer`] back. The daemon serves it with [`serve`], the CLI asks with a [`Client`]. People who hold a
//! role without having a robot sign with a [`KeyFile`]; their records go through the same socket.
//!
//! [`Places`] says where the socket, the swarm file and the key files are when nobody said otherwise.

mod answer;
mod client;
mod content;
mod door;
mod durable;
mod key_file;
mod limit;
mod places;
mod request;
mod server;
mod transfers;

pub use answer::{
    Answer, Ending, Failure, FailureKind, Learned, MAX_ANSWER_BYTES, Outcome, Prepared, Standing, Status,
};
pub use client::{Client, ClientError};
pub use content::{FileRow, FileState, Freed, PinRow, Pinned, Progress, Storage, Waiting};
pub use door::{Door, DoorError};
pub use durable::{create, remove, replace};
pub use key_file::{KeyFile, KeyFileError, KeyName, KeyNameError, KeyText, KeyTextError, MAX_KEY_FILE_BYTES};
pub use limit::{LEAST_RATE, Limit, LimitError, Limits};
pub use places::Places;
pub use request::{
    Intent, MAX_REQUEST_BYTES, MAX_WORDS, Request, RequestError, SignedWord, Word, parse_request,
};
pub use server::serve;
pub use transfers::{
    Destination, LinkRate, MAX_PATH_BYTES, MAX_PIECE_BYTES, Order, Piece, SourceRate, Transfer, TransferState,
};
