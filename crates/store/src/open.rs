//! Opening of a store: an existing one, a new one, or a new one after a damaged file was set aside.

use crate::migrate::{self, FORMAT};
use crate::set_aside::{Moved, set_aside, with_suffix};
use crate::store::{META, RECORDS, SERVICES};
use crate::{OpenError, Store};
use database::{Connection, Location, Settings};
use redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTableMetadata as _, TableHandle as _};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Settings of the store's database. The file is small and read once, so a larger cache would only waste memory.
const SETTINGS: Settings = Settings { cache_bytes: 4 << 20, verifies_checksums: true, is_ours };

/// Result of opening a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There was no store; a new one was created.
    Fresh,
    /// There was a store.
    Existing {
        /// Number of records in the store.
        records: u64,
    },
    /// There was a damaged file, or a file that is not a store. It was renamed, and a new store was created.
    SetAside {
        /// Path of the moved file.
        moved_to: PathBuf,
        /// Reason why the file was set aside.
        reason: String,
        /// Earlier damaged files that were deleted, because only [`crate::MAX_BROKEN_FILES`] are kept.
        dropped: Vec<PathBuf>,
    },
}

/// Result of inspecting a database, and its format.
struct Found {
    opened: Opened,
    format: u64,
}

/// Reason why an attempt to open the file failed.
enum Failure {
    /// The content of the file is not a readable store.
    Damaged(String),
    /// The file could not be accessed. Its content is not the cause.
    Other(OpenError),
}

impl Store {
    /// Opens the store in `file`, or creates it. The checksum of every page is verified.
    ///
    /// # Errors
    /// Returns an error if another process holds the file, or the system denies access. A damaged file, or a file that
    /// is not a store, causes no error: it is renamed to `NAME.broken-N`, and a new store is created.
    /// [`Opened::SetAside`] reports this.
    pub fn open(file: &Path) -> Result<(Self, Opened), OpenError> {
        Self::open_at(Location::new(file.to_owned(), SETTINGS))
    }

    /// Opens the store like [`Store::open`], but on a simulated disk. Tests inject disk faults with `faults`.
    ///
    /// # Errors
    /// Returns the errors of [`Store::open`].
    #[cfg(any(test, feature = "fault-injection"))]
    pub fn open_with_faults(file: &Path, faults: crate::Faults) -> Result<(Self, Opened), OpenError> {
        Self::open_at(Location::new(file.to_owned(), SETTINGS).with_faults(faults))
    }

    fn open_at(location: Location) -> Result<(Self, Opened), OpenError> {
        let file = location.file();
        let lock = lock(file)?;
        let (database, opened) = match open_ours(&location) {
            Ok(found) => found,
            Err(Failure::Other(error)) => return Err(error),
            Err(Failure::Damaged(reason)) => {
                let Moved { to, dropped } =
                    set_aside(file).map_err(|source| io("set aside", file, source))?;
                let opened = Opened::SetAside { moved_to: to, reason, dropped };
                (begin_anew(&location)?, opened)
            }
        };
        Ok((Self::new(Connection::new(location, database), lock), opened))
    }
}

/// Takes the lock that is held until the store is dropped. The database's own lock does not suffice: when a damaged
/// file is renamed, this lock moves with it, and the new file is not locked yet. Without the lock taken here, a second
/// daemon that starts at this moment could set the new file aside as well.
fn lock(file: &Path) -> Result<File, OpenError> {
    let path = with_suffix(file, ".lock");
    let mut options = OpenOptions::new();
    let lock = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
    let lock = lock.map_err(|source| io("open", &path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(path)),
        Err(TryLockError::Error(source)) => Err(io("lock", &path, source)),
    }
}

fn io(what: &'static str, path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Io { what, path: path.to_owned(), source }
}

fn open_ours(location: &Location) -> Result<(Database, Opened), Failure> {
    let file = location.file();
    let database = location.open_or_create().map_err(|error| judge(file, error))?;
    let Found { opened, format } = inspect(&database).map_err(|error| judge_any(file, error))??;
    migrate::migrate(&database, format).map_err(|error| judge_any(file, error))?;
    if opened == Opened::Fresh {
        begin(&database).map_err(|error| judge_any(file, error))?;
    }
    // Also done for an existing file: the process that created it may have been killed before this step.
    location.sync_folder().map_err(|source| Failure::Other(io("sync the folder of", file, source)))?;
    Ok((database, opened))
}

fn begin_anew(location: &Location) -> Result<Database, OpenError> {
    match open_ours(location) {
        Ok((database, _)) => Ok(database),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::Damaged(reason)) => Err(OpenError::Database {
            path: location.file().to_owned(),
            source: Box::new(redb::Error::Corrupted(reason)),
        }),
    }
}

fn judge(file: &Path, error: DatabaseError) -> Failure {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            Failure::Other(OpenError::InUse(file.to_owned()))
        }
        DatabaseError::UpgradeRequired(version) => {
            Failure::Damaged(format!("database format {version} is too old"))
        }
        other => judge_any(file, other),
    }
}

/// Classifies an error. The file counts as damaged only if its bytes are the cause of the error. Other errors, such as
/// a full disk or a missing permission, would also occur with a new file.
fn judge_any(file: &Path, error: impl Into<redb::Error>) -> Failure {
    match error.into() {
        redb::Error::Io(error)
            if !matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) =>
        {
            Failure::Other(io("open", file, error))
        }
        error @ (redb::Error::Io(_)
        | redb::Error::Corrupted(_)
        | redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TypeDefinitionChanged { .. }) => Failure::Damaged(error.to_string()),
        other => Failure::Other(OpenError::Database { path: file.to_owned(), source: Box::new(other) }),
    }
}

/// Returns whether the database is a store in the present format.
fn is_ours(database: &Database) -> Result<bool, redb::Error> {
    Ok(matches!(inspect(database)?, Ok(Found { opened: Opened::Existing { .. }, format: FORMAT })))
}

/// Inspects whether the database is a store in a known format. A database without tables was created but never written
/// to, so it counts as a new store.
fn inspect(database: &Database) -> Result<Result<Found, Failure>, redb::Error> {
    let read = database.begin_read()?;
    let mut tables = read.list_tables()?.map(|table| table.name().to_owned());
    let Some(first) = tables.next() else {
        return Ok(Ok(Found { opened: Opened::Fresh, format: FORMAT }));
    };
    if first != META.name() && !tables.any(|name| name == META.name()) {
        return Ok(Err(Failure::Damaged("a database of another program".to_owned())));
    }
    let format = read.open_table(META)?.get(migrate::KEY)?.map(|value| value.value());
    let Some(format) = format.filter(|format| migrate::is_known(*format)) else {
        let shown = format.map_or("no format number".to_owned(), |format| format!("format {format}"));
        return Ok(Err(Failure::Damaged(format!(
            "it has {shown}, but this program reads formats 1 to {FORMAT}"
        ))));
    };
    read.open_table(SERVICES)?;
    let records = read.open_table(RECORDS)?.len()?;
    Ok(Ok(Found { opened: Opened::Existing { records }, format }))
}

/// Creates the tables of an empty store.
fn begin(database: &Database) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    write.open_table(META)?.insert(migrate::KEY, FORMAT)?;
    write.open_table(RECORDS)?;
    write.open_table(SERVICES)?;
    write.commit()?;
    Ok(())
}
