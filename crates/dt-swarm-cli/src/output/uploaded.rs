//! Where a file was uploaded to.

use crate::output::fields::{PeerRef, Timestamp};
use crate::output::names::Names;
use crate::text::{clean, date};
use ipfs::Cid;
use logs::{Counting, Receipt, receipts};
use serde::Serialize;

/// Maximum number of characters of a place that are shown.
const MAX_PLACE_SHOWN: usize = 300;

/// A copy of a file in a storage.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UploadedCopy {
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
    pub(crate) fn read(counting: &Counting<'_>, cid: &Cid, names: &Names) -> Vec<Self> {
        let copy = |(receipt, signers): (Receipt, std::collections::BTreeSet<_>)| Self {
            place: receipt.place,
            upload_time: Timestamp(receipt.time),
            bytes: receipt.bytes,
            signers: signers.into_iter().map(|peer| names.of(peer)).collect(),
        };
        receipts(counting, cid).into_iter().map(copy).collect()
    }

    /// Shows one copy in a line.
    pub(crate) fn show(&self) -> String {
        let signers: Vec<String> = self.signers.iter().map(PeerRef::show).collect();
        let place = clean(&self.place, MAX_PLACE_SHOWN);
        format!("to {place} on {}, as stated by {}", date(self.upload_time.0), signers.join(", "))
    }
}
