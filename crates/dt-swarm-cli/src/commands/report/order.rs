//! The order of the files of `report`, and the part of them that is shown.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::file::File;
use crate::output::fields::PeerRef;
use crate::shared_files::{KEPT, UPLOADED};
use clap::ValueEnum;
use logs::State;
use std::cmp::Ordering;

/// States in the order of `--sort state`.
pub(super) const STATES: [&str; 6] = [
    State::Shared.name(),
    State::Verified.name(),
    KEPT,
    State::Safe.name(),
    UPLOADED,
    State::Discarded.name(),
];

/// A property by which files are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// By the name of the file
    Name,
    /// The largest first
    Size,
    /// The latest change or recording first
    Changed,
    /// By the name of the robot that shared the file
    Robot,
    /// From shared to discarded
    State,
}

/// An order of files. Files that are equal in it stay in the order of name and CID. Files of which the property is not
/// known are last, also in the reverse order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) sort: Sort,
    pub(super) is_reversed: bool,
}

impl Order {
    /// Returns whether the largest value is first.
    pub(super) fn is_descending(self) -> bool {
        matches!(self.sort, Sort::Size | Sort::Changed) != self.is_reversed
    }

    /// Sorts files that are in the order of name and CID.
    pub(super) fn sort(self, files: &mut [File]) {
        files.sort_by(|one, other| match self.sort {
            Sort::Name => self.compare(one.file.name.as_ref(), other.file.name.as_ref()),
            Sort::Size => self.compare(one.file.bytes, other.file.bytes),
            Sort::Changed => self.compare(one.latest(), other.latest()),
            Sort::Robot => self.compare(robot(one), robot(other)),
            Sort::State => self.compare(state(one), state(other)),
        });
    }

    fn compare<T: Ord>(self, one: Option<T>, other: Option<T>) -> Ordering {
        match (one, other) {
            (Some(one), Some(other)) if self.is_descending() => other.cmp(&one),
            (Some(one), Some(other)) => one.cmp(&other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        }
    }
}

/// Robots without a known name are behind the others.
fn robot(file: &File) -> Option<(bool, Option<&str>, dcache::PeerId)> {
    let PeerRef { peer, hostname } = file.uploader.as_ref()?;
    Some((hostname.is_none(), hostname.as_deref(), *peer))
}

fn state(file: &File) -> Option<usize> {
    STATES.iter().position(|state| *state == file.state)
}

/// A part of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// The number of entries before the part.
    pub(super) offset: usize,
    /// Maximum number of entries; `None` is no limit.
    pub(super) limit: Option<usize>,
}

impl Part {
    /// Returns the entries of the part.
    pub(super) fn of<T>(self, list: &[T]) -> &[T] {
        let rest = list.get(self.offset..).unwrap_or_default();
        &rest[..self.limit.unwrap_or(rest.len()).min(rest.len())]
    }

    /// Removes the entries that are not in the part.
    pub(super) fn retain<T>(self, list: &mut Vec<T>) {
        list.truncate(self.limit.map_or(list.len(), |limit| self.offset.saturating_add(limit)));
        list.drain(..self.offset.min(list.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::report::file::fixture::{file, peer};
    use crate::output::fields::Timestamp;
    use dcache::Time;

    fn names(sort: Sort, is_reversed: bool) -> String {
        let mut files: Vec<File> = ["a", "b", "c", "d"].map(file).into();
        files[0].file.bytes = Some(5);
        files[1].file.bytes = Some(700);
        files[2].file.bytes = Some(5);
        (files[1].modified_time, files[3].modified_time) =
            (Some(Timestamp(Time(9))), Some(Timestamp(Time(7))));
        files[0].uploader = Some(peer(1, Some("robot2")));
        files[2].uploader = Some(peer(2, Some("robot1")));
        files[3].uploader = Some(peer(3, None));
        files[0].state = UPLOADED;
        files[2].state = KEPT;
        files[3].state = State::Discarded.name();
        Order { sort, is_reversed }.sort(&mut files);
        files.iter().filter_map(|file| file.file.name.clone()).collect()
    }

    #[test]
    fn files_are_sorted_by_each_property_and_unknown_values_are_last() {
        for (sort, forwards, backwards) in [
            (Sort::Name, "abcd", "dcba"),
            (Sort::Size, "bacd", "acbd"),
            (Sort::Changed, "bdac", "dbac"),
            (Sort::Robot, "cadb", "dacb"),
            (Sort::State, "bcad", "dacb"),
        ] {
            assert_eq!(
                (names(sort, false), names(sort, true)),
                (forwards.into(), backwards.into()),
                "{sort:?}"
            );
        }
    }

    #[test]
    fn a_part_is_cut_out_of_a_list_of_any_length() {
        for (offset, limit, expected) in [
            (0, None, &[1, 2, 3][..]),
            (1, Some(1), &[2]),
            (2, Some(9), &[3]),
            (3, None, &[]),
            (9, Some(usize::MAX), &[]),
            (usize::MAX, Some(usize::MAX), &[]),
            (0, Some(0), &[]),
        ] {
            let part = Part { offset, limit };
            let mut list = vec![1, 2, 3];
            assert_eq!(part.of(&list), expected, "{part:?}");
            part.retain(&mut list);
            assert_eq!(list, expected, "{part:?}");
        }
    }
}
