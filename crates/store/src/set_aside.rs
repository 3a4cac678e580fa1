//! Damaged files. They are kept next to the store for inspection, up to a maximum number.

use database::{parent_folder, sync_folder};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Maximum number of damaged files that are kept. When there are more, the oldest is deleted. Without a limit, the
/// damaged files would fill a failing SD card.
pub const MAX_BROKEN_FILES: usize = 3;

/// Result of setting a file aside: its new path, and the older damaged files that were deleted.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) to: PathBuf,
    pub(crate) dropped: Vec<PathBuf>,
}

/// Renames `file` to the next free `NAME.broken-N`. The numbers only increase, so no file is overwritten.
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

/// Returns the path `file` with `suffix` added to its name.
pub(crate) fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn broken_name(file: &Path, number: u64) -> PathBuf {
    with_suffix(file, &format!(".broken-{number}"))
}

/// Returns the numbers of the damaged files next to `file`, lowest first.
fn broken_numbers(file: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(parent_folder(file))? {
        let path = parent_folder(file).join(entry?.file_name());
        let number = path.to_string_lossy().rsplit_once(".broken-").map(|(_, number)| number.parse());
        // A name that this module would not write, such as `broken-01`, belongs to another program.
        if let Some(Ok(number)) = number
            && broken_name(&parent_folder(file).join(file.file_name().unwrap_or_default()), number) == path
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
