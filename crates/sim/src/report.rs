//! The figures of a run.

use crate::ledger::Journey;
use crate::line::{Count, Kind, Tally};
use crate::scenario::{Records, Seconds};
use crate::world::{Sums, World};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a run showed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which scenario.
    pub scenario: String,
    /// What decided all chance.
    pub seed: u64,
    /// What went wrong; nothing, in a run that passed.
    pub failures: Vec<String>,
    /// A hash of all that happened: equal for two runs that were the same.
    pub hash: String,
    /// How many honest nodes.
    pub nodes: usize,
    /// How many events.
    pub events: u64,
    /// How long the run was, in its own time.
    pub virtual_seconds: f64,
    /// How long after the beginning of the calm all held the same.
    pub converged_after: Option<f64>,
    /// How many records all held then.
    pub records: usize,
    /// How fast shared files became safe everywhere; absent when none were shared.
    pub files: Option<FilesSafe>,
    /// How fast new records got to everybody.
    pub spreads: Vec<Spread>,
    /// What was sent and received while it was measured.
    pub traffic: Traffic,
    /// Why nodes refused records, and how many times.
    pub refusals: BTreeMap<String, u64>,
}

/// How fast records of one sort got to everybody.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// What sort.
    pub name: String,
    /// How many there were.
    pub count: usize,
    /// How many of them got to all honest nodes.
    pub complete: usize,
    /// To half of the nodes.
    pub to_50: Spans,
    /// To 99 of 100.
    pub to_99: Spans,
    /// To all.
    pub to_100: Spans,
}

/// How fast shared files became safe everywhere: in the sets of all honest nodes, by their own clocks, with all of them as
/// holders.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FilesSafe {
    /// How many were shared.
    pub count: usize,
    /// How many of them became safe everywhere.
    pub complete: usize,
    /// After what time.
    pub time: Spans,
}

/// Seconds: of the record in the middle, and of the slowest; none when there is one that never got there.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spans {
    /// The record in the middle.
    pub median: Option<f64>,
    /// The slowest.
    pub worst: Option<f64>,
}

/// Lines and bytes of all honest nodes together while it was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// For how long.
    pub seconds: f64,
    /// Sent, by kind, with headers.
    pub sent: BTreeMap<Kind, Count>,
    /// Received, by kind: on a network each receiver counts.
    pub received: BTreeMap<Kind, Count>,
    /// Records that nodes took from others.
    pub taken: u64,
    /// Records that their makers told.
    pub told: u64,
    /// The bytes of one datagram with each of these.
    pub told_bytes: u64,
    /// Bytes sent a minute, by all together.
    pub bytes_per_minute: f64,
    /// The same without one datagram for each record that was told.
    pub bytes_per_minute_beyond: f64,
    /// Bytes sent by one node in an hour.
    pub bytes_per_node_hour: f64,
    /// Lines sent by one node in an hour.
    pub messages_per_node_hour: f64,
    /// Bytes sent for each record that some node took from others.
    pub bytes_per_taken: Option<f64>,
}

impl World {
    pub(crate) fn report(&mut self, name: &str, settled: Result<usize, String>) -> Report {
        let calm = self.scenario.duration.0;
        let converged_after = settled.is_ok().then(|| (self.now - calm).as_secs_f64());
        let records = *settled.as_ref().unwrap_or(&0);
        self.failures.extend(settled.err().map(|difference| format!("at the end: {difference}")));
        if converged_after.is_some() && records == 0 && self.ledger.is_used() {
            self.failures.push("at the end: all records were over, nothing was compared".to_owned());
        }
        let groups = self.scenario.records.clone();
        let spreads: Vec<Spread> =
            groups.iter().enumerate().map(|(group, records)| self.spread(group, records)).collect();
        self.check_spreads(&groups, &spreads);
        Report {
            scenario: name.to_owned(),
            seed: self.options.seed,
            failures: self.failures.clone(),
            hash: format!("{:016x}", self.hash()),
            nodes: self.honest().count(),
            events: self.events,
            virtual_seconds: self.now.as_secs_f64(),
            converged_after,
            records,
            files: self.files_safe(),
            spreads,
            traffic: self.traffic(),
            refusals: self.refusals.clone(),
        }
    }

    fn files_safe(&self) -> Option<FilesSafe> {
        let (complete, lacking) = (self.safety.times.len(), self.safety.unsafe_files());
        let times = self.safety.times.iter().copied().map(Some);
        let time = spans(times.chain(std::iter::repeat_n(None, lacking)));
        let count = complete + lacking;
        (count > 0).then_some(FilesSafe { count, complete, time })
    }

    fn spread(&self, group: usize, records: &Records) -> Spread {
        let nodes = self.honest().count();
        let journeys: Vec<&Journey> = self
            .ledger
            .journeys()
            .map(|(_, journey)| journey)
            .filter(|journey| journey.group == group)
            .collect();
        let spans = |percent: usize| {
            spans(journeys.iter().map(|journey| journey.to((nodes * percent).div_ceil(100))))
        };
        Spread {
            name: records.name.clone(),
            count: journeys.len(),
            complete: journeys.iter().filter(|journey| journey.to(nodes).is_some()).count(),
            to_50: spans(50),
            to_99: spans(99),
            to_100: spans(100),
        }
    }

    fn check_spreads(&mut self, groups: &[Records], spreads: &[Spread]) {
        for (records, spread) in groups.iter().zip(spreads) {
            let Some(Seconds(within)) = records.within else { continue };
            if spread.to_100.worst.is_none_or(|worst| worst > within.as_secs_f64()) {
                let worst = spread.to_100.worst;
                self.failures
                    .push(format!("a record of {:?} took {worst:?} s to all, not {within:?}", spread.name));
            }
        }
    }

    fn traffic(&self) -> Traffic {
        let [begin, end] = self.measured.clone();
        let is_in_calm = self.scenario.measure_from.0 >= self.scenario.duration.0;
        let begin = begin.unwrap_or_default();
        let end = end.filter(|_| !is_in_calm).unwrap_or_else(|| self.sums());
        between(&begin, &end, self.honest().count())
    }
}

fn between(begin: &Sums, end: &Sums, nodes: usize) -> Traffic {
    let (sent, received) = (end.sent.since(&begin.sent), end.received.since(&begin.received));
    let seconds = end.at.saturating_sub(begin.at).as_secs_f64();
    let (taken, told, told_bytes) =
        (end.taken - begin.taken, end.told - begin.told, end.told_bytes - begin.told_bytes);
    let Count { lines, bytes } = sent.all();
    let minutes = (seconds / 60.0).max(f64::MIN_POSITIVE);
    let node_hours = (nodes as f64 * seconds / 3600.0).max(f64::MIN_POSITIVE);
    Traffic {
        seconds,
        sent: by_kind(&sent),
        received: by_kind(&received),
        taken,
        told,
        told_bytes,
        bytes_per_minute: bytes as f64 / minutes,
        bytes_per_minute_beyond: (bytes as f64 - told_bytes as f64) / minutes,
        bytes_per_node_hour: bytes as f64 / node_hours,
        messages_per_node_hour: lines as f64 / node_hours,
        bytes_per_taken: (taken > 0).then(|| bytes as f64 / taken as f64),
    }
}

fn by_kind(tally: &Tally) -> BTreeMap<Kind, Count> {
    [Kind::Records, Kind::Beacons, Kind::Repair, Kind::Others]
        .into_iter()
        .map(|kind| (kind, tally.of(kind)))
        .collect()
}

fn spans(times: impl Iterator<Item = Option<Duration>>) -> Spans {
    // What never got there comes last.
    let mut times: Vec<Duration> = times.map(|time| time.unwrap_or(Duration::MAX)).collect();
    times.sort_unstable();
    let seconds = |time: &Duration| (*time < Duration::MAX).then_some(time.as_secs_f64());
    Spans { median: times.get(times.len() / 2).and_then(seconds), worst: times.last().and_then(seconds) }
}
