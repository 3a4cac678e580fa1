//! Power cuts at each operation of an installation.

use super::*;

/// Seeds of what survives a cut, for each operation.
const SEEDS: u64 = 8;

/// The content that a version has, by file.
fn expected(kind: Kind, version: &str) -> Vec<(&'static str, String)> {
    match kind {
        Kind::File | Kind::Deb => vec![("weights.bin", content(version))],
        _ => ["dt-swarm", "bin/tool", "share/data/one", "share/data/two"]
            .map(|file| (file, format!("{file} of {version}")))
            .to_vec(),
    }
}

fn content(version: &str) -> String {
    format!("weights of {version} ").repeat(20_000)
}

fn staged(kind: Kind, version: &str) -> Vec<u8> {
    if kind == Kind::File { content(version).into_bytes() } else { archive(version) }
}

/// Asserts that the version in use is one of these, and complete. Returns it.
fn version_in_use(robot: &Robot, kind: Kind, versions: &[&'static str]) -> &'static str {
    let model = name("model");
    let is_whole = |version: &str| {
        expected(kind, version).iter().all(|(file, text)| robot.content(&model, file).as_ref() == Some(text))
    };
    let found: Vec<_> = versions.iter().filter(|version| is_whole(version)).collect();
    assert_eq!(found.len(), 1, "no version is complete: {:?}", robot.disk);
    found[0]
}

/// Returns a robot with the version 1 in use, and a request for version 2.
fn prepared(kind: Kind) -> (Robot, Request) {
    let mut robot = Robot::new();
    let first = request(&robot.disk, kind, "1", &staged(kind, "1"));
    robot.installer.begin(&first).unwrap();
    assert_eq!(robot.run(&first.name).unwrap(), State::Done);
    let second = request(&robot.disk, kind, "2", &staged(kind, "2"));
    (robot, second)
}

/// Installs as a caller does: begins unless it is known, and goes on to the end.
fn install(robot: &mut Robot, request: &Request) -> Result<State, InstallError> {
    let begun = robot.installer.begin(request);
    match begun {
        Err(BeginError::Install(error)) => return Err(error),
        Err(BeginError::Refused(Refusal::FailedBefore { .. })) | Ok(_) => {}
        Err(error) => panic!("{error}"),
    }
    robot.run(&request.name)
}

/// Cuts the power once at each operation. Returns the number of operations.
fn cut_everywhere(kind: Kind, health: &Health, wanted: &'static str) -> u64 {
    for operation in 0.. {
        let mut was_cut = false;
        for seed in 0..SEEDS {
            let (mut robot, request) = prepared(kind);
            robot.health = health.clone();
            robot.disk.cut_at(operation);
            let result = install(&mut robot, &request);
            was_cut = robot.disk.is_off();
            assert_eq!(result.is_err(), was_cut, "{result:?}");
            robot.disk.start_again(seed);
            version_in_use(&robot, kind, &["1", "2"]);
            robot.restart().unwrap();
            version_in_use(&robot, kind, &["1", "2"]);
            install(&mut robot, &request).unwrap();
            assert_eq!(
                version_in_use(&robot, kind, &["1", "2"]),
                wanted,
                "operation {operation}, seed {seed}"
            );
            let target = robot.installer.target(&request.name).unwrap();
            assert_eq!(target.current.unwrap().as_str(), wanted);
            assert_eq!(target.attempt, None);
        }
        if !was_cut {
            return operation;
        }
    }
    unreachable!("an installation has an end")
}

#[test]
fn a_file_survives_a_cut_at_each_operation() {
    let operations = cut_everywhere(Kind::File, &Health::Good, "2");
    println!("{operations} operations, {SEEDS} outcomes each");
    assert!(operations > 20, "{operations}");
}

#[test]
fn an_archive_survives_a_cut_at_each_operation() {
    let operations = cut_everywhere(Kind::Archive, &Health::Good, "2");
    println!("{operations} operations, {SEEDS} outcomes each");
    assert!(operations > 40, "{operations}");
}

#[test]
fn a_roll_back_survives_a_cut_at_each_operation() {
    let health = Health::Bad("bad".to_owned());
    for kind in [Kind::File, Kind::Archive] {
        let operations = cut_everywhere(kind, &health, "1");
        println!("{operations} operations, {SEEDS} outcomes each");
    }
}

#[test]
fn many_cuts_one_after_the_other_end_with_a_working_version() {
    for seed in 0..150_u64 {
        let kind = if seed % 2 == 0 { Kind::File } else { Kind::Archive };
        let (mut robot, request) = prepared(kind);
        robot.health = if seed % 5 == 0 { Health::Bad("bad".to_owned()) } else { Health::Good };
        for cut in 0..12 {
            robot.disk.cut_at((seed.wrapping_mul(2_654_435_761) >> (cut % 16)) % 45);
            // An error is expected: the power may fail in any of these.
            let _ = robot.restart().and_then(|()| install(&mut robot, &request));
            robot.disk.start_again(seed * 31 + cut);
            version_in_use(&robot, kind, &["1", "2"]);
        }
        robot.restart().unwrap();
        install(&mut robot, &request).unwrap();
        let target = robot.installer.target(&request.name).unwrap();
        assert_eq!(target.attempt, None, "{target:?}");
        let current = version_in_use(&robot, kind, &["1", "2"]);
        assert_eq!(target.current.unwrap().as_str(), current);
        assert!(current == "1" || robot.health == Health::Good);
    }
}
