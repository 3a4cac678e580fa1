//! The log of uses: which peer reached which port, from when until when, and which peers were refused.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::judge::Refusal;
use dcache::{PeerId, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of uses that are remembered. The oldest are forgotten.
const MAX_USES: usize = 256;
/// Maximum number of refusals that are remembered, apart from uses. So no stranger can displace a use from the log.
const MAX_REFUSALS: usize = 64;

/// A use of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// The peer, as the connection proved it.
    pub peer: PeerId,
    /// The TCP port.
    pub port: u16,
    /// Time at which the stream began.
    pub from: Time,
    /// Time at which the stream ended; `None` while it is open, and if the daemon ended without writing it.
    pub until: Option<Time>,
    /// Number of bytes that the peer received.
    pub sent: u64,
    /// Number of bytes that the peer sent.
    pub received: u64,
    /// How the stream ended; `None` while it is open.
    pub end: Option<UseEnd>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseEnd {
    /// One of the two ends closed it, or the connection broke.
    Closed,
    /// The permission, or the role, was taken back or ended.
    TakenBack,
    /// No byte was sent for a long time.
    Idle,
    /// No program listens at the port.
    NothingListens,
    /// The daemon ended meanwhile.
    Interrupted,
}

/// Refusals of one peer for one reason, at one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedUse {
    /// The peer, as the connection proved it.
    pub peer: PeerId,
    /// The TCP port that it asked for; `None` if it named none in time.
    pub port: Option<u16>,
    /// Reason of the refusals.
    pub reason: Refusal,
    /// Time of the first refusal.
    pub from: Time,
    /// Time of the last refusal.
    pub last: Time,
    /// Number of refusals.
    pub times: u64,
}

/// The log in memory, and the rows that are not on the disk yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct UseLog {
    uses: BTreeMap<u64, Use>,
    refusals: BTreeMap<u64, RefusedUse>,
    changed_uses: BTreeSet<u64>,
    changed_refusals: BTreeSet<u64>,
}

/// Changed rows of a table: `None` stands for a forgotten row.
pub(crate) type Changes<V> = Vec<(u64, Option<V>)>;

impl UseLog {
    /// Creates the log from the rows on the disk. Uses that were open when the daemon ended count as interrupted.
    pub(crate) fn new(
        uses: impl IntoIterator<Item = (u64, Use)>,
        refusals: impl IntoIterator<Item = (u64, RefusedUse)>,
    ) -> Self {
        let mut uses: BTreeMap<u64, Use> = uses.into_iter().collect();
        for row in uses.values_mut().filter(|row| row.end.is_none()) {
            row.end = Some(UseEnd::Interrupted);
        }
        Self { uses, refusals: refusals.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn uses(&self) -> impl DoubleEndedIterator<Item = (u64, &Use)> {
        self.uses.iter().map(|(number, row)| (*number, row))
    }

    pub(crate) fn refusals(&self) -> impl DoubleEndedIterator<Item = &RefusedUse> {
        self.refusals.values()
    }

    /// Notes the begin of a use, and returns its number.
    pub(crate) fn begin(&mut self, peer: PeerId, port: u16, now: Time) -> u64 {
        let row = Use { peer, port, from: now, until: None, sent: 0, received: 0, end: None };
        let number = next(&self.uses);
        self.uses.insert(number, row);
        self.changed_uses.insert(number);
        let oldest = self.uses.iter().find(|(_, row)| row.end.is_some()).map(|(oldest, _)| *oldest);
        if let Some(oldest) = oldest.filter(|_| self.uses.len() > MAX_USES) {
            self.uses.remove(&oldest);
            self.changed_uses.insert(oldest);
        }
        number
    }

    /// Notes the end of a use.
    pub(crate) fn end(&mut self, number: u64, end: UseEnd, now: Time, (sent, received): (u64, u64)) {
        let Some(row) = self.uses.get_mut(&number) else { return };
        *row = Use { until: Some(now), end: Some(end), sent, received, ..*row };
        self.changed_uses.insert(number);
    }

    /// Notes a refusal.
    pub(crate) fn refuse(&mut self, peer: PeerId, port: Option<u16>, reason: Refusal, now: Time) {
        let is_same = |row: &RefusedUse| (row.peer, row.port, row.reason) == (peer, port, reason);
        if let Some((number, row)) = self.refusals.iter_mut().find(|(_, row)| is_same(row)) {
            (row.last, row.times) = (now, row.times.saturating_add(1));
            self.changed_refusals.insert(*number);
            return;
        }
        let number = next(&self.refusals);
        self.refusals.insert(number, RefusedUse { peer, port, reason, from: now, last: now, times: 1 });
        self.changed_refusals.insert(number);
        if self.refusals.len() > MAX_REFUSALS
            && let Some((oldest, _)) = self.refusals.pop_first()
        {
            self.changed_refusals.insert(oldest);
        }
    }

    /// Returns whether a use is not on the disk yet.
    pub(crate) fn has_changed_uses(&self) -> bool {
        !self.changed_uses.is_empty()
    }

    /// Takes the rows that are not on the disk yet.
    pub(crate) fn take_changes(&mut self) -> (Changes<Use>, Changes<RefusedUse>) {
        let uses = std::mem::take(&mut self.changed_uses).into_iter();
        let refusals = std::mem::take(&mut self.changed_refusals).into_iter();
        let uses = uses.map(|number| (number, self.uses.get(&number).copied())).collect();
        (uses, refusals.map(|number| (number, self.refusals.get(&number).copied())).collect())
    }
}

fn next<V>(rows: &BTreeMap<u64, V>) -> u64 {
    rows.last_key_value().map_or(1, |(last, _)| last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    const NOW: Time = Time(1_800_000_000);

    fn peer(who: u8) -> PeerId {
        Keypair::from_seed([who; 32]).peer_id()
    }

    #[test]
    fn a_use_is_noted_at_its_begin_and_at_its_end() {
        let mut log = UseLog::default();
        let number = log.begin(peer(1), 22, NOW);
        let (changes, _) = log.take_changes();
        assert!(matches!(changes[..], [(1, Some(Use { end: None, until: None, .. }))]), "{changes:?}");
        log.end(number, UseEnd::TakenBack, NOW.plus(5), (10, 20));
        let (changes, _) = log.take_changes();
        let row = changes[0].1.unwrap();
        assert_eq!(
            (row.end, row.until, row.sent, row.received),
            (Some(UseEnd::TakenBack), Some(NOW.plus(5)), 10, 20)
        );
        assert!(!log.has_changed_uses());
    }

    #[test]
    fn the_log_is_bounded_and_refusals_displace_no_use() {
        let mut log = UseLog::default();
        let open = log.begin(peer(1), 22, NOW);
        for second in 0..2 * MAX_USES as u64 {
            let number = log.begin(peer(1), 22, NOW.plus(second));
            log.end(number, UseEnd::Closed, NOW.plus(second), (0, 0));
        }
        for who in 0..200 {
            log.refuse(peer(who), Some(22), Refusal::Stranger, NOW);
            log.refuse(peer(who), Some(22), Refusal::Stranger, NOW.plus(1));
        }
        assert_eq!((log.uses().count(), log.refusals().count()), (MAX_USES, MAX_REFUSALS));
        assert!(log.uses().any(|(number, _)| number == open), "an open use is kept");
        assert!(log.refusals().all(|row| row.times == 2 && row.last == NOW.plus(1)));
        let (uses, refusals) = log.take_changes();
        let kept: Vec<u64> =
            uses.iter().filter(|(_, row)| row.is_some()).map(|(number, _)| *number).collect();
        assert_eq!(kept.len(), MAX_USES);
        assert_eq!(refusals.iter().filter(|(_, row)| row.is_some()).count(), MAX_REFUSALS);
    }

    #[test]
    fn uses_that_were_open_when_the_daemon_ended_are_interrupted() {
        let mut log = UseLog::default();
        log.begin(peer(1), 22, NOW);
        let (uses, _) = log.take_changes();
        let again = UseLog::new(uses.into_iter().filter_map(|(number, row)| Some((number, row?))), []);
        assert_eq!(again.uses().next().unwrap().1.end, Some(UseEnd::Interrupted));
    }
}
