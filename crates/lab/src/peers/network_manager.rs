//! NetworkManager, which manages the connections of most desktops and of many robots, with a message bus of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::{Error, Host, Process, Result, Unavailable, process};

const START_LIMIT: Duration = Duration::from_secs(30);

/// Name of the connection that the daemon manages.
const CONNECTION: &str = "lab";

/// A running daemon, with its message bus. Dropping it kills both.
#[derive(Debug)]
pub struct NetworkManager {
    host: Host,
    bus: PathBuf,
    _processes: [Process; 2],
}

/// Checks that NetworkManager and the message bus are installed.
///
/// # Errors
/// [`Unavailable`] when they are not.
pub fn network_manager_available() -> Result<(), Unavailable> {
    for program in ["NetworkManager", "nmcli", "dbus-daemon"] {
        let mut command = Command::new(program);
        command.arg("--version");
        process::run(command, Duration::from_secs(10)).map_err(|error| {
            Unavailable::new(format!(
                "{program} does not run ({error}): install the Debian packages network-manager and dbus-daemon, and put \
                 /usr/sbin into PATH"
            ))
        })?;
    }
    Ok(())
}

impl NetworkManager {
    /// Starts the daemon on a host, and lets it manage the first interface with its present address.
    ///
    /// # Errors
    /// When it does not start, or does not activate the connection.
    pub fn start(host: &Host) -> Result<Self> {
        let folder = host.folder().join("network-manager");
        let connections = folder.join("connections");
        fs::create_dir_all(&connections).map_err(Error::io(connections.display().to_string()))?;
        let link = host.links().first().ok_or_else(|| Error::answer("NetworkManager", "no interface"))?;
        let (interface, address) = (link.interface(), link.address());
        // Only a connection with a default route is the primary one. Nobody has to have the address of the router.
        let [a, b, c, _] = address.octets();
        let files = [
            (
                folder.join("nm.conf"),
                format!(
                    "[main]\nplugins=keyfile\ndns=none\nrc-manager=unmanaged\nauth-polkit=false\nno-auto-default=*\n\
                     [keyfile]\npath={}\n[device]\nmatch-device=interface-name:{interface}\nmanaged=1\n\
                     [connectivity]\nenabled=false\n",
                    connections.display()
                ),
            ),
            (
                connections.join("lab.nmconnection"),
                format!(
                    "[connection]\nid={CONNECTION}\nuuid=2b8d1f6e-9d7c-4c5e-8b3a-0f4f1d2c3b4a\ntype=ethernet\n\
                     interface-name={interface}\n[ipv4]\nmethod=manual\naddress1={address}/24,{a}.{b}.{c}.254\n\
                     [ipv6]\nmethod=link-local\n"
                ),
            ),
        ];
        for (file, text) in files {
            fs::write(&file, text).map_err(Error::io(file.display().to_string()))?;
            // NetworkManager ignores a connection that others can read.
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))
                .map_err(Error::io(file.display().to_string()))?;
        }
        let bus = folder.join("bus");
        let mut command = host.command("dbus-daemon");
        command.arg("--config-file=/usr/share/dbus-1/system.conf").arg("--nofork").arg("--nopidfile");
        command.arg(format!("--address={}", address_of(&bus))).arg("--print-address");
        let bus_process = host.spawn("dbus-daemon", command)?;
        bus_process.wait_for_line(|line| line.contains("unix:"), START_LIMIT)?;
        let mut command = host.command("sh");
        // Without udev, NetworkManager manages an interface only if /sys cannot be written, as in a container. Its folders are
        // its own, because `ip netns exec` gives every command mounts of its own.
        let script = "mount -o remount,ro /sys && mount -t tmpfs tmpfs /run && \
                      mount -t tmpfs tmpfs /var/lib/NetworkManager && mount -t tmpfs tmpfs /etc/NetworkManager && \
                      exec NetworkManager --no-daemon --log-level=INFO --config=\"$0\"";
        command.arg("-c").arg(script).arg(folder.join("nm.conf"));
        command.env("DBUS_SYSTEM_BUS_ADDRESS", address_of(&bus));
        let process = host.spawn("network-manager", command)?;
        let manager = Self { host: host.clone(), bus, _processes: [process, bus_process] };
        let mut command = manager.nmcli();
        command.args(["--wait", "20", "connection", "up", CONNECTION]);
        crate::wait_until(START_LIMIT, "NetworkManager", || {
            let mut running = manager.nmcli();
            running.args(["-t", "-f", "RUNNING", "general"]);
            let told = host.run(running, START_LIMIT).ok()?.success("nmcli").ok()?;
            told.contains("running").then_some(())
        })?;
        host.run(command, START_LIMIT)?.success("nmcli connection up")?;
        Ok(manager)
    }

    /// Returns the value of `DBUS_SYSTEM_BUS_ADDRESS` for programs that shall use this message bus.
    pub fn bus_address(&self) -> String {
        address_of(&self.bus)
    }

    /// Sets whether the connection is charged by volume, and activates it again.
    ///
    /// # Errors
    /// When NetworkManager refuses.
    pub fn set_metered(&self, is_metered: bool) -> Result {
        let value = if is_metered { "yes" } else { "no" };
        let mut command = self.nmcli();
        command.args(["connection", "modify", CONNECTION, "connection.metered", value]);
        self.host.run(command, START_LIMIT)?.success("nmcli connection modify")?;
        let mut command = self.nmcli();
        command.args(["--wait", "20", "connection", "up", CONNECTION]);
        self.host.run(command, START_LIMIT)?.success("nmcli connection up").map(drop)
    }

    fn nmcli(&self) -> Command {
        let mut command = self.host.command("nmcli");
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.bus_address());
        command
    }
}

fn address_of(bus: &std::path::Path) -> String {
    format!("unix:path={}", bus.display())
}
