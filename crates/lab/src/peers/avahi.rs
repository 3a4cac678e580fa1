//! Avahi, the mDNS daemon of Debian. A robot runs it to be found by its name, so its cost is the lower bound of the
//! cost of being on a network.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::{Error, Host, Process, Result, Unavailable, process};

const START_LIMIT: Duration = Duration::from_secs(30);

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub struct Avahi {
    host: Host,
    process: Process,
}

/// Checks that Avahi is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn avahi_available() -> Result<(), Unavailable> {
    let mut command = Command::new("avahi-daemon");
    command.arg("--version");
    process::run(command, Duration::from_secs(10)).map(drop).map_err(|error| {
        Unavailable::new(format!(
            "avahi-daemon does not run ({error}): install the Debian package avahi-daemon, and put /usr/sbin into PATH"
        ))
    })
}

impl Avahi {
    /// Starts the daemon on a host, whose name it publishes, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(host: &Host) -> Result<Self> {
        Self::start_with(host, &[])
    }

    /// Starts the daemon on a host, lets it publish services, and waits until it is ready. `services` are the names of
    /// service files and their content.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_with(host: &Host, services: &[(&str, String)]) -> Result<Self> {
        let avahi = Self::launch(host, services)?;
        avahi.wait_until_ready()?;
        Ok(avahi)
    }

    /// Starts the daemon like [`Self::start_with`], without waiting for it to be ready.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn launch(host: &Host, services: &[(&str, String)]) -> Result<Self> {
        let folder = host.folder().join("avahi-services");
        fs::create_dir_all(&folder).map_err(Error::io(folder.display().to_string()))?;
        for (name, content) in services {
            let file = folder.join(format!("{name}.service"));
            fs::write(&file, content).map_err(Error::io(file.display().to_string()))?;
        }
        let configuration = host.folder().join("avahi.conf");
        let text = format!("[server]\nenable-dbus=no\nhost-name={}\n", host.name());
        fs::write(&configuration, text).map_err(Error::io(configuration.display().to_string()))?;
        let mut command = host.command("sh");
        // Each daemon has its own folders for its PID file and its services, because `ip netns exec` gives every command
        // mounts of its own.
        let script = "mkdir -p /run/avahi-daemon && mount -t tmpfs tmpfs /run/avahi-daemon && \
                      mount --bind \"$1\" /etc/avahi/services && \
                      exec avahi-daemon -f \"$0\" --no-drop-root --no-chroot --no-rlimits --no-proc-title";
        command.arg("-c").arg(script).arg(&configuration).arg(&folder);
        let process = host.spawn("avahi", command)?;
        Ok(Self { host: host.clone(), process })
    }

    /// Waits until the daemon publishes.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_until_ready(&self) -> Result {
        self.process.wait_for_line(|line| line.contains("Server startup complete"), START_LIMIT).map(drop)
    }

    /// Returns the host of the daemon.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the process, to measure its resource usage.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
