//! The totals that a collector shows: values that enough robots have in common.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::collected::Collected;
use crate::fields::FIELDS;
use crate::week::Week;
use serde::{Deserialize, Serialize};

/// Smallest number of robots that a value is shown for. The configuration can only raise it.
pub const MIN_COUNT: u32 = 5;

/// The totals of a week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeekTotals {
    /// The week, such as `2026-W49`.
    pub week: Week,
    /// The fields that reports of this week have.
    pub fields: Vec<FieldTotals>,
}

/// The totals of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldTotals {
    /// Name of the field.
    pub field: String,
    /// Values that enough robots have, in the order of the table.
    pub values: Vec<ValueTotal>,
    /// Number of robots with a value that is not shown; absent if it is too small to be shown.
    pub hidden: Option<u32>,
}

/// The number of robots with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueTotal {
    /// The value of the field.
    pub value: String,
    /// Number of robots.
    pub robots: u32,
}

/// Returns the totals of the latest weeks, latest first.
pub(crate) fn totals(collected: &Collected, minimum: u32, weeks: usize) -> Vec<WeekTotals> {
    collected.weeks().take(weeks).map(|week| of_week(collected, minimum, week)).collect()
}

fn of_week(collected: &Collected, minimum: u32, week: Week) -> WeekTotals {
    let total = |(number, field)| {
        let counts = collected.values(week, number, field);
        let (shown, hidden) = shown(&counts, minimum.max(MIN_COUNT));
        let value = |(value, robots): (&str, u32)| ValueTotal { value: value.to_owned(), robots };
        let values = shown.into_iter().map(value).collect();
        (!counts.is_empty()).then(|| FieldTotals { field: field.name.to_owned(), values, hidden })
    };
    WeekTotals { week, fields: FIELDS.iter().enumerate().filter_map(total).collect() }
}

/// Returns the counts that may be shown, and the sum of the others if it may be shown.
///
/// The sum of all counts is the number of robots, which the totals of another field can reveal. So the sum of the hidden counts must
/// be large enough, too: if it is not, the smallest of the other counts is hidden as well.
fn shown(counts: &[(&'static str, u32)], minimum: u32) -> (Vec<(&'static str, u32)>, Option<u32>) {
    let (mut shown, hidden): (Vec<_>, Vec<_>) =
        counts.iter().copied().partition(|(_, count)| *count >= minimum);
    let mut hidden: u32 = hidden.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count));
    if hidden > 0 && hidden < minimum {
        let smallest = shown.iter().enumerate().min_by_key(|(_, (_, count))| *count).map(|(place, _)| place);
        if let Some(place) = smallest {
            hidden = hidden.saturating_add(shown.remove(place).1);
        }
    }
    (shown, Some(hidden).filter(|hidden| *hidden == 0 || *hidden >= minimum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::tests::{NOW, report};
    use crate::week::WEEK;
    use dcache::Moment;
    use proptest::prelude::*;

    #[test]
    fn a_value_of_few_robots_is_not_shown() {
        assert_eq!(shown(&[("a", 4)], 5), (vec![], None));
        assert_eq!(shown(&[("a", 5)], 5), (vec![("a", 5)], Some(0)));
        assert_eq!(shown(&[("a", 9), ("b", 5), ("c", 4)], 5), (vec![("a", 9)], Some(9)));
        assert_eq!(shown(&[("a", 9), ("b", 3), ("c", 4)], 5), (vec![("a", 9)], Some(7)));
    }

    #[test]
    fn the_totals_of_a_week_have_all_fields() {
        let mut collected = Collected::default();
        for secret in 0..5 {
            assert!(
                totals(&collected, 0, 9)
                    .iter()
                    .all(|week| week.fields.iter().all(|field| field.values.is_empty()))
            );
            let now = Moment::certain(NOW.plus(WEEK));
            let changes = collected.count(&report(secret, Week::of(NOW)), now).unwrap();
            collected.apply(&changes);
        }
        let shown = totals(&collected, 0, 9);
        assert_eq!((shown.len(), shown[0].week, shown[0].fields.len()), (1, Week::of(NOW), FIELDS.len()));
        for field in &shown[0].fields {
            assert_eq!((field.values.len(), field.values[0].robots, field.hidden), (1, 5, Some(0)));
        }
        let stricter = totals(&collected, 6, 9);
        assert!(stricter[0].fields.iter().all(|field| field.values.is_empty() && field.hidden.is_none()));
        assert!(totals(&collected, 0, 0).is_empty());
    }

    proptest! {
        #[test]
        fn neither_a_shown_count_nor_a_difference_is_small(
            counts in proptest::collection::vec(0u32..30, 0..12), minimum in MIN_COUNT..12,
        ) {
            let counts: Vec<_> = counts.into_iter().filter(|count| *count > 0).map(|count| ("x", count)).collect();
            let all: u32 = counts.iter().map(|(_, count)| count).sum();
            let (shown, hidden) = shown(&counts, minimum);
            prop_assert!(shown.iter().all(|(_, count)| *count >= minimum));
            let rest = all - shown.iter().map(|(_, count)| count).sum::<u32>();
            prop_assert!(rest == 0 || rest >= minimum || shown.is_empty());
            prop_assert_eq!(hidden, Some(rest).filter(|rest| *rest == 0 || *rest >= minimum));
        }
    }
}
