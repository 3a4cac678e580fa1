//! A robot: a host that runs our daemon.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use control::Client;
use serde_json::Value;

use crate::{Error, FakeClock, Host, Lab, Process, Programs, Result, programs};

/// The line of the daemon's banner that says that it runs.
const READY: &str = "peer ID";

const READY_LIMIT: Duration = Duration::from_secs(30);
const CLI_LIMIT: Duration = Duration::from_secs(30);
/// Time that an answer over the control socket may take.
const CONTROL_LIMIT: Duration = Duration::from_secs(30);

/// How long a daemon may take to end in order after SIGTERM, as promised to its users.
pub const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A host with a home, a data folder and a shared folder of its own, which run through all restarts of its daemon.
#[derive(Debug)]
pub struct Robot {
    host: Host,
    programs: Programs,
    /// The wall clock of its daemon; the machine's when there is none.
    clock: Option<FakeClock>,
    daemon: Option<Process>,
}

impl Robot {
    /// A new robot on the lab's first network, its daemon running and ready.
    ///
    /// # Errors
    /// When the host or the daemon does not come up.
    pub fn start(lab: &Lab, name: &str) -> Result<Self> {
        Self::start_on(lab.host(name)?, "")
    }

    /// A robot on this host with this configuration (TOML), its daemon running and ready. The configuration may have
    /// tables, such as the section of a service.
    ///
    /// # Errors
    /// When the daemon does not come up.
    pub fn start_on(host: Host, configuration: &str) -> Result<Self> {
        let mut robot = Self::new(host, configuration)?;
        robot.restart()?;
        Ok(robot)
    }

    /// A robot on this host with this configuration (TOML), its daemon not yet running.
    ///
    /// # Errors
    /// When the programs cannot be built or the folders not be made.
    pub fn new(host: Host, configuration: &str) -> Result<Self> {
        let robot = Self { host, programs: programs()?, clock: None, daemon: None };
        for folder in [robot.home(), robot.data_folder(), robot.shared_folder(), robot.runtime_folder()] {
            fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
        }
        let file = robot.configuration_file();
        // All hosts of a lab have the machine's own name.
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

    /// Returns this robot with another wall clock for its daemon, from the next start on; `None` for the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Option<FakeClock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the daemon, killing the one that runs, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready; the error shows its last lines.
    pub fn restart(&mut self) -> Result {
        self.launch()?;
        self.wait_until_ready()
    }

    /// Starts the daemon, killing the one that runs, and waits for nothing.
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

    /// Waits until the daemon that was launched is ready.
    ///
    /// # Errors
    /// When it does not get ready; the error shows its last lines.
    pub fn wait_until_ready(&mut self) -> Result {
        let is_ready = |line: &str| line.trim_start().starts_with(READY);
        self.running()?.wait_for_line(is_ready, READY_LIMIT).map(drop)
    }

    /// SIGKILL, as when the power is cut. A daemon that does not run is no error.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn kill9(&mut self) -> Result {
        self.daemon.take().map_or(Ok(()), |mut daemon| daemon.kill().map(drop))
    }

    /// SIGTERM, and waits for the end for [`STOP_LIMIT`].
    ///
    /// # Errors
    /// When it does not run or does not end in time.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        let status = self.running()?.terminate(STOP_LIMIT)?;
        self.daemon = None;
        Ok(status)
    }

    /// Runs the CLI on this robot against itself and reads its answer, which must be JSON.
    ///
    /// # Errors
    /// When the CLI fails or answers something else.
    pub fn cli(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.cli_text(arguments)?;
        serde_json::from_str(&text)
            .map_err(|problem| Error::answer(format!("dt-swarm-cli {arguments:?}: {problem}"), text))
    }

    /// As [`Self::cli`], for answers that people read.
    ///
    /// # Errors
    /// When the CLI fails.
    pub fn cli_text(&self, arguments: &[&str]) -> Result<String> {
        self.host.run(self.cli_command(arguments), CLI_LIMIT)?.success(&format!("dt-swarm-cli {arguments:?}"))
    }

    /// Runs the CLI on this robot against itself, which must fail; gives what it says then.
    ///
    /// # Errors
    /// When it succeeds.
    pub fn cli_failure(&self, arguments: &[&str]) -> Result<String> {
        let finished = self.host.run(self.cli_command(arguments), CLI_LIMIT)?;
        match finished.status.success() {
            true => Err(Error::answer(format!("a failure of dt-swarm-cli {arguments:?}"), finished.stdout)),
            false => Ok(finished.stderr),
        }
    }

    /// The CLI on this robot, to ask it itself.
    pub fn cli_command(&self, arguments: &[&str]) -> Command {
        self.cli_command_to("127.0.0.1", arguments)
    }

    /// The CLI on this robot, to ask whatever daemon answers at `host`.
    pub fn cli_command_to(&self, host: &str, arguments: &[&str]) -> Command {
        let mut command = self.host.command(&self.programs.cli);
        command.arg(host).args(arguments);
        self.surround(&mut command);
        command
    }

    /// The host, for its conditions.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The daemon's process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn running(&mut self) -> Result<&mut Process> {
        let name = self.host.name();
        self.daemon.as_mut().ok_or_else(|| Error::answer(format!("the daemon of {name}"), "it does not run"))
    }

    /// The folder whose files the swarm gets.
    pub fn shared_folder(&self) -> PathBuf {
        self.home().join("shared-logs")
    }

    /// Where the daemon keeps its state.
    pub fn data_folder(&self) -> PathBuf {
        self.host.folder().join("data")
    }

    /// Where the daemon takes orders of its owner.
    pub fn control_socket(&self) -> PathBuf {
        self.runtime_folder().join("dt-swarm").join("control.sock")
    }

    /// A client of the daemon's control socket.
    ///
    /// # Errors
    /// When the daemon does not accept it.
    pub fn control(&self) -> Result<Client> {
        let path = self.control_socket();
        let what = format!("connecting with the daemon of {}", self.host.name());
        Client::connect(&path, CONTROL_LIMIT).map_err(Error::control(what))
    }

    /// All robots share the machine's file system, so each gets folders of its own for whatever it may look for.
    fn surround(&self, command: &mut Command) {
        command.env("HOME", self.home());
        command.env("DSWARM_DIR_STORAGE", self.shared_folder());
        command.env("XDG_RUNTIME_DIR", self.runtime_folder());
        for other in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "DT_SWARM_SOCKET"] {
            command.env_remove(other);
        }
        if env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "info");
        }
    }

    fn runtime_folder(&self) -> PathBuf {
        self.host.folder().join("run")
    }

    /// The home of whoever uses this robot.
    pub fn home(&self) -> PathBuf {
        self.host.folder().join("home")
    }

    fn configuration_file(&self) -> PathBuf {
        self.host.folder().join("dt-swarm.toml")
    }

    /// Puts a file with this content into the shared folder in one step, and gives its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn share(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        self.share_by(name, |draft| fs::write(draft, content))
    }

    /// As [`Self::share`], a copy of this file, which may be larger than memory.
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
