//! `fleet`: the health of all robots.

use super::Command;
use super::watch::Watching;
use crate::ask;
use crate::context::Context;
use crate::error::CliError;
use crate::live_table::{self, LiveTable, NowOrLive};
use crate::local_daemon::Found;
use crate::output::fields::{Daemon, PeerRef, Timestamp};
use crate::output::health::HealthEntry;
use crate::output::{Live, Output};
use crate::terminal::{USUAL_WIDTH, middle, terminal, width};
use crate::text::{clean, count, duration};
use clap::Args;
use control::{Client, ClientError};
use dcache::Pattern;
use dcache::buckets::{HEALTH, HOSTNAME, PEER};
use diagnostics::health::Level;
use diagnostics::protocol::{Answer, Request};
use diagnostics::{Diagnostics, MAX_ROBOTS, RobotHealth};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost fleet             shows the health of all robots, the worst first
  dt-swarm-cli localhost fleet --watch     shows it live, until Ctrl-C
  dt-swarm-cli duckie7 health              says what is wrong with one robot, with the way out";

/// The buckets from which the health of robots is known.
pub(super) const PATTERNS: [&str; 3] = [HEALTH.pattern(), HOSTNAME.pattern(), PEER.pattern()];
/// Time after which a terminal shows the table again although nothing changed.
const REDRAW_EVERY: Duration = Duration::from_secs(2);
/// Maximum time of one wait for a change.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Maximum width of the column of names.
const MAX_NAME_WIDTH: usize = 24;
/// Width of the columns of levels and ages, with the spaces after them.
const OTHER_COLUMNS: usize = 7 + 9 + 2;
/// Minimum width of the column of problems.
const MIN_PROBLEM_WIDTH: usize = 16;
/// All levels, the worst first.
const LEVELS: [Level; 4] = [Level::Error, Level::Stale, Level::Warn, Level::Ok];

/// Shows the health of all robots, the worst first, with their most serious problem.
///
/// STALE means that there is no news of a robot: its daemon was stopped, or it lost its power or its network. Robots are
/// listed for five days after their last sign. The column Ago says how old the statement or the last sign is.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Fleet {
    /// Shows the table again at each change, until Ctrl-C; a line for each change if the output is not a terminal.
    #[arg(long)]
    watch: bool,
}

/// The health of all robots at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct FleetHealth {
    /// The daemon that answered.
    daemon: Daemon,
    /// The time of this computer's clock when the daemon answered.
    time: Timestamp,
    /// The robots, the worst first.
    robots: Vec<HealthEntry>,
    #[serde(skip)]
    live: Option<String>,
}

impl Command for Fleet {
    type Output = NowOrLive<FleetHealth>;

    fn run(&self, context: &Context) -> Result<NowOrLive<FleetHealth>, CliError> {
        Ok(match self.watch {
            true => NowOrLive::Live(watch(context)?),
            false => NowOrLive::Now(FleetHealth::read(context)?),
        })
    }
}

/// Returns the table at each moment for a terminal, and otherwise at each change.
fn watch(context: &Context) -> Result<Live<FleetHealth>, CliError> {
    let longest = live_table::longest_wait(context, REDRAW_EVERY, LONGEST_WAIT);
    let (policy, key) = context.policy_and_key()?;
    let pattern = Pattern::new(&format!("{{{}}}", PATTERNS.join(",")))?;
    let mut watching = Watching::begin(context.connect_with(key.as_ref())?, &pattern, &policy)?;
    // The items that are there already are no changes.
    watching.wait_for_any(Instant::now())?;
    let mut is_first = true;
    Ok(live_table::watch(context, move || {
        if !std::mem::take(&mut is_first) {
            watching.wait_for_any(Instant::now() + longest)?;
        }
        let robots = diagnostics::fleet(watching.set(), watching.now());
        let me = robots.iter().find(|robot| robot.peer == watching.pong().peer);
        let daemon = Daemon::new(watching.pong(), me.and_then(|me| me.name.clone()));
        Ok(FleetHealth::new(daemon, robots))
    }))
}

/// Describes the daemon behind a control socket.
pub(super) fn daemon_of(found: &Found) -> Daemon {
    Daemon {
        peer: PeerRef::unnamed(found.status.peer),
        version: Some(found.status.version.clone()),
        uptime_seconds: None,
        clock_ahead_seconds: None,
        records: None,
    }
}

impl FleetHealth {
    fn read(context: &Context) -> Result<Self, CliError> {
        if context.is_here()? {
            match context.find() {
                Ok(mut found) => {
                    if let Some(robots) = of_daemon(&mut found.client)? {
                        let mut daemon = daemon_of(&found);
                        let me = robots.iter().find(|robot| robot.peer == daemon.peer.peer);
                        daemon.peer.hostname = me.and_then(|me| me.name.clone());
                        return Ok(Self::new(daemon, robots));
                    }
                }
                Err(error) if context.is_socket_named() => return Err(error),
                // The daemon belongs to another user. Everybody may read its records.
                Err(_) => {}
            }
        }
        let reading = context.read_in_parts(&PATTERNS)?;
        let answer = &reading.answer;
        let daemon = Daemon::new(&answer.pong, reading.names.of(answer.pong.peer).hostname);
        Ok(Self::new(daemon, diagnostics::fleet(&answer.set, answer.now)))
    }

    fn new(daemon: Daemon, robots: Vec<RobotHealth>) -> Self {
        let robots = robots.into_iter().map(HealthEntry::from).collect();
        Self { daemon, time: Timestamp(ask::clock()), robots, live: None }
    }

    /// Returns the table for a terminal of this width.
    fn table(&self, columns: usize) -> String {
        let handles = handles(&self.robots);
        let widest = handles.iter().map(|handle| width(handle)).max().unwrap_or_default();
        let name_width = widest.clamp("Robot".len(), MAX_NAME_WIDTH);
        let room = columns.saturating_sub(name_width + OTHER_COLUMNS).max(MIN_PROBLEM_WIDTH);
        let mut shown = format!("{:<7}{}{:<9}Problem\n", "Health", padded("Robot", name_width), "Ago");
        let _ = writeln!(shown, "{}", "─".repeat(columns.min(name_width + OTHER_COLUMNS + room)));
        for (robot, handle) in self.robots.iter().zip(&handles) {
            let (name, level) = (padded(&middle(handle, name_width), name_width), robot.level);
            let ago = duration(robot.age_seconds.unwrap_or_default());
            let line = format!("{level:<7}{name}{ago:<9}{}", middle(&robot.show_problem(), room));
            let _ = writeln!(shown, "{}", line.trim_end());
        }
        shown + "\n" + &self.summary()
    }

    /// Returns how many robots have each level.
    fn summary(&self) -> String {
        let number = |level: Level| self.robots.iter().filter(|robot| robot.level == level).count();
        let levels = LEVELS.map(|level| (number(level), level)).into_iter().filter(|(number, _)| *number > 0);
        let levels: Vec<String> = levels.map(|(number, level)| format!("{number} {level}")).collect();
        match self.robots.len() {
            0 => "No robot states its health.\n".to_owned(),
            all => format!("{}: {}\n", count(all, "robot"), levels.join(", ")),
        }
    }
}

/// Returns the text, followed by spaces, so that it has this width and two spaces more.
fn padded(text: &str, most: usize) -> String {
    format!("{text}{}", " ".repeat(most.saturating_sub(width(text)) + 2))
}

/// Returns the text that names each robot on the command line: its name, with the end of its peer ID if another robot has
/// the same name.
fn handles(robots: &[HealthEntry]) -> Vec<String> {
    let mut number: BTreeMap<&str, usize> = BTreeMap::new();
    for name in robots.iter().filter_map(|robot| robot.peer.hostname.as_deref()) {
        *number.entry(name).or_default() += 1;
    }
    let handle = |robot: &HealthEntry| match robot.peer.hostname.as_deref() {
        Some(name) if number.get(name) == Some(&1) => clean(name, 80),
        Some(name) => clean(&format!("{name}~{}", robot.peer.end()), 80),
        None => robot.peer.show(),
    };
    robots.iter().map(handle).collect()
}

/// Asks the daemon behind a control socket for the health of all robots. Returns `None` if it is an older daemon.
fn of_daemon(client: &mut Client) -> Result<Option<Vec<RobotHealth>>, CliError> {
    let mut robots = Vec::new();
    while robots.len() < MAX_ROBOTS {
        match client.call::<Diagnostics>(&Request::Fleet { from: robots.len() }) {
            Ok(Answer::Fleet { robots: page }) if page.is_empty() => break,
            Ok(Answer::Fleet { robots: page }) => robots.extend(page),
            Ok(other) => return Err(client.unexpected(&other).into()),
            Err(ClientError::Failure(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(robots))
}

impl LiveTable for FleetHealth {
    fn lines(&self) -> BTreeMap<String, String> {
        let line = |(robot, handle): (&HealthEntry, String)| {
            let problem = robot.show_problem();
            let line = format!("{handle} {} {problem}", robot.level);
            (robot.peer.peer.to_string(), line.trim_end().to_owned())
        };
        self.robots.iter().zip(handles(&self.robots)).map(line).collect()
    }

    fn set_text(&mut self, text: String) {
        self.live = Some(text);
    }
}

impl Output for FleetHealth {
    fn show(&self) -> String {
        let columns = || terminal().map_or(USUAL_WIDTH, |terminal| terminal.columns);
        self.live.clone().unwrap_or_else(|| self.table(columns()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live_table::changes;
    use crate::output::vocabulary;
    use crate::robots::fixture::peer;
    use diagnostics::ReportState;
    use diagnostics::health::rules::by_code;

    fn robot(who: u8, name: &str, level: Level, state: ReportState) -> RobotHealth {
        let hot = by_code("temperature.high").unwrap();
        let findings = match level {
            Level::Ok | Level::Stale => Vec::new(),
            _ => vec![hot.finding(level, "cpu-thermal of the upper board", 95.0)],
        };
        RobotHealth {
            peer: peer(who),
            name: Some(name.to_owned()),
            level,
            state,
            findings,
            more: 0,
            age_seconds: 100_000,
        }
    }

    fn class() -> FleetHealth {
        let robots = vec![
            robot(1, "a-robot-with-a-name-that-is-very-long", Level::Error, ReportState::Stated),
            robot(2, "twin", Level::Stale, ReportState::Silent),
            robot(3, "twin", Level::Ok, ReportState::Stated),
        ];
        let unnamed = PeerRef::unnamed(peer(3));
        let daemon = Daemon {
            peer: unnamed,
            version: None,
            uptime_seconds: None,
            clock_ahead_seconds: None,
            records: None,
        };
        FleetHealth::new(daemon, robots)
    }

    #[test]
    fn each_robot_is_a_line_that_fits_the_terminal() {
        let shown = class().table(80);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.iter().all(|line| width(line) <= 80), "{shown}");
        assert!(lines[2].starts_with("ERROR  a-robot") && lines[2].contains("°C"), "{shown}");
        let end = PeerRef::unnamed(peer(2)).end();
        assert!(lines[3].starts_with(&format!("STALE  twin~{end} ")), "{shown}");
        assert!(lines[3].ends_with("27 h     it lost its power or its network"), "{shown}");
        assert_eq!(lines[6], "3 robots: 1 ERROR, 1 STALE, 1 OK");
    }

    #[test]
    fn only_changes_are_printed() {
        let (before, mut now) = (class(), class());
        now.robots[1].age_seconds = Some(100_010);
        assert_eq!(changes(&before.lines(), &now.lines()), "");
        now.robots[2].level = Level::Warn;
        assert!(changes(&before.lines(), &now.lines()).starts_with("~ twin~"));
    }

    #[test]
    fn the_document_follows_the_vocabulary() {
        let json = vocabulary::checked(&class());
        assert_eq!(
            (&json["robots"][1]["state"], &json["robots"][0]["level"]),
            (&"silent".into(), &"error".into())
        );
    }
}
