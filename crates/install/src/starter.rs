//! The starter of dt-swarm: a small program that starts the version in use, and returns to the one before it when a new
//! version does not work.
//!
//! The starter is not part of what it starts, so a broken version cannot break it. A new version has a few starts to
//! confirm that it works ([`crate::Installer::advance`] does so when the health was good for long enough). The starter
//! counts its starts in the journal before it starts it. A version that ends, or that has not confirmed in time, loses this
//! start. After the last one the starter switches back.

use crate::disk::{Disk, RealDisk};
use crate::folder::TargetFolder;
use crate::journal::Journal;
use crate::machine::{self, Action, Decision, Outcome, Running, Seen};
use crate::name::{Name, Version};
use crate::request::Conditions;
use crate::settings::PROGRAM_NAME;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, sleep, timeout};

/// Environment variable in which the starter tells the program its version. It is empty for the fallback.
pub const VERSION_VARIABLE: &str = "DT_SWARM_STARTED_VERSION";
/// Exit status with which the program asks the starter to start it again.
pub const RESTART_STATUS: u8 = 86;

/// Time between two looks at the journal while the program runs.
const POLL: Duration = Duration::from_secs(1);
/// Wait before a new version is started again.
const RESTART_DELAY: Duration = Duration::from_secs(1);
/// Time that the program has to end after it was asked to, before it is killed.
const STOP_WAIT: Duration = Duration::from_secs(10);
/// Exit status if the program was ended by a signal, without the number of the signal.
const SIGNAL_STATUS: i32 = 128;

/// Settings of the starter.
#[derive(Clone, Debug)]
pub struct StarterSettings {
    /// Folder of all targets, as in [`crate::Settings`].
    pub folder: PathBuf,
    /// The program that came with the system. It is started while no version is installed.
    pub fallback: PathBuf,
    /// Arguments for the program.
    pub arguments: Vec<OsString>,
    /// Time within which a new version must confirm that it works. It is longer than
    /// [`crate::Settings::check_within`], so that a version that still works can return by itself.
    pub confirm_within: Duration,
}

/// A program to start.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Start {
    program: PathBuf,
    version: Option<Version>,
}

/// Returns the version that the starter has started as this process, or nothing if it was started otherwise.
pub fn running() -> Option<Running> {
    let version = std::env::var(VERSION_VARIABLE).ok()?;
    if version.is_empty() {
        return Some(Running::Fallback);
    }
    version.parse().ok().map(Running::Version)
}

/// Runs the program until it ends for good or the starter is asked to end. Returns the exit status.
///
/// # Errors
/// Returns an error if the program cannot be started or signals cannot be received.
pub async fn run(settings: &StarterSettings) -> io::Result<i32> {
    let name: Name = PROGRAM_NAME.parse().map_err(io::Error::other)?;
    let disk = RealDisk;
    let folder = TargetFolder::new(&disk, &settings.folder, &name);
    loop {
        let start = prepare(&disk, &folder, &settings.fallback);
        match run_once(&folder, settings, &start).await {
            Ok(End::Asked(status)) => return Ok(code(status)),
            Ok(End::Ended(status)) if is_final(&folder, &start, status) => return Ok(code(status)),
            Ok(End::Ended(_)) => {}
            // A version that cannot be started has lost this start. The fallback is all that there is.
            Err(error) if start.version.is_none() => return Err(error),
            Err(error) => eprintln!("{} cannot be started: {error}", start.program.display()),
        }
        sleep(RESTART_DELAY).await;
    }
}

/// Tells whether the end of the program is none of the starter's business: the service manager decides then.
fn is_final(folder: &TargetFolder<'_>, start: &Start, status: ExitStatus) -> bool {
    let has_other = folder.link().ok().flatten() != start.version;
    let is_trial =
        folder.load().is_ok_and(|journal| journal.attempt.is_some_and(|attempt| attempt.is_switched()));
    !has_other && !is_trial && status.code() != Some(i32::from(RESTART_STATUS))
}

/// Counts the start, or switches back after the last one. Then returns what to start. If the disk cannot be written, the
/// version in use is started without being counted, because a robot without the daemon would be worse.
fn prepare(disk: &dyn Disk, folder: &TargetFolder<'_>, fallback: &std::path::Path) -> Start {
    if let Err(error) = count(folder) {
        eprintln!("the start of {PROGRAM_NAME} cannot be counted: {error}");
    }
    let version = folder.link().ok().flatten();
    let program = version.as_ref().map(|version| folder.version(version).join(PROGRAM_NAME));
    match program {
        Some(program) if disk.file(&program).is_ok_and(|file| file.is_some()) => Start { program, version },
        _ => Start { program: fallback.to_path_buf(), version: None },
    }
}

fn count(folder: &TargetFolder<'_>) -> io::Result<()> {
    let mut journal = folder.load()?;
    let link = folder.link()?;
    if machine::starting(&mut journal, link.as_ref()) {
        folder.save(&journal)?;
    }
    finish_return(folder, journal, link.as_ref())
}

/// Switches back if that has begun. The hooks that follow are left to the version that is started.
fn finish_return(folder: &TargetFolder<'_>, mut journal: Journal, link: Option<&Version>) -> io::Result<()> {
    let conditions = Conditions::default();
    let seen = Seen { conditions: &conditions, free_bytes: None, is_staged: false, link, running: None };
    if machine::step(&journal, &seen) != Decision::Act(Action::Return) {
        return Ok(());
    }
    let back_to = journal.attempt.as_ref().and_then(|attempt| attempt.back_to.clone());
    folder.switch(back_to.map(|back_to| back_to.version).as_ref())?;
    machine::apply(&mut journal, Outcome::Succeeded);
    folder.save(&journal)
}

/// The end of a run of the program.
enum End {
    /// The starter was asked to end.
    Asked(ExitStatus),
    /// The program has ended, or was killed because it did not confirm.
    Ended(ExitStatus),
}

async fn run_once(folder: &TargetFolder<'_>, settings: &StarterSettings, start: &Start) -> io::Result<End> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut child = Command::new(&start.program)
        .args(&settings.arguments)
        .env(VERSION_VARIABLE, start.version.as_ref().map(Version::as_str).unwrap_or_default())
        .spawn()?;
    let mut ticks = interval(POLL);
    let mut trial_since: Option<Instant> = None;
    loop {
        tokio::select! {
            status = child.wait() => return status.map(End::Ended),
            _ = terminate.recv() => return stop(&mut child).await.map(End::Asked),
            _ = interrupt.recv() => return stop(&mut child).await.map(End::Asked),
            _ = ticks.tick() => {
                if folder.load().is_ok_and(|journal| machine::is_in_trial(&journal)) {
                    let since = *trial_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= settings.confirm_within {
                        eprintln!("{PROGRAM_NAME} did not confirm in time that it works, and is ended");
                        return stop(&mut child).await.map(End::Ended);
                    }
                } else {
                    trial_since = None;
                }
            }
        }
    }
}

/// Asks the program to end, and kills it if it does not.
async fn stop(child: &mut Child) -> io::Result<ExitStatus> {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(id) = id {
        // Fails only if the program has ended.
        let _ = kill_process(id, Signal::TERM);
    }
    match timeout(STOP_WAIT, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            child.start_kill()?;
            child.wait().await
        }
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(SIGNAL_STATUS + status.signal()?)).unwrap_or(SIGNAL_STATUS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Attempt, Installed, Phase};
    use crate::request::{Kind, Permissions, Requirements};
    use crate::state::State;
    use crate::{Installer, Settings};
    use std::sync::Arc;

    fn installed(version: &str) -> Installed {
        Installed {
            version: version.parse().unwrap(),
            kind: Kind::Program,
            sha256: [1; 32],
            file_name: String::new(),
            package: None,
        }
    }

    fn in_trial() -> Journal {
        let attempt = Attempt {
            target: installed("2"),
            staged: None,
            unpacked_bytes: None,
            requirements: Requirements::default(),
            permissions: Permissions::default(),
            back_to: Some(installed("1")),
            phase: Phase::Checking,
            starts: 0,
            interruptions: 0,
            needed_bytes: 0,
            failed_returns: 0,
        };
        Journal { current: Some(installed("1")), attempt: Some(attempt), ..Journal::default() }
    }

    fn folder_with(journal: &Journal, disk: &crate::SimulatedDisk) {
        let name = PROGRAM_NAME.parse().unwrap();
        let folder = TargetFolder::new(disk, std::path::Path::new("/updates"), &name);
        for version in ["1", "2"] {
            disk.put(&folder.version(&version.parse().unwrap()).join(PROGRAM_NAME), b"program").unwrap();
        }
        folder.switch(Some(&"2".parse().unwrap())).unwrap();
        folder.save(journal).unwrap();
    }

    fn next_version(disk: &crate::SimulatedDisk) -> Option<String> {
        let name = PROGRAM_NAME.parse().unwrap();
        let folder = TargetFolder::new(disk, std::path::Path::new("/updates"), &name);
        prepare(disk, &folder, std::path::Path::new("/usr/bin/dt-swarm")).version.map(Into::into)
    }

    #[test]
    fn a_new_version_has_three_starts_and_then_the_old_one_runs() {
        let disk = crate::SimulatedDisk::default();
        folder_with(&in_trial(), &disk);
        let started: Vec<_> = (0..5).map(|_| next_version(&disk).unwrap()).collect();
        assert_eq!(started, ["2", "2", "2", "1", "1"]);
        let settings = Settings {
            running: Some(Running::Version("1".parse().unwrap())),
            ..Settings::in_folder("/updates")
        };
        let installer = Installer::open_on(settings, Arc::new(disk), Arc::new(crate::RealRunner)).unwrap();
        let name = PROGRAM_NAME.parse().unwrap();
        let mut health = || crate::Health::Good;
        let mut inputs =
            crate::Inputs { conditions: Conditions::default(), uptime: Duration::ZERO, health: &mut health };
        let progress = installer.advance(&name, &mut inputs).unwrap();
        assert!(matches!(progress.state, State::RolledBack { .. }), "{progress:?}");
        assert_eq!(installer.target(&name).unwrap().current.unwrap().as_str(), "1");
        assert_eq!(installer.advance(&name, &mut inputs).unwrap().next, crate::Next::Idle);
    }

    #[test]
    fn power_may_fail_at_any_moment_of_a_start() {
        for seed in 0..20 {
            for operation in 0.. {
                let disk = crate::SimulatedDisk::default();
                folder_with(&in_trial(), &disk);
                let mut started = 0;
                disk.cut_at(operation);
                while next_version(&disk).as_deref() != Some("1") && !disk.is_off() {
                    started += 1;
                }
                let was_cut = disk.is_off();
                disk.start_again(seed);
                while next_version(&disk).as_deref() == Some("2") {
                    started += 1;
                }
                assert_eq!(next_version(&disk).as_deref(), Some("1"));
                // A start that was interrupted may have been counted or not.
                assert!((2..=4).contains(&started), "{started} starts, operation {operation}, seed {seed}");
                if !was_cut {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_missing_program_leads_to_the_fallback() {
        let disk = crate::SimulatedDisk::default();
        let name = PROGRAM_NAME.parse().unwrap();
        let folder = TargetFolder::new(&disk, std::path::Path::new("/updates"), &name);
        let fallback = std::path::Path::new("/usr/bin/dt-swarm");
        assert_eq!(prepare(&disk, &folder, fallback), Start { program: fallback.into(), version: None });
    }
}
