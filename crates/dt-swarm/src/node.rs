//! Runs the embedded IPFS node. When the swarm key or the pubsub topics change, it is replaced by a new node.

use crate::announce::{self, Hearing};
use crate::comms;
use crate::plan::Plan;
use crate::relay_users;
use crate::shared::{Shared, key_of};
use channels::{Heard, InterfaceFilter, Network};
use ipfs::node::{Driver, Node, NodeConfig, Serving, StartError, Zones};
use ipfs::store::{OpenReport, StoreConfig};
use ipfs::{Keypair, Multiaddr, upnp};
use seal::SwarmKey;
use service::LocalFacts;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Maximum number of connections of a relay. It has more than other nodes, because each user of it needs one.
const RELAY_CONNECTIONS: u32 = 512;

/// Reason why the IPFS node does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("the key of this node cannot be used for IPFS")]
    Key,
    #[error("the IPFS node ended")]
    Ended,
}

/// Runs the IPFS node until the daemon stops, and replaces it when the swarm key or the topics change.
pub(crate) async fn run_node(shared: Shared) -> Result<(), NodeError> {
    let (mut membership, mut plan) = (shared.membership.subscribe(), shared.plan.subscribe());
    while !shared.stop.is_cancelled() {
        let key = key_of(&membership);
        let topics = plan.borrow_and_update().rooms.topics.clone();
        let life = shared.stop.child_token();
        let run = live(shared.clone(), life.clone(), key.clone(), topics.clone());
        tokio::pin!(run);
        let ended = tokio::select! {
            ended = &mut run => ended,
            () = until_changed(&mut membership, &mut plan, &key, &topics) => {
                tracing::info!("the swarm key or the pubsub topics changed: the IPFS node is restarted");
                life.cancel();
                run.await
            }
        };
        shared.node.send_replace(None);
        ended?;
    }
    Ok(())
}

async fn until_changed(
    membership: &mut watch::Receiver<Option<dcache::SwarmFile>>,
    plan: &mut watch::Receiver<Plan>,
    key: &Option<SwarmKey>,
    topics: &[String],
) {
    loop {
        tokio::select! {
            Ok(()) = membership.changed() => {}
            Ok(()) = plan.changed() => {}
            else => std::future::pending().await,
        }
        if key_of(membership) != *key || plan.borrow_and_update().rooms.topics != topics {
            return;
        }
    }
}

/// Runs one node until `stop` is cancelled.
async fn live(
    shared: Shared,
    stop: CancellationToken,
    key: Option<SwarmKey>,
    topics: Vec<String>,
) -> Result<(), NodeError> {
    let network_key = key.map(|key| key.libp2p().into());
    let config = NodeConfig { network_key, topics, ..node_config(&shared)? };
    let (node, driver, report) = Node::start(config).await?;
    // The service `logs` changes this as soon as it knows the permission file of the robot and the private files.
    node.serve_far(Serving::None);
    log(&report);
    // The tasks end when this future is dropped.
    let mut tasks = JoinSet::new();
    tasks.spawn(keep_connected(node.clone(), shared.plan.subscribe()));
    shared.node.send_replace(Some(node.clone()));
    let forwarding = shared.config.upnp.then(|| forward(&node, &shared, &stop));
    tasks.spawn(tell_addresses(node, shared));
    let ended = drive(driver, stop).await;
    if let Some((task, stop_forwarding)) = forwarding {
        // The task takes the forwarding back, which needs a moment.
        drop(stop_forwarding);
        let _ = task.await;
    }
    ended
}

/// Lets the router forward the port of the node, until `stop` is cancelled or the guard is dropped.
fn forward(node: &Node, shared: &Shared, stop: &CancellationToken) -> (JoinHandle<()>, DropGuard) {
    let stop = stop.child_token();
    let choice = shared.choice.clone();
    let networks = move || {
        let networks = choice.interfaces()?.into_iter().flat_map(|interface| interface.networks);
        Ok(networks.map(|Network { address, netmask, .. }| upnp::Network { address, netmask }).collect())
    };
    let task = tokio::spawn(upnp::run(node.clone(), shared.config.ipfs_port, networks, stop.clone()));
    (task, stop.drop_guard())
}

fn node_config(shared: &Shared) -> Result<NodeConfig, NodeError> {
    let config = &shared.config;
    // This cannot fail, because any 32 bytes are the seed of an Ed25519 key.
    let keypair = Keypair::ed25519_from_bytes(shared.keypair.seed()).map_err(|_| NodeError::Key)?;
    let store = StoreConfig {
        directory: config.ipfs_dir.clone(),
        max_bytes: config.store_max_bytes,
        min_free_bytes: config.disk_free_bytes,
    };
    let port = config.ipfs_port;
    let listen = ["ip4/0.0.0.0", "ip6/::"].into_iter().flat_map(|host| {
        let tcp = format!("/{host}/tcp/{port}");
        [tcp, format!("/{host}/udp/{port}/quic-v1")]
    });
    let listen = listen.filter_map(|address| address.parse().ok()).collect();
    let heard = shared.heard.clone();
    let zones = Zones::new(move |ip| heard.zones(ip));
    let relay = config.relay.then(|| relay_users::admission(shared.relay_users.subscribe()));
    let node = NodeConfig::new(keypair, store);
    let max_connections = if config.relay { RELAY_CONNECTIONS } else { node.max_connections };
    Ok(NodeConfig { listen, zones, relay, max_connections, seed: shared.seed, ..node })
}

/// Keeps connections to the nodes of the plan.
async fn keep_connected(node: Node, mut plan: watch::Receiver<Plan>) {
    loop {
        let nodes = plan.borrow_and_update().nodes.clone();
        node.keep_connected(nodes);
        if plan.changed().await.is_err() {
            return;
        }
    }
}

async fn drive(driver: Driver, stop: CancellationToken) -> Result<(), NodeError> {
    driver.run(stop.clone()).await;
    if stop.is_cancelled() { Ok(()) } else { Err(NodeError::Ended) }
}

fn log(report: &OpenReport) {
    tracing::info!(blocks = report.blocks, bytes = report.bytes, "the block store is open");
    if let Some(path) = &report.pins_set_aside {
        let path = path.display();
        tracing::warn!(%path, "the list of pins could not be read and was set aside; kept files are pinned again");
    }
    if report.files + report.files_gone > 0 {
        tracing::info!(files = report.files, gone = report.files_gone, "files are served in place");
    }
    for cid in &report.incomplete_pins {
        tracing::warn!(%cid, "a kept file lacks blocks; it is fetched again");
    }
}

/// Announces the listening addresses that other peers can reach, and logs the addresses at which the node cannot listen.
async fn tell_addresses(node: Node, shared: Shared) {
    let Shared { facts, choice, heard, .. } = shared;
    let (mut listening, mut failures) = (node.listen_addresses(), node.listen_errors());
    let (mut relayed, mut outside) = (node.relayed_addresses(), node.outside());
    let (mut lines, mut changes) = (facts.subscribe(), heard.changes());
    let mut told_failures = 0;
    loop {
        // Failures are never removed from the list, so each is logged once.
        for failure in failures.borrow_and_update().iter().skip(told_failures) {
            tracing::error!("{}", comms::not_listening(failure).1);
            told_failures += 1;
        }
        let through_relays = relayed.borrow_and_update().clone();
        let reached = outside.borrow_and_update().reached.clone();
        let told = announced(&listening.borrow_and_update(), &choice, &heard)
            .map(|direct| announce::with_outside(direct, reached, through_relays));
        match told {
            Ok(told) => tell(&facts, &node, &told),
            Err(error) => {
                tracing::warn!(%error, "cannot list this host's addresses; the announced addresses stay unchanged")
            }
        }
        tokio::select! {
            Ok(()) = listening.changed() => {}
            Ok(()) = failures.changed() => {}
            Ok(()) = relayed.changed() => {}
            Ok(()) = outside.changed() => {}
            // A change of the line addresses shows that the interfaces may have changed.
            Ok(()) = lines.changed() => {}
            Ok(()) = changes.changed() => {}
            else => return,
        }
    }
}

fn tell(facts: &watch::Sender<LocalFacts>, node: &Node, told: &[Multiaddr]) {
    let addresses: Vec<String> =
        told.iter().map(|address| format!("{address}/p2p/{}", node.peer_id())).collect();
    facts.send_if_modified(|facts| {
        // While the list was never filled, an empty list means that the node does not listen yet.
        let is_known = !addresses.is_empty() || facts.ipfs.is_some();
        let is_new = is_known && facts.ipfs.as_ref() != Some(&addresses);
        if is_new {
            facts.ipfs = Some(addresses);
        }
        is_new
    });
}

fn announced(
    listening: &[Multiaddr],
    choice: &InterfaceFilter,
    heard: &Heard,
) -> std::io::Result<Vec<Multiaddr>> {
    let local = choice.local_addresses()?;
    let hearing = |interface| Hearing {
        is_heard: heard.is_heard(interface),
        needs_link_local: heard.needs_link_local(interface),
    };
    Ok(announce::told(listening, &local, hearing))
}
