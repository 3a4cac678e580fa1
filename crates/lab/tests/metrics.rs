//! The metrics of robots: their history survives a power cut, and Prometheus can read the present values.

use lab::daemon::Robot;
use lab::peers::{curl_available, prometheus_available, promtool_check};
use lab::planted::{robot, set_temperature, write};
use lab::{Error, Host, Lab, Result, or_skip, wait_until};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

/// Time limit of steps on a busy machine.
const SOON: Duration = Duration::from_secs(90);
/// Time after which two pages of the history are written: two minutes, and the time of the first sample.
const TWO_PAGES: Duration = Duration::from_secs(200);
/// Number of samples in a page.
const PAGE: usize = 6;

fn wrong(what: &str, found: impl ToString) -> Error {
    Error::Answer { what: what.to_owned(), answer: found.to_string() }
}

/// Returns the times and values of a metric with only one series.
fn points(robot: &Robot, metric: &str) -> Result<Vec<(String, f64)>> {
    let history = robot.cli(&["metrics", metric, "--since", "1h", "--json"])?;
    let points = history["series"][0]["points"].as_array().cloned().unwrap_or_default();
    let point = |point: &Value| Some((point["time"].as_str()?.to_owned(), point["value"].as_f64()?));
    Ok(points.iter().filter_map(point).collect())
}

fn is_rising(points: &[(String, f64)]) -> bool {
    points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1)
}

/// Returns whether there is a point with this value. The time of a point is known to a second only, so it may differ by one
/// after a restart.
fn has_value(points: &[(String, f64)], value: f64) -> bool {
    points.iter().any(|(_, other)| (other - value).abs() < 0.01)
}

#[test]
fn a_history_survives_a_power_cut_but_for_its_last_minute() -> Result {
    let Some(lab) = or_skip("a history and a power cut", Lab::new("metrics")) else { return Ok(()) };
    let mut robot = robot(&lab, "a", "", "")?;
    robot.restart()?;
    let number = 2 * PAGE + 2;
    let enough = || points(&robot, "system.uptime").ok().filter(|points| points.len() >= number);
    let before = wait_until(TWO_PAGES, "two pages of the history", enough)?;
    assert!(is_rising(&before), "{before:?}");
    robot.kill9()?;
    robot.restart()?;
    let read = || points(&robot, "system.uptime").ok().filter(|points| !points.is_empty());
    let after = wait_until(SOON, "the history after the power cut", read)?;
    println!("{} points before the power cut, {} after it", before.len(), after.len());
    assert!(is_rising(&after), "{after:?}");
    let kept = before.iter().filter(|point| has_value(&after, point.1)).count();
    assert!(kept >= 2 * PAGE && kept + PAGE >= before.len(), "{kept} of {} points", before.len());

    // An orderly end loses nothing.
    let more = || points(&robot, "system.uptime").ok().filter(|points| points.len() > after.len() + 1);
    let before = wait_until(SOON, "more points", more)?;
    robot.terminate()?;
    robot.restart()?;
    let read = || points(&robot, "system.uptime").ok().filter(|points| !points.is_empty());
    let after = wait_until(SOON, "the history after an orderly end", read)?;
    assert!(before.iter().all(|point| has_value(&after, point.1)), "{before:?} {after:?}");

    println!("{}", robot.cli_text(&["metrics", "temperature"])?);
    let csv = robot.cli_text(&["metrics", "system.uptime", "--csv"])?;
    assert_eq!(csv.lines().next(), Some("time,metric,thing,unit,value"));
    let svg = robot.host().folder().join("plot.svg");
    robot.cli_text(&["metrics", "temperature", "--svg", &svg.to_string_lossy()])?;
    let svg =
        std::fs::read_to_string(&svg).map_err(|source| Error::Io { what: "plot.svg".to_owned(), source })?;
    assert!(svg.contains("cpu-thermal: now 50.0 °C"), "{svg}");
    Ok(())
}

/// Reads a page from the HTTP listener of a host. Returns the status and the body.
fn get(from: &Host, at: &str, path: &str) -> Result<(String, String)> {
    let mut curl = from.command("curl");
    curl.args(["--silent", "--show-error", "--write-out", "\n%{http_code}"])
        .arg(format!("http://{at}:6080{path}"));
    let text = from.run(curl, SOON)?.success("curl")?;
    let (body, status) = text.rsplit_once('\n').ok_or_else(|| wrong("a status", &text))?;
    Ok((status.to_owned(), body.to_owned()))
}

#[test]
fn prometheus_can_read_the_metrics() -> Result {
    let Some(()) = or_skip("the page /metrics", curl_available()) else { return Ok(()) };
    let Some(()) = or_skip("the page /metrics", prometheus_available()) else { return Ok(()) };
    let Some(lab) = or_skip("the page /metrics", Lab::new("scrape")) else { return Ok(()) };
    let mut a = robot(&lab, "a", "gateway = \"0.0.0.0:6080\"", "")?;
    write(
        &a.data_folder().join("metrics/lamp.prom"),
        "# a comment\nlamp_on{side=\"left\"} 1\nlamp_on{side=\"right\"} 0\n",
    )?;
    a.restart()?;
    let b = robot(&lab, "b", "", "")?;
    set_temperature(&a, 60)?;
    push(&a, "camera_hz 30\n")?;
    let whole = || {
        let (status, body) = get(a.host(), "127.0.0.1", "/metrics").ok()?;
        (status == "200"
            && body.contains("camera_hz 30")
            && body.contains("hw_temperature_celsius{hw_name=\"cpu-thermal\"} 60"))
        .then_some(body)
    };
    let body = wait_until(SOON, "the pushed value on the page", whole)?;
    let series = read_strictly(&body).map_err(|problem| wrong(&problem, &body))?;
    println!("{} series in {} bytes", series.len(), body.len());
    for name in [
        "system_uptime_seconds",
        "robot_health_level",
        "lamp_on{side=\"left\"}",
        "dt_swarm_diagnostics_samples",
    ] {
        assert!(series.contains_key(name), "{name}: {body}");
    }
    promtool_check(&body)?;

    // Other hosts may not read it, although they reach the gateway.
    let address = a.host().address().to_string();
    let (status, body) = get(b.host(), &address, "/metrics")?;
    assert!(status == "403" && body.contains("metrics_for_others"), "{status} {body}");
    assert_eq!(get(b.host(), &address, "/nothing")?.0, "404");
    Ok(())
}

#[test]
fn a_robot_tells_its_metrics_to_another_one_on_its_network() -> Result {
    let Some(lab) = or_skip("the metrics of another robot", Lab::new("askmetrics")) else { return Ok(()) };
    let (mut a, mut b) = (robot(&lab, "a", "", "")?, robot(&lab, "b", "", "")?);
    a.restart()?;
    b.restart()?;
    set_temperature(&b, 60)?;
    let ask = |arguments: &[&str]| {
        let finished = a.host().run(a.cli_command_to("b", arguments), SOON).ok()?.success("asking b").ok()?;
        serde_json::from_str::<Value>(&finished).ok()
    };
    let temperature = || {
        let values = ask(&["metrics", "--json"])?;
        values["values"]
            .as_array()?
            .iter()
            .find(|value| value["metric"] == "hw.temperature" && value["value"] == 60.0)
            .cloned()
    };
    let value = wait_until(SOON, "the temperature of b at a", temperature)?;
    assert_eq!(value["label"], "cpu-thermal");
    let history = || {
        let history = ask(&["metrics", "temperature", "--json"])?;
        (history["series"][0]["points"].as_array()?.len() >= 3).then_some(history)
    };
    let history = wait_until(SOON, "the history of b at a", history)?;
    assert_eq!(history["daemon"]["peer"], b.peer_id()?.as_str());
    println!(
        "{}",
        a.host().run(a.cli_command_to("b", &["metrics", "temperature"]), SOON)?.success("the plot of b")?
    );
    Ok(())
}

/// Pushes values with the CLI.
fn push(robot: &Robot, text: &str) -> Result {
    let file = robot.host().folder().join("pushed");
    write(&file, text)?;
    let input =
        std::fs::File::open(&file).map_err(|source| Error::Io { what: "pushed".to_owned(), source })?;
    let mut command = robot.cli_command(&["metrics", "--push", "camera"]);
    let output = command.stdin(Stdio::from(input)).output();
    let output = output.map_err(|source| Error::Io { what: "pushing values".to_owned(), source })?;
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() && told.contains("1 values") {
        Ok(())
    } else {
        Err(wrong("a value that is taken", told))
    }
}

/// Reads the text format of Prometheus strictly: names, escapes, numbers, one block for each name with its help and its
/// type, and each series once. Returns the series with their values.
fn read_strictly(body: &str) -> Result<BTreeMap<String, f64>, String> {
    let (mut series, mut done, mut name, mut kind) = (BTreeMap::new(), BTreeSet::new(), "", "");
    if !body.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    for line in body.lines() {
        let wrong = |reason: &str| Err(format!("{reason}: {line}"));
        if let Some(help) = line.strip_prefix("# HELP ") {
            name = help.split(' ').next().unwrap_or_default();
            if !is_name(name) || !done.insert(name) {
                return wrong("a wrong or repeated name");
            }
            kind = "";
        } else if let Some(told) = line.strip_prefix("# TYPE ") {
            let (of, told) = told.split_once(' ').unwrap_or_default();
            if of != name || !kind.is_empty() || !["counter", "gauge", "untyped"].contains(&told) {
                return wrong("a type without its help, or a wrong one");
            }
            kind = told;
        } else {
            let (key, value) = line.rsplit_once(' ').ok_or("a line without a value")?;
            let labels = key.strip_prefix(name).filter(|labels| labels.is_empty() || are_labels(labels));
            if labels.is_none() || kind.is_empty() || (kind == "counter" && !name.ends_with("_total")) {
                return wrong("a series outside of its block");
            }
            let value: f64 = value.parse().map_err(|_| format!("no number: {line}"))?;
            if series.insert(key.to_owned(), value).is_some() {
                return wrong("a repeated series");
            }
        }
    }
    Ok(series)
}

fn is_name(text: &str) -> bool {
    let is_good = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    text.starts_with(|first: char| is_good(first) && !first.is_ascii_digit()) && text.chars().all(is_good)
}

/// Returns whether a text is a list of labels in braces.
fn are_labels(text: &str) -> bool {
    let Some(mut rest) = text.strip_prefix('{') else { return false };
    loop {
        let Some((key, after)) = rest.split_once("=\"") else { return false };
        let Some(end) = end_of_value(after) else { return false };
        if !is_name(key) {
            return false;
        }
        match after.get(end + 1..) {
            Some("}") => return true,
            Some(more) if more.starts_with(',') => rest = &more[1..],
            _ => return false,
        }
    }
}

/// Returns the place of the quotation mark that ends a value.
fn end_of_value(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (place, char) in text.char_indices() {
        match (is_escaped, char) {
            (true, 'n' | '\\' | '"') => is_escaped = false,
            (true, _) => return None,
            (false, '\\') => is_escaped = true,
            (false, '"') => return Some(place),
            (false, _) => {}
        }
    }
    None
}

#[test]
fn the_reader_is_strict() {
    let good = "# HELP a b\n# TYPE a gauge\na{x=\"1\\\"\\\\\\n\",y=\"2\"} 1.5\na 2\n";
    assert_eq!(read_strictly(good).map(|series| series.len()), Ok(2));
    for bad in [
        "a 1",
        "a 1\n",
        "# HELP a b\na 1\n",
        "# HELP a b\n# TYPE a gauge\na 1\na 1\n",
        "# HELP a b\n# TYPE a gauge\na{x=1} 1\n",
        "# HELP a b\n# TYPE a gauge\nb 1\n",
        "# HELP a b\n# TYPE a counter\na 1\n",
        "# HELP a b\n# TYPE a gauge\n# HELP a b\n# TYPE a gauge\n",
        "# HELP a b\n# TYPE a gauge\na x\n",
    ] {
        assert!(read_strictly(bad).is_err(), "{bad}");
    }
}
