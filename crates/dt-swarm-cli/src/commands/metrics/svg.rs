//! A plot as an SVG picture. It needs no other file and contains no script.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::plot::axis;
use super::{History, Line};
use crate::html::escaped;
use crate::text::{clean, date, duration};
use dcache::Time;
use std::fmt::Write as _;

/// Start of the picture. It marks a file that the command may overwrite.
pub(super) const START: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- dt-swarm metrics -->\n";
/// Width of the plot, and the space on its left for the axis.
const WIDTH: f64 = 800.0;
const LEFT: f64 = 90.0;
/// Height of the plot, and the space above it for the title.
const HEIGHT: f64 = 300.0;
const TOP: f64 = 40.0;
/// Height of a line of text.
const TEXT: f64 = 18.0;
/// Number of lines of the grid.
const GRID: u32 = 4;
/// Colours of the series, which are told apart also by people who see few colours.
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999"];

/// Returns the picture of a history.
pub(super) fn picture(history: &History) -> String {
    let lines: Vec<(&Line, Vec<(u64, f64)>)> = history
        .series
        .iter()
        .map(|line| (line, line.plotted()))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let all: Vec<(u64, f64)> = lines.iter().flat_map(|(_, points)| points.iter().copied()).collect();
    let scale = Scale::new(history, &all);
    let height = TOP + HEIGHT + TEXT * (2.5 + lines.len() as f64);
    let title = format!("{} in the last {}", clean(&history.metric, 120), duration(history.seconds));
    let mut svg = format!(
        "{START}<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{height}\" \
         viewBox=\"0 0 {0} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"24\" font-size=\"16\">{1}</text>\n",
        LEFT + WIDTH + 20.0,
        escaped(&title)
    );
    if let Some((line, _)) = lines.first() {
        svg += &scale.grid(|value| line.series.show_plotted(value));
    }
    for (number, (line, points)) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        svg += &scale.curve(points, history.longest_gap(), colour);
        let y = TOP + HEIGHT + TEXT * (2.5 + number as f64);
        // Writing to a String does not fail.
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{y}\" fill=\"{colour}\">{}</text>",
            escaped(&line.caption(points))
        );
    }
    svg + "</svg>\n"
}

/// The scale of a plot.
struct Scale {
    from: u64,
    until: u64,
    low: f64,
    high: f64,
}

impl Scale {
    fn new(history: &History, points: &[(u64, f64)]) -> Self {
        let (low, high) = if points.is_empty() { (0.0, 1.0) } else { axis(points) };
        Self { from: history.start().0, until: history.end().0, low, high }
    }

    fn x(&self, time: u64) -> f64 {
        let span = self.until.saturating_sub(self.from).max(1) as f64;
        LEFT + time.saturating_sub(self.from) as f64 / span * WIDTH
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (self.high - value) / (self.high - self.low) * HEIGHT
    }

    /// Returns the lines of the grid, with values and times.
    fn grid(&self, show: impl Fn(f64) -> String) -> String {
        let mut grid = String::new();
        for line in 0..=GRID {
            let share = f64::from(line) / f64::from(GRID);
            let (value, right) = (self.low + (self.high - self.low) * share, LEFT + WIDTH);
            let y = self.y(value);
            let _ = writeln!(grid, "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#dddddd\"/>");
            let (x, text) = (LEFT - 6.0, escaped(&show(value)));
            let _ = writeln!(grid, "<text x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", y + 4.0);
        }
        for (time, anchor) in [(self.from, "start"), (self.until, "end")] {
            let (x, y, text) = (self.x(time), TOP + HEIGHT + TEXT, date(Time(time)));
            let _ = writeln!(grid, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>");
        }
        grid
    }

    /// Returns the curve of a series. Points that are further apart than `gap` seconds are not connected.
    fn curve(&self, points: &[(u64, f64)], gap: u64, colour: &str) -> String {
        let (mut path, mut before) = (String::new(), None);
        for (time, value) in points {
            let is_next = before.is_some_and(|before: u64| time.saturating_sub(before) <= gap);
            let _ =
                write!(path, "{}{:.1} {:.1}", if is_next { 'L' } else { 'M' }, self.x(*time), self.y(*value));
            before = Some(*time);
        }
        format!("<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-linecap=\"round\"/>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;

    #[test]
    fn a_picture_has_a_curve_and_a_caption_for_each_series_with_values() {
        let mut history = tests::history("Cel", false, &[1.0, 2.0, 3.0]);
        history.metric = "<script>".to_owned();
        let svg = picture(&history);
        assert!(svg.starts_with(START) && svg.ends_with("</svg>\n") && !svg.contains("<script"), "{svg}");
        assert_eq!((svg.matches("fill=\"none\"").count(), svg.matches('L').count()), (1, 2), "{svg}");
        assert!(svg.contains("now 3.0 °C") && svg.contains("2027-01-15T08:00:20Z"), "{svg}");
        assert!(picture(&tests::history("Cel", false, &[])).ends_with("</svg>\n"));
    }
}
