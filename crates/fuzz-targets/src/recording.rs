//! Checks that hold for the description of any recording.

use std::io;

use recordings::{Description, Folder, MAX_BYTES_READ, MAX_READS, Source, describe, describe_folder};

/// A file that counts its reads, and returns at most `most` bytes at once.
struct File<'a> {
    bytes: &'a [u8],
    most: usize,
    reads: u64,
    read: u64,
}

impl<'a> File<'a> {
    fn new(bytes: &'a [u8], most: usize) -> Self {
        Self { bytes, most, reads: 0, read: 0 }
    }
}

impl Source for File<'_> {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(self.most);
        let count = self.bytes.read_at(offset, &mut into[..most])?;
        self.reads += 1;
        self.read += count as u64;
        Ok(count)
    }
}

/// Checks the description of a file.
#[expect(clippy::expect_used, reason = "the source never fails")]
pub(crate) fn check_file(bytes: &[u8]) {
    let mut file = File::new(bytes, usize::MAX);
    let description = describe("a", &mut file).expect("no error of the source");
    assert!(file.reads <= u64::from(MAX_READS) && file.read <= MAX_BYTES_READ);
    check_description(&description);
    let slow = describe("a", &mut File::new(bytes, 1 + bytes.len() / 7)).expect("no error of the source");
    assert_eq!(slow, description, "the size of the reads does not matter");
}

/// Checks the description of a folder with these files.
#[expect(clippy::expect_used, reason = "the source never fails")]
pub(crate) fn check_folder(files: &[(&str, &[u8])]) {
    struct Files<'a>(&'a [(&'a str, &'a [u8])]);
    impl Folder for Files<'_> {
        fn names(&self) -> Vec<String> {
            self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
        }

        fn open(&mut self, name: &str) -> io::Result<Box<dyn Source + '_>> {
            let file = self.0.iter().find(|(known, _)| *known == name).ok_or(io::ErrorKind::NotFound)?;
            Ok(Box::new(File::new(file.1, usize::MAX)))
        }
    }
    check_description(&describe_folder(&mut Files(files)).expect("no error of the folder"));
}

/// Checks the limits of a description, and that it is the same after writing and reading it.
#[expect(clippy::expect_used, reason = "a description can always be written")]
fn check_description(description: &Description) {
    assert!(description.is_within_limits(), "{description:?}");
    assert!(description.from <= description.until, "{description:?}");
    let json = serde_json::to_vec(description).expect("a description is written");
    let read: Description = serde_json::from_slice(&json).expect("a description is read");
    assert_eq!(&read, description);
}
