//! Avahi, the mDNS daemon that Debian packages: what a robot runs to be found by its name, and so the least that being
//! on a network costs.

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

/// Whether Avahi is installed.
///
/// # Errors
/// [`Unavailable`] when not.
pub fn avahi_available() -> Result<(), Unavailable> {
    let mut command = Command::new("avahi-daemon");
    command.arg("--version");
    process::run(command, Duration::from_secs(10)).map(drop).map_err(|error| {
        Unavailable::new(format!(
            "avahi-daemon does not run ({error}): install the Debian package avahi-daemon, and have /usr/sbin in PATH"
        ))
    })
}

impl Avahi {
    /// Starts the daemon on a host; it publishes the host's name.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(host: &Host) -> Result<Self> {
        let configuration = host.folder().join("avahi.conf");
        let text = format!("[server]\nenable-dbus=no\nhost-name={}\n", host.name());
        fs::write(&configuration, text).map_err(Error::io(configuration.display().to_string()))?;
        let mut command = host.command("sh");
        // Each has a place for its PID file: a host of a lab has mounts of its own.
        let script = "mkdir -p /run/avahi-daemon && mount -t tmpfs tmpfs /run/avahi-daemon && \
                      exec avahi-daemon -f \"$0\" --no-drop-root --no-chroot --no-rlimits --no-proc-title";
        command.arg("-c").arg(script).arg(&configuration);
        let process = host.spawn("avahi", command)?;
        process.wait_for_line(|line| line.contains("Server startup complete"), START_LIMIT)?;
        Ok(Self { host: host.clone(), process })
    }

    /// Its host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its process, for what it uses.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
