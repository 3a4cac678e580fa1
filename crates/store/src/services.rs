//! Small state of services: bytes by namespace and key. [`crate::Table`] adds types.

use crate::store::SERVICES;
use crate::{ReadError, Store, WriteError};
use redb::ReadableDatabase as _;

/// Maximum length of a namespace and of a key, in bytes.
pub const MAX_SERVICE_KEY_BYTES: usize = 1024;
/// Maximum length of a value, in bytes.
pub const MAX_SERVICE_VALUE_BYTES: usize = 1 << 20;

impl Store {
    /// Puts (`Some`) and removes (`None`) in one durable commit: all or nothing.
    ///
    /// # Errors
    /// Returns an error if a part is over its limit, or the database cannot be written.
    pub(crate) fn service_write(
        &self,
        service: &str,
        changes: &[(&str, Option<&[u8]>)],
    ) -> Result<(), WriteError> {
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
    /// Returns an error if the database cannot be read.
    pub(crate) fn service_get(&self, service: &str, key: &str) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.connection.run(|database| {
            let table = database.begin_read()?.open_table(SERVICES)?;
            Ok(table.get((service, key))?.map(|value| value.value().to_vec()))
        })?)
    }

    /// Reads all values of a namespace, in the order of their keys.
    ///
    /// # Errors
    /// Returns an error if the database cannot be read.
    pub(crate) fn service_all(&self, service: &str) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_separate_and_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let (store, _) = Store::open(&file).unwrap();
        store.service_write("logs", &[("b", Some(b"2"))]).unwrap();
        store.service_write("logs", &[("a", Some(b"1"))]).unwrap();
        store.service_write("logs2", &[("a", Some(b"x"))]).unwrap();
        store.service_write("logs", &[("b", None), ("c", Some(b"3"))]).unwrap();
        drop(store);
        let (store, _) = Store::open(&file).unwrap();
        let kept = [("a".to_owned(), b"1".to_vec()), ("c".to_owned(), b"3".to_vec())];
        assert_eq!(store.service_all("logs").unwrap(), kept);
        assert_eq!(store.service_get("logs2", "a").unwrap().as_deref(), Some(&b"x"[..]));
        assert_eq!(store.service_get("logs", "b").unwrap(), None);
        assert_eq!(store.service_all("log").unwrap(), []);
        store.service_write("logs2", &[("a", None)]).unwrap();
        assert_eq!(store.service_get("logs2", "a").unwrap(), None);
    }

    #[test]
    fn rows_are_bounded_and_a_commit_is_all_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&folder.path().join("records.redb")).unwrap();
        let large = vec![0; MAX_SERVICE_VALUE_BYTES + 1];
        let refused = store.service_write("logs", &[("a", Some(b"1")), ("b", Some(&large))]);
        assert!(matches!(refused, Err(WriteError::TooLarge { .. })));
        assert_eq!(store.service_all("logs").unwrap(), []);
    }
}
