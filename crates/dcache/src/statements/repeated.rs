//! Leaves out what a signer has stated already. A decider looks at what counts, and others decide about that: while one of
//! them dismisses what a node states, the node's own statement seems to be missing, however often it is made. So no unchanged
//! word is repeated before half of its time is over, whatever a decider wants.

use super::{Entry, Statements};
use crate::{Key, Moment, PeerId, Record, Set, Time, Validity};

/// Number of new items for which a signer has to have room. A signer with less renews some statements early, so that others
/// that state nothing any more leave. A shared file takes three.
const ENOUGH_ROOM: usize = 4;
/// Time, in seconds, by which such an early renewal has to hold longer than the record that it replaces.
const WORTHWHILE: u64 = 3600;

impl Statements {
    /// Leaves out those that repeat a statement of `signer` that still holds for more than half as long, by the clocks of the
    /// neighbours too, and those that take back what was taken back. A signer without room for more may renew early what
    /// keeps such room from it, once an hour.
    pub(super) fn leave_out_repeated(&mut self, set: &Set, signer: PeerId, now: Moment) {
        self.0.retain(|entry| {
            let own = set.get(&Key { item: entry.item.clone(), signer });
            let is_said = own.is_some_and(|own| is_repetition(entry, own, now));
            let makes_room = || own.is_some_and(|own| makes_room(entry, own, set, now.time));
            !is_said || entry.is_insistent || makes_room()
        });
    }
}

/// Returns whether a statement says no more than the signer's record about the same item.
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
        // Not much longer either: an end that moves forward by half is a change.
        (Some(said), Some(new)) => {
            let (said, new) = (said.since(from), new.since(from));
            new / 2 < said && said / 2 <= new
        }
    }
}

/// Returns whether a statement lifts its record above others of the same signer that state nothing any more and take the
/// room of new ones.
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

    /// Publishes what is worth it, as a daemon does, and returns how many records that takes.
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
    fn who_is_denied_repeats_nothing_before_half_of_its_time() {
        let mut set = Set::default();
        let mut dismissal = Statements::new();
        dismissal.dismiss(item("a"), Validity::stated(NOW, WEEK));
        assert_eq!(publish(&mut set, 2, dismissal, Moment::certain(NOW)), 1);
        // A decision every hour for two weeks, each of which wants to state the same anew.
        let hour = |hour: u64| NOW.plus(3600 * hour);
        let made: usize =
            (0..336).map(|at| publish(&mut set, 1, keeps(hour(at)), Moment::certain(hour(at)))).sum();
        assert_eq!(made, 4, "once, and again whenever half of its time is over");
    }

    #[test]
    fn another_word_is_no_repetition() {
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
    fn what_does_not_reach_the_neighbours_is_stated_anew_and_so_is_what_a_copied_key_insists_on() {
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
    fn a_signer_without_room_lifts_a_statement_above_what_states_nothing_once_an_hour() {
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
        /// Whatever others say, and however often a decider wants to say the same, a word is said once in half of its time.
        #[test]
        fn others_make_nobody_repeat_himself(
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
