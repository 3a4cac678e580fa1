//! Kubo fetches from our daemon, and our daemon from Kubo, byte for byte.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::peers::{Kubo, kubo_available};
use lab::{Host, Lab, Process, Result, or_skip, wait_until};
use serde_json::Value;

use crate::files::{Sample, assert_same, failed, samples};

/// Time limit of steps that take a second on an idle machine.
const SOON: Duration = Duration::from_secs(60);
/// Time limit of the transfer of all files.
const TRANSFER: Duration = Duration::from_secs(120);

fn lab(name: &str, test: &str) -> Option<Lab> {
    or_skip(test, kubo_available())?;
    or_skip(test, Lab::new(name))
}

/// Waits until `fits` holds for the entries of all samples in the report. Returns the CIDs of their directories, in the
/// samples' order.
fn wait_for_report(
    robot: &Robot,
    samples: &[Sample],
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> Result<Vec<String>> {
    let what = format!("all files {what} on {}", robot.host().name());
    wait_until(TRANSFER, &what, || {
        let report = robot.cli(&["report", "--json"]).ok()?;
        let files = report["files"].as_array()?;
        let entry = |sample: &Sample| files.iter().find(|file| file["name"] == sample.name && fits(file));
        samples.iter().map(|sample| Some(entry(sample)?["cid"].as_str()?.to_owned())).collect()
    })
}

/// Returns whether the file is safe with this host as its only holder.
fn is_kept_by(file: &Value, host: &str) -> bool {
    let names =
        file["holders"].as_array().map(|all| all.iter().map(|one| &one["hostname"]).collect::<Vec<_>>());
    matches!(file["state"].as_str(), Some("kept" | "safe")) && names.is_some_and(|names| names == [host])
}

/// Returns the published address on which the daemon accepts IPFS connections.
fn ipfs_address(robot: &Robot) -> Result<String> {
    let address = format!("/ip4/{}/tcp/6002/p2p/", robot.host().address());
    wait_until(SOON, &format!("{address} is announced"), || {
        let summary = robot.cli(&["summary", "--json", "*/ipfs_addresses"]).ok()?;
        let buckets = summary["buckets"].as_array()?;
        let items = buckets.iter().flat_map(|bucket| bucket["items"].as_array().into_iter().flatten());
        let mut announced = items.filter_map(|item| item["data"].as_str());
        announced.find(|data| data.starts_with(&address)).map(str::to_owned)
    })
}

/// Starts a Kubo on a new host, connected only with this daemon.
fn kubo_beside(lab: &Lab, name: &str, robot: &Robot) -> Result<(Host, Kubo)> {
    let host = lab.host(name)?;
    let mut kubo = Kubo::on_host(&host)?;
    kubo.connect(&ipfs_address(robot)?)?;
    Ok((host, kubo))
}

/// Fetches a CID with Kubo, and prints the time that it took.
fn get(kubo: &mut Kubo, cid: &str, what: &str, out: &Path) -> Result {
    let begun = Instant::now();
    kubo.get(cid, out, TRANSFER)?;
    println!("{what}: {cid} after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Fetches each sample's directory with Kubo and compares its contents.
fn get_directories(host: &Host, kubo: &mut Kubo, samples: &[Sample], cids: &[String]) -> Result {
    for (sample, cid) in samples.iter().zip(cids) {
        let out = host.folder().join(format!("directory of {}", sample.name).replace(' ', "-"));
        get(kubo, cid, &format!("{} fetched {} in its directory", host.name(), sample.name), &out)?;
        assert_same(&out.join(sample.name), &sample.path)?;
        let info = out.join("upload_info1.yaml");
        let info = fs::read_to_string(&info).map_err(failed(&info))?;
        assert!(info.starts_with(&format!("filename: {:?}\n", sample.name)), "{info}");
    }
    Ok(())
}

fn share_all(robot: &Robot, samples: &[Sample]) -> Result {
    samples.iter().try_for_each(|sample| robot.share_copy(sample.name, &sample.path).map(drop))
}

#[test]
fn kubo_fetches_version_1_from_our_daemon() -> Result {
    let Some(lab) = lab("kubo-v1", "Kubo fetches CIDv1") else {
        return Ok(());
    };
    let samples = samples(lab.folder())?;
    let a = Robot::start(&lab, "a")?;
    share_all(&a, &samples)?;
    let cids = wait_for_report(&a, &samples, "shared", |_| true)?;
    let (host, mut kubo) = kubo_beside(&lab, "kubo", &a)?;
    get_directories(&host, &mut kubo, &samples, &cids)
}

/// Starts `lab share-v0` on a host of its own. Returns, for each file, the CIDs of its directory and of the file
/// itself.
fn share_v0(lab: &Lab, robot: &Robot, samples: &[Sample]) -> Result<(Process, Vec<(String, String)>)> {
    let host = lab.host("sharer")?;
    let mut command = host.command(env!("CARGO_BIN_EXE_lab"));
    command.arg("share-v0").arg("--store").arg(host.folder().join("blocks"));
    command.args(["--listen", &format!("/ip4/{}/tcp/6002", host.address())]);
    command.args(["--daemon", &format!("{}:8000", robot.host().address())]);
    command.args(samples.iter().map(|sample| &sample.path));
    let sharer = host.spawn("share-v0", command)?;
    sharer.wait_for_line(|line| line == "TOLD", TRANSFER)?;
    let lines = sharer.lines();
    let pairs = lines.iter().filter_map(|line| line.strip_prefix("SHARED ")?.split_once(' '));
    let shared = pairs.map(|(directory, file)| (directory.to_owned(), file.to_owned())).collect();
    Ok((sharer, shared))
}

#[test]
fn our_daemon_keeps_version_0_and_kubo_fetches_it() -> Result {
    let Some(lab) = lab("kubo-v0", "Kubo fetches CIDv0") else {
        return Ok(());
    };
    let samples = samples(lab.folder())?;
    let a = Robot::start(&lab, "a")?;
    let (mut sharer, shared) = share_v0(&lab, &a, &samples)?;
    let begun = Instant::now();
    let directories = wait_for_report(&a, &samples, "safe", |file| is_kept_by(file, "a"))?;
    println!("a fetched and kept all of CIDv0 after {:.1} s", begun.elapsed().as_secs_f64());
    sharer.kill()?;
    let (host, mut kubo) = kubo_beside(&lab, "kubo", &a)?;
    for (sample, (directory, file)) in samples.iter().zip(&shared) {
        assert!(directories.contains(directory) && file.starts_with("Qm"), "{directory} {file}");
        let out = host.folder().join(sample.name);
        get(&mut kubo, file, &format!("kubo fetched {}", sample.name), &out)?;
        assert_same(&out, &sample.path)?;
    }
    get_directories(&host, &mut kubo, &samples, &directories)
}

#[test]
fn our_daemon_fetches_files_that_only_kubo_has() -> Result {
    let Some(lab) = lab("from-kubo", "our daemon fetches from Kubo") else {
        return Ok(());
    };
    let samples = samples(lab.folder())?;
    // The robot b knows the records, and keeps no files.
    let mut b = Robot::new(lab.host("b")?, "keep_others = false\n")?;
    b.restart()?;
    let mut a = Robot::start(&lab, "a")?;
    share_all(&a, &samples)?;
    let cids = wait_for_report(&b, &samples, "shared", |file| file["state"] == "shared")?;
    let (host, mut kubo) = kubo_beside(&lab, "kubo", &a)?;
    get_directories(&host, &mut kubo, &samples, &cids)?;
    a.kill9()?;

    let d = Robot::start(&lab, "d")?;
    kubo.connect(&ipfs_address(&d)?)?;
    let begun = Instant::now();
    let kept = wait_for_report(&d, &samples, "safe", |file| is_kept_by(file, "d"))?;
    println!("d fetched and kept all from Kubo after {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(kept, cids);

    drop(kubo);
    let (host, mut reader) = kubo_beside(&lab, "reader", &d)?;
    get_directories(&host, &mut reader, &samples, &cids)
}
