//! Hooks: executables of the robot's owner that run before and after a switch, and the executable that checks the health.

use crate::disk::{Disk, EntryKind};
use crate::journal::Attempt;
use crate::name::Name;
use crate::process::{Command, Runner};
use crate::request::Health;
use crate::state::{Failure, Waiting};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Exit status with which a hook or a check asks for more time. It is `EX_TEMPFAIL` of `sysexits.h`.
const NOT_YET: i32 = 75;
/// Maximum number of hooks in a folder. More are probably a mistake, and would take long.
const MAX_HOOKS: usize = 32;

/// Events for which hooks run. Hooks see them in the variable `UPDATE_EVENT`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    Before,
    After,
    RolledBack,
    Check,
}

/// Result of the hooks of a folder.
#[derive(Debug)]
pub(crate) enum HooksEnd {
    Passed,
    Wait(Waiting),
    Failed(Failure),
}

/// Runs programs for one target.
pub(crate) struct Hooks<'a> {
    pub disk: &'a dyn Disk,
    pub runner: &'a dyn Runner,
    pub name: &'a Name,
    pub attempt: &'a Attempt,
    /// The folder of the target.
    pub folder: &'a Path,
    pub limit: Duration,
}

impl Hooks<'_> {
    /// Runs all executables of a folder in the order of their names. Stops at the first one that fails.
    pub(crate) fn run(&self, hooks: &Path, event: Event) -> io::Result<HooksEnd> {
        for name in self.executables(hooks)? {
            let ended = match self.runner.run(&self.command(&hooks.join(&name), event)) {
                Ok(ended) if ended.is_success() => continue,
                Ok(ended) => ended,
                Err(error) => {
                    return Ok(HooksEnd::Failed(Failure::Hook { hook: name, reason: error.to_string() }));
                }
            };
            if ended.code == Some(NOT_YET) && event == Event::Before {
                return Ok(HooksEnd::Wait(Waiting::Hook { hook: name }));
            }
            return Ok(HooksEnd::Failed(Failure::Hook { hook: name, reason: ended.sentence() }));
        }
        Ok(HooksEnd::Passed)
    }

    /// Runs the executable that checks the health.
    pub(crate) fn check(&self, program: &Path) -> Health {
        match self.runner.run(&self.command(program, Event::Check)) {
            Ok(ended) if ended.is_success() => Health::Good,
            Ok(ended) if ended.code == Some(NOT_YET) => Health::Unknown,
            Ok(ended) => Health::Bad(ended.sentence()),
            Err(error) => Health::Bad(format!("{}: {error}", program.display())),
        }
    }

    fn executables(&self, hooks: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for (name, kind) in self.disk.list(hooks)? {
            let is_executable = kind != EntryKind::Folder
                && self.disk.file(&hooks.join(&name))?.is_some_and(|(_, is_executable)| is_executable);
            if is_executable && let Ok(name) = name.into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        names.truncate(MAX_HOOKS);
        Ok(names)
    }

    fn command(&self, program: &Path, event: Event) -> Command {
        let event = match event {
            Event::Before => "before",
            Event::After => "after",
            Event::RolledBack => "rolled-back",
            Event::Check => "check",
        };
        let previous = self.attempt.back_to.as_ref().map(|back_to| back_to.version.to_string());
        let version_folder = self.folder.join(self.attempt.target.version.as_str());
        Command {
            program: program.to_path_buf(),
            arguments: Vec::new(),
            environment: vec![
                ("UPDATE_EVENT", event.to_owned()),
                ("UPDATE_NAME", self.name.to_string()),
                ("UPDATE_VERSION", self.attempt.target.version.to_string()),
                ("UPDATE_PREVIOUS", previous.unwrap_or_default()),
                ("UPDATE_FOLDER", version_folder.display().to_string()),
            ],
            limit: self.limit,
        }
    }
}
