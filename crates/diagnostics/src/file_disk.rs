//! The file of a history on a real disk.

use crate::ring::Disk;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The file of a history on a real disk.
#[derive(Debug)]
pub struct FileDisk(File);

impl FileDisk {
    /// Opens the file, or creates one that only its owner can read.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened or created, or if another process has opened it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        // The lock ends with the process.
        file.try_lock()?;
        database::sync_folder(path)?;
        Ok(Self(file))
    }
}

impl Disk for FileDisk {
    fn size(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            // Some file systems cannot reserve space.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.0.set_len(bytes),
            reserved => reserved.map_err(io::Error::from),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_private_reserved_and_opened_by_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let mut disk = FileDisk::open(&path).unwrap();
        assert!(FileDisk::open(&path).is_err());
        disk.allocate(8192).unwrap();
        disk.write(4096, b"page").unwrap();
        disk.sync().unwrap();
        drop(disk);
        let disk = FileDisk::open(&path).unwrap();
        let mut read = [0; 4];
        disk.read(4096, &mut read).unwrap();
        assert_eq!((&read, disk.size().unwrap()), (b"page", 8192));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(disk.read(8190, &mut read).is_err(), "the file ends there");
    }
}
