//! The credentials of a storage. They are read again for each request, so a corrected file takes effect at the next attempt.
//! They are never logged, and never part of an error.

use async_trait::async_trait;
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use rustix::fs::{Mode, OFlags};
use std::env;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Environment variables with the key ID, the secret key, and the token of temporary credentials.
const VARIABLES: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
/// Keys in a file with credentials, in the same order.
const KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
/// Maximum size of a file with credentials, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Permissions of other users than the owner.
const OTHERS: u32 = 0o077;

/// Where the credentials are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// In the environment variables `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    Environment,
    /// In the section `[default]` of a file in the format of Amazon's tools, like `~/.aws/credentials`.
    File(PathBuf),
}

/// Reason why credentials cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The environment has none.
    #[error(
        "there are no credentials for the storage: set `credentials_file`, or the variables AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY of the daemon"
    )]
    NoVariables,
    /// The file cannot be read.
    #[error("the credentials cannot be read from {} ({reason})", file.display())]
    Unreadable {
        /// Path of the file.
        file: PathBuf,
        /// Reason of the failure.
        reason: String,
    },
    /// Other users can read or change the file.
    #[error("other users can read the credentials: run `chmod 600 {}`", .0.display())]
    TooOpen(PathBuf),
    /// The file belongs to another user.
    #[error("the credentials in {} belong to another user: run `chown` on it", .0.display())]
    NotOwn(PathBuf),
    /// A key is missing in the file.
    #[error("{} has no line `{key} = ...` in its section [default]", file.display())]
    Missing {
        /// Path of the file.
        file: PathBuf,
        /// The missing key.
        key: &'static str,
    },
    /// A value has characters that no credentials have.
    #[error("the credentials have characters other than printable ASCII")]
    NotPrintable,
}

impl Credentials {
    /// Reads the credentials. This call blocks.
    fn read(&self) -> Result<AwsCredential, CredentialsError> {
        let found = match self {
            Self::Environment => of_environment()?,
            Self::File(file) => of_file(file)?,
        };
        let AwsCredential { key_id, secret_key, token } = &found;
        let is_printable = |text: &String| text.bytes().all(|byte| byte.is_ascii_graphic());
        // Other characters cannot be in a header.
        let are_printable = [key_id, secret_key].into_iter().chain(token).all(is_printable);
        match are_printable {
            true => Ok(found),
            false => Err(CredentialsError::NotPrintable),
        }
    }
}

fn of_environment() -> Result<AwsCredential, CredentialsError> {
    let [key_id, secret_key, token] =
        VARIABLES.map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    let (key_id, secret_key) = key_id.zip(secret_key).ok_or(CredentialsError::NoVariables)?;
    Ok(AwsCredential { key_id, secret_key, token })
}

fn of_file(path: &Path) -> Result<AwsCredential, CredentialsError> {
    let text = read_private(path)?;
    let value = |key| value(&text, key).map(str::to_owned);
    let missing = |key| CredentialsError::Missing { file: path.to_owned(), key };
    let [id, secret, token] = KEYS;
    let key_id = value(id).ok_or_else(|| missing(id))?;
    let secret_key = value(secret).ok_or_else(|| missing(secret))?;
    Ok(AwsCredential { key_id, secret_key, token: value(token) })
}

/// Reads a file that only its owner can read: the user of the daemon, or root.
fn read_private(path: &Path) -> Result<String, CredentialsError> {
    let unreadable =
        |error: io::Error| CredentialsError::Unreadable { file: path.to_owned(), reason: error.to_string() };
    // A FIFO must not block the reader.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file =
        File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?);
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    if metadata.mode() & OTHERS != 0 {
        return Err(CredentialsError::TooOpen(path.to_owned()));
    }
    if ![0, rustix::process::geteuid().as_raw()].contains(&metadata.uid()) {
        return Err(CredentialsError::NotOwn(path.to_owned()));
    }
    let mut text = String::new();
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Returns the value of a key in the section `[default]`, or before any section.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut is_default = true;
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_default = section.trim_end_matches(']').trim() == "default";
        } else if is_default
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            return Some(value.trim()).filter(|value| !value.is_empty());
        }
    }
    None
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let failed = |source| object_store::Error::Generic { store: "S3", source };
        let from = self.clone();
        let read = tokio::task::spawn_blocking(move || from.read()).await;
        let read = read.map_err(|error| failed(error.into()))?;
        read.map(Arc::new).map_err(|error| failed(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    const TEXT: &str = "# a comment\n[other]\naws_access_key_id = wrong\n[default]\naws_access_key_id = key\n\
                        aws_secret_access_key=secret/+=\n";

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn read(text: &str, mode: u32) -> Result<AwsCredential, CredentialsError> {
        let (_folder, path) = file(text, mode);
        Credentials::File(path).read()
    }

    #[test]
    fn a_file_of_amazons_tools_is_read() {
        let found = read(TEXT, 0o600).unwrap();
        assert_eq!(
            (found.key_id.as_str(), found.secret_key.as_str(), found.token),
            ("key", "secret/+=", None)
        );
        let found = read(&TEXT.replace("[default]", "[default]\naws_session_token = t"), 0o400).unwrap();
        assert_eq!(found.token.as_deref(), Some("t"));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_so_are_unusable_files() {
        for mode in [0o640, 0o604, 0o660, 0o644] {
            assert!(matches!(read(TEXT, mode), Err(CredentialsError::TooOpen(_))), "{mode:o}");
        }
        let missing = read("[default]\naws_access_key_id = key\n", 0o600);
        assert!(matches!(missing, Err(CredentialsError::Missing { key: "aws_secret_access_key", .. })));
        assert_eq!(read(&TEXT.replace("= key", "= k\u{7f}ey"), 0o600), Err(CredentialsError::NotPrintable));
        let absent = Credentials::File("/nonexistent/credentials".into()).read();
        assert!(matches!(absent, Err(CredentialsError::Unreadable { .. })));
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RUSR).unwrap();
        assert!(matches!(Credentials::File(fifo).read(), Err(CredentialsError::Unreadable { .. })));
    }

    #[tokio::test]
    async fn a_secret_is_in_no_text() {
        let (_folder, path) = file(TEXT, 0o600);
        let credentials = Credentials::File(path.clone());
        let shown = format!("{credentials:?} {:?}", credentials.get_credential().await.unwrap());
        assert!(!shown.contains("secret/"), "{shown}");
        fs::write(&path, TEXT.replace("secret/", "sec\u{1}ret/")).unwrap();
        let error = credentials.get_credential().await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("ret/"), "{error:?}");
    }
}
