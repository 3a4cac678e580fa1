//! Starts the parts of the daemon, connects them, and stops them.

use crate::comms::run_comms;
use crate::config::{self, Arguments, Config, ConfigError};
use crate::ending::{Ending, Signals, farewell};
use crate::endpoints::{IdentityEndpoint, RouteEndpoint, SwarmEndpoint, serve_control};
use crate::identity::{self, IdentityError};
use crate::machine::{Machine, MachineNote};
use crate::membership::{Membership, MembershipError};
use crate::node::run_node;
use crate::plan::{Plan, Planner};
use crate::relay_users::run_relay_users;
use crate::routes::{self, Routes};
use crate::runtimes::Runtimes;
use crate::shared::Shared;
use crate::{banner, facts, hostname, permissions, plan, private};
use brain::Routing;
use channels::{Heard, InterfaceFilter, InterfaceFilterError};
use dcache::{Keypair, PeerId, Time};
use gateway::{BLOCK_TIMEOUT, Holders};
use http_server::{RouteSet, Settings, run_server};
use rand::TryRng as _;
use service::{
    Banner, Context, Environment, Folders, ListedBy, LocalFacts, OpenError, PrivatePlaces, Registration,
    Router, Services, SettingsError, supervise,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::{Opened, Store};
use swarm::{Driver, Setup, Swarm};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Returns the time at which this program was built, which is a lower bound for the present time.
fn built() -> Time {
    // `build.rs` always writes a number, so the default (1970) is never used.
    Time(env!("DT_SWARM_BUILT").parse().unwrap_or_default())
}

/// Maximum time for the services to publish their last statements when the daemon stops.
const CLOSING: Duration = Duration::from_millis(1500);
/// Maximum time for all parts of the daemon to stop once the services are closed. After it, the daemon ends with an
/// error.
const STOPPING: Duration = Duration::from_millis(4500);
/// Maximum time that the start message waits for each of three facts: the addresses of the IPFS node, the state of the
/// line port, and the clock.
const ADDRESSES: Duration = Duration::from_secs(3);

/// Line of the start message about an identity that was used on another machine before.
const MACHINE_LINE: &str = "used on another machine before: run `dt-swarm-cli localhost doctor`, then `identity renew` or `identity keep`";

/// Reason why the daemon does not start, or does not stop in time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Interfaces(#[from] InterfaceFilterError),
    #[error("the data folder {0} cannot be created: {1}; choose another folder with --data-dir")]
    DataFolder(PathBuf, #[source] std::io::Error),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(transparent)]
    Store(#[from] store::OpenError),
    #[error("{0}: the configuration is wrong: {1}")]
    Section(PathBuf, #[source] SettingsError),
    #[error(transparent)]
    Service(#[from] OpenError),
    #[error("the system refuses a basic resource, such as a thread, a signal handler or random bytes: {0}")]
    System(#[from] std::io::Error),
    #[error(
        "stopping took longer than {} s; records that were not written to the disk will be requested from peers again",
        STOPPING.as_secs_f32()
    )]
    Stuck,
}

/// Runs the daemon until Ctrl-C, SIGTERM or a new identity.
pub(crate) fn run(arguments: &Arguments, services: &'static [Registration]) -> Result<Ending, RunError> {
    let environment = config::environment();
    let config = Config::load(arguments, &environment, services)?;
    let file = config::config_file(arguments, &environment).filter(|file| file.exists());
    let choice = InterfaceFilter::new(&config.interfaces)?;
    let membership = Membership::load(&config)?;
    let private = Arc::new(private::places(arguments, &config, &environment));
    let shared_folder = config.shared_folder(&environment);
    permissions::create_data_folder(&config.data_dir, shared_folder.as_deref())
        .map_err(|error| RunError::DataFolder(config.data_dir.clone(), error))?;
    let folders = Folders {
        data: config.data_dir.clone(),
        shared: shared_folder.clone().or_else(|| environment.in_home("shared-logs").ok()),
        control_socket: config.control_socket.clone(),
    };
    let has_key = membership.file().is_some_and(|file| file.key().is_some());
    permissions::tighten(&config, shared_folder.as_deref(), has_key);
    let keypair = Arc::new(identity::load_or_make(&config.data_dir)?);
    let machine = Machine::read(&config.machine_id_file);
    let note = MachineNote::new(&config.data_dir, keypair.peer_id(), machine);
    let store = open_store(&config)?;
    let facts = watch::Sender::new(facts::first(&config, &choice, membership.file()));
    let addresses = plan::first(&config, membership.file());
    let first_plan = Plan::of(&addresses, &facts.borrow().lines);
    let shared = Shared {
        config: Arc::new(config),
        choice,
        heard: Heard::default(),
        keypair,
        store,
        seed: random_seed()?,
        membership: watch::Sender::new(membership.file().cloned()),
        facts,
        is_line_port_open: watch::Sender::default(),
        // The first plan already has all configured addresses. With an empty plan, the channels would be restarted at
        // once when the planner fills it.
        plan: watch::Sender::new(first_plan),
        // Until the records are read, nobody of a swarm with roots is admitted.
        relay_users: watch::Sender::new(membership.file().map(|_| Arc::default())),
        nearby: watch::Sender::default(),
        node: watch::Sender::new(None),
        machine_fault: watch::Sender::new(note.check()),
        renewed: watch::Sender::new(None),
        stop: CancellationToken::new(),
    };
    let runtimes = Runtimes::new()?;
    let daemon = Daemon {
        shared,
        environment: Arc::new(environment),
        private,
        folders: Arc::new(folders),
        note,
        services,
        tasks: JoinSet::new(),
        messages: runtimes.messages(),
    };
    runtimes.run(daemon.run(membership)).map_err(|error| error.in_file(file))
}

impl RunError {
    /// Adds the path of the configuration file to an error in a service's section.
    fn in_file(self, file: Option<PathBuf>) -> Self {
        match (self, file) {
            (Self::Service(OpenError::Settings(error)), Some(file)) => Self::Section(file, error),
            (error, _) => error,
        }
    }
}

fn open_store(config: &Config) -> Result<Arc<Store>, RunError> {
    let (store, opened) = Store::open(&config.data_dir.join("records.redb"))?;
    if let Opened::SetAside { moved_to, reason, .. } = opened {
        let moved_to = moved_to.display();
        tracing::warn!(%moved_to, reason, "the record store was damaged and set aside; its records come back from peers");
    }
    Ok(Arc::new(store))
}

struct Daemon {
    shared: Shared,
    environment: Arc<Environment>,
    /// Files and folders of the daemon that no service may give to other peers.
    private: Arc<PrivatePlaces>,
    folders: Arc<Folders>,
    note: MachineNote,
    services: &'static [Registration],
    tasks: JoinSet<()>,
    /// Runs the brain and its channels.
    messages: Handle,
}

impl Daemon {
    async fn run(mut self, membership: Membership) -> Result<Ending, RunError> {
        let signals = Signals::new()?;
        let swarm_name = membership.name().map(str::to_owned);
        let (driver, swarm, routes) = self.make_swarm(&membership);
        let context = self.context(&swarm);
        let services = Services::open(self.services, &context, &self.shared.config.sections)?;
        let router = Router::default()
            .with(SwarmEndpoint::new(swarm.clone(), membership, self.shared.membership.clone()))
            .with(IdentityEndpoint::new(self.shared.clone(), swarm.clone(), self.note.clone()))
            .with(RouteEndpoint { swarm: swarm.clone(), routes: routes.clone() });
        self.spawn_comms(driver);
        self.spawn_planner(&swarm, routes);
        self.spawn_relay_users(&swarm);
        self.spawn_control(services.route(router));
        self.spawn_http(&swarm, services.routes());
        let shared = self.shared.clone();
        self.supervise("node", move || run_node(shared.clone()));
        self.spawn_services(&services, &context);
        self.spawn_networks();
        self.spawn_hostname();
        self.show(&swarm, swarm_name.as_deref(), services.banner()).await;
        let renewed = self.wait_for_end(signals).await;
        services.close(CLOSING).await;
        let Some(renewed) = renewed else { return self.stop().await.map(|()| Ending::Stopped) };
        farewell(&swarm, renewed).await;
        if let Err(error) = self.stop().await {
            // The new key is on the disk, so the program starts again in any case.
            tracing::warn!("{error}");
        }
        Ok(Ending::Renewed)
    }

    /// Waits until the daemon is told to stop, or has a new identity. Returns the new identity.
    async fn wait_for_end(&self, signals: Signals) -> Option<PeerId> {
        let mut renewed = self.shared.renewed.subscribe();
        tokio::select! {
            () = signals.wait() => None,
            // The sender is in the daemon, so waiting does not fail.
            Ok(renewed) = renewed.wait_for(Option::is_some) => *renewed,
        }
    }

    async fn stop(mut self) -> Result<(), RunError> {
        self.shared.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let result = tokio::time::timeout(STOPPING, all).await.map_err(|_| RunError::Stuck);
        tracing::info!("stopped");
        result
    }

    fn make_swarm(&self, membership: &Membership) -> (Arc<Driver>, Swarm, Routes) {
        let config = &self.shared.config;
        let path = config.data_dir.join("routes");
        let (configured, added) = (config.routes.clone(), routes::read(&path));
        let rules = configured.iter().chain(&added).cloned().collect();
        let routing = Routing { rules, paths: Vec::new(), forwards: config.forward };
        let (driver, swarm) = Driver::new(Setup {
            keypair: Keypair::from_seed(self.shared.keypair.seed()),
            store: self.shared.store.clone(),
            policy: membership.policy(),
            routing,
            wall_clock: swarm::system_clock,
            is_clock_set: swarm::is_system_clock_set,
            built: built(),
            settings: brain::Settings::default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: self.shared.seed,
            control_socket: control::told_path(&config.control_socket),
        });
        let routes = Routes::new(swarm.clone(), path, configured, added, config.forward);
        (Arc::new(driver), swarm, routes)
    }

    fn context(&self, swarm: &Swarm) -> Context {
        let Shared { store, node, facts, stop, .. } = &self.shared;
        Context::new("", swarm.clone(), store.clone(), node.subscribe(), facts.subscribe())
            .within(self.environment.clone(), stop.clone())
            .with_private(self.private.clone())
            .with_folders(self.folders.clone())
            .with_nearby(self.shared.nearby.clone())
            .with_identity(self.shared.keypair.clone())
    }

    /// Runs a task and restarts it if it fails. The task stops by itself on the stop token, because it has data to
    /// write at the end.
    fn supervise<F, E>(&mut self, name: &'static str, make: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display + Send + 'static,
    {
        self.tasks.spawn(supervise(name, self.shared.stop.clone(), make));
    }

    /// Runs a task that is dropped when the daemon stops, because it has no data to write at the end.
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.shared.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    fn spawn_comms(&mut self, driver: Arc<Driver>) {
        let (shared, stop) = (self.shared.clone(), self.shared.stop.clone());
        let make = move || {
            let (driver, shared) = (driver.clone(), shared.clone());
            async move { run_comms(&driver, shared).await }
        };
        self.tasks.spawn_on(supervise("comms", stop, make), &self.messages);
    }

    fn spawn_planner(&mut self, swarm: &Swarm, routes: Routes) {
        let Shared { config, membership, facts, plan, .. } = &self.shared;
        let planner = Planner {
            config: config.clone(),
            swarm: swarm.clone(),
            membership: membership.subscribe(),
            facts: facts.subscribe(),
            routes,
            plan: plan.clone(),
        };
        self.spawn(async move {
            // The planner ends only when the daemon stops.
            let _ = planner.run().await;
        });
    }

    /// Follows who may use the relay of this node, if it is one.
    fn spawn_relay_users(&mut self, swarm: &Swarm) {
        if !self.shared.config.relay {
            return;
        }
        let (swarm, membership, users) =
            (swarm.clone(), self.shared.membership.subscribe(), self.shared.relay_users.clone());
        self.spawn(async move {
            // This ends only when the daemon stops.
            let _ = run_relay_users(swarm, membership, users).await;
        });
    }

    fn spawn_control(&mut self, router: Router) {
        let path = self.shared.config.control_socket.clone();
        let serve = move || {
            let (router, path) = (router.clone(), path.clone());
            async move { serve_control(router, path).await.map(|never| match never {}) }
        };
        self.spawn(supervise("control", self.shared.stop.clone(), serve));
    }

    /// Runs the HTTP listener, with the gateway and the pages of services.
    fn spawn_http(&mut self, swarm: &Swarm, mut sets: Vec<RouteSet>) {
        let config = &self.shared.config;
        let Some(listen) = config.gateway else { return };
        let facts = self.shared.facts.subscribe();
        let node = self.shared.node.subscribe();
        sets.push(gateway::routes(node, holders(swarm.clone()), BLOCK_TIMEOUT));
        let serve = move || {
            let (sets, mut facts) = (sets.clone(), facts.clone());
            async move {
                loop {
                    let name = facts.borrow_and_update().hostname.clone();
                    let settings = Settings::new(listen, "gateway", vec![name.clone()]);
                    tokio::select! {
                        ended = run_server(settings, sets.clone()) => return ended.map(|never| match never {}),
                        // A server accepts only one host name, so it is restarted when the host is renamed.
                        () = hostname::renamed(&mut facts, &name) => {}
                    }
                }
            }
        };
        self.spawn(supervise("gateway", self.shared.stop.clone(), serve));
    }

    fn spawn_services(&mut self, services: &Services, context: &Context) {
        for task in services.tasks(context) {
            self.spawn(async move { match task.await {} });
        }
    }

    fn spawn_networks(&mut self) {
        let Shared { choice, config, facts, is_line_port_open, stop, .. } = self.shared.clone();
        let watch = move || {
            let is_open = is_line_port_open.subscribe();
            facts::watch_networks(choice.clone(), config.tcp_port, is_open, facts.clone())
        };
        self.spawn(supervise("networks", stop, watch));
        let Shared { membership, facts, stop, .. } = self.shared.clone();
        let watch = move || facts::watch_swarm(membership.subscribe(), facts.clone());
        self.spawn(supervise("swarm key", stop, watch));
    }

    /// Follows changes of the host name, unless the configuration sets the name.
    fn spawn_hostname(&mut self) {
        let Shared { config, facts, stop, .. } = self.shared.clone();
        if !config.is_hostname_named {
            let watch = move || hostname::watch_hostname(facts.clone());
            self.spawn(supervise("hostname", stop, watch));
        }
    }

    /// Prints the start message once the addresses are known. Waits at most [`ADDRESSES`] for each part.
    async fn show(&self, swarm: &Swarm, name: Option<&str>, mut services: Banner) {
        let mut facts = self.shared.facts.subscribe();
        let _ = tokio::time::timeout(ADDRESSES, facts.wait_for(|facts| facts.ipfs.is_some())).await;
        let mut is_open = self.shared.is_line_port_open.subscribe();
        let _ = tokio::time::timeout(ADDRESSES, is_open.wait_for(Option::is_some)).await;
        services.lines.extend(clock_line(swarm).await);
        if self.shared.machine_fault.borrow().is_some() {
            services.lines.push(("identity", MACHINE_LINE.to_owned()));
        }
        let mut facts: LocalFacts = facts.borrow().clone();
        if *is_open.borrow() == Some(false) {
            // Another program uses the line port, so no address of it is shown.
            facts.lines.clear();
        }
        banner::print(&self.shared.config, self.shared.keypair.peer_id(), name, &facts, &services);
    }
}

/// Returns the line of the start message about a wrong clock. Returns `None` unless the time is uncertain.
async fn clock_line(swarm: &Swarm) -> Option<(&'static str, String)> {
    let known = tokio::time::timeout(ADDRESSES, swarm.read_at(|_, now| now)).await;
    let now = known.ok()?.ok().filter(|now| !now.is_certain)?;
    let (shown, time) = (swarm::system_clock().date(), now.time.date());
    let text = format!("wrong: it shows {shown}; this node uses {time} until the clock is set");
    Some(("clock", text))
}

/// Returns a function that finds the peers that hold given content. The gateway calls it for content that this node
/// does not store.
fn holders(swarm: Swarm) -> Holders {
    Arc::new(move |root| {
        let swarm = swarm.clone();
        Box::pin(async move {
            // The request fails only while the daemon is stopping.
            let known =
                service::providers_of(&swarm, &ListedBy::default(), vec![root]).await.unwrap_or_default();
            known.into_values().flatten().collect()
        })
    })
}

fn random_seed() -> std::io::Result<u64> {
    let mut seed = [0; 8];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).map_err(std::io::Error::other)?;
    Ok(u64::from_le_bytes(seed))
}
