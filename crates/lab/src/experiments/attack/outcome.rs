//! Outcome of an attack and its printed form, including measurements that failed.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::means::Means;
use super::measure::{Honest, PING_LIMIT, Pings, Pong, Usage};
use crate::{Error, Result};

/// A ping that takes longer is slow.
const SLOW: Duration = Duration::from_millis(200);

/// The outcomes of all attacks.
#[derive(Debug)]
pub struct Attacked(pub(super) Vec<Outcome>);

/// Effect of one attack on the robots.
#[derive(Debug)]
pub struct Outcome {
    means: Means,
    /// Number of answered pings, and number of lost pings.
    pings: (usize, usize),
    median_ping: Duration,
    worst_ping: Duration,
    /// Number of answered pings that took longer than [`SLOW`].
    slow_pings: usize,
    /// Time from the start of the attack to the worst answered ping.
    worst_at: Duration,
    /// Worst ping of idle programs on the same hosts.
    control: Duration,
    grown: std::result::Result<u64, String>,
    record: std::result::Result<Duration, String>,
    file: std::result::Result<Duration, String>,
    used: Usage,
    notes: Vec<String>,
    /// The reason why there are no figures.
    failure: Option<String>,
}

impl Outcome {
    pub(super) fn new(
        means: Means,
        pings: &[Pings],
        honest: Honest,
        grown: Result<u64>,
        used: Usage,
    ) -> Self {
        let mut times: Vec<Pong> = pings.iter().flat_map(|pings| &pings.answered).copied().collect();
        times.sort_unstable();
        let lost = pings.iter().map(|pings| pings.lost).sum();
        let worst = times.last().map(|pong| pong.after).unwrap_or_default();
        Self {
            means,
            pings: (times.len(), lost),
            median_ping: times.get(times.len() / 2).map(|pong| pong.after).unwrap_or_default(),
            worst_ping: if lost > 0 { worst.max(PING_LIMIT) } else { worst },
            slow_pings: times.iter().filter(|pong| pong.after > SLOW).count(),
            worst_at: times.last().map(|pong| pong.at).unwrap_or_default(),
            control: pings.iter().map(|pings| pings.control).max().unwrap_or_default(),
            grown: grown.map_err(|error| error.to_string()),
            record: honest.record,
            file: honest.file,
            used,
            notes: Vec::new(),
            failure: None,
        }
    }

    pub(super) fn failed(means: Means, error: &Error) -> Self {
        let none = || Err("not measured".to_owned());
        Self {
            means,
            pings: (0, 0),
            median_ping: Duration::ZERO,
            worst_ping: Duration::ZERO,
            slow_pings: 0,
            worst_at: Duration::ZERO,
            control: Duration::ZERO,
            grown: Err("not measured".to_owned()),
            record: none(),
            file: none(),
            used: Usage::default(),
            notes: Vec::new(),
            failure: Some(error.to_string()),
        }
    }

    /// Adds a sentence about the attack, or the error that prevented it.
    pub(super) fn note(&mut self, note: Result<String>) {
        let note = note.unwrap_or_else(|error| format!("FAILED: {error}"));
        self.notes.extend((!note.is_empty()).then_some(note));
    }

    /// Returns the attack that had this outcome.
    pub fn means(&self) -> Means {
        self.means
    }

    /// Returns the worst ping of all robots; at least 10 s if a ping was lost. `None` when nothing was measured.
    pub fn worst_ping(&self) -> Option<Duration> {
        (self.failure.is_none() && self.pings.0 + self.pings.1 > 0).then_some(self.worst_ping)
    }

    /// Returns the maximum growth, in bytes, of the memory of one robot.
    pub fn grown_bytes(&self) -> Option<u64> {
        self.grown.as_ref().ok().copied()
    }

    /// Returns the time until the honest record was on all robots.
    pub fn record(&self) -> Option<Duration> {
        self.record.as_ref().ok().copied()
    }

    /// Returns the time until all robots kept the honest file.
    pub fn file(&self) -> Option<Duration> {
        self.file.as_ref().ok().copied()
    }

    fn json(&self) -> Value {
        let time = |time: &std::result::Result<Duration, String>| match time {
            Ok(time) => json!(time.as_secs_f64()),
            Err(reason) => json!(format!("FAILED: {reason}")),
        };
        json!({
            "attack": self.means.to_string(),
            "failure": self.failure,
            "pings_answered": self.pings.0,
            "pings_lost": self.pings.1,
            "ping_median_seconds": self.median_ping.as_secs_f64(),
            "ping_worst_seconds": self.worst_ping.as_secs_f64(),
            "pings_slow": self.slow_pings,
            "ping_worst_at_seconds": self.worst_at.as_secs_f64(),
            "control_worst_seconds": self.control.as_secs_f64(),
            "memory_growth_bytes": self.grown,
            "record_seconds": time(&self.record),
            "file_seconds": time(&self.file),
            "cpu_mean_and_most": [self.used.cpu.0, self.used.cpu.1],
            "written_bytes_mean_and_most": [self.used.written.0, self.used.written.1],
            "notes": self.notes,
        })
    }
}

impl Attacked {
    /// Returns the outcomes, in the order of the attacks.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.0
    }

    /// Returns all figures, as an array with one object for each attack.
    pub fn json(&self) -> Value {
        self.0.iter().map(Outcome::json).collect()
    }

    /// Prints one line for each attack.
    pub fn print(&self) {
        for outcome in &self.0 {
            println!("{outcome}");
        }
    }
}

fn shown(time: &std::result::Result<Duration, String>) -> String {
    match time {
        Ok(time) => format!("{:.2} s", time.as_secs_f64()),
        Err(reason) => format!("FAILED ({reason})"),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failure) = &self.failure {
            return write!(f, "{:<12} FAILED: {failure}", self.means);
        }
        let Usage { cpu, written } = self.used;
        let grown = match &self.grown {
            Ok(bytes) => format!("{:.1} MB", *bytes as f64 / 1e6),
            Err(reason) => format!("FAILED ({reason})"),
        };
        write!(
            f,
            "{:<12} ping worst {:.3} s (after {:.0} s; control {:.3} s), median {:.4} s, {} slow and {} lost of {}; memory +{grown}; record {}; file {}; \
             CPU {:.0} % mean, {:.0} % most; written {:.2} MB mean, {:.2} MB most",
            self.means,
            self.worst_ping.as_secs_f64(),
            self.worst_at.as_secs_f64(),
            self.control.as_secs_f64(),
            self.median_ping.as_secs_f64(),
            self.slow_pings,
            self.pings.1,
            self.pings.0 + self.pings.1,
            shown(&self.record),
            shown(&self.file),
            cpu.0 * 100.0,
            cpu.1 * 100.0,
            written.0 / 1e6,
            written.1 / 1e6,
        )?;
        self.notes.iter().try_for_each(|note| write!(f, "; {note}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lost: usize, record: std::result::Result<Duration, String>) -> Outcome {
        let pings = [Pings {
            answered: vec![Pong { after: Duration::from_millis(3), at: Duration::ZERO }],
            lost,
            control: Duration::ZERO,
        }];
        let honest = Honest { record, file: Ok(Duration::from_secs(2)) };
        Outcome::new(Means::Links, &pings, honest, Ok(5_000_000), Usage::default())
    }

    #[test]
    fn failed_measurements_are_printed() {
        let mut failed = outcome(1, Err("3 lack it after 60 s".to_owned()));
        failed.note(Err(Error::Full("x".to_owned())));
        let shown = failed.to_string();
        for part in
            ["worst 10.000 s", "1 lost of 2", "record FAILED (3 lack it", "file 2.00 s", "FAILED: no address"]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert_eq!((failed.record(), failed.worst_ping()), (None, Some(PING_LIMIT)));
        assert!(Outcome::failed(Means::Quiet, &Error::Full("x".to_owned())).to_string().contains("FAILED"));
        assert_eq!(outcome(0, Ok(Duration::ZERO)).worst_ping(), Some(Duration::from_millis(3)));
    }
}
