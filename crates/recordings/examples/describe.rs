//! Prints the descriptions of files and folders as JSON, one a line, with the number and the size of the reads.
//!
//!     cargo run -p recordings --example describe -- FILE_OR_FOLDER...

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use recordings::{Description, Folder, Source, describe, describe_folder};
use serde::Serialize;

/// Reads of all sources.
#[derive(Clone, Copy, Default, Serialize)]
struct Reads {
    reads: u64,
    bytes: u64,
}

/// A file on the disk.
struct FileSource<'a> {
    file: File,
    size: u64,
    reads: &'a mut Reads,
}

impl Source for FileSource<'_> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(into, offset)?;
        self.reads.reads += 1;
        self.reads.bytes += count as u64;
        Ok(count)
    }
}

/// A folder on the disk.
struct DiskFolder {
    path: PathBuf,
    names: Vec<String>,
    reads: Reads,
}

impl Folder for DiskFolder {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn open(&mut self, name: &str) -> io::Result<Box<dyn Source + '_>> {
        Ok(Box::new(open(&self.path.join(name), &mut self.reads)?))
    }
}

fn open<'a>(path: &Path, reads: &'a mut Reads) -> io::Result<FileSource<'a>> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok(FileSource { file, size, reads })
}

fn describe_path(path: &Path) -> io::Result<(Description, Reads)> {
    let mut reads = Reads::default();
    if path.is_dir() {
        let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let names = names.collect::<io::Result<_>>()?;
        let mut folder = DiskFolder { path: path.to_owned(), names, reads };
        return Ok((describe_folder(&mut folder)?, folder.reads));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let description = describe(&name, &mut open(path, &mut reads)?)?;
    Ok((description, reads))
}

/// A line of the output.
#[derive(Serialize)]
struct Line {
    path: PathBuf,
    description: Description,
    #[serde(flatten)]
    reads: Reads,
}

fn main() -> io::Result<()> {
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        let (description, reads) = describe_path(&path)?;
        println!("{}", serde_json::to_string(&Line { path, description, reads })?);
    }
    Ok(())
}
