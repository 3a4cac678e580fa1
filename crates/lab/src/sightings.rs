//! Records when each node first had each item.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use dcache::Item;

/// Returns the name under which observers note an item.
pub(crate) fn item_name(item: &Item) -> String {
    format!("{}/{}", item.bucket.as_str(), item.data.as_str())
}

/// Notes of many observers. Threads can wait for notes.
#[derive(Debug)]
pub struct Sightings {
    seen: Mutex<Vec<Seen>>,
    changed: Condvar,
}

/// The items of one node by their names, each with the time at which it was first seen.
type Seen = BTreeMap<String, Instant>;

impl Sightings {
    /// Makes empty notes for this number of nodes.
    pub fn of(nodes: usize) -> Self {
        Self { seen: Mutex::new(vec![Seen::new(); nodes]), changed: Condvar::new() }
    }

    /// Notes that a node has the item with this name. Later notes of the same name are ignored.
    pub fn note(&self, node: usize, what: String, at: Instant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = seen.get_mut(node) {
            seen.entry(what).or_insert(at);
        }
        drop(seen);
        self.changed.notify_all();
    }

    /// Waits until all nodes have all of these items, and returns the time at which the last node got its last item.
    /// Returns `None` if that is not the case by the deadline.
    pub fn wait_for(&self, whats: &[String], deadline: Instant) -> Option<Instant> {
        self.wait(deadline, |all| last(all.iter().map(|seen| has_all(seen, whats))))
    }

    /// Like [`Self::wait_for`], for some of the nodes.
    pub fn wait_for_at(&self, nodes: &[usize], whats: &[String], deadline: Instant) -> Option<Instant> {
        self.wait(deadline, |all| last(nodes.iter().map(|node| has_all(all.get(*node)?, whats))))
    }

    /// Waits until each node has `count` items whose names begin with `beginning`, and returns the time of the last
    /// one.
    pub fn wait_for_count(&self, beginning: &str, count: usize, deadline: Instant) -> Option<Instant> {
        self.wait(deadline, |all| last(all.iter().map(|seen| has_count(seen, beginning, count))))
    }

    /// Returns, for each node, the time since which it has `count` items whose names begin with `beginning`.
    pub fn times_of_count(&self, beginning: &str, count: usize) -> Vec<Option<Instant>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|seen| has_count(seen, beginning, count)).collect()
    }

    /// Waits until `when` returns a time, at most until the deadline.
    fn wait(&self, deadline: Instant, when: impl Fn(&[Seen]) -> Option<Instant>) -> Option<Instant> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let time = when(&seen);
            let left = deadline.saturating_duration_since(Instant::now());
            if time.is_some() || left.is_zero() {
                return time;
            }
            seen = self.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns the number of nodes that lack an item.
    pub fn lacking(&self, what: &str) -> usize {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|seen| !seen.contains_key(what)).count()
    }

    /// Returns, for each node, the number of items whose names begin with `beginning`.
    pub fn counts(&self, beginning: &str) -> Vec<usize> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|seen| beginning_with(seen, beginning).count()).collect()
    }
}

fn beginning_with<'a>(seen: &'a Seen, beginning: &'a str) -> impl Iterator<Item = Instant> + 'a {
    let from = seen.range::<str, _>((Bound::Included(beginning), Bound::Unbounded));
    from.take_while(move |(what, _)| what.starts_with(beginning)).map(|(_, at)| *at)
}

/// Returns the time since which a node has all of these items.
fn has_all(seen: &Seen, whats: &[String]) -> Option<Instant> {
    last(whats.iter().map(|what| seen.get(what).copied()))
}

/// Returns the time since which a node has `count` items whose names begin with `beginning`.
fn has_count(seen: &Seen, beginning: &str, count: usize) -> Option<Instant> {
    let mut times: Vec<Instant> = beginning_with(seen, beginning).collect();
    times.sort_unstable();
    times.get(count.checked_sub(1)?).copied()
}

/// Returns the latest of these times, or none if one is missing.
fn last(times: impl Iterator<Item = Option<Instant>>) -> Option<Instant> {
    let times: Option<Vec<Instant>> = times.collect();
    times?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_first_note_of_each_node_counts_and_the_last_node_ends_the_wait() {
        let (sightings, begun) = (Sightings::of(2), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        sightings.note(0, "a/1".into(), at(1));
        sightings.note(0, "a/1".into(), at(9));
        assert_eq!(sightings.lacking("a/1"), 1);
        assert_eq!(sightings.wait_for(&["a/1".into()], begun), None);
        sightings.note(1, "a/1".into(), at(2));
        sightings.note(1, "b".into(), at(3));
        assert_eq!(sightings.wait_for(&["a/1".into()], begun), Some(at(2)));
        assert_eq!(sightings.counts("a/"), [1, 1]);
        assert_eq!(sightings.wait_for_count("a/", 1, begun), Some(at(2)));
        assert_eq!(sightings.wait_for_count("a/", 2, begun), None);
        assert_eq!(sightings.wait_for(&["b".into()], begun), None);
        assert_eq!(sightings.wait_for_at(&[1], &["b".into(), "a/1".into()], begun), Some(at(3)));
    }
}
