//! Tests of whole installations on a simulated disk.

mod flow;
mod power_cut;

use crate::*;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The folder of the targets on the simulated disk.
const FOLDER: &str = "/data/updates";

/// Runs no program, but remembers what was run, and answers as the test says.
#[derive(Default)]
struct FakeRunner {
    /// Exit statuses by the name of the program. All others succeed.
    codes: Mutex<BTreeMap<String, i32>>,
    ran: Mutex<Vec<String>>,
}

impl FakeRunner {
    fn answer(&self, program: &str, code: i32) {
        self.codes.lock().unwrap().insert(program.to_owned(), code);
    }

    /// Returns what was run since the last call.
    fn ran(&self) -> Vec<String> {
        std::mem::take(&mut self.ran.lock().unwrap())
    }
}

impl Runner for FakeRunner {
    fn run(&self, command: &Command) -> io::Result<Ended> {
        let program = command.program.file_name().unwrap().to_str().unwrap().to_owned();
        let words = command.arguments.iter().map(|argument| argument.to_str().unwrap());
        let event = command.environment.iter().find(|(key, _)| *key == "UPDATE_EVENT");
        let line: Vec<_> = [program.as_str()]
            .into_iter()
            .chain(event.map(|(_, event)| event.as_str()))
            .chain(words)
            .collect();
        self.ran.lock().unwrap().push(line.join(" "));
        let code = self.codes.lock().unwrap().get(&program).copied().unwrap_or(0);
        let output = if program == "dpkg-deb" { "robot-tools\n".to_owned() } else { String::new() };
        Ok(Ended { code: Some(code), signal: None, is_late: false, output })
    }
}

/// A robot on a simulated disk.
struct Robot {
    disk: SimulatedDisk,
    runner: Arc<FakeRunner>,
    settings: Settings,
    installer: Installer,
    uptime: Duration,
    conditions: Conditions,
    health: Health,
}

impl Robot {
    fn new() -> Self {
        let disk = SimulatedDisk::default();
        disk.put_folder(Path::new("/data")).unwrap();
        let runner = Arc::new(FakeRunner::default());
        let settings = Settings::in_folder(FOLDER);
        let installer = open(&settings, &disk, &runner).unwrap();
        let (uptime, conditions, health) = (Duration::ZERO, Conditions::default(), Health::Good);
        Self { disk, runner, settings, installer, uptime, conditions, health }
    }

    /// Starts the process again, as after a crash.
    fn restart(&mut self) -> Result<(), InstallError> {
        self.installer = open(&self.settings, &self.disk, &self.runner)?;
        Ok(())
    }

    fn advance(&mut self, name: &Name) -> Result<Progress, InstallError> {
        let mut health = || self.health.clone();
        let conditions = self.conditions.clone();
        let mut inputs = Inputs { conditions, uptime: self.uptime, health: &mut health };
        self.uptime += Duration::from_secs(10);
        self.installer.advance(name, &mut inputs)
    }

    /// Goes on until nothing more happens by itself.
    fn run(&mut self, name: &Name) -> Result<State, InstallError> {
        for _ in 0..500 {
            let progress = self.advance(name)?;
            let is_checking = matches!(progress.state, State::Checking { .. });
            if progress.next == Next::Idle || progress.next == Next::Wait && !is_checking {
                return Ok(progress.state);
            }
        }
        panic!("the installation has no end: {:?}", self.installer.target(name));
    }

    /// Returns the content of a file of the version in use.
    fn content(&self, name: &Name, file: &str) -> Option<String> {
        let content = self.disk.read(&self.installer.current_folder(name).join(file)).ok()?;
        Some(String::from_utf8(content).unwrap())
    }
}

fn open(
    settings: &Settings,
    disk: &SimulatedDisk,
    runner: &Arc<FakeRunner>,
) -> Result<Installer, InstallError> {
    let runner: Arc<dyn Runner> = Arc::<FakeRunner>::clone(runner);
    Installer::open_on(settings.clone(), Arc::new(disk.clone()), runner)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Puts the content on the disk, and returns a request to install it.
fn request(disk: &SimulatedDisk, kind: Kind, version: &str, content: &[u8]) -> Request {
    let path = PathBuf::from(format!("/staged/{version}"));
    disk.put(&path, content).unwrap();
    Request {
        name: name(if kind == Kind::Program { PROGRAM_NAME } else { "model" }),
        version: version.parse().unwrap(),
        kind,
        staged: Staged { path, bytes: content.len() as u64, sha256: Sha256::digest(content).into() },
        file_name: "weights.bin".to_owned(),
        unpacked_bytes: None,
        requirements: Requirements::default(),
        permissions: Permissions::default(),
    }
}

/// Returns an archive with some files of this version.
fn archive(version: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in ["dt-swarm", "bin/tool", "share/data/one", "share/data/two"] {
        let content = format!("{file} of {version}");
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, file, content.as_bytes()).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "share/latest", "data/two").unwrap();
    builder.into_inner().unwrap()
}
