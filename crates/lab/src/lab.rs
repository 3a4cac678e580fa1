//! One lab: its switch, its networks, its hosts, and their removal.

use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;

use crate::delay_network::{Conditions, DelayNetwork};
use crate::host::Host;
use crate::network::Network;
use crate::tool::ip;
use crate::{Error, Result, Unavailable, sweep, system};

/// Number of the next lab in this process; it makes the names of its namespaces unique.
static NEXT_LAB: AtomicU32 = AtomicU32::new(0);

/// A switch with hosts on it; each host is a network namespace of this machine.
///
/// No part of a lab is in the machine's own network, so several labs can run at once. Dropping a lab kills every
/// process on its hosts and removes the namespaces. If a test process was killed, the next lab of any process removes
/// what remains of its labs.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    folder: TempDir,
    switch: String,
    networks: AtomicU32,
    ports: Arc<AtomicU32>,
    lan: Network,
    /// Networks whose threads are stopped with the lab.
    delay_networks: Mutex<Vec<DelayNetwork>>,
}

impl Lab {
    /// Makes a lab with one network, 10.77.0.0/24.
    ///
    /// # Errors
    /// [`Unavailable`] when this process may not make network namespaces, or a program is missing.
    pub fn new(name: &str) -> Result<Self, Unavailable> {
        system::check_tools()?;
        sweep::leftovers();
        system::prepare();
        Self::build(name)
            .map_err(|error| Unavailable::new(format!("no network namespaces here: {error}. {WAY_OUT}")))
    }

    fn build(name: &str) -> Result<Self> {
        check_name(name)?;
        let prefix = format!("{}{}-", sweep::prefix(process::id()), NEXT_LAB.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix(&format!("{prefix}{name}-")).tempdir();
        let folder = folder.map_err(Error::io("making a temporary folder"))?;
        let switch = format!("{prefix}switch");
        let ports = Arc::new(AtomicU32::new(0));
        let lan = Network::unmade(&switch, "lan", 0, &ports);
        // The `Lab` is constructed before the first namespace, so that its `Drop` also cleans up after a failure below.
        let (networks, delay_networks) = (AtomicU32::new(1), Mutex::default());
        let lab = Self { prefix, folder, switch, networks, ports, lan, delay_networks };
        ip(&["netns", "add", &lab.switch])?;
        lab.lan.make()?;
        Ok(lab)
    }

    /// Makes a new host with a link to the first network.
    ///
    /// # Errors
    /// When the name is not allowed or already taken, or no address is left.
    pub fn host(&self, name: &str) -> Result<Host> {
        let mut host = self.lone_host(name)?;
        host.attach(&self.lan)?;
        Ok(host)
    }

    /// Makes a new host without any link; [`Host::attach`] adds links.
    ///
    /// # Errors
    /// When the name is not allowed or already taken.
    pub fn lone_host(&self, name: &str) -> Result<Host> {
        check_name(name)?;
        Host::make(name, &format!("{}{name}", self.prefix), &self.folder.path().join(name))
    }

    /// Returns the first network.
    pub fn lan(&self) -> &Network {
        &self.lan
    }

    /// Makes a further network, not connected with the others. Its addresses are 10.77.K.0/24, with K counted from 1.
    /// The name becomes the name of its bridge, so it may have at most 15 bytes.
    ///
    /// # Errors
    /// When the name is not allowed or already taken.
    pub fn network(&self, name: &str) -> Result<Network> {
        check_name(name)?;
        let network = Network::unmade(&self.switch, name, self.next_network()?, &self.ports);
        network.make()?;
        Ok(network)
    }

    /// Makes a further network that delays frames and loses some; [`Host::attach_tap`] connects hosts with it. The seed
    /// determines all its random choices.
    ///
    /// # Errors
    /// When no network number is left, or the operating system refuses.
    pub fn delay_network(&self, conditions: Conditions, seed: u64) -> Result<DelayNetwork> {
        let network = DelayNetwork::start(self.next_network()?, conditions, seed)?;
        self.delay_networks.lock().unwrap_or_else(PoisonError::into_inner).push(network.clone());
        Ok(network)
    }

    fn next_network(&self) -> Result<u8> {
        let number = self.networks.fetch_add(1, Ordering::Relaxed);
        u8::try_from(number).map_err(|_| Error::Full(format!("network {number}")))
    }

    /// Returns the folder of the logs and of the hosts' folders; it exists until the lab is dropped.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the prefix of the names of all namespaces of this lab.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        sweep::remove(&self.prefix);
        // A namespace exists until the last open TAP interface in it is closed.
        self.delay_networks
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .for_each(DelayNetwork::stop);
        if std::env::var_os("DT_SWARM_LAB_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("lab: kept {}", self.folder.path().display());
        }
    }
}

const WAY_OUT: &str =
    "Run as root, or with tools/in-namespace (an unprivileged user namespace with its own /run)";

fn check_name(name: &str) -> Result {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=32).contains(&name.len()) && name.bytes().all(fits) {
        Ok(())
    } else {
        Err(Error::Name(name.to_owned()))
    }
}
