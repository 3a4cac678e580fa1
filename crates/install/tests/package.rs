//! A real Debian package, installed by dpkg into another root folder.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use install::{
    Conditions, Health, Inputs, Installer, Kind, Name, Next, PackageTools, Permissions, Request,
    Requirements, Settings, Staged, State,
};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Builds a package with one file. A package may have a script that fails after it was unpacked.
fn build(folder: &Path, version: &str, script: Option<&str>) -> PathBuf {
    let source = folder.join(format!("source-{version}"));
    fs::create_dir_all(source.join("DEBIAN")).unwrap();
    fs::create_dir_all(source.join("opt/robot")).unwrap();
    fs::write(source.join("opt/robot/version"), version).unwrap();
    let control = format!(
        "Package: robot-tools\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: test\n"
    );
    fs::write(source.join("DEBIAN/control"), control).unwrap();
    if let Some(script) = script {
        use std::os::unix::fs::PermissionsExt as _;
        let path = source.join("DEBIAN/postinst");
        fs::write(&path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let file = folder.join(format!("{version}.deb"));
    let mut command = Command::new("dpkg-deb");
    assert!(
        command
            .args(["--root-owner-group", "--build"])
            .arg(&source)
            .arg(&file)
            .output()
            .unwrap()
            .status
            .success()
    );
    file
}

fn request(file: &Path, version: &str) -> Request {
    let bytes = fs::read(file).unwrap();
    Request {
        name: "robot-tools".parse().unwrap(),
        version: version.parse().unwrap(),
        kind: Kind::Deb,
        staged: Staged {
            path: file.to_path_buf(),
            bytes: bytes.len() as u64,
            sha256: Sha256::digest(&bytes).into(),
        },
        file_name: format!("robot-tools_{version}_all.deb"),
        unpacked_bytes: None,
        requirements: Requirements::default(),
        permissions: Permissions::default(),
    }
}

fn install(installer: &Installer, request: &Request, health: &Health) -> State {
    installer.begin(request).unwrap();
    let mut uptime = Duration::ZERO;
    loop {
        let mut health = || health.clone();
        let mut inputs = Inputs { conditions: Conditions::default(), uptime, health: &mut health };
        let progress = installer.advance(&request.name, &mut inputs).unwrap();
        if progress.next == Next::Idle {
            return progress.state;
        }
        uptime += Duration::from_secs(20);
        assert!(uptime < Duration::from_secs(2000), "{progress:?}");
    }
}

#[test]
fn packages_are_installed_and_taken_back_by_dpkg() {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root || Command::new("dpkg-deb").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "this test needs dpkg and root");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let root = folder.join("root");
    fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
    fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let mut settings = Settings::in_folder(folder.join("updates"));
    let arguments = [format!("--root={}", root.display()), "--force-script-chrootless".to_owned()];
    settings.packages =
        PackageTools { arguments: arguments.map(Into::into).to_vec(), ..PackageTools::default() };
    settings.packages.dpkg_query = folder.join("dpkg-query");
    // dpkg-query has another name for the option.
    let query =
        format!("#!/bin/sh\nshift 2\nexec dpkg-query --admindir={}/var/lib/dpkg \"$@\"\n", root.display());
    fs::write(&settings.packages.dpkg_query, query).unwrap();
    let mut command = Command::new("chmod");
    assert!(command.arg("755").arg(&settings.packages.dpkg_query).status().unwrap().success());
    let installer = Installer::open(settings).unwrap();
    let installed = || fs::read_to_string(root.join("opt/robot/version")).ok();

    let first = request(&build(folder, "1.0", None), "1.0");
    let bad = Health::Bad("the motors do not turn".to_owned());
    assert!(matches!(install(&installer, &first, &bad), State::RolledBack { .. }));
    assert_eq!(installed(), None, "a package that was not there before is removed again");
    let again = Request { permissions: Permissions { retry: true, ..Permissions::default() }, ..first };
    assert_eq!(install(&installer, &again, &Health::Good), State::Done);
    assert_eq!(installed().as_deref(), Some("1.0"));
    let second = request(&build(folder, "1.1", None), "1.1");
    assert!(matches!(install(&installer, &second, &bad), State::RolledBack { .. }));
    assert_eq!(installed().as_deref(), Some("1.0"));
    let broken = request(&build(folder, "1.2", Some("#!/bin/sh\nexit 1\n")), "1.2");
    let state = install(&installer, &broken, &Health::Good);
    assert!(matches!(state, State::RolledBack { .. }), "{state:?}");
    assert_eq!(installed().as_deref(), Some("1.0"));
    let name: Name = "robot-tools".parse().unwrap();
    assert_eq!(installer.target(&name).unwrap().current.unwrap().as_str(), "1.0");
}
