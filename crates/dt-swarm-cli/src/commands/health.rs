//! `health`: the health of one robot.

use super::Command;
use super::fleet::{PATTERNS, daemon_of};
use crate::ask;
use crate::context::Context;
use crate::error::CliError;
use crate::live_table::{self, LiveTable, NowOrLive};
use crate::output::Output;
use crate::output::fields::{Daemon, PeerRef, Timestamp};
use crate::output::health::{FindingEntry, HealthEntry};
use crate::text::duration;
use clap::Args;
use control::{Client, ClientError};
use diagnostics::health::Level;
use diagnostics::protocol::{Answer, OwnHealth, Request};
use diagnostics::{Diagnostics, ReportState};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost health            says what is wrong with this robot, with the way out
  dt-swarm-cli duckie7 health              asks the robot duckie7 for the health that it states
  dt-swarm-cli localhost health --watch    shows it again at each change, until Ctrl-C";

/// Time between two looks with `--watch`.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Shows the health of the robot: OK, WARN, ERROR or STALE, what is wrong, and the way out.
///
/// The robot measures its temperatures, battery, power supply, disks, memory, load, Wi-Fi and clock every few seconds. STALE
/// means that there is no news: a value is missing, or the robot states no health. The rules can be changed in the section
/// `[diagnostics]` of the configuration. `fleet` shows all robots.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Health {
    /// Shows the health again at each change, until Ctrl-C; a line for each change if the output is not a terminal.
    #[arg(long)]
    watch: bool,
}

/// The health of one robot.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The daemon that answered.
    daemon: Daemon,
    /// The time of this computer's clock when the daemon answered.
    time: Timestamp,
    /// The health of the robot.
    health: HealthEntry,
    #[serde(skip)]
    live: Option<String>,
}

impl Command for Health {
    type Output = NowOrLive<Report>;

    fn run(&self, context: &Context) -> Result<NowOrLive<Report>, CliError> {
        let first = Report::read(context)?;
        if !self.watch {
            return Ok(NowOrLive::Now(first));
        }
        let (mut next, asked) = (Some(first), context.clone());
        Ok(NowOrLive::Live(live_table::watch(context, move || match next.take() {
            Some(first) => Ok(first),
            None => {
                std::thread::sleep(LOOK_EVERY);
                Report::read(&asked)
            }
        })))
    }
}

impl Report {
    fn read(context: &Context) -> Result<Self, CliError> {
        if context.is_here()? {
            match context.find() {
                Ok(mut found) => {
                    if let Some(own) = of_daemon(&mut found.client)? {
                        let mut daemon = daemon_of(&found);
                        daemon.peer.hostname = Some(own.name.clone());
                        return Ok(Self::new(daemon, own_entry(own)));
                    }
                }
                Err(error) if context.is_socket_named() => return Err(error),
                // The daemon belongs to another user. Everybody may read its records.
                Err(_) => {}
            }
        }
        let reading = context.read_in_parts(&PATTERNS)?;
        let (answer, peer) = (&reading.answer, reading.answer.pong.peer);
        let robots = diagnostics::fleet(&answer.set, answer.now);
        let hostname = reading.names.of(peer).hostname;
        let daemon = Daemon::new(&answer.pong, hostname.clone());
        let stated = robots.into_iter().find(|robot| robot.peer == peer).map(HealthEntry::from);
        Ok(Self::new(daemon, stated.unwrap_or_else(|| missing(PeerRef { peer, hostname }))))
    }

    fn new(daemon: Daemon, health: HealthEntry) -> Self {
        Self { daemon, time: Timestamp(ask::clock()), health, live: None }
    }

    fn text(&self) -> String {
        let health = &self.health;
        let (name, level) = (health.peer.show(), health.level);
        let ago = health.age_seconds.map_or_else(String::new, |age| format!(" ({} ago)", duration(age)));
        let problem = match (health.state, level) {
            (ReportState::Stated, Level::Ok) => "nothing is wrong\n".to_owned(),
            (ReportState::Stated, _) => format!("\n{}", health.show_findings()),
            _ => format!("{}\n", health.show_problem()),
        };
        let gap = if problem.starts_with('\n') { "" } else { ": " };
        format!("{name} is {level}{ago}{gap}{problem}")
    }
}

/// Asks the daemon behind a control socket for the health of its robot. Returns `None` if it does not know it: it is an
/// older daemon, or it has just started.
fn of_daemon(client: &mut Client) -> Result<Option<OwnHealth>, CliError> {
    match client.call::<Diagnostics>(&Request::Health {}) {
        Ok(Answer::Health(own)) => Ok(Some(own)),
        Ok(other) => Err(client.unexpected(&other).into()),
        Err(ClientError::Failure(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn own_entry(own: OwnHealth) -> HealthEntry {
    let OwnHealth { peer, name, level, findings, is_measured } = own;
    let peer = PeerRef { peer, hostname: Some(name) };
    match is_measured {
        false => missing(peer),
        true => HealthEntry {
            peer,
            level,
            state: ReportState::Stated,
            age_seconds: None,
            findings: findings.into_iter().map(FindingEntry::from).collect(),
            omitted_findings: 0,
        },
    }
}

fn missing(peer: PeerRef) -> HealthEntry {
    HealthEntry {
        peer,
        level: Level::Stale,
        state: ReportState::Missing,
        age_seconds: None,
        findings: Vec::new(),
        omitted_findings: 0,
    }
}

impl LiveTable for Report {
    fn lines(&self) -> BTreeMap<String, String> {
        let health = &self.health;
        let line = |finding: &FindingEntry| {
            let key = format!("{} {}", finding.code, finding.label.as_deref().unwrap_or_default());
            (key, crate::text::clean(&format!("{} {}", finding.level, finding.code), 100))
        };
        let whole = (String::new(), format!("{} is {}", health.peer.show(), health.level));
        health.findings.iter().map(line).chain([whole]).collect()
    }

    fn set_text(&mut self, text: String) {
        self.live = Some(text);
    }
}

impl Output for Report {
    fn show(&self) -> String {
        self.live.clone().unwrap_or_else(|| self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use crate::robots::fixture::peer;
    use diagnostics::health::rules::by_code;

    fn report(own: OwnHealth) -> Report {
        let unnamed = PeerRef::unnamed(peer(1));
        let daemon = Daemon {
            peer: unnamed,
            version: None,
            uptime_seconds: None,
            clock_ahead_seconds: None,
            records: None,
        };
        Report::new(daemon, own_entry(own))
    }

    fn own(level: Level) -> OwnHealth {
        let rule = by_code("temperature.high").unwrap();
        let findings = if level == Level::Ok { vec![] } else { vec![rule.finding(level, "cpu", 95.0)] };
        OwnHealth { peer: peer(1), name: "duckie\u{1b}[2J".to_owned(), level, findings, is_measured: true }
    }

    #[test]
    fn the_findings_are_shown_with_their_remedies() {
        let shown = report(own(Level::Error)).show();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("duckie\\u{1b}[2J (…") && lines[0].ends_with(" is ERROR"), "{shown}");
        assert_eq!(lines[1], "ERROR  cpu is 95.0 °C hot; the limit is 90.0 °C (temperature.high)");
        assert!(lines[2].starts_with("       -> check the fan"), "{shown}");
        assert!(report(own(Level::Ok)).show().ends_with(" is OK: nothing is wrong\n"));
        let unmeasured = OwnHealth { is_measured: false, ..own(Level::Ok) };
        assert!(report(unmeasured).show().contains(" is STALE: it states no health"));
    }

    #[test]
    fn the_document_follows_the_vocabulary() {
        let json = vocabulary::checked(&report(own(Level::Error)));
        assert_eq!((&json["health"]["level"], &json["health"]["state"]), (&"error".into(), &"stated".into()));
        assert_eq!(json["health"]["findings"][0]["label"], "cpu");
    }
}
