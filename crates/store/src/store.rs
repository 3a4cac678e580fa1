//! Records in and out.

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
/// Of how many rows that do not parse the reason is told; of more there is only the count.
pub const MAX_BROKEN_ROWS_NAMED: usize = 10;

/// The store, open. Methods block while the disk works; they may be called from several threads.
///
/// An error of the disk ends nothing: the next call tries anew, and succeeds once the disk works again.
#[derive(Debug)]
pub struct Store {
    pub(crate) connection: Connection,
    /// Held, never read: the lock goes when the store does.
    _lock: File,
}

/// What is to change, all at once or not at all. An item that is in both lists is put.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Records to keep; what stood at the same item and signer is replaced.
    pub put: Vec<Record>,
    /// Where records are to go. None there is no error.
    pub remove: Vec<Key>,
    /// The last sequence number that this node has used. A lower one than before changes nothing.
    pub sequence: Option<u64>,
    /// A time that has passed, as far as this node can tell.
    pub time: Option<Time>,
    /// The swarm in which all records were signed: see [`Store::signed_for`].
    pub signed_for: Option<u64>,
}

impl Batch {
    /// Whether nothing is to change. A time alone is not worth a write: it comes along with others.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.remove.is_empty() && self.sequence.is_none() && self.signed_for.is_none()
    }
}

/// All records of the store.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Each record.
    pub records: Vec<Record>,
    /// How many rows are no records. They stay where they are: a later version may have written them.
    pub broken: usize,
    /// What is wrong with the first few of these, at most [`MAX_BROKEN_ROWS_NAMED`].
    pub reasons: Vec<String>,
}

impl Store {
    pub(crate) fn new(connection: Connection, lock: File) -> Self {
        Self { connection, _lock: lock }
    }

    /// Every record. A row that is none is counted, not fatal.
    ///
    /// # Errors
    /// When the database cannot be read.
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

    /// Makes the changes in one commit; when it returns, they survive a loss of power. Nothing to change costs nothing.
    ///
    /// # Errors
    /// When the database cannot be written. Then nothing has changed, but for one case: when the disk failed in the
    /// very last step, after all was written and before it was certain, all of it may be there nevertheless.
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

    /// The last sequence number that this node has used; `None` when it has used none, or when the file that knew was
    /// set aside: then go on above what the swarm remembers of this node.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn sequence(&self) -> Result<Option<u64>, ReadError> {
        self.meta(SEQUENCE)
    }

    /// The last [`Batch::time`] that was written; `None` when none was.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn time(&self) -> Result<Option<Time>, ReadError> {
        Ok(self.meta(TIME)?.map(Time))
    }

    /// The last [`Batch::signed_for`] that was written, a [`dcache::Policy::mark`]; that of the open swarm when none was, as
    /// in a file of before.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn signed_for(&self) -> Result<u64, ReadError> {
        Ok(self.meta(SIGNED_FOR)?.unwrap_or(dcache::Binding::UNBOUND))
    }

    fn meta(&self, key: &str) -> Result<Option<u64>, ReadError> {
        Ok(self.connection.run(|database| {
            let table = database.begin_read()?.open_table(META)?;
            Ok(table.get(key)?.map(|value| value.value()))
        })?)
    }

    /// One durable commit of what `change` does. Of redb's ways to commit, the one with a single sync: a torn commit shows
    /// by its checksums and the one before counts. Its "quick repair" would sync twice, doubling what a write costs on an
    /// SD card, to spare at the next opening a check that is made anyway (0.15 s for 100 000 records).
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
