//! Downloads that continue after interruptions, use every peer that has the file, and keep to their limits.
//!
//! The experiments in full size: `cargo run --release -p lab -- crashes` and `... limits`.

mod files;
mod options;

use std::path::PathBuf;

use files::SOON;
use lab::daemon::Robot;
use lab::experiments::{Crashes, LimitsHeld, crashes, limits_held};
use lab::{Error, Lab, Result, or_skip, wait_until};
use options::options;
use serde_json::Value;

/// A robot that fetches nothing by itself, so that only requested files are transferred.
const TAKER: &str = "keep_others = false\nsettle_seconds = 0\n";

fn robot(lab: &Lab, name: &str, configuration: &str) -> Result<Robot> {
    Robot::start_on(lab.host(name)?, configuration)
}

fn noise(bytes: u32) -> Vec<u8> {
    (0..bytes / 4)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).rotate_left(7).to_le_bytes())
        .collect()
}

fn wait_until_known(robot: &Robot, name: &str) -> Result {
    let known = || robot.cli_text(&["report"]).ok().filter(|shown| shown.contains(name));
    wait_until(SOON, &format!("{name} is known"), known).map(drop)
}

/// Returns the downloads that a robot reports.
fn transfers(robot: &Robot) -> Result<Vec<Value>> {
    let all = robot.cli(&["transfers", "--json"])?;
    Ok(all["transfers"].as_array().cloned().unwrap_or_default())
}

fn wait_for_transfer(robot: &Robot, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_until(SOON, what, || transfers(robot).ok()?.into_iter().find(|transfer| is_it(transfer)))
}

fn path(robot: &Robot, name: &str) -> (PathBuf, String) {
    let path = robot.host().folder().join(name);
    let text = path.to_string_lossy().into_owned();
    (path, text)
}

#[test]
fn a_download_waits_for_a_holder_and_survives_restarts_and_ctrl_c() -> Result {
    let Some(lab) = or_skip("downloads", Lab::new("downloads")) else {
        return Ok(());
    };
    let mut seeder = robot(&lab, "seeder", "settle_seconds = 0\n")?;
    let mut fetcher = robot(&lab, "fetcher", TAKER)?;
    let content = noise(20_000_000);
    seeder.share("run.bag", &content)?;
    wait_until_known(&fetcher, "run.bag")?;
    seeder.kill9()?;

    // No running robot has the file now. A user who waits for it may interrupt the CLI without ending the download.
    let (copy, text) = path(&fetcher, "copy.bag");
    let waiting = fetcher.host().spawn("get", fetcher.cli_command(&["get", "run.bag", "-o", &text]))?;
    waiting.wait_for_line(|line| line.contains("waiting: "), SOON)?;
    let mut interrupt = fetcher.host().command("sh");
    interrupt.args(["-c", &format!("kill -INT {}", waiting.pid())]);
    fetcher.host().run(interrupt, SOON)?.success("kill -INT")?;
    let said = waiting.wait_for_line(|line| line.contains("goes on in the background"), SOON)?;
    println!("{}", said.trim());
    let shown = wait_for_transfer(&fetcher, "the download waits", |transfer| transfer["state"] == "waiting")?;
    println!("{}: {}", shown["name"], shown["reason"]);

    fetcher.kill9()?;
    fetcher.restart()?;
    fetcher.cli(&["limit", "--lan-down", "4MB", "--json"])?;
    seeder.restart()?;
    let coming =
        |transfer: &Value| transfer["state"] == "fetching" && transfer["bytes_per_second"].as_u64() > Some(0);
    let shown = wait_for_transfer(&fetcher, "the download continues", coming)?;
    assert_eq!(shown["sources"].as_array().map(Vec::len), Some(1), "{shown}");
    fetcher.kill9()?;
    fetcher.restart()?;
    wait_until(SOON, "the file is written", || copy.exists().then_some(()))?;
    assert!(files::read(&copy)? == content);
    wait_for_transfer(&fetcher, "the download is done", |transfer| transfer["state"] == "done")?;
    // A second request for the file finds the blocks that are stored here.
    seeder.kill9()?;
    let (again, text) = path(&fetcher, "again.bag");
    let got = fetcher.cli(&["get", "run.bag", "-o", &text, "--json"])?;
    assert_eq!((got["bytes"].as_u64(), files::read(&again)? == content), (Some(20_000_000), true));
    Ok(())
}

#[test]
fn the_cli_reads_a_file_that_the_daemon_cannot_write() -> Result {
    let Some(lab) = or_skip("collecting", Lab::new("collect")) else {
        return Ok(());
    };
    let seeder = robot(&lab, "seeder", "settle_seconds = 0\n")?;
    let fetcher = robot(&lab, "fetcher", TAKER)?;
    let content = noise(3_000_000);
    seeder.share("run.bag", &content)?;
    wait_until_known(&fetcher, "run.bag")?;
    let (folder, _) = path(&fetcher, "there");
    std::fs::create_dir_all(&folder).map_err(|source| Error::Io { what: "a folder".to_owned(), source })?;
    let (kept, _) = path(&fetcher, "kept.bag");
    // The CLI sees another mount at this folder than the daemon does.
    let get = fetcher.cli_command(&["get", "run.bag", "-o", &folder.join("a").to_string_lossy()]);
    let parts: Vec<String> = std::iter::once(get.get_program())
        .chain(get.get_args())
        .skip_while(|part| !part.to_string_lossy().ends_with("dt-swarm-cli"))
        .map(|part| format!("'{}'", part.to_string_lossy()))
        .collect();
    let (there, get_line) = (folder.display(), parts.join(" "));
    let script = format!("mount -t tmpfs none {there} && {get_line} && cp {there}/a {}", kept.display());
    let mut command = fetcher.host().command("sh");
    command.args(["-c", &script]);
    for (name, value) in get.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    println!("{}", fetcher.host().run(command, SOON)?.success("get")?.trim());
    assert!(files::read(&kept)? == content);
    assert!(!folder.join("a").exists());
    wait_for_transfer(&fetcher, "the download is done", |transfer| transfer["state"] == "done")?;
    Ok(())
}

#[test]
fn robots_that_fetch_the_same_file_exchange_blocks() -> Result {
    let Some(lab) = or_skip("neighbours", Lab::new("neighbours")) else {
        return Ok(());
    };
    let seeder = robot(&lab, "seeder", "settle_seconds = 0\n")?;
    let (a, b) = (robot(&lab, "a", TAKER)?, robot(&lab, "b", TAKER)?);
    let size = 16_000_000;
    let content = noise(size);
    seeder.share("run.bag", &content)?;
    [&a, &b].into_iter().try_for_each(|robot| wait_until_known(robot, "run.bag"))?;
    seeder.cli(&["limit", "--lan-up", "2MB", "--json"])?;
    let before = seeder.host().traffic()?.sent;
    for robot in [&a, &b] {
        robot.cli(&["get", "run.bag", "-o", &path(robot, "copy").1, "--wait", "0", "--json"])?;
    }
    for robot in [&a, &b] {
        wait_until(SOON, "the file is written", || path(robot, "copy").0.exists().then_some(()))?;
        assert!(files::read(&path(robot, "copy").0)? == content);
    }
    let sent = (seeder.host().traffic()?.sent - before) as f64 / f64::from(size);
    println!("the seeder sent {sent:.2} file sizes to two fetchers");
    assert!(sent < 1.5, "{sent}");
    Ok(())
}

#[test]
fn a_full_store_is_reported_and_the_download_waits_for_space() -> Result {
    let Some(lab) = or_skip("full store", Lab::new("full")) else {
        return Ok(());
    };
    let seeder = robot(&lab, "seeder", "settle_seconds = 0\n")?;
    let fetcher = robot(&lab, "fetcher", &format!("{TAKER}store_max_mib = 8\n"))?;
    let (first, second) = (noise(6_000_000), noise(5_000_000));
    seeder.share("first.bag", &first)?;
    seeder.share("second.bag", &second)?;
    ["first.bag", "second.bag"].iter().try_for_each(|name| wait_until_known(&fetcher, name))?;
    let pinned = fetcher.cli(&["get", "first.bag", "--pin", "--json"])?;
    let (copy, text) = path(&fetcher, "copy");
    fetcher.cli(&["get", "second.bag", "-o", &text, "--wait", "0", "--json"])?;
    let is_short = |transfer: &Value| {
        transfer["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("the block store of this host is full"))
    };
    println!("{}", wait_for_transfer(&fetcher, "the store is full", is_short)?["reason"]);
    assert!(!copy.exists());
    fetcher.cli(&["unpin", pinned["cid"].as_str().unwrap_or_default(), "--json"])?;
    wait_until(SOON, "the file is written", || copy.exists().then_some(()))?;
    assert!(files::read(&copy)? == second);
    Ok(())
}

#[test]
fn a_file_arrives_though_both_sides_are_killed() -> Result {
    let Some(_) = or_skip("crashes", Lab::new("may")) else {
        return Ok(());
    };
    let short = ["--kills=4", "--megabytes=40", "--kilobytes=4000", "--longest-ms=2000"];
    let survived = crashes(&options::<Crashes>(&short))?;
    survived.print();
    assert!(survived.is_same);
    assert_eq!(survived.kills.iter().sum::<u32>(), 4);
    // Each kill loses the bytes in transit, mostly half a megabyte. For a file of a usual size that is little.
    assert!(survived.received_per_size < 1.25, "{}", survived.received_per_size);
    Ok(())
}

#[test]
fn limits_are_held_near_and_far_up_and_down() -> Result {
    let Some(_) = or_skip("limits", Lab::new("may")) else {
        return Ok(());
    };
    let held = limits_held(&options::<LimitsHeld>(&["--kilobytes=1500", "--seconds=8"]))?;
    held.print();
    for (limit, share) in held.0 {
        assert!((0.92..1.08).contains(&share), "{limit}: {share}");
    }
    Ok(())
}

#[test]
fn a_cancelled_download_ends_and_invalid_requests_are_refused() -> Result {
    let Some(lab) = or_skip("cancelling", Lab::new("cancel")) else {
        return Ok(());
    };
    let robot = robot(&lab, "robot", TAKER)?;
    let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    robot.cli(&["get", cid, "--wait", "0", "--pin", "--json"])?;
    let late = robot.cli_failure(&["get", cid, "--pin", "--wait", "0.5"])?;
    assert!(late.contains("goes on in the background"), "{late}");
    let shown = transfers(&robot)?;
    assert_eq!((shown.len(), shown[0]["cid"].as_str()), (1, Some(cid)));
    robot.cli(&["transfers", "cancel", cid, "--json"])?;
    assert!(transfers(&robot)?.is_empty());
    let unknown = robot.cli_failure(&["transfers", "cancel", cid])?;
    assert!(unknown.contains("no download"), "{unknown}");
    assert!(robot.cli_failure(&["get", "nothing.bag"])?.contains("knows no file"));
    assert_eq!(robot.cli_text(&["transfers"])?, "There are no transfers.\n");
    Ok(())
}
