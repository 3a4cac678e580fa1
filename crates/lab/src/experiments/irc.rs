//! A swarm that has nothing in common but an IRC channel: two servers that are linked, and no way between the robots.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::print_table;
use crate::daemon::Robot;
use crate::peers::{Ngircd, NgircdOptions};
use crate::tool::{inside, run};
use crate::{Fleet, Host, Lab, LineCounter, Result, wait_until};

/// The port at which robots find a server.
const PORT: u16 = 6667;
/// The window over which the rate of lines is judged.
const WINDOW: f64 = 60.0;
/// How soon servers find each other, or notice that they lost each other.
const LINKING: Duration = Duration::from_secs(60);
/// How soon daemons are in the channel.
const JOINING: Duration = Duration::from_secs(60);
const NAMES: [&str; 2] = ["one.lab", "two.lab"];

/// Print how records spread over nothing but an IRC channel
///
/// Each daemon is on a network of its own, on which there is nothing else but an IRC server; half of them are at each of two
/// linked servers (ngIRCd, at its own limits against floods). They say records, a server is restarted, and the link between
/// the servers is cut and restored.
#[derive(Debug, Clone, clap::Args)]
pub struct Irc {
    /// How many daemons, each on a host of its own
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=200))]
    pub daemons: u16,
    /// How many records are said by all together
    #[arg(long, default_value_t = 200)]
    pub records: u16,
    /// When to give up waiting for all to be at all, in seconds, each time
    #[arg(long, default_value_t = 1800)]
    pub within_seconds: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct OverIrc {
    /// From when they were said until all records were at all; `None` when that was not so in time.
    pub all_on_all: Option<Duration>,
    /// How many records lacked at how many daemons then, each place counted.
    pub absent: usize,
    /// How many clients the servers lost until then; none should be.
    pub disconnected: usize,
    /// The most lines of one daemon within any minute until then; 30 are two seconds each.
    pub lines_a_minute: usize,
    /// The lines of a daemon until then, on average.
    pub lines: f64,
    /// From the restart of a server until what was said at both meanwhile was at all.
    pub after_restart: Option<Duration>,
    /// From the restoring of the link between the servers until what was said at both meanwhile was at all.
    pub after_split: Option<Duration>,
}

/// Servers and robots.
struct Scene {
    hosts: [Host; 2],
    servers: [Ngircd; 2],
    fleet: Fleet,
    within: Duration,
}

/// Does the experiment.
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

    /// Has the daemons say so many records, in turn.
    fn say(&self, records: u16, what: &str) -> Result<Vec<String>> {
        let robots = self.fleet.robots();
        let say = |number: usize| Ok(robots[number % robots.len()].say(&format!("{what}-{number}"))?.1);
        (0..records.into()).map(say).collect()
    }

    /// Waits until all have this, and gives for how long after `since`.
    fn wait(&self, said: &[String], since: Instant) -> Option<Duration> {
        let at = self.fleet.sightings().wait_for(said, Instant::now() + self.within);
        at.map(|at| at.saturating_duration_since(since))
    }

    /// Restarts the first server, while at each something is said.
    fn restart(&mut self) -> Result<Option<Duration>> {
        self.servers[0].stop()?;
        let said = self.say(2, "restart")?;
        self.servers[0].restart()?;
        Ok(self.wait(&said, Instant::now()))
    }

    /// Cuts the link between the servers, while at each something is said.
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

/// A robot on a network of its own, on which there is only this server.
fn robot(lab: &Lab, number: usize, server: &mut Host) -> Result<Robot> {
    let network = lab.network(&format!("net{number}"))?;
    let server = server.attach(&network)?.address();
    let mut host = lab.lone_host(&format!("d{number}"))?;
    host.attach(&network)?;
    Robot::new(host, &format!("peers = [\"/ip4/{server}/tcp/{PORT}/irc/#duckiebots/dswarm-line\"]\n"))
}

/// Starts the servers, and waits until they know each other.
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

/// Waits until a server that was started last knows the other.
fn wait_until_linked(servers: &[Ngircd; 2], number: usize) -> Result {
    let is_linked = |line: &String| line.contains("Server") && line.contains("registered");
    let look = || servers[number].log().iter().any(is_linked).then_some(());
    wait_until(LINKING, "servers that are linked", look)
}

/// Cuts the link, so that both notice it with the next packet (the other's reset must come through), or restores it.
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

/// How many clients it lost since it was started.
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
                ("all on all (s)".into(), seconds(self.all_on_all)),
                ("lacking then".into(), count(self.absent)),
                ("clients that were disconnected".into(), count(self.disconnected)),
                ("most lines of a daemon in a minute".into(), count(self.lines_a_minute)),
                ("lines of a daemon, on average".into(), vec![Some(self.lines)]),
                ("after a server's restart, all on all (s)".into(), seconds(self.after_restart)),
                ("after a netsplit, all on all (s)".into(), seconds(self.after_split)),
            ],
        );
    }

    /// The figures, by name.
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
