//! Updates of dt-swarm itself: the real starter, and programs that work, crash, hang, or lose the network.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use install::{
    BeginError, Conditions, Health, Inputs, Installer, Kind, Name, Next, PROGRAM_NAME, Permissions, Request,
    Requirements, Running, Settings, Staged, State, Target, starter,
};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Environment variable with the folder of the test. A process that has it is a daemon that updates itself.
const FOLDER: &str = "INSTALL_PROGRAM_TEST_FOLDER";
/// Environment variable with the path of this test, which the programs start.
const TEST: &str = "INSTALL_PROGRAM_TEST";
/// Environment variable that tells whether the daemon hears other peers.
const NETWORK: &str = "INSTALL_PROGRAM_TEST_NETWORK";

/// Programs of the test. Each is a script, so that it can be in an archive.
const WORKS: &str = "exec \"$INSTALL_PROGRAM_TEST\" --exact daemon_process --nocapture";
const CRASHES: &str = "exit 1";
const HANGS: &str = "exec sleep 1000";
const LOSES_NETWORK: &str =
    "INSTALL_PROGRAM_TEST_NETWORK=lost exec \"$INSTALL_PROGRAM_TEST\" --exact daemon_process --nocapture";

fn script(body: &str) -> String {
    format!("#!/bin/sh\n[ \"$1\" = --version ] && exit 0\n{body}\n")
}

fn settings(folder: &Path) -> Settings {
    Settings {
        program_stable_for: Duration::from_millis(300),
        check_within: Duration::from_secs(5),
        running: starter::running(),
        ..Settings::in_folder(folder.join("updates"))
    }
}

/// Replaces a file, so that a reader sees it whole.
fn replace(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

/// A small daemon: carries out the request in its folder, and tells its state. This is not a test: it does nothing unless
/// the variable [`FOLDER`] is set.
#[test]
fn daemon_process() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let has_network = std::env::var_os(NETWORK).is_none();
    let installer = Installer::open(settings(&folder)).unwrap();
    let name: Name = PROGRAM_NAME.parse().unwrap();
    let began = Instant::now();
    loop {
        let mut health = || {
            if has_network { Health::Good } else { Health::Bad("no peer is heard any more".to_owned()) }
        };
        let mut inputs =
            Inputs { conditions: Conditions::default(), uptime: began.elapsed(), health: &mut health };
        let progress = installer.advance(&name, &mut inputs).unwrap();
        let running = match starter::running().unwrap() {
            Running::Fallback => "fallback".to_owned(),
            Running::Version(version) => version.to_string(),
        };
        let status = (running, installer.target(&name));
        replace(&folder.join("status"), &serde_json::to_vec(&status).unwrap());
        match progress.next {
            Next::Again => continue,
            Next::Restart => std::process::exit(i32::from(starter::RESTART_STATUS)),
            Next::Idle => begin(&installer, &folder),
            Next::Wait => {}
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn begin(installer: &Installer, folder: &Path) {
    if let Ok(request) = fs::read(folder.join("request")) {
        match installer.begin(&serde_json::from_slice(&request).unwrap()) {
            Ok(_) | Err(BeginError::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn publish(folder: &Path, version: &str, body: &str) {
    let program = script(body);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    builder.append_data(&mut header, PROGRAM_NAME, program.as_bytes()).unwrap();
    let bytes = builder.into_inner().unwrap();
    let path = folder.join(format!("{version}.tar"));
    fs::write(&path, &bytes).unwrap();
    let request = Request {
        name: PROGRAM_NAME.parse().unwrap(),
        version: version.parse().unwrap(),
        kind: Kind::Program,
        staged: Staged { path, bytes: bytes.len() as u64, sha256: Sha256::digest(&bytes).into() },
        file_name: String::new(),
        unpacked_bytes: None,
        requirements: Requirements::default(),
        permissions: Permissions::default(),
    };
    replace(&folder.join("request"), &serde_json::to_vec(&request).unwrap());
}

/// Waits until a version runs and its state fits. Returns the state.
fn wait(folder: &Path, running: &str, fits: impl Fn(&State) -> bool) -> State {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let status = fs::read(folder.join("status")).unwrap_or_default();
        if let Ok((version, Some(target))) = serde_json::from_slice::<(String, Option<Target>)>(&status)
            && version == running
            && fits(&target.state)
        {
            return target.state;
        }
        let status = String::from_utf8_lossy(&status).into_owned();
        assert!(Instant::now() < deadline, "version {running} does not run as it should: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn start(folder: &Path) -> Child {
    use std::os::unix::fs::PermissionsExt as _;
    let fallback = folder.join("fallback");
    fs::write(&fallback, script(WORKS)).unwrap();
    fs::set_permissions(&fallback, fs::Permissions::from_mode(0o755)).unwrap();
    Command::new(env!("CARGO_BIN_EXE_dt-swarm-start"))
        .arg("--folder")
        .arg(folder.join("updates"))
        .arg("--fallback")
        .arg(&fallback)
        .args(["--confirm-within", "6", "--", "run"])
        .env(FOLDER, folder)
        .env(TEST, std::env::current_exe().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Ends the starter when the test ends, also by a panic.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

#[test]
fn dt_swarm_updates_itself_and_returns_from_versions_that_do_not_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let _starter = Ending(start(folder));
    let rolled_back = |failed: &'static str| move |state: &State| matches!(state, State::RolledBack { version, .. } if version.as_str() == failed);
    // The first version that is installed crashes, so the way back leads to the program of the system.
    publish(folder, "1", CRASHES);
    println!("{:?}", wait(folder, "fallback", rolled_back("1")));
    publish(folder, "2", WORKS);
    assert_eq!(wait(folder, "2", |state| *state == State::Done), State::Done);
    publish(folder, "3", CRASHES);
    println!("{:?}", wait(folder, "2", rolled_back("3")));
    publish(folder, "4", HANGS);
    println!("{:?}", wait(folder, "2", rolled_back("4")));
    publish(folder, "5", LOSES_NETWORK);
    println!("{:?}", wait(folder, "2", rolled_back("5")));
    publish(folder, "6", WORKS);
    assert_eq!(wait(folder, "6", |state| *state == State::Done), State::Done);
}
