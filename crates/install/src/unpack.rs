//! Writes the content of a staged file into the folder of its version.

use crate::archive::{self, ArchiveError, Limits, Sink};
use crate::disk::{Disk, is_full};
use crate::journal::Attempt;
use crate::request::{Kind, Staged};
use sha2::{Digest as _, Sha256};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

/// Size of the buffer for reading and writing, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// Results of unpacking that are no success.
#[derive(Debug)]
pub(crate) enum UnpackError {
    /// The staged file is gone, or is not what it was.
    StagedFile,
    /// The disk is full.
    NoSpace,
    /// The content is refused.
    Content(String),
    /// The disk failed.
    Disk(io::Error),
}

impl From<io::Error> for UnpackError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::NoSpace } else { Self::Disk(error) }
    }
}

/// Writes the content into a folder, which is new. Returns once all of it is on the disk. Then only the folder's own name
/// has to be synced.
pub(crate) fn unpack(
    disk: &dyn Disk,
    attempt: &Attempt,
    folder: &Path,
    limits: &Limits,
) -> Result<(), UnpackError> {
    let staged = attempt.staged.as_ref().ok_or(UnpackError::StagedFile)?;
    let mut writer = Writer { disk, root: folder, folders: vec![folder.to_path_buf()] };
    disk.make_folder(folder)?;
    let file = disk.open(&staged.path).map_err(|_| UnpackError::StagedFile)?;
    let mut hashing = Hashing { reader: file, sum: Sha256::new(), bytes: 0 };
    let result = match attempt.target.kind {
        Kind::File | Kind::Deb => writer
            .file(&attempt.target.file_name, false, &mut (&mut hashing).take(staged.bytes))
            .map_err(UnpackError::from),
        Kind::Archive | Kind::Program => {
            let bytes = attempt.unpacked_bytes.unwrap_or(limits.bytes).min(limits.bytes);
            let limits = Limits { bytes, ..*limits };
            let mut reader = BufReader::with_capacity(BUFFER_BYTES, &mut hashing);
            archive::read(&mut reader, &limits, &mut writer).map(drop).map_err(of_archive)
        }
    };
    // The content may only be judged if the file is the one that the release names.
    if let Err(error @ (UnpackError::NoSpace | UnpackError::Disk(_))) = result {
        return Err(error);
    }
    hashing.finish(staged)?;
    result?;
    Ok(writer.sync_folders()?)
}

fn of_archive(error: ArchiveError) -> UnpackError {
    match error {
        ArchiveError::Sink(error) => error.into(),
        other => UnpackError::Content(chain(&other)),
    }
}

/// Returns the sentences of an error and of its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Computes the checksum of all bytes that are read.
struct Hashing {
    reader: Box<dyn Read>,
    sum: Sha256,
    bytes: u64,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.sum.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

impl Hashing {
    /// Reads the rest, and checks that the file is the one that the caller has verified.
    fn finish(mut self, staged: &Staged) -> Result<(), UnpackError> {
        let most = staged.bytes.saturating_sub(self.bytes).saturating_add(1);
        let rest = io::copy(&mut (&mut self).take(most), &mut io::sink());
        let sum: [u8; 32] = self.sum.finalize().into();
        if rest.is_err() || self.bytes != staged.bytes || sum != staged.sha256 {
            return Err(UnpackError::StagedFile);
        }
        Ok(())
    }
}

/// Writes the content of an archive into an empty folder.
struct Writer<'a> {
    disk: &'a dyn Disk,
    root: &'a Path,
    /// All folders, each after its parent.
    folders: Vec<PathBuf>,
}

impl Writer<'_> {
    fn sync_folders(&self) -> io::Result<()> {
        self.folders.iter().rev().try_for_each(|folder| self.disk.sync_folder(folder))
    }
}

impl Sink for Writer<'_> {
    fn folder(&mut self, path: &str) -> io::Result<()> {
        let path = self.root.join(path);
        self.disk.make_folder(&path)?;
        self.folders.push(path);
        Ok(())
    }

    fn file(&mut self, path: &str, is_executable: bool, content: &mut dyn Read) -> io::Result<()> {
        let mut file = self.disk.create(&self.root.join(path), is_executable)?;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => file.write_all(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        file.sync()
    }

    fn symbolic_link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.disk.symbolic_link(Path::new(target), &self.root.join(path))
    }

    fn hard_link(&mut self, path: &str, existing: &str) -> io::Result<()> {
        self.disk.hard_link(&self.root.join(existing), &self.root.join(path))
    }
}
