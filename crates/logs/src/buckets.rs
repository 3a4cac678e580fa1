//! The buckets of shared files, and for how long their items are said.

use dcache::{BucketPath, Data, Item};
use ipfs::Cid;

/// For how long an entry is in its bucket, in seconds; it is said again when half of it is over.
pub const LIFETIME: u64 = 7 * 24 * 3600;

/// The stations of a file's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Station {
    /// Declared to be a log.
    Files,
    /// Fetched and found good.
    Verified,
    /// Kept by whoever says so.
    Safe,
    /// Fetched and found bad.
    Discard,
}

impl Station {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Files, Self::Verified, Self::Safe, Self::Discard];

    const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Verified => "verified",
            Self::Safe => "safe",
            Self::Discard => "discard",
        }
    }

    /// `share/files` and so on.
    pub fn bucket(self) -> BucketPath {
        path(&["share", self.name()])
    }

    /// The entry of a file there.
    pub fn item(self, cid: &Cid) -> Item {
        item(self.bucket(), &cid.to_string())
    }
}

/// Where the file is described: `share/info/CID`.
pub fn info(cid: &Cid) -> BucketPath {
    path(&["share", "info", &cid.to_string()])
}

#[expect(clippy::expect_used, reason = "names written here are short, and a CID has at most 62 characters")]
fn path(names: &[&str]) -> BucketPath {
    BucketPath::new(names).expect("short names without slashes")
}

#[expect(clippy::expect_used, reason = "a CID has at most 62 characters")]
fn item(bucket: BucketPath, cid: &str) -> Item {
    Item { bucket, data: Data::new(cid).expect("a CID is short") }
}

/// A CID as it stands in a bucket: SHA-256, so that its text is short whatever a stranger writes.
pub fn parse(text: &str) -> Option<Cid> {
    let cid: Cid = text.parse().ok()?;
    let is_usual = cid.hash().code() == 0x12 && cid.hash().size() == 32;
    // One spelling for each: otherwise one file could be listed many times.
    (is_usual && cid.to_string() == text).then_some(cid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V0: &str = "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH";
    const V1: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

    #[test]
    fn entries_stand_where_ipsd_says() {
        let cid = parse(V1).unwrap();
        assert_eq!(Station::Safe.item(&cid).bucket.to_string(), "share/safe");
        assert_eq!(info(&cid).to_string(), format!("share/info/{V1}"));
        assert!(parse(V0).is_some());
    }

    #[test]
    fn other_spellings_and_hashes_are_no_entries() {
        let upper = V1.to_uppercase();
        let long = "bafkrgqaa".to_owned() + &"a".repeat(300);
        for text in ["", "hello", &upper, &long, "bafkqaaa"] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
