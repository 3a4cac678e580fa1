//! The key under which a block is stored.
use std::fmt;
use std::path::{Path, PathBuf};

use cid::{Cid, multihash::Multihash};

/// Length in bytes of a SHA-256 multihash, as nearly all keys are.
const USUAL: usize = 34;

/// The key of a block: the bytes of its multihash. CIDs of any version and codec for the same bytes have the same key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockKey(Bytes);

/// Bytes of a key. A robot keeps a hundred thousand keys in memory, so keys of the usual length need no allocation.
#[derive(Clone)]
enum Bytes {
    Usual([u8; USUAL]),
    Other(Box<[u8]>),
}

impl BlockKey {
    /// Returns the key of the block that `cid` names.
    pub fn of(cid: &Cid) -> Self {
        Self(Bytes::new(&cid.hash().to_bytes()))
    }

    /// Returns the key of the block with this SHA-256 digest.
    pub(super) fn of_digest(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; USUAL];
        bytes[0] = 0x12;
        bytes[1] = 0x20;
        bytes[2..].copy_from_slice(digest);
        Self(Bytes::Usual(bytes))
    }

    /// Returns the SHA-256 digest of the block, or `None` when the key uses another hash function.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        self.as_bytes().strip_prefix(&[0x12, 0x20])?.try_into().ok()
    }

    /// Returns the bytes of the multihash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Returns whether `data` is the block that the key names.
    pub(super) fn matches(&self, data: &[u8]) -> bool {
        Multihash::try_from(self).is_ok_and(|hash| bitswap::message::verify(&hash, data))
    }

    /// Reads a key from bytes, which must be exactly one multihash.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Multihash::<64>::from_bytes(bytes).ok()?;
        Some(Self(Bytes::new(bytes)))
    }

    /// Returns the last byte, which names the folder of the block file.
    pub(super) fn folder(&self) -> u8 {
        self.as_bytes().last().copied().unwrap_or_default()
    }

    /// Returns the path of the block file inside the folder of blocks. The last digits name the subfolder, because the
    /// first digits are the same for all blocks and the last ones are evenly distributed.
    pub(super) fn relative_path(&self) -> PathBuf {
        Path::new(&format!("{:02x}", self.folder())).join(self.to_string())
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Vec<u8> = name.as_bytes().chunks(2).map(digits).collect::<Option<_>>()?;
        Self::from_bytes(&bytes).filter(|key| key.to_string() == name)
    }
}

impl Bytes {
    fn new(bytes: &[u8]) -> Self {
        bytes.try_into().map_or_else(|_| Self::Other(bytes.into()), Self::Usual)
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Usual(bytes) => bytes,
            Self::Other(bytes) => bytes,
        }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl fmt::Display for BlockKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Converts a key back to its multihash.
impl TryFrom<&BlockKey> for Multihash<64> {
    type Error = cid::multihash::Error;

    fn try_from(key: &BlockKey) -> Result<Self, Self::Error> {
        Self::from_bytes(key.as_bytes())
    }
}
