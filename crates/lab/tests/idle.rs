//! A daemon without work sleeps.

use std::thread;
use std::time::Duration;

use diagnostics::LOOK_EVERY;

use lab::daemon::Robot;
use lab::{Lab, Result, or_skip, wait_until};

/// Time during which the wake-ups of a daemon are counted.
const WINDOW: Duration = Duration::from_secs(5);
/// Maximum number of wake-ups of all threads in that time that beacons and other timers cause: five per second.
const BEACONS: u64 = 25;
/// Maximum number of wake-ups that a look at the health of the robot causes. A worker starts it and takes its result. A
/// thread for the disk makes it. A sample also asks the main thread for the time.
const PER_LOOK: u64 = 6;
/// Maximum number of wake-ups of all threads in the window, in which the health is looked at twice at most.
const MOST: u64 = BEACONS + PER_LOOK * WINDOW.as_millis().div_ceil(LOOK_EVERY.as_millis()) as u64;
/// Maximum number of threads: one for signals, two workers, one for timers of IPFS, one for the shared folder, and one
/// that may still wait for the disk.
const THREADS: usize = 6;
/// Maximum time until the daemons are idle. For half a minute after they meet, they find out which casts reach each other.
const SOON: Duration = Duration::from_secs(90);

#[test]
fn robots_that_have_exchanged_everything_sleep() -> Result {
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

/// Returns the number of a daemon's threads, and how often they woke in [`WINDOW`]. The passing of time is measured
/// here, so the sleep does not wait for an event.
fn wake_ups(robot: &mut Robot) -> Result<(usize, u64)> {
    let process = robot.running()?;
    let (_, before) = process.threads_and_wake_ups()?;
    thread::sleep(WINDOW);
    let (threads, after) = process.threads_and_wake_ups()?;
    Ok((threads, after.saturating_sub(before)))
}
