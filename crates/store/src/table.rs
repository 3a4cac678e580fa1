//! Typed tables of services: rows in JSON, with typed keys.

use crate::{ReadError, Store, WriteError};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

/// A key of a row. On disk it is a text, by which the rows are sorted.
pub trait TableKey: Sized {
    /// Returns the text of the key on disk.
    fn to_text(&self) -> String;
    /// Parses the text of a key on disk. Returns `None` if it is not a key of this type.
    fn from_text(text: &str) -> Option<Self>;
}

impl TableKey for String {
    fn to_text(&self) -> String {
        self.clone()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// The text is padded with zeros to 20 digits, so that the texts sort like the numbers.
impl TableKey for u64 {
    fn to_text(&self) -> String {
        format!("{self:020}")
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// A key that is stored in the form in which it is displayed. It wraps types of other crates, such as a CID, for which
/// [`TableKey`] cannot be implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Displayed<T>(pub T);

impl<T: fmt::Display + FromStr> TableKey for Displayed<T> {
    fn to_text(&self) -> String {
        self.0.to_string()
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.parse().ok()?))
    }
}

/// Reason why a table cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The store cannot be read.
    #[error("cannot read {table}: {source}")]
    Read {
        /// Namespace of the table.
        table: Arc<str>,
        /// Error of the store.
        source: ReadError,
    },
    /// The store cannot be written.
    #[error("cannot write {table}: {source}")]
    Write {
        /// Namespace of the table.
        table: Arc<str>,
        /// Error of the store.
        source: WriteError,
    },
    /// A value has no JSON form.
    #[error("cannot encode the row {key} of {table}: {source}")]
    Encode {
        /// Namespace of the table.
        table: Arc<str>,
        /// Key of the row.
        key: String,
        /// Error of the JSON encoder.
        source: serde_json::Error,
    },
    /// The thread that writes the table panicked or was cancelled.
    #[error("the thread that writes {table} failed: {source}")]
    Thread {
        /// Namespace of the table.
        table: Arc<str>,
        /// Error of the thread.
        source: tokio::task::JoinError,
    },
}

/// All rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<K, V> {
    /// The rows, in the order of their keys on the disk.
    pub readable: Vec<(K, V)>,
    /// Keys, as text on the disk, of the rows that could not be parsed. These rows stay in the store, because a later
    /// version may have written them.
    pub unreadable: Vec<String>,
}

/// The rows of one namespace in the table `services`. A clone refers to the same table.
pub struct Table<K, V> {
    store: Arc<Store>,
    namespace: Arc<str>,
    row: PhantomData<fn() -> (K, V)>,
}

impl Store {
    /// Returns the table with this namespace, such as `transfers/downloads`. This does not access the disk.
    pub fn table<K, V>(self: &Arc<Self>, namespace: impl Into<Arc<str>>) -> Table<K, V> {
        Table { store: Arc::clone(self), namespace: namespace.into(), row: PhantomData }
    }
}

/// Encoded rows, as [`Store`] writes them: the text of the key, and the JSON of the value.
type Encoded = Vec<(String, Option<Vec<u8>>)>;

impl<K: TableKey, V: Serialize + DeserializeOwned> Table<K, V> {
    /// Reads all rows. Blocks during disk access.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn read_all(&self) -> Result<Rows<K, V>, TableError> {
        let encoded = self.store.service_all(&self.namespace).map_err(|source| self.unread(source))?;
        let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
        for (key, value) in encoded {
            match K::from_text(&key).zip(serde_json::from_slice(&value).ok()) {
                Some(row) => readable.push(row),
                None => unreadable.push(key),
            }
        }
        Ok(Rows { readable, unreadable })
    }

    /// Reads one row. Returns `None` if it does not exist or cannot be read. Blocks during disk access.
    ///
    /// # Errors
    /// Returns an error if the store cannot be read.
    pub fn read(&self, key: &K) -> Result<Option<V>, TableError> {
        let encoded = self.store.service_get(&self.namespace, &key.to_text());
        let encoded = encoded.map_err(|source| self.unread(source))?;
        Ok(encoded.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Puts (`Some`) and removes (`None`) rows in one durable commit: all or none. Blocks during disk access.
    ///
    /// # Errors
    /// Returns an error if a value cannot be encoded or is longer than [`crate::MAX_SERVICE_VALUE_BYTES`], or if the
    /// store cannot be written.
    pub fn write(&self, changes: &[(K, Option<V>)]) -> Result<(), TableError> {
        write(&self.store, &self.namespace, &self.encode(changes)?)
    }

    /// Writes like [`Table::write`], on the runtime's thread pool for blocking work. If the future is dropped after it
    /// was polled, the commit continues.
    ///
    /// # Errors
    /// Returns the errors of [`Table::write`].
    pub fn write_async(
        &self,
        changes: &[(K, Option<V>)],
    ) -> impl Future<Output = Result<(), TableError>> + Send + use<K, V> {
        let (store, table, encoded) = (self.store.clone(), self.namespace.clone(), self.encode(changes));
        async move {
            let (encoded, name) = (encoded?, table.clone());
            let written = tokio::task::spawn_blocking(move || write(&store, &name, &encoded)).await;
            written.map_err(|source| TableError::Thread { table, source })?
        }
    }

    fn encode(&self, changes: &[(K, Option<V>)]) -> Result<Encoded, TableError> {
        let encode = |(key, value): &(K, Option<V>)| {
            let key = key.to_text();
            match value.as_ref().map(serde_json::to_vec).transpose() {
                Ok(value) => Ok((key, value)),
                Err(source) => Err(TableError::Encode { table: self.namespace.clone(), key, source }),
            }
        };
        changes.iter().map(encode).collect()
    }

    fn unread(&self, source: ReadError) -> TableError {
        TableError::Read { table: self.namespace.clone(), source }
    }
}

fn write(store: &Store, table: &Arc<str>, encoded: &Encoded) -> Result<(), TableError> {
    let changes: Vec<_> = encoded.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    let written = store.service_write(table, &changes);
    written.map_err(|source| TableError::Write { table: table.clone(), source })
}

// Not derived, because that would require `Clone` and `Debug` of the key and the value.
impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), namespace: self.namespace.clone(), row: PhantomData }
    }
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Table").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
