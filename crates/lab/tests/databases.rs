//! A collector sends a month of rows to real databases, which are killed meanwhile: nothing is lost, and nothing is there twice.

use dcache::{Keypair, PeerId, Time};
use diagnostics::collectors::intake::{Changes, NewRow, Position, RowKey, Table as _};
use diagnostics::collectors::track::RobotState;
use diagnostics::metrics::{CUSTOM, NETWORK_SENT, TEMPERATURE};
use diagnostics::row_store::RowStore;
use diagnostics::sample::{BootId, Readings, Sample, Stamp};
use lab::daemon::Robot;
use lab::peers::{
    Prometheus, VictoriaMetrics, curl_available, prometheus_available, promtool_check,
    victoria_metrics_available,
};
use lab::planted::robot;
use lab::{Error, Lab, Result, Unavailable, or_skip, wait_until};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time limit of steps on a busy machine.
const SOON: Duration = Duration::from_secs(180);
/// Number of robots whose rows the collector has.
const ROBOTS: u8 = 4;
/// Number of rows of each robot, one in each three minutes of 32 days.
const ROWS: u64 = 32 * 480;
/// Seconds between two rows.
const STEP: u64 = 180;
/// Robot and row with the highest temperature, and this temperature.
const WORST: (u8, u64, f64) = (2, 7000, 99.5);
/// Exports of the collector.
const EXPORTS: [&str; 2] = ["main", "victoria"];

fn available(name: &str) -> Result<Lab, Unavailable> {
    curl_available()?;
    prometheus_available()?;
    victoria_metrics_available()?;
    Lab::new(name)
}

fn peer(robot: u8) -> PeerId {
    Keypair::from_seed([robot + 1; 32]).peer_id()
}

fn name(robot: u8) -> String {
    format!("duckie{robot}")
}

fn readings(robot: u8, row: u64) -> Readings {
    let mut readings = Readings::default();
    let is_worst = (robot, row) == (WORST.0, WORST.1);
    let temperature = 40.0 + (row * 7 % 30) as f64 + f64::from(robot) / 8.0;
    readings.add_for(&TEMPERATURE, "cpu", if is_worst { WORST.2 } else { temperature });
    readings.add_for(&NETWORK_SENT, "wlan0", (row * 1000) as f64);
    readings.add_for(&CUSTOM, r#"camera_rate{side="left"}"#, (row % 60) as f64 / 4.0);
    readings
}

/// Writes the rows of all robots as a collector stores them.
fn store(collector: &Robot, start: u64) -> Result {
    let wrong = |error: &dyn std::error::Error| answer("the rows of a collector", error);
    let path = collector.data_folder().join("collected.redb");
    let mut rows = RowStore::open(&path).map_err(|error| wrong(&error))?;
    for robot in 0..ROBOTS {
        let row = |number: u64| {
            let boot = BootId::new([robot; 16]);
            let sample = Sample {
                stamp: Stamp { boot, millis: number * STEP * 1000 },
                sequence: number,
                readings: readings(robot, number),
            };
            let position = Position { time: Time(start + number * STEP), is_exact: true };
            NewRow { key: RowKey { robot: peer(robot), boot, number }, sample, position: Some(position) }
        };
        let changes = Changes {
            robot: peer(robot),
            name: Some(name(robot)),
            state: RobotState::default(),
            rows: (1..=ROWS).map(row).collect(),
            placed: Vec::new(),
            given_up: Vec::new(),
        };
        rows.commit(changes).map_err(|error| wrong(&error))?;
    }
    Ok(())
}

fn answer(what: &str, found: impl ToString) -> Error {
    Error::Answer { what: what.to_owned(), answer: found.to_string() }
}

/// Returns the number of rows that an export has not sent yet.
fn waiting(collector: &Robot, export: &str) -> Option<u64> {
    collector.cli(&["collectors", "show", "--json"]).ok()?["collected"]["waiting"][export].as_u64()
}

/// Waits until an export has sent a part of its rows.
fn wait_for_part(collector: &Robot, export: &str, left: u64) -> Result<u64> {
    wait_until(SOON, &format!("rows of {export}"), || {
        waiting(collector, export).filter(|waiting| *waiting <= left)
    })
}

/// Returns the samples of a quantity of a robot that the databases must have.
fn expected(robot: u8, start: u64, value: impl Fn(&Readings) -> Option<f64>) -> Vec<(u64, f64)> {
    let sample = |row| Some((start + row * STEP, value(&readings(robot, row))?));
    (1..=ROWS).filter_map(sample).collect()
}

fn compare(what: &str, found: &[(u64, f64)], expected: &[(u64, f64)]) {
    let mut found = found.to_vec();
    found.sort_by_key(|sample| sample.0);
    println!("{what}: {} samples, expected {}", found.len(), expected.len());
    let different = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert!(found.len() == expected.len() && different.is_none(), "{what}: {different:?}");
}

#[test]
fn two_killed_databases_have_each_row_of_a_month_once() -> Result {
    let Some(lab) = or_skip("other databases", available("databases")) else { return Ok(()) };
    let exports = "send_history = false\nmetrics_for_others = true\n\
        [diagnostics.export.main]\nurl = \"http://127.0.0.1:9090/api/v1/write\"\nformat = \"remote_write\"\n\
        [diagnostics.export.victoria]\nurl = \"http://127.0.0.1:8428/opentelemetry/v1/metrics\"\nformat = \"otlp\"\n";
    let mut collector = robot(&lab, "server", "gateway = \"127.0.0.1:6080\"", exports)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // The last row is an hour old.
    let start = now - ROWS * STEP - 3600;
    store(&collector, start)?;
    let (mut prometheus, mut victoria) =
        (Prometheus::start(collector.host())?, VictoriaMetrics::start(collector.host())?);
    assert_eq!(prometheus.write_url(), "http://127.0.0.1:9090/api/v1/write");
    assert_eq!(victoria.otlp_url(), "http://127.0.0.1:8428/opentelemetry/v1/metrics");
    collector.restart()?;

    // All three are killed while rows are on their way.
    let all = u64::from(ROBOTS) * ROWS;
    let left = wait_for_part(&collector, EXPORTS[0], all * 9 / 10)?;
    prometheus.kill()?;
    println!("Prometheus is killed with {left} of {all} rows to go");
    let left = wait_for_part(&collector, EXPORTS[1], all * 8 / 10)?;
    victoria.kill()?;
    println!("VictoriaMetrics is killed with {left} of {all} rows to go");
    // Each of them must notice that its database is gone.
    let warned = |collector: &mut Robot| {
        let lines = collector.running().ok()?.lines();
        let of = |export: &str| {
            lines.iter().any(|line| line.contains("could not be sent") && line.contains(export))
        };
        (of("main") && of("victoria")).then_some(())
    };
    wait_until(SOON, "both exports fail", || warned(&mut collector))?;
    prometheus.restart()?;
    victoria.restart()?;
    wait_for_part(&collector, EXPORTS[0], all * 5 / 10)?;
    let left = EXPORTS.map(|export| waiting(&collector, export));
    collector.kill9()?;
    prometheus.restart()?;
    collector.restart()?;
    println!("the collector is killed with {left:?} of {all} rows to go, and Prometheus again");
    for export in EXPORTS {
        wait_for_part(&collector, export, 0)?;
    }

    scraped(&collector, &prometheus)?;
    for robot in 0..ROBOTS {
        let temperature =
            expected(robot, start, |row| row.of(&TEMPERATURE).next().map(|reading| reading.value));
        let id = peer(robot);
        let found = prometheus.samples(&format!("hw_temperature_celsius{{robot=\"{id}\"}}[40d]"))?;
        compare(&format!("Prometheus, {}", name(robot)), &found, &temperature);
        let selector = format!("{{__name__=\"hw.temperature\",service\\.instance\\.id=\"{id}\"}}");
        compare(&format!("VictoriaMetrics, {}", name(robot)), &victoria.samples(&selector)?, &temperature);
    }
    let (sent, id) =
        (expected(0, start, |row| row.of(&NETWORK_SENT).next().map(|reading| reading.value)), peer(0));
    let found = prometheus.samples(&format!("system_network_io_bytes_total{{robot=\"{id}\"}}[40d]"))?;
    compare("Prometheus, a counter", &found, &sent);
    let selector = format!("{{__name__=\"system.network.io\",service\\.instance\\.id=\"{id}\"}}");
    compare("VictoriaMetrics, a counter", &victoria.samples(&selector)?, &sent);
    let rate = expected(0, start, |row| row.of(&CUSTOM).next().map(|reading| reading.value));
    let found = prometheus.samples(&format!("camera_rate{{robot=\"{id}\",side=\"left\"}}[40d]"))?;
    compare("Prometheus, a value of a program", &found, &rate);

    // The highest temperature of the fleet, and whose it is.
    let worst = prometheus.query("topk(1, max_over_time(hw_temperature_celsius{robot!=\"\"}[40d]))")?;
    let [worst] = worst.as_slice() else { return Err(answer("one robot", format!("{worst:?}"))) };
    println!("Prometheus: the highest temperature is {} of {:?}", worst.value, worst.labels);
    assert_eq!((worst.value, worst.labels["robot_name"].as_str()), (WORST.2, name(WORST.0).as_str()));
    let worst = victoria.query("topk(1, max_over_time({__name__=\"hw.temperature\"}[40d]))")?;
    let [worst] = worst.as_slice() else { return Err(answer("one robot", format!("{worst:?}"))) };
    println!("VictoriaMetrics: the highest temperature is {} of {:?}", worst.value, worst.labels);
    assert_eq!((worst.value, worst.labels["host.name"].as_str()), (WORST.2, name(WORST.0).as_str()));
    Ok(())
}

/// Checks that Prometheus reads the page of the collector, and that its tool finds no fault there.
fn scraped(collector: &Robot, prometheus: &Prometheus) -> Result {
    let is_scraped = || {
        let up =
            prometheus.query("up{job=\"robot\"} == 1 and on() system_uptime_seconds{job=\"robot\"}").ok()?;
        (up.len() == 1).then_some(())
    };
    wait_until(SOON, "Prometheus reads the page", is_scraped)?;
    let mut curl = collector.host().command("curl");
    curl.args(["--silent", "--show-error", "--fail", "http://127.0.0.1:6080/metrics"]);
    let page = collector.host().run(curl, SOON)?.success("the page")?;
    promtool_check(&page)?;
    println!("promtool finds no fault in {} lines", page.lines().count());
    Ok(())
}
