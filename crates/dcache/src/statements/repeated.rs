//! Removes the statements that a signer has already made.
//!
//! A decider looks at the items that count, and other signers influence which items count. While another signer
//! dismisses a node's item, the node's proposal seems to be missing, even if the node repeats it. So no unchanged
//! statement is repeated before half of its validity is over, even if a decider requests it.

use super::{Entry, Statements};
use crate::{Key, Moment, PeerId, Record, Set, Time, Validity};

/// Number of new items for which a signer should have room. A signer with less room renews some statements early, so
/// that its spent records can be evicted. A shared file needs three items.
const ENOUGH_ROOM: usize = 4;
/// Minimum time, in seconds, by which an early renewal must end later than the record that it replaces.
const WORTHWHILE: u64 = 3600;

impl Statements {
    /// Removes the statements that repeat a statement of `signer`, if the earlier one still holds for more than half as
    /// long, also by the clocks of the neighbours. Removes the withdrawals of statements that are already withdrawn. A
    /// signer without room for new items may renew each statement early, at most once an hour, to get such room.
    pub(super) fn leave_out_repeated(&mut self, set: &Set, signer: PeerId, now: Moment) {
        self.0.retain(|entry| {
            let own = set.get(&Key { item: entry.item.clone(), signer });
            let is_said = own.is_some_and(|own| is_repetition(entry, own, now));
            let makes_room = || own.is_some_and(|own| makes_room(entry, own, set, now.time));
            !is_said || entry.is_insistent || makes_room()
        });
    }
}

/// Returns whether a statement adds nothing to the signer's record about the same item.
fn is_repetition(entry: &Entry, own: &Record, now: Moment) -> bool {
    let (new, said) = (&entry.validity, own.validity());
    if entry.kind != own.kind() {
        return false;
    }
    if new.is_over(now.time) {
        return said.is_over(now.earliest()) || said.end() <= new.end();
    }
    let is_said = |time| !new.contains(time) || said.contains(time);
    let times = [now.time, now.earliest(), now.latest()];
    new.contains(now.time) && times.into_iter().all(is_said) && lasts(said, new, now.latest())
}

/// Returns whether `said` still holds for more than half as long as `new` would.
fn lasts(said: &Validity, new: &Validity, from: Time) -> bool {
    match (said.until(), new.until()) {
        (said, None) => said.is_none(),
        (None, Some(_)) => false,
        // A new end that is much earlier is a change: it reduces the remaining time to less than half.
        (Some(said), Some(new)) => {
            let (said, new) = (said.since(from), new.since(from));
            new / 2 < said && said / 2 <= new
        }
    }
}

/// Returns whether the renewed record would outrank spent records of the same signer, so that these can be evicted for
/// new records.
fn makes_room(entry: &Entry, own: &Record, set: &Set, now: Time) -> bool {
    let (signer, bucket) = (own.signer(), &entry.item.bucket);
    let Some((said, new)) = own.validity().until().zip(entry.validity.until()) else { return false };
    let spent = set.spent_until(signer, bucket, now);
    new >= said.plus(WORTHWHILE)
        && spent.is_some_and(|spent| own.keep().is_over(spent))
        && set.room_beside(signer, bucket, now) < ENOUGH_ROOM
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, End, Item, Keypair, Kind, Limits, Policy, Statement, buckets};
    use proptest::prelude::*;

    const NOW: Time = Time(1_800_000_000);
    const WEEK: u64 = 7 * 24 * 3600;

    fn key(seed: u8) -> Keypair {
        Keypair::from_seed([seed; 32])
    }

    fn item(data: &str) -> Item {
        Item { bucket: buckets::SHARE_SAFE.path(), data: Data::new(data).unwrap() }
    }

    /// Publishes the statements that [`Statements::keep_worthwhile`] leaves, as a daemon does. Returns the number of
    /// new records.
    fn publish(set: &mut Set, seed: u8, mut statements: Statements, now: Moment) -> usize {
        let me = key(seed).peer_id();
        statements.keep_worthwhile(set, me, now);
        let signable = statements.into_signable().unwrap();
        let number = signable.len();
        for statement in signable {
            let former = set.get(&Key { item: statement.item().clone(), signer: me }).map(Record::keep);
            let sequence = set.latest_sequence(me) + 1;
            let record = Record::sign(statement, &key(seed), sequence, former.unwrap_or_default());
            set.admit_verified(record, now.time).unwrap();
        }
        number
    }

    fn keeps(now: Time) -> Statements {
        let mut statements = Statements::new();
        statements.propose(item("a"), Validity::stated(now, WEEK));
        statements
    }

    #[test]
    fn a_dismissed_statement_is_not_repeated_before_half_of_its_validity() {
        let mut set = Set::default();
        let mut dismissal = Statements::new();
        dismissal.dismiss(item("a"), Validity::stated(NOW, WEEK));
        assert_eq!(publish(&mut set, 2, dismissal, Moment::certain(NOW)), 1);
        // A decider requests the same statement every hour for two weeks.
        let hour = |hour: u64| NOW.plus(3600 * hour);
        let made: usize =
            (0..336).map(|at| publish(&mut set, 1, keeps(hour(at)), Moment::certain(hour(at)))).sum();
        assert_eq!(made, 4, "one record at first, and one whenever half of the validity is over");
    }

    #[test]
    fn a_changed_statement_is_no_repetition() {
        let mut set = Set::default();
        let now = Moment::certain(NOW);
        let one = |kind, validity| {
            let mut statements = Statements::new();
            match kind {
                Kind::Propose => statements.propose(item("a"), validity),
                Kind::Dismiss => statements.dismiss(item("a"), validity),
            };
            statements
        };
        let (stated, over) = (Validity::stated(NOW, WEEK), Validity::over(NOW));
        for (kind, validity, made) in [
            (Kind::Propose, stated, 1),
            (Kind::Propose, stated, 0),
            (Kind::Propose, over, 1),
            (Kind::Propose, over, 0),
            (Kind::Propose, stated, 1),
            (Kind::Dismiss, stated, 1),
            (Kind::Dismiss, Validity::stated(NOW, WEEK / 3), 1),
            (Kind::Dismiss, over, 1),
        ] {
            assert_eq!(publish(&mut set, 1, one(kind, validity), now), made, "{kind:?} {validity:?}");
        }
    }

    #[test]
    fn statements_not_valid_for_the_neighbours_and_insistent_ones_are_made_again() {
        let mut set = Set::default();
        assert_eq!(publish(&mut set, 1, keeps(NOW), Moment::certain(NOW)), 1);
        let behind = Moment { neighbours: Time(NOW.0 - 7200), ..Moment::certain(NOW) };
        assert_eq!(publish(&mut set, 1, keeps(NOW), behind), 1);
        assert_eq!(publish(&mut set, 1, keeps(NOW), behind), 0);
        let mut insistent = Statements::new();
        insistent.insist(item("a"), Validity::stated(NOW, WEEK));
        assert_eq!(publish(&mut set, 1, insistent, behind), 1);
    }

    #[test]
    fn a_signer_without_room_renews_a_statement_early_once_an_hour() {
        let mut set = Set::new(Policy::default(), Limits { stranger: 3, ..Limits::default() });
        publish(&mut set, 1, keeps(NOW), Moment::certain(NOW));
        for data in ["b", "c"] {
            let statement = Statement::new(Kind::Dismiss, item(data), Validity::stated(NOW, WEEK + 3600));
            let sequence = set.latest_sequence(key(1).peer_id()) + 1;
            let record = Record::sign(statement.unwrap(), &key(1), sequence, End::default());
            set.admit_verified(record, NOW).unwrap();
        }
        let later = |minutes: u64| NOW.plus(60 * minutes);
        let made = [30, 59, 60, 61, 119]
            .map(|minutes| publish(&mut set, 1, keeps(later(minutes)), Moment::certain(later(minutes))));
        assert_eq!(made, [0, 0, 1, 0, 0]);
    }

    proptest! {
        /// A statement is made at most once in half of its validity. Statements of other signers and repeated requests
        /// of a decider do not change this.
        #[test]
        fn other_signers_cannot_make_a_signer_repeat_its_statements(
            steps in prop::collection::vec((0u64..WEEK / 10, any::<bool>(), any::<bool>()), 1..100),
        ) {
            let (mut set, mut now, mut made) = (Set::default(), NOW, 0);
            for (passed, is_dismissed, is_discarded) in steps {
                now = now.plus(passed);
                for (is_said, data) in [(is_dismissed, "a"), (is_discarded, "b")] {
                    let mut others = Statements::new();
                    if is_said {
                        others.dismiss(item(data), Validity::stated(now, WEEK));
                    }
                    publish(&mut set, 2, others, Moment::certain(now));
                }
                made += publish(&mut set, 1, keeps(now), Moment::certain(now));
            }
            let halves = usize::try_from(now.since(NOW) / (WEEK / 2)).unwrap();
            prop_assert!(made <= 1 + halves, "{made} in {halves} halves");
        }
    }
}
