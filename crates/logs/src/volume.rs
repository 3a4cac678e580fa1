//! The names of the folders that hold shared files, and of the files in them.
//!
//! A *volume* is one folder with its content, wherever it is mounted. The path of a shared folder may show different
//! volumes one after the other: a USB stick, the empty mount point below it, another stick. Each file of this robot
//! belongs to a volume. So a folder that is not there is not taken for a folder whose files were deleted.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Maximum number of missing volumes that are remembered. Above it, the one that was seen longest ago is forgotten, as
/// if a user had said that its files are gone.
pub(crate) const MAX_MISSING: usize = 32;
/// Number of hexadecimal digits of a volume's ID.
const DIGITS: usize = 16;

/// Random ID of a volume, from the marker file in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct VolumeId(pub(crate) u64);

impl VolumeId {
    /// The volume of all files that an earlier version of the daemon shared, until their folder is recognised.
    pub(crate) const UNKNOWN: Self = Self(0);
}

impl fmt::Display for VolumeId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:016x}", self.0)
    }
}

/// The text is not the ID of a volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the ID of a disk: {DIGITS} hexadecimal digits are expected")]
pub(crate) struct NoVolumeId;

impl FromStr for VolumeId {
    type Err = NoVolumeId;

    fn from_str(text: &str) -> Result<Self, NoVolumeId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_id = text.len() == DIGITS && text.bytes().all(is_digit);
        u64::from_str_radix(text, 16).ok().filter(|_| is_id).map(Self).ok_or(NoVolumeId)
    }
}

impl TryFrom<String> for VolumeId {
    type Error = NoVolumeId;

    fn try_from(text: String) -> Result<Self, NoVolumeId> {
        text.parse()
    }
}

impl From<VolumeId> for String {
    fn from(id: VolumeId) -> Self {
        id.to_string()
    }
}

/// A volume, as it was when its files were last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Volume {
    /// Path of the shared folder that showed the volume.
    pub(crate) folder: String,
    /// Time at which the volume was there, by the clock of this node.
    pub(crate) seen: Time,
}

/// A file of a volume. As text it is `/ID/PATH`, or only `PATH` for a file of the unknown volume. The path is relative,
/// so the two forms differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SharedPath {
    /// Volume that holds the file.
    pub(crate) volume: VolumeId,
    /// Path relative to the root of the volume, with `/` between the names.
    pub(crate) path: String,
}

impl SharedPath {
    /// Names the file at `path` of a volume.
    pub(crate) fn new(volume: VolumeId, path: impl Into<String>) -> Self {
        Self { volume, path: path.into() }
    }
}

impl fmt::Display for SharedPath {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.volume {
            VolumeId::UNKNOWN => to.write_str(&self.path),
            volume => write!(to, "/{volume}/{}", self.path),
        }
    }
}

impl FromStr for SharedPath {
    type Err = NoVolumeId;

    fn from_str(text: &str) -> Result<Self, NoVolumeId> {
        let Some(rest) = text.strip_prefix('/') else { return Ok(Self::new(VolumeId::UNKNOWN, text)) };
        let (volume, path) = rest.split_once('/').ok_or(NoVolumeId)?;
        Ok(Self::new(volume.parse()?, path))
    }
}

impl TryFrom<String> for SharedPath {
    type Error = NoVolumeId;

    fn try_from(text: String) -> Result<Self, NoVolumeId> {
        text.parse()
    }
}

impl From<SharedPath> for String {
    fn from(file: SharedPath) -> Self {
        file.to_string()
    }
}

/// Returns the rows of one volume.
pub(crate) fn rows_of<V>(
    rows: &BTreeMap<SharedPath, V>,
    volume: VolumeId,
) -> impl Iterator<Item = (&SharedPath, &V)> {
    rows.range(SharedPath::new(volume, "")..).take_while(move |(place, _)| place.volume == volume)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_volume_is_read_back_from_its_text() {
        for (volume, path, text) in [
            (VolumeId(0xab), "run/a.bag", "/00000000000000ab/run/a.bag"),
            (VolumeId::UNKNOWN, "00000000000000ab/a.bag", "00000000000000ab/a.bag"),
        ] {
            let file = SharedPath::new(volume, path);
            assert_eq!((file.to_string().as_str(), text.parse()), (text, Ok(file)));
        }
        for text in ["/", "/ab/a.bag", "/00000000000000AB/a.bag", "/+0000000000000ab/a.bag"] {
            assert_eq!(text.parse::<SharedPath>(), Err(NoVolumeId), "{text}");
        }
    }

    #[test]
    fn the_rows_of_a_volume_are_found_between_those_of_others() {
        let row = |volume, path: &str| (SharedPath::new(VolumeId(volume), path), ());
        let rows = BTreeMap::from([row(1, "z"), row(2, "a"), row(2, "b"), row(3, "a")]);
        let paths: Vec<&str> = rows_of(&rows, VolumeId(2)).map(|(file, ())| file.path.as_str()).collect();
        assert_eq!(paths, ["a", "b"]);
    }
}
