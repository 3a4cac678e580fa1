//! The main job from end to end: a robot's log reaches the other robots.
//!
//! The test generates the file; with `DT_SWARM_SAMPLE=FILE` it shares a real one instead.

mod files;

use files::{copy, sample, wait_until_safe};
use lab::daemon::Robot;
use lab::{Lab, Result, or_skip};
use std::time::Instant;

#[test]
fn a_log_reaches_three_robots_and_a_newcomer_after_its_owner_died() -> Result {
    let Some(lab) = or_skip("first swarm", Lab::new("first")) else {
        return Ok(());
    };
    let mut a = Robot::start(&lab, "a")?;
    let b = Robot::start(&lab, "b")?;
    let c = Robot::start(&lab, "c")?;
    let content = sample()?;
    let begun = Instant::now();
    a.share("example.bag", &content)?;
    let entries = wait_until_safe(&[&b, &c], "example.bag", 3)?;
    println!("safe on b and c, with three holders, after {:.1} s", begun.elapsed().as_secs_f64());
    let entry = &entries[1];
    assert_eq!(entry["bytes"], content.len());
    assert_eq!(entry["uploader"]["hostname"], "a");
    let mut holders: Vec<&str> = entry["holders"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|holder| holder["hostname"].as_str())
        .collect();
    holders.sort_unstable();
    assert_eq!(holders, ["a", "b", "c"]);
    assert!(copy(&b, "example.bag")? == content, "b's copy differs from the original");
    assert!(copy(&c, "example.bag")? == content, "c's copy differs from the original");

    a.kill9()?;
    // There are three copies already, so only a robot that wants one everywhere makes a fourth.
    let d = Robot::start_on(lab.host("d")?, "[logs]\ncopies = 0\n")?;
    wait_until_safe(&[&d], "example.bag", 4)?;
    assert!(copy(&d, "example.bag")? == content, "the newcomer's copy differs from the original");
    Ok(())
}
