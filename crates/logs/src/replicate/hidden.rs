//! Kept files that a stranger hides in the open swarm.
//!
//! There, anybody may dismiss a file from all buckets of files. Then lists do not show it. But its holders know from the
//! content who its uploader is. For them, a dismissal by another peer has no effect: they keep the file, and continue to
//! state it. So it is listed again when the dismissal ends.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Replication;
use super::outlook::HELD_AT;
use crate::buckets::Station;
use crate::index::{SharedFile, State};
use crate::versions::is_withdrawn;
use dcache::{Kind, Record, Set, Time};
use ipfs::Cid;
use std::collections::BTreeMap;

impl Replication {
    /// Returns the kept files of others that are not among `files` because another peer than the uploader dismisses
    /// them. They count as safe.
    pub(super) fn hidden(
        &self,
        set: &Set,
        files: &BTreeMap<Cid, SharedFile>,
        now: Time,
    ) -> BTreeMap<Cid, SharedFile> {
        if !set.policy().roots().is_empty() {
            return BTreeMap::new();
        }
        let missing = self.kept.iter().filter(|(cid, _)| !files.contains_key(cid));
        let of_others = missing.filter(|(_, description)| description.uploader != self.me);
        let hidden = of_others.filter(|(cid, description)| {
            let uploader = description.uploader;
            let hides = |record: &Record| record.kind() == Kind::Dismiss && record.signer() != uploader;
            HELD_AT.iter().any(|station| about(set, cid, *station, now).any(hides))
                && !is_withdrawn(set, cid, description, now)
        });
        let file = |(cid, _): (&Cid, _)| {
            let proposals =
                about(set, cid, Station::Safe, now).filter(|record| record.kind() == Kind::Propose);
            let holders = proposals.map(|record| (record.signer(), record.validity().until())).collect();
            let mut file = SharedFile::new(*cid);
            (file.state, file.holders) = (State::Safe, holders);
            (*cid, file)
        };
        hidden.map(file).collect()
    }
}

/// Returns the valid records about a file at a station.
fn about<'a>(set: &'a Set, cid: &Cid, station: Station, now: Time) -> impl Iterator<Item = &'a Record> {
    set.records_about(&station.item(cid)).iter().filter(move |record| record.validity().contains(now))
}

#[cfg(test)]
mod tests {
    use crate::buckets::{LIFETIME, Station};
    use crate::index::index;
    use crate::index::tests::{NOW, cid, description, peer, publish, say};
    use crate::replicate::Replication;
    use crate::unlisted::GRACE;
    use dcache::{Kind, Moment, Set, Statements, Validity};
    use service::Decide as _;

    /// Lets peer 2 keep the file of peer 1 for twice the grace time, while peer `by` dismisses the file every day. Returns
    /// whether peer 2 keeps it to the end, and the number of its records.
    fn kept_while_dismissed_by(by: u8) -> (bool, usize) {
        let (mut set, mut records) = (Set::default(), 0);
        say(&mut set, 1, Kind::Propose, Station::Files.item(&cid()), LIFETIME);
        let mut replication = Replication::new(peer(2));
        replication.set_kept([(cid(), description(1, "a.bag"))].into());
        for hour in 0..2 * GRACE / 3600 {
            let now = NOW.plus(hour * 3600);
            if hour % 24 == 1 {
                let mut dismissals = Statements::new();
                for station in [Station::Files, Station::Verified, Station::Safe] {
                    dismissals.dismiss(station.item(&cid()), Validity::stated(now, LIFETIME));
                }
                publish(&mut set, by, dismissals, now);
                assert!(index(&set, now).is_empty(), "lists do not show it");
            }
            let decision = replication.decide(&set, Moment::certain(now));
            records += publish(&mut set, 2, decision.statements, now);
            let changes = std::mem::take(&mut replication.unlisted().changes);
            replication.unlisted().noted.extend(changes.noted);
            if !decision.actions.is_empty() || !changes.released.is_empty() {
                return (false, records);
            }
        }
        (true, records)
    }

    #[test]
    fn a_file_that_a_stranger_hides_is_kept_and_stated_at_half_of_each_lifetime() {
        let (is_kept, records) = kept_while_dismissed_by(9);
        assert!(is_kept);
        // It states the file and its description.
        let expected = 2 * usize::try_from(2 * GRACE / (LIFETIME / 2)).unwrap();
        assert!((expected / 3..=expected + 6).contains(&records), "{records} records, {expected} expected");
    }

    #[test]
    fn a_file_that_its_uploader_hides_is_dropped() {
        assert!(!kept_while_dismissed_by(1).0);
    }
}
