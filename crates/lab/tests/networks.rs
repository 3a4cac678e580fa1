//! Networks that are connected only by one robot, and networks that break and heal.

mod files;

use files::{copy, sample, wait_until_safe};
use lab::daemon::Robot;
use lab::{Lab, Result, or_skip};

#[test]
fn a_robot_on_two_networks_carries_records_and_files_from_one_to_the_other() -> Result {
    let Some(lab) = or_skip("two networks", Lab::new("two")) else {
        return Ok(());
    };
    let far = lab.network("far")?;
    let mut middle = lab.host("middle")?;
    middle.attach(&far)?;
    let mut there = lab.lone_host("there")?;
    there.attach(&far)?;
    let here = Robot::start(&lab, "here")?;
    let (mut middle, mut there) = (Robot::new(middle, "")?, Robot::new(there, "")?);
    middle.restart()?;
    there.restart()?;
    here.share("log.bag", &sample()?)?;
    wait_until_safe(&[&here, &middle, &there], "log.bag", 3)?;
    assert!(copy(&there, "log.bag")? == sample()?);
    Ok(())
}

#[test]
fn a_robot_that_was_cut_off_catches_up_and_shares_its_own_files() -> Result {
    let Some(lab) = or_skip("partition", Lab::new("cut")) else {
        return Ok(());
    };
    let a = Robot::start(&lab, "a")?;
    let b = Robot::start(&lab, "b")?;
    a.share("before.bag", b"before")?;
    wait_until_safe(&[&a, &b], "before.bag", 2)?;
    b.host().disconnect()?;
    a.share("here.bag", b"made here meanwhile")?;
    b.share("there.bag", b"made there meanwhile")?;
    // Each file is known to its own robot before the networks meet again.
    for (robot, name) in [(&a, "here.bag"), (&b, "there.bag")] {
        let known = || robot.cli_text(&["report"]).ok().filter(|shown| shown.contains(name));
        lab::wait_until(files::SOON, &format!("{name} taken"), known)?;
    }
    b.host().reconnect()?;
    wait_until_safe(&[&a, &b], "here.bag", 2)?;
    wait_until_safe(&[&a, &b], "there.bag", 2)?;
    Ok(())
}
