//! Typed tables of services: rows in JSON, by a typed key.

use crate::{ReadError, Store, WriteError};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

/// The key of a row. On the disk it is a text, and rows are ordered by it.
pub trait TableKey: Sized {
    /// Returns the text on the disk.
    fn to_text(&self) -> String;
    /// Reads the text on the disk; `None` when it is no such key.
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

/// With leading zeros to 20 digits, so that the order on the disk is that of the numbers.
impl TableKey for u64 {
    fn to_text(&self) -> String {
        format!("{self:020}")
    }

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// A key that is on the disk as it is displayed. For types of other crates, such as a CID.
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

/// Why a table cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The store cannot be read.
    #[error("cannot read {table}: {source}")]
    Read {
        /// Namespace of the table.
        table: Arc<str>,
        /// Why.
        source: ReadError,
    },
    /// The store cannot be written.
    #[error("cannot write {table}: {source}")]
    Write {
        /// Namespace of the table.
        table: Arc<str>,
        /// Why.
        source: WriteError,
    },
    /// A value has no JSON form.
    #[error("cannot encode the row {key} of {table}: {source}")]
    Encode {
        /// Namespace of the table.
        table: Arc<str>,
        /// Key of the row.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The thread that writes did not finish.
    #[error("the thread that writes {table} failed: {source}")]
    Thread {
        /// Namespace of the table.
        table: Arc<str>,
        /// Why.
        source: tokio::task::JoinError,
    },
}

/// All rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<K, V> {
    /// The rows, in the order of their keys on the disk.
    pub readable: Vec<(K, V)>,
    /// Keys on the disk of the rows whose key or value could not be read. These rows stay where they are: a later version
    /// may have written them.
    pub unreadable: Vec<String>,
}

/// The rows of one namespace in the table `services`. A clone is the same table.
pub struct Table<K, V> {
    store: Arc<Store>,
    namespace: Arc<str>,
    row: PhantomData<fn() -> (K, V)>,
}

impl Store {
    /// Returns the table with this namespace, such as `transfers/downloads`. Nothing is read or written.
    pub fn table<K, V>(self: &Arc<Self>, namespace: impl Into<Arc<str>>) -> Table<K, V> {
        Table { store: Arc::clone(self), namespace: namespace.into(), row: PhantomData }
    }
}

/// Rows as the store takes them.
type Encoded = Vec<(String, Option<Vec<u8>>)>;

impl<K: TableKey, V: Serialize + DeserializeOwned> Table<K, V> {
    /// Reads all rows. Blocks while the disk works.
    ///
    /// # Errors
    /// When the store cannot be read.
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

    /// Reads one row; `None` when it is not there or cannot be read. Blocks while the disk works.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(&self, key: &K) -> Result<Option<V>, TableError> {
        let encoded = self.store.service_get(&self.namespace, &key.to_text());
        let encoded = encoded.map_err(|source| self.unread(source))?;
        Ok(encoded.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Puts (`Some`) and removes (`None`) rows in one durable commit: all or none. Blocks while the disk works.
    ///
    /// # Errors
    /// When a value cannot be encoded or has more than [`crate::MAX_SERVICE_VALUE_BYTES`], or the store cannot be written.
    pub fn write(&self, changes: &[(K, Option<V>)]) -> Result<(), TableError> {
        write(&self.store, &self.namespace, &self.encode(changes)?)
    }

    /// As [`Table::write`], on the thread pool of the runtime for blocking work. The commit goes on when the future is
    /// dropped after it was polled.
    ///
    /// # Errors
    /// As [`Table::write`].
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

// Derived ones would ask the same of the key and the value.
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
