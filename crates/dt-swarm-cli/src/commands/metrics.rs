//! `metrics`: the present values and the history of what a robot measures.

mod csv;
mod plot;
mod svg;

use super::Command;
use super::fleet::daemon_of;
use crate::ask;
use crate::context::Context;
use crate::error::CliError;
use crate::output::fields::{Daemon, Timestamp};
use crate::output::{Done, Form, Output, Print};
use crate::page_file;
use crate::period::period;
use crate::streams::MIN_TIMEOUT;
use crate::terminal::{USUAL_WIDTH, terminal, width};
use crate::text::{clean, duration};
use clap::{Args, ValueHint};
use control::Client;
use dcache::{PeerId, Time};
use diagnostics::Diagnostics;
use diagnostics::health::shown;
use diagnostics::metrics::{ALL, CUSTOM, prometheus_name};
use diagnostics::protocol::{Answer, Points, Request, SeriesName, Value};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost metrics                              lists the present values
  dt-swarm-cli localhost metrics temperature                  draws the temperatures of the last 2 hours
  dt-swarm-cli duckie7 metrics battery.charge                 asks the robot duckie7, without any server
  dt-swarm-cli duckie7 metrics battery.charge --collected --since 30d    shows what this collector has of duckie7
  dt-swarm-cli localhost metrics hw.temperature --since 7d --svg hot.svg
  dt-swarm-cli localhost metrics system.cpu.utilization --since 1d --csv > cpu.csv
  echo 'camera_hz 30' | dt-swarm-cli localhost metrics --push camera";

/// Maximum number of points that are read.
const MAX_POINTS: usize = 2_000_000;
/// Maximum number of bytes of pushed text. A request has at most 64 KiB.
const MAX_PUSHED_BYTES: u64 = 30_000;
/// Maximum number of metrics that an error message lists.
const MAX_LISTED: usize = 8;
/// Maximum number of characters of a name that are shown.
const MAX_NAME_SHOWN: usize = 120;

/// Shows what the robot measures: its present values, or the history of one metric as a plot.
///
/// The robot keeps samples of every ten seconds for a day, minutes for a month, and hours for two years. A counter is drawn as
/// its rate. Another robot answers if this computer is on its networks, has a role in its swarm, or the swarm has a key. METRIC
/// is a name as the list without METRIC shows it, a part that only one name has, or a name for Prometheus.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Metrics {
    /// Name of a metric, such as hw.temperature.
    #[arg(value_name = "METRIC")]
    metric: Option<String>,
    /// Time before now at which the history begins, such as 30min, 2h or 7d.
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = period)]
    since: Duration,
    /// Prints the values as comma-separated values, for a spreadsheet.
    #[arg(long, conflicts_with_all = ["svg", "push"])]
    csv: bool,
    /// Writes the plot as an SVG picture.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "metric", conflicts_with = "push")]
    svg: Option<PathBuf>,
    /// Overwrites the file even if it is not a picture that this command wrote.
    #[arg(long, requires = "svg")]
    force: bool,
    /// Shows what the daemon on this computer has stored as a collector, and does not ask the robot.
    #[arg(long, conflicts_with = "push")]
    collected: bool,
    /// Adds values of a program of this name, which are read from standard input in the text format of Prometheus. They are
    /// measured for five minutes.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "metric")]
    push: Option<String>,
}

/// The output of `metrics`.
pub(crate) enum MetricsOutput {
    Values(Values),
    History(History),
    Csv(String),
    Done(Done),
}

/// The present values of a robot.
#[derive(Debug, Serialize)]
pub(crate) struct Values {
    /// The daemon that answered.
    daemon: Daemon,
    /// The time of this computer's clock when the daemon answered.
    time: Timestamp,
    /// The values, ordered by metric.
    values: Vec<PresentValue>,
}

/// The name of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct SeriesEntry {
    /// OpenTelemetry name of the metric; for a value of a program, the program's name of its series.
    metric: String,
    /// Attributes that all series of the metric have.
    attributes: BTreeMap<String, String>,
    /// The thing that was measured, such as `eth0`; `null` if there is only one.
    label: Option<String>,
    /// Unit, as UCUM writes it.
    unit: String,
    /// Whether the value only grows.
    is_counter: bool,
}

/// The present value of a series.
#[derive(Debug, Serialize)]
struct PresentValue {
    #[serde(flatten)]
    series: SeriesEntry,
    /// The measured value.
    value: f64,
}

/// The history of one metric.
#[derive(Debug, Serialize)]
pub(crate) struct History {
    /// The daemon that answered.
    daemon: Daemon,
    /// The time of this computer's clock when the daemon answered.
    time: Timestamp,
    /// Name of the metric.
    metric: String,
    /// Seconds between two points, unless the robot was off.
    step_seconds: u64,
    /// Whether the clock of the robot is right now. If not, all times may be wrong together.
    is_clock_certain: bool,
    /// The series of the metric.
    series: Vec<Line>,
    /// Seconds that the plot shows.
    #[serde(skip)]
    seconds: u64,
}

/// The points of a series.
#[derive(Clone, Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    series: SeriesEntry,
    /// The points, the earliest first.
    points: Vec<Point>,
}

/// A value at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Point {
    /// Time of the measurement.
    time: Timestamp,
    /// Whether the time is exact. It is not if the robot's clock was wrong until its next boot.
    is_exact: bool,
    /// The measured value.
    value: f64,
}

impl Command for Metrics {
    type Output = MetricsOutput;

    fn run(&self, context: &Context) -> Result<MetricsOutput, CliError> {
        if let Some(path) = &self.svg {
            page_file::check_start(svg::START, path, self.force)?;
        }
        if let Some(program) = &self.push {
            return push(&mut context.client()?, program).map(MetricsOutput::Done);
        }
        let (mut source, daemon) = Source::new(context, self.collected)?;
        let values = source.values()?;
        let Some(metric) = &self.metric else {
            let time = Timestamp(ask::clock());
            let values =
                Values { daemon, time, values: values.into_iter().map(PresentValue::from).collect() };
            return Ok(match self.csv && context.form() == Form::Text {
                true => MetricsOutput::Csv(csv::present(&values)),
                false => MetricsOutput::Values(values),
            });
        };
        let metric = find_metric(metric, &values)?;
        let history = History::read(&mut source, daemon, metric, self.since.as_secs())?;
        self.show(history, context.form())
    }
}

impl Metrics {
    fn show(&self, history: History, form: Form) -> Result<MetricsOutput, CliError> {
        if let Some(path) = &self.svg {
            page_file::write_text("metrics", path, &svg::picture(&history))?;
            let sentence = format!("The plot is in {}.", clean(&path.display().to_string(), 300));
            return Ok(MetricsOutput::Done(Done::new(&sentence)));
        }
        Ok(match self.csv && form == Form::Text {
            true => MetricsOutput::Csv(csv::history(&history)),
            false => MetricsOutput::History(history),
        })
    }
}

/// Sends the text of standard input as values of a program.
fn push(client: &mut Client, program: &str) -> Result<Done, CliError> {
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_PUSHED_BYTES + 1).read_to_string(&mut text);
    read.map_err(|source| CliError::Unread { path: PathBuf::from("-"), source })?;
    if text.len() as u64 > MAX_PUSHED_BYTES {
        return Err(CliError::Failed(format!("at most {MAX_PUSHED_BYTES} bytes can be pushed at once")));
    }
    match client.call::<Diagnostics>(&Request::Push { program: program.to_owned(), text })? {
        Answer::Pushed { taken: 0, .. } => Err(CliError::Failed(
            "no value was taken: each line needs the form `name 1.5` or `name{key=\"text\"} 1.5`".to_owned(),
        )),
        Answer::Pushed { taken, refused: 0 } => Ok(Done::new(&format!("{taken} values were taken."))),
        Answer::Pushed { taken, refused } => {
            Ok(Done::new(&format!("{taken} values were taken; {refused} lines were refused.")))
        }
        other => Err(client.unexpected(&other).into()),
    }
}

/// The robot whose metrics are shown. The daemon on this computer asks another robot.
struct Source {
    client: Client,
    /// The other robot; `None` if it is this one.
    peer: Option<PeerId>,
    /// Whether the rows that the daemon has stored as a collector are meant.
    is_collected: bool,
}

impl Source {
    fn new(context: &Context, is_collected: bool) -> Result<(Self, Daemon), CliError> {
        if is_collected && !context.host.is_here() {
            // A robot that is not here now has a name or a peer ID nevertheless.
            let robot = context.robot_called(&context.host.name)?;
            let found = context.find_of_user()?;
            let (peer, daemon) =
                (Some(robot.peer), Daemon { peer: robot, version: None, ..daemon_of(&found) });
            return Ok((Self { client: found.client, peer, is_collected }, daemon));
        }
        if context.is_here()? {
            let found = context.find()?;
            let daemon = daemon_of(&found);
            return Ok((Self { client: found.client, peer: None, is_collected }, daemon));
        }
        let robot = context.robot_at_host()?;
        let found = context.find_of_user()?;
        let client = Client::connect(found.client.path(), context.timeout.max(MIN_TIMEOUT))?;
        let peer = Some(robot.peer);
        let daemon = Daemon { peer: robot, version: None, ..daemon_of(&found) };
        Ok((Self { client, peer, is_collected }, daemon))
    }

    fn values(&mut self) -> Result<Vec<Value>, CliError> {
        match self
            .client
            .call::<Diagnostics>(&Request::Values { peer: self.peer, is_collected: self.is_collected })?
        {
            Answer::Values { values } => Ok(values),
            other => Err(self.client.unexpected(&other).into()),
        }
    }

    fn points(&mut self, metric: &str, seconds: u64, after: Option<u64>) -> Result<Points, CliError> {
        let (metric, is_collected) = (metric.to_owned(), self.is_collected);
        let request = Request::Points { peer: self.peer, metric, seconds, after, is_collected };
        match self.client.call::<Diagnostics>(&request)? {
            Answer::Points(points) => Ok(points),
            other => Err(self.client.unexpected(&other).into()),
        }
    }
}

/// Returns the name of the metric that a text means. A text that is a part of several names is an error.
fn find_metric(text: &str, values: &[Value]) -> Result<String, CliError> {
    let own = ALL.iter().filter(|row| **row != &CUSTOM).map(|row| &row.metric);
    if own.clone().any(|metric| metric.name == text || prometheus_name(metric) == text) {
        return Ok(text.to_owned());
    }
    let names: BTreeSet<&str> = own
        .map(|metric| metric.name)
        .chain(values.iter().map(|value| value.series.metric.as_str()))
        .collect();
    if names.contains(text) {
        return Ok(text.to_owned());
    }
    let candidates: Vec<&str> = names.into_iter().filter(|name| name.contains(text)).collect();
    match candidates.as_slice() {
        [] => Err(CliError::NotFound(format!(
            "no metric is called {}: `metrics` without a name lists them",
            clean(text, MAX_NAME_SHOWN)
        ))),
        [one] => Ok((*one).to_owned()),
        several => {
            let shown: Vec<String> =
                several.iter().take(MAX_LISTED).map(|name| clean(name, MAX_NAME_SHOWN)).collect();
            Err(CliError::NotFound(format!(
                "several metrics are called {}: give the whole name of one of {}",
                clean(text, MAX_NAME_SHOWN),
                shown.join(", ")
            )))
        }
    }
}

impl From<SeriesName> for SeriesEntry {
    fn from(series: SeriesName) -> Self {
        let SeriesName { metric, attributes, label, unit, is_counter } = series;
        Self { metric, attributes, label: Some(label).filter(|label| !label.is_empty()), unit, is_counter }
    }
}

impl From<Value> for PresentValue {
    fn from(value: Value) -> Self {
        Self { series: value.series.into(), value: value.value }
    }
}

impl SeriesEntry {
    /// Returns what distinguishes the series from others of its metric, such as `eth0, transmit`.
    fn show_thing(&self) -> String {
        let values = self.attributes.values().map(String::as_str);
        let parts: Vec<String> =
            self.label.as_deref().into_iter().chain(values).map(|part| clean(part, MAX_NAME_SHOWN)).collect();
        parts.join(", ")
    }

    /// Returns a value of the plot. That of a counter is a rate.
    fn show_plotted(&self, value: f64) -> String {
        let text = shown(value, &self.unit);
        if self.is_counter { text + "/s" } else { text }
    }
}

impl History {
    fn read(source: &mut Source, daemon: Daemon, metric: String, seconds: u64) -> Result<Self, CliError> {
        let mut history = Self {
            daemon,
            time: Timestamp(ask::clock()),
            metric: metric.clone(),
            step_seconds: 0,
            is_clock_certain: true,
            series: Vec::new(),
            seconds,
        };
        let (mut after, mut read) = (None, 0);
        loop {
            let part = source.points(&metric, seconds, after)?;
            let next = part.next;
            read += part.rows.len() * part.series.len();
            history.add(part);
            // The number grows, so that a wrong answer cannot repeat a part without end.
            if next.is_none() || next <= after || read > MAX_POINTS {
                return Ok(history);
            }
            after = next;
        }
    }

    fn add(&mut self, part: Points) {
        (self.step_seconds, self.is_clock_certain) = (part.step_seconds, part.is_clock_certain);
        let series = part.series.into_iter().map(SeriesEntry::from);
        let places: Vec<usize> = series.map(|series| self.place_of(series)).collect();
        for row in part.rows {
            for (value, place) in row.values.iter().zip(&places) {
                let line = self.series.get_mut(*place);
                if let (Some(value), Some(line)) = (value, line) {
                    line.points.push(Point {
                        time: Timestamp(row.time),
                        is_exact: row.is_exact,
                        value: *value,
                    });
                }
            }
        }
    }

    fn place_of(&mut self, series: SeriesEntry) -> usize {
        self.series.iter().position(|line| line.series == series).unwrap_or_else(|| {
            self.series.push(Line { series, points: Vec::new() });
            self.series.len() - 1
        })
    }

    /// Returns the time at the right end of the plot: that of the last point, because the clock of this computer may differ
    /// from that of the robot.
    fn end(&self) -> Time {
        let last = self.series.iter().filter_map(|line| line.points.last()).map(|point| point.time.0);
        last.max().unwrap_or_default()
    }

    /// Returns the time at the left end of the plot: the time that was asked for, or that of the first point if the history
    /// is shorter.
    fn start(&self) -> Time {
        let first = self.series.iter().filter_map(|line| line.points.first()).map(|point| point.time.0);
        Time(self.end().0.saturating_sub(self.seconds)).max(first.min().unwrap_or_default())
    }

    /// Returns the longest time, in seconds, between two points that are connected.
    fn longest_gap(&self) -> u64 {
        self.step_seconds.saturating_mul(3)
    }

    fn text(&self, columns: usize) -> String {
        let period = duration(self.seconds);
        let name = clean(&self.metric, MAX_NAME_SHOWN);
        let lines: Vec<(&Line, Vec<(u64, f64)>)> = self
            .series
            .iter()
            .map(|line| (line, line.plotted()))
            .filter(|(_, points)| !points.is_empty())
            .collect();
        if lines.is_empty() {
            return format!("There are no values of {name} in the last {period}.\n");
        }
        let mut text = format!("{name} in the last {period}\n");
        let rows = match lines.len() {
            1 => 10,
            2 | 3 => 6,
            _ => 4,
        };
        for (line, points) in &lines {
            let frame = plot::Frame {
                columns,
                rows,
                from: self.start().0,
                until: self.end().0,
                gap: self.longest_gap(),
            };
            // Writing to a String does not fail.
            let _ = writeln!(text, "\n{}", line.caption(points));
            text += &plot::chart(points, &frame, |value| line.series.show_plotted(value));
        }
        if !self.is_clock_certain {
            text +=
                "\nThe clock of this robot is not known to be right, so all times may be wrong together.\n";
        }
        text
    }
}

impl Line {
    /// Returns the points of the plot: the values, or the rates of a counter.
    fn plotted(&self) -> Vec<(u64, f64)> {
        let points = self.points.iter().map(|point| (point.time.0.0, point.value));
        if !self.series.is_counter {
            return points.collect();
        }
        let points: Vec<(u64, f64)> = points.collect();
        let rate = |pair: &[(u64, f64)]| match pair {
            // A counter that is smaller than before began anew.
            [(before, old), (now, new)] if now > before && new >= old => {
                Some((*now, (new - old) / (now - before) as f64))
            }
            _ => None,
        };
        points.windows(2).filter_map(rate).collect()
    }

    /// Returns the thing, and the last, least and greatest value.
    fn caption(&self, points: &[(u64, f64)]) -> String {
        let show = |value: f64| self.series.show_plotted(value);
        let (low, high) = plot::range(points);
        let last = points.last().map_or_else(String::new, |(_, value)| show(*value));
        let thing = self.series.show_thing();
        let gap = if thing.is_empty() { "" } else { ": " };
        format!("{thing}{gap}now {last}, from {} to {}", show(low), show(high))
    }
}

impl Output for Values {
    fn show(&self) -> String {
        if self.values.is_empty() {
            return "This robot has no values yet; try again in some seconds.\n".to_owned();
        }
        let thing = |value: &PresentValue| {
            let thing = value.series.show_thing();
            let name = clean(&value.series.metric, MAX_NAME_SHOWN);
            if thing.is_empty() { name } else { format!("{name} ({thing})") }
        };
        let names: Vec<String> = self.values.iter().map(thing).collect();
        let mut text = String::new();
        for (name, value) in names.iter().zip(&self.values) {
            // The value is at the left, because names have very different widths.
            let value = shown(value.value, &value.series.unit);
            let gap = " ".repeat(16_usize.saturating_sub(width(&value)));
            let _ = writeln!(text, "{gap}{value}  {name}");
        }
        text
    }
}

impl Output for History {
    fn show(&self) -> String {
        self.text(terminal().map_or(USUAL_WIDTH, |terminal| terminal.columns))
    }
}

/// A text that is printed as it is.
#[derive(Serialize)]
struct Plain(String);

impl Output for Plain {
    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Print for MetricsOutput {
    fn print(self, form: Form) -> Result<(), CliError> {
        match self {
            Self::Values(values) => values.print(form),
            Self::History(history) => history.print(form),
            Self::Csv(text) => Plain(text).print(form),
            Self::Done(done) => done.print(form),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::fields::PeerRef;
    use crate::output::vocabulary;
    use crate::robots::fixture::peer;
    use diagnostics::protocol::Row;

    pub(super) const NOW: u64 = 1_800_000_000;

    fn series(metric: &str, label: &str, unit: &str, is_counter: bool) -> SeriesName {
        let attributes = BTreeMap::new();
        SeriesName {
            metric: metric.to_owned(),
            attributes,
            label: label.to_owned(),
            unit: unit.to_owned(),
            is_counter,
        }
    }

    /// The history of one series, whose points are ten seconds apart.
    pub(super) fn history(unit: &str, is_counter: bool, values: &[f64]) -> History {
        let daemon = Daemon {
            peer: PeerRef::unnamed(peer(1)),
            version: None,
            uptime_seconds: None,
            clock_ahead_seconds: None,
            records: None,
        };
        let row = |(number, value): (usize, &f64)| Row {
            time: Time(NOW + 10 * number as u64),
            is_exact: true,
            values: vec![Some(*value), None],
        };
        let mut history = History {
            daemon,
            time: Timestamp(Time(NOW)),
            metric: "hw.temperature".to_owned(),
            step_seconds: 0,
            is_clock_certain: true,
            series: Vec::new(),
            seconds: 600,
        };
        history.add(Points {
            series: vec![
                series("hw.temperature", "cpu", unit, is_counter),
                series("hw.temperature", "gpu", unit, is_counter),
            ],
            rows: values.iter().enumerate().map(row).collect(),
            step_seconds: 10,
            next: None,
            is_clock_certain: true,
        });
        history
    }

    #[test]
    fn parts_with_other_series_are_joined() {
        let mut history = history("Cel", false, &[1.0, 2.0]);
        let row = Row { time: Time(NOW + 20), is_exact: true, values: vec![Some(9.0), Some(3.0)] };
        history.add(Points {
            series: vec![
                series("hw.temperature", "gpu", "Cel", false),
                series("hw.temperature", "cpu", "Cel", false),
            ],
            rows: vec![row],
            step_seconds: 10,
            next: None,
            is_clock_certain: true,
        });
        let values: Vec<Vec<f64>> =
            history.series.iter().map(|line| line.points.iter().map(|point| point.value).collect()).collect();
        assert_eq!(values, [vec![1.0, 2.0, 3.0], vec![9.0]]);
        vocabulary::checked(&history);
    }

    #[test]
    fn a_plot_fits_the_terminal_and_has_the_values_in_its_caption() {
        let text = history("Cel", false, &[40.0, 55.5, 50.0]).text(80);
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        assert!(text.contains("cpu: now 50.0 °C, from 40.0 °C to 55.5 °C\n"), "{text}");
        assert!(!text.contains("gpu"), "it has no values: {text}");
        let none = history("Cel", false, &[]).text(80);
        assert_eq!(none, "There are no values of hw.temperature in the last 10 min.\n");
    }

    #[test]
    fn a_counter_is_drawn_as_its_rate_and_may_begin_anew() {
        let line = history("By", true, &[100.0, 200.0, 50.0, 80.0]).series.remove(0);
        assert_eq!(line.plotted(), [(NOW + 10, 10.0), (NOW + 30, 3.0)]);
        assert!(line.caption(&line.plotted()).ends_with("now 3 bytes/s, from 3 bytes/s to 10 bytes/s"));
    }

    #[test]
    fn a_metric_is_found_by_a_part_of_its_name() {
        let custom = Value { series: series("camera_hz{side=\"left\"}", "", "{value}", false), value: 1.0 };
        let find =
            |text: &str| find_metric(text, std::slice::from_ref(&custom)).map_err(|error| error.to_string());
        assert_eq!(find("hw.temperature"), Ok("hw.temperature".to_owned()));
        assert_eq!(find("hw_temperature_celsius"), Ok("hw_temperature_celsius".to_owned()));
        assert_eq!(find("temperature"), Ok("hw.temperature".to_owned()));
        assert_eq!(find("camera"), Ok("camera_hz{side=\"left\"}".to_owned()));
        assert!(find("memory").unwrap_err().contains("hw.gpu.memory.usage, system.linux.memory.available"));
        assert!(find("nothing").unwrap_err().contains("no metric is called nothing"));
    }
}
