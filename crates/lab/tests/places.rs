//! Slow fetches do not delay other fetches.

use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::{Lab, Result, or_skip};

const SOON: Duration = Duration::from_secs(60);
/// Maximum time until a small file of a fast robot is kept while slow files are being fetched.
const SMALL_FILE: Duration = Duration::from_secs(15);
/// Rate of the slow robots in bits per second: 40 kB per second.
const SLOW: u64 = 320_000;

fn content(bytes: usize, seed: usize) -> Vec<u8> {
    (0..bytes).map(|place| ((place * 31 + place / 251 * seed) % 253) as u8).collect()
}

#[test]
fn two_files_at_40_kb_a_second_do_not_keep_a_small_one_waiting() -> Result {
    let Some(lab) = or_skip("fetch slots", Lab::new("places")) else {
        return Ok(());
    };
    let mut taker = Robot::start(&lab, "taker")?;
    let mut slow = [
        Robot::start_on(lab.host("slow0")?, "[logs]\nkeep_others = false\n")?,
        Robot::start_on(lab.host("slow1")?, "[logs]\nkeep_others = false\n")?,
    ];
    let honest = Robot::start_on(lab.host("honest")?, "[logs]\nkeep_others = false\n")?;
    for (seed, robot) in slow.iter().enumerate() {
        robot.host().limit_rate(SLOW)?;
        robot.share(&format!("slow{seed}.bag"), &content(20_000_000, seed + 1))?;
    }
    for robot in &mut slow {
        let line = robot.running()?.wait_for_line(|line| line.contains("was taken into the swarm"), SOON)?;
        let cid =
            line.split_whitespace().find(|word| word.starts_with("cid=")).unwrap_or_default().to_owned();
        let is_begun = |line: &str| line.contains("fetching a shared file") && line.contains(&cid);
        taker.running()?.wait_for_line(is_begun, SOON)?;
    }
    let begun = Instant::now();
    honest.share("small.bag", &content(100_000, 9))?;
    taker.running()?.wait_for_line(|line| line.contains("was checked and is kept"), SMALL_FILE)?;
    println!("a small file is kept after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}
