//! How fast others learn of a fault of a robot.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::Distribution;
use crate::daemon::Robot;
use crate::planted::{robot, robot_with_disk, set_charge, set_temperature};
use crate::{Error, Lab, Result, SmallDisk, wait_until};

/// Maximum time until all robots know that all of them are well.
const KNOWN: Duration = Duration::from_secs(180);
/// Maximum time until a fault is seen or cleared.
const CHANGED: Duration = Duration::from_secs(60);

/// Measure how fast another robot shows a fault: a full disk, a high temperature, a dead battery
///
/// Each fault is planted on another robot than the last one, and is taken back when another robot shows it.
#[derive(Debug, Clone, clap::Args)]
pub struct Faults {
    /// Number of robots
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(3..=200))]
    pub robots: u16,
    /// Number of times that each fault is planted
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub rounds: u16,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full.
    FullDisk,
    /// The temperature is high.
    Heat,
    /// The battery is empty.
    DeadBattery,
}

impl Fault {
    /// Each kind of fault, in the order of the experiment.
    const ALL: [Self; 3] = [Self::FullDisk, Self::Heat, Self::DeadBattery];

    fn name(self) -> &'static str {
        match self {
            Self::FullDisk => "full disk",
            Self::Heat => "high temperature",
            Self::DeadBattery => "dead battery",
        }
    }

    /// Returns the code of its finding.
    fn code(self) -> &'static str {
        match self {
            Self::FullDisk => "filesystem.full",
            Self::Heat => "temperature.high",
            Self::DeadBattery => "battery.low",
        }
    }
}

/// Figures of one kind of fault.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The kind of fault.
    pub fault: Fault,
    /// Times until the table of another robot showed it.
    pub shown: Distribution,
    /// Times until that table showed it no more.
    pub cleared: Distribution,
    /// Number of changes of the level, for each time that the fault was planted.
    pub changes: Vec<u64>,
}

/// A robot, and its planted disk.
struct Planted(Robot, Option<SmallDisk>);

impl Planted {
    fn set(&self, fault: Fault, is_there: bool) -> Result {
        match (fault, &self.1) {
            (Fault::Heat, _) => set_temperature(&self.0, if is_there { 95 } else { 50 }),
            (Fault::DeadBattery, _) => set_charge(&self.0, if is_there { 3 } else { 100 }),
            (Fault::FullDisk, Some(disk)) if is_there => disk.fill_to(0),
            (Fault::FullDisk, Some(disk)) => disk.empty(),
            (Fault::FullDisk, None) => Ok(()),
        }
    }

    /// Returns how often the level of the robot has changed.
    fn changes(&self) -> Result<u64> {
        let stats = self.0.cli(&["stats", "--json"])?;
        let changes = stats["counters"]["diagnostics.health.changed"].as_u64();
        changes.ok_or_else(|| Error::answer("the number of changes", stats.to_string()))
    }
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails, or a fault is not shown or not cleared.
pub fn faults(lab: &Lab, options: &Faults) -> Result<Vec<Shown>> {
    let start = |number: u16| {
        let name = format!("robot{number}");
        // A few robots have a disk of their own, since a machine has few loop devices.
        let (mut robot, disk) = match number % 7 {
            1 => robot_with_disk(lab, &name).map(|(robot, disk)| (robot, Some(disk)))?,
            _ => (robot(lab, &name, "", "")?, None),
        };
        robot.restart()?;
        Ok(Planted(robot, disk))
    };
    let robots = (0..options.robots).map(start).collect::<Result<Vec<_>>>()?;
    let [observer, others @ ..] = &robots[..] else { return Ok(Vec::new()) };
    let all_well = || {
        let fleet = observer.0.cli(&["fleet", "--json"]).ok()?;
        let rows = fleet["robots"].as_array()?;
        (rows.len() == robots.len() && rows.iter().all(|row| row["level"] == "ok")).then_some(())
    };
    wait_until(KNOWN, "all robots are well", all_well)?;
    let mut next = others.iter().cycle();
    let mut kinds = Vec::new();
    for fault in Fault::ALL {
        let (mut shown, mut cleared, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            let able = |robot: &&Planted| fault != Fault::FullDisk || robot.1.is_some();
            let Some(robot) = next.by_ref().find(able) else { break };
            let (name, before) = (robot.0.host().name().to_owned(), robot.changes()?);
            shown.push(wait_for(observer, &name, robot, (fault, true))?);
            cleared.push(wait_for(observer, &name, robot, (fault, false))?);
            changes.push(robot.changes()?.saturating_sub(before));
        }
        kinds.push(Shown {
            fault,
            shown: shown.into_iter().collect(),
            cleared: cleared.into_iter().collect(),
            changes,
        });
    }
    Ok(kinds)
}

/// Plants a fault on a robot or takes it back, and returns the time until the observer shows this.
fn wait_for(
    observer: &Planted,
    name: &str,
    robot: &Planted,
    (fault, is_there): (Fault, bool),
) -> Result<Duration> {
    robot.set(fault, is_there)?;
    let begun = Instant::now();
    let what = format!("{name}: {} {}", fault.name(), if is_there { "is shown" } else { "is cleared" });
    let is_shown = || {
        let fleet = observer.0.cli(&["fleet", "--json"]).ok()?;
        let row = fleet["robots"].as_array()?.iter().find(|row| row["hostname"] == name)?;
        let has_finding = row["findings"].as_array()?.iter().any(|finding| finding["code"] == fault.code());
        let is_well = row["level"] == "ok";
        (if is_there { has_finding && !is_well } else { is_well }).then_some(())
    };
    wait_until(CHANGED, &what, is_shown)?;
    Ok(begun.elapsed())
}

impl Shown {
    /// Prints the figures as one line.
    pub fn print(&self) {
        let seconds = |times: &Distribution, share| times.share(share).unwrap_or_default().as_secs_f64();
        let (shown, cleared) = (&self.shown, &self.cleared);
        println!(
            "{:<16} shown after {:.1} s (median), {:.1} s (worst); cleared after {:.1} s (median), {:.1} s (worst); \
             changes of the level each time: {:?}",
            self.fault.name(),
            seconds(shown, 0.5),
            seconds(shown, 1.0),
            seconds(cleared, 0.5),
            seconds(cleared, 1.0),
            self.changes
        );
    }

    /// Returns the figures by name.
    pub fn json(&self) -> Value {
        json!({
            "fault": self.fault.name(),
            "shown_seconds": self.shown.json(),
            "cleared_seconds": self.cleared.json(),
            "changes": self.changes,
        })
    }
}
