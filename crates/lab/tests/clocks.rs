//! Robots whose clocks differ, and one that starts in 1970, share logs as fast as robots with equal clocks.

mod files;

use files::SOON;
use lab::daemon::Robot;
use lab::{FakeClock, Lab, Result, Unavailable, or_skip, wait_until};
use std::time::{Duration, Instant};

/// Number of robots in addition to the one in 1970.
const ROBOTS: usize = 10;
/// Time, and factor, by which one run may take longer than another on a busy machine.
const NOISE: (Duration, u32) = (Duration::from_secs(5), 2);

#[test]
fn clocks_spread_over_twenty_minutes_and_one_in_1970_cost_no_time() -> Result {
    let Some(clocks) = or_skip("clocks", skewed()) else { return Ok(()) };
    let Some(lab) = or_skip("clocks", Lab::new("clocks")) else { return Ok(()) };
    let equal = time_to_safe(&lab, "e", vec![None; ROBOTS + 1])?;
    let skewed = time_to_safe(&lab, "s", clocks.into_iter().map(Some).collect())?;
    println!(
        "a file of each of {} robots safe everywhere: after {:.1} s with equal clocks, after {:.1} s with clocks spread \
         over 20 min and one in 1970",
        ROBOTS + 1,
        equal.as_secs_f64(),
        skewed.as_secs_f64()
    );
    assert!(skewed < equal * NOISE.1 + NOISE.0, "{skewed:?}, with equal clocks {equal:?}");
    Ok(())
}

/// Returns the clocks of ten robots, spread evenly over twenty minutes, and of one that starts in 1970.
fn skewed() -> Result<Vec<FakeClock>, Unavailable> {
    let spread = (0..ROBOTS as i64).map(|place| FakeClock::ahead(1200 * place / (ROBOTS as i64 - 1) - 600));
    spread.chain([FakeClock::unset()]).collect()
}

/// Starts a robot with each clock and shares a file on each. Returns the time until each robot reports that all robots
/// hold all files. The robot in 1970 must report that its clock is wrong.
fn time_to_safe(lab: &Lab, prefix: &str, clocks: Vec<Option<FakeClock>>) -> Result<Duration> {
    let mut robots = Vec::new();
    for (number, clock) in clocks.iter().enumerate() {
        let mut robot =
            Robot::new(lab.host(&format!("{prefix}{number}"))?, EVERYWHERE)?.with_clock(clock.clone());
        robot.launch()?;
        robots.push(robot);
    }
    robots.iter_mut().try_for_each(Robot::wait_until_ready)?;
    let begun = Instant::now();
    for (number, robot) in robots.iter().enumerate() {
        robot.share(
            &format!("{number}.bag"),
            format!("the log of robot {number}\n").repeat(2000).as_bytes(),
        )?;
    }
    for robot in &robots {
        let name = robot.host().name();
        wait_until(SOON, &format!("all files safe at {name}"), || {
            all_are_safe(robot, clocks.len()).ok().filter(|all| *all)
        })?;
    }
    let taken = begun.elapsed();
    if let (Some(Some(_)), Some(last)) = (clocks.last(), robots.last_mut()) {
        let told = last.running()?.lines().iter().any(|line| line.contains("wrong: it shows 1970-01-01"));
        assert!(told, "the start message lacks the warning about the clock:\n{}", last.running()?.tail());
        let channels = last.cli(&["channels", "--json"])?;
        let troubles = channels["troubles"].as_array().cloned().unwrap_or_default();
        assert!(troubles.iter().any(|trouble| trouble["code"] == "clock.unset"), "{channels}");
    }
    Ok(taken)
}

/// Configuration of a robot that keeps every file, so that all robots fetch from each other.
const EVERYWHERE: &str = "[logs]\ncopies = 0\n";

/// Returns whether a robot reports `all` files, each of them held by all robots.
fn all_are_safe(robot: &Robot, all: usize) -> Result<bool> {
    let report = robot.cli(&["report", "--json"])?;
    let files = report["files"].as_array().cloned().unwrap_or_default();
    let safe = files.iter().filter(|file| {
        matches!(file["state"].as_str(), Some("kept" | "safe"))
            && file["holders"].as_array().is_some_and(|holders| holders.len() == all)
    });
    Ok(safe.count() == all)
}
