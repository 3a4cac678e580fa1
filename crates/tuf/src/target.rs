//! A target that was found: its size, its hashes, and where its content is.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::names::TargetPath;
use crate::now::Freshness;
use crate::verify_error::TargetFault;
use cid::Cid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha512};

/// Key of the content identifier in the custom data of a target.
pub const CID_KEY: &str = "cid";

/// A target that the verified metadata lists. Its bytes come from IPFS, by the content identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Path of the target.
    pub path: TargetPath,
    /// Size of the content, in bytes.
    pub length: u64,
    /// Hashes of the content.
    pub hashes: Hashes,
    /// Content identifier, from the key `cid` of the custom data.
    pub cid: Option<Cid>,
    /// All custom data of the target.
    pub custom: Map<String, Value>,
    /// The metadata in which the target was found.
    pub provenance: Provenance,
    /// Whether this metadata was checked against the present time.
    pub freshness: Freshness,
}

/// One or two hashes of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashes {
    /// The SHA-256 hash.
    Sha256([u8; 32]),
    /// The SHA-512 hash.
    Sha512([u8; 64]),
    /// Both of these hashes.
    Both([u8; 32], [u8; 64]),
}

/// Versions of the metadata in which a target was found. A service keeps it with an installed target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the root.
    pub root: u64,
    /// Version of the timestamp.
    pub timestamp: u64,
    /// Version of the snapshot.
    pub snapshot: u64,
    /// Name of the role that lists the target.
    pub role: String,
    /// Version of this role's file.
    pub version: u64,
}

/// Reason why a target must not replace the installed one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the time is unknown, and the metadata (root {offered_root}, snapshot {offered_snapshot}) is not newer than that \
     of the installed version (root {installed_root}, snapshot {installed_snapshot}); wait until the clock is set, or \
     until a newer release is found"
)]
pub struct NotNewer {
    /// Version of the root that lists the offered target.
    pub offered_root: u64,
    /// Version of the snapshot that lists the offered target.
    pub offered_snapshot: u64,
    /// Version of the root that listed the installed target.
    pub installed_root: u64,
    /// Version of the snapshot that listed the installed target.
    pub installed_snapshot: u64,
}

/// Reason why a content is not that of the target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The content has another length.
    #[error(
        "the content of {path} has {found} bytes or more instead of {expected}; fetch it from another peer"
    )]
    Length {
        /// Path of the target.
        path: TargetPath,
        /// Number of bytes read so far.
        found: u64,
        /// Number of bytes of the target.
        expected: u64,
    },
    /// The content has another hash.
    #[error("the content of {path} has another hash than the target; fetch it from another peer")]
    Hash {
        /// Path of the target.
        path: TargetPath,
    },
}

/// A check of a content while it is read. It holds no bytes of the content.
#[derive(Clone, Debug)]
pub struct ContentCheck<'a> {
    target: &'a Target,
    length: u64,
    sha256: Sha256,
    sha512: Option<Sha512>,
}

impl Target {
    pub(crate) fn new(
        path: TargetPath,
        entry: &sigstore_tuf::TargetFile,
        provenance: Provenance,
        freshness: Freshness,
    ) -> Result<Self, TargetFault> {
        let custom = match &entry.custom {
            Some(Value::Object(custom)) => custom.clone(),
            _ => Map::new(),
        };
        let hash = |name| entry.hashes.get(name);
        let hashes = match (hash("sha256"), hash("sha512")) {
            (Some(one), Some(other)) => Hashes::Both(parse_hex(one)?, parse_hex(other)?),
            (Some(hash), None) => Hashes::Sha256(parse_hex(hash)?),
            (None, Some(hash)) => Hashes::Sha512(parse_hex(hash)?),
            (None, None) => return Err(TargetFault::NoHash),
        };
        let cid = custom.get(CID_KEY).map(parse_cid).transpose()?;
        Ok(Self { path, length: entry.length, hashes, cid, custom, provenance, freshness })
    }

    /// Checks whether the target may replace an installed one. If the time is known, the metadata is fresh, so it may. If
    /// not, a mirror may be hiding newer metadata. The target may then only replace one from older metadata.
    ///
    /// # Errors
    /// Returns an error if the time is unknown and the metadata is not newer.
    pub fn may_replace(&self, installed: Option<&Provenance>) -> Result<(), NotNewer> {
        let (offered, Some(installed)) = (&self.provenance, installed) else { return Ok(()) };
        let is_newer = offered.root >= installed.root && offered.snapshot > installed.snapshot;
        if self.freshness == Freshness::Fresh || is_newer {
            return Ok(());
        }
        Err(NotNewer {
            offered_root: offered.root,
            offered_snapshot: offered.snapshot,
            installed_root: installed.root,
            installed_snapshot: installed.snapshot,
        })
    }

    /// Begins to check a content.
    pub fn check(&self) -> ContentCheck<'_> {
        let sha512 = (!matches!(self.hashes, Hashes::Sha256(_))).then(Sha512::new);
        ContentCheck { target: self, length: 0, sha256: Sha256::new(), sha512 }
    }
}

impl ContentCheck<'_> {
    /// Takes the next bytes of the content.
    ///
    /// # Errors
    /// Returns an error as soon as the content is longer than the target.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        self.length = self.length.saturating_add(bytes.len() as u64);
        if self.length > self.target.length {
            return Err(self.wrong_length());
        }
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
        Ok(())
    }

    /// Checks the length and the hashes of the whole content.
    ///
    /// # Errors
    /// Returns an error if they are not those of the target.
    pub fn finish(self) -> Result<(), ContentError> {
        if self.length != self.target.length {
            return Err(self.wrong_length());
        }
        let path = self.target.path.clone();
        let sha256: [u8; 32] = self.sha256.finalize().into();
        let sha512: Option<[u8; 64]> = self.sha512.map(|hash| hash.finalize().into());
        let is_right = match self.target.hashes {
            Hashes::Sha256(hash) => sha256 == hash,
            Hashes::Sha512(hash) => sha512 == Some(hash),
            Hashes::Both(one, other) => sha256 == one && sha512 == Some(other),
        };
        if is_right { Ok(()) } else { Err(ContentError::Hash { path }) }
    }

    fn wrong_length(&self) -> ContentError {
        let (found, expected) = (self.length, self.target.length);
        ContentError::Length { path: self.target.path.clone(), found, expected }
    }
}

fn parse_cid(value: &Value) -> Result<Cid, TargetFault> {
    let text = value.as_str().unwrap_or_default();
    Cid::try_from(text).map_err(|_| TargetFault::Cid(value.to_string()))
}

fn parse_hex<const LENGTH: usize>(text: &str) -> Result<[u8; LENGTH], TargetFault> {
    crate::hex::decode(text).ok_or_else(|| TargetFault::Hash(text.to_owned()))
}
