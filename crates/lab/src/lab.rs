//! One lab: its switch, its networks and its hosts, and how they vanish.

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

/// Labs of one process are told apart by this number.
static NEXT_LAB: AtomicU32 = AtomicU32::new(0);

/// A switch with hosts on it, each a network namespace of this machine.
///
/// Nothing of it lies in the machine's own network, so labs may run beside each other. Dropping it
/// kills every process on its hosts and removes all; what a killed test process left behind is
/// removed by the next lab of any process.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    folder: TempDir,
    switch: String,
    networks: AtomicU32,
    ports: Arc<AtomicU32>,
    lan: Network,
    /// To be stopped with the lab.
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
        // Made before the first namespace, so that a failure half way is torn down like everything else.
        let (networks, delay_networks) = (AtomicU32::new(1), Mutex::default());
        let lab = Self { prefix, folder, switch, networks, ports, lan, delay_networks };
        ip(&["netns", "add", &lab.switch])?;
        lab.lan.make()?;
        Ok(lab)
    }

    /// A new host with a link to the first network.
    ///
    /// # Errors
    /// When the name is unfit or taken, or no address is left.
    pub fn host(&self, name: &str) -> Result<Host> {
        let mut host = self.lone_host(name)?;
        host.attach(&self.lan)?;
        Ok(host)
    }

    /// A new host without any link; [`Host::attach`] gives it one.
    ///
    /// # Errors
    /// When the name is unfit or taken.
    pub fn lone_host(&self, name: &str) -> Result<Host> {
        check_name(name)?;
        Host::make(name, &format!("{}{name}", self.prefix), &self.folder.path().join(name))
    }

    /// The first network.
    pub fn lan(&self) -> &Network {
        &self.lan
    }

    /// One more network, not connected with the others; its addresses are 10.77.K.0/24 with K from 1.
    /// The name becomes that of its bridge, so it has at most 15 bytes.
    ///
    /// # Errors
    /// When the name is unfit or taken.
    pub fn network(&self, name: &str) -> Result<Network> {
        check_name(name)?;
        let network = Network::unmade(&self.switch, name, self.next_network()?, &self.ports);
        network.make()?;
        Ok(network)
    }

    /// One more network, on which frames take their time and some are lost; [`Host::attach_tap`] brings hosts to it.
    /// All chance on it grows from the seed.
    ///
    /// # Errors
    /// When no network is left, or the operating system refuses.
    pub fn delay_network(&self, conditions: Conditions, seed: u64) -> Result<DelayNetwork> {
        let network = DelayNetwork::start(self.next_network()?, conditions, seed)?;
        self.delay_networks.lock().unwrap_or_else(PoisonError::into_inner).push(network.clone());
        Ok(network)
    }

    fn next_network(&self) -> Result<u8> {
        let number = self.networks.fetch_add(1, Ordering::Relaxed);
        u8::try_from(number).map_err(|_| Error::Full(format!("network {number}")))
    }

    /// Where logs and the hosts' folders lie, as long as the lab lives.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What all its namespaces' names begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        sweep::remove(&self.prefix);
        // A namespace lives on as long as a TAP interface in it is held open.
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
    "Run as root, or by tools/in-namespace (an unprivileged user namespace with its own /run)";

fn check_name(name: &str) -> Result {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=32).contains(&name.len()) && name.bytes().all(fits) {
        Ok(())
    } else {
        Err(Error::Name(name.to_owned()))
    }
}
