//! Validities that begin before the time of signing, so that the clocks of signer and reader need not agree.

use super::{End, Time, Validity};
use crate::Moment;
use crate::buckets::LONGEST_LIFETIME;

/// Time, in seconds, by which a statement begins to hold before its signer's current time. For a reader whose clock is
/// up to twenty minutes behind, the statement holds at once. The other five minutes allow for clocks that run at
/// different speeds.
pub const CLOCK_LEEWAY: u64 = 25 * 60;

/// Time, in seconds, by which a statement begins earlier than it was made if its signer did not know the time. It differs
/// from [`CLOCK_LEEWAY`], so that readers recognise the statement.
const DOUBTED_LEEWAY: u64 = CLOCK_LEEWAY - 60;

impl Validity {
    /// Returns the validity of a statement for `seconds` that its signer makes at `now` without knowing the time. The
    /// statement is no evidence of the time: see [`Self::is_doubted`].
    pub fn doubted(now: Time, seconds: u64) -> Self {
        let from = Time(now.0.saturating_sub(DOUBTED_LEEWAY));
        Self { from, until: End::at(now.plus(seconds.max(1))) }
    }

    /// Returns whether the signer of a statement for `seconds` did not know the time: see [`Self::doubted`].
    pub fn is_doubted(&self, seconds: u64) -> bool {
        let signed = self.until().map(|until| until.0.saturating_sub(seconds));
        signed.zip(self.from()).is_some_and(|(signed, from)| from.0.saturating_add(DOUBTED_LEEWAY) == signed)
    }

    /// Returns the validity of a statement made at `now`, by the signer's clock, that lasts for `seconds`. It begins
    /// [`CLOCK_LEEWAY`] earlier, or less if the validity would otherwise exceed [`LONGEST_LIFETIME`]. Every statement
    /// that holds from the time of signing gets its validity from here.
    pub fn stated(now: Time, seconds: u64) -> Self {
        Self::stated_until(now, Some(now.plus(seconds.max(1))))
    }

    /// Returns a validity like [`Self::stated`], with a given end; `None` is an open end.
    pub fn stated_until(now: Time, until: Option<Time>) -> Self {
        // A validity beyond the limit needs a role anyway, so the leeway is not reduced.
        let spare = until.and_then(|until| LONGEST_LIFETIME.checked_sub(until.since(now)));
        let early = spare.map_or(CLOCK_LEEWAY, |spare| spare.min(CLOCK_LEEWAY));
        Self { from: Time(now.0.saturating_sub(early)), until: until.into() }
    }

    /// Returns a validity like [`Self::stated`], for an item that the signer already states with the validity `former`.
    /// The renewal has the same start, as far as the limit allows. It replaces the former record. With a later start, a
    /// reader whose clock is behind would not see the item for a while after every renewal. With the same start, a
    /// signer whose clock is hours ahead has this delay only once.
    pub fn renewed(former: Option<&Self>, now: Time, seconds: u64) -> Self {
        let stated = Self::stated(now, seconds);
        let start = former.filter(|former| former.contains(now)).and_then(Self::from);
        let earliest = Time(now.plus(seconds.max(1)).0.saturating_sub(LONGEST_LIFETIME));
        let from = start.map_or(stated.from, |start| start.max(earliest).min(stated.from));
        Self { from, ..stated }
    }

    /// Extends this validity, which contains `now`, so that the statement also holds by the clocks of the neighbours,
    /// for the same length of time. Leaves it unchanged if it would exceed the limit for a signer without a role.
    #[must_use]
    pub fn reaching(self, now: Moment) -> Self {
        let from = self.from().map(|from| Time(from.0.saturating_sub(now.time.since(now.earliest()))));
        let until = self.until().map(|until| until.plus(now.latest().since(now.time)));
        let reaching = Self { from: from.unwrap_or(self.from), until: End::from(until) };
        let is_long = |validity: &Self| validity.seconds().is_some_and(|seconds| seconds > LONGEST_LIFETIME);
        if is_long(&reaching) && !is_long(&self) { self } else { reaching }
    }

    /// Returns a validity that is over on every clock that is at most [`CLOCK_LEEWAY`] behind. It lasts one second. A
    /// signer proposes its item again with this validity to withdraw the proposal without denying the proposals of
    /// other signers.
    pub fn over(now: Time) -> Self {
        Self::starting(Time(now.0.saturating_sub(CLOCK_LEEWAY + 1)), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, End, Item, Keypair, Kind, Record, Set, Statement, buckets};

    const NOW: Time = Time(1_800_000_000);
    const DAY: u64 = 86_400;

    #[test]
    fn a_statement_of_a_signer_that_does_not_know_the_time_is_recognised() {
        assert!(Validity::doubted(NOW, 600).is_doubted(600));
        let first = Validity::stated(NOW, 600);
        assert!(!first.is_doubted(600));
        let doubted = Validity::doubted(NOW, 600);
        for former in [first, doubted] {
            let later = Validity::renewed(Some(&former), NOW.plus(300), 600);
            assert!(!later.is_doubted(600), "the signer knows the time again");
        }
        assert!(!Validity::starting(NOW, 600).is_doubted(600));
        assert!(doubted.contains(Time(NOW.0 - 20 * 60)), "a reader twenty minutes behind sees it hold");
    }

    #[test]
    fn a_reader_twenty_minutes_behind_sees_a_statement_hold_at_once() {
        for seconds in [1, 600, 3600, 7 * DAY, LONGEST_LIFETIME - CLOCK_LEEWAY] {
            let validity = Validity::stated(NOW, seconds);
            let hold: Vec<bool> = [0, 1200].map(|behind| validity.contains(Time(NOW.0 - behind))).into();
            assert_eq!(hold, [true, true], "for {seconds} s");
            assert_eq!(validity.until(), Some(NOW.plus(seconds)), "the end is the requested one");
        }
        let open = Validity::stated_until(NOW, None);
        assert!(open.contains(Time(NOW.0 - 1200)) && open.until().is_none());
        let longer = Validity::stated(NOW, 30 * DAY);
        assert!(longer.contains(Time(NOW.0 - 1200)), "a signer with a role has no limit");
        assert_eq!(Validity::stated(Time(5), 10).from(), Some(Time(0)));
    }

    #[test]
    fn a_statement_without_a_role_is_admitted_by_clocks_that_differ() {
        let key = Keypair::from_seed([1; 32]);
        for seconds in [600, LONGEST_LIFETIME - CLOCK_LEEWAY, LONGEST_LIFETIME - 1, LONGEST_LIFETIME] {
            let once = Validity::stated(NOW, seconds);
            let again = Validity::renewed(Some(&once), NOW.plus(seconds / 2), seconds);
            for (validity, now) in [(once, NOW), (again, NOW.plus(seconds / 2))] {
                let item = Item { bucket: buckets::SHARE_FILES.path(), data: Data::new("a").unwrap() };
                let statement = Statement::new(Kind::Propose, item, validity).unwrap();
                let record = Record::sign(statement, &key, 1, End::default());
                for clock in [Time(now.0 - 1200), now, now.plus(seconds.min(1200) / 2)] {
                    let admitted = Set::default().admit_verified(record.clone(), clock);
                    assert!(admitted.is_ok(), "{seconds} s by {clock}: {admitted:?}");
                }
            }
        }
    }

    #[test]
    fn a_renewal_holds_from_the_start_of_the_former_validity() {
        let former = Validity::stated(NOW, 3600);
        let later = NOW.plus(1800);
        assert_eq!(Validity::renewed(Some(&former), later, 3600).from(), former.from());
        assert_eq!(Validity::renewed(None, later, 3600), Validity::stated(later, 3600));
        let over = NOW.plus(7200);
        assert_eq!(Validity::renewed(Some(&former), over, 3600), Validity::stated(over, 3600));
        let mut validity = former;
        for half in 1..2000 {
            validity = Validity::renewed(Some(&validity), NOW.plus(1800 * half), 3600);
            assert!(validity.seconds().is_some_and(|seconds| seconds <= LONGEST_LIFETIME));
        }
    }

    #[test]
    fn a_statement_reaches_neighbours_whose_clocks_are_hours_away() {
        let stated = Validity::stated(NOW, 3600);
        assert_eq!(stated.reaching(Moment::certain(NOW)), stated);
        for hours in [-3_i64, 3] {
            let neighbours = Time(NOW.0.saturating_add_signed(hours * 3600));
            let reaching = stated.reaching(Moment { neighbours, ..Moment::certain(NOW) });
            for clock in [neighbours, NOW, neighbours.plus(3599), NOW.plus(3599)] {
                assert!(reaching.contains(clock), "{hours} h: {reaching:?} at {clock}");
            }
        }
        let long = Validity::stated(NOW, LONGEST_LIFETIME - 3600);
        let far = Moment { neighbours: NOW.plus(7200), ..Moment::certain(NOW) };
        assert_eq!(long.reaching(far), long, "no longer than accepted");
        assert!(Validity::ALWAYS.reaching(far) == Validity::ALWAYS);
    }

    #[test]
    fn a_withdrawn_statement_is_over_for_a_reader_twenty_minutes_behind() {
        assert!(Validity::over(NOW).is_over(Time(NOW.0 - 1200)));
        assert!(Validity::over(Time(3)).is_over(Time(3)));
    }
}
