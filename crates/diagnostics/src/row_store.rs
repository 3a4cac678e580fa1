//! The rows that a collector has stored, in a database of its own: `collected.redb` in the data folder.
//!
//! | table | key | value |
//! |---|---|---|
//! | `robots` | robot | what is known about the robot, in JSON |
//! | `rows` | robot, boot, number | the row |
//! | `unplaced` | robot, boot, number | milliseconds since the boot, of a row that has no place in time yet |
//! | `places` | robot, time, boot, number | whether the time is exact |
//! | `log` | number in the order in which rows got their places | robot, boot, number, and the name of the robot then |
//! | `series` | robot, number of the metric, label | number of the series, which rows contain |
//! | `names` | robot, number of the series | number of the metric, label |
//! | `numbers` | name | the version of the format, the next number of the log, and the next number for each export |
//!
//! All numbers in keys are big-endian, so that the keys sort like the numbers. All changes of a batch are one transaction.

mod encoding;

use crate::collectors::intake::{Changes, NewRow, Position, RowKey, Table};
use crate::collectors::track::RobotState;
use crate::metrics::{Label, Series, by_number};
use crate::points::PlacedRow;
use crate::sample::{BootId, Readings};
use database::{Connection, Location, Settings};
use dcache::{PeerId, Time};
use encoding::{decode_row, encode_row};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;

/// Settings of the database. Queries read a part of it, and a batch writes a part of it.
const SETTINGS: Settings = Settings { cache_bytes: 8 << 20, verifies_checksums: false, is_ours };
/// Version of the format.
const FORMAT: u64 = 1;
/// Maximum size, in bytes, of the name of a robot in the log. A host name has at most 63. A longer name is left out.
const MAX_NAME_BYTES: usize = 64;
/// Size of the key of a row in bytes.
const KEY_BYTES: usize = 32 + BootId::BYTES + 8;

const ROBOTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("robots");
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");
const UNPLACED: TableDefinition<'_, &[u8], u64> = TableDefinition::new("unplaced");
const PLACES: TableDefinition<'_, &[u8], bool> = TableDefinition::new("places");
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const SERIES: TableDefinition<'_, &[u8], u32> = TableDefinition::new("series");
const NAMES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("names");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// Name of the version of the format.
const FORMAT_NAME: &str = "format";
/// Name of the next number of the log.
const LOG_NAME: &str = "log";

/// Error of the store of a collector.
#[derive(Debug, thiserror::Error)]
pub enum RowStoreError {
    /// The database cannot be read or written.
    #[error("the rows of other robots cannot be read or written: {0}")]
    Database(#[source] Box<redb::Error>),
    /// The file cannot be opened.
    #[error(
        "the rows of other robots in {path} cannot be opened: {source}; move the file away to begin again"
    )]
    Open {
        /// Path of the file.
        path: String,
        /// Error of the database.
        source: Box<redb::Error>,
    },
    /// The state of a robot has no JSON form.
    #[error("the state of a robot cannot be written: {0}")]
    State(#[from] serde_json::Error),
}

impl From<redb::Error> for RowStoreError {
    fn from(error: redb::Error) -> Self {
        Self::Database(Box::new(error))
    }
}

/// A row that leaves the collector, with its number in the log.
#[derive(Clone, Debug)]
pub struct LoggedRow {
    /// Number in the log.
    pub number: u64,
    /// Robot that measured the row.
    pub robot: PeerId,
    /// Name of the robot when the row got its place, if it was known. So a row that leaves again has the same name, also when
    /// the robot was renamed.
    pub name: Option<String>,
    /// Place of the row in time.
    pub time: Time,
    /// The values of the row.
    pub readings: Readings,
}

/// Numbers of the rows and robots of a collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of robots.
    pub robots: u64,
    /// Number of rows.
    pub rows: u64,
    /// Number of rows that have no place in time yet.
    pub unplaced: u64,
}

/// The stored rows. A clone refers to the same database.
#[derive(Clone, Debug)]
pub struct RowStore(Arc<Connection>);

impl RowStore {
    /// Opens the database, or makes it. This call blocks, as all functions of the store do.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, or has another format.
    pub fn open(path: &Path) -> Result<Self, RowStoreError> {
        let failed =
            |source| RowStoreError::Open { path: path.display().to_string(), source: Box::new(source) };
        let location = Location::new(path.to_owned(), SETTINGS);
        let database = location.open_or_create().map_err(|error| failed(error.into()))?;
        begin(&database).map_err(failed)?;
        location.sync_folder().map_err(|error| failed(error.into()))?;
        Ok(Self(Arc::new(Connection::new(location, database))))
    }

    fn run<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, RowStoreError> {
        Ok(self.0.run(work)?)
    }

    /// Returns what is known about all robots.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn robots(&self) -> Result<BTreeMap<PeerId, RobotState>, RowStoreError> {
        self.run(|database| {
            let table = database.begin_read()?.open_table(ROBOTS)?;
            let mut robots = BTreeMap::new();
            for row in table.iter()? {
                let (robot, state) = row?;
                // A state that a later version wrote is left alone.
                let state = serde_json::from_slice(state.value()).ok();
                robots.extend(peer(robot.value()).zip(state));
            }
            Ok(robots)
        })
    }

    /// Returns the numbers of robots and rows.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn totals(&self) -> Result<Totals, RowStoreError> {
        self.run(|database| {
            let reading = database.begin_read()?;
            Ok(Totals {
                robots: reading.open_table(ROBOTS)?.len()?,
                rows: reading.open_table(ROWS)?.len()?,
                unplaced: reading.open_table(UNPLACED)?.len()?,
            })
        })
    }

    /// Returns at most `most` rows of a robot that were measured at `from` or later, in the order of their times.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn placed(&self, robot: PeerId, from: Time, most: usize) -> Result<Vec<PlacedRow>, RowStoreError> {
        self.run(|database| {
            let reading = database.begin_read()?;
            let (rows, names) = (reading.open_table(ROWS)?, names(&reading.open_table(NAMES)?, robot)?);
            let (first, last) = (place_key(robot, from, &[]), place_key(robot, Time(u64::MAX), &[0xff; 24]));
            let mut found = Vec::new();
            for place in reading.open_table(PLACES)?.range(first.as_slice()..=last.as_slice())?.take(most) {
                let (place, is_exact) = place?;
                let Some((time, key)) = split_place(place.value()) else { continue };
                let Some(row) = rows.get(key.as_slice())? else { continue };
                if let Some((_, readings)) = decode_row(row.value(), &names) {
                    found.push(PlacedRow { time, is_exact: is_exact.value(), readings });
                }
            }
            Ok(found)
        })
    }

    /// Returns the latest row of a robot.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn latest(&self, robot: PeerId) -> Result<Option<PlacedRow>, RowStoreError> {
        let last = self.run(|database| {
            let (first, last) =
                (place_key(robot, Time(0), &[]), place_key(robot, Time(u64::MAX), &[0xff; 24]));
            let places = database.begin_read()?.open_table(PLACES)?;
            let found = places.range(first.as_slice()..=last.as_slice())?.next_back().transpose()?;
            Ok(found.and_then(|(place, _)| split_place(place.value())).map(|(time, _)| time))
        })?;
        let Some(time) = last else { return Ok(None) };
        Ok(self.placed(robot, time, usize::MAX)?.pop())
    }

    /// Returns at most `most` rows from a number of the log on.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn logged(&self, from: u64, most: usize) -> Result<Vec<LoggedRow>, RowStoreError> {
        self.run(|database| {
            let reading = database.begin_read()?;
            let (rows, all_names) = (reading.open_table(ROWS)?, reading.open_table(NAMES)?);
            let (mut known, mut found) = (BTreeMap::new(), Vec::new());
            for entry in reading.open_table(LOG)?.range(from..)?.take(most) {
                let (number, key) = entry?;
                let (number, key) = (number.value(), key.value().to_vec());
                let Some(robot) = peer(&key) else { continue };
                if let Entry::Vacant(place) = known.entry(robot) {
                    place.insert(names(&all_names, robot)?);
                }
                let (key, name) = (row_of(&key), key.get(KEY_BYTES..).unwrap_or_default());
                let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty()).map(str::to_owned);
                let row = rows.get(key)?;
                let row = row.as_ref().zip(known.get(&robot));
                let decoded = row.and_then(|(row, names)| decode_row(row.value(), names));
                // A row that was deleted because of its age is left out. Its number counts.
                let (time, readings) = match decoded {
                    Some((Some(position), readings)) => (position.time, readings),
                    _ => (Time(0), Readings::default()),
                };
                found.push(LoggedRow { number, robot, name, time, readings });
            }
            Ok(found)
        })
    }

    /// Returns the number of the log from which on an export has to send rows.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn cursor(&self, export: &str) -> Result<u64, RowStoreError> {
        let name = cursor_name(export);
        self.run(|database| {
            let numbers = database.begin_read()?.open_table(NUMBERS)?;
            Ok(numbers.get(name.as_str())?.map_or(0, |number| number.value()))
        })
    }

    /// Notes that an export has sent all rows before a number of the log.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn set_cursor(&self, export: &str, next: u64) -> Result<(), RowStoreError> {
        let name = cursor_name(export);
        self.run(|database| {
            let writing = database.begin_write()?;
            writing.open_table(NUMBERS)?.insert(name.as_str(), next)?;
            Ok(writing.commit()?)
        })
    }

    /// Returns the number of rows that an export has not sent yet.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn waiting(&self, export: &str) -> Result<u64, RowStoreError> {
        let sent = self.cursor(export)?;
        self.run(|database| {
            let numbers = database.begin_read()?.open_table(NUMBERS)?;
            Ok(numbers.get(LOG_NAME)?.map_or(0, |next| next.value().saturating_sub(sent)))
        })
    }

    /// Deletes at most `most` rows of each robot that were measured before a time. Returns the number of deleted rows.
    /// Rows without a place stay.
    ///
    /// # Errors
    /// Returns an error if the database fails.
    pub fn expire(&self, before: Time, most: usize) -> Result<usize, RowStoreError> {
        let robots: Vec<PeerId> = self.robots()?.into_keys().collect();
        let mut deleted = 0;
        for robot in robots {
            deleted += self.run(|database| expire(database, robot, before, most))?;
        }
        Ok(deleted)
    }
}

/// Deletes old rows of a robot, and the beginning of the log whose rows were deleted.
fn expire(database: &Database, robot: PeerId, before: Time, most: usize) -> Result<usize, redb::Error> {
    let writing = database.begin_write()?;
    let mut deleted = 0;
    {
        let (mut places, mut rows, mut log) =
            (writing.open_table(PLACES)?, writing.open_table(ROWS)?, writing.open_table(LOG)?);
        let (first, last) = (place_key(robot, Time(0), &[]), place_key(robot, before, &[]));
        let old = places.range(first.as_slice()..last.as_slice())?.take(most);
        let old: Vec<Vec<u8>> =
            old.map(|place| Ok(place?.0.value().to_vec())).collect::<Result<_, redb::StorageError>>()?;
        for place in &old {
            places.remove(place.as_slice())?;
            if let Some((_, key)) = split_place(place) {
                rows.remove(key.as_slice())?;
                deleted += 1;
            }
        }
        for _ in 0..if deleted > 0 { most } else { 0 } {
            let Some((number, is_there)) = log.first()?.map(|(number, key)| {
                (number.value(), rows.get(row_of(key.value())).map(|row| row.is_some()))
            }) else {
                break;
            };
            if is_there? {
                break;
            }
            log.remove(number)?;
        }
    }
    writing.commit()?;
    Ok(deleted)
}

impl Table for RowStore {
    type Error = RowStoreError;

    fn state(&self, robot: PeerId) -> Result<Option<RobotState>, RowStoreError> {
        self.run(|database| {
            let table = database.begin_read()?.open_table(ROBOTS)?;
            let state = table.get(robot.public_key().as_slice())?;
            Ok(state.and_then(|state| serde_json::from_slice(state.value()).ok()))
        })
    }

    fn has(&self, key: &RowKey) -> Result<bool, RowStoreError> {
        self.run(|database| {
            let table = database.begin_read()?.open_table(ROWS)?;
            Ok(table.get(row_key(key).as_slice())?.is_some())
        })
    }

    fn unplaced(&self, robot: PeerId, most: usize) -> Result<Vec<(RowKey, u64)>, RowStoreError> {
        self.run(|database| {
            let table = database.begin_read()?.open_table(UNPLACED)?;
            let first = robot.public_key().as_slice();
            let last = [first, &[0xff; 24]].concat();
            let mut found = Vec::new();
            for row in table.range(first..=last.as_slice())?.take(most) {
                let (key, millis) = row?;
                found.extend(split_key(key.value()).map(|key| (key, millis.value())));
            }
            Ok(found)
        })
    }

    fn commit(&mut self, changes: Changes) -> Result<(), RowStoreError> {
        let state = serde_json::to_vec(&changes.state)?;
        self.run(|database| {
            let writing = database.begin_write()?;
            Writing::new(&writing, &changes)?.apply(&changes)?;
            writing.open_table(ROBOTS)?.insert(changes.robot.public_key().as_slice(), state.as_slice())?;
            // The commit returns when the changes are on the disk.
            Ok(writing.commit()?)
        })
    }
}

/// The tables that a batch changes.
struct Writing<'a> {
    robot: PeerId,
    /// Name of the robot; empty if it is not known.
    name: String,
    rows: redb::Table<'a, &'static [u8], &'static [u8]>,
    unplaced: redb::Table<'a, &'static [u8], u64>,
    places: redb::Table<'a, &'static [u8], bool>,
    log: redb::Table<'a, u64, &'static [u8]>,
    series: redb::Table<'a, &'static [u8], u32>,
    names: redb::Table<'a, &'static [u8], &'static [u8]>,
    numbers: redb::Table<'a, &'static str, u64>,
}

impl<'a> Writing<'a> {
    fn new(writing: &'a redb::WriteTransaction, changes: &Changes) -> Result<Self, redb::Error> {
        let name = changes.name.clone().filter(|name| name.len() <= MAX_NAME_BYTES);
        Ok(Self {
            robot: changes.robot,
            name: name.unwrap_or_default(),
            rows: writing.open_table(ROWS)?,
            unplaced: writing.open_table(UNPLACED)?,
            places: writing.open_table(PLACES)?,
            log: writing.open_table(LOG)?,
            series: writing.open_table(SERIES)?,
            names: writing.open_table(NAMES)?,
            numbers: writing.open_table(NUMBERS)?,
        })
    }

    fn apply(&mut self, changes: &Changes) -> Result<(), redb::Error> {
        changes.rows.iter().try_for_each(|row| self.add(row))?;
        changes.placed.iter().try_for_each(|(key, position)| self.place(key, *position))?;
        for key in &changes.given_up {
            self.unplaced.remove(row_key(key).as_slice())?;
        }
        Ok(())
    }

    fn add(&mut self, row: &NewRow) -> Result<(), redb::Error> {
        let mut values = Vec::new();
        for reading in row.sample.readings.iter() {
            values.push((self.number_of(&reading.series)?, reading.value));
        }
        let (key, millis) = (row_key(&row.key), row.sample.stamp.millis);
        self.rows.insert(key.as_slice(), encode_row(millis, row.position, &values).as_slice())?;
        match row.position {
            Some(position) => self.note_place(&key, position),
            None => self.unplaced.insert(key.as_slice(), millis).map(drop).map_err(Into::into),
        }
    }

    /// Gives a row that is in the table its place.
    fn place(&mut self, key: &RowKey, position: Position) -> Result<(), redb::Error> {
        let key = row_key(key);
        let row = self.rows.get(key.as_slice())?.map(|row| row.value().to_vec());
        let Some(mut row) = row else { return Ok(()) };
        encoding::set_position(&mut row, position);
        self.rows.insert(key.as_slice(), row.as_slice())?;
        self.unplaced.remove(key.as_slice())?;
        self.note_place(&key, position)
    }

    fn note_place(&mut self, key: &[u8; KEY_BYTES], position: Position) -> Result<(), redb::Error> {
        let place = place_key(self.robot, position.time, &key[32..]);
        self.places.insert(place.as_slice(), position.is_exact)?;
        let next = self.numbers.get(LOG_NAME)?.map_or(0, |next| next.value());
        self.log.insert(next, [key, self.name.as_bytes()].concat().as_slice())?;
        self.numbers.insert(LOG_NAME, next.saturating_add(1))?;
        Ok(())
    }

    /// Returns the number of a series of the robot. A new series gets the next one.
    fn number_of(&mut self, series: &Series) -> Result<u32, redb::Error> {
        let robot = self.robot.public_key().as_slice();
        let name = [&series.metric.number.to_be_bytes(), series.label.as_str().as_bytes()].concat();
        let key = [robot, &name].concat();
        if let Some(number) = self.series.get(key.as_slice())? {
            return Ok(number.value());
        }
        let (first, last) = ([robot, &[0; 4]].concat(), [robot, &[0xff; 4]].concat());
        let latest = self.names.range(first.as_slice()..=last.as_slice())?.next_back().transpose()?;
        let latest = latest.and_then(|(key, _)| key.value().last_chunk().copied().map(u32::from_be_bytes));
        let number = latest.map_or(0, |latest| latest.saturating_add(1));
        self.series.insert(key.as_slice(), number)?;
        self.names.insert([robot, &number.to_be_bytes()].concat().as_slice(), name.as_slice())?;
        Ok(number)
    }
}

/// Makes the tables of a new database, and checks the format of another one.
fn begin(database: &Database) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    {
        let mut numbers = writing.open_table(NUMBERS)?;
        let format = numbers.get(FORMAT_NAME)?.map(|format| format.value());
        if format.is_some_and(|format| format != FORMAT) {
            return Err(redb::Error::Corrupted("another version of dt-swarm wrote the file".to_owned()));
        }
        numbers.insert(FORMAT_NAME, FORMAT)?;
        for table in [ROBOTS, ROWS, NAMES] {
            writing.open_table(table)?;
        }
        writing.open_table(UNPLACED)?;
        writing.open_table(PLACES)?;
        writing.open_table(LOG)?;
        writing.open_table(SERIES)?;
    }
    Ok(writing.commit()?)
}

/// Returns whether a file that is opened again is the database.
fn is_ours(database: &Database) -> Result<bool, redb::Error> {
    let numbers = database.begin_read()?.open_table(NUMBERS)?;
    Ok(numbers.get(FORMAT_NAME)?.is_some_and(|format| format.value() == FORMAT))
}

/// Reads the series of a robot, by their numbers.
fn names(
    table: &redb::ReadOnlyTable<&'static [u8], &'static [u8]>,
    robot: PeerId,
) -> Result<BTreeMap<u32, Series>, redb::Error> {
    let robot = robot.public_key().as_slice();
    let (first, last) = ([robot, &[0; 4]].concat(), [robot, &[0xff; 4]].concat());
    let mut names = BTreeMap::new();
    for row in table.range(first.as_slice()..=last.as_slice())? {
        let (key, name) = row?;
        let number = key.value().last_chunk().copied().map(u32::from_be_bytes);
        names.extend(number.zip(series(name.value())));
    }
    Ok(names)
}

/// Reads the name of a series. Returns `None` for a metric that this version does not know.
fn series(name: &[u8]) -> Option<Series> {
    let (metric, label) = name.split_first_chunk()?;
    let metric = by_number(u16::from_be_bytes(*metric))?;
    Some(Series { metric, label: Label::exact(std::str::from_utf8(label).ok()?)? })
}

fn cursor_name(export: &str) -> String {
    format!("export {export}")
}

fn peer(key: &[u8]) -> Option<PeerId> {
    key.first_chunk().map(|key| PeerId::from_public_key(*key))
}

fn row_key(key: &RowKey) -> [u8; KEY_BYTES] {
    let mut bytes = [0; KEY_BYTES];
    bytes[..32].copy_from_slice(key.robot.public_key());
    bytes[32..48].copy_from_slice(key.boot.as_bytes());
    bytes[48..].copy_from_slice(&key.number.to_be_bytes());
    bytes
}

/// Returns the key of a row in the log, without the name that follows it.
fn row_of(logged: &[u8]) -> &[u8] {
    logged.get(..KEY_BYTES).unwrap_or(logged)
}

fn split_key(bytes: &[u8]) -> Option<RowKey> {
    let (robot, rest) = bytes.split_first_chunk()?;
    let (boot, number) = rest.split_first_chunk()?;
    Some(RowKey {
        robot: PeerId::from_public_key(*robot),
        boot: BootId::new(*boot),
        number: u64::from_be_bytes(number.try_into().ok()?),
    })
}

/// Returns the key of a place. `row` is the key of the row without its robot.
fn place_key(robot: PeerId, time: Time, row: &[u8]) -> Vec<u8> {
    [robot.public_key().as_slice(), &time.0.to_be_bytes(), row].concat()
}

/// Returns the time of a place, and the key of its row.
fn split_place(place: &[u8]) -> Option<(Time, Vec<u8>)> {
    let (robot, rest) = place.split_first_chunk::<32>()?;
    let (time, row) = rest.split_first_chunk()?;
    Some((Time(u64::from_be_bytes(*time)), [robot.as_slice(), row].concat()))
}

#[cfg(test)]
mod tests;
