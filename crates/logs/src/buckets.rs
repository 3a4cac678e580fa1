//! The buckets of shared files, and the CIDs that are valid entries of them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::buckets::{self, Bucket, Fixed, Form};
use dcache::{BucketPath, Data, Item};
use ipfs::Cid;

/// Validity of an entry, in seconds. A node renews its entries after half of this time.
pub const LIFETIME: u64 = buckets::SHARE_FILES.lifetime();

/// The stations in the life of a shared file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Station {
    /// Proposed as a log by its uploader.
    Files,
    /// Fetched and found good by another peer.
    Verified,
    /// Kept by each peer that proposes the file here.
    Safe,
    /// Fetched and found bad.
    Discard,
}

impl Station {
    /// All stations, in the order of a file's life.
    pub const ALL: [Self; 4] = [Self::Files, Self::Verified, Self::Safe, Self::Discard];

    const fn row(self) -> Bucket<Fixed> {
        match self {
            Self::Files => buckets::SHARE_FILES,
            Self::Verified => buckets::SHARE_VERIFIED,
            Self::Safe => buckets::SHARE_SAFE,
            Self::Discard => buckets::SHARE_DISCARD,
        }
    }

    /// Returns the bucket of this station, such as `share/files`.
    pub fn bucket(self) -> BucketPath {
        self.row().path()
    }

    /// Returns the item that stands for a file in the bucket of this station.
    pub fn item(self, cid: &Cid) -> Item {
        item(self.bucket(), &cid.to_string())
    }
}

/// Returns the bucket for the description of a file: `share/info/CID`.
#[expect(clippy::expect_used, reason = "a CID has at most 62 characters and no slash")]
pub fn info(cid: &Cid) -> BucketPath {
    buckets::SHARE_INFO.of(&cid.to_string()).expect("a CID is a valid name in a path")
}

/// Returns the CID of the file that `bucket` describes, or `None` when it is not a bucket of descriptions.
pub(crate) fn described(bucket: &BucketPath) -> Option<Cid> {
    buckets::SHARE_INFO.contains(bucket).then(|| parse(bucket.names().last()?)).flatten()
}

/// Returns whether a record in `bucket` can change which files a node fetches, from which peers, or to which peers it gives
/// them.
pub fn concerns_copies(bucket: &BucketPath) -> bool {
    service::concerns_providers(bucket)
        || buckets::KEEPS.contains(bucket)
        || buckets::UPLOAD_TERMS.contains(bucket)
}

#[expect(clippy::expect_used, reason = "a CID has at most 62 characters")]
fn item(bucket: BucketPath, cid: &str) -> Item {
    Item { bucket, data: Data::new(cid).expect("a CID is short") }
}

/// Error for a statement about a text that is not a CID, in a bucket of shared files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "/{bucket} holds CIDs of shared files, and {text:?} is not a valid CID: `report` lists them; to remove a log use `discard FILE|CID`"
)]
pub struct NoCid {
    bucket: BucketPath,
    text: String,
}

/// Maximum number of characters of the refused text that the error message shows.
const MAX_SHOWN: usize = 60;

/// Checks that an item in a bucket of shared files is the CID of a file. Items of other buckets pass.
///
/// # Errors
/// When the text is not such a CID.
pub fn check(item: &Item) -> Result<(), NoCid> {
    let holds_files = buckets::SHARE.contains(&item.bucket);
    let holds_cids = holds_files && buckets::family(&item.bucket).form == Form::Cid;
    if !holds_cids || parse(item.data.as_str()).is_some() {
        return Ok(());
    }
    let text = item.data.as_str().chars().take(MAX_SHOWN).collect();
    Err(NoCid { bucket: item.bucket.clone(), text })
}

/// Parses a CID as it appears in a bucket. Only CIDs with a SHA-256 hash are accepted, so that their text is always
/// short.
pub fn parse(text: &str) -> Option<Cid> {
    let cid: Cid = text.parse().ok()?;
    let is_usual = cid.hash().code() == 0x12 && cid.hash().size() == 32;
    // Only the canonical spelling is accepted. Otherwise one file could be listed many times.
    (is_usual && cid.to_string() == text).then_some(cid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V0: &str = "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH";
    const V1: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

    #[test]
    fn entries_are_in_the_buckets_that_ipsd_names() {
        let cid = parse(V1).unwrap();
        assert_eq!(Station::Safe.item(&cid).bucket.to_string(), "share/safe");
        assert_eq!(info(&cid).to_string(), format!("share/info/{V1}"));
        assert!(parse(V0).is_some());
        assert_eq!(described(&info(&cid)), Some(cid));
        assert_eq!(described(&Station::Safe.bucket()), None);
    }

    #[test]
    fn only_cids_are_accepted_in_the_buckets_of_files() {
        let item = |bucket: &str, text: &str| Item {
            bucket: bucket.parse().unwrap(),
            data: Data::new(text).unwrap(),
        };
        for station in Station::ALL {
            let bucket = station.bucket().to_string();
            assert!(check(&item(&bucket, V1)).is_ok() && check(&item(&bucket, V0)).is_ok());
            let refused = check(&item(&bucket, "notes.txt")).unwrap_err().to_string();
            assert!(refused.contains(&bucket) && refused.contains("discard FILE|CID"), "{refused}");
        }
        assert!(check(&item("share/notes", "hello")).is_ok());
        assert!(check(&item("networks", "hello")).is_ok());
    }

    #[test]
    fn other_spellings_and_hashes_are_not_entries() {
        let upper = V1.to_uppercase();
        let long = "bafkrgqaa".to_owned() + &"a".repeat(300);
        for text in ["", "hello", &upper, &long, "bafkqaaa"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
