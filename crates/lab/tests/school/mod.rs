//! A class with a robot, an office with a collector, and a laptop that has a link to both.

use lab::daemon::Robot;
use lab::planted::robot_on;
use lab::{Lab, Link, Result, wait_until};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Time limit of steps on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(120);

/// A robot in a class, a collector in an office, and a laptop that has a link to both.
pub(crate) struct School {
    pub(crate) robot: Robot,
    pub(crate) laptop: Robot,
    pub(crate) collector: Robot,
    pub(crate) class: Link,
    pub(crate) office: Link,
    pub(crate) _lab: Lab,
}

impl School {
    /// Starts the daemons. `keys` are keys of the section `[diagnostics]` of the collector.
    pub(crate) fn new(lab: Lab, keys: &str) -> Result<Self> {
        let (class, office) = (lab.network("class")?, lab.network("office")?);
        let at = |name: &str| lab.lone_host(name);
        let (mut robot, mut laptop, mut collector) = (at("robot")?, at("laptop")?, at("server")?);
        robot.attach(&class)?;
        collector.attach(&office)?;
        let links = (laptop.attach(&class)?, laptop.attach(&office)?);
        let (soon, never) = ("send_after_minutes = 1", "send_history = false");
        let mut school = Self {
            robot: robot_on(robot, "", soon)?,
            laptop: robot_on(laptop, "", never)?,
            collector: robot_on(collector, "", &format!("{never}\n{keys}"))?,
            class: links.0,
            office: links.1,
            _lab: lab,
        };
        for robot in school.all() {
            robot.restart()?;
        }
        school.found()?;
        Ok(school)
    }

    fn all(&mut self) -> [&mut Robot; 3] {
        [&mut self.robot, &mut self.laptop, &mut self.collector]
    }

    /// Makes a swarm with a root, a carrier and a collector.
    fn found(&mut self) -> Result {
        let file = self.laptop.host().folder().join("class.toml");
        let file = file.to_string_lossy().into_owned();
        let made = self.laptop.cli(&["swarm", "init", &file, "--name", "class", "--json"])?;
        let key = made["key_path"].as_str().unwrap_or_default().to_owned();
        for robot in self.all() {
            robot.cli(&["swarm", "join", &file, "--json"])?;
        }
        let (laptop, collector) = (self.laptop.peer_id()?, self.collector.peer_id()?);
        self.laptop.cli(&["grant", "trusted", &laptop, "--key", &key, "--json"])?;
        self.laptop.cli(&["collectors", "add", &collector, "--key", &key, "--json"])?;
        for robot in [&self.robot, &self.laptop, &self.collector] {
            let is_known = || (show(robot).ok()?["collectors"][0]["has_key"] == true).then_some(());
            wait_until(SOON, "the key of the collector", is_known)?;
        }
        Ok(())
    }
}

/// Returns the answer of `collectors show`.
pub(crate) fn show(robot: &Robot) -> Result<Value> {
    robot.cli(&["collectors", "show", "--json"])
}

/// Waits until a number in the answer of `collectors show` fulfils a condition.
pub(crate) fn wait_for(
    robot: &Robot,
    within: Duration,
    pointer: &str,
    is_it: impl Fn(u64) -> bool,
) -> Result<Value> {
    let what = format!("{pointer} of {}", robot.host().name());
    wait_until(within, &what, || {
        let shown = show(robot).ok()?;
        shown.pointer(pointer)?.as_u64().is_some_and(&is_it).then_some(shown)
    })
}

/// Returns whether a file below a folder contains a text.
pub(crate) fn has_text(folder: &Path, text: &str) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return has_text(&path, text);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    })
}
