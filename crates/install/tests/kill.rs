//! Test of kill -9 at random moments: a real process installs on a real disk, and is killed a hundred times.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use install::{
    Accepted, BeginError, Conditions, Health, Inputs, Installer, Kind, Name, Next, Permissions, Refusal,
    Request, Requirements, Settings, Staged, State,
};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Environment variable with the folder of the test. A process that has it installs until it is killed.
const FOLDER: &str = "INSTALL_KILL_TEST_FOLDER";
/// Environment variable with the version that this process installs.
const VERSION: &str = "INSTALL_KILL_TEST_VERSION";
const KILLS: u64 = 100;
/// Maximum time before a kill, so that the test ends soon on a slow disk.
const MAX_WAIT: Duration = Duration::from_millis(1500);
/// Files of each version, and the size of each.
const FILES: usize = 40;
const FILE_BYTES: usize = 20_000;

fn settings(folder: &Path) -> Settings {
    Settings {
        stable_for: Duration::from_millis(30),
        check_within: Duration::from_secs(60),
        ..Settings::in_folder(folder.join("updates"))
    }
}

fn name() -> Name {
    "workspace".parse().unwrap()
}

fn content(version: u64, file: usize) -> Vec<u8> {
    format!("{version} {file} ").repeat(FILE_BYTES / 8).into_bytes()
}

fn staged(folder: &Path, version: u64) -> PathBuf {
    folder.join(format!("{version}.tar"))
}

fn write_archive(folder: &Path, version: u64) {
    let mut builder = tar::Builder::new(Vec::new());
    for file in 0..FILES {
        let content = content(version, file);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("part/{}/{file}", file % 5), &content[..]).unwrap();
    }
    fs::write(staged(folder, version), builder.into_inner().unwrap()).unwrap();
}

fn request(folder: &Path, version: u64) -> Request {
    let path = staged(folder, version);
    let bytes = fs::read(&path).unwrap();
    Request {
        name: name(),
        version: version.to_string().parse().unwrap(),
        kind: Kind::Archive,
        staged: Staged { path, bytes: bytes.len() as u64, sha256: Sha256::digest(&bytes).into() },
        file_name: String::new(),
        unpacked_bytes: None,
        requirements: Requirements::default(),
        permissions: Permissions::default(),
    }
}

/// Every third version does harm.
fn health(version: u64) -> Health {
    if version.is_multiple_of(3) { Health::Bad("it does harm".to_owned()) } else { Health::Good }
}

/// Installs a version to its end, as a daemon does after each of its starts.
fn install(folder: &Path, version: u64) -> State {
    let installer = Installer::open(settings(folder)).unwrap();
    let began = Instant::now();
    // Another version may still have to end. This one may have failed in a process that was killed.
    let mut is_begun = false;
    loop {
        let running = installer.target(&name()).and_then(|target| target.attempt);
        let number = running.map_or(version, |running| running.as_str().parse().unwrap());
        let mut health = || health(number);
        let mut inputs =
            Inputs { conditions: Conditions::default(), uptime: began.elapsed(), health: &mut health };
        let progress = installer.advance(&name(), &mut inputs).unwrap();
        match progress.next {
            Next::Again => {}
            Next::Wait => std::thread::sleep(Duration::from_millis(5)),
            Next::Idle if is_begun => return progress.state,
            Next::Idle => {
                match installer.begin(&request(folder, version)) {
                    Ok(Accepted::Begun | Accepted::AlreadyBegun | Accepted::AlreadyInstalled)
                    | Err(BeginError::Refused(Refusal::FailedBefore { .. })) => {}
                    Err(error) => panic!("{error}"),
                }
                is_begun = true;
            }
            Next::Restart => panic!("only programs are started again"),
        }
    }
}

/// Installs. This is not a test: it does nothing unless the variable [`FOLDER`] is set.
#[test]
fn installing_process() {
    if let Ok(folder) = std::env::var(FOLDER) {
        let version = std::env::var(VERSION).unwrap().parse().unwrap();
        install(Path::new(&folder), version);
    }
}

fn start(folder: &Path, version: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "installing_process"])
        .env(FOLDER, folder)
        .env(VERSION, version.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Returns the version in use, after checking that it is complete.
fn version_in_use(folder: &Path) -> u64 {
    let current = folder.join("updates/workspace/current");
    let version = fs::read_link(&current).unwrap().to_str().unwrap().parse().unwrap();
    for file in 0..FILES {
        let found = fs::read(current.join(format!("part/{}/{file}", file % 5))).unwrap();
        assert_eq!(found, content(version, file), "file {file} of version {version}");
    }
    version
}

#[test]
fn a_process_that_is_killed_a_hundred_times_always_leaves_a_working_version() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_archive(folder, 1);
    let began = Instant::now();
    assert_eq!(install(folder, 1), State::Done);
    // So some installations end between the kills.
    let most = began.elapsed().mul_f64(2.5).min(MAX_WAIT);
    let most = u64::try_from(most.as_micros()).unwrap();
    let (mut version, mut random) = (2, 88_172_645_463_325_252_u64);
    write_archive(folder, version);
    let (mut killed, mut completed) = (0, 0);
    let mut used = std::collections::BTreeSet::new();
    while killed < KILLS {
        let mut child = start(folder, version);
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_micros(random % most));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            completed += 1;
            version += 1;
            write_archive(folder, version);
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        used.insert(version_in_use(folder));
    }
    let state = install(folder, version);
    let ended = matches!(state, State::Done | State::RolledBack { .. } | State::Refused { .. });
    assert!(ended, "{state:?}");
    used.insert(version_in_use(folder));
    println!(
        "{killed} kills, {completed} processes ended by themselves, {} versions were in use",
        used.len()
    );
    assert!(used.len() > 1, "no version was installed between the kills");
    let next = (version + 1..).find(|next| health(*next) == Health::Good).unwrap();
    write_archive(folder, next);
    assert_eq!(install(folder, next), State::Done);
    assert_eq!(version_in_use(folder), next);
}
