//! Prometheus of Debian, with its tool that checks pages of metrics.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::installed::installed;
use super::query::{Query, Sample, read_samples, request};
use crate::tool::run;
use crate::{Error, Host, Process, Result, Unavailable};

/// Port of the server on the loopback interface of its host.
const PORT: u16 = 9090;
/// Time in which the server is ready. After a kill it first reads its log.
const START: Duration = Duration::from_secs(60);
/// Configuration: the page `/metrics` of the same host is read, and rows of the last 60 days are taken.
const CONFIGURATION: &str = "\
global:
  scrape_interval: 2s
scrape_configs:
  - job_name: robot
    static_configs:
      - targets: ['127.0.0.1:6080']
storage:
  tsdb:
    out_of_order_time_window: 60d
";

/// A running Prometheus on a host. Dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    host: Host,
    program: PathBuf,
    configuration: PathBuf,
    starts: usize,
    process: Option<Process>,
}

/// Checks that Prometheus and its tool are installed.
///
/// # Errors
/// [`Unavailable`] when they are not.
pub fn prometheus_available() -> Result<(), Unavailable> {
    program("prometheus").and_then(|_| program("promtool")).map(drop)
}

fn program(name: &str) -> Result<PathBuf, Unavailable> {
    installed("Prometheus", "prometheus/version-2.42")?;
    installed("Prometheus", &format!("prometheus/usr/bin/{name}"))
}

/// Lets `promtool check metrics` read a page of metrics.
///
/// # Errors
/// When it finds a fault or a bad habit.
pub fn promtool_check(page: &str) -> Result {
    let file = tempfile::NamedTempFile::new().map_err(Error::io("a file for promtool"))?;
    fs::write(file.path(), page).map_err(Error::io("a file for promtool"))?;
    let input = fs::File::open(file.path()).map_err(Error::io("a file for promtool"))?;
    let output =
        Command::new(program("promtool")?).args(["check", "metrics"]).stdin(Stdio::from(input)).output();
    let output = output.map_err(Error::io("promtool"))?;
    match output.status.success() && output.stderr.is_empty() && output.stdout.is_empty() {
        true => Ok(()),
        false => {
            let told = [output.stdout, output.stderr].concat();
            Err(Error::answer("promtool check metrics", String::from_utf8_lossy(&told)))
        }
    }
}

impl Prometheus {
    /// Starts an empty server on a host.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(host: &Host) -> Result<Self> {
        let program = program("prometheus")?;
        let configuration = host.folder().join("prometheus.yml");
        fs::write(&configuration, CONFIGURATION).map_err(Error::io(configuration.display().to_string()))?;
        let mut server = Self { host: host.clone(), program, configuration, starts: 0, process: None };
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
        command.arg(format!("--config.file={}", self.configuration.display()));
        command.arg(format!("--storage.tsdb.path={}", self.host.folder().join("prometheus").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{PORT}"));
        command.args(["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=400d"]);
        self.starts += 1;
        let process = self.host.spawn(&format!("prometheus-{}", self.starts), command)?;
        process.wait_for_line(|line| line.contains("Server is ready to receive web requests"), START)?;
        self.process = Some(process);
        Ok(())
    }

    /// Kills the server by SIGKILL.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill(&mut self) -> Result {
        self.process.take().map_or(Ok(()), |mut process| process.kill().map(drop))
    }

    /// Returns the address for remote write.
    pub fn write_url(&self) -> String {
        format!("http://127.0.0.1:{PORT}/api/v1/write")
    }

    /// Evaluates an expression now. Returns the labels and the value of each series.
    ///
    /// # Errors
    /// When the server does not answer, or refuses the expression.
    pub fn query(&self, expression: &str) -> Result<Vec<Query>> {
        super::query::query(&self.host, &format!("http://127.0.0.1:{PORT}/api/v1/query"), expression)
    }

    /// Returns the samples of the series of an expression, such as `name[40d]`, as they are stored.
    ///
    /// # Errors
    /// When the server does not answer, or there is not exactly one series.
    pub fn samples(&self, expression: &str) -> Result<Vec<Sample>> {
        let url = format!("http://127.0.0.1:{PORT}/api/v1/query");
        let text = run(request(&self.host, &url, &[("query", expression)]), "")?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        match answer["data"]["result"].as_array().map(Vec::as_slice) {
            Some([series]) => read_samples(&series["values"]).ok_or_else(|| Error::answer("samples", text)),
            _ => Err(Error::answer(format!("one series for {expression}"), text)),
        }
    }
}
