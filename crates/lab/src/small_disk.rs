//! A disk of a chosen size: a file with an ext4 file system in it, mounted on a folder.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool::run;
use crate::{Error, Result};

/// A mounted disk. Dropping it unmounts and removes the disk.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
    image: PathBuf,
}

impl SmallDisk {
    /// Mounts a new disk of about this many bytes on the folder, which is made if necessary.
    ///
    /// # Errors
    /// When the disk cannot be made, usually because rights, `mkfs.ext4` or loop devices are missing.
    pub fn mount(folder: &Path, bytes: u64) -> Result<Self> {
        fs::create_dir_all(folder).map_err(Error::io(format!("making {}", folder.display())))?;
        let image = folder.with_extension("disk");
        let sparse = File::create(&image).and_then(|file| file.set_len(bytes));
        sparse.map_err(Error::io(format!("making {}", image.display())))?;
        // No blocks are reserved for root, so all free space is free for the daemon.
        let mut format = Command::new("mkfs.ext4");
        format.args(["-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(&image);
        run(format, "")?;
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(&image).arg(folder);
        run(mount, "")?;
        Ok(Self { folder: folder.to_owned(), image })
    }

    /// Returns the number of free bytes.
    ///
    /// # Errors
    /// When the file system does not report it.
    pub fn free(&self) -> Result<u64> {
        let asking = Error::io(format!("asking for free space of {}", self.folder.display()));
        let status = rustix::fs::statvfs(&self.folder).map_err(|error| asking(error.into()))?;
        Ok(status.f_bavail * status.f_frsize)
    }

    /// Fills the disk until only this many bytes are free.
    ///
    /// # Errors
    /// When the file that fills the disk cannot be made.
    pub fn fill_to(&self, free: u64) -> Result {
        let (filler, more) = (self.filler(), self.free()?.saturating_sub(free));
        let fill = || -> std::io::Result<()> {
            let file = File::options().create(true).truncate(false).write(true).open(&filler)?;
            let length = file.metadata()?.len() + more;
            let flags = rustix::fs::FallocateFlags::empty();
            Ok(rustix::fs::fallocate(&file, flags, 0, length.max(1))?)
        };
        fill().map_err(Error::io(format!("filling {}", self.folder.display())))
    }

    /// Removes the file that [`Self::fill_to`] made.
    ///
    /// # Errors
    /// When there is no such file, or the system refuses.
    pub fn empty(&self) -> Result {
        let filler = self.filler();
        fs::remove_file(&filler).map_err(Error::io(format!("removing {}", filler.display())))
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount: processes that still use the disk keep it until they end.
        let mut unmount = Command::new("umount");
        unmount.arg("--lazy").arg(&self.folder);
        let _ = run(unmount, "");
        let _ = fs::remove_file(&self.image);
    }
}

/// Returns the bytes that a file takes up on its disk.
pub fn allocated_bytes(path: &Path) -> Result<u64> {
    let metadata = path.metadata().map_err(Error::io(format!("looking at {}", path.display())))?;
    Ok(metadata.blocks() * 512)
}
