//! Reads what this node had on its disk when it stopped.

use dcache::{Key, Policy, Record, Time};
use store::{Batch, Loaded, ReadError, Store};

/// What was on the disk.
pub(super) struct Saved {
    pub(super) records: Vec<Record>,
    pub(super) sequence: Option<u64>,
    pub(super) time: Option<Time>,
}

/// Reads all. Blocks. Records that were signed in another swarm than the one with this policy are removed: where the swarm
/// file was changed while the daemon did not run, or it stopped in the middle of a change, all are verified, once.
pub(super) fn load(store: &Store, policy: &Policy) -> Result<Saved, ReadError> {
    let Loaded { mut records, reasons, .. } = store.load()?;
    for reason in &reasons {
        tracing::warn!(reason, "a row of the store is no record; it is left alone");
    }
    if store.signed_for()? != policy.mark() {
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|record| record.is_signed_for(policy));
        records = here;
        tracing::info!(records = elsewhere.len(), "records that were signed in another swarm are removed");
        let remove = elsewhere.iter().map(Key::from).collect();
        let batch = Batch { remove, signed_for: Some(policy.mark()), ..Batch::default() };
        if let Err(error) = store.write(&batch) {
            tracing::warn!(%error, "they stay on the disk for now, and are verified again at the next start");
        }
    }
    Ok(Saved { records, sequence: store.sequence()?, time: store.time()? })
}
