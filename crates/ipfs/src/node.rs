//! A running node: libp2p, Bitswap and the block store behind one handle.
mod addresses;
mod block;
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
mod obstacle;
mod persistent;
mod probes;
mod pubsub;
mod session;
mod sources;
mod streams;
mod swarm;
mod table;
mod taken_port;
mod types;
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
pub use persistent::{PersistentPeer, PersistentPeerState};
pub use pubsub::{MAX_MESSAGE_BYTES, SubscribeError, Topic};
use table::Fetches;
pub use table::{RunningFetch, Source};
pub use types::{ConnectError, ListenFailure, NetworkKey, NodeConfig, PinError, StartError, Zones};
use worker::blocking;

use crate::store::{OpenReport, Pin, Store, Usage};
use crate::unixfs::{self, AddError, Added, Content, DirectoryEntry, ExportError, Format, Listed, ReadError};

/// How many commands may wait for the driver.
const COMMANDS: usize = 256;

/// The handle of a node. Clones share it. Everything goes on while the [`Driver`] that came with it is run.
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
    /// Opens the store, starts to listen, and gives the handle, the driver that has to be run, and what was found in
    /// the store. Has to be called inside a tokio runtime. An address on which it cannot listen is no error, see
    /// [`Node::listen_errors`].
    ///
    /// # Errors
    /// When the store cannot be opened.
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

    /// Who this node is.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Where it listens now, one address per interface, changing as interfaces come and go.
    pub fn listen_addresses(&self) -> watch::Receiver<Vec<Multiaddr>> {
        self.reports.listening.clone()
    }

    /// Where it should listen and does not.
    pub fn listen_errors(&self) -> watch::Receiver<Vec<ListenFailure>> {
        self.reports.failures.clone()
    }

    /// The peers that are connected now.
    pub fn connected_peers(&self) -> watch::Receiver<Arc<BTreeSet<PeerId>>> {
        self.reports.connected.clone()
    }

    /// What Bitswap counted since the start, brought up to date once a second.
    pub fn statistics(&self) -> watch::Receiver<Statistics> {
        self.reports.statistics.clone()
    }

    /// From now on no more bytes go and come in a second than this, all headers counted.
    pub fn limit(&self, rates: Rates) {
        self.limits.set(rates);
    }

    /// What passes between this node and each connected peer.
    pub fn traffic(&self) -> Vec<LinkTraffic> {
        self.limits.traffic()
    }

    /// Connects to a peer, or sees that it is connected.
    ///
    /// # Errors
    /// When it cannot be reached at any of the addresses.
    pub async fn connect(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(), ConnectError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Connect { peer, addresses, reply };
        self.commands.send(command).await.map_err(|_| ConnectError::Stopped)?;
        answer.await.map_err(|_| ConnectError::Stopped)?
    }

    /// From now on stays connected with the peers at these addresses and no others: they are dialled until they are
    /// reached, and again when the connection breaks. Each address ends in `/p2p/ID`; its host may be a name. At most
    /// 64 are taken.
    pub fn keep_connected(&self, addresses: Vec<Multiaddr>) {
        self.persistent.send_replace(addresses);
    }

    /// Returns the state of each address of [`Node::keep_connected`].
    pub fn persistent_peers(&self) -> watch::Receiver<Arc<Vec<PersistentPeer>>> {
        self.reports.persistent.clone()
    }

    /// Subscribes to one of the topics of [`NodeConfig::topics`].
    ///
    /// # Errors
    /// When it is none of them, or somebody else reads it.
    pub async fn subscribe(&self, topic: &str) -> Result<Topic, SubscribeError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Subscribe { topic: topic.to_owned(), reply };
        self.commands.send(command).await.map_err(|_| SubscribeError::Stopped)?;
        answer.await.map_err(|_| SubscribeError::Stopped)?
    }

    /// Adds one file. `progress` is told how many bytes of content were read. What is added is protected from garbage
    /// collection until the result is dropped: pin it before.
    ///
    /// # Errors
    /// As [`unixfs::add_file`]. Dropping the future cancels.
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
    /// As [`unixfs::add_directory`]. Dropping the future cancels.
    pub async fn add_directory(
        &self,
        entries: Vec<DirectoryEntry>,
        format: Format,
        progress: watch::Sender<u64>,
    ) -> Result<Added, AddError> {
        self.add(progress, move |store, progress| unixfs::add_directory(store, &entries, format, progress))
            .await
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
                // Peers may be waiting for it already.
                commands.blocking_send(Command::Stored { cid: *cid, size }).is_ok()
                    && !cancelled.is_cancelled()
            })
        })
        .await
    }

    /// Keeps the DAG below `root` on disk, whatever comes: sees that it is whole, makes it durable, records the pin.
    ///
    /// # Errors
    /// When it is not whole, or the disk fails. Then it is not pinned.
    pub async fn pin(&self, root: Cid) -> Result<Pin, PinError> {
        self.pin_all(vec![root]).await?.pop().ok_or(PinError::Worker)
    }

    /// As [`Node::pin`], because a person wants it. Only [`Node::unpin`] lets go of it then.
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

    /// The roots that a person pinned.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn pins_by_persons(&self) -> Result<BTreeSet<Cid>, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.pins_by_persons()?)).await
    }

    /// As [`Node::pin`] for several roots, with one sync and one commit for all; all of them are pinned or none.
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

    /// Lets go of a pinned root, whoever pinned it. False when it was not pinned.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn unpin(&self, root: Cid) -> Result<bool, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.unpin(&root)?)).await
    }

    /// Lets go of several roots in one commit, without those that a person pinned. Returns how many of them were pinned.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn unpin_all(&self, roots: Vec<Cid>) -> Result<usize, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.unpin_all(&roots)?)).await
    }

    /// All pins.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn pins(&self) -> Result<Vec<Pin>, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.pins()?)).await
    }

    /// Looks at the files that are served in place: see [`Store::check_files`].
    ///
    /// # Errors
    /// As [`Store::check_files`].
    pub async fn check_files(&self, only: Option<BTreeSet<PathBuf>>) -> Result<usize, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.check_files(only.as_ref())?)).await
    }

    /// Looks for blocks whose files are gone: see [`Store::check_blocks`].
    ///
    /// # Errors
    /// As [`Store::check_blocks`].
    pub async fn check_blocks(&self) -> Result<usize, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.check_blocks()?)).await
    }

    /// The pinned roots of which blocks are missing.
    ///
    /// # Errors
    /// When the pin database fails.
    pub async fn incomplete_pins(&self) -> Result<Vec<Cid>, PinError> {
        let store = self.store.clone();
        blocking(move || Ok(store.incomplete_pins()?)).await
    }

    /// Reads a small file from the store: see [`unixfs::cat`].
    ///
    /// # Errors
    /// As [`unixfs::cat`].
    pub async fn cat(&self, root: Cid, path: String, max_bytes: u64) -> Result<Bytes, ReadError> {
        let store = self.store.clone();
        blocking(move || unixfs::cat(&store, &root, &path, max_bytes)).await
    }

    /// Reads a file through and tells its size: see [`unixfs::file_size`].
    ///
    /// # Errors
    /// As [`unixfs::file_size`].
    pub async fn file_size(&self, root: Cid, path: String, max_bytes: u64) -> Result<u64, ReadError> {
        let store = self.store.clone();
        blocking(move || unixfs::file_size(&store, &root, &path, max_bytes)).await
    }

    /// Lists a directory from the store: see [`unixfs::list`].
    ///
    /// # Errors
    /// As [`unixfs::list`].
    pub async fn list(&self, directory: Cid) -> Result<Vec<Listed>, ReadError> {
        let store = self.store.clone();
        blocking(move || unixfs::list(&store, &directory)).await
    }

    /// Writes a file or directory from the store to the disk: see [`unixfs::export`]. Returns the bytes written.
    ///
    /// # Errors
    /// As [`unixfs::export`].
    pub async fn export(&self, root: Cid, destination: &Path, max_bytes: u64) -> Result<u64, ExportError> {
        let (store, destination) = (self.store.clone(), destination.to_owned());
        blocking(move || unixfs::export(&store, &root, &destination, max_bytes)).await
    }

    /// How full the store is.
    pub fn usage(&self) -> Usage {
        self.store.usage()
    }

    /// The store itself.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

#[cfg(test)]
mod tests;
