//! A robot: a host that runs our daemon.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use control::Client;
use dcache::Record;
use serde_json::Value;
use store::{Batch, Store};

use crate::{Error, FakeClock, Host, Lab, Process, Programs, Result, programs};

/// Start of the line in the daemon's banner that shows that it is ready.
const READY: &str = "peer ID";

const READY_LIMIT: Duration = Duration::from_secs(30);
const CLI_LIMIT: Duration = Duration::from_secs(30);
/// Maximum time that a request over the control socket may take.
const CONTROL_LIMIT: Duration = Duration::from_secs(30);

/// Maximum time for an orderly end of the daemon after SIGTERM, as promised to users.
pub const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A host with its own home, data folder and shared folder; they survive restarts of its daemon.
#[derive(Debug)]
pub struct Robot {
    host: Host,
    programs: Programs,
    /// The wall clock of the daemon; the machine's clock when there is none.
    clock: Option<FakeClock>,
    daemon: Option<Process>,
}

impl Robot {
    /// Starts a new robot on the lab's first network, and waits until its daemon is ready.
    ///
    /// # Errors
    /// When the host cannot be made or the daemon does not become ready.
    pub fn start(lab: &Lab, name: &str) -> Result<Self> {
        Self::start_on(lab.host(name)?, "")
    }

    /// Starts a robot on this host with this configuration (TOML), and waits until its daemon is ready. The
    /// configuration may contain tables, such as the section of a service.
    ///
    /// # Errors
    /// When the daemon does not become ready.
    pub fn start_on(host: Host, configuration: &str) -> Result<Self> {
        let mut robot = Self::new(host, configuration)?;
        robot.restart()?;
        Ok(robot)
    }

    /// Makes a robot on this host with this configuration (TOML), without starting its daemon.
    ///
    /// # Errors
    /// When the programs cannot be built or the folders cannot be made.
    pub fn new(host: Host, configuration: &str) -> Result<Self> {
        let robot = Self { host, programs: programs()?, clock: None, daemon: None };
        for folder in [robot.home(), robot.data_folder(), robot.shared_folder(), robot.runtime_folder()] {
            fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
        }
        let file = robot.configuration_file();
        // All hosts of a lab share the machine's host name, so the configuration gives each robot its own.
        let configuration = format!("hostname = {:?}\n{configuration}", robot.host.name());
        fs::write(&file, configuration).map_err(Error::io(format!("writing {}", file.display())))?;
        Ok(robot)
    }

    /// Returns this robot with another daemon program, such as an example with a service of its own.
    #[must_use]
    pub fn with_daemon(mut self, daemon: PathBuf) -> Self {
        self.programs.daemon = daemon;
        self
    }

    /// Returns this robot with another wall clock for its daemon, used at its next start; `None` is the machine's
    /// clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Option<FakeClock>) -> Self {
        self.clock = clock;
        self
    }

    /// Lets a shell script start the daemon. The script gets the command of the daemon as its arguments, and the folder of
    /// the host as `$HOST_FOLDER`.
    ///
    /// # Errors
    /// When the script cannot be written.
    pub fn started_by(self, script: &str) -> Result<Self> {
        let (file, folder) = (self.host.folder().join("daemon.sh"), self.host.folder().display().to_string());
        let daemon = self.programs.daemon.display();
        let text = format!("#!/bin/sh\nHOST_FOLDER='{folder}'\nset -- '{daemon}' \"$@\"\n{script}\n");
        fs::write(&file, text).map_err(Error::io(file.display().to_string()))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))
            .map_err(Error::io(file.display().to_string()))?;
        Ok(self.with_daemon(file))
    }

    /// Starts the daemon, after killing a running one, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; the error shows its last lines.
    pub fn restart(&mut self) -> Result {
        self.launch()?;
        self.wait_until_ready()
    }

    /// Starts the daemon, after killing a running one, without waiting for it to become ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(&mut self) -> Result {
        self.daemon = None;
        let mut command = self.host.command(&self.programs.daemon);
        command.arg("--data-dir").arg(self.data_folder()).arg("--config").arg(self.configuration_file());
        self.surround(&mut command);
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        self.daemon = Some(self.host.spawn("dt-swarm", command)?);
        Ok(())
    }

    /// Waits until the daemon started by [`Self::launch`] is ready.
    ///
    /// # Errors
    /// When it does not become ready; the error shows its last lines.
    pub fn wait_until_ready(&mut self) -> Result {
        let is_ready = |line: &str| line.trim_start().starts_with(READY);
        self.running()?.wait_for_line(is_ready, READY_LIMIT).map(drop)
    }

    /// Sends SIGKILL to the daemon, which ends it as a power cut would. A daemon that does not run is not an error.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill9(&mut self) -> Result {
        self.daemon.take().map_or(Ok(()), |mut daemon| daemon.kill().map(drop))
    }

    /// Sends SIGTERM to the daemon, and waits up to [`STOP_LIMIT`] for its end.
    ///
    /// # Errors
    /// When the daemon does not run or does not end in time.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        let status = self.running()?.terminate(STOP_LIMIT)?;
        self.daemon = None;
        Ok(status)
    }

    /// Runs the CLI on this robot with its own daemon, and parses the answer as JSON.
    ///
    /// # Errors
    /// When the CLI fails or its answer is not JSON.
    pub fn cli(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.cli_text(arguments)?;
        serde_json::from_str(&text)
            .map_err(|problem| Error::answer(format!("dt-swarm-cli {arguments:?}: {problem}"), text))
    }

    /// Like [`Self::cli`], but returns the answer as text.
    ///
    /// # Errors
    /// When the CLI fails.
    pub fn cli_text(&self, arguments: &[&str]) -> Result<String> {
        self.host.run(self.cli_command(arguments), CLI_LIMIT)?.success(&format!("dt-swarm-cli {arguments:?}"))
    }

    /// Runs the CLI on this robot with its own daemon, expects it to fail, and returns its standard error.
    ///
    /// # Errors
    /// When the CLI succeeds.
    pub fn cli_failure(&self, arguments: &[&str]) -> Result<String> {
        let finished = self.host.run(self.cli_command(arguments), CLI_LIMIT)?;
        match finished.status.success() {
            true => Err(Error::answer(
                format!("a failure expected from dt-swarm-cli {arguments:?}"),
                finished.stdout,
            )),
            false => Ok(finished.stderr),
        }
    }

    /// Returns the peer ID of this robot, which its daemon states.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn peer_id(&self) -> Result<String> {
        let answer = self.cli(&["ping", "--json"])?;
        let peer = answer["daemon"]["peer"].as_str();
        peer.map(str::to_owned).ok_or_else(|| Error::answer("a peer ID", answer.to_string()))
    }

    /// Returns a command that runs the CLI on this robot with its own daemon.
    pub fn cli_command(&self, arguments: &[&str]) -> Command {
        self.cli_command_to("127.0.0.1", arguments)
    }

    /// Returns a command that runs the CLI on this robot with the daemon at `host`.
    pub fn cli_command_to(&self, host: &str, arguments: &[&str]) -> Command {
        let mut command = self.host.command(&self.programs.cli);
        command.arg(host).args(arguments);
        self.surround(&mut command);
        command
    }

    /// Writes records to the disk of the daemon, which must not run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn fill(&self, records: &[Record]) -> Result {
        let file = self.data_folder().join("records.redb");
        let failed = |problem: String| Error::answer(format!("filling {}", file.display()), problem);
        let (store, _) = Store::open(&file).map_err(|error| failed(error.to_string()))?;
        let batch = Batch { put: records.to_vec(), ..Batch::default() };
        store.write(&batch).map_err(|error| failed(error.to_string()))
    }

    /// Returns the host, for example to change its conditions.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the daemon's process.
    ///
    /// # Errors
    /// When the daemon does not run.
    pub fn running(&mut self) -> Result<&mut Process> {
        let name = self.host.name();
        self.daemon
            .as_mut()
            .ok_or_else(|| Error::answer(format!("the daemon of {name}"), "it is not running"))
    }

    /// Returns the folder whose files are shared with the swarm.
    pub fn shared_folder(&self) -> PathBuf {
        self.home().join("shared-logs")
    }

    /// Returns the folder in which the daemon keeps its state.
    pub fn data_folder(&self) -> PathBuf {
        self.host.folder().join("data")
    }

    /// Returns the path of the socket on which the daemon takes its owner's requests.
    pub fn control_socket(&self) -> PathBuf {
        self.runtime_folder().join("dt-swarm").join("control.sock")
    }

    /// Connects with the daemon's control socket.
    ///
    /// # Errors
    /// When the daemon does not accept the connection.
    pub fn control(&self) -> Result<Client> {
        let path = self.control_socket();
        let what = format!("connecting with the daemon of {}", self.host.name());
        Client::connect(&path, CONTROL_LIMIT).map_err(Error::control(what))
    }

    /// Sets the environment of a program on this robot. All robots share the machine's file system, so each gets its
    /// own folders.
    fn surround(&self, command: &mut Command) {
        command.env("HOME", self.home());
        command.env("DSWARM_DIR_STORAGE", self.shared_folder());
        command.env("XDG_RUNTIME_DIR", self.runtime_folder());
        for other in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "DT_SWARM_SOCKET"] {
            command.env_remove(other);
        }
    }

    fn runtime_folder(&self) -> PathBuf {
        self.host.folder().join("run")
    }

    /// Returns the home folder of the robot's user.
    pub fn home(&self) -> PathBuf {
        self.host.folder().join("home")
    }

    fn configuration_file(&self) -> PathBuf {
        self.host.folder().join("dt-swarm.toml")
    }

    /// Puts a file with this content into the shared folder in one step, and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn share(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        self.share_by(name, |draft| fs::write(draft, content))
    }

    /// Like [`Self::share`], with a copy of the file `original`, which may be larger than memory.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn share_copy(&self, name: &str, original: &Path) -> Result<PathBuf> {
        self.share_by(name, |draft| fs::copy(original, draft).map(drop))
    }

    fn share_by(&self, name: &str, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<PathBuf> {
        let (draft, path) = (self.home().join("draft"), self.shared_folder().join(name));
        let shared = write(&draft).and_then(|()| fs::rename(&draft, &path));
        shared.map_err(Error::io(format!("writing {}", path.display())))?;
        Ok(path)
    }
}
