//! Entries that change the entry after them: long names of GNU tar, and extended headers of POSIX (pax).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::path::refused;
use super::{ArchiveError, Limits, damaged, text};
use std::io::Read;
use tar::EntryType;

/// Maximum size of an extended header in bytes. One with a path and a few attributes has some hundred bytes.
const MAX_HEADER_BYTES: u64 = 64 * 1024;

/// Values that the extensions before an entry give it.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub path: Option<String>,
    pub target: Option<String>,
    pub size: Option<u64>,
}

impl Extensions {
    /// Takes an entry if it is an extension. Returns whether it is one.
    pub(super) fn take(
        &mut self,
        entry_type: EntryType,
        size: u64,
        content: &mut dyn Read,
        limits: &Limits,
    ) -> Result<bool, ArchiveError> {
        match entry_type {
            EntryType::GNULongName => self.path = Some(long_name(size, content, limits)?),
            EntryType::GNULongLink => self.target = Some(long_name(size, content, limits)?),
            EntryType::XHeader => self.take_header(&all(size, content, MAX_HEADER_BYTES, limits)?)?,
            // It would change all entries after it. Those of `git archive` only have a comment.
            EntryType::XGlobalHeader => {
                let mut global = Self::default();
                global.take_header(&all(size, content, MAX_HEADER_BYTES, limits)?)?;
                if global.path.is_some() || global.target.is_some() || global.size.is_some() {
                    return Err(refused("", "a global header changes the names of entries"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes the records of an extended header. A record is `LENGTH KEY=VALUE` and a line feed, and the length counts all
    /// of it.
    fn take_header(&mut self, mut records: &[u8]) -> Result<(), ArchiveError> {
        while !records.is_empty() {
            let (key, value, rest) =
                record(records).ok_or_else(|| refused("", "its extended header is damaged"))?;
            self.take_record(key, value)?;
            records = rest;
        }
        Ok(())
    }

    fn take_record(&mut self, key: &[u8], value: &[u8]) -> Result<(), ArchiveError> {
        match key {
            b"path" => self.path = Some(text(value)?),
            b"linkpath" => self.target = Some(text(value)?),
            b"size" => {
                let size = text(value)?.parse().map_err(|_| refused("", "its stated size is no number"))?;
                self.size = Some(size);
            }
            key if key.starts_with(b"GNU.sparse") => {
                return Err(refused("", "sparse files are not supported"));
            }
            _ => {}
        }
        Ok(())
    }
}

fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().take(8).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let pair = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some((&pair[..equals], &pair[equals + 1..], rest))
}

fn long_name(size: u64, content: &mut dyn Read, limits: &Limits) -> Result<String, ArchiveError> {
    // GNU tar writes a zero byte at the end.
    let bytes = all(size, content, limits.path_bytes as u64 + 1, limits)?;
    text(bytes.strip_suffix(&[0]).unwrap_or(&bytes))
}

fn all(size: u64, content: &mut dyn Read, limit: u64, limits: &Limits) -> Result<Vec<u8>, ArchiveError> {
    if size > limit {
        return Err(ArchiveError::TooLarge { limit, unit: "bytes in an extension" });
    }
    let mut bytes = Vec::new();
    content.take(limit).read_to_end(&mut bytes).map_err(|error| damaged(error, limits))?;
    if (bytes.len() as u64) < size {
        return Err(ArchiveError::Damaged(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(bytes)
}
