//! The course of installations without power cuts.

use super::*;

#[test]
fn a_file_is_installed_and_the_version_before_is_kept() {
    let mut robot = Robot::new();
    let model = name("model");
    for (version, content) in [("1", "one"), ("2", "two"), ("3", "three")] {
        let request = request(&robot.disk, Kind::File, version, content.as_bytes());
        assert_eq!(robot.installer.begin(&request).unwrap(), Accepted::Begun);
        assert_eq!(robot.installer.begin(&request).unwrap(), Accepted::AlreadyBegun);
        assert_eq!(robot.run(&model).unwrap(), State::Done);
        assert_eq!(robot.content(&model, "weights.bin").unwrap(), content);
        assert_eq!(robot.installer.begin(&request).unwrap(), Accepted::AlreadyInstalled);
    }
    let target = robot.installer.target(&model).unwrap();
    assert_eq!(target.current.unwrap().as_str(), "3");
    assert_eq!(target.previous.unwrap().as_str(), "2");
    let kept =
        |version: &str| robot.disk.read(Path::new(&format!("{FOLDER}/model/{version}/weights.bin"))).is_ok();
    assert_eq!(["1", "2", "3"].map(kept), [false, true, true]);
    robot.restart().unwrap();
    assert_eq!(robot.installer.target(&model).unwrap().state, State::Done);
    assert_eq!(robot.installer.list().len(), 1);
}

#[test]
fn a_version_that_does_harm_is_rolled_back_and_not_tried_again() {
    let mut robot = Robot::new();
    let model = name("model");
    robot.installer.begin(&request(&robot.disk, Kind::Archive, "1", &archive("1"))).unwrap();
    assert_eq!(robot.run(&model).unwrap(), State::Done);
    let second = request(&robot.disk, Kind::Archive, "2", &archive("2"));
    robot.installer.begin(&second).unwrap();
    robot.health = Health::Bad("the camera is gone".to_owned());
    let state = robot.run(&model).unwrap();
    let reason = Failure::Health { reason: "the camera is gone".to_owned() };
    assert_eq!(state, State::RolledBack { version: second.version.clone(), reason: reason.clone() });
    assert_eq!(robot.content(&model, "share/latest").unwrap(), "share/data/two of 1");
    robot.health = Health::Good;
    robot.restart().unwrap();
    let refused = robot.installer.begin(&second).unwrap_err();
    assert!(
        matches!(refused, BeginError::Refused(Refusal::FailedBefore { reason: known }) if known == reason)
    );
    let again = Request { permissions: Permissions { retry: true, ..Permissions::default() }, ..second };
    robot.installer.begin(&again).unwrap();
    assert_eq!(robot.run(&model).unwrap(), State::Done);
    assert_eq!(robot.content(&model, "bin/tool").unwrap(), "bin/tool of 2");
    assert!(robot.installer.target(&model).unwrap().failed.is_empty());
}

#[test]
fn a_first_version_that_fails_leaves_nothing_in_use() {
    let mut robot = Robot::new();
    let model = name("model");
    robot.installer.begin(&request(&robot.disk, Kind::File, "1", b"one")).unwrap();
    robot.health = Health::Bad("bad".to_owned());
    assert!(matches!(robot.run(&model).unwrap(), State::RolledBack { .. }));
    assert_eq!(robot.content(&model, "weights.bin"), None);
    assert_eq!(robot.installer.target(&model).unwrap().current, None);
}

#[test]
fn health_must_be_good_for_a_while_and_in_time() {
    let mut robot = Robot::new();
    let model = name("model");
    robot.health = Health::Unknown;
    robot.installer.begin(&request(&robot.disk, Kind::File, "1", b"one")).unwrap();
    for second in 0..50 {
        let state = robot.advance(&model).unwrap().state;
        assert!(second < 6 || matches!(state, State::Checking { .. }), "{state:?}");
    }
    let state = robot.run(&model).unwrap();
    assert!(matches!(state, State::RolledBack { reason: Failure::NoHealthInTime, .. }), "{state:?}");
}

#[test]
fn a_repeated_request_does_not_delay_the_check() {
    let mut robot = Robot::new();
    let model = name("model");
    let first = request(&robot.disk, Kind::File, "1", b"one");
    for _ in 0..20 {
        robot.installer.begin(&first).unwrap();
        robot.advance(&model).unwrap();
    }
    assert_eq!(robot.installer.target(&model).unwrap().state, State::Done);
}

#[test]
fn a_downgrade_needs_permission() {
    let mut robot = Robot::new();
    let model = name("model");
    robot.installer.begin(&request(&robot.disk, Kind::File, "2", b"two")).unwrap();
    robot.run(&model).unwrap();
    let older = request(&robot.disk, Kind::File, "1", b"one");
    let refused = robot.installer.begin(&older).unwrap_err();
    assert!(matches!(refused, BeginError::Refused(Refusal::Downgrade { .. })), "{refused}");
    let permitted =
        Request { permissions: Permissions { downgrade: true, ..Permissions::default() }, ..older };
    robot.installer.begin(&permitted).unwrap();
    assert_eq!(robot.run(&model).unwrap(), State::Done);
    assert_eq!(robot.content(&model, "weights.bin").unwrap(), "one");
    let other = request(&robot.disk, Kind::File, "1", b"other");
    assert!(matches!(robot.installer.begin(&other), Err(BeginError::Refused(Refusal::OtherContent))));
    let other = request(&robot.disk, Kind::Archive, "4", b"other");
    assert!(matches!(robot.installer.begin(&other), Err(BeginError::Refused(Refusal::OtherKind))));
}

#[test]
fn a_robot_waits_for_its_conditions_and_for_a_lost_file() {
    let mut robot = Robot::new();
    let model = name("model");
    let mut wanted = request(&robot.disk, Kind::File, "1", b"one");
    wanted.requirements.not_driving = true;
    robot.installer.begin(&wanted).unwrap();
    assert_eq!(robot.run(&model).unwrap(), State::Waiting { reason: Waiting::Driving });
    assert_eq!(robot.installer.target(&model).unwrap().state, State::Waiting { reason: Waiting::Driving });
    robot.conditions.driving = Some(false);
    robot.disk.put(&wanted.staged.path, b"eno").unwrap();
    assert_eq!(robot.run(&model).unwrap(), State::Waiting { reason: Waiting::StagedFile });
    robot.disk.put(&wanted.staged.path, b"one").unwrap();
    assert_eq!(robot.installer.begin(&wanted).unwrap(), Accepted::AlreadyBegun);
    assert_eq!(robot.run(&model).unwrap(), State::Done);
}

#[test]
fn a_damaged_archive_is_refused_only_if_the_release_is_at_fault() {
    let mut robot = Robot::new();
    let model = name("model");
    let broken = request(&robot.disk, Kind::Archive, "1", &[7; 600]);
    robot.installer.begin(&broken).unwrap();
    let state = robot.run(&model).unwrap();
    assert!(matches!(state, State::Refused { reason: Failure::Content { .. }, .. }), "{state:?}");
    let mut content = archive("2");
    let good = request(&robot.disk, Kind::Archive, "2", &content);
    content[600] ^= 1;
    robot.disk.put(&good.staged.path, &content).unwrap();
    robot.installer.begin(&good).unwrap();
    assert_eq!(robot.run(&model).unwrap(), State::Waiting { reason: Waiting::StagedFile });
    assert!(robot.installer.abort(&model).unwrap());
    assert_eq!(robot.installer.target(&model).unwrap().state, State::Aborted { version: good.version });
}

#[test]
fn hooks_run_before_and_after_and_can_stop_an_installation() {
    let mut robot = Robot::new();
    let model = name("model");
    for hook in ["before/10-stop", "before/20-save", "after/10-start"] {
        robot.disk.put(&Path::new(FOLDER).join("hooks").join(hook), b"").unwrap();
    }
    robot.restart().unwrap();
    robot.installer.begin(&request(&robot.disk, Kind::File, "1", b"one")).unwrap();
    assert_eq!(robot.run(&model).unwrap(), State::Done);
    assert_eq!(robot.runner.ran(), ["10-stop before", "20-save before", "10-start after"]);

    robot.runner.answer("10-start", 1);
    robot.installer.begin(&request(&robot.disk, Kind::File, "2", b"two")).unwrap();
    let state = robot.run(&model).unwrap();
    assert!(matches!(state, State::RolledBack { reason: Failure::Hook { .. }, .. }), "{state:?}");
    assert_eq!(robot.content(&model, "weights.bin").unwrap(), "one");
    assert_eq!(robot.runner.ran().last().unwrap(), "10-start rolled-back");

    robot.runner.answer("10-stop", 75);
    robot.installer.begin(&request(&robot.disk, Kind::File, "3", b"three")).unwrap();
    let waiting = State::Waiting { reason: Waiting::Hook { hook: "10-stop".to_owned() } };
    assert_eq!(robot.run(&model).unwrap(), waiting);
    robot.runner.answer("10-stop", 2);
    let state = robot.run(&model).unwrap();
    assert!(matches!(state, State::Refused { reason: Failure::Hook { .. }, .. }), "{state:?}");
    assert_eq!(robot.content(&model, "weights.bin").unwrap(), "one");
}

#[test]
fn an_executable_can_check_the_health() {
    let mut robot = Robot::new();
    let model = name("model");
    robot.settings.check = Some("/usr/lib/robot/check".into());
    robot.restart().unwrap();
    robot.installer.begin(&request(&robot.disk, Kind::File, "1", b"one")).unwrap();
    assert_eq!(robot.run(&model).unwrap(), State::Done);
    assert!(robot.runner.ran().contains(&"check check".to_owned()));
    robot.runner.answer("check", 1);
    robot.installer.begin(&request(&robot.disk, Kind::File, "2", b"two")).unwrap();
    let state = robot.run(&model).unwrap();
    assert!(matches!(state, State::RolledBack { reason: Failure::Health { .. }, .. }), "{state:?}");
}

#[test]
fn packages_go_forward_and_back() {
    let mut robot = Robot::new();
    let tools = name("model");
    // The package is installed, but this crate has no file of it.
    let first = request(&robot.disk, Kind::Deb, "1", b"package one");
    robot.installer.begin(&first).unwrap();
    let state = robot.run(&tools).unwrap();
    assert!(matches!(state, State::Refused { reason: Failure::NoWayBack { .. }, .. }), "{state:?}");
    let permissions = Permissions { no_way_back: true, retry: true, downgrade: false };
    robot.installer.begin(&Request { permissions, ..first }).unwrap();
    assert_eq!(robot.run(&tools).unwrap(), State::Done);
    robot.runner.ran();
    robot.health = Health::Bad("bad".to_owned());
    robot.installer.begin(&request(&robot.disk, Kind::Deb, "2", b"package two")).unwrap();
    assert!(matches!(robot.run(&tools).unwrap(), State::RolledBack { .. }));
    let installs: Vec<_> = robot.runner.ran().into_iter().filter(|line| line.contains("--install")).collect();
    assert!(installs[0].ends_with("/model/2/weights.bin") && installs[1].ends_with("/model/1/weights.bin"));
    robot.runner.answer("dpkg", 1);
    robot.installer.begin(&request(&robot.disk, Kind::Deb, "3", b"package three")).unwrap();
    let state = robot.run(&tools).unwrap();
    assert!(matches!(state, State::Broken { reason: Failure::Package { .. }, .. }), "{state:?}");
}

#[test]
fn a_person_can_return_to_the_version_before() {
    let mut robot = Robot::new();
    let model = name("model");
    for version in ["1", "2"] {
        robot.installer.begin(&request(&robot.disk, Kind::File, version, version.as_bytes())).unwrap();
        robot.run(&model).unwrap();
    }
    robot.installer.roll_back(&model, "the students prefer it").unwrap();
    assert!(matches!(robot.run(&model).unwrap(), State::RolledBack { reason: Failure::Order { .. }, .. }));
    assert_eq!(robot.content(&model, "weights.bin").unwrap(), "1");
    let error = robot.installer.roll_back(&model, "again").unwrap_err();
    assert!(matches!(error, RollBackError::NothingKept { .. }), "{error}");
    // It is not installed again by itself.
    let second = request(&robot.disk, Kind::File, "2", b"2");
    assert!(robot.installer.begin(&second).is_err());
}

#[test]
fn a_program_is_confirmed_only_by_the_version_that_runs() {
    let mut robot = Robot::new();
    let program = name(PROGRAM_NAME);
    let first = request(&robot.disk, Kind::Program, "2", &archive("2"));
    assert!(matches!(robot.installer.begin(&first), Err(BeginError::Refused(Refusal::NoStarter))));
    robot.settings.running = Some(Running::Fallback);
    robot.restart().unwrap();
    robot.installer.begin(&first).unwrap();
    let mut next = Next::Again;
    while next == Next::Again {
        next = robot.advance(&program).unwrap().next;
    }
    assert_eq!(next, Next::Restart);
    assert_eq!(robot.advance(&program).unwrap().next, Next::Restart, "the old version confirms nothing");
    robot.settings.running = Some(Running::Version("2".parse().unwrap()));
    robot.restart().unwrap();
    assert_eq!(robot.run(&program).unwrap(), State::Done);
    robot.installer.begin(&request(&robot.disk, Kind::Program, "3", &archive("3"))).unwrap();
    while robot.advance(&program).unwrap().next == Next::Again {}
    robot.settings.running = Some(Running::Version("3".parse().unwrap()));
    robot.restart().unwrap();
    robot.health = Health::Bad("no peer is heard any more".to_owned());
    while robot.advance(&program).unwrap().next == Next::Again {}
    assert_eq!(robot.advance(&program).unwrap().next, Next::Restart);
    assert_eq!(robot.content(&program, "dt-swarm").unwrap(), "dt-swarm of 2");
}

#[test]
fn a_program_for_another_computer_is_refused_before_the_switch() {
    let mut robot = Robot::new();
    robot.settings.running = Some(Running::Fallback);
    robot.runner.answer("dt-swarm", 126);
    robot.restart().unwrap();
    robot.installer.begin(&request(&robot.disk, Kind::Program, "2", &archive("2"))).unwrap();
    let state = robot.run(&name(PROGRAM_NAME)).unwrap();
    assert!(matches!(state, State::Refused { reason: Failure::Content { .. }, .. }), "{state:?}");
}

#[test]
fn a_crash_in_each_start_of_a_check_leads_back() {
    let mut robot = Robot::new();
    let model = name("model");
    robot.installer.begin(&request(&robot.disk, Kind::File, "1", b"one")).unwrap();
    robot.health = Health::Unknown;
    for _ in 0..10 {
        robot.advance(&model).unwrap();
    }
    for starts in 1..=3 {
        robot.restart().unwrap();
        assert_eq!(robot.installer.target(&model).unwrap().state, State::Checking { starts });
    }
    robot.restart().unwrap();
    let state = robot.run(&model).unwrap();
    assert!(matches!(state, State::RolledBack { reason: Failure::Starts { starts: 3 }, .. }), "{state:?}");
}

#[test]
fn a_damaged_journal_keeps_the_version_in_use() {
    let mut robot = Robot::new();
    let model = name("model");
    robot.installer.begin(&request(&robot.disk, Kind::File, "1", b"one")).unwrap();
    robot.run(&model).unwrap();
    robot.disk.put(&Path::new(FOLDER).join("model/journal"), b"damaged").unwrap();
    robot.restart().unwrap();
    assert_eq!(robot.content(&model, "weights.bin").unwrap(), "one");
    robot.installer.begin(&request(&robot.disk, Kind::File, "2", b"two")).unwrap();
    robot.health = Health::Bad("bad".to_owned());
    assert!(matches!(robot.run(&model).unwrap(), State::RolledBack { .. }));
    assert_eq!(robot.content(&model, "weights.bin").unwrap(), "one");
}
