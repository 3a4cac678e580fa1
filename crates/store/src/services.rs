//! Small state of services: bytes by namespace and key. [`crate::Table`] gives them types.

use crate::store::SERVICES;
use crate::{ReadError, Store, WriteError};
use redb::ReadableDatabase as _;

/// Maximum length of a namespace and of a key, in bytes.
pub const MAX_SERVICE_KEY_BYTES: usize = 1024;
/// Maximum length of a value, in bytes.
pub const MAX_SERVICE_VALUE_BYTES: usize = 1 << 20;

impl Store {
    /// Writes one value under `key`, in a durable commit of its own.
    ///
    /// # Errors
    /// When something is over its bound, or the database cannot be written.
    pub fn service_put(&self, service: &str, key: &str, value: &[u8]) -> Result<(), WriteError> {
        self.service_write(service, &[(key, Some(value))])
    }

    /// Removes the value under `key`. A missing value is no error.
    ///
    /// # Errors
    /// As [`Store::service_put`].
    pub fn service_remove(&self, service: &str, key: &str) -> Result<(), WriteError> {
        self.service_write(service, &[(key, None)])
    }

    /// Puts (`Some`) and removes (`None`) in one durable commit: all or nothing.
    ///
    /// # Errors
    /// As [`Store::service_put`].
    pub fn service_write(&self, service: &str, changes: &[(&str, Option<&[u8]>)]) -> Result<(), WriteError> {
        check("the name", service.len(), MAX_SERVICE_KEY_BYTES)?;
        for (key, value) in changes {
            check("a key", key.len(), MAX_SERVICE_KEY_BYTES)?;
            check("a value", value.map_or(0, <[u8]>::len), MAX_SERVICE_VALUE_BYTES)?;
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.commit(|write| {
            let mut table = write.open_table(SERVICES)?;
            for &(key, value) in changes {
                match value {
                    Some(value) => table.insert((service, key), value)?,
                    None => table.remove((service, key))?,
                };
            }
            Ok(())
        })
    }

    /// Reads the value under `key`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn service_get(&self, service: &str, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.connection.run(|database| {
            let table = database.begin_read()?.open_table(SERVICES)?;
            Ok(table.get((service, key))?.map(|value| value.value().to_vec()))
        })?)
    }

    /// Reads all values of a namespace, in the order of their keys.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn service_all(&self, service: &str) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        Ok(self.connection.run(|database| {
            let table = database.begin_read()?.open_table(SERVICES)?;
            let mut all = Vec::new();
            for entry in table.range((service, "")..)? {
                let (key, value) = entry?;
                let (owner, key) = key.value();
                if owner != service {
                    break;
                }
                all.push((key.to_owned(), value.value().to_vec()));
            }
            Ok(all)
        })?)
    }
}

fn check(what: &'static str, length: usize, most: usize) -> Result<(), WriteError> {
    if length > most { Err(WriteError::TooLarge { what, most, length }) } else { Ok(()) }
}
