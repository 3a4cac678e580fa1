//! Key files: for people who hold a role without having a robot, above all the roots of a swarm.
//!
//! A text file (TOML) for its owner alone, with the secret and the last sequence number that was used. Of two words of
//! one signer with the same number only one would stay; so the number is raised on the disk before a record leaves this
//! module, and a crash can only skip some.

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

/// The most bytes of a key file.
pub const MAX_KEY_FILE_BYTES: usize = 4096;
/// The most bytes of a key's name.
const MAX_NAME_BYTES: usize = 64;
/// What the name of a key file ends with.
const EXTENSION: &str = "key";
/// The version of the format.
const VERSION: u32 = 1;
const HEADER: &str = "\
# A key of dt-swarm: whoever has this file can speak in its name. Keep it secret, and keep a copy in a safe place.
";

/// The name of a key in the folder of keys: 1 to 64 letters, digits, `-`, `_` or `.`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

/// A text that is no name of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key's name is 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` or `.`, the first a letter or digit"
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
    /// Its file in a folder of keys.
    pub fn file(&self, keys: &Path) -> PathBuf {
        keys.join(format!("{}.{EXTENSION}", self.0))
    }

    /// The names of all keys in a folder, in order; none when the folder is not there.
    ///
    /// # Errors
    /// When the folder cannot be read.
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

/// What a key file says.
pub struct KeyText {
    seed: [u8; 32],
    /// The last sequence number that was used, or may have been; 0 when none.
    pub sequence: u64,
}

/// Why a text is no key file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// Over the bound; not looked at.
    #[error("a key file has at most {MAX_KEY_FILE_BYTES} bytes")]
    Length,
    /// Not TOML, or not the shape. The text itself is not shown: it may be a secret.
    #[error("it is not of the shape of a key file (version, peer, seed, sequence)")]
    Shape,
    /// Of a later program.
    #[error("it is of version {0}, and this program knows {VERSION}")]
    Version(u32),
    /// The secret is damaged.
    #[error("its seed is not that of its peer ID: it was damaged or edited")]
    Seed,
    /// The number is out of its bounds.
    #[error("its sequence number is beyond {MAX_SEQUENCE}")]
    Sequence,
}

/// The file's keys, in the order in which they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    version: u32,
    peer: PeerId,
    seed: String,
    sequence: u64,
}

impl KeyText {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// When it is not one, or damaged.
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

    /// The text of a key file.
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

/// A key file that was read and is in order. Only it signs, and so no number is ever used twice.
pub struct KeyFile {
    path: PathBuf,
    peer: PeerId,
}

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("the key file {0} cannot be used: {1}")]
    Io(PathBuf, io::Error),
    /// There is one already.
    #[error("{0} is there already, and no key is ever overwritten: choose another name")]
    Exists(PathBuf),
    /// Others could read the secret.
    #[error("others can read the key file {0}: see who did, then `chmod 600 {0}`")]
    Open(PathBuf),
    /// It is no key file.
    #[error("{0} is no key file: {1}")]
    Wrong(PathBuf, KeyTextError),
    /// All numbers are used up, which takes a file that was tampered with.
    #[error("the key of {0} has no sequence numbers left")]
    Exhausted(PathBuf),
}

impl KeyFile {
    /// Makes a new key in a new file; its folder, too, when it is not there.
    ///
    /// # Errors
    /// When there is one already, or it cannot be written.
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
    /// When it cannot be read, is none, or others could read it as well.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let text = read(path)?;
        Ok(Self { path: path.to_owned(), peer: text.keypair().peer_id() })
    }

    /// Whose key it is.
    pub fn peer_id(&self) -> PeerId {
        self.peer
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Signs for the swarm with this policy, with numbers above all that this file has used and above `heard`, the highest that the swarm has heard:
    /// that may be higher, when a copy of this file was used elsewhere. With each statement goes until when the former
    /// word about the same item has to be remembered, the default if there is none; see [`Record::sign`]. No two
    /// statements are about one item.
    ///
    /// # Errors
    /// When the number cannot be raised on the disk; nothing was signed then.
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

    /// Takes `number` numbers for good, also if this process dies before it uses them; returns the first.
    fn reserve(&self, number: u64, heard: u64) -> Result<(Keypair, u64), KeyFileError> {
        let failed = |error| KeyFileError::Io(self.path.clone(), error);
        // One at a time, whoever uses the same file just now. The folder, because the file itself is replaced; the lock
        // goes with the handle.
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
    // One byte more than allowed, so that a longer file shows.
    file.take(MAX_KEY_FILE_BYTES as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    KeyText::parse(&text).map_err(|error| KeyFileError::Wrong(path.to_owned(), error))
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyFile({} in {})", self.peer, self.path.display())
    }
}

impl fmt::Debug for KeyText {
    /// Shows whose it is, never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyText({} at {})", self.keypair().peer_id(), self.sequence)
    }
}

#[cfg(test)]
mod tests;
