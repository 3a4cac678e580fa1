//! Key files, for people who hold a role but have no robot. Most of them are roots of a swarm.
//!
//! A key file is a TOML file that only its owner can read. It contains the secret, and the last sequence number that was
//! used. A signer must never use a number twice, because nodes would keep only one of the two records. So the number is
//! increased on the disk before a record is returned. A crash can skip numbers but never repeat one.

use crate::durable::{self, folder};
use dcache::{End, Keypair, MAX_SEQUENCE, PeerId, Policy, Record, Statement};
use rand::TryRng as _;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Maximum size of a key file, in bytes.
pub const MAX_KEY_FILE_BYTES: usize = 4096;
/// Maximum length of a key's name, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// File extension of key files.
const EXTENSION: &str = "key";
/// Version of the file format.
const VERSION: u32 = 1;
const HEADER: &str = "\
# A key of dt-swarm. Anyone who has this file can sign with the key. Keep it secret, and keep a copy in a safe place.
";

/// The name of a key in the folder of keys.
///
/// It has 1 to 64 ASCII letters, digits, `-`, `_` or `.`. The first character is a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

/// The error for a text that is not a valid name of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key's name has 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` or `.`, and begins with a letter or digit"
)]
pub struct KeyNameError;

impl FromStr for KeyName {
    type Err = KeyNameError;
    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let is_name = begins_well && text.len() <= MAX_NAME_BYTES && text.chars().all(is_plain);
        if is_name { Ok(Self(text.to_owned())) } else { Err(KeyNameError) }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyName {
    /// Returns the path of the key's file in a folder of keys.
    pub fn file(&self, keys: &Path) -> PathBuf {
        keys.join(format!("{}.{EXTENSION}", self.0))
    }

    /// Returns the names of all keys in a folder, sorted. A missing folder has no keys.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read.
    pub fn list(keys: &Path) -> io::Result<Vec<Self>> {
        let entries = match fs::read_dir(keys) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".key"));
            names.extend(stem.and_then(|stem| stem.parse::<Self>().ok()));
        }
        names.sort();
        Ok(names)
    }
}

/// The parsed content of a key file.
pub struct KeyText {
    seed: [u8; 32],
    /// Highest sequence number that has been used, or may have been; 0 if none has.
    pub sequence: u64,
}

/// The reason why a text is not a valid key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// The text is longer than [`MAX_KEY_FILE_BYTES`]. It is not parsed.
    #[error("a key file has at most {MAX_KEY_FILE_BYTES} bytes")]
    Length,
    /// The text is not TOML, or has other TOML fields. The message does not show the text, which may be secret.
    #[error("it does not have the fields of a key file (version, peer, seed, sequence)")]
    Shape,
    /// The format is of another version, probably that of a later program.
    #[error("it has the version {0}, but this program supports only {VERSION}")]
    Version(u32),
    /// The secret is malformed or does not belong to the peer ID.
    #[error("its seed does not belong to its peer ID: the file was damaged or edited")]
    Seed,
    /// The sequence number exceeds [`MAX_SEQUENCE`].
    #[error("its sequence number exceeds {MAX_SEQUENCE}")]
    Sequence,
}

/// The TOML fields of the file, in the order in which they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    version: u32,
    peer: PeerId,
    seed: String,
    sequence: u64,
}

impl KeyText {
    /// Parses the text of a key file.
    ///
    /// # Errors
    /// Returns an error if the text is not a key file, or is damaged.
    pub fn parse(text: &str) -> Result<Self, KeyTextError> {
        if text.len() > MAX_KEY_FILE_BYTES {
            return Err(KeyTextError::Length);
        }
        let shape: Shape = toml::from_str(text).map_err(|_| KeyTextError::Shape)?;
        if shape.version != VERSION {
            return Err(KeyTextError::Version(shape.version));
        }
        let seed = from_hex(&shape.seed).ok_or(KeyTextError::Seed)?;
        if Keypair::from_seed(seed).peer_id() != shape.peer {
            return Err(KeyTextError::Seed);
        }
        if shape.sequence > MAX_SEQUENCE {
            return Err(KeyTextError::Sequence);
        }
        Ok(Self { seed, sequence: shape.sequence })
    }

    /// Returns the text of the key file.
    #[expect(clippy::expect_used, reason = "a struct of texts and numbers always has a TOML form")]
    pub fn to_toml(&self) -> String {
        let (peer, seed) = (self.keypair().peer_id(), to_hex(&self.seed));
        let shape = Shape { version: VERSION, peer, seed, sequence: self.sequence };
        format!("{HEADER}{}", toml::to_string(&shape).expect("a key has a TOML form"))
    }

    fn keypair(&self) -> Keypair {
        Keypair::from_seed(self.seed)
    }
}

fn to_hex(seed: &[u8; 32]) -> String {
    seed.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut seed = [0; 32];
    for (place, byte) in seed.iter_mut().enumerate() {
        let digits = text.get(2 * place..2 * place + 2).filter(|_| is_hex)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(seed)
}

/// A valid key file. It is the only way to sign with its key, so no sequence number is used twice.
pub struct KeyFile {
    path: PathBuf,
    peer: PeerId,
}

/// The reason why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read or written.
    #[error("the key file {0} cannot be used: {1}")]
    Io(PathBuf, io::Error),
    /// A file with this name exists already.
    #[error("{0} exists already, and a key is never overwritten: choose another name")]
    Exists(PathBuf),
    /// Other users can read the secret.
    #[error("other users can read the key file {0}: find out whether someone has, then `chmod 600 {0}`")]
    Open(PathBuf),
    /// The file is not a valid key file.
    #[error("{0} is not a valid key file: {1}")]
    Wrong(PathBuf, KeyTextError),
    /// All sequence numbers are used. This happens only if the file was manipulated.
    #[error("the key of {0} has no sequence numbers left")]
    Exhausted(PathBuf),
}

impl KeyFile {
    /// Creates a new key in a new file. Creates the folder if it is missing.
    ///
    /// # Errors
    /// Returns an error if the file exists already, or if it cannot be written.
    pub fn make(path: &Path) -> Result<Self, KeyFileError> {
        let made = || {
            fs::create_dir_all(folder(path))?;
            let mut seed = [0; 32];
            rand::rngs::SysRng.try_fill_bytes(&mut seed).map_err(io::Error::other)?;
            let text = KeyText { seed, sequence: 0 };
            durable::create(path, text.to_toml().as_bytes(), 0o600)?;
            Ok(Self { path: path.to_owned(), peer: text.keypair().peer_id() })
        };
        made().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
            _ => KeyFileError::Io(path.to_owned(), error),
        })
    }

    /// Opens a key file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is not a valid key file, or can be read by other users.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let text = read(path)?;
        Ok(Self { path: path.to_owned(), peer: text.keypair().peer_id() })
    }

    /// Returns the peer ID of the key.
    pub fn peer_id(&self) -> PeerId {
        self.peer
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Signs statements for the swarm with this policy.
    ///
    /// Their sequence numbers are higher than all numbers that this file has used, and higher than `heard`. `heard` is the
    /// highest number of this signer that the swarm knows. It may be higher than the file's number if a copy of the file
    /// was used elsewhere.
    ///
    /// A new record replaces the signer's earlier record about the same item. The [`End`] of each statement says how long
    /// that earlier record has to be remembered; pass the default if there is no earlier record. See [`Record::sign`]. No
    /// two statements may be about the same item.
    ///
    /// # Errors
    /// Returns an error if the sequence number cannot be increased on the disk. Nothing is signed then.
    pub fn sign(
        &self,
        statements: Vec<(Statement, End)>,
        heard: u64,
        policy: &Policy,
    ) -> Result<Vec<Record>, KeyFileError> {
        let (keypair, first) = self.reserve(statements.len() as u64, heard)?;
        let numbered = statements.into_iter().zip(first..);
        let sign =
            |((statement, keep), sequence)| Record::sign_for(policy, statement, &keypair, sequence, keep);
        Ok(numbered.map(sign).collect())
    }

    /// Reserves `number` sequence numbers on the disk, and returns the first. They are never reused, even after a crash.
    fn reserve(&self, number: u64, heard: u64) -> Result<(Keypair, u64), KeyFileError> {
        let failed = |error| KeyFileError::Io(self.path.clone(), error);
        // The lock excludes other processes that use the same file. The folder is locked because the file itself is
        // replaced. Closing the handle releases the lock.
        let lock = File::open(folder(&self.path)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut text = read(&self.path)?;
        let first = text.sequence.max(heard).saturating_add(1);
        text.sequence = first.saturating_add(number.saturating_sub(1));
        if text.sequence > MAX_SEQUENCE {
            return Err(KeyFileError::Exhausted(self.path.clone()));
        }
        durable::replace(&self.path, text.to_toml().as_bytes(), 0o600).map_err(failed)?;
        Ok((text.keypair(), first))
    }
}

fn read(path: &Path) -> Result<KeyText, KeyFileError> {
    let failed = |error| KeyFileError::Io(path.to_owned(), error);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(KeyFileError::Open(path.to_owned()));
    }
    let mut text = String::new();
    // Reads one byte more than allowed, so that a longer file is detected.
    file.take(MAX_KEY_FILE_BYTES as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    KeyText::parse(&text).map_err(|error| KeyFileError::Wrong(path.to_owned(), error))
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({} in {})", self.peer, self.path.display())
    }
}

impl fmt::Debug for KeyText {
    /// Shows the peer ID and never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({} at {})", self.keypair().peer_id(), self.sequence)
    }
}

#[cfg(test)]
mod tests;
