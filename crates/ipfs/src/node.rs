//! A running node: libp2p, Bitswap and the block store behind one handle.
mod addresses;
mod block;
mod circuits;
mod connections;
mod dial_message;
mod dials;
mod driver;
mod exchange;
mod fetch;
mod fetch_types;
mod half_read;
mod head_start;
mod housekeeping;
mod inbound;
mod limits;
mod link;
mod link_local;
mod meter;
mod networks;
mod observed;
mod obstacle;
mod paths;
mod persistent;
mod probes;
mod pubsub;
mod punch;
mod reachability;
mod relay;
mod service_stream;
mod service_streams;
mod serving;
mod session;
mod sources;
mod streams;
mod swarm;
mod table;
mod taken_port;
mod types;
mod waiting_dials;
mod work;
mod worker;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitswap::engine::Statistics;
use bytes::Bytes;
use cid::Cid;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use addresses::host_of;
pub use block::{BlockError, Meeting};
pub use driver::Driver;
use driver::{Command, Reports};
pub use fetch_types::{FetchError, FetchLimits, FetchProgress, FetchSummary, Fetched, Provider};
use limits::Limits;
pub use limits::{LinkTraffic, Rates};
pub use networks::Networks;
pub use obstacle::{Obstacle, Shortage};
pub use paths::{LinkTransport, Path as PeerPath, PathTable, Via};
pub use persistent::{PersistentPeer, PersistentPeerState};
pub use pubsub::{MAX_MESSAGE_BYTES, SubscribeError, Topic};
pub use punch::message::{MAX_PUNCH_BYTES, PunchDecodeError, PunchMessage};
pub use reachability::message::{
    DialResult, MAX_PROBE_ADDRESSES, MAX_PROBE_BYTES, ProbeDecodeError, ProbeMessage, ProbeResponse,
};
pub use reachability::outside::{NatKind, Outside, RouterPort};
pub use relay::server::Admission;
pub use service_stream::{ServiceStream, StreamReader, StreamWriter};
pub use service_streams::{InboundStreams, StreamError};
pub use serving::Serving;
use table::Fetches;
pub use table::{RunningFetch, Source};
pub use types::{ConnectError, ListenFailure, NetworkKey, NodeConfig, PinError, StartError, Zones};
use worker::blocking;

use crate::store::{OpenReport, Pin, Store, Usage};
use crate::unixfs::{self, AddError, Added, Content, DirectoryEntry, ExportError, Format, Listed, ReadError};

/// Maximum number of commands that wait for the driver.
const COMMANDS: usize = 256;

/// A handle to a node. Clones share the same node. The node works only while the [`Driver`] that came with the handle
/// is run.
#[derive(Clone, Debug)]
pub struct Node {
    peer_id: PeerId,
    store: Store,
    commands: mpsc::Sender<Command>,
    persistent: watch::Sender<Vec<Multiaddr>>,
    neighbours: watch::Sender<Vec<Provider>>,
    reports: Reports,
    fetch_slots: Arc<Semaphore>,
    fetches: Arc<Fetches>,
    limits: Arc<Limits>,
}

impl Node {
    /// Opens the store and starts to listen. Returns the handle, the driver that must be run, and a report on the
    /// store. Must be called inside a tokio runtime. An address on which the node cannot listen is not an error; see
    /// [`Node::listen_errors`].
    ///
    /// # Errors
    /// When the store cannot be opened, or when encryption or pubsub cannot be set up.
    pub async fn start(config: NodeConfig) -> Result<(Self, Driver, OpenReport), StartError> {
        let store_config = config.store.clone();
        let opened = tokio::task::spawn_blocking(move || Store::open(store_config)).await;
        let (store, report) = opened.map_err(|_| StartError::Worker)??;
        let peer_id = config.keypair.public().to_peer_id();
        let parallel_fetches = (config.bitswap.max_wants / fetch_types::WINDOW).max(1);
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (persistent, wanted) = watch::channel(Vec::new());
        let limits = Arc::new(Limits::default());
        limits.set(config.rates);
        let (driver, reports) = Driver::new(config, store.clone(), receiver, wanted, limits.clone())?;
        let fetch_slots = Arc::new(Semaphore::new(parallel_fetches));
        let (neighbours, fetches) = (watch::Sender::default(), Arc::default());
        let node =
            Self { peer_id, store, commands, persistent, neighbours, reports, fetch_slots, fetches, limits };
        Ok((node, driver, report))
    }

    /// Returns the peer ID of this node.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Returns the addresses on which the node listens now, one for each interface. They change as interfaces come and
    /// go.
    pub fn listen_addresses(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.reports.listening.clone()
    }

    /// Returns the configured addresses on which the node cannot listen, with the reasons.
    pub fn listen_errors(&self) -> watch::Receiver<Vec<ListenFailure>> {
        self.reports.failures.clone()
    }

    /// Returns the addresses at which this node is reached through relays now. They change as relays come and go.
    pub fn relayed_addresses(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.reports.relayed.clone()
    }

    /// Returns how other networks see this node. It is known once a persistent peer in another network was reached.
    pub fn outside(&self) -> watch::Receiver<Outside> {
        self.reports.outside.clone()
    }

    /// Records whether a router forwards a port to this host. Its address is announced once a server in another network
    /// reached this node there.
    pub async fn report_router_port(&self, port: RouterPort) {
        // An error means that the node has stopped.
        let _ = self.commands.send(Command::RouterPort(port)).await;
    }

    /// Returns the paths to all connected peers, for each peer the direct ones first.
    pub fn paths(&self) -> watch::Receiver<Arc<PathTable>> {
        self.reports.paths.clone()
    }

    /// Returns the peers that are connected now.
    pub fn connected_peers(&self) -> watch::Receiver<Arc<BTreeSet<PeerId>>> {
        self.reports.connected.clone()
    }

    /// Returns the counters of Bitswap since the start. They are updated at most once a second.
    pub fn statistics(&self) -> watch::Receiver<Statistics> {
        self.reports.statistics.clone()
    }

    /// Sets the rate limits in bytes per second. They include all headers and take effect at once.
    pub fn limit(&self, rates: Rates) {
        self.limits.set(rates);
    }

    /// Sets which blocks this node gives to peers that are not on its own networks. They are told that it does not have the
    /// others. Takes effect at once. Peers on its own networks get all blocks.
    pub fn serve_far(&self, serving: Serving) {
        self.limits.serve_far(serving);
    }

    /// Replaces the set of private roots; see [`Store::set_private_roots`].
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn set_private_roots(&self, roots: BTreeSet<Cid>) -> Result<(), PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.set_private_roots(&roots)?)).await
    }

    /// Returns the traffic between this node and each connected peer.
    pub fn traffic(&self) -> Vec<LinkTraffic> {
        self.limits.traffic()
    }

    /// Connects to a peer, or checks that it is connected.
    ///
    /// # Errors
    /// When the peer cannot be reached at any of the addresses.
    pub async fn connect(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), ConnectError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Connect { peer, addresses, reply };
        self.commands.send(command).await.map_err(|_| ConnectError::Stopped)?;
        answer.await.map_err(|_| ConnectError::Stopped)?
    }

    /// Accepts the streams that peers open for the protocol of a service, such as `/dt-swarm/forward/1.0.0`. A later
    /// call for the same protocol replaces this one.
    pub fn accept_streams(&self, protocol: &'static str) -> InboundStreams {
        self.reports.streams.accept(protocol)
    }

    /// Opens a stream to the service of a peer that accepts this protocol. Connects with the peer first, if it is not
    /// connected.
    ///
    /// # Errors
    /// When the peer cannot be reached, or has no such service.
    pub async fn open_stream(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        protocol: &'static str,
    ) -> Result<ServiceStream, StreamError> {
        self.connect(peer, addresses).await?;
        self.reports.streams.open(peer, protocol).await
    }

    /// Sets the peers to stay connected with, and replaces the previous list. They are dialled until they are reached,
    /// and again when the connection breaks. Each address ends in `/p2p/ID`; its host may be a name. At most 64
    /// addresses are used.
    pub fn keep_connected(&self, addresses: Vec<Multiaddr>) {
        self.persistent.send_replace(addresses);
    }

    /// Returns the state of each address that was passed to [`Node::keep_connected`].
    pub fn persistent_peers(&self) -> watch::Receiver<Arc<Vec<PersistentPeer>>> {
        self.reports.persistent.clone()
    }

    /// Subscribes to one of the topics of [`NodeConfig::topics`].
    ///
    /// # Errors
    /// When the topic is not in that list, or is subscribed to already.
    pub async fn subscribe(&self, topic: &str) -> Result<Topic, SubscribeError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Subscribe { topic: topic.to_owned(), reply };
        self.commands.send(command).await.map_err(|_| SubscribeError::Stopped)?;
        answer.await.map_err(|_| SubscribeError::Stopped)?
    }

    /// Adds one file. `progress` receives the number of bytes of content that were read. The blocks are protected from
    /// garbage collection until the result is dropped, so pin the root before you drop the result.
    ///
    /// # Errors
    /// As [`unixfs::add_file`]. Dropping the future cancels the work.
    pub async fn add_file(
        &self,
        content: Content,
        format: Format,
        progress: watch::Sender<u64>,
    ) -> Result<Added, AddError> {
        self.add(progress, move |store, progress| unixfs::add_file(store, &content, format, progress)).await
    }

    /// Adds a directory; otherwise as [`Node::add_file`].
    ///
    /// # Errors
    /// As [`unixfs::add_directory`]. Dropping the future cancels the work.
    pub async fn add_directory(
        &self,
        entries: Vec<DirectoryEntry>,
        format: Format,
        progress: watch::Sender<u64>,
    ) -> Result<Added, AddError> {
        self.add(progress, move |store, progress| unixfs::add_directory(store, &entries, format, progress))
            .await
    }

    /// Adds a file whose leaves are these pieces; otherwise as [`Node::add_file`].
    ///
    /// # Errors
    /// As [`unixfs::add_pieces`]. Dropping the future cancels the work.
    pub async fn add_pieces(&self, pieces: Vec<Bytes>) -> Result<Added, AddError> {
        let progress = watch::Sender::default();
        self.add(progress, move |store, progress| unixfs::add_pieces(store, &pieces, progress)).await
    }

    async fn add(
        &self,
        progress: watch::Sender<u64>,
        add: impl FnOnce(&Store, &mut unixfs::Progress<'_>) -> Result<Added, AddError> + Send + 'static,
    ) -> Result<Added, AddError> {
        let (store, commands) = (self.store.clone(), self.commands.clone());
        let cancelled = CancellationToken::new();
        let _cancel_when_dropped = cancelled.clone().drop_guard();
        blocking(move || {
            add(&store, &mut |cid, size, bytes| {
                progress.send_replace(bytes);
                // Peers may be waiting for this block already.
                commands.blocking_send(Command::Stored { cid: *cid, size }).is_ok()
                    && !cancelled.is_cancelled()
            })
        })
        .await
    }

    /// Pins the DAG below `root`: checks that it is complete, makes it durable, and records the pin. A pinned DAG is
    /// never removed by garbage collection.
    ///
    /// # Errors
    /// When a block is missing or the disk fails. Then nothing is pinned.
    pub async fn pin(&self, root: Cid) -> Result<Pin, PinError> {
        self.pin_all(vec![root]).await?.pop().ok_or(PinError::Worker)
    }

    /// As [`Node::pin`], and records that a person wants the pin. Only [`Node::unpin`] removes such a pin;
    /// [`Node::unpin_all`] does not.
    ///
    /// # Errors
    /// As [`Node::pin`].
    pub async fn pin_by_person(&self, root: Cid) -> Result<Pin, PinError> {
        let store = self.store.clone();
        let pins = blocking(move || {
            let protection = store.protection();
            let dag = unixfs::walk_complete(&store, &root, Some(&protection))?;
            Ok::<_, PinError>(store.pin_by_person(dag)?)
        });
        pins.await?.pop().ok_or(PinError::Worker)
    }

    /// Returns the roots that were pinned by a person.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn pins_by_persons(&self) -> Result<BTreeSet<Cid>, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.pins_by_persons()?)).await
    }

    /// As [`Node::pin`] for several roots, with one sync and one commit for all. Either all of them are pinned, or
    /// none.
    ///
    /// # Errors
    /// As [`Node::pin`].
    pub async fn pin_all(&self, roots: Vec<Cid>) -> Result<Vec<Pin>, PinError> {
        let store = self.store.clone();
        blocking(move || {
            let protection = store.protection();
            let walk = |root: &Cid| unixfs::walk_complete(&store, root, Some(&protection));
            let dags = roots.iter().map(walk).collect::<Result<Vec<_>, _>>()?;
            Ok(store.pin(&dags)?)
        })
        .await
    }

    /// Unpins a root, whether a person or the program pinned it. Returns `false` when it was not pinned.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn unpin(&self, root: Cid) -> Result<bool, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.unpin(&root)?)).await
    }

    /// Unpins several roots in one commit, except those that a person pinned. Returns the number of roots that were
    /// unpinned.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn unpin_all(&self, roots: Vec<Cid>) -> Result<usize, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.unpin_all(&roots)?)).await
    }

    /// Returns all pins.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn pins(&self) -> Result<Vec<Pin>, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.pins()?)).await
    }

    /// Checks the files that are served in place; see [`Store::check_files`].
    ///
    /// # Errors
    /// As [`Store::check_files`].
    pub async fn check_files(&self, only: Option<BTreeSet<PathBuf>>) -> Result<usize, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.check_files(only.as_ref())?)).await
    }

    /// Looks for blocks whose files are gone; see [`Store::check_blocks`].
    ///
    /// # Errors
    /// As [`Store::check_blocks`].
    pub async fn check_blocks(&self) -> Result<usize, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.check_blocks()?)).await
    }

    /// Returns the pinned roots with missing blocks.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn incomplete_pins(&self) -> Result<Vec<Cid>, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.incomplete_pins()?)).await
    }

    /// Reads a small file from the store; see [`unixfs::cat`].
    ///
    /// # Errors
    /// As [`unixfs::cat`].
    pub async fn cat(&self, root: Cid, path: String, max_bytes: u64) -> Result<Bytes, ReadError> {
        let store = self.store.clone();
        blocking(move || unixfs::cat(&store, &root, &path, max_bytes)).await
    }

    /// Reads a whole file and returns its size in bytes; see [`unixfs::file_size`].
    ///
    /// # Errors
    /// As [`unixfs::file_size`].
    pub async fn file_size(&self, root: Cid, path: String, max_bytes: u64) -> Result<u64, ReadError> {
        let store = self.store.clone();
        blocking(move || unixfs::file_size(&store, &root, &path, max_bytes)).await
    }

    /// Lists a directory from the store; see [`unixfs::list`].
    ///
    /// # Errors
    /// As [`unixfs::list`].
    pub async fn list(&self, directory: Cid) -> Result<Vec<Listed>, ReadError> {
        let store = self.store.clone();
        blocking(move || unixfs::list(&store, &directory)).await
    }

    /// Writes a file or directory from the store to the disk; see [`unixfs::export`]. Returns the number of bytes
    /// written.
    ///
    /// # Errors
    /// As [`unixfs::export`].
    pub async fn export(&self, root: Cid, destination: &Path, max_bytes: u64) -> Result<u64, ExportError> {
        let (store, destination) = (self.store.clone(), destination.to_owned());
        blocking(move || unixfs::export(&store, &root, &destination, max_bytes)).await
    }

    /// Returns how full the store is.
    pub fn usage(&self) -> Usage {
        self.store.usage()
    }

    /// Returns the block store of this node.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

#[cfg(test)]
mod tests;
