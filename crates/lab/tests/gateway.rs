//! The gateway of a robot, as used by programs on the same host.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::peers::curl_available;
use lab::{Error, Lab, Result, or_skip, wait_until};
use rand::{Rng as _, SeedableRng as _};

const SOON: Duration = Duration::from_secs(120);
const MIB: usize = 1024 * 1024;
const LARGE: usize = 256 * MIB;
/// Maximum growth of memory in bytes while the gateway serves a file of any size.
const MORE_MEMORY: u64 = 24 * MIB as u64;

fn ready(name: &str) -> Option<Lab> {
    or_skip("the gateway of a robot", curl_available())?;
    or_skip("the gateway of a robot", Lab::new(name))
}

/// Returns the CID under which the file is shared, once `robot` knows of this number of holders.
fn cid(robot: &Robot, name: &str, holders: usize) -> Result<String> {
    let known = || {
        let report = robot.cli(&["report", "--json"]).ok()?;
        let is_it = |file: &&serde_json::Value| {
            file["name"] == name && file["holders"].as_array().is_some_and(|all| all.len() >= holders)
        };
        Some(report["files"].as_array()?.iter().find(is_it)?["cid"].as_str()?.to_owned())
    };
    wait_until(SOON, &format!("{name} with {holders} holders"), known)
}

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    move |source| Error::Io { what, source }
}

fn curl(robot: &Robot, arguments: &[&str]) -> Command {
    let mut curl = robot.host().command("curl");
    curl.args(["--silent", "--show-error", "--fail", "--location"]).args(arguments);
    curl
}

#[test]
fn a_file_of_another_robot_is_read_through_the_gateway() -> Result {
    let Some(lab) = ready("gateway") else {
        return Ok(());
    };
    let (a, b) = (Robot::start(&lab, "a")?, Robot::start(&lab, "b")?);
    a.share("one.txt", b"one")?;
    let cid = cid(&b, "one.txt", 2)?;
    let url = format!("http://localhost:6080/ipfs/{cid}/one.txt");
    assert_eq!(b.host().run(curl(&b, &[&url]), SOON)?.success("one.txt through the gateway")?, "one");
    let list = b.host().run(curl(&b, &[&format!("http://127.0.0.1:6080/ipfs/{cid}")]), SOON)?;
    let list = list.success("the list of the directory")?;
    assert!(list.contains(">one.txt</a>") && list.contains("upload_info1.yaml"), "{list}");
    // Other hosts have no access.
    let outside = format!("http://{}:6080/ipfs/{cid}/one.txt", b.host().address());
    assert!(!a.host().run(curl(&a, &[&outside]), SOON)?.status.success());
    Ok(())
}

#[test]
fn a_file_that_this_robot_does_not_keep_comes_from_its_holders() -> Result {
    let Some(lab) = ready("holders") else {
        return Ok(());
    };
    let holder = Robot::start(&lab, "holder")?;
    let mut reader = Robot::new(lab.host("reader")?, "keep_others = false\n")?;
    reader.restart()?;
    holder.share("one.txt", b"one")?;
    let cid = cid(&reader, "one.txt", 0)?;
    let url = format!("http://localhost:6080/ipfs/{cid}/one.txt");
    let read = reader.host().run(curl(&reader, &[&url]), SOON)?;
    assert_eq!(read.success("one.txt through the gateway")?, "one");
    assert_eq!(reader.cli(&["storage", "--json"])?["pins"], serde_json::json!([]));
    Ok(())
}

#[test]
fn memory_does_not_grow_with_the_file() -> Result {
    let Some(lab) = ready("large") else {
        return Ok(());
    };
    let mut a = Robot::start(&lab, "a")?;
    let mut content = vec![0; LARGE];
    rand_chacha::ChaCha8Rng::seed_from_u64(6).fill_bytes(&mut content);
    a.share("large.bag", &content)?;
    let url = format!("http://127.0.0.1:6080/ipfs/{}/large.bag", cid(&a, "large.bag", 0)?);
    let before = a.running()?.resident_bytes()?;
    let copy = lab.folder().join("copy");
    // One client reads at 5 MB/s, and is not finished before the other three.
    let mut slow = curl(&a, &["--limit-rate", "5M", "--output", "/dev/null", &url]);
    let mut slow = slow.stdin(Stdio::null()).spawn().map_err(failed("curl"))?;
    let (mut peak, begun) = (before, Instant::now());
    for _ in 0..3 {
        let got = a.host().run(curl(&a, &["--output", &copy.to_string_lossy(), &url]), SOON)?;
        got.success("curl")?;
        peak = peak.max(a.running()?.resident_bytes()?);
    }
    let rate = 3.0 * LARGE as f64 / 1e6 / begun.elapsed().as_secs_f64();
    println!("resident: {} MiB before, {} MiB at most; {rate:.0} MB/s", before >> 20, peak >> 20);
    let _ = slow.kill().and_then(|()| slow.wait());
    let copied = std::fs::read(&copy).map_err(failed("the copy"))?;
    assert!(copied == content);
    assert!(peak < before + MORE_MEMORY, "{} MiB more", (peak - before) >> 20);
    Ok(())
}
