//! A host: one network namespace with its links, its folder and its processes.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, thread, time::Duration};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::delay_network::DelayNetwork;
use crate::link::{Link, Traffic};
use crate::network::Network;
use crate::process::{self, Finished, Process};
use crate::tap;
use crate::tool::{inside, ip, run};
use crate::{Error, Result};

/// A host of a lab, with its own interfaces, loopback, firewall and folder. It exists until its lab is dropped.
#[derive(Debug, Clone)]
pub struct Host {
    name: String,
    namespace: String,
    folder: PathBuf,
    links: Vec<Link>,
}

impl Host {
    pub(crate) fn make(name: &str, namespace: &str, folder: &Path) -> Result<Self> {
        ip(&["netns", "add", namespace])?;
        ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        fs::create_dir_all(folder).map_err(Error::io(format!("making {}", folder.display())))?;
        let host = Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            folder: folder.to_owned(),
            links: vec![],
        };
        // Robots use the congestion control algorithm cubic. If only the machine's root may choose the algorithm, this
        // call fails, and the host uses the machine's default.
        let _ = run(
            host.command_with("sh", &["-c", "echo cubic > /proc/sys/net/ipv4/tcp_congestion_control"]),
            "",
        );
        Ok(host)
    }

    /// Connects this host with a network by a virtual cable, and gives it the network's next free address.
    ///
    /// # Errors
    /// When no address is left, or `ip` fails.
    pub fn attach(&mut self, network: &Network) -> Result<Link> {
        let (switch, port, address) = (network.switch.as_str(), network.next_port(), network.next_address()?);
        let (namespace, interface) = (self.namespace.as_str(), format!("eth{}", self.links.len()));
        ip(&[
            "-n", switch, "link", "add", &port, "type", "veth", "peer", "name", &interface, "netns",
            namespace,
        ])?;
        ip(&["-n", switch, "link", "set", &port, "master", &network.bridge, "addrgenmode", "none", "up"])?;
        let with_mask = format!("{address}/24");
        ip(&["-n", namespace, "address", "add", &with_mask, "broadcast", "+", "dev", &interface])?;
        ip(&["-n", namespace, "link", "set", &interface, "up"])?;
        let link =
            Link { namespace: namespace.to_owned(), interface, address, switch: switch.to_owned(), port };
        self.links.push(link.clone());
        Ok(link)
    }

    /// Connects this host with a delay network, and gives it the network's next free address.
    ///
    /// The host sees an ordinary Ethernet interface. Its carrier cannot be pulled, so [`Link::disconnect`] sets the
    /// interface itself down.
    ///
    /// # Errors
    /// When no address is left, or the interface cannot be made.
    pub fn attach_tap(&mut self, network: &DelayNetwork) -> Result<Link> {
        let interface = format!("eth{}", self.links.len());
        let address = network.next_address()?;
        let what = || format!("a TAP interface on {}", self.name);
        let tap = self.within(|| tap::open(&interface))?.map_err(Error::io(what()))?;
        tap::configure(&self.namespace, &interface, address)?;
        network.plug(tap, address)?;
        let (namespace, switch) = (self.namespace.clone(), self.namespace.clone());
        let link = Link { namespace, interface: interface.clone(), address, switch, port: interface };
        self.links.push(link.clone());
        Ok(link)
    }

    /// Returns the name that the host was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the host's network namespace, for `ip netns exec`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the folder of the host's files and logs; it is removed with the lab.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the links, in the order in which they were attached.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Returns the address on the network that was attached first, or loopback when there is none.
    pub fn address(&self) -> Ipv4Addr {
        self.links.first().map_or(Ipv4Addr::LOCALHOST, Link::address)
    }

    /// Returns a command that runs this program on the host.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        inside(&self.namespace, program.as_ref())
    }

    fn command_with(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(program);
        command.args(arguments);
        command
    }

    /// Starts a command. Its log file in the host's folder is called `name`.log.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, name: &str, command: Command) -> Result<Process> {
        Process::start(&format!("{}/{name}", self.name), command, &self.folder.join(format!("{name}.log")))
    }

    /// Runs `work` on the host, in a thread of this process that is moved into the host's namespace. Sockets that `work`
    /// opens belong to the host, even when another thread uses them later.
    ///
    /// # Errors
    /// When the thread cannot be moved.
    ///
    /// # Panics
    /// When the work panics.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = Path::new("/run/netns").join(&self.namespace);
        let moved = || {
            let namespace = fs::File::open(&path)?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        };
        // The thread ends with the work, so no other work ever runs in the wrong namespace.
        let done = thread::scope(|scope| scope.spawn(moved).join());
        let done = done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.map_err(Error::io(format!("moving a thread to the host {}", self.name)))
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot be started, or does not end in time; then it is killed. A failing exit status is not an error.
    pub fn run(&self, command: Command, within: Duration) -> Result<Finished> {
        process::run(command, within)
    }

    /// Calls [`Link::limit_rate`] on every link.
    ///
    /// # Errors
    /// When `tc` fails.
    pub fn limit_rate(&self, bits_per_second: u64) -> Result {
        self.links.iter().try_for_each(|link| link.limit_rate(bits_per_second))
    }

    /// Calls [`Link::unlimit_rate`] on every link.
    ///
    /// # Errors
    /// When there was no limit, or `tc` fails.
    pub fn unlimit_rate(&self) -> Result {
        self.links.iter().try_for_each(Link::unlimit_rate)
    }

    /// Calls [`Link::set_loss`] on every link.
    ///
    /// # Errors
    /// When `nft` fails.
    pub fn set_loss(&self, fraction: f64) -> Result {
        self.links.iter().try_for_each(|link| link.set_loss(fraction))
    }

    /// Calls [`Link::disconnect`] on every link.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn disconnect(&self) -> Result {
        self.links.iter().try_for_each(Link::disconnect)
    }

    /// Calls [`Link::reconnect`] on every link.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn reconnect(&self) -> Result {
        self.links.iter().try_for_each(Link::reconnect)
    }

    /// Returns the sum of the traffic on all links.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn traffic(&self) -> Result<Traffic> {
        let mut sum = Traffic::default();
        for traffic in self.links.iter().map(Link::traffic) {
            let traffic = traffic?;
            sum.received += traffic.received;
            sum.sent += traffic.sent;
            sum.dropped += traffic.dropped;
        }
        Ok(sum)
    }

    /// Returns the bytes sent through the rate limits of all links so far; see [`Link::sent_through_limit`].
    ///
    /// # Errors
    /// When a link has no limit, or `tc` fails.
    pub fn sent_through_limits(&self) -> Result<u64> {
        self.links.iter().map(Link::sent_through_limit).sum()
    }
}
