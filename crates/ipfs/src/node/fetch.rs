//! Fetches a whole DAG into the store.
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cid::Cid;
use futures::future::join_all;
use libp2p::PeerId;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Node;
use super::fetch_types::{FetchError, FetchLimits, FetchProgress, Fetched, Provider};
use super::obstacle::Obstacle;
use super::session::Session;
use super::table::RunningFetch;

/// Maximum number of neighbours that are dialled.
const MAX_NEIGHBOURS: usize = 48;
/// Interval at which neighbours that are not connected are dialled.
const MEET_AGAIN: Duration = Duration::from_secs(20);
/// Interval of the checks that connected providers still answer.
const CHECK: Duration = Duration::from_secs(10);
/// Shortest and longest pause between dials while no provider is connected. The pause doubles each time.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// Time at the start of a fetch in which few peers are dialled. A small file arrives within this time. If a whole class
/// connected each node with each other one for a small file, the handshakes would cost far more than the file.
const MODEST: Duration = Duration::from_secs(1);
/// Time for which a fetch that has no block yet waits before it dials the neighbours. Usually they lack the content as
/// well, because a peer that has it is a provider. If a stranger lists thousands of files that nobody has, a class must not
/// connect each node with each other one for them.
const WITHOUT_BLOCKS: Duration = Duration::from_secs(20);
/// Maximum number of providers that are dialled within [`MODEST`].
const FEW: usize = 2;

impl Node {
    /// Fetches the whole DAG below `root` into the store, from the providers and from all other connected peers. Blocks
    /// that are in the store already are not fetched again. Dropping the future ends the fetch.
    ///
    /// # Errors
    /// When a limit is reached, no block arrives within the stall timeout, the DAG is not readable, or the store is
    /// full.
    pub async fn fetch(
        &self,
        root: Cid,
        providers: Vec<Provider>,
        limits: FetchLimits,
        progress: watch::Sender<FetchProgress>,
    ) -> Result<Fetched, FetchError> {
        let (_unchanging, providers) = watch::channel(providers);
        self.fetch_from("", root, providers, limits, progress).await
    }

    /// As [`Node::fetch`], with providers that may change during the fetch: new providers are dialled at once. `name`
    /// is the name of the fetch in [`Node::fetches`].
    ///
    /// # Errors
    /// As [`Node::fetch`].
    pub async fn fetch_from(
        &self,
        name: &str,
        root: Cid,
        providers: watch::Receiver<Vec<Provider>>,
        limits: FetchLimits,
        progress: watch::Sender<FetchProgress>,
    ) -> Result<Fetched, FetchError> {
        let entry = self.fetches.enter(name, root, limits.priority, progress.clone());
        progress.send_modify(|progress| progress.obstacle = Some(Obstacle::Queued));
        let _slot = self.fetch_slots.acquire().await.map_err(|_| FetchError::Stopped)?;
        progress.send_modify(|progress| progress.obstacle = None);
        let session = Session::new(self, root, limits, &entry);
        let neighbours = meet_when_useful(self, patience(&providers.borrow()), progress.subscribe());
        tokio::select! {
            result = session.run() => result,
            never = keep_connected(self, providers) => match never {},
            never = neighbours => match never {},
        }
    }

    /// Returns the fetches that run or wait for a free slot, the oldest first.
    pub fn fetches(&self) -> Vec<RunningFetch> {
        self.fetches.list()
    }

    /// Sets the nodes that are nearby. During a fetch they are dialled, so that nodes which fetch the same content can
    /// exchange blocks. At most 48 are used.
    pub fn tell_neighbours(&self, mut neighbours: Vec<Provider>) {
        neighbours.truncate(MAX_NEIGHBOURS);
        self.neighbours.send_if_modified(|told| {
            *told != neighbours && {
                *told = neighbours;
                true
            }
        });
    }
}

/// Dials the providers: [`FEW`] of them at first, and all of them after [`MODEST`]. Dials again when one of them
/// disconnects or the list of providers changes.
pub(super) async fn keep_connected(
    node: &Node,
    mut providers: watch::Receiver<Vec<Provider>>,
) -> std::convert::Infallible {
    let mut connected = node.connected_peers();
    let mut pause = BACK_OFF.0;
    let mut modest = pin!(sleep(MODEST));
    let mut chosen = BTreeSet::new();
    loop {
        let mut current = providers.borrow_and_update().clone();
        if !modest.is_elapsed() {
            choose_few(node.peer_id(), &mut current, &mut chosen, &connected.borrow());
        }
        let dials = current.iter().map(|(peer, addresses)| node.connect(*peer, addresses.clone()));
        let wait = async {
            join_all(dials).await;
            tokio::select! {
                () = wait_until_fewer(&mut connected, &current, &mut pause) => {}
                never = check_connected(node, &current) => match never {},
            }
        };
        tokio::select! {
            () = wait => {}
            // A dial that hangs must not delay a dial that would succeed.
            () = named_anew(&mut providers) => pause = BACK_OFF.0,
            () = &mut modest, if !modest.is_elapsed() => {}
        }
    }
}

/// Reduces the list to [`FEW`] providers. Those that were `chosen` before stay, then connected ones are preferred, then
/// those whose ID is nearest to `me`, so that each node chooses others.
fn choose_few(
    me: PeerId,
    providers: &mut Vec<Provider>,
    chosen: &mut BTreeSet<PeerId>,
    connected: &BTreeSet<PeerId>,
) {
    let distance = |peer: &PeerId| -> Vec<u8> {
        peer.to_bytes().iter().zip(me.to_bytes()).map(|(one, other)| one ^ other).collect()
    };
    providers
        .sort_by_cached_key(|(peer, _)| (!chosen.contains(peer), !connected.contains(peer), distance(peer)));
    providers.truncate(FEW);
    *chosen = providers.iter().map(|(peer, _)| *peer).collect();
}

/// Returns the time for which a fetch from these providers waits before it dials the neighbours.
pub(super) fn patience(providers: &[Provider]) -> Duration {
    if providers.is_empty() { Duration::ZERO } else { MODEST }
}

/// Dials the neighbours after `patience` once the first block has come, and after [`WITHOUT_BLOCKS`] otherwise. Without
/// patience, dials them at once.
async fn meet_when_useful(
    node: &Node,
    patience: Duration,
    mut progress: watch::Receiver<FetchProgress>,
) -> std::convert::Infallible {
    if !patience.is_zero() {
        let begun = async {
            // The sender is alive during the fetch.
            let _ = progress.wait_for(|progress| progress.blocks > 0).await;
            sleep(patience).await;
        };
        tokio::select! {
            () = begun => {}
            () = sleep(WITHOUT_BLOCKS) => {}
        }
    }
    meet_neighbours(node, Duration::ZERO).await
}

/// Dials the neighbours that are not connected, after `patience`. Dials again when the list of neighbours changes, or
/// after [`MEET_AGAIN`].
pub(super) async fn meet_neighbours(node: &Node, patience: Duration) -> std::convert::Infallible {
    sleep(patience).await;
    let mut neighbours = node.neighbours.subscribe();
    loop {
        let current = neighbours.borrow_and_update().clone();
        let connected = node.connected_peers().borrow().clone();
        let strangers = current.into_iter().filter(|(peer, _)| !connected.contains(peer));
        let dials = join_all(strangers.map(|(peer, addresses)| node.connect(peer, addresses)));
        tokio::select! {
            () = async { dials.await; sleep(MEET_AGAIN).await } => {}
            () = named_anew(&mut neighbours) => {}
        }
    }
}

/// Checks at regular intervals that the connected providers still answer. The connection with a provider that does not
/// answer is closed.
async fn check_connected(node: &Node, providers: &[Provider]) -> std::convert::Infallible {
    loop {
        sleep(CHECK).await;
        let connected = node.connected_peers().borrow().clone();
        let checked = providers.iter().filter(|(peer, _)| connected.contains(peer));
        join_all(checked.map(|(peer, addresses)| node.connect(*peer, addresses.clone()))).await;
    }
}

/// Waits until it is time to dial again. If no provider is connected, waits for the pause and doubles it. Otherwise,
/// waits until a provider disconnects.
async fn wait_until_fewer(
    connected: &mut watch::Receiver<Arc<BTreeSet<PeerId>>>,
    providers: &[Provider],
    pause: &mut Duration,
) {
    let here = |peers: &BTreeSet<PeerId>| providers.iter().filter(|(peer, _)| peers.contains(peer)).count();
    let mut most = here(&connected.borrow_and_update());
    if most == 0 {
        sleep(*pause).await;
        *pause = (*pause * 2).min(BACK_OFF.1);
        return;
    }
    *pause = BACK_OFF.0;
    let is_less = |peers: &Arc<BTreeSet<PeerId>>| {
        let now = here(peers);
        most = most.max(now);
        now < most
    };
    match connected.wait_for(is_less).await.map(|peers| here(&peers)) {
        Ok(0) => {}
        // The fetch continues with the other providers. The pause limits the dials to a provider that connects and
        // disconnects repeatedly.
        Ok(_) => sleep(BACK_OFF.1).await,
        // The driver is gone; the fetch itself notices that.
        Err(_) => std::future::pending().await,
    }
}

/// Waits until the list changes. Never returns when it can no longer change.
async fn named_anew(providers: &mut watch::Receiver<Vec<Provider>>) {
    if providers.changed().await.is_err() {
        std::future::pending().await
    }
}
