//! A swarm file, read from the disk or received from the daemon.

use crate::error::CliError;
use dcache::{MAX_SWARM_FILE_BYTES, SwarmFile};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Text that is shown instead of the key of a swarm.
const HIDDEN: &str = "(hidden; --show-key shows it)";

/// A swarm with roles.
pub(crate) struct Swarm {
    /// The text of its file, as its author wrote it.
    pub(crate) text: String,
    pub(crate) file: SwarmFile,
    /// The path of the file; `None` when the daemon sent it.
    pub(crate) path: Option<PathBuf>,
}

impl Swarm {
    /// Reads a swarm file.
    pub(crate) fn read(path: &Path) -> Result<Self, CliError> {
        let mut text = String::new();
        // Reads one byte more than allowed, so that a file that is too long is refused.
        let most = MAX_SWARM_FILE_BYTES as u64 + 1;
        let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
        read.map_err(|source| CliError::SwarmUnread { path: path.to_owned(), source })?;
        let file = SwarmFile::parse(&text)
            .map_err(|source| CliError::SwarmWrong { path: path.to_owned(), source })?;
        Ok(Self { text, file, path: Some(path.to_owned()) })
    }

    /// Parses the text of a swarm file that the daemon sent.
    pub(crate) fn of_daemon(text: String) -> Result<Self, CliError> {
        let file = SwarmFile::parse(&text).map_err(CliError::SwarmStrange)?;
        Ok(Self { text, file, path: None })
    }

    /// Returns the text of the file without its key.
    pub(crate) fn text_without_key(&self) -> String {
        let Some(key) = self.file.key() else { return self.text.clone() };
        let secret = key.reveal();
        // A key that is written with escapes is not found in the text. In this case, the text is generated again from
        // the parsed file.
        let text = if self.text.contains(&secret) { self.text.clone() } else { self.file.to_toml() };
        text.replace(&secret, HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::PeerId;
    use seal::{KEY_BYTES, SwarmKey};

    #[test]
    fn the_key_is_hidden_however_it_is_written() {
        let key = SwarmKey::from_bytes([7; KEY_BYTES]);
        let roots = [PeerId::from_public_key([0; 32])].into();
        let file = SwarmFile::new("class", roots).unwrap().with_key(key.clone());
        let plain = format!("# mine\n{}", file.to_toml());
        // The same key, with its first letter as an escape.
        let escaped = plain.replacen(&key.reveal(), &format!("\\u0042{}", &key.reveal()[1..]), 1);
        for (text, is_kept) in [(plain, true), (escaped, false)] {
            assert_eq!(SwarmFile::parse(&text).as_ref(), Ok(&file));
            let swarm = Swarm { text, file: file.clone(), path: None };
            let hidden = swarm.text_without_key();
            assert!(hidden.contains(HIDDEN) && !hidden.contains(&key.reveal()[1..]), "{hidden}");
            assert_eq!(hidden.contains("# mine"), is_kept);
        }
    }
}
