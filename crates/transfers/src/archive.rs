//! A folder as one stream of bytes: a tar archive in the format of GNU tar. The same folder always gives the same bytes,
//! and each part of them can be computed alone, so that an interrupted transfer goes on at any place.

use ipfs::unixfs::is_plain_name;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::PathBuf;

/// Size of a header, in bytes. The content of each file is filled up to a multiple of it.
const BLOCK: usize = 512;
/// Maximum length of a path in a header, in bytes. A longer path has a header of its own.
const MAX_PATH: usize = 100;
/// Maximum length of a path that is read, in bytes: two names of 255 bytes.
const MAX_LONG_PATH: u64 = 512;
/// Maximum number of files that are unpacked.
const MAX_FILES: usize = 1024;
/// Type of the header of a file.
const FILE: u8 = b'0';
/// Type of a header whose content is the path for the next header.
const LONG_PATH: u8 = b'L';

/// A part of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchivePart {
    /// Bytes beside the files: headers and padding.
    Bytes(Vec<u8>),
    /// The content of the file with this index, which has so many bytes.
    File(usize, u64),
}

impl ArchivePart {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
        }
    }
}

/// The parts of the archive of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    parts: Vec<ArchivePart>,
}

impl Archive {
    /// Plans the archive of a folder with these files: names and sizes in bytes.
    pub fn new<'a>(folder: &str, files: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut parts = Vec::new();
        for (index, (name, size)) in files.into_iter().enumerate() {
            let path = format!("{folder}/{name}");
            let mut head = Vec::new();
            if path.len() > MAX_PATH {
                head.extend(header("././@LongLink", path.len() as u64 + 1, LONG_PATH));
                head.extend(path.bytes());
                head.resize((head.len() + 1).next_multiple_of(BLOCK), 0);
            }
            head.extend(header(&path, size, FILE));
            parts.extend([ArchivePart::Bytes(head), ArchivePart::File(index, size)]);
            parts.push(ArchivePart::Bytes(vec![0; padding(size)]));
        }
        // Two empty headers end an archive.
        parts.push(ArchivePart::Bytes(vec![0; 2 * BLOCK]));
        parts.retain(|part| part.size() > 0);
        Self { parts }
    }

    /// Returns the size of the archive in bytes.
    pub fn size(&self) -> u64 {
        self.parts.iter().map(ArchivePart::size).fold(0, u64::saturating_add)
    }

    /// Returns the parts that overlap a range of the archive, with the range within each part.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = (&ArchivePart, Range<u64>)> {
        let mut start: u64 = 0;
        self.parts.iter().filter_map(move |part| {
            let before = start;
            start = start.saturating_add(part.size());
            let from = range.start.max(before);
            let until = range.end.min(start);
            (from < until).then(|| (part, from - before..until - before))
        })
    }
}

/// Returns the number of zeros after a file.
fn padding(size: u64) -> usize {
    let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    if over == 0 { 0 } else { BLOCK - over }
}

fn header(path: &str, size: u64, kind: u8) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (place, byte) in header.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    };
    put(0, path.as_bytes().get(..MAX_PATH).unwrap_or(path.as_bytes()));
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    match size < 1 << 33 {
        true => put(124, format!("{size:011o}\0").as_bytes()),
        // GNU tar writes larger numbers in base 256.
        false => put(124, &[&[0x80, 0, 0, 0][..], &size.to_be_bytes()].concat()),
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar  \0");
    let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
    for (place, byte) in header.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *place = byte;
    }
    header
}

/// Writes the files of an archive into a folder. Nothing is written outside of it, and no file is replaced.
#[derive(Debug)]
pub struct Unpacker {
    folder: PathBuf,
    state: State,
    /// Bytes of a header, or of a long path, that are not complete yet.
    gathered: Vec<u8>,
    long_path: Option<String>,
    files: usize,
    written: u64,
}

#[derive(Debug)]
enum State {
    Header,
    /// A path of this many bytes, with its padding, follows.
    LongPath(u64),
    /// This many bytes of a file follow, and then its padding.
    File(File, u64, usize),
    Padding(usize),
    /// The end of the archive was reached. More zeros may follow.
    Ended,
}

fn wrong(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the archive of a folder is not valid: {message}"))
}

impl Unpacker {
    /// Creates an unpacker for a folder, which exists.
    pub fn new(folder: PathBuf) -> Self {
        let (state, gathered) = (State::Header, Vec::new());
        Self { folder, state, gathered, long_path: None, files: 0, written: 0 }
    }

    /// Ends the archive. Returns the size of all files together, in bytes.
    ///
    /// # Errors
    /// When the archive has no end.
    pub fn finish(self) -> io::Result<u64> {
        match self.state {
            State::Ended => Ok(self.written),
            _ => Err(wrong("its end is missing")),
        }
    }

    /// Reads some bytes. Returns how many of them were used, at least one.
    fn step(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Header => self.gather(bytes, BLOCK),
            State::LongPath(size) => {
                let whole = usize::try_from(*size).unwrap_or(BLOCK).next_multiple_of(BLOCK);
                self.gather(bytes, whole)
            }
            State::File(file, left, padding) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                file.write_all(bytes.get(..count).unwrap_or_default())?;
                self.written = self.written.saturating_add(count as u64);
                *left -= count as u64;
                if *left == 0 {
                    file.sync_all()?;
                    self.state = after_file(*padding);
                }
                Ok(count)
            }
            State::Padding(left) => {
                let count = (*left).min(bytes.len());
                *left -= count;
                if *left == 0 {
                    self.state = State::Header;
                }
                Ok(count)
            }
            State::Ended if bytes.iter().any(|byte| *byte != 0) => Err(wrong("something follows its end")),
            State::Ended => Ok(bytes.len()),
        }
    }

    /// Gathers `most` bytes, and reads them when they are complete.
    fn gather(&mut self, bytes: &[u8], most: usize) -> io::Result<usize> {
        let count = most.saturating_sub(self.gathered.len()).min(bytes.len());
        self.gathered.extend_from_slice(bytes.get(..count).unwrap_or_default());
        if self.gathered.len() < most {
            return Ok(count);
        }
        let gathered = std::mem::take(&mut self.gathered);
        match self.state {
            State::LongPath(size) => {
                let size = usize::try_from(size).unwrap_or_default();
                self.long_path = Some(text(gathered.get(..size).unwrap_or_default())?);
                self.state = State::Header;
            }
            _ => self.read_header(&gathered)?,
        }
        Ok(count)
    }

    fn read_header(&mut self, header: &[u8]) -> io::Result<()> {
        if header.iter().all(|byte| *byte == 0) {
            self.state = State::Ended;
            return Ok(());
        }
        let field = |range: Range<usize>| header.get(range).unwrap_or_default();
        let size = number(field(124..136))?;
        match field(156..157) {
            [LONG_PATH] if size <= MAX_LONG_PATH => {
                self.state = State::LongPath(size);
                Ok(())
            }
            [FILE] => {
                let path = self.long_path.take().map_or_else(|| text(field(0..MAX_PATH)), Ok)?;
                self.begin(&path, size)
            }
            _ => Err(wrong("it has something other than files")),
        }
    }

    fn begin(&mut self, path: &str, size: u64) -> io::Result<()> {
        let (_, name) = path.split_once('/').ok_or_else(|| wrong("a file is in no folder"))?;
        if !is_plain_name(name) {
            return Err(wrong(&format!("{name:?} is a forbidden name")));
        }
        self.files += 1;
        if self.files > MAX_FILES {
            return Err(wrong("it has too many files"));
        }
        let file = OpenOptions::new().write(true).create_new(true).open(self.folder.join(name))?;
        self.state = match size {
            0 => after_file(0),
            size => State::File(file, size, padding(size)),
        };
        Ok(())
    }
}

impl Write for Unpacker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() { Ok(0) } else { self.step(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn after_file(padding: usize) -> State {
    if padding == 0 { State::Header } else { State::Padding(padding) }
}

/// Reads a text that ends with a zero, or with the field.
fn text(field: &[u8]) -> io::Result<String> {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(text).map(str::to_owned).map_err(|_| wrong("a path is not UTF-8"))
}

fn number(field: &[u8]) -> io::Result<u64> {
    if let Some(bytes) = field.strip_prefix(&[0x80, 0, 0, 0]) {
        let bytes = bytes.try_into().map_err(|_| wrong("a size is missing"))?;
        return Ok(u64::from_be_bytes(bytes));
    }
    u64::from_str_radix(text(field)?.trim(), 8).map_err(|_| wrong("a size is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    fn long() -> String {
        format!("{}.mcap", "long".repeat(60))
    }

    /// Returns the files of a folder, and its archive.
    fn packed() -> (Vec<(String, Vec<u8>)>, Vec<u8>) {
        let files: Vec<(String, Vec<u8>)> = vec![
            ("empty".into(), Vec::new()),
            ("metadata.yaml".into(), b"a: b".to_vec()),
            (long(), vec![7; 3 * BLOCK]),
            ("ü.db3".into(), vec![9; 70_000]),
        ];
        let sizes = files.iter().map(|(name, content)| (name.as_str(), content.len() as u64));
        let archive = Archive::new("run 1", sizes);
        let mut bytes = Vec::new();
        for (part, range) in archive.within(0..archive.size()) {
            assert_eq!(range, 0..part.size());
            match part {
                ArchivePart::Bytes(head) => bytes.extend(head),
                ArchivePart::File(index, _) => bytes.extend(&files[*index].1),
            }
        }
        assert_eq!(bytes.len() as u64, archive.size());
        // Any range has the same bytes as that part of the whole.
        for range in [0..1, 511..513, 700..3000, 1024..80_000] {
            let parts = archive.within(range.clone());
            let parts = parts.flat_map(|(part, Range { start, end })| match part {
                ArchivePart::Bytes(head) => head[start as usize..end as usize].to_vec(),
                ArchivePart::File(index, _) => files[*index].1[start as usize..end as usize].to_vec(),
            });
            let end = range.end.min(archive.size());
            assert_eq!(parts.collect::<Vec<u8>>(), bytes[range.start as usize..end as usize]);
        }
        (files, bytes)
    }

    #[test]
    fn a_folder_is_unpacked_as_it_was_packed_by_this_program_and_by_tar() {
        let (files, bytes) = packed();
        let root = tempfile::tempdir().unwrap();
        for step in [1, 13, 512, 1 << 20] {
            let folder = root.path().join(step.to_string());
            fs::create_dir(&folder).unwrap();
            let mut unpacker = Unpacker::new(folder.clone());
            bytes.chunks(step).for_each(|piece| unpacker.write_all(piece).unwrap());
            assert_eq!(unpacker.finish().unwrap(), 4 + 3 * 512 + 70_000);
            for (name, content) in &files {
                assert_eq!(&fs::read(folder.join(name)).unwrap(), content, "{name}");
            }
        }
        fs::write(root.path().join("a.tar"), &bytes).unwrap();
        let tar = Command::new("tar").args(["xf", "a.tar"]).current_dir(root.path()).status();
        // A host without tar cannot compare.
        if tar.is_ok_and(|status| status.success()) {
            for (name, content) in &files {
                assert_eq!(&fs::read(root.path().join("run 1").join(name)).unwrap(), content, "{name}");
            }
        }
    }

    #[test]
    fn hostile_and_cut_archives_are_refused() {
        let unpack = |bytes: &[u8]| {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("in")).unwrap();
            let mut unpacker = Unpacker::new(root.path().join("in"));
            let unpacked = unpacker.write_all(bytes).and_then(|()| unpacker.finish());
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "something is outside");
            unpacked.map_err(|error| error.to_string())
        };
        for path in ["run/../x", "run/.bashrc", "run/a/b", "/etc/x", "alone", "run/a\nb", "run/"] {
            let bytes = [&header(path, 1, FILE)[..], &[0; 3 * BLOCK]].concat();
            assert!(unpack(&bytes).is_err(), "{path}");
        }
        let twice = [header("r/a", 0, FILE), header("r/a", 0, FILE), [0; BLOCK]].concat();
        assert!(unpack(&twice).is_err(), "two files have one name");
        for kind in [b'1', b'2', b'3', b'5', b'x', 0] {
            assert!(unpack(&[header("r/a", 0, kind), [0; BLOCK]].concat()).is_err(), "{kind}");
        }
        assert!(unpack(&header("././@LongLink", 1 << 30, LONG_PATH)).is_err());
        let (_, bytes) = packed();
        for end in [0, 100, 512, 5000, bytes.len() - 1500] {
            assert!(unpack(&bytes[..end]).is_err(), "{end}");
        }
        assert!(unpack(&[&bytes[..], b"more"].concat()).is_err());
    }

    #[test]
    fn a_large_size_is_read_back() {
        for size in [0, 1, (1 << 33) - 1, 1 << 33, u64::MAX] {
            assert_eq!(number(&header("r/a", size, FILE)[124..136]).unwrap(), size);
        }
    }
}
