//! Values as comma-separated values (RFC 4180), with a header.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{History, SeriesEntry, Values};
use crate::text::date;

/// Returns the present values.
pub(super) fn present(values: &Values) -> String {
    let mut text = "time,metric,thing,unit,value\n".to_owned();
    for value in &values.values {
        text += &row(&date(values.time.0), &value.series, value.value);
    }
    text
}

/// Returns the points of a history.
pub(super) fn history(history: &History) -> String {
    let mut text = "time,metric,thing,unit,value\n".to_owned();
    for line in &history.series {
        for point in &line.points {
            text += &row(&date(point.time.0), &line.series, point.value);
        }
    }
    text
}

fn row(time: &str, series: &SeriesEntry, value: f64) -> String {
    let [metric, thing, unit] = [&series.metric, &series.show_thing(), &series.unit].map(|text| quoted(text));
    format!("{time},{metric},{thing},{unit},{value}\n")
}

/// Returns a field. One with commas or quotation marks is put in quotation marks.
fn quoted(text: &str) -> String {
    let text = crate::text::clean(text, 300);
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;

    #[test]
    fn each_point_is_a_line() {
        let text = history(&tests::history("Cel", false, &[1.5, 2.0]));
        let expected = "time,metric,thing,unit,value\n\
            2027-01-15T08:00:00Z,hw.temperature,cpu,Cel,1.5\n2027-01-15T08:00:10Z,hw.temperature,cpu,Cel,2\n";
        assert_eq!(text, expected);
        assert_eq!(quoted("a{b=\"c\",d}"), "\"a{b=\"\"c\"\",d}\"");
    }
}
