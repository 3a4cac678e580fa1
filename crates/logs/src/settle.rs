//! Finds the files that have stopped changing. This module is pure: the caller passes the scanned files and the time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The properties by which a change of a file is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Size of the file in bytes.
    pub(crate) size: u64,
    /// Time of the last change of the content, in nanoseconds since the epoch.
    pub(crate) modified: u64,
    /// Time of the last change of the inode, in nanoseconds since the epoch. It reveals another file of the same size
    /// and time that was moved to the path. `None` when it was not recorded. The inode number is not compared, since it
    /// can change on USB sticks and network drives.
    pub(crate) inode_changed: Option<u64>,
}

impl Fingerprint {
    /// Returns whether a file with this earlier fingerprint and the fingerprint `now` is most likely unchanged.
    pub(crate) fn is_like(&self, now: &Self) -> bool {
        let times = self.inode_changed.zip(now.inode_changed);
        (self.size, self.modified) == (now.size, now.modified)
            && times.is_none_or(|(one, other)| one == other)
    }
}

/// The logs of a folder, by path relative to it, with `/` between the names. A log is a file, or a folder of ROS 2.
pub(crate) type Found = BTreeMap<String, Fingerprint>;

/// Maximum time between two changes that is taken for a pause of a recorder. After a longer time the file counts as
/// finished: a user who edits a file once a minute is not a recorder.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Time for which the files of an unfinished recording of ROS 2 must not change until the recording counts as cut. It is
/// longer than the pause before a recorder that waits for messages writes its next file.
const CUT_AFTER: Duration = Duration::from_secs(600);

/// The history of a file of the folder.
#[derive(Clone, Copy, Debug)]
struct Seen {
    fingerprint: Fingerprint,
    /// Time of the first scan with this fingerprint.
    since: Duration,
    /// Longest time, up to [`LONGEST_PAUSE`], between two changes of the file.
    pause: Duration,
}

/// Remembers for each file the time of its last change and the longest pause of its writer.
#[derive(Debug)]
pub(crate) struct Settling {
    wait: Duration,
    seen: BTreeMap<String, Seen>,
}

impl Settling {
    /// Creates an empty history. A file settles when it stays unchanged for `wait` and for 1.5 times the longest pause
    /// of its writer.
    pub(crate) fn new(wait: Duration) -> Self {
        Self { wait, seen: BTreeMap::new() }
    }

    /// Takes the files of the folder at the time `elapsed`. Returns the settled files, and the time of the next scan
    /// for the others. Files in `unfinished` settle only after [`CUT_AFTER`].
    pub(crate) fn observe(
        &mut self,
        found: Found,
        unfinished: &BTreeSet<String>,
        elapsed: Duration,
    ) -> (Found, Option<Duration>) {
        let mut seen = BTreeMap::new();
        for (path, fingerprint) in found {
            let now = match self.seen.get(&path) {
                Some(before) if before.fingerprint == fingerprint => *before,
                before => {
                    let pause = before.map_or(Duration::ZERO, |before| before.pause_until(elapsed));
                    Seen { fingerprint, since: elapsed, pause }
                }
            };
            seen.insert(path, now);
        }
        self.seen = seen;
        let settles = |path: &String, seen: &Seen| {
            let least = if unfinished.contains(path) { CUT_AFTER } else { self.wait };
            seen.since + least.max(seen.pause * 3 / 2)
        };
        let settled = self.seen.iter().filter(|(path, seen)| settles(path, seen) <= elapsed);
        let settled = settled.map(|(path, seen)| (path.clone(), seen.fingerprint)).collect();
        let next = self.seen.iter().map(|(path, seen)| settles(path, seen)).filter(|at| *at > elapsed).min();
        (settled, next)
    }
}

impl Seen {
    /// Returns the longest pause, given a change of the file at `elapsed`.
    fn pause_until(&self, elapsed: Duration) -> Duration {
        let pause = elapsed.saturating_sub(self.since);
        if pause <= LONGEST_PAUSE { self.pause.max(pause) } else { self.pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NONE: BTreeSet<String> = BTreeSet::new();

    fn found(files: &[(&str, u64)]) -> Found {
        let fingerprint = |size: &u64| Fingerprint { size: *size, modified: *size, inode_changed: None };
        files.iter().map(|(path, size)| ((*path).to_owned(), fingerprint(size))).collect()
    }

    #[test]
    fn a_file_settles_when_it_stops_growing() {
        let mut settling = Settling::new(SECOND * 2);
        assert_eq!(settling.observe(found(&[("a", 1)]), &NONE, SECOND), (found(&[]), Some(SECOND * 3)));
        assert_eq!(settling.observe(found(&[("a", 2)]), &NONE, SECOND * 2), (found(&[]), Some(SECOND * 4)));
        assert_eq!(
            settling.observe(found(&[("a", 2), ("b", 1)]), &NONE, SECOND * 4),
            (found(&[("a", 2)]), Some(SECOND * 6))
        );
        assert_eq!(settling.observe(found(&[("b", 1)]), &NONE, SECOND * 6), (found(&[("b", 1)]), None));
        assert_eq!(
            settling.observe(found(&[("a", 2)]), &NONE, SECOND * 7),
            (found(&[]), Some(SECOND * 9)),
            "a file that changed has to settle again"
        );
    }

    #[test]
    fn a_file_of_a_recorder_that_pauses_does_not_settle_after_the_first_pause() {
        let mut settling = Settling::new(SECOND * 2);
        let mut taken = Vec::new();
        for tenths in 0..600 {
            let elapsed = SECOND * tenths / 10;
            // It writes every 3.5 seconds for 35 seconds.
            let size = u64::from(tenths.min(350) / 35);
            let (settled, again) = settling.observe(found(&[("a", size)]), &NONE, elapsed);
            assert!(again.is_none_or(|at| at > elapsed));
            if let Some(now) = settled.get("a").filter(|now| taken.last() != Some(*now)) {
                taken.push(*now);
            }
        }
        assert_eq!(taken.iter().map(|file| file.size).collect::<Vec<_>>(), [0, 10]);
        let (settled, _) = settling.observe(found(&[("a", 11)]), &NONE, SECOND * 3600);
        assert!(settled.is_empty());
        let (_, again) = settling.observe(found(&[("a", 11)]), &NONE, SECOND * 3600);
        assert_eq!(again, Some(Duration::from_millis(3_605_250)), "an hour is not a pause of a recorder");
    }

    #[test]
    fn a_file_of_an_unfinished_recording_settles_when_the_recording_counts_as_cut() {
        let mut settling = Settling::new(SECOND * 2);
        let unfinished = BTreeSet::from(["run/run_0.mcap".to_owned()]);
        let files = || found(&[("run/run_0.mcap", 1), ("a", 1)]);
        settling.observe(files(), &unfinished, SECOND);
        let (settled, again) = settling.observe(files(), &unfinished, SECOND * 600);
        assert_eq!((settled, again), (found(&[("a", 1)]), Some(SECOND + CUT_AFTER)));
        let (settled, again) = settling.observe(files(), &unfinished, SECOND + CUT_AFTER);
        assert_eq!((settled, again), (files(), None));
    }
}
