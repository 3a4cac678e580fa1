//! The sizes and places of the three rings in the file.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::page::PAGE_BYTES;
use std::time::Duration;

/// Number of resolutions.
pub const RESOLUTIONS: usize = 3;

/// A resolution of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    /// All samples, for a day.
    Samples,
    /// One row for each page of samples, which is a minute, for a month.
    Minutes,
    /// One row for each hour, for two years.
    Hours,
}

impl Resolution {
    /// All resolutions, the finest first.
    pub const ALL: [Self; RESOLUTIONS] = [Self::Samples, Self::Minutes, Self::Hours];

    /// Returns the number of the resolution in pages.
    pub const fn index(self) -> usize {
        match self {
            Self::Samples => 0,
            Self::Minutes => 1,
            Self::Hours => 2,
        }
    }
}

/// A group of rows that become one row of the next resolution. All of them are of one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Maximum number of rows in a group.
    pub rows: usize,
    /// Time between the first and the last row of a group, which is never reached.
    pub span: Duration,
}

/// Sizes of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Number of pages.
    pub slots: u64,
    /// Number of rows in a page.
    pub rows: usize,
    /// The groups of its rows.
    pub group: Group,
}

/// Sizes of all rings. The rings follow each other in the file, the finest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    rings: [Ring; RESOLUTIONS],
}

/// Number of samples in a minute.
const SAMPLES_A_MINUTE: usize = 6;
/// Number of rows in a page of minutes or hours. More rows would leave too little room for the series of each.
const ROWS: usize = 15;
/// Number of minutes in a day.
const DAY: u64 = 24 * 60;
/// Group of the coarsest resolution, which is never summarised.
const NONE: Group = Group { rows: usize::MAX, span: Duration::MAX };

impl Geometry {
    /// The geometry of every robot: 23 MB.
    pub const ROBOT: Self = Self::new([
        Ring {
            slots: DAY,
            rows: SAMPLES_A_MINUTE,
            group: Group { rows: SAMPLES_A_MINUTE, span: Duration::from_secs(60) },
        },
        Ring {
            slots: 31 * DAY / ROWS as u64,
            rows: ROWS,
            group: Group { rows: 60, span: Duration::from_secs(3600) },
        },
        Ring { slots: 2 * 366 * 24 / ROWS as u64 + 1, rows: ROWS, group: NONE },
    ]);

    /// Creates the geometry with these rings, the finest first.
    ///
    /// # Panics
    /// When a finer ring is so small that rows in memory could not be computed again from it. In a constant, this is a
    /// compile error.
    pub const fn new(rings: [Ring; RESOLUTIONS]) -> Self {
        let [samples, minutes, hours] = rings;
        assert!(
            samples.slots > minutes.rows as u64,
            "a page of minutes is computed from the ring of samples"
        );
        let kept = minutes.slots * minutes.rows as u64;
        let needed = (hours.rows as u64 + 1) * minutes.group.rows as u64;
        assert!(kept >= needed + minutes.rows as u64, "a page of hours is computed from the ring of minutes");
        Self { rings }
    }

    /// Returns the sizes of a ring.
    pub const fn ring(&self, resolution: Resolution) -> Ring {
        self.rings[resolution.index()]
    }

    /// Returns the size of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.rings.iter().map(|ring| ring.slots * PAGE_BYTES as u64).sum()
    }

    /// Returns the place of the slot of a page in the file.
    pub fn offset(&self, resolution: Resolution, number: u64) -> u64 {
        let before: u64 = self.rings.iter().take(resolution.index()).map(|ring| ring.slots).sum();
        (before + number % self.ring(resolution).slots) * PAGE_BYTES as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rings_of_a_robot_hold_a_day_a_month_and_two_years() {
        let rows = Resolution::ALL.map(|resolution| {
            let Ring { slots, rows, .. } = Geometry::ROBOT.ring(resolution);
            slots * rows as u64
        });
        println!("{} bytes; rows: {rows:?}", Geometry::ROBOT.bytes());
        assert!(rows[0] >= 24 * 3600 / 10 && rows[1] >= 31 * 24 * 60 && rows[2] >= 2 * 365 * 24);
        assert!(Geometry::ROBOT.bytes() <= 24_000_000, "{}", Geometry::ROBOT.bytes());
        // One page in each minute, and the pages of minutes and hours.
        let pages_an_hour = 60.0 + 60.0 / ROWS as f64 + 1.0 / ROWS as f64;
        let bytes_an_hour = pages_an_hour * PAGE_BYTES as f64;
        println!("{bytes_an_hour} bytes are written in an hour");
        assert!(bytes_an_hour <= 400_000.0);
    }

    #[test]
    fn slots_do_not_overlap() {
        let geometry = Geometry::ROBOT;
        let mut offsets: Vec<u64> = Vec::new();
        for resolution in Resolution::ALL {
            let slots = geometry.ring(resolution).slots;
            offsets.extend((0..slots).map(|number| geometry.offset(resolution, number)));
            assert_eq!(geometry.offset(resolution, slots), geometry.offset(resolution, 0));
        }
        assert!(offsets.windows(2).all(|pair| pair[0] + PAGE_BYTES as u64 == pair[1]));
        assert_eq!(offsets.last().map(|last| last + PAGE_BYTES as u64), Some(geometry.bytes()));
    }
}
