//! `VictoriaMetrics`, a database for metrics that takes OTLP.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::installed::installed;
use super::query::{Query, Sample, request};
use crate::tool::run;
use crate::{Error, Host, Process, Result, Unavailable, wait_until};

/// Port of the server on the loopback interface of its host.
const PORT: u16 = 8428;
/// Time in which the server answers.
const START: Duration = Duration::from_secs(60);

/// A running server on a host. Dropping it kills it.
#[derive(Debug)]
pub struct VictoriaMetrics {
    host: Host,
    program: PathBuf,
    starts: usize,
    process: Option<Process>,
}

/// Checks that `VictoriaMetrics` is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn victoria_metrics_available() -> Result<(), Unavailable> {
    program().map(drop)
}

fn program() -> Result<PathBuf, Unavailable> {
    installed("VictoriaMetrics", "victoria-metrics/version-1.112")?;
    installed("VictoriaMetrics", "victoria-metrics/usr/bin/victoria-metrics")
}

impl VictoriaMetrics {
    /// Starts an empty server on a host.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(host: &Host) -> Result<Self> {
        let mut server = Self { host: host.clone(), program: program()?, starts: 0, process: None };
        server.restart()?;
        Ok(server)
    }

    /// Starts the server, after killing a running one by SIGKILL.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result {
        self.kill()?;
        let mut command = self.host.command(&self.program);
        command.arg(format!("-storageDataPath={}", self.host.folder().join("victoria-metrics").display()));
        command.arg(format!("-httpListenAddr=127.0.0.1:{PORT}"));
        // Rows of a year are kept, and a row that arrives again counts once.
        command.args(["-retentionPeriod=1y", "-dedup.minScrapeInterval=1ms", "-memory.allowedBytes=128MB"]);
        self.starts += 1;
        self.process = Some(self.host.spawn(&format!("victoria-metrics-{}", self.starts), command)?);
        let is_there = || run(request(&self.host, &self.url("/health"), &[]), "").ok();
        wait_until(START, "an answer of VictoriaMetrics", is_there).map(drop)
    }

    /// Kills the server by SIGKILL.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill(&mut self) -> Result {
        self.process.take().map_or(Ok(()), |mut process| process.kill().map(drop))
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{PORT}{path}")
    }

    /// Returns the address for OTLP.
    pub fn otlp_url(&self) -> String {
        self.url("/opentelemetry/v1/metrics")
    }

    /// Evaluates an expression now. Returns the labels and the value of each series.
    ///
    /// # Errors
    /// When the server does not answer, or refuses the expression.
    pub fn query(&self, expression: &str) -> Result<Vec<Query>> {
        super::query::query(&self.host, &self.url("/api/v1/query"), expression)
    }

    /// Returns the samples of the series that a selector names, as they are stored, after duplicates were removed. Rows that
    /// were taken a moment ago count.
    ///
    /// # Errors
    /// When the server does not answer, or there is not exactly one series.
    pub fn samples(&self, selector: &str) -> Result<Vec<Sample>> {
        run(request(&self.host, &self.url("/internal/force_flush"), &[]), "")?;
        let text = run(request(&self.host, &self.url("/api/v1/export"), &[("match[]", selector)]), "")?;
        let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let one_series = lines.windows(2).all(|pair| pair[0]["metric"] == pair[1]["metric"]);
        let samples = lines.iter().map(read_line).collect::<Option<Vec<_>>>();
        match samples.filter(|_| one_series && !lines.is_empty()) {
            Some(samples) => Ok(samples.into_iter().flatten().collect()),
            None => Err(Error::answer(format!("one series for {selector}"), text)),
        }
    }
}

/// Reads the samples of a line of the export.
fn read_line(line: &Value) -> Option<Vec<Sample>> {
    let (times, values) = (line["timestamps"].as_array()?, line["values"].as_array()?);
    let sample = |(time, value): (&Value, &Value)| Some((time.as_u64()? / 1000, value.as_f64()?));
    times.iter().zip(values).map(sample).collect()
}
