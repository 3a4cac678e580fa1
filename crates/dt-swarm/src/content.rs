//! Content: the embedded IPFS node, and the services that share files through it. They live and die together.

use crate::config::Config;
use crate::plan::Plan;
use crate::supervise::supervise;
use dcache::SwarmFile;
use discovery::Facts;
use ipfs::node::{Driver, Node, NodeConfig, StartError};
use ipfs::store::{OpenReport, StoreConfig};
use ipfs::{Keypair, Multiaddr};
use logs::{KeeperSettings, Ledger, LedgerError, ProposerSettings, run_keeper, run_proposer};
use seal::SwarmKey;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use swarm::Swarm;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transfers::{Downloads, Rates, run_downloads, run_neighbours};

/// How many files of others are fetched at a time.
const PARALLEL: usize = 2;

/// Why content cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the IPFS node ended")]
    Ended,
}

/// What content needs.
#[derive(Clone)]
pub(crate) struct Content {
    pub(crate) config: Config,
    pub(crate) keypair: Keypair,
    pub(crate) seed: u64,
    pub(crate) store: Arc<Store>,
    pub(crate) swarm: Swarm,
    pub(crate) facts: watch::Sender<Facts>,
    pub(crate) membership: watch::Receiver<Option<SwarmFile>>,
    pub(crate) plan: watch::Receiver<Plan>,
    /// Where the channels find the node, while there is one.
    pub(crate) node: watch::Sender<Option<Node>>,
    pub(crate) downloads: Downloads,
    pub(crate) rates: Rates,
    /// Where others find what was taken and kept.
    pub(crate) ledger: watch::Sender<Option<Ledger>>,
}

impl Content {
    /// Serves content until `stop`. With another swarm key, or other topics, the node begins anew.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), ContentError> {
        while !stop.is_cancelled() {
            let key = self.key();
            let topics = self.plan.borrow_and_update().rooms.topics.clone();
            let (life, of_swarm) = (stop.child_token(), self.clone());
            let run = of_swarm.live(life.clone(), key.clone(), topics.clone());
            tokio::pin!(run);
            let ended = tokio::select! {
                ended = &mut run => ended,
                () = self.until_changed(&key, &topics) => {
                    tracing::info!("the swarm's key or its topics changed: the IPFS node begins anew");
                    life.cancel();
                    run.await
                }
            };
            self.node.send_replace(None);
            self.ledger.send_replace(None);
            ended?;
        }
        Ok(())
    }

    fn key(&mut self) -> Option<SwarmKey> {
        self.membership.borrow_and_update().as_ref().and_then(|file| file.key().cloned())
    }

    async fn until_changed(&mut self, key: &Option<SwarmKey>, topics: &[String]) {
        loop {
            tokio::select! {
                Ok(()) = self.membership.changed() => {}
                Ok(()) = self.plan.changed() => {}
                else => std::future::pending().await,
            }
            if self.key() != *key || self.plan.borrow_and_update().rooms.topics != topics {
                return;
            }
        }
    }

    async fn live(
        self,
        stop: CancellationToken,
        key: Option<SwarmKey>,
        topics: Vec<String>,
    ) -> Result<(), ContentError> {
        let network_key = key.map(|key| key.libp2p().into());
        let config = NodeConfig { network_key, topics, ..self.node_config() };
        let (node, driver, report) = Node::start(config).await?;
        tell(&report);
        let store = self.store.clone();
        let opened = tokio::task::spawn_blocking(move || Ledger::open(store)).await;
        let ledger = opened.map_err(|_| LedgerError::Worker)??;
        // Dropped, and so ended, together with this future.
        let mut services = JoinSet::new();
        self.spawn_proposer(&mut services, &node, &ledger, &stop);
        self.spawn_keeper(&mut services, &node, &ledger, &stop);
        self.spawn_transfers(&mut services, &node, &stop);
        services.spawn(keep_connected(node.clone(), self.plan.clone()));
        self.ledger.send_replace(Some(ledger));
        self.node.send_replace(Some(node.clone()));
        services.spawn(tell_addresses(node, self.facts));
        drive(driver, stop).await
    }

    fn node_config(&self) -> NodeConfig {
        let store = StoreConfig {
            directory: self.config.ipfs_dir.clone(),
            max_bytes: self.config.store_max_bytes,
            min_free_bytes: self.config.disk_free_bytes,
        };
        let port = self.config.ipfs_port;
        let listen = ["ip4/0.0.0.0", "ip6/::"].into_iter().flat_map(|host| {
            let tcp = format!("/{host}/tcp/{port}");
            [tcp, format!("/{host}/udp/{port}/quic-v1")]
        });
        let listen = listen.filter_map(|address| address.parse().ok()).collect();
        let rates = *self.rates.told().borrow();
        NodeConfig { listen, rates, seed: self.seed, ..NodeConfig::new(self.keypair.clone(), store) }
    }

    fn spawn_proposer(
        &self,
        services: &mut JoinSet<()>,
        node: &Node,
        ledger: &Ledger,
        stop: &CancellationToken,
    ) {
        let settings = ProposerSettings {
            folder: self.config.shared_folder.clone(),
            settle: Duration::from_secs(self.config.settle_seconds),
            rescan: Duration::from_secs(self.config.rescan_seconds),
        };
        let (swarm, node, ledger) = (self.swarm.clone(), node.clone(), ledger.clone());
        services.spawn(supervise("proposer", stop.clone(), move || {
            run_proposer(settings.clone(), swarm.clone(), node.clone(), ledger.clone())
        }));
    }

    fn spawn_transfers(&self, services: &mut JoinSet<()>, node: &Node, stop: &CancellationToken) {
        services.spawn(keep_to_limits(node.clone(), self.rates.told()));
        let (downloads, fetching) = (self.downloads.clone(), node.clone());
        services.spawn(supervise("downloads", stop.clone(), move || {
            run_downloads(downloads.clone(), fetching.clone())
        }));
        let (swarm, node) = (self.swarm.clone(), node.clone());
        services.spawn(supervise("neighbours", stop.clone(), move || {
            run_neighbours(swarm.clone(), node.clone())
        }));
    }

    fn spawn_keeper(
        &self,
        services: &mut JoinSet<()>,
        node: &Node,
        ledger: &Ledger,
        stop: &CancellationToken,
    ) {
        let settings = KeeperSettings {
            keep_others: self.config.keep_others,
            max_file_bytes: self.config.max_file_bytes,
            parallel: PARALLEL,
        };
        let (swarm, node, ledger) = (self.swarm.clone(), node.clone(), ledger.clone());
        services.spawn(supervise("keeper", stop.clone(), move || {
            run_keeper(settings.clone(), swarm.clone(), node.clone(), ledger.clone())
        }));
    }
}

/// Has the node keep to the limits that hold.
async fn keep_to_limits(node: Node, mut rates: watch::Receiver<ipfs::node::Rates>) {
    loop {
        let now = *rates.borrow_and_update();
        node.limit(now);
        if rates.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps connections with the nodes of the plan.
async fn keep_connected(node: Node, mut plan: watch::Receiver<Plan>) {
    loop {
        let nodes = plan.borrow_and_update().nodes.clone();
        node.keep_connected(nodes);
        if plan.changed().await.is_err() {
            return;
        }
    }
}

async fn drive(driver: Driver, stop: CancellationToken) -> Result<(), ContentError> {
    driver.run(stop.clone()).await;
    if stop.is_cancelled() { Ok(()) } else { Err(ContentError::Ended) }
}

fn tell(report: &OpenReport) {
    tracing::info!(blocks = report.blocks, bytes = report.bytes, "the block store is open");
    if let Some(path) = &report.pins_set_aside {
        let path = path.display();
        tracing::warn!(%path, "the list of pins could not be read and was set aside; kept files are pinned anew");
    }
    if report.files + report.files_gone > 0 {
        tracing::info!(files = report.files, gone = report.files_gone, "files are served where they lie");
    }
    for cid in &report.incomplete_pins {
        tracing::warn!(%cid, "a kept file lacks blocks; it is taken again");
    }
}

/// Keeps the addresses that are announced those at which the node really listens, and says which it could not open.
async fn tell_addresses(node: Node, facts: watch::Sender<Facts>) {
    let (mut listening, mut failures) = (node.listen_addresses(), node.listen_errors());
    loop {
        for failure in failures.borrow_and_update().iter() {
            let (address, reason) = (&failure.address, &failure.reason);
            tracing::error!(
                %address,
                reason,
                "IPFS connections are not taken there; stop the program that holds the port, or set `ipfs_port`"
            );
        }
        let addresses: Vec<String> =
            listening.borrow_and_update().iter().filter_map(|at| announced(at, &node)).collect();
        // None at all means most likely that the node does not listen yet.
        if !addresses.is_empty() || facts.borrow().ipfs.is_some() {
            facts.send_modify(|facts| facts.ipfs = Some(addresses));
        }
        tokio::select! {
            Ok(()) = listening.changed() => {}
            Ok(()) = failures.changed() => {}
            else => return,
        }
    }
}

/// The address as others are told it; none for those that only this host can use.
fn announced(address: &Multiaddr, node: &Node) -> Option<String> {
    let text = address.to_string();
    let is_local = ["/ip4/127.", "/ip4/0.0.0.0/", "/ip6/::1/", "/ip6/::/", "/ip6/fe80:"];
    let is_local = is_local.iter().any(|prefix| text.starts_with(prefix));
    (!is_local).then(|| format!("{text}/p2p/{}", node.peer_id()))
}
