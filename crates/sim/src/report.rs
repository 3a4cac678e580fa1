//! The figures of a run.

use crate::copies::FILE_BYTES;
use crate::ledger::Journey;
use crate::line::{Count, Kind, Tally};
use crate::node::NodeId;
use crate::scenario::{Records, Seconds};
use crate::world::{Sums, World};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Result and figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: String,
    /// Seed of all random choices.
    pub seed: u64,
    /// Failures of the run; empty if the run passed.
    pub failures: Vec<String>,
    /// Hash of all events. It is equal for two runs with the same events.
    pub hash: String,
    /// Number of honest nodes.
    pub nodes: usize,
    /// Number of events.
    pub events: u64,
    /// Duration of the run, in virtual seconds.
    pub virtual_seconds: f64,
    /// Time, in seconds after the start of the calm, at which all honest nodes held the same records.
    pub converged_after: Option<f64>,
    /// Number of records that all honest nodes held then.
    pub records: usize,
    /// Time until shared files became safe everywhere; absent if no files were shared.
    pub files: Option<FilesSafe>,
    /// Figures about the copies of shared files; absent if the scenario has no number of copies.
    pub copies: Option<CopiesSeen>,
    /// Results of the checks of the tables of robots; absent if the scenario has none.
    pub tables: Option<TablesSeen>,
    /// Results of the checks of the health of nodes; absent if the scenario has none.
    pub health: Option<HealthSeen>,
    /// Time from the start of the last node until each node listed all others; absent if the scenario does not ask for
    /// it.
    pub meetings: Option<Spans>,
    /// Time until new records reached all nodes, for each kind of records.
    pub spreads: Vec<Spread>,
    /// Lines and bytes sent and received during the measurement.
    pub traffic: Traffic,
    /// Reasons for which nodes refused records, and the number of times of each.
    pub refusals: BTreeMap<String, u64>,
}

/// Figures about the copies of shared files.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CopiesSeen {
    /// Number of bytes that the first copies of all files have, without those of the uploaders.
    pub first_bytes: u64,
    /// Number of bytes of files that nodes fetched.
    pub fetched_bytes: u64,
    /// Number of copies that nodes let go of.
    pub released: usize,
    /// Fewest disks that still had the file when a copy was let go of; absent if none was.
    pub fewest_left: Option<usize>,
    /// Longest time, in seconds, for which a copy was missing on running nodes while no network was split.
    pub longest_lack: f64,
}

/// Results of the checks of the tables of robots.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TablesSeen {
    /// Number of tables that were read.
    pub read: usize,
    /// Longest time, in seconds, for which a running node was not shown as present. It counts from the last check before,
    /// or from the start of the node.
    pub missing: f64,
    /// Longest time, in seconds, for which a node was shown as present after its end.
    pub shown_after_end: f64,
    /// The same for nodes that were shut down cleanly, and so withdrew their presence.
    pub shown_after_farewell: f64,
    /// Number of times that a node started.
    pub starts: usize,
    /// Number of times that a node was killed.
    pub kills: usize,
    /// Number of times that a node was shut down cleanly.
    pub farewells: usize,
    /// Number of times that a node came to another network.
    pub moves: usize,
}

/// Results of the checks of the health of nodes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HealthSeen {
    /// Number of sets that were read.
    pub read: usize,
    /// Number of times that the level of a node changed.
    pub changes: usize,
    /// Longest time, in seconds, for which a running node was seen with another level than its own, or not at all.
    pub wrong: f64,
    /// Number of rows of nodes that did not run, and that were shown as STALE.
    pub stale: usize,
}

/// Time until records of one kind reached all honest nodes.
#[derive(Clone, Debug, Serialize)]
pub struct Spread {
    /// Name of the kind of records.
    pub name: String,
    /// Number of records.
    pub count: usize,
    /// Number of records that reached all honest nodes.
    pub complete: usize,
    /// Time to reach half of the nodes.
    pub to_50: Spans,
    /// Time to reach 99 % of the nodes.
    pub to_99: Spans,
    /// Time to reach all nodes.
    pub to_100: Spans,
}

/// Time until shared files became safe everywhere. A file is safe everywhere when the sets of all honest nodes, by
/// their own clocks, show all of these nodes as its holders.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct FilesSafe {
    /// Number of files that were shared.
    pub count: usize,
    /// Number of files that became safe everywhere.
    pub complete: usize,
    /// Time until they became safe.
    pub time: Spans,
}

/// Median and maximum of times in seconds. A record or a file that did not arrive everywhere counts as infinitely slow.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Spans {
    /// Median time; absent if it is infinite.
    pub median: Option<f64>,
    /// Maximum time; absent if it is infinite.
    pub worst: Option<f64>,
}

/// Lines and bytes of all honest nodes together during the measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Traffic {
    /// Duration of the measurement, in seconds.
    pub seconds: f64,
    /// Lines and bytes sent, by purpose, with headers.
    pub sent: BTreeMap<Kind, Count>,
    /// Lines and bytes received, by purpose. On a network, each receiver counts.
    pub received: BTreeMap<Kind, Count>,
    /// Number of times that a node added a record of another signer to its set.
    pub taken: u64,
    /// Number of records that their makers published.
    pub told: u64,
    /// Number of bytes that the published records take if each of them is sent once, in a datagram of its own.
    pub told_bytes: u64,
    /// Bytes sent per minute, by all nodes together.
    pub bytes_per_minute: f64,
    /// Bytes sent per minute in excess of `told_bytes`.
    pub bytes_per_minute_beyond: f64,
    /// Bytes sent per node and hour.
    pub bytes_per_node_hour: f64,
    /// Lines sent per node and hour.
    pub messages_per_node_hour: f64,
    /// Bytes sent, divided by `taken`.
    pub bytes_per_taken: Option<f64>,
}

impl World {
    pub(crate) fn report(&mut self, name: &str, settled: Result<usize, String>) -> Report {
        let calm = self.scenario.duration.0;
        let converged_after = settled.is_ok().then(|| (self.now - calm).as_secs_f64());
        let records = *settled.as_ref().unwrap_or(&0);
        self.failures.extend(settled.err().map(|difference| format!("at the end: {difference}")));
        if converged_after.is_some() && records == 0 && self.ledger.is_used() {
            self.failures.push("at the end: all records were expired, so none were compared".to_owned());
        }
        let groups = self.scenario.records.clone();
        let spreads: Vec<Spread> =
            groups.iter().enumerate().map(|(group, records)| self.spread(group, records)).collect();
        self.check_spreads(&groups, &spreads);
        let meetings = self.met();
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
            copies: self.copies_seen(),
            tables: self.tables_seen(),
            health: self.health_seen(),
            meetings,
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

    fn copies_seen(&self) -> Option<CopiesSeen> {
        let files = self.scenario.files.as_ref()?;
        let first = files.count * files.copies.as_ref()?.wanted.saturating_sub(1);
        Some(CopiesSeen {
            first_bytes: first as u64 * FILE_BYTES,
            fetched_bytes: self.copies.fetched as u64 * FILE_BYTES,
            released: self.copies.released,
            fewest_left: self.copies.fewest,
            longest_lack: self.copies.longest.as_secs_f64(),
        })
    }

    fn health_seen(&self) -> Option<HealthSeen> {
        let checks = &self.health;
        (checks.read > 0).then_some(HealthSeen {
            read: checks.read,
            changes: checks.changes,
            wrong: checks.wrong.as_secs_f64(),
            stale: checks.stale,
        })
    }

    fn tables_seen(&self) -> Option<TablesSeen> {
        let checks = &self.tables;
        (checks.read > 0).then_some(TablesSeen {
            read: checks.read,
            missing: checks.missing.as_secs_f64(),
            shown_after_end: checks.shown_after_end.as_secs_f64(),
            shown_after_farewell: checks.shown_after_farewell.as_secs_f64(),
            starts: checks.starts,
            kills: checks.kills,
            farewells: checks.farewells,
            moves: checks.moves,
        })
    }

    /// Returns the times until nodes listed all others. Fails the run if one node needed too long.
    fn met(&mut self) -> Option<Spans> {
        let presence = self.scenario.presence.clone().filter(|presence| presence.is_timed)?;
        let nodes: Vec<NodeId> = self.honest().map(|(node, _)| node).collect();
        let met = spans(nodes.into_iter().map(|node| self.meetings.since_last_start(node)));
        if let Some(Seconds(within)) = presence.within
            && met.worst.is_none_or(|worst| worst > within.as_secs_f64())
        {
            self.failures.push(format!(
                "a node listed all others {:?} s after the last start, not within {within:?}",
                met.worst
            ));
        }
        Some(met)
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
                self.failures.push(format!(
                    "a record of {:?} took {worst:?} s to reach all nodes, not {within:?}",
                    spread.name
                ));
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
    // Records that did not reach all nodes come last.
    let mut times: Vec<Duration> = times.map(|time| time.unwrap_or(Duration::MAX)).collect();
    times.sort_unstable();
    let seconds = |time: &Duration| (*time < Duration::MAX).then_some(time.as_secs_f64());
    Spans { median: times.get(times.len() / 2).and_then(seconds), worst: times.last().and_then(seconds) }
}
