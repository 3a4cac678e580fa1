//! The scheduler of fetches. It decides which file is fetched next, and which fetch must give its slot back. A fetch
//! holds its slot for a limited time slice (its *term*), so that slow or stuck fetches cannot block all other files.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::PeerId;
use ipfs::Cid;
use std::cmp::Reverse;
use std::time::Duration;

/// Maximum size, in bytes, of a small file: 4 MiB. At the rate [`FAST`] it takes about a minute.
const SMALL: u64 = 4 << 20;
/// Number of slots for small files only, in addition to those for all files.
const FOR_SMALL: usize = 1;
/// Minimum rate, in bytes per second, of a fetch that keeps its slot for [`LONG_TERM`] although other files wait.
const FAST: u64 = 64 << 10;
/// Time for which a slow fetch keeps its slot when other files wait. A source that sends 40 kB/s needs 6.5 s for a
/// block of 256 KiB.
const TERM: Duration = Duration::from_secs(8);
/// Time for which a fast fetch keeps its slot when other files wait.
const LONG_TERM: Duration = Duration::from_secs(60);

/// A file that could be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) cid: Cid,
    /// Peer that signed that it shares the file, if any.
    pub(crate) uploader: Option<PeerId>,
    /// Whether the file is in the shared folder of this node. Such a file lacks blocks.
    pub(crate) is_own: bool,
    /// Whether the uploader is a member of the swarm. Without roles, every peer is a member.
    pub(crate) is_member: bool,
    /// Whether this node already keeps a file of the uploader.
    pub(crate) is_proven: bool,
    /// Size in bytes that the root of the file claims. Before the root is known, the size in the description.
    pub(crate) size: Option<u64>,
    /// Number of times that the file gave its slot back.
    pub(crate) turns: u32,
}

impl Candidate {
    fn is_small(&self) -> bool {
        self.size.is_some_and(|size| size <= SMALL)
    }

    /// Returns the class of a candidate. The lowest class goes first.
    fn class(&self) -> (bool, bool) {
        (!self.is_own, !self.is_member)
    }
}

/// A fetch that has a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loan {
    pub(crate) file: Candidate,
    /// Time since the fetch got the slot.
    pub(crate) held: Duration,
    /// Bytes received from peers in this time.
    pub(crate) received: u64,
    /// Whether the fetch was told to give its slot back.
    pub(crate) is_ending: bool,
}

impl Loan {
    /// Returns the rate in bytes per second.
    fn rate(&self) -> u64 {
        self.received / self.held.as_secs().max(1)
    }

    /// Returns the time for which the fetch may keep its slot when other files wait. The term of a fetch that received
    /// nothing doubles at each turn, since its source may need longer for one block.
    fn term(&self) -> Duration {
        match self.received {
            0 => (TERM * 2u32.saturating_pow(self.file.turns.min(8))).min(LONG_TERM),
            _ if self.rate() >= FAST => LONG_TERM,
            _ => TERM,
        }
    }

    /// Returns the number of turns of the file, including the terms of this loan.
    fn turns(&self) -> u64 {
        u64::from(self.file.turns) + self.held.as_secs() / self.term().as_secs()
    }
}

/// The slots of all fetches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    loans: Vec<Loan>,
    /// Number of slots for files of any size.
    limit: usize,
}

impl Places {
    pub(crate) fn new(loans: Vec<Loan>, limit: usize) -> Self {
        Self { loans, limit }
    }

    /// Sorts candidates so that the next one is last. The criteria, the most important first:
    ///
    /// 1. own files before files of members, and these before files of strangers,
    /// 2. fewest slots in use for the uploader,
    /// 3. uploaders of whom a file is kept already,
    /// 4. fewest turns,
    /// 5. smallest size.
    pub(crate) fn sort(&self, candidates: &mut [Candidate]) {
        candidates.sort_by_cached_key(|file| {
            let size = file.size.unwrap_or(u64::MAX);
            Reverse((file.class(), self.held_by(file.uploader), !file.is_proven, file.turns, size, file.cid))
        });
    }

    fn held_by(&self, uploader: Option<PeerId>) -> usize {
        self.loans.iter().filter(|loan| loan.file.uploader == uploader).count()
    }

    /// Returns the number of fetches that were told to give their slots back.
    pub(crate) fn ending(&self) -> usize {
        self.loans.iter().filter(|loan| loan.is_ending).count()
    }

    /// Returns whether there is a free slot for this file.
    pub(crate) fn has_place(&self, file: &Candidate) -> bool {
        self.is_free(file, self.loans.iter())
    }

    fn is_free<'a>(&self, file: &Candidate, loans: impl Iterator<Item = &'a Loan>) -> bool {
        let (small, large): (Vec<&Loan>, Vec<&Loan>) = loans.partition(|loan| loan.file.is_small());
        let has_any = small.len() + large.len() < self.limit + FOR_SMALL;
        has_any && (file.is_small() || large.len() < self.limit)
    }

    /// Gives a slot to a file.
    pub(crate) fn lend(&mut self, file: Candidate) {
        self.loans.push(Loan { file, held: Duration::ZERO, received: 0, is_ending: false });
    }

    /// Returns the fetch that must give its slot to this file, if any. It is the slowest fetch whose term is over, that
    /// is not of a better class, and that had at least as many turns as this file.
    pub(crate) fn recall(&mut self, file: &Candidate) -> Option<Cid> {
        let makes_room = |given: &Loan| {
            self.is_free(file, self.loans.iter().filter(|loan| loan.file.cid != given.file.cid))
        };
        let is_over = |loan: &&Loan| {
            !loan.is_ending
                && loan.held >= loan.term()
                && file.class() <= loan.file.class()
                && u64::from(file.turns) <= loan.turns()
        };
        let over = self.loans.iter().filter(is_over).filter(|loan| makes_room(loan));
        let slowest = over.min_by_key(|loan| (loan.rate(), loan.file.cid))?.file.cid;
        for loan in self.loans.iter_mut().filter(|loan| loan.file.cid == slowest) {
            loan.is_ending = true;
        }
        Some(slowest)
    }

    /// Returns the time until the next fetch may have to give its slot back.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        let still = self.loans.iter().filter(|loan| !loan.is_ending);
        // A fetch whose term is over may keep its slot while no file needs it. It is considered again after a term.
        still
            .map(|loan| loan.term().checked_sub(loan.held).filter(|left| !left.is_zero()).unwrap_or(TERM))
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{cid, peer};

    const PLACES: usize = 2;
    const SLOW: u64 = 40_000;

    fn file(number: u8, uploader: u8, size: u64) -> Candidate {
        let mut bytes = cid().to_bytes();
        let end = bytes.len() - 1;
        bytes[end] = number;
        let (is_own, is_member, is_proven) = (false, true, false);
        let cid = Cid::try_from(bytes.as_slice()).unwrap();
        Candidate {
            cid,
            uploader: Some(peer(uploader)),
            is_own,
            is_member,
            is_proven,
            size: Some(size),
            turns: 0,
        }
    }

    /// Returns the seconds until each file is complete, at these rates in bytes per second. The simulation ends after
    /// an hour.
    fn finish(files: &[(Candidate, u64)]) -> Vec<u64> {
        let (mut left, mut done) = (files.to_vec(), vec![3600; files.len()]);
        let (mut sizes, mut places) = (vec![0; files.len()], Places::new(Vec::new(), PLACES));
        for second in 0..3600 {
            let mut waiting: Vec<Candidate> = left.iter().map(|(file, _)| file.clone()).collect();
            waiting.retain(|file| !places.loans.iter().any(|loan| loan.file.cid == file.cid));
            places.sort(&mut waiting);
            while let Some(next) = waiting.pop() {
                if let Some(given_back) = (!places.has_place(&next)).then(|| places.recall(&next)).flatten() {
                    places.loans.retain(|loan| loan.file.cid != given_back);
                    left.iter_mut()
                        .filter(|(file, _)| file.cid == given_back)
                        .for_each(|(file, _)| file.turns += 1);
                }
                if places.has_place(&next) {
                    places.lend(next);
                    places.sort(&mut waiting);
                }
            }
            for loan in &mut places.loans {
                let index = files.iter().position(|(file, _)| file.cid == loan.file.cid).unwrap();
                loan.held += Duration::from_secs(1);
                loan.received += files[index].1;
                sizes[index] += files[index].1;
                if sizes[index] >= files[index].0.size.unwrap() {
                    done[index] = second + 1;
                }
            }
            let is_done = |file: &Candidate| {
                files.iter().zip(&done).any(|((other, _), at)| other.cid == file.cid && *at < 3600)
            };
            places.loans.retain(|loan| !is_done(&loan.file));
            left.retain(|(file, _)| !is_done(file));
        }
        done
    }

    #[test]
    fn slow_files_do_not_delay_a_small_honest_file() {
        let slow = |number| (file(number, 1, 1 << 30), SLOW);
        assert_eq!(finish(&[slow(1), slow(2), (file(3, 2, 100_000), 1_000_000)])[2], 1);
        // The same holds for slow files that claim to be small, and for files without any source.
        let small = |number| (file(number, 1, 1 << 20), 100);
        assert!(finish(&[small(1), small(2), small(3), (file(4, 2, 100_000), 1_000_000)])[3] <= 10);
        let dead = |number| (file(number, 1, 1 << 20), 0);
        assert!(finish(&[dead(1), dead(2), dead(3), (file(4, 2, 100_000), 1_000_000)])[3] <= 10);
    }

    #[test]
    fn many_slow_files_of_one_peer_count_as_one_peer() {
        let mut files: Vec<_> = (0..200).map(|number| (file(number, 1, 1 << 30), SLOW)).collect();
        files.push((file(201, 2, 100 << 20), 5 << 20));
        let at = finish(&files)[200];
        assert!(at <= 60, "a large honest file was complete only after {at} s");
    }

    #[test]
    fn slow_honest_files_are_fetched_nevertheless() {
        let slow = |number| (file(number, number, 8 << 20), SLOW);
        let done = finish(&[slow(1), slow(2), slow(3), slow(4)]);
        // Two slots allow this: 8 MiB at 40 kB/s take 210 s.
        assert!(done.iter().all(|at| *at <= 2 * 210 + 20), "{done:?}");
    }

    #[test]
    fn a_fast_fetch_is_not_interrupted_every_few_seconds() {
        let fast = |number| (file(number, number, 1 << 30), 10 << 20);
        let done = finish(&[fast(1), fast(2), fast(3)]);
        // A single file would take 103 s.
        assert!(done[0].min(done[1]) <= 106 && done.iter().all(|at| *at <= 170), "{done:?}");
    }

    #[test]
    fn members_go_first_and_own_files_before_them() {
        let places = Places::new(Vec::new(), PLACES);
        let stranger = Candidate { is_member: false, ..file(1, 1, 1) };
        let own = Candidate { is_own: true, ..file(3, 3, 1 << 30) };
        let proven = Candidate { is_proven: true, ..file(4, 4, 1 << 30) };
        let mut waiting = vec![stranger.clone(), file(2, 2, 1), proven.clone(), own.clone()];
        places.sort(&mut waiting);
        assert_eq!(waiting, [stranger.clone(), file(2, 2, 1), proven, own], "the next candidate is the last");
        let held = Duration::from_secs(3000);
        let loan = |file| Loan { file, held, received: 0, is_ending: false };
        let mut of_members =
            Places::new((5..8).map(|number| loan(file(number, number, 1))).collect(), PLACES);
        assert_eq!(of_members.recall(&stranger), None);
        assert!(of_members.recall(&file(2, 2, 1)).is_some());
    }
}
