//! The configuration of a destination.

use crate::credentials::Credentials;
use crate::destination::Storage;
use crate::folder::{Folder, OwnerError};
use crate::gate::{Gate, Metered};
use crate::hours::Hours;
use crate::object::{MAX_PART_BYTES, MIN_PART_BYTES, is_key};
use crate::pace::Pace;
use crate::priority::Priority;
use crate::s3::{Patience, S3, S3Config, S3Error};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::str::FromStr;
use transfers::Limit;

/// Number of bytes in a mebibyte.
const MIB: u64 = 1 << 20;

/// File with the permission of Duckietown's robots to upload their logs.
const PERMISSION_FILE: &str = "/data/config/permissions/allow_push_logs_data";

/// The section `[uploads]` of the configuration: whether the logs of this robot may be uploaded, where this robot uploads
/// logs to, and which logs it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether the logs of this robot may be uploaded. The permission file replaces this setting where it exists.
    pub allow: bool,
    /// File that permits the upload of the logs of this robot with `true`, `yes` or `1`, and denies it with every other
    /// content. It is read once a minute.
    pub permission_file: PathBuf,
    /// Where uploads go: `s3://BUCKET/PREFIX` or `file:///FOLDER`. Default: nowhere.
    pub destination: Option<Place>,
    /// Address of the S3-compatible storage, such as `https://s3.example.org`. Default: Amazon S3 in `region`.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: String,
    /// File with the credentials of the storage, in the format of `~/.aws/credentials`. Only its owner may be able to read it.
    /// Default: the variables `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` of the daemon.
    pub credentials_file: Option<PathBuf>,
    /// File with the certificates (PEM) that the storage may have. Default: the certificates that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Size, in MiB, of the parts in which a file is sent. An interruption costs at most one part. A part is in memory while it
    /// is sent.
    pub part_mib: u64,
    /// Maximum rate of all uploads together, such as `500kB` or `16Mbit`.
    pub max_rate: Limit,
    /// Hours of the day with another maximum rate, by the local time of the robot: `08:00-16:00 500kB`, `20:00-06:00 none`,
    /// or `08:00-12:00 off` for no uploads. The first entry that contains the time applies.
    pub hours: Vec<Hours>,
    /// Whether the connection to the internet is charged by volume: `yes`, `no`, or `auto` for NetworkManager's word. If it
    /// is, nothing is uploaded to S3-compatible storage; a folder is still used.
    pub metered: Metered,
    /// Files that are uploaded and carried first, in this order: patterns for paths below the shared folder, such as `*.bag` or
    /// `run/important/*`, and kinds, such as `kind:ros2`. Among the files of one entry, and among all others, the one that
    /// waits longest goes first.
    pub priorities: Vec<Priority>,
    /// Whether this robot carries files that are not uploaded yet, although it has no destination: it keeps them until
    /// another robot has uploaded them.
    pub carry: bool,
    /// Maximum size, in MiB, of all files of other robots that this robot keeps only until they are uploaded.
    pub carry_max_mib: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow: false,
            permission_file: PERMISSION_FILE.into(),
            destination: None,
            endpoint: None,
            region: "us-east-1".to_owned(),
            credentials_file: None,
            ca_file: None,
            part_mib: 8,
            max_rate: Limit::None,
            hours: Vec::new(),
            metered: Metered::Auto,
            priorities: Vec::new(),
            carry: false,
            carry_max_mib: 8192,
        }
    }
}

/// Where uploads go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// An S3-compatible storage.
    S3 {
        /// Name of the bucket.
        bucket: String,
        /// Beginning of all keys, without `/` at its ends; may be empty.
        prefix: String,
    },
    /// A folder on a disk of this host.
    Folder(PathBuf),
}

/// A text does not name a place for uploads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no destination: it is `s3://BUCKET`, `s3://BUCKET/PREFIX` or `file:///FOLDER`. A bucket has 3 to 63 of the \
     characters a-z, 0-9, `.` and `-`; a prefix has A-Z, a-z, 0-9, `.`, `_`, `-` and `/`"
)]
pub struct PlaceError(String);

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let wrong = || PlaceError(text.to_owned());
        if let Some(path) = text.strip_prefix("file://") {
            return if path.starts_with('/') { Ok(Self::Folder(path.into())) } else { Err(wrong()) };
        }
        let place = text.strip_prefix("s3://").ok_or_else(wrong)?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_plain =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        let is_bucket = (3..=63).contains(&bucket.len()) && bucket.bytes().all(is_plain);
        let is_prefix = prefix.is_empty() || (is_key(prefix) && prefix.len() <= 512);
        match is_bucket && is_prefix {
            true => Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }),
            false => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Place {
    type Error = PlaceError;

    fn try_from(text: String) -> Result<Self, PlaceError> {
        text.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        match place {
            Place::S3 { bucket, prefix } if prefix.is_empty() => format!("s3://{bucket}"),
            Place::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
            Place::Folder(folder) => format!("file://{}", folder.display()),
        }
    }
}

/// Reason why a destination cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The storage cannot be used.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] OwnerError),
    /// The parts have a wrong size.
    #[error("`part_mib` is {0}; it is from {least} to {most}", least = MIN_PART_BYTES / MIB, most = MAX_PART_BYTES / MIB)]
    PartSize(u64),
}

impl Settings {
    /// Prepares the use of the destination; `None` if there is none. Nothing is connected yet. `expand` replaces a leading `~`
    /// of a path. `owner` names this node, such as its peer ID. This call blocks.
    ///
    /// # Errors
    /// When the destination cannot be used as configured.
    pub fn open(
        &self,
        expand: impl Fn(PathBuf) -> PathBuf,
        owner: &str,
        pace: Pace,
        patience: Patience,
    ) -> Result<Option<Storage>, OpenError> {
        if !(MIN_PART_BYTES..=MAX_PART_BYTES).contains(&self.part_bytes()) {
            return Err(OpenError::PartSize(self.part_mib));
        }
        let Some(place) = self.destination.clone() else { return Ok(None) };
        Ok(Some(match place {
            Place::Folder(folder) => Storage::Folder(Folder::open(folder, owner, pace)?),
            Place::S3 { bucket, prefix } => {
                let credentials = self.credentials_file.clone().map(&expand);
                let credentials = credentials.map_or(Credentials::Environment, Credentials::File);
                let (endpoint, region) = (self.endpoint.clone(), self.region.clone());
                let ca_file = self.ca_file.clone().map(&expand);
                let config = S3Config { bucket, prefix, endpoint, region, ca_file, patience };
                Storage::S3(Box::new(S3::open(config, credentials, pace)?))
            }
        }))
    }

    /// Returns the rules about the times of uploads. `is_remote` tells whether the internet leads to the destination.
    pub(crate) fn gate(&self, is_remote: bool) -> Gate {
        Gate { hours: self.hours.clone(), rate: self.max_rate, metered: self.metered, is_remote }
    }

    /// Returns the limit of the files that this node keeps until they are uploaded, in bytes.
    pub fn max_carried_bytes(&self) -> u64 {
        self.carry_max_mib.saturating_mul(MIB)
    }

    /// Returns the size of the parts in bytes.
    pub fn part_bytes(&self) -> u64 {
        self.part_mib.saturating_mul(MIB)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_bucket_or_a_folder() {
        let s3 =
            |bucket: &str, prefix: &str| Place::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        for (text, place) in [
            ("s3://logs", s3("logs", "")),
            ("s3://logs/a/b", s3("logs", "a/b")),
            ("file:///srv/logs", Place::Folder("/srv/logs".into())),
        ] {
            assert_eq!(text.parse::<Place>().unwrap(), place);
            assert_eq!(String::from(place), text);
        }
        assert_eq!("s3://logs/a/".parse::<Place>().unwrap(), s3("logs", "a"));
        for wrong in [
            "",
            "logs",
            "s3://",
            "s3://ab",
            "s3://Logs",
            "s3://logs/../a",
            "s3://u:p@logs",
            "file://srv",
            "s3://logs//a",
        ] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_folder_and_a_storage_are_opened_and_wrong_sizes_are_refused() {
        let open =
            |settings: &Settings| settings.open(|path| path, "me", Pace::default(), Patience::default());
        let none = Settings::default();
        assert!(open(&none).unwrap().is_none());
        let folder = Settings { destination: Some(Place::Folder("/srv".into())), ..none.clone() };
        assert!(matches!(open(&folder), Ok(Some(Storage::Folder(_)))));
        let s3 = Settings {
            destination: Some("s3://logs".parse().unwrap()),
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            ..none.clone()
        };
        assert!(matches!(open(&s3), Ok(Some(Storage::S3(_)))));
        let wrong = Settings { endpoint: Some("127.0.0.1".to_owned()), ..s3 };
        assert!(matches!(open(&wrong), Err(OpenError::S3(S3Error::Endpoint(_)))));
        for part_mib in [0, 4, 65, u64::MAX] {
            assert!(matches!(open(&Settings { part_mib, ..none.clone() }), Err(OpenError::PartSize(_))));
        }
    }
}
