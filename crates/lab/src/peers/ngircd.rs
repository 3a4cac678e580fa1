//! ngIRCd, the IRC server of Debian, with its own default flood limits.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Error, Host, Mark, Process, Result, Unavailable, process};

/// The IRC port that IPSD uses. Servers on loopback use a free port instead.
const PORT: u16 = 6667;
const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Password with which linked servers authenticate each other.
const PASSWORD: &str = "linked";

/// Settings that differ from the server's defaults.
#[derive(Debug, Clone)]
pub struct NgircdOptions {
    /// The server's name; it must contain a dot.
    pub name: String,
    /// Paths of certificate and key (PEM). With them the server accepts only TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Name of another server to link with. The address is given if this server is the one that connects.
    pub linked: Option<(String, Option<SocketAddr>)>,
    /// Seconds of silence after which the server sends a PING.
    pub ping_after: u64,
}

impl Default for NgircdOptions {
    fn default() -> Self {
        Self { name: "irc.lab".to_owned(), tls: None, linked: None, ping_after: 120 }
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Ngircd {
    /// Where the server runs: on a host or on loopback.
    place: Place,
    address: SocketAddr,
    configuration: PathBuf,
    starts: usize,
    process: Option<Process>,
}

#[derive(Debug)]
enum Place {
    Host(Host),
    Loopback(PathBuf),
}

/// Checks that ngIRCd is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn ngircd_available() -> Result<(), Unavailable> {
    let mut command = Command::new("ngircd");
    command.arg("--version");
    process::run(command, Duration::from_secs(10)).map(drop).map_err(|error| {
        Unavailable::new(format!(
            "ngircd does not run ({error}): install the Debian package ngircd, and put /usr/sbin into PATH"
        ))
    })
}

impl Ngircd {
    /// Starts a server on a host, on all its addresses and the usual port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn on_host(host: &Host) -> Result<Self> {
        Self::on_host_with(host, &NgircdOptions::default())
    }

    /// Like [`Self::on_host`], with these options.
    ///
    /// # Errors
    /// When it does not start.
    pub fn on_host_with(host: &Host, options: &NgircdOptions) -> Result<Self> {
        let address = SocketAddr::from((host.address(), PORT));
        Self::start(Place::Host(host.clone()), address, Ipv4Addr::UNSPECIFIED, options)
    }

    /// Starts a server outside of any lab, on a free port of loopback; its files are in `folder`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn on_loopback(folder: &Path, options: &NgircdOptions) -> Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let address = free.map_err(Error::io("looking for a free port"))?;
        Self::start(Place::Loopback(folder.to_owned()), address, Ipv4Addr::LOCALHOST, options)
    }

    fn start(place: Place, address: SocketAddr, listen: Ipv4Addr, options: &NgircdOptions) -> Result<Self> {
        ngircd_available()?;
        let configuration = place.folder().join("ngircd.conf");
        let text = configuration_of(options, listen.into(), address.port());
        fs::write(&configuration, text).map_err(Error::io(configuration.display().to_string()))?;
        let mut server = Self { place, address, configuration, starts: 0, process: None };
        server.restart()?;
        Ok(server)
    }

    /// Starts the server, after killing a running one.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result {
        self.process = None;
        let mut command = self.place.command("ngircd");
        command.args(["--nodaemon", "--config"]).arg(&self.configuration);
        self.starts += 1;
        let log = self.place.folder().join(format!("ngircd-{}.log", self.starts));
        let process = Process::start("ngircd", command, &log)?;
        process.wait_for_line(|line| line.trim_end().ends_with("ready."), START_LIMIT)?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops the server in an orderly way: it sends a farewell to all clients.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(&mut self) -> Result {
        self.process.take().map_or(Ok(()), |mut process| process.terminate(STOP_LIMIT).map(drop))
    }

    /// Returns the address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the lines that the server has written since its last start.
    pub fn log(&self) -> Vec<String> {
        self.process.as_ref().map(Process::lines).unwrap_or_default()
    }

    /// Waits for a line after the mark for which `wanted` holds.
    ///
    /// # Errors
    /// When no such line comes in time, or the server does not run.
    pub fn wait_for_line(
        &self,
        mark: Mark,
        wanted: impl Fn(&str) -> bool,
        within: Duration,
    ) -> Result<String> {
        let process = self.process.as_ref().ok_or_else(|| Error::answer("ngircd", "it is not running"))?;
        process.wait_for_line_after(mark, |_, line| wanted(line), within)
    }

    /// Returns the place after the last line of the log so far.
    pub fn mark(&self) -> Mark {
        self.process.as_ref().map(Process::mark).unwrap_or_default()
    }
}

impl Place {
    fn folder(&self) -> &Path {
        match self {
            Self::Host(host) => host.folder(),
            Self::Loopback(folder) => folder,
        }
    }

    fn command(&self, program: &str) -> Command {
        match self {
            Self::Host(host) => host.command(program),
            Self::Loopback(_) => Command::new(program),
        }
    }
}

fn configuration_of(options: &NgircdOptions, listen: IpAddr, port: u16) -> String {
    // With TLS the server listens only with TLS, because one port cannot serve both.
    let (plain, tls) = match &options.tls {
        None => (format!("Ports = {port}\n"), String::new()),
        Some((certificate, key)) => (
            String::new(),
            format!(
                "[SSL]\nCertFile = {}\nKeyFile = {}\nPorts = {port}\n",
                certificate.display(),
                key.display()
            ),
        ),
    };
    let linked = options.linked.as_ref().map_or_else(String::new, |(name, address)| {
        let way = address.map_or_else(
            || "Passive = yes\n".to_owned(),
            |address| format!("Host = {}\nPort = {}\n", address.ip(), address.port()),
        );
        format!("[Server]\nName = {name}\n{way}MyPassword = {PASSWORD}\nPeerPassword = {PASSWORD}\n")
    });
    let (name, ping_after) = (&options.name, options.ping_after);
    // A lab has neither DNS nor ident servers, and on loopback all clients have one address.
    format!(
        "[Global]\nName = {name}\nInfo = lab\nAdminInfo1 = lab\nMotdPhrase = lab\nListen = {listen}\n{plain}\
         [Limits]\nMaxConnectionsIP = 0\nConnectRetry = 5\nPingTimeout = {ping_after}\n\
         [Options]\nDNS = no\nIdent = no\nPAM = no\nSyslogFacility = local5\n{tls}{linked}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_flood_limits_are_not_changed() {
        let text = configuration_of(&NgircdOptions::default(), Ipv4Addr::LOCALHOST.into(), 6667);
        assert!(!text.contains("Penalty") && text.contains("Ports = 6667") && !text.contains("[SSL]"));
    }
}
