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
}

/// The files of a folder, by path relative to it, with `/` between the names.
pub(crate) type Found = BTreeMap<String, Fingerprint>;

/// Remembers since when each file has looked as it does now.
#[derive(Debug)]
pub(crate) struct Settling {
    wait: Duration,
    seen: BTreeMap<String, (Fingerprint, Duration)>,
}

impl Settling {
    /// A file has settled when it stayed the same for `wait`.
    pub(crate) fn new(wait: Duration) -> Self {
        Self { wait, seen: BTreeMap::new() }
    }

    /// Takes what the folder holds at `elapsed`; returns the files that have settled, and when to look again for the
    /// others.
    pub(crate) fn observe(&mut self, found: Found, elapsed: Duration) -> (Found, Option<Duration>) {
        let mut seen = BTreeMap::new();
        for (path, fingerprint) in found {
            let since = match self.seen.get(&path) {
                Some((before, since)) if *before == fingerprint => *since,
                _ => elapsed,
            };
            seen.insert(path, (fingerprint, since));
        }
        self.seen = seen;
        let has_settled = |since: &Duration| *since + self.wait <= elapsed;
        let settled = self.seen.iter().filter(|(_, (_, since))| has_settled(since));
        let settled = settled.map(|(path, (fingerprint, _))| (path.clone(), *fingerprint)).collect();
        let unsettled = self.seen.values().filter(|(_, since)| !has_settled(since));
        (settled, unsettled.map(|(_, since)| *since + self.wait).min())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn found(files: &[(&str, u64)]) -> Found {
        let fingerprint = |size: &u64| Fingerprint { size: *size, modified: *size };
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
}
