//! The table of fields: everything that a report can say, with all its values.
//!
//! A value that is not in the table cannot be sent, stored or shown. To add a field, add a row at the end with `since` one
//! more than [`LIST_VERSION`], and increase [`LIST_VERSION`]. A robot whose owner agreed to an earlier version leaves the new
//! field out until its owner agrees again. Rows and values are never removed, so that collectors can count the reports of older
//! robots.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Version of the list of fields.
pub const LIST_VERSION: u16 = 1;

/// Value for a text that is not in the table.
pub(crate) const OTHER: &str = "other";
/// Value for a property that the robot does not state.
pub(crate) const UNKNOWN: &str = "unknown";
/// Values of a property that a robot has or does not have.
const YES_NO: &[&str] = &["no", "yes"];

/// Versions of dt-swarm that were released. Every release adds its own.
const RELEASES: &[&str] = &["0.1.0", OTHER];

/// A fact that a report can contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name in the report.
    pub name: &'static str,
    /// First version of the list that has the field.
    pub since: u16,
    /// Fact that it states, as a part of a sentence.
    pub meaning: &'static str,
    /// All values that it can have.
    pub values: &'static [&'static str],
}

/// Position of a field in [`FIELDS`].
pub(crate) type FieldNumber = usize;

/// All fields, in the order of a report.
pub const FIELDS: &[Field] = &[
    Field {
        name: "robot_type",
        since: 1,
        meaning: "type of the robot",
        values: &[
            "duckiebot",
            "duckiedrone",
            "duckietown",
            "greenstation",
            "traffic_light",
            "watchtower",
            "workstation",
            OTHER,
            UNKNOWN,
        ],
    },
    Field {
        name: "configuration",
        since: 1,
        meaning: "configuration of the robot",
        values: &[
            "DB17", "DB18", "DB19", "DB20", "DB21J", "DB21M", "DB26", "DBR", "DBR4", "DD18", "DD21", "DD24",
            "DT20", "DT21", "GS17", "TL18", "TL19", "TL21", "WS21A", "WT18", "WT19", "WT21", OTHER, UNKNOWN,
        ],
    },
    Field {
        name: "hardware",
        since: 1,
        meaning: "board of the robot",
        values: &["jetson_nano", "raspberry_pi", "raspberry_pi_64", "virtual", OTHER, UNKNOWN],
    },
    Field {
        name: "distribution",
        since: 1,
        meaning: "Duckietown distribution",
        values: &["daffy", "ente", OTHER, UNKNOWN],
    },
    Field { name: "version", since: 1, meaning: "released version of dt-swarm", values: RELEASES },
    Field {
        name: "swarm",
        since: 1,
        meaning: "whether the swarm is open, has roots, or also has a key",
        values: &["keyed", "open", "roots"],
    },
    Field {
        name: "robots",
        since: 1,
        meaning: "largest number of robots that were present at once, itself included",
        values: &["1", "2-5", "6-20", "21-100", "over 100"],
    },
    Field {
        name: "days",
        since: 1,
        meaning: "number of days of the week on which dt-swarm ran",
        values: &["1", "2-3", "4-7"],
    },
    Field {
        name: "hours",
        since: 1,
        meaning: "number of hours of the week in which dt-swarm ran",
        values: &["1-5", "6-20", "21-60", "over 60"],
    },
    Field {
        name: "logs",
        since: 1,
        meaning: "largest number of files that the robot shared at once",
        values: &["0", "1-10", "11-100", "over 100"],
    },
    Field { name: "keeps", since: 1, meaning: "whether the robot keeps files of others", values: YES_NO },
    Field {
        name: "uploads",
        since: 1,
        meaning: "whether the robot uploads logs to a storage",
        values: YES_NO,
    },
];

impl Field {
    /// Returns the value of the table that equals a text.
    pub fn value(&self, text: &str) -> Option<&'static str> {
        self.values.iter().find(|value| **value == text).copied()
    }

    /// Returns the value for a text that the robot states about itself: the text if it is in the table, else *other*; without a
    /// text *unknown*.
    pub(crate) fn known(&self, text: Option<&str>) -> &'static str {
        text.map_or(UNKNOWN, |text| self.value(text).unwrap_or(OTHER))
    }
}

/// Returns the field of this name and its number.
pub(crate) fn field(name: &str) -> Option<(FieldNumber, &'static Field)> {
    FIELDS.iter().enumerate().find(|(_, field)| field.name == name)
}

/// Returns the fields of a version of the list, in the order of a report.
pub fn fields_of(list: u16) -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(move |field| field.since <= list)
}

/// Returns the class of a number, with the limits of the classes: the last class has no limit.
pub(crate) fn class(values: &'static [&'static str], limits: &[u64], number: u64) -> &'static str {
    let place = limits.iter().filter(|limit| number > **limit).count();
    values.get(place).or(values.last()).copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_field_has_its_own_name_and_plain_values() {
        let names: BTreeSet<&str> = FIELDS.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), FIELDS.len());
        assert!(FIELDS.is_sorted_by_key(|field| field.since), "new fields are at the end");
        assert_eq!(FIELDS.last().map(|field| field.since), Some(LIST_VERSION));
        let is_plain = |text: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b' ');
            (1..=24).contains(&text.len()) && text.bytes().all(fits)
        };
        for field in FIELDS {
            let values: BTreeSet<&str> = field.values.iter().copied().collect();
            assert_eq!(values.len(), field.values.len(), "{}", field.name);
            assert!(
                is_plain(field.name) && field.values.iter().all(|value| is_plain(value)),
                "{}",
                field.name
            );
            assert!(!field.name.contains(' '), "{}", field.name);
        }
    }

    #[test]
    fn this_version_is_in_the_list_of_releases() {
        assert!(RELEASES.contains(&env!("CARGO_PKG_VERSION")), "add the version to RELEASES");
    }

    #[test]
    fn the_documentation_names_every_field_and_its_values() {
        let page = include_str!("../../../docs/usage.md");
        for field in FIELDS {
            let name = format!("| `{}` |", field.name);
            let row = page.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{name}"));
            // Configurations and versions are too many, and `yes` and `no` need no explanation.
            let is_listed = |value: &&str| row.contains(&format!("`{value}`"));
            if field.values.len() <= 9 && field.values != YES_NO && field.name != "version" {
                assert!(field.values.iter().all(is_listed), "{row}");
            }
            assert!(field.values != YES_NO || row.contains("whether"), "{row}");
        }
        assert!(page.contains("one of 22 known ones"));
        assert_eq!(field("configuration").map(|(_, field)| field.values.len()), Some(22 + 2));
    }

    #[test]
    fn classes_have_upper_limits() {
        let values = &["0", "1-10", "11-100", "over 100"];
        let of = |number| class(values, &[0, 10, 100], number);
        assert_eq!(
            [0, 1, 10, 11, 100, 101, u64::MAX].map(of),
            ["0", "1-10", "1-10", "11-100", "11-100", "over 100", "over 100"]
        );
    }
}
