//! A daemon that has nothing to do rests.

use std::thread;
use std::time::Duration;

use lab::daemon::Robot;
use lab::{Lab, Result, or_skip, wait_until};

/// How long the wake-ups of a daemon are counted.
const WINDOW: Duration = Duration::from_secs(5);
/// The most wake-ups of all threads of a daemon in that time: five a second, of which beacons need most.
const MOST: u64 = 25;
/// The most threads: one that waits for signals, two that work, one for timers of IPFS, one for the shared folder, and one
/// that may still be waiting for the disk.
const THREADS: usize = 6;
/// How long the daemons may take to come to rest.
const SOON: Duration = Duration::from_secs(40);

#[test]
fn robots_that_have_told_each_other_everything_rest() -> Result {
    let Some(lab) = or_skip("idle robots", Lab::new("rest")) else {
        return Ok(());
    };
    let start = |name: &str| Robot::start(&lab, name);
    let mut robots = [start("a")?, start("b")?, start("c")?];
    let mut seen = Vec::new();
    wait_until(SOON, "all robots at rest", || {
        seen = robots.iter_mut().map(wake_ups).collect::<Result<Vec<_>>>().ok()?;
        seen.iter().all(|(threads, wake_ups)| *threads <= THREADS && *wake_ups <= MOST).then_some(())
    })
    .inspect_err(|_| eprintln!("threads and wake-ups in {WINDOW:?}: {seen:?}"))
}

/// The threads of a daemon, and how often they woke in [`WINDOW`]. The passing of time is what is measured.
fn wake_ups(robot: &mut Robot) -> Result<(usize, u64)> {
    let process = robot.running()?;
    let (_, before) = process.threads_and_wake_ups()?;
    thread::sleep(WINDOW);
    let (threads, after) = process.threads_and_wake_ups()?;
    Ok((threads, after.saturating_sub(before)))
}
