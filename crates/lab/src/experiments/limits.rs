//! Accuracy of the rate limits, measured by the bytes on the wire, including all headers.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::class::write_file;
use super::figures::print_table;
use crate::daemon::Robot;
use crate::{Host, Lab, Result, wait_until};

const SOON: Duration = Duration::from_secs(120);
/// Time before each measurement, so that windows and buffers fill first.
const WARM_UP: Duration = Duration::from_secs(3);

/// Measure how accurately the limits of LAN and WAN, up and down, are held
///
/// Uses two robots on one network, and two robots on two networks with a router between them. One transfers files to
/// the other. For each limit, the interface of the limited host counts the bytes on its link, including all headers.
#[derive(Debug, Clone, clap::Args)]
pub struct LimitsHeld {
    /// The limit in kB/s
    #[arg(long, default_value_t = 3000)]
    pub kilobytes: u64,
    /// Duration of each measurement in seconds
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// The traffic under each limit, divided by the allowed traffic; 1 means exactly the limit.
#[derive(Debug, Clone)]
pub struct Held(pub Vec<(String, f64)>);

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails.
pub fn limits_held(options: &LimitsHeld) -> Result<Held> {
    let mut held = Vec::new();
    for network in ["lan", "wan"] {
        let lab = Lab::new(&format!("limits-{network}"))?;
        let hosts = if network == "lan" { near(&lab)? } else { far(&lab)? };
        let (from, to) = (hosts.from, hosts.to);
        for direction in ["up", "down"] {
            let limited = if direction == "up" { &from } else { &to };
            let name = format!("{network}-{direction}");
            held.push((name.clone(), measure(options, &name, &from, &to, limited)?));
        }
    }
    Ok(Held(held))
}

struct Hosts {
    from: Robot,
    to: Robot,
}

/// The receiver fetches nothing by itself, so that only the requested file is transferred.
const TAKER: &str = "keep_others = false\nsettle_seconds = 0\n";
const GIVER: &str = "settle_seconds = 0\n";

fn near(lab: &Lab) -> Result<Hosts> {
    start(lab.host("from")?, lab.host("to")?, "")
}

fn far(lab: &Lab) -> Result<Hosts> {
    let other = lab.network("other")?;
    let from = lab.host("from")?;
    let mut to = lab.lone_host("to")?;
    to.attach(&other)?;
    let mut router = lab.host("router")?;
    let far_side = router.attach(&other)?;
    run(&router, "echo 1 > /proc/sys/net/ipv4/ip_forward")?;
    run(&from, &format!("ip route add default via {}", router.address()))?;
    run(&to, &format!("ip route add default via {}", far_side.address()))?;
    let peers = format!("peers = ['/ip4/{}/tcp/8000/dswarm-line']\n", from.address());
    start(from, to, &peers)
}

fn run(host: &Host, line: &str) -> Result {
    let mut command = host.command("sh");
    command.args(["-c", line]);
    host.run(command, SOON)?.success(line).map(drop)
}

fn start(from: Host, to: Host, peers: &str) -> Result<Hosts> {
    let (mut from, mut to) = (Robot::new(from, GIVER)?, Robot::new(to, &format!("{TAKER}{peers}"))?);
    from.restart()?;
    to.restart()?;
    Ok(Hosts { from, to })
}

fn measure(options: &LimitsHeld, name: &str, from: &Robot, to: &Robot, limited: &Robot) -> Result<f64> {
    let rate = options.kilobytes * 1000;
    let (file, seconds) = (format!("{name}.bag"), options.seconds + 2 * WARM_UP.as_secs() + 5);
    let original = from.host().folder().join(&file);
    // Each file has another content, because blocks that are already stored are not fetched.
    write_file(&original, rate * seconds, u64::from(name.ends_with("up")))?;
    from.share_copy(&file, &original)?;
    // Only the original is removed; the shared copy remains.
    let _ = std::fs::remove_file(&original);
    wait_until(SOON, "the file is known", || {
        to.cli_text(&["report"]).ok().filter(|shown| shown.contains(&file))
    })?;
    limited.cli(&["limit", &format!("--{name}"), &format!("{rate}B"), "--json"])?;
    let place = to.host().folder().join(&file).to_string_lossy().into_owned();
    let ordered = to.cli(&["get", &file, "-o", &place, "--wait", "0", "--json"])?;
    let passed = || -> Result<u64> {
        let traffic = limited.host().traffic()?;
        Ok(if name.ends_with("up") { traffic.sent } else { traffic.received })
    };
    let before = passed()?;
    wait_until(SOON, "the transfer begins", || passed().ok().filter(|now| *now > before + rate))?;
    // The passing of time is the experiment here and below, so these sleeps do not wait for an event.
    thread::sleep(WARM_UP);
    let (begun, before) = (Instant::now(), passed()?);
    thread::sleep(Duration::from_secs(options.seconds));
    let share = (passed()? - before) as f64 / (rate as f64 * begun.elapsed().as_secs_f64());
    to.cli(&["transfers", "cancel", &ordered["download"].to_string(), "--json"])?;
    limited.cli(&["limit", &format!("--{name}"), "default", "--json"])?;
    Ok(share)
}

impl Held {
    /// Prints the figures.
    pub fn print(&self) {
        let rows: Vec<_> = self.0.iter().map(|(name, share)| (name.clone(), vec![Some(*share)])).collect();
        print_table(&["passed / allowed"], &rows);
    }

    /// Returns the figures by name.
    pub fn json(&self) -> Value {
        self.0.iter().map(|(name, share)| json!({ "limit": name, "passed_per_allowed": share })).collect()
    }
}
