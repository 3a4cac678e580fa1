//! The shell: performs the actions of the state machine, and keeps the journals.

use crate::actions::Actions;
use crate::disk::{Disk, EntryKind, RealDisk};
use crate::folder::TargetFolder;
use crate::hooks::{Event, Hooks, HooksEnd};
use crate::journal::{Attempt, Journal, Target};
use crate::machine::{self, Accepted, Action, Decision, Outcome, Running, Seen, Trial};
use crate::name::Name;
use crate::process::{RealRunner, Runner};
use crate::request::{Health, Inputs, Kind, Request};
use crate::settings::{PROGRAM_NAME, Settings};
use crate::state::{Refusal, State, Waiting};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;

/// Minimum time between two runs of the executable that checks the health.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Maximum number of targets. Each has a folder.
const MAX_TARGETS: usize = 1024;

/// The disk failed. Nothing is lost: the step is repeated by the next call.
#[derive(Debug, Error)]
#[error("the folder {path:?} of an update cannot be read or written")]
pub struct InstallError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A request is not carried out.
#[derive(Debug, Error)]
pub enum BeginError {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There are too many targets.
    #[error("there are {MAX_TARGETS} targets on this robot, and no more are accepted")]
    TooManyTargets,
    /// The disk failed.
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// A roll-back cannot begin.
#[derive(Debug, Error)]
pub enum RollBackError {
    /// There is nothing to return to.
    #[error("there is no previous version of {name} to return to")]
    NothingKept {
        /// Name of the target.
        name: Name,
    },
    /// The disk failed.
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// The next call that a step asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Call `advance` again at once.
    Again,
    /// Call `advance` again in a second or later, or when an input has changed.
    Wait,
    /// End the process. The starter then starts the other version. Only for dt-swarm itself.
    Restart,
    /// Nothing is left to do.
    Idle,
}

/// Result of a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The state after the step.
    pub state: State,
    /// When to make the next step.
    pub next: Next,
}

/// Installs targets on this robot. All calls block.
pub struct Installer {
    settings: Settings,
    disk: Arc<dyn Disk>,
    runner: Arc<dyn Runner>,
    targets: Mutex<BTreeMap<Name, Arc<Slot>>>,
}

/// One target. A step can take minutes, and others can see the target meanwhile.
struct Slot {
    work: Mutex<Work>,
    shown: Mutex<Target>,
}

/// The knowledge of this process about a target.
#[derive(Default)]
struct Work {
    journal: Journal,
    waiting: Option<Waiting>,
    trial: Trial,
    /// Time and result of the last run of the executable that checks the health.
    checked: Option<(Duration, Health)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic in a step leaves the journal on the disk as it was, and the next step reads what is there.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Installer {
    /// Opens the folder of all targets, and reads the journals. It counts as a start of this process: call it once.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or written.
    pub fn open(settings: Settings) -> Result<Self, InstallError> {
        Self::open_on(settings, Arc::new(RealDisk), Arc::new(RealRunner))
    }

    /// Like [`Installer::open`], on another disk and with another way to run programs.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or written.
    pub fn open_on(
        settings: Settings,
        disk: Arc<dyn Disk>,
        runner: Arc<dyn Runner>,
    ) -> Result<Self, InstallError> {
        let installer = Self { settings, disk, runner, targets: Mutex::default() };
        let root = installer.settings.folder.clone();
        let entries = installer.disk.list(&root).map_err(|source| failed(&root, source))?;
        for (name, kind) in entries {
            let name = name.to_str().and_then(|name| name.parse::<Name>().ok());
            if let (EntryKind::Folder, Some(name)) = (kind, name) {
                installer.open_target(&name)?;
            }
        }
        Ok(installer)
    }

    fn open_target(&self, name: &Name) -> Result<(), InstallError> {
        let folder = self.folder(name);
        let read = || -> io::Result<Option<Journal>> {
            let mut journal = folder.load()?;
            // Another folder, or one that was made before its first journal was written.
            if journal == Journal::default() {
                return Ok(None);
            }
            if machine::opened(&mut journal) {
                folder.save(&journal)?;
            }
            folder.clean(&journal)?;
            Ok(Some(journal))
        };
        if let Some(journal) = read().map_err(|source| failed(folder.path(), source))? {
            lock(&self.targets).insert(name.clone(), Arc::new(Slot::new(name, journal)));
        }
        Ok(())
    }

    /// Returns all targets, sorted by name.
    pub fn list(&self) -> Vec<Target> {
        lock(&self.targets).values().map(|slot| lock(&slot.shown).clone()).collect()
    }

    /// Returns a target, if anything is known about it.
    pub fn target(&self, name: &Name) -> Option<Target> {
        let slot = lock(&self.targets).get(name).cloned()?;
        let shown = lock(&slot.shown).clone();
        Some(shown)
    }

    /// Returns the folder with the content of the version in use. It is a symbolic link, which is switched in one
    /// operation.
    pub fn current_folder(&self, name: &Name) -> PathBuf {
        self.folder(name).current()
    }

    /// Accepts a request. It is on the disk when this returns. [`Installer::advance`] then carries it out.
    ///
    /// # Errors
    /// Returns an error if the request is refused or the disk fails. Nothing has changed then.
    pub fn begin(&self, request: &Request) -> Result<Accepted, BeginError> {
        let slot = self.slot(&request.name)?;
        let mut work = lock(&slot.work);
        let mut journal = work.journal.clone();
        let has_starter = self.running(&request.name).is_some();
        let accepted = machine::admit(&mut journal, request, has_starter)?;
        // A caller may repeat its request at each of its own decisions.
        if journal != work.journal {
            let folder = self.folder(&request.name);
            let save = || {
                self.make_root()?;
                folder.make()?;
                folder.save(&journal)
            };
            save().map_err(|source| failed(folder.path(), source))?;
            work.journal = journal;
        }
        if accepted == Accepted::Begun {
            *work = Work { journal: std::mem::take(&mut work.journal), ..Work::default() };
        }
        slot.show(&request.name, &work);
        Ok(accepted)
    }

    fn slot(&self, name: &Name) -> Result<Arc<Slot>, BeginError> {
        let mut targets = lock(&self.targets);
        if !targets.contains_key(name) && targets.len() >= MAX_TARGETS {
            return Err(BeginError::TooManyTargets);
        }
        let new = || Arc::new(Slot::new(name, Journal::default()));
        Ok(Arc::clone(targets.entry(name.clone()).or_insert_with(new)))
    }

    fn make_root(&self) -> io::Result<()> {
        match self.disk.make_folder(&self.settings.folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.settings.folder.parent().map_or(Ok(()), |parent| self.disk.sync_folder(parent)),
        }
    }

    /// Makes at most one step of an installation.
    ///
    /// # Errors
    /// Returns an error if the disk fails. The next call repeats the step.
    pub fn advance(&self, name: &Name, inputs: &mut Inputs<'_>) -> Result<Progress, InstallError> {
        let Some(slot) = lock(&self.targets).get(name).cloned() else {
            return Ok(Progress { state: State::Idle, next: Next::Idle });
        };
        let mut work = lock(&slot.work);
        let folder = self.folder(name);
        let next = self.step(name, &folder, &slot, &mut work, inputs);
        let next = next.map_err(|source| failed(folder.path(), source))?;
        slot.show(name, &work);
        Ok(Progress { state: work.journal.state(work.waiting.as_ref()), next })
    }

    /// Begins a roll-back: of the running installation, or from the installed version to the one before it. Nothing is
    /// installed by [`Installer::advance`] afterwards until the next request.
    ///
    /// # Errors
    /// Returns an error if nothing is kept to return to, or if the disk fails.
    pub fn roll_back(&self, name: &Name, reason: &str) -> Result<(), RollBackError> {
        if self.change(name, |journal| machine::order_return(journal, reason))? {
            return Ok(());
        }
        Err(RollBackError::NothingKept { name: name.clone() })
    }

    /// Gives up an installation that has switched nothing yet. Returns false if there is none, or if it is too late.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub fn abort(&self, name: &Name) -> Result<bool, InstallError> {
        self.change(name, machine::abort)
    }

    fn change(&self, name: &Name, change: impl FnOnce(&mut Journal) -> bool) -> Result<bool, InstallError> {
        let Some(slot) = lock(&self.targets).get(name).cloned() else {
            return Ok(false);
        };
        let mut work = lock(&slot.work);
        let mut journal = work.journal.clone();
        if !change(&mut journal) {
            return Ok(false);
        }
        let folder = self.folder(name);
        folder.save(&journal).map_err(|source| failed(folder.path(), source))?;
        *work = Work { journal, ..Work::default() };
        slot.show(name, &work);
        Ok(true)
    }

    fn folder(&self, name: &Name) -> TargetFolder<'_> {
        TargetFolder::new(&*self.disk, &self.settings.folder, name)
    }

    fn actions<'a>(&'a self, folder: &'a TargetFolder<'a>, attempt: &'a Attempt) -> Actions<'a> {
        Actions { disk: &*self.disk, runner: &*self.runner, tools: &self.settings.packages, folder, attempt }
    }

    /// Observes the health. Returns the result once it is known.
    fn check(
        &self,
        work: &mut Work,
        attempt: &Attempt,
        hooks: &Hooks<'_>,
        inputs: &mut Inputs<'_>,
    ) -> Option<Outcome> {
        let now = inputs.uptime;
        let mut health = (inputs.health)();
        if let (Some(program), Health::Good) = (&self.settings.check, &health) {
            let is_due = |checked: &(Duration, Health)| now.saturating_sub(checked.0) >= CHECK_INTERVAL;
            if work.checked.as_ref().is_none_or(is_due) {
                let hooks = Hooks { limit: self.settings.check_limit, ..*hooks };
                work.checked = Some((now, hooks.check(program)));
            }
            health = work.checked.as_ref().map_or(Health::Unknown, |(_, health)| health.clone());
        }
        let is_program = attempt.target.kind == Kind::Program;
        let stable_for = if is_program { self.settings.program_stable_for } else { self.settings.stable_for };
        work.trial.observe(health, now, stable_for, self.settings.check_within)
    }

    fn running(&self, name: &Name) -> Option<&Running> {
        self.settings.running.as_ref().filter(|_| name.as_str() == PROGRAM_NAME)
    }

    fn step(
        &self,
        name: &Name,
        folder: &TargetFolder<'_>,
        slot: &Slot,
        work: &mut Work,
        inputs: &mut Inputs<'_>,
    ) -> io::Result<Next> {
        let link = folder.link()?;
        let seen = Seen {
            conditions: &inputs.conditions,
            free_bytes: self.disk.free_bytes(&self.settings.folder),
            is_staged: self.is_staged(work.journal.attempt.as_ref())?,
            link: link.as_ref(),
            running: self.running(name),
        };
        let decision = machine::step(&work.journal, &seen);
        work.waiting = None;
        match decision {
            Decision::Idle => return Ok(Next::Idle),
            Decision::Restart => return Ok(Next::Restart),
            Decision::Wait(reason) => work.waiting = Some(reason),
            Decision::Act(action) => {
                slot.show(name, work);
                if let Some(outcome) = self.act(name, folder, work, action, inputs)? {
                    self.record(folder, work, outcome)?;
                    return Ok(Next::Again);
                }
            }
        }
        Ok(Next::Wait)
    }

    fn is_staged(&self, attempt: Option<&Attempt>) -> io::Result<bool> {
        let Some(staged) = attempt.and_then(|attempt| attempt.staged.as_ref()) else {
            return Ok(false);
        };
        let file = self.disk.file(&staged.path)?;
        Ok(file.is_some_and(|(bytes, _)| bytes == staged.bytes))
    }

    /// Writes a result to the journal, and removes what is not needed any more.
    fn record(&self, folder: &TargetFolder<'_>, work: &mut Work, outcome: Outcome) -> io::Result<()> {
        let mut journal = work.journal.clone();
        machine::apply(&mut journal, outcome);
        folder.save(&journal)?;
        let has_ended = journal.attempt.is_none();
        *work = Work { journal, waiting: work.waiting.take(), ..Work::default() };
        if has_ended {
            folder.clean(&work.journal)?;
        }
        Ok(())
    }

    /// Performs an action. Returns nothing if the journal does not change by it.
    fn act(
        &self,
        name: &Name,
        folder: &TargetFolder<'_>,
        work: &mut Work,
        action: Action,
        inputs: &mut Inputs<'_>,
    ) -> io::Result<Option<Outcome>> {
        let Some(attempt) = work.journal.attempt.clone() else {
            return Ok(None);
        };
        let hooks = Hooks {
            disk: &*self.disk,
            runner: &*self.runner,
            name,
            attempt: &attempt,
            folder: folder.path(),
            limit: self.settings.hook_limit,
        };
        match action {
            Action::Unpack => self.actions(folder, &attempt).unpack(&self.settings.limits).map(Some),
            Action::HooksBefore => {
                Ok(hooks_outcome(hooks.run(&self.settings.hooks_before, Event::Before)?, work))
            }
            Action::Switch => self.actions(folder, &attempt).switch().map(Some),
            Action::HooksAfter => {
                Ok(hooks_outcome(hooks.run(&self.settings.hooks_after, Event::After)?, work))
            }
            Action::Check => Ok(self.check(work, &attempt, &hooks, inputs)),
            Action::Return => self.actions(folder, &attempt).switch_back().map(Some),
            Action::HooksReturned => {
                // The way back does not depend on hooks: a failure of theirs changes nothing.
                hooks.run(&self.settings.hooks_after, Event::RolledBack)?;
                Ok(Some(Outcome::Succeeded))
            }
        }
    }
}

impl Slot {
    fn new(name: &Name, journal: Journal) -> Self {
        let shown = Mutex::new(journal.target(name, None));
        Self { work: Mutex::new(Work { journal, ..Work::default() }), shown }
    }

    fn show(&self, name: &Name, work: &Work) {
        *lock(&self.shown) = work.journal.target(name, work.waiting.as_ref());
    }
}

fn failed(path: &Path, source: io::Error) -> InstallError {
    InstallError { path: path.to_path_buf(), source }
}

/// Returns the result of hooks, or remembers for what they wait.
fn hooks_outcome(end: HooksEnd, work: &mut Work) -> Option<Outcome> {
    match end {
        HooksEnd::Passed => Some(Outcome::Succeeded),
        HooksEnd::Failed(reason) => Some(Outcome::Failed(reason)),
        HooksEnd::Wait(reason) => {
            work.waiting = Some(reason);
            None
        }
    }
}
