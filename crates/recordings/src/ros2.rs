//! Folders that ROS 2 records.
//!
//! The file `metadata.yaml` of a folder is written when the recording is closed. It has the topics, the times and the
//! numbers of messages, so the parts beside it are not read. Without that file the recording was cut. Then its MCAP files
//! are described one by one, and of databases only the presence is known.

mod metadata;

use std::collections::BTreeSet;
use std::io;

use crate::Fault;
use crate::content::{kind, recording};
use crate::description::{Description, Kind};
use crate::draft::Draft;
use crate::reader::{Budget, MAX_TAKEN, Reader, Source, Stop};
use metadata::Metadata;

/// Name of the file that describes the recording in a folder.
pub const METADATA_NAME: &str = "metadata.yaml";
/// Maximum size of that file, in bytes. For 500 topics in 1,000 files it has about 600 KB.
pub const MAX_METADATA_BYTES: u64 = 1 << 20;
/// Maximum number of parts of a recording that are considered.
pub const MAX_PARTS: usize = 1024;
/// End of the name of a compressed part.
const COMPRESSED: &str = ".zstd";

/// The files of a folder.
pub trait Folder {
    /// Returns the names of the files, without those in subfolders.
    fn names(&self) -> Vec<String>;

    /// Opens a file of the folder.
    ///
    /// # Errors
    /// When the file cannot be opened.
    fn open(&mut self, name: &str) -> io::Result<Box<dyn Source + '_>>;
}

/// Returns whether a folder with these files is one recording of ROS 2: whether it has a part of one.
pub fn is_recording<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    names.into_iter().any(|name| Part::of(name).is_some())
}

/// Describes a folder of ROS 2.
///
/// # Errors
/// Only errors of the folder and its sources.
pub fn describe_folder(folder: &mut dyn Folder) -> io::Result<Description> {
    let names: BTreeSet<String> = folder.names().into_iter().collect();
    let mut budget = Budget::default();
    let metadata = if names.contains(METADATA_NAME) {
        let mut source = folder.open(METADATA_NAME)?;
        Some(read_metadata(&mut Reader::new(&mut *source, &mut budget), &names)?)
    } else {
        None
    };
    let mut draft = Draft::default();
    draft.is_cut = metadata.is_none();
    let is_described = match metadata {
        Some(Ok(metadata)) => {
            metadata.add_to(&mut draft);
            true
        }
        Some(Err(fault)) => {
            draft.fault = Some(fault);
            false
        }
        None => false,
    };
    add_parts(folder, &names, is_described, &mut budget, &mut draft)?;
    Ok(draft.finish(Kind::Ros2Folder))
}

/// Reads and checks the metadata.
fn read_metadata(reader: &mut Reader<'_>, names: &BTreeSet<String>) -> io::Result<Result<Metadata, Fault>> {
    if reader.size() > MAX_METADATA_BYTES {
        return Ok(Err(Fault::MetadataTooLong));
    }
    let mut text = Vec::new();
    loop {
        match reader.up_to(text.len() as u64, MAX_TAKEN) {
            Ok([]) => break,
            Ok(bytes) => text.extend_from_slice(bytes),
            Err(Stop::Source(error)) => return Err(error),
            Err(_) => return Ok(Err(Fault::Metadata)),
        }
    }
    Ok(Metadata::parse(&text).and_then(|metadata| metadata.check_parts(names).map(|()| metadata)))
}

/// Checks the parts of the recording. If the metadata do not describe them, adds what they tell.
fn add_parts(
    folder: &mut dyn Folder,
    names: &BTreeSet<String>,
    is_described: bool,
    budget: &mut Budget,
    draft: &mut Draft,
) -> io::Result<()> {
    let mut parts = names.iter().filter_map(|name| Part::of(name).map(|part| (name, part)));
    for (name, part) in parts.by_ref().take(MAX_PARTS) {
        let mut source = folder.open(name)?;
        draft.absorb(part.read(&mut Reader::new(&mut *source, budget), is_described)?);
    }
    draft.is_partial |= parts.next().is_some();
    if !is_recording(names.iter().map(String::as_str)) {
        draft.fault = draft.fault.or(Some(Fault::NoParts));
    }
    Ok(())
}

/// A part of a recording, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Mcap,
    Database,
    /// Either of them, compressed as a whole.
    Compressed,
}

impl Part {
    fn of(name: &str) -> Option<Self> {
        let (name, is_compressed) = name.strip_suffix(COMPRESSED).map_or((name, false), |name| (name, true));
        match Kind::promised(name)? {
            Kind::Mcap | Kind::Database if is_compressed => Some(Self::Compressed),
            Kind::Mcap => Some(Self::Mcap),
            Kind::Database => Some(Self::Database),
            _ => None,
        }
    }

    /// Returns what the part tells. If it is described already, only its begin is checked.
    fn read(self, reader: &mut Reader<'_>, is_described: bool) -> io::Result<Draft> {
        let mut draft = Draft::default();
        if reader.size() == 0 {
            // The recorder had created the file when the power was lost.
            draft.is_cut = true;
            return Ok(draft);
        }
        let (found, _) = kind(reader)?;
        let is_as_named = match self {
            Self::Mcap => found == Kind::Mcap,
            Self::Database => found == Kind::Database,
            Self::Compressed => found == Kind::Other,
        };
        if !is_as_named {
            draft.fault = Some(Fault::NotAsNamed);
        } else if self == Self::Mcap && !is_described {
            return recording(Kind::Mcap, reader);
        } else {
            draft.is_partial = !is_described;
        }
        Ok(draft)
    }
}

#[cfg(test)]
mod tests;
