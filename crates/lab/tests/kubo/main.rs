//! Real Kubo and our daemon: both compute the same CIDs, and each fetches from the other.

mod cids;
mod exchange;
mod files;
mod pubsub;
