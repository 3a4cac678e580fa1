//! Puts the rooms together, and takes them down in order.

use crate::comms::{Doors, run_comms};
use crate::config::{Arguments, Config, ConfigError, Environment};
use crate::content::Content;
use crate::control_socket::Control;
use crate::identity::{self, IdentityError};
use crate::membership::{Membership, MembershipError};
use crate::plan::{Plan, Planner};
use crate::routes::{self, Routes};
use crate::shelf::Shelf;
use crate::supervise::supervise;
use crate::{banner, facts, plan};
use brain::Routing;
use channels::{InterfaceFilter, InterfaceFilterError};
use dcache::{Keypair, PeerId, SwarmFile, Time};
use discovery::{Facts, run_announcer};
use gateway::{Holders, Settings, run_gateway};
use ipfs::node::Node;
use rand::TryRng as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{OpenError, Opened, Store};
use swarm::{Driver, Setup, Swarm};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transfers::{BookError, Downloads, Rates};

/// When this program was built.
fn built() -> Time {
    // Without a number there is no floor from this side; build.rs writes one.
    Time(env!("DT_SWARM_BUILT").parse().unwrap_or_default())
}

/// The longest that stopping may take.
const STOPPING: Duration = Duration::from_millis(4500);
/// How long the banner waits for the node's addresses.
const ADDRESSES: Duration = Duration::from_secs(3);

/// Why the daemon does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Interfaces(#[from] InterfaceFilterError),
    #[error("the data folder {0} cannot be made: {1}; choose another with --data-dir")]
    DataFolder(PathBuf, std::io::Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Transfers(#[from] BookError),
    #[error("the system refuses what every program needs: {0}")]
    System(#[from] std::io::Error),
    #[error("stopping took longer than {} s; what was not written yet is asked of the others again", STOPPING.as_secs())]
    Stuck,
}

/// Runs the daemon until it is told to stop.
pub(crate) fn run(arguments: &Arguments) -> Result<(), RunError> {
    let config = Config::load(arguments, &Environment::current())?;
    let choice = InterfaceFilter::new(&config.interfaces)?;
    let membership = Membership::load(&config)?;
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|error| RunError::DataFolder(config.data_dir.clone(), error))?;
    let keypair = identity::load_or_make(&config.data_dir)?;
    let store = open_store(&config)?;
    // Two threads: one core of a robot must not be kept waiting by the other's hashing.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(Daemon { config, choice, keypair, store }.run(membership));
    // A stuck thread must not keep the process.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

fn open_store(config: &Config) -> Result<Arc<Store>, RunError> {
    let (store, opened) = Store::open(&config.data_dir.join("records.redb"))?;
    if let Opened::SetAside { moved_to, reason, .. } = opened {
        let moved_to = moved_to.display();
        tracing::warn!(%moved_to, reason, "the store was damaged and set aside; its records come back from peers");
    }
    Ok(Arc::new(store))
}

struct Daemon {
    config: Config,
    choice: InterfaceFilter,
    keypair: Keypair,
    store: Arc<Store>,
}

impl Daemon {
    async fn run(self, membership: Membership) -> Result<(), RunError> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let stop = CancellationToken::new();
        let seed = random_seed()?;
        let me = self.keypair.peer_id();
        let (facts, known) = watch::channel(facts::first(&self.config, &self.choice));
        let mut tasks = JoinSet::new();
        let name = membership.name().map(str::to_owned);
        let (joined, of_swarm) = watch::channel(membership.file().cloned());
        let (node, plan) = (watch::Sender::new(None), watch::Sender::new(self.first_plan(&of_swarm, &known)));
        let (swarm, routes) = self.spawn_comms(&mut tasks, seed, &membership, &of_swarm, &plan, &node, &stop);
        let planner = Planner {
            config: self.config.clone(),
            swarm: swarm.clone(),
            membership: of_swarm.clone(),
            facts: facts.subscribe(),
            routes: routes.clone(),
            plan: plan.clone(),
        };
        spawn_until(&mut tasks, &stop, async move {
            // It ends only with the daemon.
            let _ = planner.run().await;
        });
        let ledger = watch::Sender::new(None);
        let shelf = Shelf::new(swarm.clone(), node.subscribe(), ledger.subscribe(), &self.config);
        let transfers = self.transfers(&swarm, &node)?;
        let control = Control::new(swarm.clone(), membership, joined, routes, transfers.clone(), shelf);
        self.spawn_control(&mut tasks, control, &stop);
        self.spawn_gateway(&mut tasks, &swarm, node.subscribe(), &stop);
        let content = self.content(seed, &swarm, &facts, of_swarm, plan.subscribe(), node, transfers);
        let content = content.map(|content| Content { ledger, ..content });
        spawn_content(&mut tasks, content, &stop);
        self.spawn_discovery(&mut tasks, &swarm, &facts, &stop);
        drop(self.store);
        show(&self.config, me, name.as_deref(), known).await;
        tokio::select! {
            _ = interrupt.recv() => tracing::info!("interrupted; stopping"),
            _ = terminate.recv() => tracing::info!("told to stop; stopping"),
        }
        stop.cancel();
        let all = async { while tasks.join_next().await.is_some() {} };
        let result = tokio::time::timeout(STOPPING, all).await.map_err(|_| RunError::Stuck);
        tracing::info!("stopped");
        result
    }

    /// What is known before anything runs: with it the channels need not begin anew at once.
    fn first_plan(
        &self,
        of_swarm: &watch::Receiver<Option<SwarmFile>>,
        facts: &watch::Receiver<Facts>,
    ) -> Plan {
        let addresses = plan::first(&self.config, of_swarm.borrow().as_ref());
        Plan::of(&addresses, &facts.borrow().lines)
    }

    #[expect(clippy::too_many_arguments, reason = "this is where all that is made meets")]
    fn spawn_comms(
        &self,
        tasks: &mut JoinSet<()>,
        seed: u64,
        membership: &Membership,
        of_swarm: &watch::Receiver<Option<SwarmFile>>,
        plan: &watch::Sender<Plan>,
        node: &watch::Sender<Option<Node>>,
        stop: &CancellationToken,
    ) -> (Swarm, Routes) {
        let path = self.config.data_dir.join("routes");
        let (configured, added) = (self.config.routes.clone(), routes::read(&path));
        let rules = configured.iter().chain(&added).cloned().collect();
        let routing = Routing { rules, paths: Vec::new(), forwards: self.config.forward };
        let setup = Setup {
            keypair: Keypair::from_seed(self.keypair.seed()),
            store: self.store.clone(),
            policy: membership.policy(),
            routing,
            wall_clock: swarm::system_clock,
            built: built(),
            settings: brain::Settings::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
        };
        let (driver, swarm) = Driver::new(setup);
        let doors = Doors {
            me: self.keypair.peer_id(),
            hostname: self.config.hostname.clone(),
            udp_port: self.config.udp_port,
            tcp_port: self.config.tcp_port,
            interfaces: self.choice.clone(),
            plan: plan.subscribe(),
            membership: of_swarm.clone(),
            node: node.subscribe(),
        };
        let (driver, stopped) = (Arc::new(driver), stop.clone());
        tasks.spawn(supervise("comms", stop.clone(), move || {
            let (driver, doors, stop) = (driver.clone(), doors.clone(), stopped.clone());
            async move { run_comms(&driver, doors, stop).await }
        }));
        let routes = Routes::new(swarm.clone(), path, configured, added, self.config.forward);
        (swarm, routes)
    }

    fn spawn_control(&self, tasks: &mut JoinSet<()>, control: Control, stop: &CancellationToken) {
        let path = self.config.control_socket.clone();
        let serve = move || {
            let (control, path) = (control.clone(), path.clone());
            async move { control.serve(path).await.map(|never| match never {}) }
        };
        spawn_until(tasks, stop, supervise("control", stop.clone(), serve));
    }

    fn spawn_gateway(
        &self,
        tasks: &mut JoinSet<()>,
        swarm: &Swarm,
        node: watch::Receiver<Option<Node>>,
        stop: &CancellationToken,
    ) {
        let Some(listen) = self.config.gateway else { return };
        let settings = Settings::new(listen, vec![self.config.hostname.clone()]);
        let holders = holders(swarm.clone());
        let serve = move || {
            let (settings, node, holders) = (settings.clone(), node.clone(), holders.clone());
            async move { run_gateway(settings, node, holders).await.map(|never| match never {}) }
        };
        spawn_until(tasks, stop, supervise("gateway", stop.clone(), serve));
    }

    /// What was ordered before, and the limits that were set.
    fn transfers(
        &self,
        swarm: &Swarm,
        node: &watch::Sender<Option<Node>>,
    ) -> Result<(Downloads, Rates), BookError> {
        let (store, most) = (self.store.clone(), self.config.store_max_bytes);
        let downloads = Downloads::open(store.clone(), swarm.clone(), node.subscribe(), most)?;
        Ok((downloads, Rates::open(store, self.config.limits)?))
    }

    #[expect(clippy::too_many_arguments, reason = "this is where all that is made meets")]
    fn content(
        &self,
        seed: u64,
        swarm: &Swarm,
        facts: &watch::Sender<Facts>,
        membership: watch::Receiver<Option<SwarmFile>>,
        plan: watch::Receiver<Plan>,
        node: watch::Sender<Option<Node>>,
        (downloads, rates): (Downloads, Rates),
    ) -> Option<Content> {
        // An Ed25519 key has 32 bytes, and any 32 bytes are one.
        let keypair = ipfs::Keypair::ed25519_from_bytes(self.keypair.seed()).ok()?;
        let (config, store) = (self.config.clone(), self.store.clone());
        let (swarm, facts) = (swarm.clone(), facts.clone());
        let ledger = watch::Sender::default();
        Some(Content {
            config,
            keypair,
            seed,
            store,
            swarm,
            facts,
            membership,
            plan,
            node,
            downloads,
            rates,
            ledger,
        })
    }

    fn spawn_discovery(
        &self,
        tasks: &mut JoinSet<()>,
        swarm: &Swarm,
        facts: &watch::Sender<Facts>,
        stop: &CancellationToken,
    ) {
        let (choice, port) = (self.choice.clone(), self.config.tcp_port);
        let (sender, receiver, swarm) = (facts.clone(), facts.subscribe(), swarm.clone());
        let networks = supervise("networks", stop.clone(), move || {
            facts::watch_networks(choice.clone(), port, sender.clone())
        });
        let announcer =
            supervise("announcer", stop.clone(), move || run_announcer(swarm.clone(), receiver.clone()));
        spawn_until(tasks, stop, networks);
        spawn_until(tasks, stop, announcer);
    }
}

fn spawn_content(tasks: &mut JoinSet<()>, content: Option<Content>, stop: &CancellationToken) {
    let (Some(content), stopped) = (content, stop.clone()) else { return };
    tasks.spawn(supervise("content", stop.clone(), move || content.clone().run(stopped.clone())));
}

/// Where the gateway looks for what is not here: with those who share it.
fn holders(swarm: Swarm) -> Holders {
    Arc::new(move |root| {
        let swarm = swarm.clone();
        Box::pin(async move {
            // Without an answer the daemon is stopping.
            let known = logs::providers_of(&swarm, vec![root]).await.unwrap_or_default();
            known.into_values().flatten().collect()
        })
    })
}

/// Runs what writes nothing at the end, and so is simply dropped then.
fn spawn_until(
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let stop = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = task => {}
        }
    });
}

/// Shows the banner once the addresses are known, or cannot be awaited any longer.
async fn show(config: &Config, me: PeerId, swarm: Option<&str>, mut known: watch::Receiver<Facts>) {
    let _ = tokio::time::timeout(ADDRESSES, known.wait_for(|facts| facts.ipfs.is_some())).await;
    let facts = known.borrow().clone();
    banner::print(config, me, swarm, &facts);
}

fn random_seed() -> std::io::Result<u64> {
    let mut seed = [0; 8];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).map_err(std::io::Error::other)?;
    Ok(u64::from_le_bytes(seed))
}
