//! `online`: the table of robots.

mod changes;

use super::Command;
use crate::ask;
use crate::context::Context;
use crate::error::CliError;
use crate::live_table::{self, LiveTable, NowOrLive};
use crate::output::fields::{Daemon, Timestamp};
use crate::output::robot::RobotEntry;
use crate::output::{Form, Live, Output};
use crate::robots::{Detail, Table};
use crate::tables::table;
use crate::text::count;
use changes::Changes;
use clap::Args;
use discovery::protocol::MAX_WAIT_SECONDS;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost online            shows the robots that are present
  dt-swarm-cli localhost online --watch    shows them live, until Ctrl-C
  dt-swarm-cli duckie7 online --all        asks the robot duckie7, and also shows robots that left";

const HEADER: [&str; 8] = ["Name", "Hardware", "Type", "Model", "Status", "Where", "ID", "Version"];
/// Time after which a terminal shows the table again although nothing changed.
const REDRAW_EVERY: Duration = Duration::from_secs(2);
/// Note below the table when only the records of the daemon are known.
const BY_RECORDS_NOTE: &str =
    "Only signed records are known here. Ask on the robot itself which of these robots it hears.\n";
/// Maximum number of shared names that are listed below the table.
const MAX_SHARED_SHOWN: usize = 5;

/// Shows the robots that are present, also those on other networks and those without dt-swarm.
///
/// Where is `here` for a robot that was heard on a network of this robot, `elsewhere` for one that was heard by other
/// ways, and says how long ago. A robot whose name another robot has too is shown with the end of its ID, such as
/// entebot208~JnuCcN. Every command accepts such a name as HOST.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Online {
    /// Shows the table again at each change, until Ctrl-C; a line for each change if the output is not a terminal.
    #[arg(long)]
    watch: bool,
    /// Also shows robots that left.
    #[arg(long)]
    all: bool,
}

/// The robots that a daemon knows at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Robots {
    /// The daemon that answered.
    daemon: Daemon,
    /// The time of this computer's clock when the daemon answered.
    time: Timestamp,
    /// The robots that are here first, then those elsewhere. With `--all`, robots that left are last.
    robots: Vec<RobotEntry>,
    /// The number of robots that left.
    robots_left: usize,
    /// Whether the robots are known by signed records only, so that it is not known which of them the daemon hears.
    is_by_records: bool,
    #[serde(skip)]
    live: Option<String>,
}

impl Command for Online {
    type Output = NowOrLive<Robots>;

    fn run(&self, context: &Context) -> Result<NowOrLive<Robots>, CliError> {
        let detail = detail(context);
        let first = Robots::new(context.robots_with(detail)?, self.all);
        Ok(match self.watch {
            true => NowOrLive::Live(watch(context.clone(), self.all, first)),
            false => NowOrLive::Now(first),
        })
    }
}

/// Returns the facts that are shown: programs get all of them, people one line for each robot.
fn detail(context: &Context) -> Detail {
    match context.form() {
        Form::Json => Detail::All,
        Form::Text => Detail::Brief,
    }
}

/// Returns the table at each moment for a terminal, and otherwise at each change.
fn watch(context: Context, is_all: bool, first: Robots) -> Live<Robots> {
    let longest = live_table::longest_wait(&context, REDRAW_EVERY, Duration::from_secs(MAX_WAIT_SECONDS));
    let mut changed = Changes::new(context.clone(), longest);
    let (mut next, asked) = (Some(first), context.clone());
    live_table::watch(&context, move || match next.take() {
        Some(first) => Ok(first),
        None => {
            changed.wait()?;
            Ok(Robots::new(asked.robots_with(detail(&asked))?, is_all))
        }
    })
}

impl Robots {
    fn new(table: Table, is_all: bool) -> Self {
        let mut robots = RobotEntry::all(&table.robots);
        let robots_left = robots.iter().filter(|robot| robot.is_away()).count();
        robots.retain(|robot| is_all || !robot.is_away());
        let (time, is_by_records) = (Timestamp(ask::clock()), table.is_by_records);
        Self { daemon: table.daemon, time, robots, robots_left, is_by_records, live: None }
    }

    fn table(&self) -> String {
        let mut rows = table(&HEADER);
        for robot in &self.robots {
            rows.add_row(robot.row());
        }
        let present = self.robots.iter().filter(|robot| !robot.is_away()).count();
        let mut shown = format!("{}\n\n{}", rows.trim_fmt(), count(present, "robot"));
        // Writing to a String does not fail.
        let _ = match self.robots_left {
            0 => writeln!(shown, " online"),
            left if self.robots.len() > present => writeln!(shown, " online, {left} left"),
            left => writeln!(shown, " online; --all also shows {} that left", count(left, "robot")),
        };
        shown + &self.notes(present)
    }

    /// Returns what the user should know about the table.
    fn notes(&self, present: usize) -> String {
        let mut notes = String::new();
        if self.is_by_records {
            notes += BY_RECORDS_NOTE;
        }
        // A robot whose name only robots that left have too is named by its name alone.
        let needs_end = |robot: &&RobotEntry| robot.is_name_shared && robot.handle != robot.hostname;
        let shared = self.robots.iter().filter(needs_end).filter(|robot| !robot.is_away());
        let shared: Vec<String> = shared.take(MAX_SHARED_SHOWN).map(RobotEntry::show_handle).collect();
        if !shared.is_empty() {
            let _ = writeln!(
                notes,
                "Several robots have the same name. Write {} to mean one of them.",
                shared.join(" or ")
            );
        }
        for robot in self.robots.iter().filter(|robot| robot.is_copied).take(MAX_SHARED_SHOWN) {
            let _ = writeln!(
                notes,
                "Two robots use the key of {} ({}), as after an SD card was copied. `doctor` says what to do.",
                robot.show_handle(),
                robot.show_id()
            );
        }
        if present <= 1 {
            notes += "No other robot is online. `doctor` says what may be wrong.\n";
        }
        notes
    }
}

impl LiveTable for Robots {
    fn lines(&self) -> BTreeMap<String, String> {
        let line = |robot: &RobotEntry| {
            let key = robot.peer.map_or_else(|| robot.hostname.clone(), |peer| Some(peer.to_string()));
            let (name, id, status) = (robot.show_handle(), robot.show_id(), robot.show_status());
            (key.unwrap_or_default(), format!("{name} ({id}) {status}, {}", robot.state))
        };
        self.robots.iter().map(line).collect()
    }

    fn set_text(&mut self, text: String) {
        self.live = Some(text);
    }
}

impl Output for Robots {
    fn show(&self) -> String {
        self.live.clone().unwrap_or_else(|| self.table())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live_table::changes;
    use crate::output::fields::PeerRef;
    use crate::output::vocabulary;
    use crate::robots::fixture::{fact, heard, peer, robot};
    use discovery::protocol::{Place, Robot};

    fn shown(robots: Vec<Robot>, is_all: bool) -> Robots {
        let peer = PeerRef::unnamed(peer(1));
        let daemon =
            Daemon { peer, version: None, uptime_seconds: None, clock_ahead_seconds: None, records: None };
        Robots::new(Table { daemon, robots, is_by_records: false }, is_all)
    }

    fn class() -> Vec<Robot> {
        let shared = |who| Robot { shares_name: true, ..robot(who, "entebot208", Place::Here) };
        let mut robots =
            vec![robot(1, "duckie1", Place::Here), shared(2), shared(3), robot(4, "old", Place::Away)];
        robots[0].is_me = true;
        robots[1].configuration = Some(fact("DB21J", 5));
        robots[1].heard = vec![heard("udp eth0", Some("10.0.0.7:1240"), 2)];
        robots
    }

    #[test]
    fn robots_that_left_are_shown_only_when_asked_for() {
        let (some, all) = (shown(class(), false), shown(class(), true));
        assert!(!some.show().contains("old"), "{}", some.show());
        assert!(
            some.show().contains("3 robots online; --all also shows 1 robot that left\n"),
            "{}",
            some.show()
        );
        assert!(all.show().contains("last heard 60 s ago"), "{}", all.show());
        assert!(all.show().contains("3 robots online, 1 left\n"), "{}", all.show());
    }

    #[test]
    fn robots_of_one_name_are_shown_as_they_are_named() {
        let text = shown(class(), false).show();
        for who in [2, 3] {
            let id = peer(who).to_string();
            assert_eq!(text.matches(&format!("entebot208~{}", &id[id.len() - 6..])).count(), 2, "{text}");
        }
        let row = text.lines().find(|line| line.contains("DB21J")).unwrap();
        assert!(row.contains("here: udp eth0, 2 s ago"), "{row}");
    }

    #[test]
    fn the_document_follows_the_vocabulary() {
        let json = vocabulary::checked(&shown(class(), true));
        assert_eq!((&json["robots"][0]["is_daemon"], &json["robots_left"]), (&true.into(), &1.into()));
        assert_eq!(json["robots"][3]["state"], "away");
    }

    #[test]
    fn a_robot_that_is_alone_gets_advice() {
        assert!(shown(class()[..1].into(), false).show().contains("`doctor`"));
    }

    #[test]
    fn only_changes_are_printed() {
        let mut robots = class();
        let before = shown(robots.clone(), false).lines();
        robots[1].heard[0].age_seconds = 3;
        assert_eq!(changes(&before, &shown(robots.clone(), false).lines()), "");
        (robots[1].place, robots[2].place) = (Place::Elsewhere, Place::Away);
        let text = changes(&before, &shown(robots, false).lines());
        let marks: String = text.lines().filter_map(|line| line.chars().next()).collect();
        assert_eq!(marks, "-~", "{text}");
    }
}
