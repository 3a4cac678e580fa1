//! Figures that experiments print.

use std::time::Duration;

use serde_json::{Value, json};

/// Durations of many events, sorted from shortest to longest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution(Vec<Duration>);

impl FromIterator<Duration> for Distribution {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

impl Distribution {
    /// Returns the time within which this share (0 to 1) of the events happened; none if there are no events.
    pub fn share(&self, share: f64) -> Option<Duration> {
        let place = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(place.clamp(1, self.0.len().max(1)) - 1).copied()
    }

    /// Returns the figures in seconds, by name.
    pub fn json(&self) -> Value {
        let seconds = |share| self.share(share).map(|time| time.as_secs_f64());
        json!({ "median": seconds(0.5), "of_90_percent": seconds(0.9), "worst": seconds(1.0) })
    }
}

/// A row of a table: its name, and the figure of each column.
pub(crate) type Row = (String, Vec<Option<f64>>);

/// Prints rows below headings. The number of decimals depends on the size of each figure.
pub(crate) fn print_table(headings: &[&str], rows: &[Row]) {
    let width = rows.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
    println!(
        "{:width$}  {}",
        "",
        headings.iter().map(|heading| format!("{heading:>12}")).collect::<String>()
    );
    for (what, figures) in rows {
        let figures =
            figures.iter().map(|figure| format!("{:>12}", figure.map_or_else(|| "-".into(), shown)));
        println!("{what:width$}  {}", figures.collect::<String>());
    }
}

fn shown(figure: f64) -> String {
    let decimals = match figure {
        figure if figure.fract() == 0.0 => 0,
        figure if figure.abs() < 10.0 => 3,
        figure if figure.abs() < 1000.0 => 1,
        _ => 0,
    };
    format!("{figure:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_time_of_an_event_that_happened() {
        let times: Distribution = (1..=10).rev().map(Duration::from_secs).collect();
        let seconds = |share| times.share(share).unwrap().as_secs();
        assert_eq!([seconds(0.0), seconds(0.5), seconds(0.9), seconds(1.0)], [1, 5, 9, 10]);
        assert_eq!(Distribution::default().share(0.5), None);
    }

    #[test]
    fn the_decimals_of_a_figure_depend_on_its_size() {
        assert_eq!([0.1234, 50.0, 12.34, 25_000.4].map(shown), ["0.123", "50", "12.3", "25000"]);
    }
}
