//! Damaged files: kept beside the store for whoever wants to look into them, but not without end.

use database::{parent_folder, sync_folder};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The most damaged files that are kept; of more, the oldest goes. A robot whose card is dying must not fill it.
pub const MAX_BROKEN_FILES: usize = 3;

/// Where a damaged file went, and which older one had to go for it.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) to: PathBuf,
    pub(crate) dropped: Vec<PathBuf>,
}

/// Renames `file` to the next free `NAME.broken-N`; numbers only grow, so nothing is overwritten.
pub(crate) fn set_aside(file: &Path) -> io::Result<Moved> {
    let mut numbers = broken_numbers(file)?;
    let next = numbers.last().map_or(1, |last| last.saturating_add(1));
    let to = broken_name(file, next);
    fs::rename(file, &to)?;
    numbers.push(next);
    let surplus = numbers.len().saturating_sub(MAX_BROKEN_FILES);
    let dropped: Vec<PathBuf> = numbers[..surplus].iter().map(|number| broken_name(file, *number)).collect();
    for old in &dropped {
        fs::remove_file(old)?;
    }
    sync_folder(file)?;
    Ok(Moved { to, dropped })
}

/// `file` with `suffix` added to its name.
pub(crate) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn broken_name(file: &Path, number: u64) -> PathBuf {
    with_suffix(file, &format!(".broken-{number}"))
}

/// The numbers of the damaged files beside `file`, lowest first.
fn broken_numbers(file: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(parent_folder(file))? {
        let path = parent_folder(file).join(entry?.file_name());
        let number = path.to_string_lossy().rsplit_once(".broken-").map(|(_, number)| number.parse());
        // A name that does not come out again, such as `broken-01`, is somebody else's.
        if let Some(Ok(number)) = number
            && broken_name(&parent_folder(file).join(file.file_name().unwrap_or_default()), number) == path
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
