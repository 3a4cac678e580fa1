//! Where a file was uploaded to.

use crate::output::fields::{PeerRef, Timestamp};
use crate::output::names::Names;
use dcache::{Set, Time};
use ipfs::Cid;
use serde::Serialize;
use uploads::receipts;

/// State of a file that is in a storage.
pub(super) const UPLOADED: &str = "uploaded";

/// A copy of a file in a storage.
#[derive(Clone, Debug, Serialize)]
pub(super) struct UploadedCopy {
    /// The place of the copy, such as `s3://bucket/prefix/logs/CID at https://s3.example.org`.
    place: String,
    /// When the upload ended.
    upload_time: Timestamp,
    /// The size of the file.
    bytes: u64,
    /// The peers that state this.
    signers: Vec<PeerRef>,
}

impl UploadedCopy {
    /// Returns the copies that peers state whose statements count.
    pub(super) fn read(set: &Set, cid: &Cid, now: Time, names: &Names) -> Vec<Self> {
        let copy = |(receipt, signers): (uploads::Receipt, std::collections::BTreeSet<_>)| Self {
            place: receipt.place,
            upload_time: Timestamp(receipt.time),
            bytes: receipt.bytes,
            signers: signers.into_iter().map(|peer| names.of(peer)).collect(),
        };
        receipts(set, cid, now).into_iter().map(copy).collect()
    }
}
