//! The open store: reading and writing of records.

use crate::row;
use crate::{ReadError, WriteError};
use database::Connection;
use dcache::{Key, Record, Time};
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use std::fs::File;

pub(crate) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(crate) const RECORDS: TableDefinition<[u8; 32], &[u8]> = TableDefinition::new("records");
pub(crate) const SERVICES: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("services");
const SEQUENCE: &str = "sequence";
const TIME: &str = "time";
const SIGNED_FOR: &str = "signed_for";
/// Maximum number of rows for which the reason of a parsing error is kept. Further unreadable rows are only counted.
pub const MAX_BROKEN_ROWS_NAMED: usize = 10;

/// An open store. The methods block during disk access. Several threads may call them.
///
/// The store recovers from errors of the disk: each call tries again, and succeeds when the disk works again.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    /// The lock on the store; it is released when the store is dropped.
    _lock: File,
}

/// Changes that are made in one commit. A record in `put` takes precedence over a key in `remove`.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Records to store. Each replaces the record about the same item by the same signer.
    pub put: Vec<Record>,
    /// Keys of records to remove. A key without a record is not an error.
    pub remove: Vec<Key>,
    /// Last sequence number that this node has used. A number lower than the stored one has no effect.
    pub sequence: Option<u64>,
    /// A time that has passed, as far as this node knows.
    pub time: Option<Time>,
    /// Swarm in which all records were signed: see [`Store::signed_for`].
    pub signed_for: Option<u64>,
}

impl Batch {
    /// Returns whether there is nothing to write. A time alone is not worth a commit; it is written together with other
    /// changes.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.remove.is_empty() && self.sequence.is_none() && self.signed_for.is_none()
    }
}

/// All records of the store.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The records that could be read.
    pub records: Vec<Record>,
    /// Number of rows that could not be read. They stay in the file, because a later version may have written them.
    pub broken: usize,
    /// Reasons for the first of these rows, at most [`MAX_BROKEN_ROWS_NAMED`].
    pub reasons: Vec<String>,
}

impl Store {
    pub(crate) fn new(connection: Connection, lock: File) -> Self {
        Self { connection, _lock: lock }
    }

    /// Loads all records. A row that cannot be read is counted, and is not an error.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    pub fn load(&self) -> Result<Loaded, ReadError> {
        Ok(self.connection.run(|database| {
            let table = database.begin_read()?.open_table(RECORDS)?;
            let mut loaded = Loaded::default();
            for entry in table.iter()? {
                let (key, value) = entry?;
                match row::decode(key.value(), value.value()) {
                    Ok(row) => loaded.records.push(row),
                    Err(reason) => loaded.note_broken(&reason),
                }
            }
            Ok(loaded)
        })?)
    }

    /// Makes the changes in one commit. After the method has returned, the changes survive a power cut. An empty batch
    /// makes no commit.
    ///
    /// # Errors
    /// Returns an error if the database cannot be written. The store is then usually unchanged. Only if the disk failed
    /// in the last step, after all data was written and before it was synced, all changes may be on the disk.
    pub fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.commit(|write| {
            let mut records = write.open_table(RECORDS)?;
            for Key { item, signer } in &batch.remove {
                records.remove(row::key(item, *signer))?;
            }
            for record in &batch.put {
                let row = row::encode(record);
                records.insert(row::key(record.item(), record.signer()), row.as_slice())?;
            }
            raise_sequence(write, batch.sequence)?;
            if let Some(signed_for) = batch.signed_for {
                write.open_table(META)?.insert(SIGNED_FOR, signed_for)?;
            }
            set_time(write, batch.time)
        })
    }

    /// Returns the last sequence number that this node has used. Returns `None` if it has used none, or if the file
    /// with the number was set aside. The caller must then continue above the highest number of this node's records in
    /// the swarm.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    pub fn sequence(&self) -> Result<Option<u64>, ReadError> {
        self.meta(SEQUENCE)
    }

    /// Returns the last [`Batch::time`] that was written, or `None` if there is none.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    pub fn time(&self) -> Result<Option<Time>, ReadError> {
        Ok(self.meta(TIME)?.map(Time))
    }

    /// Returns the last [`Batch::signed_for`] that was written, a [`dcache::Policy::mark`]. If there is none, as in
    /// files of earlier versions, returns the mark of a swarm without an ID.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    pub fn signed_for(&self) -> Result<u64, ReadError> {
        Ok(self.meta(SIGNED_FOR)?.unwrap_or(dcache::Binding::UNBOUND))
    }

    fn meta(&self, key: &str) -> Result<Option<u64>, ReadError> {
        Ok(self.connection.run(|database| {
            let table = database.begin_read()?.open_table(META)?;
            Ok(table.get(key)?.map(|value| value.value()))
        })?)
    }

    /// Makes the changes of `change` in one durable commit. This uses redb's commit with a single sync. After a power
    /// cut, checksums detect an incomplete commit, and redb returns to the previous one. The "quick repair" of redb
    /// would sync twice, which doubles the cost of a write on an SD card. In return it would make one check at the next
    /// opening unnecessary, but the store makes this check in any case (0.15 s for 100 000 records).
    pub(crate) fn commit(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), WriteError> {
        Ok(self.connection.run(|database| {
            let write = database.begin_write()?;
            change(&write)?;
            Ok(write.commit()?)
        })?)
    }
}

fn raise_sequence(write: &WriteTransaction, sequence: Option<u64>) -> Result<(), redb::Error> {
    let Some(sequence) = sequence else { return Ok(()) };
    let mut meta = write.open_table(META)?;
    let before = meta.get(SEQUENCE)?.map(|value| value.value());
    if before.is_none_or(|before| before < sequence) {
        meta.insert(SEQUENCE, sequence)?;
    }
    Ok(())
}

fn set_time(write: &WriteTransaction, time: Option<Time>) -> Result<(), redb::Error> {
    let Some(time) = time else { return Ok(()) };
    write.open_table(META)?.insert(TIME, time.0)?;
    Ok(())
}

impl Loaded {
    fn note_broken(&mut self, reason: &row::RowError) {
        self.broken += 1;
        if self.reasons.len() < MAX_BROKEN_ROWS_NAMED {
            self.reasons.push(reason.to_string());
        }
    }
}
