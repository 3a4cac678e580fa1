//! The complete state of a store, for comparison.

use crate::{Batch, Store};
use dcache::{Key, Record, Time};
use std::collections::BTreeMap;

/// Namespaces in which the workload stores the state of services.
pub(crate) const SERVICES: [&str; 2] = ["logs", "updates"];

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    records: BTreeMap<Key, Record>,
    services: BTreeMap<(String, String), Vec<u8>>,
    sequence: Option<u64>,
    time: Option<Time>,
}

impl State {
    /// Reads the state of an open store. A row that cannot be parsed is an error.
    pub(crate) fn of(store: &Store) -> Result<Self, String> {
        let loaded = store.load().map_err(|error| error.to_string())?;
        if loaded.broken > 0 {
            return Err(format!("rows that are not records: {:?}", loaded.reasons));
        }
        let sequence = store.sequence().map_err(|error| error.to_string())?;
        let time = store.time().map_err(|error| error.to_string())?;
        let mut state = Self { sequence, time, ..Self::default() };
        state.put(loaded.records);
        for service in SERVICES {
            for (key, value) in store.service_all(service).map_err(|error| error.to_string())? {
                state.services.insert((service.to_owned(), key), value);
            }
        }
        Ok(state)
    }

    pub(crate) fn records(&self) -> u64 {
        self.records.len() as u64
    }

    /// Applies to this state the changes that [`Store::write`] is documented to make.
    pub(crate) fn write(&mut self, batch: &Batch) {
        for key in &batch.remove {
            self.records.remove(key);
        }
        self.put(batch.put.clone());
        self.sequence = self.sequence.max(batch.sequence);
        self.time = batch.time.or(self.time);
    }

    /// Applies the changes of [`Store::service_write`].
    pub(crate) fn service_write(&mut self, service: &str, changes: &[(&str, Option<&[u8]>)]) {
        for (key, value) in changes {
            let at = (service.to_owned(), (*key).to_owned());
            match value {
                Some(value) => self.services.insert(at, value.to_vec()),
                None => self.services.remove(&at),
            };
        }
    }

    fn put(&mut self, records: Vec<Record>) {
        for record in records {
            let key = Key { item: record.item().clone(), signer: record.signer() };
            self.records.insert(key, record);
        }
    }
}

/// The output is short, because the complete state has thousands of lines.
impl std::fmt::Debug for State {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sequences: Vec<u64> = self.records.values().map(|record| record.signature().sequence).collect();
        let services: Vec<&String> = self.services.keys().map(|(_, key)| key).collect();
        write!(to, "sequence {:?}, records {sequences:?}, services {services:?}", self.sequence)
    }
}
