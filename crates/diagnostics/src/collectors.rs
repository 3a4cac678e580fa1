//! Collectors: peers that roles name, and that store the histories of the swarm's robots.
//!
//! A collector fetches the batches that robots announce, opens them, and stores each row exactly once. A row gets its
//! place in time when the clock of its robot was right at some moment of the same boot, also if a later batch says so.
//! When the rows are durable, the collector states a receipt. The robot then forgets the batches.
//!
//! | task | files |
//! |---|---|
//! | which batches to fetch, keys and receipts | `decide` |
//! | the rows of a batch, with all limits | `check` |
//! | what is known about a robot | `track` |
//! | storing rows exactly once, and placing them in time | `intake` |
//! | rows for other databases | `outgoing`, `remote_write`, `otlp` |
//!
//! The store is a [`intake::Table`], which the I/O shell provides.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod check;
pub mod decide;
pub mod intake;
pub mod otlp;
pub mod outgoing;
pub mod remote_write;
pub mod track;

use crate::batch::seal::{OpenError, open};
use crate::batch::{FleetId, SealingKey};
use dcache::PeerId;
use decide::Fetch;

/// Opens a batch that was fetched, and checks that it is the announced one. Returns the number of the row up to which no
/// row has to be stored, and the content.
///
/// # Errors
/// Returns an error if the batch is malformed, is another one, is not sealed for `me`, or was changed.
pub fn open_fetched(
    bytes: &[u8],
    fetch: &Fetch,
    fleet: FleetId,
    (me, key): (PeerId, &SealingKey),
) -> Result<(u64, Vec<u8>), OpenError> {
    let (Fetch { robot, batch }, mut base) = (fetch, 0);
    let content = open(bytes, (me, key), |subject| {
        base = subject.base;
        let range = (subject.history, subject.after, subject.last);
        (subject.fleet, subject.robot) == (fleet, *robot) && range == (batch.history, batch.after, batch.last)
    })?;
    Ok((base, content))
}

#[cfg(test)]
mod tests;
