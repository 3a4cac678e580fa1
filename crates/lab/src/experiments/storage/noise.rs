//! Files of pseudo-random bytes.

use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::Path;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// Returns pseudo-random bytes, always the same for one seed.
fn noise(seed: u64) -> impl Read {
    struct Noise(ChaCha8Rng);
    impl Read for Noise {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.fill(buffer);
            Ok(buffer.len())
        }
    }
    Noise(ChaCha8Rng::seed_from_u64(seed))
}

pub(super) fn write_noise(path: &Path, seed: u64, bytes: u64) -> Result {
    let write = || {
        let mut file = File::create(path)?;
        std::io::copy(&mut noise(seed).take(bytes), &mut file)?;
        file.flush()?;
        file.sync_all()?;
        // Asks the kernel to drop the file from the page cache. The first reader then reads it from disk, and the cache
        // counts as that reader's memory. A failure is ignored.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        Ok(())
    };
    write().map_err(Error::io(format!("writing {}", path.display())))
}

/// Returns whether a file consists of exactly these bytes. The file may be larger than memory.
pub(super) fn is_noise(path: &Path, seed: u64, bytes: u64) -> Result<bool> {
    let compare = || -> std::io::Result<bool> {
        let mut file = BufReader::new(File::open(path)?);
        let (mut expected, mut left) = (noise(seed), bytes);
        let (mut one, mut other) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        while left > 0 {
            let part = usize::try_from(left.min(1 << 16)).unwrap_or(1 << 16);
            expected.read_exact(&mut one[..part])?;
            file.read_exact(&mut other[..part])?;
            if one[..part] != other[..part] {
                return Ok(false);
            }
            left -= part as u64;
        }
        Ok(file.read(&mut other)? == 0)
    };
    match compare() {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        result => result.map_err(Error::io(format!("reading {}", path.display()))),
    }
}
