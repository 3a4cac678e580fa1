//! Roles in a real swarm: three robots, a swarm file, and a person with the root's key in a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use lab::daemon::Robot;
use lab::{Error, Lab, Process, Result, or_skip, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);

/// CIDs of files that no robot has.
const FIRST: &str = "bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SECOND: &str = "bafkreibbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbba";
const THIRD: &str = "bafkreiccccccccccccccccccccccccccccccccccccccccccccccccccca";

/// Runs a command that must fail with a message that contains all of these parts.
fn refused(robot: &Robot, command: &[&str], parts: &[&str]) -> Result {
    let said = robot.cli_failure(command)?;
    println!("{}: {}", robot.host().name(), said.trim());
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in {said:?}");
    }
    Ok(())
}

/// Returns whether `item` is in `bucket` according to the records that `robot` accepts.
fn has(robot: &Robot, bucket: &str, item: &str) -> bool {
    let summary = robot.cli(&["summary", bucket, "--json"]).unwrap_or_default();
    let buckets = summary["buckets"].as_array().into_iter().flatten();
    let mut items = buckets.flat_map(|bucket| bucket["items"].as_array().into_iter().flatten());
    items.any(|found| found["data"] == item)
}

fn wait_until_all(robots: &[&Robot], bucket: &str, item: &str, is_there: bool) -> Result {
    let what = format!("{item:?} {} {bucket} on all", if is_there { "in" } else { "out of" });
    wait_until(SOON, &what, || robots.iter().all(|robot| has(robot, bucket, item) == is_there).then_some(()))
}

/// Three robots in the swarm of one file. The root is a key file of a person at the first robot.
struct Class {
    _lab: Lab,
    robots: [Robot; 3],
    file: PathBuf,
}

impl Class {
    fn new(lab: Lab) -> Result<Self> {
        let [a, b, c] = ["a", "b", "c"].map(|name| Robot::start(&lab, name));
        let class =
            Self { file: lab.host("desk")?.folder().join("class.toml"), robots: [a?, b?, c?], _lab: lab };
        Ok(class)
    }

    fn file(&self) -> &str {
        self.file.to_str().unwrap_or_default()
    }

    fn found(&self) -> Result {
        let [a, ..] = &self.robots;
        let made = a.cli(&["swarm", "init", self.file(), "--name", "class", "--json"])?;
        println!("{made}");
        let mode =
            fs::metadata(made["key_path"].as_str().unwrap_or_default()).map(|key| key.permissions().mode());
        assert_eq!(mode.map(|mode| mode & 0o777).ok(), Some(0o600), "others than its owner may read the key");
        refused(a, &["swarm", "init", self.file(), "--name", "class"], &["class.toml already exists"])?;
        self.robots.iter().try_for_each(|robot| {
            robot.cli(&["swarm", "join", self.file(), "--json"])?;
            assert_eq!(robot.cli(&["swarm", "show", "--json"])?["name"], "class");
            Ok(())
        })
    }
}

/// Waits until a `watch` has printed this change of `item`.
fn wait_for_change(watch: &Process, change: &str, item: &str) -> Result {
    let is_it = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        value["change"] == change && value["data"] == item
    };
    watch.wait_for_line(is_it, SOON).map(drop)
}

#[test]
fn each_role_grants_the_next_and_a_revocation_is_retroactive() -> Result {
    let Some(lab) = or_skip("roles", Lab::new("roles")) else {
        return Ok(());
    };
    let class = Class::new(lab)?;
    let [a, b, c] = &class.robots;
    let all = [a, b, c];
    refused(a, &["grant", "trusted", &b.peer_id()?], &["nobody may propose into /trusted", "has no roots"])?;
    class.found()?;

    // Each of these is not allowed yet, and the message names the role that would be needed.
    let (admin, trusted) = (a.peer_id()?, b.peer_id()?);
    let verified = ["propose", "share/verified", FIRST, "--for", "7d"];
    refused(b, &verified, &["the role trusted", "/share/verified", &trusted, "--anyway"])?;
    refused(a, &["grant", "trusted", &trusted], &["the role admin", "/trusted"])?;
    refused(a, &["grant", "admin", &admin], &["only a root may propose into /admin"])?;
    refused(a, &["grant", "admin", "b", "--key", "class-root"], &["b is a name", &trusted])?;
    refused(a, &["grant", "root", &admin], &["roots are named in the swarm file"])?;
    refused(b, &["grant", "admin", &admin, "--key", "class-root"], &["no key is called class-root"])?;

    let watch = c.host().spawn("watch", c.cli_command(&["watch", "share/verified", "--json"]))?;
    a.cli(&["grant", "admin", &admin, "--key", "class-root", "--json"])?;
    wait_until_all(&all, "admin", &admin, true)?;
    let said = a.cli(&["grant", "trusted", &trusted, "--json"])?;
    assert_eq!(
        (&said["signer"]["peer"], &said["statements"][0]["is_in_bucket"]),
        (&admin.clone().into(), &true.into())
    );
    wait_until_all(&all, "trusted", &trusted, true)?;
    b.cli(&[&verified[..], &["--json"]].concat())?;
    wait_until_all(&all, "share/verified", FIRST, true)?;
    wait_for_change(&watch, "appeared", FIRST)?;
    println!("{}", a.cli_text(&["keys"])?);
    println!("{}", a.cli_text(&["query", "share/verified"])?);

    // A trusted peer may also dismiss proposals of others; a peer without the role may not.
    c.cli(&["propose", "share/files", THIRD, "--for", "1d", "--json"])?;
    wait_until_all(&all, "share/files", THIRD, true)?;
    refused(a, &["dismiss", "share/files", "nothing", "--key", "nokey"], &["no key is called"])?;
    refused(c, &["dismiss", "share/verified", FIRST], &["the role trusted", "dismiss from /share/verified"])?;
    b.cli(&["dismiss", "share/files", THIRD, "--json"])?;
    wait_until_all(&all, "share/files", THIRD, false)?;
    let again = c.cli(&["propose", "share/files", THIRD, "--for", "2d", "--json"])?;
    assert_eq!(
        again["statements"][0]["opponents"][0]["peer"], trusted,
        "the answer names the opponent: {again}"
    );
    b.cli(&["replace", "share/verified", FIRST, SECOND, "--json"])?;
    wait_until_all(&all, "share/verified", FIRST, false)?;
    wait_until_all(&all, "share/verified", SECOND, true)?;
    wait_for_change(&watch, "gone", FIRST)?;
    // A change that is reversed at once is not reported, so this one must be seen before it is reversed.
    wait_for_change(&watch, "appeared", SECOND)?;

    // The role is revoked by another peer than the one that granted it. Then no earlier proposal of the robot is
    // accepted any more.
    a.cli(&["revoke", "trusted", &trusted, "--key", "class-root", "--json"])?;
    wait_until_all(&all, "share/verified", SECOND, false)?;
    wait_for_change(&watch, "gone", SECOND)?;
    wait_until_all(&all, "share/files", THIRD, true)?;
    let address = a.host().address().to_string();
    let remote = c.host().run(c.cli_command_to(&address, &["query", "share/verified", "--json"]), SOON)?;
    let remote: Value =
        serde_json::from_str(&remote.success("a query of another robot")?).unwrap_or_default();
    let found =
        remote["items"].as_array().into_iter().flatten().find(|found| found["data"] == SECOND).cloned();
    let record = &found.ok_or_else(|| unexpected(&remote))?["statements"][0];
    assert_eq!((&record["peer"], &record["is_counted"]), (&trusted.clone().into(), &false.into()));
    assert!(record["reason"].as_str().is_some_and(|reason| reason.contains("the role trusted")), "{record}");
    let arguments = ["propose", "share/notes", "x"];
    let elsewhere = c.host().run(c.cli_command_to(&address, &arguments), SOON)?;
    assert_eq!(elsewhere.status.code(), Some(1));
    assert!(elsewhere.stderr.contains("is another computer"), "{}", elsewhere.stderr);
    Ok(())
}

fn unexpected(value: &Value) -> Error {
    Error::Io { what: format!("an unexpected answer: {value}"), source: std::io::Error::other("see there") }
}

#[test]
fn a_swarm_is_joined_and_left_at_run_time_and_outlives_a_restart() -> Result {
    let Some(lab) = or_skip("joining", Lab::new("join")) else {
        return Ok(());
    };
    let mut class = Class::new(lab)?;
    let [a, b, c] = &class.robots;
    b.cli(&["propose", "share/verified", FIRST, "--for", "7d", "--json"])?;
    wait_until_all(&[a, b, c], "share/verified", FIRST, true)?;
    refused(a, &["swarm", "leave"], &["in the open swarm already"])?;
    class.found()?;
    wait_until_all(&[a, b, c], "share/verified", FIRST, false)?;
    c.cli(&["swarm", "leave", "--json"])?;
    // Records of one swarm are not accepted in another swarm; they must be published again.
    assert!(!has(c, "share/verified", FIRST));
    c.cli(&["propose", "share/verified", FIRST, "--for", "7d", "--json"])?;
    wait_until_all(&[c], "share/verified", FIRST, true)?;
    wait_until_all(&[a, b], "share/verified", FIRST, false)?;

    let [_, b, _] = &mut class.robots;
    b.kill9()?;
    b.restart()?;
    assert_eq!(b.cli(&["swarm", "show", "--json"])?["name"], "class");
    wait_until_all(&[b], "share/verified", FIRST, false)?;
    refused(b, &["propose", "share/verified", SECOND], &["the role trusted"])?;

    // A daemon that cannot read its swarm file does not start as an open swarm.
    b.terminate()?;
    let file = b.home().join(".config/dt-swarm/swarm.toml");
    let text = fs::read_to_string(&file).unwrap_or_default();
    write(&file, &text[..text.len() / 2])?;
    let told = b.restart().map_err(|error| error.to_string()).err().unwrap_or_default();
    assert!(told.contains("swarm.toml") && told.contains("is wrong"), "{told}");
    write(&file, &text)?;
    b.restart()
}

fn write(file: &std::path::Path, text: &str) -> Result {
    fs::write(file, text).map_err(|source| Error::Io { what: format!("writing {}", file.display()), source })
}

#[test]
fn a_second_daemon_at_a_socket_reports_it_and_takes_it_once_it_is_free() -> Result {
    let Some(lab) = or_skip("control socket", Lab::new("socket")) else {
        return Ok(());
    };
    let a = Robot::start(&lab, "a")?;
    let socket = a.host().folder().join("run/dt-swarm/control.sock");
    let named = format!("control_socket = {socket:?}\n");
    // The second daemon reports that it cannot use the socket, and its other functions work.
    let mut b = Robot::new(lab.host("b")?, &named)?;
    b.restart()?;
    let is_said = |line: &str| line.contains("another daemon answers at") && line.contains("--socket");
    println!("{}", b.running()?.wait_for_line(is_said, SOON)?.trim());
    assert_eq!(a.cli(&["propose", "share/notes", "from-a", "--json"])?["signer"]["peer"], a.peer_id()?);
    wait_until_all(&[&b], "share/notes", "from-a", true)?;
    drop(a);
    // The socket is stale now, so the other daemon takes it without a restart.
    let its_own = |robot: &Robot| {
        let said = robot.cli(&["keys", "--json", "--socket", socket.to_str()?]).ok()?;
        (said["keys"][0]["peer"] == *robot.peer_id().ok()?).then_some(())
    };
    wait_until(SOON, "the second daemon at the socket", || its_own(&b))
}
