//! Describes recorded robot logs from their bytes: what kind of recording a file is, when it was made, and which topics
//! it has with how many messages.
//!
//! The formats are ROS 1 bags, MCAP files, folders of ROS 2, and text logs. No message is decoded and nothing is
//! decompressed: bags and MCAP files have an index, and their chunks are followed by an index of their own. A recording
//! that was not closed, because the robot lost power, is described as far as its chunks go.
//!
//! The files come from strangers. So a description is limited, whatever a file claims: see [`MAX_BYTES_READ`],
//! [`MAX_READS`], [`MAX_TOPICS`] and [`MAX_NAME_CHARS`]. The same bytes always give the same description, however the
//! source splits its reads. A verifier can therefore compare the description of an uploader with its own.
//!
//! ```
//! # use recordings::{Kind, describe};
//! let log = b"camera started\n";
//! let description = describe("camera.log", &mut &log[..]).unwrap();
//! assert_eq!((description.kind, description.head), (Kind::Text, vec!["camera started".to_owned()]));
//! ```
//!
//! # In short
//! - **Inputs**: the name of a file and a [`Source`] of its bytes, or a [`Folder`].
//! - **Outputs**: a [`Description`], with a [`Fault`] if the file is not what it says.
//! - **Invariants**: only an error of the source is an error. Work, memory and reads are limited by constants.
//! - **Memory**: less than 4 MiB for a description, of which the window over the file is 64 KiB.
//! - **Start reading** at `description.rs` and `reader.rs`, then `ros1.rs`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod content;
mod description;
mod draft;
mod fault;
mod mcap;
mod reader;
mod ros1;
mod ros2;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
#[cfg(test)]
mod tests;
mod text;

/// Version of the rules by which a description is made. Two programs with the same version make the same description from
/// the same bytes.
pub const VERSION: u32 = 1;

pub use content::describe;
pub use description::{
    Description, EARLIEST_PLAUSIBLE, Kind, LATEST_PLAUSIBLE, MAX_NAME_CHARS, MAX_NAMES_BYTES, MAX_TOPICS,
    Timestamp, Topic,
};
pub use draft::MAX_CONNECTIONS;
pub use fault::Fault;
pub use reader::{MAX_BYTES_READ, MAX_READS, Source};
pub use ros2::{Folder, MAX_METADATA_BYTES, MAX_PARTS, METADATA_NAME, describe_folder, is_recording};
pub use text::{MAX_LINE_CHARS, MAX_LINES};
