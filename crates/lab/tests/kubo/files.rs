//! Sample files of these tests: an empty file, a log, and a file of many blocks.
//!
//! The log is generated; with `DT_SWARM_SAMPLE=FILE` a real one is used instead.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use lab::{Error, Result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MIB: u64 = 1024 * 1024;
/// Size of the log in bytes: that of the smallest log of a real robot that we have.
const LOG_BYTES: u64 = 868_400;
/// Size in bytes of the large file: 1200 leaves. They exceed the 174 links of one node, so the file's tree has three
/// levels.
const LARGE_BYTES: u64 = 300 * MIB;

/// A file and the name under which it is shared.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
}

pub(crate) fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let what = path.display().to_string();
    move |source| Error::Io { what, source }
}

/// Makes the three files in this folder.
pub(crate) fn samples(folder: &Path) -> Result<Vec<Sample>> {
    let folder = folder.join("samples");
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let sample = |name| Sample { name, path: folder.join(name) };
    let (empty, log, large) = (sample("empty.bag"), sample("example.bag"), sample("large.bag"));
    generate(&empty.path, 0)?;
    match std::env::var_os("DT_SWARM_SAMPLE") {
        Some(real) => fs::copy(&real, &log.path).map(drop).map_err(failed(&PathBuf::from(real)))?,
        None => generate(&log.path, LOG_BYTES)?,
    }
    generate(&large.path, LARGE_BYTES)?;
    Ok(vec![empty, log, large])
}

/// Writes pseudo-random bytes, the same in every run.
fn generate(path: &Path, size: u64) -> Result {
    let write = || {
        let mut random = ChaCha8Rng::seed_from_u64(size);
        let (mut file, mut buffer) = (File::create(path)?, vec![0; 1 << 20]);
        let mut left = size;
        while left > 0 {
            let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            random.fill_bytes(&mut buffer[..length]);
            file.write_all(&buffer[..length])?;
            left -= length as u64;
        }
        Ok(())
    };
    write().map_err(failed(path))
}

/// Panics unless both files have the same content.
pub(crate) fn assert_same(one: &Path, other: &Path) -> Result {
    let open = |path: &Path| File::open(path).map(|file| BufReader::with_capacity(1 << 20, file));
    let (mut left, mut right) = (open(one).map_err(failed(one))?, open(other).map_err(failed(other))?);
    loop {
        let (ours, theirs) = (chunk(&mut left, one)?, chunk(&mut right, other)?);
        assert!(ours == theirs, "{} and {} differ", one.display(), other.display());
        if ours.is_empty() {
            return Ok(());
        }
    }
}

fn chunk(file: &mut impl Read, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MIB).read_to_end(&mut bytes).map_err(failed(path))?;
    Ok(bytes)
}
