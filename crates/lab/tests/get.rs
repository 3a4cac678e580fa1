//! The command `get` from another robot, and two daemons on one host.

use lab::daemon::Robot;
use lab::{Error, Lab, Process, Result, or_skip, programs, wait_until};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn a_small_file_comes_from_another_robot() -> Result {
    let Some(lab) = or_skip("small files", Lab::new("small")) else {
        return Ok(());
    };
    let holder = Robot::start_on(lab.host("holder")?, "settle_seconds = 0\n")?;
    let asker = Robot::start_on(lab.host("asker")?, "keep_others = false\n")?;
    let files = [("empty.txt", 0), ("notes.txt", 6), ("large.txt", 60_000)]
        .map(|(name, size)| (name, vec![b'x'; size]));
    for (name, content) in &files {
        holder.share(name, content)?;
    }
    let known = || {
        let report = asker.cli_text(&["report"]).ok()?;
        files.iter().all(|(name, _)| report.contains(name)).then_some(())
    };
    wait_until(SOON, "all files are known", known)?;
    let address = holder.host().address().to_string();
    for (name, content) in &files {
        let path = asker.host().folder().join("got").join(name);
        let text = path.to_string_lossy().into_owned();
        let mut command = asker.cli_command_to(&address, &["get", name, "-o", &text]);
        // A socket named in the environment belongs to this computer and is ignored for another one.
        command.env("DT_SWARM_SOCKET", "/nowhere/control.sock");
        asker.host().run(command, SOON)?.success("get")?;
        assert!(fs::read(&path).map_err(failed("reading"))? == *content, "{name}");
    }
    Ok(())
}

/// A second daemon on the host of a robot, with its own ports and folders.
struct Second {
    process: Process,
    peer: String,
}

impl Second {
    fn start(robot: &Robot) -> Result<Self> {
        let folder = robot.host().folder().join("second");
        fs::create_dir_all(folder.join("shared")).map_err(failed("making"))?;
        let configuration =
            "hostname = \"second\"\ntcp_port = 8001\nudp_port = 1241\nipfs_port = 6003\ngateway = \"off\"\n";
        fs::write(folder.join("config.toml"), configuration).map_err(failed("writing"))?;
        let mut command = robot.host().command(programs()?.daemon);
        command.arg("--config").arg(folder.join("config.toml")).arg("--data-dir").arg(folder.join("data"));
        command.arg("--shared").arg(folder.join("shared"));
        for name in ["XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "DT_SWARM_SOCKET"] {
            command.env_remove(name);
        }
        command.env("HOME", robot.home()).env("RUST_LOG", "info").env_remove("DSWARM_DIR_STORAGE");
        let process = robot.host().spawn("second", command)?;
        process.wait_for_line(|line| line.trim_start().starts_with("peer ID"), SOON)?;
        let pinged = answer(robot, robot.cli_command_to("localhost:8001", &["ping", "-c", "1", "--json"]))?;
        Ok(Self { process, peer: pinged["daemon"]["peer"].as_str().unwrap_or_default().to_owned() })
    }
}

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    |source| Error::Io { what, source }
}

fn answer(robot: &Robot, command: Command) -> Result<Value> {
    let text = robot.host().run(command, SOON)?.success("dt-swarm-cli")?;
    serde_json::from_str(&text).map_err(|problem| Error::Answer { what: problem.to_string(), answer: text })
}

fn refusal(robot: &Robot, command: Command) -> Result<String> {
    let finished = robot.host().run(command, SOON)?;
    assert!(!finished.status.success(), "{}", finished.stdout);
    Ok(finished.stderr)
}

#[test]
fn with_two_daemons_on_one_host_the_addressed_one_signs() -> Result {
    let Some(lab) = or_skip("two daemons", Lab::new("two")) else {
        return Ok(());
    };
    let first = Robot::start(&lab, "robot")?;
    let mut second = Second::start(&first)?;
    let own = first.cli(&["ping", "-c", "1", "--json"])?["daemon"]["peer"].clone();
    assert_ne!(own, second.peer);
    let signer = |host: &str, change: &dyn Fn(&mut Command)| {
        let mut command = first.cli_command_to(host, &["propose", "share/notes", "hello", "--json"]);
        change(&mut command);
        answer(&first, command).map(|signed| signed["signer"]["peer"].clone())
    };
    let socket = first.control_socket();
    let by_environment = |command: &mut Command| {
        command.env("DT_SWARM_SOCKET", &socket);
    };
    assert_eq!(signer("localhost", &|_| {})?, own);
    assert_eq!(signer("localhost:8001", &|_| {})?, second.peer);
    assert_eq!(signer("localhost:8001", &by_environment)?, second.peer);
    // The first daemon is also found by a user with another home, because this user is root.
    let elsewhere = |command: &mut Command| {
        command.env("HOME", "/nonexistent").env_remove("XDG_RUNTIME_DIR");
    };
    assert_eq!(signer("localhost", &elsewhere)?, own);
    let keys = answer(&first, first.cli_command_to("localhost:8001", &["keys", "--json"]))?;
    assert_eq!(keys["keys"][0]["peer"], second.peer);

    let named = socket.to_string_lossy().into_owned();
    let said = refusal(&first, first.cli_command_to("localhost:8001", &["keys", "--socket", &named]))?;
    println!("{}", said.trim());
    assert!(said.contains(&second.peer) && own.as_str().is_some_and(|own| said.contains(own)), "{said}");
    second.process.terminate(lab::daemon::STOP_LIMIT)?;
    let said = refusal(&first, first.cli_command_to("localhost:8001", &["propose", "share/notes", "lost"]))?;
    println!("{}", said.trim());
    assert!(said.contains("no daemon answers at localhost:8001"), "{said}");
    Ok(())
}
