//! `doctor`: says what works and what is wrong, with the way out.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Form, Output, Print};
use crate::robots::{Choice, Selector, robot_name};
use crate::text::clean;
use clap::{Args, ValueHint};
use dcache::PeerId;
use discovery::Discovery;
use discovery::protocol::{Answer, Request, Verdict};
use serde::Serialize;
use std::fmt::Write as _;

/// Maximum number of characters of a sentence that are shown.
const MAX_SHOWN: usize = 600;

/// Says in one sentence each what works and what is wrong on this robot and its networks, with the way out.
///
/// The checks run in the daemon and take a few seconds. The robots nearby are pinged, and the configured name servers
/// are asked two questions. The exit code is 1 if something does not work. Warnings alone leave it 0.
///
/// With ROBOT, the path to that robot is checked as well: whether it is present, on which channels it is heard, whether
/// it answers a ping, and whether its ports accept connections.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Name of a robot, or its peer ID. Append ~ and the end of the peer ID if several robots have the name.
    #[arg(value_name = "ROBOT", value_hint = ValueHint::Hostname, value_parser = robot_name)]
    robot: Option<String>,
}

/// The result of all checks.
#[derive(Debug, Serialize)]
pub(crate) struct Findings {
    /// Whether nothing is broken. There may be warnings.
    is_healthy: bool,
    /// The findings, those that matter most first.
    findings: Vec<Finding>,
}

/// The result of one check.
#[derive(Debug, Serialize)]
struct Finding {
    /// The stable code of the check, or of the fault that it found, such as `clock.differs`.
    code: String,
    /// The judgement: `works`, `unknown`, `warning` or `broken`.
    state: Verdict,
    /// One sentence: what works, or what is wrong.
    message: String,
    /// The way to mend it; `null` when nothing is wrong.
    remedy: Option<String>,
}

/// A [`Findings`] document that fails the program, after it was printed, if something is broken.
#[derive(Debug)]
pub(crate) struct Diagnosis(Findings);

impl Command for Doctor {
    type Output = Diagnosis;

    fn run(&self, context: &Context) -> Result<Diagnosis, CliError> {
        let peer = self.robot.as_deref().map(|robot| peer(context, robot)).transpose()?;
        let mut client = context.client()?;
        match client.call::<Discovery>(&Request::Doctor { peer })? {
            Answer::Findings { findings } => Ok(Diagnosis(Findings::new(findings))),
            other => Err(client.unexpected(&other).into()),
        }
    }
}

/// Returns the robot with this name or peer ID.
fn peer(context: &Context, robot: &str) -> Result<PeerId, CliError> {
    if let Ok(peer) = robot.parse() {
        return Ok(peer);
    }
    let robots = context.robots()?.robots;
    let peers = match Selector::new(robot).choose(&robots) {
        Choice::None => return Err(CliError::NoSuchRobot(robot.to_owned())),
        Choice::One(robot) => vec![robot],
        Choice::Several(robots) => robots,
    };
    let peers: Vec<PeerId> = peers.into_iter().filter_map(|robot| robot.peer).collect();
    match peers[..] {
        [peer] => Ok(peer),
        _ => Err(CliError::SeveralRobots { name: robot.to_owned(), peers }),
    }
}

impl Findings {
    fn new(mut findings: Vec<discovery::protocol::Finding>) -> Self {
        // The order of findings with the same judgement stays.
        findings.sort_by_key(|finding| std::cmp::Reverse(rank(finding.verdict)));
        let is_healthy = findings.iter().all(|finding| finding.verdict != Verdict::Broken);
        let findings = findings.into_iter().map(|finding| Finding {
            code: finding.code,
            state: finding.verdict,
            message: finding.message,
            remedy: finding.remedy,
        });
        Self { is_healthy, findings: findings.collect() }
    }
}

/// Returns the place of a judgement in the output. Working parts come before unknown ones.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Unknown => 0,
        Verdict::Works => 1,
        Verdict::Warning => 2,
        Verdict::Broken => 3,
    }
}

impl Print for Diagnosis {
    fn print(self, form: Form) -> Result<(), CliError> {
        let broken = self.0.findings.iter().filter(|finding| finding.state == Verdict::Broken).count();
        self.0.print(form)?;
        if broken == 0 { Ok(()) } else { Err(CliError::FoundFaults(broken)) }
    }
}

impl Output for Findings {
    fn show(&self) -> String {
        let mut shown = String::new();
        for Finding { code, state, message, remedy } in &self.findings {
            let state = match state {
                Verdict::Works => "ok     ",
                Verdict::Unknown => "?      ",
                Verdict::Warning => "WARNING",
                Verdict::Broken => "BROKEN ",
            };
            // Writing to a String does not fail.
            let _ = writeln!(shown, "{state}  {} ({})", clean(message, MAX_SHOWN), clean(code, 64));
            if let Some(remedy) = remedy {
                let _ = writeln!(shown, "         -> {}", clean(remedy, MAX_SHOWN));
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;

    fn finding(code: &str, verdict: Verdict, remedy: Option<&str>) -> discovery::protocol::Finding {
        let message = format!("about {code}\u{1b}[2J");
        discovery::protocol::Finding {
            code: code.into(),
            verdict,
            message,
            remedy: remedy.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_wrong_comes_first_with_its_remedy() {
        let findings = Findings::new(vec![
            finding("irc", Verdict::Unknown, None),
            finding("clock", Verdict::Works, None),
            finding("name.clash", Verdict::Warning, Some("rename one")),
            finding("dns.silent", Verdict::Broken, Some("check the name server")),
        ]);
        let shown = findings.show();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "BROKEN   about dns.silent\\u{1b}[2J (dns.silent)");
        assert_eq!(lines[1], "         -> check the name server");
        assert!(lines[2].starts_with("WARNING  about name.clash"), "{shown}");
        assert!(lines[4].starts_with("ok ") && lines[5].starts_with("? "), "{shown}");
        let json = vocabulary::checked(&findings);
        assert_eq!((&json["is_healthy"], &json["findings"][0]["state"]), (&false.into(), &"broken".into()));
        assert!(matches!(Diagnosis(findings).print(Form::Json), Err(CliError::FoundFaults(1))));
    }

    #[test]
    fn warnings_alone_are_no_failure() {
        let findings = Findings::new(vec![finding("name.clash", Verdict::Warning, Some("rename one"))]);
        assert!(findings.is_healthy);
        assert!(Diagnosis(findings).print(Form::Json).is_ok());
    }
}
