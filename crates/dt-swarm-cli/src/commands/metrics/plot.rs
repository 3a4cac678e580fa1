//! Plots of Braille characters. Each has two columns of four dots, so a terminal shows eight times as many dots as
//! characters.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::terminal::width;
use crate::text::duration;

/// The first Braille character, which has no dots.
const EMPTY: u32 = 0x2800;
/// Bits of the dots of a character, by row and column.
const DOTS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
/// Minimum width of a plot in characters. The line below it has room for two times.
const MIN_WIDTH: usize = 20;

/// The frame of a plot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Width in characters, with the axis.
    pub(super) columns: usize,
    /// Height of the plot in characters.
    pub(super) rows: usize,
    /// Time at the left end, in seconds.
    pub(super) from: u64,
    /// Time at the right end, in seconds.
    pub(super) until: u64,
    /// Longest time, in seconds, between two points that are connected.
    pub(super) gap: u64,
}

/// Returns the least and the greatest value.
pub(super) fn range(points: &[(u64, f64)]) -> (f64, f64) {
    points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, value)| {
        (low.min(*value), high.max(*value))
    })
}

/// Returns the range of an axis. Values that are all the same are in its middle.
pub(super) fn axis(points: &[(u64, f64)]) -> (f64, f64) {
    let (low, high) = range(points);
    let margin = if high > low { 0.0 } else { (low.abs() / 10.0).max(0.1) };
    (low - margin, high + margin)
}

/// Draws points. `show` writes the values at the axis.
pub(super) fn chart(points: &[(u64, f64)], frame: &Frame, show: impl Fn(f64) -> String) -> String {
    let (low, high) = axis(points);
    let (top, bottom) = (show(high), show(low));
    let label_width = width(&top).max(width(&bottom));
    let plot_width = frame.columns.saturating_sub(label_width + 2).max(MIN_WIDTH);
    let mut canvas = Canvas::new(plot_width, frame.rows);
    canvas.draw(points, frame, (low, high));
    let mut text = String::new();
    for (row, line) in canvas.lines().enumerate() {
        let label = match row {
            0 => top.as_str(),
            _ if row + 1 == frame.rows => bottom.as_str(),
            _ => "",
        };
        text += &format!("{}{label} │{line}\n", " ".repeat(label_width - width(label)));
    }
    let ago = format!("{} ago", duration(frame.until.saturating_sub(frame.from)));
    let gap = plot_width.saturating_sub(width(&ago) + "now".len());
    text + &format!("{} └{ago}{}now\n", " ".repeat(label_width), " ".repeat(gap))
}

/// A field of dots.
struct Canvas {
    columns: usize,
    cells: Vec<u8>,
}

impl Canvas {
    fn new(columns: usize, rows: usize) -> Self {
        Self { columns, cells: vec![0; columns * rows] }
    }

    fn rows(&self) -> usize {
        self.cells.len() / self.columns.max(1)
    }

    /// Sets a dot. The origin is at the upper left.
    fn set(&mut self, x: usize, y: usize) {
        let bits = DOTS[y % 4][x % 2];
        if let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2) {
            *cell |= bits;
        }
    }

    fn draw(&mut self, points: &[(u64, f64)], frame: &Frame, (low, high): (f64, f64)) {
        let (dots_x, dots_y) = (self.columns * 2 - 1, self.rows() * 4 - 1);
        let span = frame.until.saturating_sub(frame.from).max(1) as f64;
        // A conversion of a float saturates, so values outside of the frame are at its edge.
        let place = |(time, value): (u64, f64)| {
            let x = time.saturating_sub(frame.from) as f64 / span * dots_x as f64;
            let y = (high - value) / (high - low) * dots_y as f64;
            ((x.round() as usize).min(dots_x), (y.round() as usize).min(dots_y))
        };
        let mut before: Option<(u64, (usize, usize))> = None;
        for point in points {
            let here = place(*point);
            match before.filter(|(time, _)| point.0.saturating_sub(*time) <= frame.gap) {
                Some((_, there)) => self.connect(there, here),
                None => self.set(here.0, here.1),
            }
            before = Some((point.0, here));
        }
    }

    /// Draws a straight line.
    fn connect(&mut self, from: (usize, usize), to: (usize, usize)) {
        let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
        let between = |from: usize, to: usize, step: usize| {
            let way = (to as f64 - from as f64) * step as f64 / steps as f64;
            (from as f64 + way).round() as usize
        };
        for step in 0..=steps {
            self.set(between(from.0, to.0, step), between(from.1, to.1, step));
        }
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        let character = |bits: &u8| char::from_u32(EMPTY + u32::from(*bits)).unwrap_or(' ');
        self.cells.chunks(self.columns).map(move |row| row.iter().map(character).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(gap: u64) -> Frame {
        Frame { columns: 14, rows: 2, from: 0, until: 19, gap }
    }

    #[test]
    fn a_rising_line_goes_from_the_lower_left_to_the_upper_right() {
        let text = chart(&[(0, 0.0), (19, 7.0)], &frame(100), |value| format!("{value}"));
        let expected = "7 │⠀⠀⠀⠀⠀⠀⢀⣀⠤⠔⠊⠉\n0 │⣀⠤⠔⠊⠉⠁⠀⠀⠀⠀⠀⠀\n  └19 s ago now\n";
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), expected.lines().count(), "{text}");
        assert!(
            lines[0].ends_with(|last| last != '\u{2800}') && lines[0].chars().nth(3) == Some('\u{2800}'),
            "{text}"
        );
        assert!(lines[1].ends_with('\u{2800}') && lines[1].chars().nth(3) != Some('\u{2800}'), "{text}");
    }

    #[test]
    fn points_that_are_far_apart_are_not_connected() {
        let dots = |gap| {
            let text = chart(&[(0, 1.0), (19, 1.0)], &frame(gap), |_| String::new());
            text.chars().filter(|char| ('\u{2801}'..='\u{28ff}').contains(char)).count()
        };
        assert_eq!(dots(10), 2);
        assert!(dots(19) > 5);
    }

    proptest! {
        #[test]
        fn every_plot_has_its_size(
            points in proptest::collection::vec((0..100_u64, any::<f32>().prop_filter("finite", |value| value.is_finite())), 1..50),
            columns in 0..100_usize, rows in 1..10_usize,
        ) {
            let points: Vec<(u64, f64)> = points.into_iter().map(|(time, value)| (time, f64::from(value))).collect();
            let frame = Frame { columns, rows, from: 20, until: 60, gap: 5 };
            let text = chart(&points, &frame, |_| "x".to_owned());
            prop_assert_eq!(text.lines().count(), rows + 1);
            let widest = text.lines().map(width).max().unwrap_or_default();
            prop_assert!(widest <= columns.max(MIN_WIDTH + 3), "{}", widest);
        }
    }
}
