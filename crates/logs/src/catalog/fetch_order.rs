//! Decides which catalogue is fetched next.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::search::Found;
use dcache::PeerId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Minimum time between two versions of one robot that are fetched.
const BETWEEN_VERSIONS: Duration = Duration::from_secs(60);
/// Minimum and maximum backoff before a catalogue that could not be fetched is tried again.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(15 * 60));
/// Time after which a slow fetch goes on, if no other catalogue waits longer.
const GO_ON: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, Default)]
struct Attempt {
    failures: u32,
    not_before: Duration,
}

/// The earlier attempts to fetch catalogues. All times are since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct FetchOrder(BTreeMap<PeerId, Attempt>);

impl FetchOrder {
    /// Returns the catalogue to fetch now, of those that were not read. Robots in reach come first, then robots with a role,
    /// and then the robot that has waited longest.
    pub(crate) fn next<'a>(&self, unread: &'a [Found], now: Duration) -> Option<&'a Found> {
        let due = unread.iter().filter(|found| found.providers.is_some() && self.due(found) <= now);
        let is_away = |found: &Found| found.providers.as_ref().is_some_and(Vec::is_empty);
        due.min_by_key(|found| (is_away(found), !found.is_member, self.due(found), found.robot))
    }

    /// Returns the time at which the next of these catalogues may be fetched.
    pub(crate) fn wake(&self, unread: &[Found]) -> Option<Duration> {
        unread.iter().filter(|found| found.providers.is_some()).map(|found| self.due(found)).min()
    }

    fn due(&self, found: &Found) -> Duration {
        self.0.get(&found.robot).map_or(Duration::ZERO, |attempt| attempt.not_before)
    }

    /// Notes that a catalogue was read.
    pub(crate) fn note_read(&mut self, robot: PeerId, now: Duration) {
        self.0.insert(robot, Attempt { failures: 0, not_before: now + BETWEEN_VERSIONS });
    }

    /// Notes that a catalogue could not be fetched. Returns the time until the next attempt.
    pub(crate) fn note_failed(&mut self, robot: PeerId, now: Duration) -> Duration {
        let attempt = self.0.entry(robot).or_default();
        let wait = (TRY_AGAIN.0 * 2u32.saturating_pow(attempt.failures)).min(TRY_AGAIN.1);
        *attempt = Attempt { failures: attempt.failures + 1, not_before: now + wait };
        wait
    }

    /// Notes that the fetch of a catalogue takes longer than its turn.
    pub(crate) fn note_slow(&mut self, robot: PeerId, now: Duration) {
        self.0.entry(robot).or_default().not_before = now + GO_ON;
    }

    /// Forgets all robots whose catalogues were not found.
    pub(crate) fn retain(&mut self, found: &[Found]) {
        self.0.retain(|robot, _| found.iter().any(|found| found.robot == *robot));
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::tests::numbered;
    use super::super::stated::StatedCatalog;
    use super::*;
    use crate::index::tests::peer;

    fn found(seed: u8, is_member: bool) -> Found {
        let catalog = StatedCatalog { root: numbered(u32::from(seed)), files: 1, bytes: 9 };
        let id = ipfs::Keypair::ed25519_from_bytes([seed; 32]).unwrap().public().to_peer_id();
        Found { robot: peer(seed), catalog, sequence: 1, is_member, providers: Some(vec![(id, Vec::new())]) }
    }

    #[test]
    fn a_slow_fetch_goes_on_when_the_others_had_their_turn() {
        let (unread, mut order) = (vec![found(1, true), found(2, true)], FetchOrder::default());
        let seconds = Duration::from_secs;
        let next = |order: &FetchOrder, now| order.next(&unread, seconds(now)).map(|found| found.robot);
        let first = next(&order, 0).unwrap();
        order.note_slow(first, seconds(15));
        let second = next(&order, 15).unwrap();
        assert_ne!(second, first);
        order.note_read(second, seconds(16));
        assert_eq!((next(&order, 16), next(&order, 20)), (None, Some(first)));
    }

    #[test]
    fn members_come_first_and_failures_wait_longer_each_time() {
        let (unread, mut order) = (vec![found(1, false), found(2, true)], FetchOrder::default());
        let seconds = Duration::from_secs;
        let next = |order: &FetchOrder, now| order.next(&unread, seconds(now)).map(|found| found.robot);
        assert_eq!(next(&order, 0), Some(peer(2)));
        assert_eq!(order.note_failed(peer(2), seconds(0)), seconds(10));
        assert_eq!(next(&order, 0), Some(peer(1)));
        order.note_read(peer(1), seconds(0));
        assert_eq!(
            (next(&order, 9), next(&order, 10), order.wake(&unread)),
            (None, Some(peer(2)), Some(seconds(10)))
        );
        assert_eq!(order.note_failed(peer(2), seconds(10)), seconds(20));
        assert_eq!(next(&order, 60), Some(peer(2)));
        for _ in 0..20 {
            order.note_failed(peer(2), seconds(60));
        }
        assert_eq!((next(&order, 60), next(&order, 61 + 15 * 60)), (Some(peer(1)), Some(peer(2))));
        order.retain(&[]);
        assert_eq!(next(&order, 0), Some(peer(2)));
        let unreachable = Found { providers: None, ..found(1, true) };
        let away = Found { providers: Some(Vec::new()), ..found(1, true) };
        assert_eq!(order.next(&[unreachable], seconds(0)), None);
        let both = [away, found(2, false)];
        assert_eq!(order.next(&both, seconds(0)).map(|found| found.robot), Some(peer(2)));
        assert_eq!(order.next(&both[..1], seconds(0)).map(|found| found.robot), Some(peer(1)));
    }
}
