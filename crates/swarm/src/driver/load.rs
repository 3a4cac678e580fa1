//! Loads the state that this node left on its disk.

use dcache::{Key, Policy, Record, Time};
use store::{Batch, Loaded, ReadError, Store};

/// The state that was on the disk.
pub(super) struct Saved {
    pub(super) records: Vec<Record>,
    pub(super) sequence: Option<u64>,
    pub(super) time: Option<Time>,
}

/// Reads the whole state. Blocks. If the disk may hold records that were signed in another swarm than that of `policy`,
/// verifies all records once and removes those. That is so when the swarm file was changed while the daemon did not
/// run, or when the daemon stopped in the middle of a change.
pub(super) fn load(store: &Store, policy: &Policy) -> Result<Saved, ReadError> {
    let Loaded { mut records, reasons, .. } = store.load()?;
    for reason in &reasons {
        tracing::warn!(reason, "a row of the store is no record; it is skipped and stays on the disk");
    }
    if store.signed_for()? != policy.mark() {
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| record.is_signed_for(policy));
        records = here;
        tracing::info!(records = elsewhere.len(), "records that were signed in another swarm are removed");
        let remove = elsewhere.iter().map(Key::from).collect();
        let batch = Batch { remove, signed_for: Some(policy.mark()), ..Batch::default() };
        if let Err(error) = store.write(&batch) {
            tracing::warn!(
                %error,
                "records of another swarm stay on the disk for now; they are verified again at the next start"
            );
        }
    }
    Ok(Saved { records, sequence: store.sequence()?, time: store.time()? })
}
