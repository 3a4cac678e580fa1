//! The catalogue of a robot: the list of all files that it shares, keeps and uploaded, as one IPFS object.
//!
//! The swarm remembers a limited number of records of each robot. So single records are made for a limited number of
//! files. All files of a robot, and all receipts of its uploads, are in its catalogue. One record in `pri/ID/catalog` names
//! the catalogue's CID.
//!
//! - [`format`]: the lines of a catalogue, and its division into blocks, so that versions share blocks.
//! - [`stated`]: the record that names a catalogue.
//! - [`known`]: the catalogues of all robots that this node has read, merged by file.
//! - [`pace`]: decides when a robot publishes a new version of its catalogue.
//! - [`walk`]: goes through the files of all catalogues, a few at a time.
//! - [`search`]: decides which catalogues of other robots are fetched.
//! - [`publisher`] and [`reader`]: the I/O shells.

pub(crate) mod fetch_order;
pub(crate) mod format;
pub(crate) mod known;
pub(crate) mod listing;
pub(crate) mod pace;
mod page;
pub(crate) mod publisher;
pub(crate) mod reader;
pub(crate) mod rows;
pub(crate) mod search;
pub(crate) mod shared;
pub(crate) mod stated;
pub(crate) mod walk;

pub use page::Pages;
