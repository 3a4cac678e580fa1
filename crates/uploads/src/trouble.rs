//! Errors of a destination, each as a sentence with the way out.

use crate::credentials::CredentialsError;
use crate::plan::Failure;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Maximum number of characters of a storage's own words that are shown.
pub(crate) const MAX_QUOTED: usize = 200;

/// Reason why a destination did not do what it was asked for. An upload goes on by itself when the reason has passed.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The credentials cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The storage does not know the key, or its secret is another one.
    #[error("the storage does not accept the credentials ({0}): check the key ID and the secret key")]
    CredentialsRefused(String),
    /// The key may not do this.
    #[error(
        "the storage denies this to the key ({0}): permit s3:PutObject, s3:GetObject, s3:ListBucket, \
         s3:AbortMultipartUpload and s3:ListBucketMultipartUploads on the bucket"
    )]
    Denied(String),
    /// The bucket does not exist.
    #[error(
        "the storage has no bucket of this name: create it, or correct `destination` in the configuration"
    )]
    NoBucket,
    /// The bucket is elsewhere.
    #[error(
        "the bucket is not at this endpoint or not in this region ({0}): set `endpoint` and `region` in the configuration"
    )]
    OtherRegion(String),
    /// The clocks differ too much for a signature.
    #[error(
        "the clocks of the storage and of this host differ by more than 15 minutes: set the clock of this host"
    )]
    Clock,
    /// The storage or the disk has no room.
    #[error("the destination is full ({0}): make room there, or raise its quota")]
    Full(String),
    /// The storage asks for fewer requests.
    #[error("the storage is busy and asks to wait ({0})")]
    Busy(String),
    /// The storage has an error of its own.
    #[error("the storage has an error of its own ({0}): see its log if this lasts")]
    Failing(String),
    /// The storage refuses the request for another reason.
    #[error("the storage refuses the request ({0})")]
    Rejected(String),
    /// The storage does not know the multipart upload.
    #[error("the storage does not know the multipart upload any more")]
    NoUpload,
    /// The storage does not accept the recorded parts.
    #[error("the storage does not accept the parts that it confirmed ({0})")]
    PartsRefused(String),
    /// The storage does not have this function.
    #[error("the storage does not support this ({0})")]
    NotSupported(String),
    /// The answer is not one of S3.
    #[error("the endpoint does not answer like an S3 storage ({0}): check `endpoint` in the configuration")]
    NotS3(String),
    /// The name of the storage has no address.
    #[error("the name {host} has no address ({source}): check the internet connection and `endpoint`")]
    Unresolved {
        /// Name in the address of the endpoint.
        host: String,
        /// Error of the resolver.
        source: io::Error,
    },
    /// No address of the storage can be reached.
    #[error(
        "the storage at {address} cannot be reached ({source}): check the internet connection and `endpoint`"
    )]
    Unreachable {
        /// The last address that was tried.
        address: SocketAddr,
        /// Error of the connection.
        source: io::Error,
    },
    /// The connection is not encrypted as demanded.
    #[error(
        "the encrypted connection failed ({0}): check the clock of this host, `endpoint`, and `ca_file` if the storage \
         has a certificate of its own"
    )]
    Tls(io::Error),
    /// The storage was silent for too long.
    #[error("the storage was silent for {} s: the link or the storage is too slow or broken", .0.as_secs())]
    Silent(Duration),
    /// The connection broke.
    #[error("the connection to the storage broke ({0})")]
    Broken(String),
    /// The folder is not there.
    #[error("the folder {} is missing: mount its disk, or create it", .0.display())]
    FolderMissing(PathBuf),
    /// A file or folder cannot be read or written.
    #[error("{} cannot be read or written ({source}): check its disk and its permissions", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl Trouble {
    /// Creates the error for a file or folder.
    pub(crate) fn disk(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(source.to_string()),
            _ => Self::Disk { path, source },
        }
    }

    /// Returns the kind of the failure for the plan.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::NoUpload => Failure::NoUpload,
            Self::PartsRefused(_) => Failure::PartsRefused,
            Self::NotSupported(_) => Failure::NotSupported(self.to_string()),
            Self::Denied(_) => Failure::Denied(self.to_string()),
            _ => Failure::Temporary,
        }
    }
}
