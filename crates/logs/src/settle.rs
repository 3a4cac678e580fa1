//! Which files have stopped changing. Pure: it is shown the folder again and again, and told the time.

use std::collections::BTreeMap;
use std::time::Duration;

/// What shows that a file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Its size in bytes.
    pub(crate) size: u64,
    /// When it was changed, in nanoseconds since the epoch.
    pub(crate) modified: u64,
    /// When its inode was changed, in nanoseconds since the epoch: this tells of another file of the same size and time that
    /// was moved to its path. `None` when that was not noted. The number of the inode is not compared, since on sticks and
    /// network drives a file gets another one at times.
    pub(crate) inode_changed: Option<u64>,
}

impl Fingerprint {
    /// Returns whether a file that looked like this before and looks so now is most likely the same.
    pub(crate) fn is_like(&self, now: &Self) -> bool {
        let times = self.inode_changed.zip(now.inode_changed);
        (self.size, self.modified) == (now.size, now.modified)
            && times.is_none_or(|(one, other)| one == other)
    }
}

/// The files of a folder, by path relative to it, with `/` between the names.
pub(crate) type Found = BTreeMap<String, Fingerprint>;

/// Pause of a recorder after which a file counts as done and not as paused. A person who edits a file once a minute is no
/// recorder.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A file of the folder, as it was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    fingerprint: Fingerprint,
    /// Since when it has looked so.
    since: Duration,
    /// The longest time, up to [`LONGEST_PAUSE`], for which it stayed the same before it was changed again.
    pause: Duration,
}

/// Remembers since when each file has looked as it does now, and for how long its writer pauses.
#[derive(Debug)]
pub(crate) struct Settling {
    wait: Duration,
    seen: BTreeMap<String, Seen>,
}

impl Settling {
    /// A file has settled when it stayed the same for `wait`, or for half as long again as its writer paused so far.
    pub(crate) fn new(wait: Duration) -> Self {
        Self { wait, seen: BTreeMap::new() }
    }

    /// Takes what the folder holds at `elapsed`; returns the files that have settled, and when to look again for the
    /// others.
    pub(crate) fn observe(&mut self, found: Found, elapsed: Duration) -> (Found, Option<Duration>) {
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
        let settles = |seen: &Seen| seen.since + self.wait.max(seen.pause * 3 / 2);
        let settled = self.seen.iter().filter(|(_, seen)| settles(seen) <= elapsed);
        let settled = settled.map(|(path, seen)| (path.clone(), seen.fingerprint)).collect();
        (settled, self.seen.values().map(settles).filter(|at| *at > elapsed).min())
    }
}

impl Seen {
    /// Returns the longest pause, when the file was changed at `elapsed`.
    fn pause_until(&self, elapsed: Duration) -> Duration {
        let pause = elapsed.saturating_sub(self.since);
        if pause <= LONGEST_PAUSE { self.pause.max(pause) } else { self.pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn found(files: &[(&str, u64)]) -> Found {
        let fingerprint = |size: &u64| Fingerprint { size: *size, modified: *size, inode_changed: None };
        files.iter().map(|(path, size)| ((*path).to_owned(), fingerprint(size))).collect()
    }

    #[test]
    fn a_file_settles_when_it_stops_growing() {
        let mut settling = Settling::new(SECOND * 2);
        assert_eq!(settling.observe(found(&[("a", 1)]), SECOND), (found(&[]), Some(SECOND * 3)));
        assert_eq!(settling.observe(found(&[("a", 2)]), SECOND * 2), (found(&[]), Some(SECOND * 4)));
        assert_eq!(
            settling.observe(found(&[("a", 2), ("b", 1)]), SECOND * 4),
            (found(&[("a", 2)]), Some(SECOND * 6))
        );
        assert_eq!(settling.observe(found(&[("b", 1)]), SECOND * 6), (found(&[("b", 1)]), None));
        assert_eq!(
            settling.observe(found(&[("a", 2)]), SECOND * 7),
            (found(&[]), Some(SECOND * 9)),
            "it is new again"
        );
    }

    #[test]
    fn a_recorder_that_pauses_is_waited_for_after_its_first_pause() {
        let mut settling = Settling::new(SECOND * 2);
        let mut taken = Vec::new();
        for tenths in 0..600 {
            let elapsed = SECOND * tenths / 10;
            // It writes every 3.5 seconds for 35 seconds.
            let size = u64::from(tenths.min(350) / 35);
            let (settled, again) = settling.observe(found(&[("a", size)]), elapsed);
            assert!(again.is_none_or(|at| at > elapsed));
            if let Some(now) = settled.get("a").filter(|now| taken.last() != Some(*now)) {
                taken.push(*now);
            }
        }
        assert_eq!(taken.iter().map(|file| file.size).collect::<Vec<_>>(), [0, 10]);
        let (settled, _) = settling.observe(found(&[("a", 11)]), SECOND * 3600);
        assert!(settled.is_empty());
        let (_, again) = settling.observe(found(&[("a", 11)]), SECOND * 3600);
        assert_eq!(again, Some(Duration::from_millis(3_605_250)), "an hour is no pause of a recorder");
    }
}
