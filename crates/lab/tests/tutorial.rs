//! The tutorial works as printed: its commands run in the order of the page, on two hosts, and print what it shows.
//!
//! A block ```` ```console ```` is typed on robot1, and ```` ```console robot2 ```` on robot2. A block
//! ```` ```console build ```` builds the programs and is not run. In the shown output `…` stands for any text, a line
//! that is only `…` for any number of lines, and runs of spaces or of `─` have any length.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::{Error, Finished, Host, Lab, Process, Result, or_skip, programs, wait_until};

/// Time limit for the output of one command. Commands are repeated until then: a shared file is listed after seconds.
const SOON: Duration = Duration::from_secs(60);
/// Maximum time that one run of a command may take.
const RUN_LIMIT: Duration = Duration::from_secs(30);
/// Maximum time that a daemon needs to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tutorial.md");
/// Names of the hosts. A block without a name belongs to the first.
const NAMES: [&str; 2] = ["robot1", "robot2"];
/// Name in the blocks that build the programs.
const BUILD: &str = "build";
/// The command that runs until it is stopped.
const DAEMON: &str = "dt-swarm";
/// Prepares a host as a person finds it: with its own name, and with the names of the others, as mDNS gives them. Then
/// runs `$2` in bash.
const SURROUND: &str = r#"hostname "$0" && mount --bind "$1" /etc/hosts && cd && exec bash -c "$2""#;

/// A command of the page with the output below it.
struct Step {
    line: usize,
    host: String,
    command: String,
    output: Vec<String>,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "docs/tutorial.md:{}: on {}: $ {}", self.line, self.host, self.command)
    }
}

/// Returns the commands of all console blocks, in the order of the page.
fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut is_code, mut host) = (Vec::new(), false, None);
    for (line, text) in (1..).zip(page.lines()) {
        if let Some(info) = text.strip_prefix("```") {
            is_code = !is_code;
            host = if is_code { host_of(info) } else { None };
        } else if let Some(host) = &host {
            take_line(&mut steps, host, line, text);
        }
    }
    steps
}

/// Takes one line of a console block: a command, or a line of the output of the last command.
fn take_line(steps: &mut Vec<Step>, host: &str, line: usize, text: &str) {
    if let Some(command) = text.strip_prefix("$ ") {
        let (host, command) = (host.to_owned(), command.to_owned());
        steps.push(Step { line, host, command, output: Vec::new() });
    } else {
        let step = steps.last_mut().unwrap_or_else(|| panic!("output without a command: {text}"));
        step.output.push(text.to_owned());
    }
}

/// Returns the name in the info string of a console block.
fn host_of(info: &str) -> Option<String> {
    let name = info.strip_prefix("console")?.trim();
    Some(if name.is_empty() { NAMES[0] } else { name }.to_owned())
}

/// Returns whether the printed lines are those that the page shows.
fn is_shown(shown: &[String], printed: &[String]) -> bool {
    let Some((first, rest)) = shown.split_first() else {
        return printed.iter().all(|line| line.trim().is_empty());
    };
    if first == "…" {
        return (0..=printed.len()).any(|skipped| is_shown(rest, &printed[skipped..]));
    }
    printed.split_first().is_some_and(|(line, others)| is_line_shown(first, line) && is_shown(rest, others))
}

fn is_line_shown(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (squeezed(shown), squeezed(printed));
    let mut parts = shown.split('…');
    let begin = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(begin) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(end) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(end)
}

/// Returns a line with each run of spaces and each run of `─` as one character, without spaces at its ends.
fn squeezed(line: &str) -> String {
    let mut squeezed = line.trim().to_owned();
    for (run, one) in [("  ", " "), ("──", "─")] {
        while squeezed.contains(run) {
            squeezed = squeezed.replace(run, one);
        }
    }
    squeezed
}

/// A host on which a person types.
struct Desk {
    host: Host,
    hosts_file: PathBuf,
    daemon: Option<Process>,
}

impl Desk {
    fn new(lab: &Lab, name: &str) -> Result<Self> {
        let desk = Self { host: lab.host(name)?, hosts_file: lab.folder().join("hosts"), daemon: None };
        for folder in [desk.home(), desk.runtime_folder()] {
            fs::create_dir_all(&folder).map_err(io("making a folder"))?;
        }
        Ok(desk)
    }

    fn home(&self) -> PathBuf {
        self.host.folder().join("home")
    }

    fn runtime_folder(&self) -> PathBuf {
        self.host.folder().join("run")
    }

    /// Returns a command that runs this line as a person would.
    fn line(&self, line: &str) -> Result<Command> {
        let programs = programs()?;
        let folder = programs.cli.parent().unwrap_or_else(|| Path::new("/"));
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = self.host.command("unshare");
        command.args(["--uts", "sh", "-c", SURROUND, self.host.name()]).arg(&self.hosts_file).arg(line);
        command.env("PATH", path).env("HOME", self.home()).env("XDG_RUNTIME_DIR", self.runtime_folder());
        for other in [
            "XDG_DATA_HOME",
            "XDG_CONFIG_HOME",
            "DSWARM_DIR_STORAGE",
            "DSWARM_DIR_IPFS",
            "DT_SWARM_SOCKET",
            "RUST_LOG",
        ] {
            command.env_remove(other);
        }
        Ok(command)
    }

    fn follow(&mut self, step: &Step) -> Result {
        if step.command == DAEMON { self.start_daemon(step) } else { self.type_command(step) }
    }

    fn start_daemon(&mut self, step: &Step) -> Result {
        let daemon = self.host.spawn(DAEMON, self.line(&step.command)?)?;
        let is_started = || is_shown(&step.output, &daemon.lines()).then_some(());
        wait_until(SOON, &step.to_string(), is_started)
            .map_err(|_| unlike(step, &daemon.lines().join("\n")))?;
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Types a command again and again until it succeeds with the shown output.
    fn type_command(&self, step: &Step) -> Result {
        let mut seen = Vec::new();
        let attempt = || {
            match self.line(&step.command).and_then(|command| self.host.run(command, RUN_LIMIT)) {
                Ok(finished) if has_worked(step, &finished) => return Some(()),
                Ok(Finished { status, stdout, stderr }) => seen.push(format!("{status}\n{stdout}{stderr}")),
                Err(error) => seen.push(error.to_string()),
            }
            None
        };
        wait_until(SOON, &step.to_string(), attempt).map_err(|_| {
            seen.dedup();
            unlike(step, &seen.join("--- and later ---\n"))
        })
    }
}

fn has_worked(step: &Step, finished: &Finished) -> bool {
    let printed: Vec<String> = finished.stdout.lines().map(str::to_owned).collect();
    finished.status.success() && is_shown(&step.output, &printed)
}

/// Returns the error of a step whose command did not print what the page shows.
fn unlike(step: &Step, seen: &str) -> Error {
    let shown = step.output.join("\n");
    let what = format!("{step}\n--- the page shows ---\n{shown}");
    Error::Deadline { what, within: SOON, seen: seen.to_owned() }
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    |source| Error::Io { what, source }
}

/// Writes the file that gives each host its names.
fn write_hosts_file(lab: &Lab, desks: &[Desk]) -> Result {
    let mut text = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
    for desk in desks {
        text += &format!("{} {1} {1}.local\n", desk.host.address(), desk.host.name());
    }
    fs::write(lab.folder().join("hosts"), text).map_err(io("writing the file of host names"))
}

#[test]
fn the_tutorial_works_as_printed() -> Result {
    let page = fs::read_to_string(PAGE).map_err(io(PAGE))?;
    let Some(lab) = or_skip("tutorial", Lab::new("tutorial")) else {
        return Ok(());
    };
    let mut desks = NAMES.iter().map(|name| Desk::new(&lab, name)).collect::<Result<Vec<_>>>()?;
    write_hosts_file(&lab, &desks)?;
    for step in steps(&page).iter().filter(|step| step.host != BUILD) {
        println!("{step}");
        let desk = desks.iter_mut().find(|desk| desk.host.name() == step.host);
        desk.ok_or_else(|| unlike(step, "no such host"))?.follow(step)?;
    }
    for desk in &mut desks {
        let name = desk.host.name().to_owned();
        let daemon = desk.daemon.as_mut();
        let daemon = daemon.unwrap_or_else(|| panic!("the tutorial starts no daemon on {name}"));
        assert!(daemon.terminate(STOP_LIMIT)?.success(), "the daemon of {name} does not stop in order");
    }
    Ok(())
}

#[test]
fn each_console_block_belongs_to_a_host_or_is_the_build() -> Result {
    let page = fs::read_to_string(PAGE).map_err(io(PAGE))?;
    let steps = steps(&page);
    let is_of = |name: &str| steps.iter().filter(|step| step.host == name).count();
    let [build, first, second] = [BUILD, NAMES[0], NAMES[1]].map(is_of);
    assert!(build > 0 && first > 0 && second > 0, "{build} {first} {second}");
    assert_eq!(build + first + second, steps.len(), "a console block names another host");
    Ok(())
}

#[test]
fn shown_output_leaves_open_what_differs_and_nothing_else() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let is_shown = |shown, printed| is_shown(&lines(shown), &lines(printed));
    assert!(is_shown("a …  c\n──\n…", " a b c \n──────\nmore\n\n"));
    assert!(is_shown("…\nend", "end") && is_shown("", "\n") && is_shown("…", ""));
    assert!(is_shown("1: … (…)", "1: robot1 (…VbR3nJ)"));
    assert!(!is_shown("a … c", "a b d") && !is_shown("a … c", "x a b c"));
    assert!(!is_shown("a", "a\nb") && !is_shown("a\nb", "a") && !is_shown("…\nend", "end\nmore"));
    assert!(!is_shown("", "surprise"));
}
