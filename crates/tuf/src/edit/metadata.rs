//! The content of metadata files, as the editor changes it. Members that the editor does not know are kept.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::key::KeyId;
use crate::now;
use dcache::Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Version of the specification that files state.
pub(super) const SPECIFICATION: &str = "1.0.34";

/// Members of an object that the editor does not know.
pub(super) type Extra = Map<String, Value>;

/// The content of a file.
pub(super) trait Payload: Clone + Serialize + DeserializeOwned {
    /// Value of the member `_type`.
    const KIND: &'static str;

    fn header(&self) -> &Header;
    fn header_mut(&mut self) -> &mut Header;
}

/// Members of every file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    #[serde(rename = "_type")]
    pub(super) kind: String,
    pub(super) spec_version: String,
    pub(super) version: u64,
    pub(super) expires: Expiry,
}

/// The time until which a file is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expiry(pub(super) Time);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Root {
    #[serde(flatten)]
    pub(super) header: Header,
    #[serde(default)]
    pub(super) consistent_snapshot: bool,
    pub(super) keys: BTreeMap<KeyId, Key>,
    pub(super) roles: TopRoles,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TopRoles {
    pub(super) root: RoleKeys,
    pub(super) timestamp: RoleKeys,
    pub(super) snapshot: RoleKeys,
    pub(super) targets: RoleKeys,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RoleKeys {
    pub(super) keyids: Vec<KeyId>,
    pub(super) threshold: usize,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) keytype: String,
    pub(super) scheme: String,
    pub(super) keyval: KeyValue,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyValue {
    pub(super) public: String,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

/// A timestamp or a snapshot: both name the versions of other files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listing<const IS_TIMESTAMP: bool> {
    #[serde(flatten)]
    pub(super) header: Header,
    pub(super) meta: BTreeMap<String, FileEntry>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

pub(super) type Timestamp = Listing<true>;
pub(super) type Snapshot = Listing<false>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    pub(super) version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) length: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) hashes: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Targets {
    #[serde(flatten)]
    pub(super) header: Header,
    /// Paths as they are, because other programs may have written some that this one would not.
    pub(super) targets: BTreeMap<String, TargetEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delegations: Option<Delegations>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TargetEntry {
    pub(super) length: u64,
    pub(super) hashes: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) custom: Option<Value>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delegations {
    pub(super) keys: BTreeMap<KeyId, Key>,
    #[serde(default)]
    pub(super) roles: Vec<DelegatedRole>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DelegatedRole {
    pub(super) name: String,
    pub(super) keyids: Vec<KeyId>,
    pub(super) threshold: usize,
    #[serde(default)]
    pub(super) terminating: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path_hash_prefixes: Option<Vec<String>>,
    #[serde(flatten)]
    pub(super) extra: Extra,
}

impl Header {
    /// Returns the header of the first version of a file.
    pub(super) fn first<T: Payload>(expires: Time) -> Self {
        let (kind, spec_version) = (T::KIND.to_owned(), SPECIFICATION.to_owned());
        Self { kind, spec_version, version: 1, expires: Expiry(expires) }
    }
}

impl DelegatedRole {
    /// Returns whether the role may list a path. The client asks its library in the same way.
    pub(super) fn matches(&self, path: &str) -> Option<bool> {
        let role = serde_json::to_value(self).ok()?;
        let role: sigstore_tuf::metadata::DelegatedRole = serde_json::from_value(role).ok()?;
        role.matches_path(path).ok()
    }
}

macro_rules! payloads {
    ($($payload:ty => $kind:literal),*) => {$(
        impl Payload for $payload {
            const KIND: &'static str = $kind;

            fn header(&self) -> &Header {
                &self.header
            }

            fn header_mut(&mut self) -> &mut Header {
                &mut self.header
            }
        }
    )*};
}

payloads!(Root => "root", Timestamp => "timestamp", Snapshot => "snapshot", Targets => "targets");

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&now::to_timestamp(self.0))
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let timestamp: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(now::from_timestamp(timestamp)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_other_programs_write_it() {
        let written = serde_json::to_string(&Expiry(Time(1_800_000_000))).unwrap();
        assert_eq!(written, "\"2027-01-15T08:00:00Z\"");
        assert_eq!(serde_json::from_str::<Expiry>(&written).unwrap(), Expiry(Time(1_800_000_000)));
        assert!(serde_json::from_str::<Expiry>("\"tomorrow\"").is_err());
    }

    #[test]
    fn unknown_members_are_kept() {
        let text = concat!(
            r#"{"_type":"targets","spec_version":"1.0.31","version":3,"expires":"2027-01-15T08:00:00Z","#,
            r#""targets":{"a":{"length":1,"hashes":{"x":"y"},"t":1}},"delegations":{"keys":{},"roles":["#,
            r#"{"name":"r","keyids":[],"threshold":1,"terminating":false,"path_hash_prefixes":["0"],"r":2}],"#,
            r#""d":3},"e":[4]}"#,
        );
        let (value, targets): (Value, Targets) =
            (serde_json::from_str(text).unwrap(), serde_json::from_str(text).unwrap());
        assert_eq!(serde_json::to_value(targets).unwrap(), value);
    }
}
