//! A swarm connected only by an IRC channel: two linked servers, and no direct path between the robots.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::print_table;
use crate::daemon::Robot;
use crate::peers::{Ngircd, NgircdOptions};
use crate::tool::{inside, run};
use crate::{Fleet, Host, Lab, LineCounter, Result, wait_until};

/// Port on which the robots reach a server.
const PORT: u16 = 6667;
/// Length in seconds of the window in which the rate of lines is measured.
const WINDOW: f64 = 60.0;
/// Maximum time until the servers are linked, or notice that the link is lost.
const LINKING: Duration = Duration::from_secs(60);
/// Maximum time until a daemon is in the channel.
const JOINING: Duration = Duration::from_secs(60);
const NAMES: [&str; 2] = ["one.lab", "two.lab"];

/// Measure how records spread over an IRC channel alone
///
/// Each daemon is on its own network, on which there is only an IRC server. Half of the daemons use each of two linked
/// servers (ngIRCd with its default flood limits). The daemons publish records, a server is restarted, and the link
/// between the servers is cut and restored.
#[derive(Debug, Clone, clap::Args)]
pub struct Irc {
    /// Number of daemons, each on its own host
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=200))]
    pub daemons: u16,
    /// Total number of records published by all daemons
    #[arg(long, default_value_t = 200)]
    pub records: u16,
    /// Maximum time to wait, each time, until all records are on all daemons, in seconds
    #[arg(long, default_value_t = 1800)]
    pub within_seconds: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Figures of the experiment.
#[derive(Debug, Clone)]
pub struct OverIrc {
    /// Time from the publication until all records were on all daemons; `None` if they were not in time.
    pub all_on_all: Option<Duration>,
    /// Number of missing records at that time, summed over all daemons.
    pub absent: usize,
    /// Number of clients that the servers lost before that time; it should be 0.
    pub disconnected: usize,
    /// Maximum number of lines of one daemon within any minute before that time. A daemon that sends a line every two
    /// seconds sends 30.
    pub lines_a_minute: usize,
    /// Mean number of lines of a daemon before that time.
    pub lines: f64,
    /// Time from the restart of a server until the records published during its absence were on all daemons.
    pub after_restart: Option<Duration>,
    /// Time from the restoration of the link between the servers until the records published meanwhile were on all
    /// daemons.
    pub after_split: Option<Duration>,
}

/// The servers and the robots.
struct Scene {
    hosts: [Host; 2],
    servers: [Ngircd; 2],
    fleet: Fleet,
    within: Duration,
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails, or ngIRCd or tcpdump is not installed.
pub fn irc(lab: &Lab, options: &Irc) -> Result<OverIrc> {
    let mut scene = Scene::build(lab, options)?;
    let [one, two] = &scene.hosts;
    let counters = [LineCounter::start(one, PORT, two)?, LineCounter::start(two, PORT, one)?];
    scene.fleet.start()?;
    scene.wait_until_inside()?;
    let begun = Instant::now();
    let said = scene.say(options.records, "record")?;
    let all_on_all = scene.wait(&said, begun);
    let absent = scene.fleet.count_absent(&said)?;
    let disconnected = scene.servers.iter().map(disconnected).sum();
    let [one, two] = counters.map(LineCounter::stop);
    let robots: Vec<_> = scene.fleet.robots().iter().map(|robot| robot.host().address()).collect();
    let (one, two) = (one?.of(&robots), two?.of(&robots));
    let counts = [one.counts(), two.counts()].concat();
    let lines = counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64;
    let lines_a_minute = one.most_within(WINDOW).max(two.most_within(WINDOW));
    let after_restart = scene.restart()?;
    let after_split = scene.split()?;
    Ok(OverIrc { all_on_all, absent, disconnected, lines_a_minute, lines, after_restart, after_split })
}

impl Scene {
    fn build(lab: &Lab, options: &Irc) -> Result<Self> {
        let mut hosts = [lab.lone_host("server-one")?, lab.lone_host("server-two")?];
        for host in &mut hosts {
            host.attach(lab.lan())?;
        }
        let mut robots = Vec::new();
        for number in 0..usize::from(options.daemons) {
            robots.push(robot(lab, number, &mut hosts[number % 2])?);
        }
        let servers = link(&hosts)?;
        let within = Duration::from_secs(options.within_seconds);
        Ok(Self { hosts, servers, fleet: Fleet::of(robots), within })
    }

    /// Waits until all daemons are in the channel.
    fn wait_until_inside(&mut self) -> Result {
        let is_inside = |line: &str| line.contains("in an IRC channel");
        self.fleet
            .robots_mut()
            .iter_mut()
            .try_for_each(|robot| robot.running()?.wait_for_line(is_inside, JOINING).map(drop))
    }

    /// Lets the daemons publish this number of records, in turn.
    fn say(&self, records: u16, what: &str) -> Result<Vec<String>> {
        let robots = self.fleet.robots();
        let say = |number: usize| Ok(robots[number % robots.len()].say(&format!("{what}-{number}"))?.1);
        (0..records.into()).map(say).collect()
    }

    /// Waits until all daemons have these records, and returns the time from `since` until then.
    fn wait(&self, said: &[String], since: Instant) -> Option<Duration> {
        let at = self.fleet.sightings().wait_for(said, Instant::now() + self.within);
        at.map(|at| at.saturating_duration_since(since))
    }

    /// Restarts the first server, and publishes a record at each server while it is down.
    fn restart(&mut self) -> Result<Option<Duration>> {
        self.servers[0].stop()?;
        let said = self.say(2, "restart")?;
        self.servers[0].restart()?;
        Ok(self.wait(&said, Instant::now()))
    }

    /// Cuts the link between the servers, and publishes a record at each server meanwhile.
    fn split(&mut self) -> Result<Option<Duration>> {
        wait_until_linked(&self.servers, 0)?;
        let marks = [self.servers[0].mark(), self.servers[1].mark()];
        set_link(&self.hosts, false)?;
        let said = self.say(2, "split")?;
        for (server, mark) in self.servers.iter().zip(marks) {
            server.wait_for_line(
                mark,
                |line| line.contains("Server") && line.contains("unregistered"),
                self.within,
            )?;
        }
        set_link(&self.hosts, true)?;
        Ok(self.wait(&said, Instant::now()))
    }
}

/// Makes a robot on its own network, on which there is only this server.
fn robot(lab: &Lab, number: usize, server: &mut Host) -> Result<Robot> {
    let network = lab.network(&format!("net{number}"))?;
    let server = server.attach(&network)?.address();
    let mut host = lab.lone_host(&format!("d{number}"))?;
    host.attach(&network)?;
    Robot::new(host, &format!("peers = [\"/ip4/{server}/tcp/{PORT}/irc/#duckiebots/dswarm-line\"]\n"))
}

/// Starts the servers, and waits until they are linked.
fn link(hosts: &[Host; 2]) -> Result<[Ngircd; 2]> {
    let options = |own: usize, at: Option<SocketAddr>| NgircdOptions {
        name: NAMES[own].to_owned(),
        linked: Some((NAMES[1 - own].to_owned(), at)),
        ..NgircdOptions::default()
    };
    let one = Ngircd::on_host_with(&hosts[0], &options(0, None))?;
    let two = Ngircd::on_host_with(&hosts[1], &options(1, Some(one.address())))?;
    let servers = [one, two];
    wait_until_linked(&servers, 0)?;
    Ok(servers)
}

/// Waits until the server that was started last is linked with the other.
fn wait_until_linked(servers: &[Ngircd; 2], number: usize) -> Result {
    let is_linked = |line: &String| line.contains("Server") && line.contains("registered");
    let look = || servers[number].log().iter().any(is_linked).then_some(());
    wait_until(LINKING, "servers that are linked", look)
}

/// Cuts the link or restores it. Packets are answered with a reset, and resets are let through, so that both servers
/// notice the cut with their next packet.
fn set_link(hosts: &[Host; 2], is_up: bool) -> Result {
    let (table, rule) = ("table inet split", |other: &Host| {
        format!(
            "type filter hook input priority 0;\n ip saddr {} tcp flags & rst == 0 reject with tcp reset",
            other.address()
        )
    });
    for (host, other) in [(&hosts[0], &hosts[1]), (&hosts[1], &hosts[0])] {
        let clear = format!("{table}\ndelete {table}\n");
        let cut = if is_up {
            String::new()
        } else {
            format!("{table} {{\n chain arriving {{\n {}\n }}\n}}\n", rule(other))
        };
        let mut command = inside(host.namespace(), "nft");
        command.args(["-f", "-"]);
        run(command, &(clear + &cut))?;
    }
    Ok(())
}

/// Returns the number of clients that a server has lost since its start.
fn disconnected(server: &Ngircd) -> usize {
    let is_loss = |line: &&String| line.contains("User ") && line.contains("unregistered");
    server.log().iter().filter(is_loss).count()
}

impl OverIrc {
    /// Prints the figures.
    pub fn print(&self) {
        let seconds = |time: Option<Duration>| vec![time.map(|time| time.as_secs_f64())];
        let count = |count: usize| vec![Some(count as f64)];
        print_table(
            &["over IRC"],
            &[
                ("all records on all daemons (s)".into(), seconds(self.all_on_all)),
                ("missing then".into(), count(self.absent)),
                ("disconnected clients".into(), count(self.disconnected)),
                ("maximum lines of a daemon per minute".into(), count(self.lines_a_minute)),
                ("lines of a daemon, mean".into(), vec![Some(self.lines)]),
                ("the same after a server's restart (s)".into(), seconds(self.after_restart)),
                ("the same after a netsplit (s)".into(), seconds(self.after_split)),
            ],
        );
    }

    /// Returns the figures by name.
    pub fn json(&self) -> Value {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        json!({
            "all_on_all": seconds(self.all_on_all),
            "absent": self.absent,
            "disconnected": self.disconnected,
            "lines_a_minute": self.lines_a_minute,
            "lines": self.lines,
            "after_restart": seconds(self.after_restart),
            "after_split": seconds(self.after_split),
        })
    }
}
