//! The state machine: what to do next from the journal and from what is on the disk, and how results change the journal.
//!
//! Every action can be repeated. So a process that is killed during an action repeats it after its restart.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::journal::{Attempt, Installed, Journal, Phase};
use crate::name::Version;
use crate::request::{Conditions, Health, Kind, Request};
use crate::state::{Failure, Refusal, State, Waiting};
use std::time::Duration;

/// Starts that a new version has to confirm that it works. One start can fail for another reason, such as an empty battery.
pub(crate) const MAX_STARTS: u8 = 3;
/// Interruptions after which an installation is given up: more than a robot with a loose battery has in a lesson.
const MAX_INTERRUPTIONS: u8 = 10;
/// Attempts to install the previous package again.
const MAX_FAILED_RETURNS: u8 = 3;
/// Maximum length of a file's name, in bytes. It is a limit of most file systems.
const MAX_FILE_NAME_BYTES: usize = 255;

/// The version of dt-swarm that is running, as the starter says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Running {
    /// The programs that came with the system.
    Fallback,
    /// A version that was installed by an update.
    Version(Version),
}

/// The state of the disk, and the conditions.
#[derive(Clone, Debug)]
pub(crate) struct Seen<'a> {
    pub conditions: &'a Conditions,
    pub free_bytes: Option<u64>,
    /// Whether the staged file exists with the right size.
    pub is_staged: bool,
    /// The version to which the link `current` points.
    pub link: Option<&'a Version>,
    /// The running version of dt-swarm, if it is this target.
    pub running: Option<&'a Running>,
}

/// The decision of a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    Act(Action),
    Wait(Waiting),
    /// The process has to end, so that the starter starts the other version.
    Restart,
    Idle,
}

/// Actions of the shell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    Unpack,
    HooksBefore,
    Switch,
    HooksAfter,
    Check,
    Return,
    HooksReturned,
}

/// Results of actions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// The content is complete on the disk. A Debian package has told its name.
    Unpacked { package: Option<String> },
    /// The staged file is gone or damaged.
    StagedFileLost,
    /// The disk was full.
    NoSpace,
    /// The action succeeded.
    Succeeded,
    /// The action failed. It is not repeated.
    Failed(Failure),
}

/// A request that is accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Accepted {
    /// The installation has begun.
    Begun,
    /// This installation is going on already. The staged file is replaced by that of the request.
    AlreadyBegun,
    /// This version is installed.
    AlreadyInstalled,
}

/// Returns the next action.
pub(crate) fn step(journal: &Journal, seen: &Seen<'_>) -> Decision {
    let Some(attempt) = &journal.attempt else {
        let is_other = seen.running.is_some_and(|running| !runs(running, seen.link));
        return if is_other { Decision::Restart } else { Decision::Idle };
    };
    let unmet = attempt.requirements.unmet(seen.conditions);
    match (&attempt.phase, unmet) {
        (Phase::Unpacking, _) if !seen.is_staged => Decision::Wait(Waiting::StagedFile),
        (Phase::Unpacking | Phase::Unpacked, Some(reason)) => Decision::Wait(reason),
        (Phase::Unpacking, None) => match missing_space(attempt, seen.free_bytes) {
            Some(reason) => Decision::Wait(reason),
            None => Decision::Act(Action::Unpack),
        },
        (Phase::Unpacked, None) => Decision::Act(Action::HooksBefore),
        (Phase::Switching, _) => Decision::Act(Action::Switch),
        (Phase::Switched, _) => Decision::Act(Action::HooksAfter),
        (Phase::Checking, _) if must_restart(attempt, seen) => Decision::Restart,
        (Phase::Checking, _) => Decision::Act(Action::Check),
        (Phase::RollingBack { .. }, _) => Decision::Act(Action::Return),
        (Phase::Returned { .. }, _) => Decision::Act(Action::HooksReturned),
    }
}

fn missing_space(attempt: &Attempt, free: Option<u64>) -> Option<Waiting> {
    let (free_bytes, needed_bytes) = (free?, attempt.needed_bytes());
    (free_bytes < needed_bytes).then_some(Waiting::Space { free_bytes, needed_bytes })
}

fn runs(running: &Running, link: Option<&Version>) -> bool {
    match running {
        Running::Fallback => link.is_none(),
        Running::Version(version) => link == Some(version),
    }
}

/// Tells whether the process that asks is another version than the one to be checked.
fn must_restart(attempt: &Attempt, seen: &Seen<'_>) -> bool {
    attempt.target.kind == Kind::Program
        && seen.running.is_some_and(|running| !runs(running, Some(&attempt.target.version)))
}

/// Changes the journal by the result of an action.
pub(crate) fn apply(journal: &mut Journal, outcome: Outcome) {
    let Some(attempt) = &mut journal.attempt else {
        return;
    };
    match (&attempt.phase, outcome) {
        (Phase::Unpacking, Outcome::Unpacked { package }) => {
            attempt.target.package = package;
            attempt.phase = Phase::Unpacked;
        }
        (_, Outcome::StagedFileLost) => attempt.staged = None,
        (_, Outcome::NoSpace) => attempt.needed_bytes = attempt.needed_bytes().saturating_mul(2).max(1),
        (Phase::Unpacking | Phase::Unpacked, Outcome::Failed(reason)) => refuse(journal, reason),
        (Phase::RollingBack { reason }, Outcome::Failed(_)) => {
            let reason = reason.clone();
            return_failed(journal, reason);
        }
        (Phase::Returned { reason }, Outcome::Succeeded | Outcome::Failed(_)) => {
            let reason = reason.clone();
            end_return(journal, reason);
        }
        (_, Outcome::Failed(reason)) => attempt.phase = Phase::RollingBack { reason },
        (Phase::Checking, Outcome::Succeeded) => confirm(journal),
        (phase, Outcome::Succeeded) => attempt.phase = following(phase),
        (_, Outcome::Unpacked { .. }) => {}
    }
}

/// Returns the phase after an action of this phase has succeeded.
fn following(phase: &Phase) -> Phase {
    match phase {
        Phase::Unpacking => Phase::Unpacked,
        Phase::Unpacked => Phase::Switching,
        Phase::Switching => Phase::Switched,
        Phase::Switched | Phase::Checking => Phase::Checking,
        Phase::RollingBack { reason } | Phase::Returned { reason } => {
            Phase::Returned { reason: reason.clone() }
        }
    }
}

/// Ends an attempt that has switched nothing.
fn refuse(journal: &mut Journal, reason: Failure) {
    if let Some(attempt) = journal.attempt.take() {
        journal.remember_failure(&attempt.target, reason.clone());
        journal.last = Some(State::Refused { version: attempt.target.version, reason });
    }
}

fn confirm(journal: &mut Journal) {
    if let Some(attempt) = journal.attempt.take() {
        journal.failed.retain(|failed| failed.version != attempt.target.version);
        journal.previous = attempt.back_to;
        journal.current = Some(attempt.target);
        journal.last = Some(State::Done);
    }
}

fn end_return(journal: &mut Journal, reason: Failure) {
    if let Some(attempt) = journal.attempt.take() {
        journal.remember_failure(&attempt.target, reason.clone());
        if let (Some(previous), Some(back_to)) = (&journal.previous, &attempt.back_to)
            && previous.version == back_to.version
        {
            journal.previous = None;
        }
        journal.current = attempt.back_to;
        journal.last = Some(State::RolledBack { version: attempt.target.version, reason });
    }
}

fn return_failed(journal: &mut Journal, reason: Failure) {
    let Some(attempt) = &mut journal.attempt else {
        return;
    };
    attempt.failed_returns = attempt.failed_returns.saturating_add(1);
    if attempt.failed_returns < MAX_FAILED_RETURNS {
        return;
    }
    let version = attempt.target.version.clone();
    end_return(journal, reason.clone());
    journal.last = Some(State::Broken { version, reason });
}

/// Counts a start of the process that reads the journal. Returns whether the journal has changed.
pub(crate) fn opened(journal: &mut Journal) -> bool {
    let Some(attempt) = &mut journal.attempt else {
        return false;
    };
    match attempt.phase {
        // The starter counts the starts of programs.
        Phase::Checking if attempt.target.kind == Kind::Program => return false,
        Phase::Checking => count_start(attempt),
        Phase::RollingBack { .. } | Phase::Returned { .. } => return false,
        _ => attempt.interruptions = attempt.interruptions.saturating_add(1),
    }
    if attempt.interruptions > MAX_INTERRUPTIONS {
        apply(journal, Outcome::Failed(Failure::Interrupted { times: MAX_INTERRUPTIONS }));
    }
    true
}

fn count_start(attempt: &mut Attempt) {
    if attempt.starts >= MAX_STARTS {
        attempt.phase = Phase::RollingBack { reason: Failure::Starts { starts: attempt.starts } };
    } else {
        attempt.starts += 1;
    }
}

/// Counts a start of a program before the starter starts it. Returns whether the journal has changed. After the last
/// start it begins the way back.
pub(crate) fn starting(journal: &mut Journal, link: Option<&Version>) -> bool {
    let Some(attempt) = &mut journal.attempt else {
        return false;
    };
    let is_switched = match attempt.phase {
        // Power was lost between the switch and its entry in the journal.
        Phase::Switching => link == Some(&attempt.target.version),
        Phase::Switched | Phase::Checking => true,
        _ => false,
    };
    if !is_switched {
        return false;
    }
    if attempt.phase == Phase::Switching {
        attempt.phase = Phase::Switched;
    }
    count_start(attempt);
    true
}

/// Tells whether the running version has not been confirmed yet.
pub(crate) fn is_in_trial(journal: &Journal) -> bool {
    let phase = journal.attempt.as_ref().map(|attempt| &attempt.phase);
    matches!(phase, Some(Phase::Switched | Phase::Checking))
}

/// Decides on a request. Returns the changed journal in `journal`.
pub(crate) fn admit(
    journal: &mut Journal,
    request: &Request,
    has_starter: bool,
) -> Result<Accepted, Refusal> {
    let target = Installed::of(request);
    if let Some(attempt) = &mut journal.attempt {
        if !attempt.target.is_same(&target) {
            return Err(Refusal::Busy { version: attempt.target.version.clone() });
        }
        attempt.staged = Some(request.staged.clone());
        attempt.requirements = request.requirements;
        return Ok(Accepted::AlreadyBegun);
    }
    if let Some(current) = &journal.current {
        if current.is_same(&target) {
            return Ok(Accepted::AlreadyInstalled);
        }
        check_successor(current, request)?;
    }
    check_target(journal, request, has_starter)?;
    journal.attempt = Some(attempt(journal, target, request));
    // The old content of this version's folder is not used any more: it is unpacked again.
    journal.previous = journal.previous.take().filter(|previous| previous.version != request.version);
    Ok(Accepted::Begun)
}

fn check_successor(current: &Installed, request: &Request) -> Result<(), Refusal> {
    if current.version == request.version {
        return Err(Refusal::OtherContent);
    }
    if current.kind != request.kind && current.sha256 != Installed::UNKNOWN {
        return Err(Refusal::OtherKind);
    }
    if current.version > request.version && !request.permissions.downgrade {
        return Err(Refusal::Downgrade { installed: current.version.clone() });
    }
    Ok(())
}

fn check_target(journal: &Journal, request: &Request, has_starter: bool) -> Result<(), Refusal> {
    let is_same = |version: &Version, sha256: &[u8; 32]| {
        *version == request.version && *sha256 == request.staged.sha256
    };
    let failed = journal.failed.iter().find(|failed| is_same(&failed.version, &failed.sha256));
    if let Some(failed) = failed.filter(|_| !request.permissions.retry) {
        return Err(Refusal::FailedBefore { reason: failed.reason.clone() });
    }
    let has_file = matches!(request.kind, Kind::File | Kind::Deb);
    if has_file && !is_file_name(&request.file_name) {
        return Err(Refusal::FileName { file_name: request.file_name.chars().take(64).collect() });
    }
    if request.kind == Kind::Program && !has_starter {
        return Err(Refusal::NoStarter);
    }
    Ok(())
}

fn is_file_name(name: &str) -> bool {
    (1..=MAX_FILE_NAME_BYTES).contains(&name.len())
        && !name.contains(['/', '\0'])
        && ![".", ".."].contains(&name)
        && !name.starts_with('-')
}

fn attempt(journal: &Journal, target: Installed, request: &Request) -> Attempt {
    Attempt {
        target,
        staged: Some(request.staged.clone()),
        unpacked_bytes: request.unpacked_bytes,
        requirements: request.requirements,
        permissions: request.permissions,
        back_to: journal.current.clone(),
        phase: Phase::Unpacking,
        starts: 0,
        interruptions: 0,
        needed_bytes: 0,
        failed_returns: 0,
    }
}

/// Begins a roll-back by order: of the attempt that is going on, or of the installed version. Returns false if there is
/// nothing to return to.
pub(crate) fn order_return(journal: &mut Journal, reason: &str) -> bool {
    let reason = Failure::Order { reason: reason.to_owned() };
    if let Some(attempt) = &mut journal.attempt {
        match attempt.phase {
            Phase::Unpacking | Phase::Unpacked => return false,
            Phase::RollingBack { .. } | Phase::Returned { .. } => {}
            _ => attempt.phase = Phase::RollingBack { reason },
        }
        return true;
    }
    let (Some(current), Some(previous)) = (journal.current.clone(), journal.previous.clone()) else {
        return false;
    };
    journal.attempt = Some(Attempt {
        target: current,
        staged: None,
        unpacked_bytes: None,
        requirements: crate::request::Requirements::default(),
        permissions: crate::request::Permissions::default(),
        back_to: Some(previous),
        phase: Phase::RollingBack { reason },
        starts: 0,
        interruptions: 0,
        needed_bytes: 0,
        failed_returns: 0,
    });
    true
}

/// Gives up an attempt that has switched nothing. Returns false if there is none.
pub(crate) fn abort(journal: &mut Journal) -> bool {
    let is_early = |attempt: &Attempt| matches!(attempt.phase, Phase::Unpacking | Phase::Unpacked);
    if !journal.attempt.as_ref().is_some_and(is_early) {
        return false;
    }
    if let Some(attempt) = journal.attempt.take() {
        journal.last = Some(State::Aborted { version: attempt.target.version });
    }
    true
}

/// The health of a new version since this process began to watch it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trial {
    began: Option<Duration>,
    good_since: Option<Duration>,
}

impl Trial {
    /// Takes the health at a time. Returns the result once it is known.
    pub(crate) fn observe(
        &mut self,
        health: Health,
        now: Duration,
        stable_for: Duration,
        within: Duration,
    ) -> Option<Outcome> {
        let began = *self.began.get_or_insert(now);
        match health {
            Health::Bad(reason) => return Some(Outcome::Failed(Failure::Health { reason })),
            Health::Unknown => self.good_since = None,
            Health::Good => {
                let since = *self.good_since.get_or_insert(now);
                if now.saturating_sub(since) >= stable_for {
                    return Some(Outcome::Succeeded);
                }
            }
        }
        let is_late = self.good_since.is_none() && now.saturating_sub(began) >= within;
        is_late.then_some(Outcome::Failed(Failure::NoHealthInTime))
    }
}
