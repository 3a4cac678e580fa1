//! Decides when a robot publishes a new version of its catalogue.
//!
//! A version costs a record, and every other robot fetches its new blocks. So a version waits until the files have not
//! changed for a while, and versions that follow each other quickly become rarer.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

/// Time after the last change until a version is published.
const QUIET: Duration = Duration::from_secs(10);
/// Maximum time for which continual changes delay a version.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// Minimum time between two versions. It doubles up to [`LONGEST_GAP`] while versions follow each other.
const SHORTEST_GAP: Duration = Duration::from_secs(60);
/// Minimum time between two versions after many that followed each other.
const LONGEST_GAP: Duration = Duration::from_secs(8 * 60);

/// The times of changes and versions. All times are since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// Times of the first and of the last change that no version has.
    changed: Option<(Duration, Duration)>,
    published: Option<Duration>,
    gap: Duration,
}

impl Pace {
    /// Notes a change of the files.
    pub(crate) fn note_change(&mut self, now: Duration) {
        let (first, _) = self.changed.unwrap_or((now, now));
        self.changed = Some((first, now));
    }

    /// Returns the time at which to publish a version, if there is a change.
    pub(crate) fn due(&self) -> Option<Duration> {
        let (first, last) = self.changed?;
        let due = (last + QUIET).min(first + LONGEST_DELAY);
        Some(self.published.map_or(due, |published| due.max(published + self.gap)))
    }

    /// Notes that the version for all changes so far is the same as the one before.
    pub(crate) fn note_same(&mut self) {
        self.changed = None;
    }

    /// Notes that a version was published, or that this was tried in vain.
    pub(crate) fn note_published(&mut self, now: Duration) {
        let is_soon = self.published.is_some_and(|before| now < before + self.gap * 2);
        self.gap = if is_soon { (self.gap * 2).min(LONGEST_GAP) } else { SHORTEST_GAP };
        (self.published, self.changed) = (Some(now), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_version_waits_until_the_files_are_quiet() {
        let mut pace = Pace::default();
        assert_eq!(pace.due(), None);
        pace.note_change(seconds(100));
        assert_eq!(pace.due(), Some(seconds(110)));
        pace.note_change(seconds(105));
        assert_eq!(pace.due(), Some(seconds(115)));
        pace.note_change(seconds(159));
        assert_eq!(pace.due(), Some(seconds(160)), "but not for ever");
        pace.note_published(seconds(160));
        assert_eq!(pace.due(), None);
        pace.note_change(seconds(161));
        assert_eq!(pace.due(), Some(seconds(220)));
        pace.note_same();
        assert_eq!(pace.due(), None);
    }

    #[test]
    fn versions_under_constant_change_become_rare() {
        let (mut pace, mut published) = (Pace::default(), Vec::new());
        for now in (0..24 * 3600).map(seconds) {
            pace.note_change(now);
            if pace.due().is_some_and(|due| due <= now) {
                pace.note_published(now);
                published.push(now);
            }
        }
        assert!((170..200).contains(&published.len()), "{} versions a day", published.len());
        let quiet = seconds(24 * 3600 + 3600);
        pace.note_change(quiet);
        pace.note_published(quiet + QUIET);
        pace.note_change(quiet + QUIET);
        assert_eq!(
            pace.due(),
            Some(quiet + QUIET + SHORTEST_GAP),
            "after a quiet hour, versions come soon again"
        );
    }
}
