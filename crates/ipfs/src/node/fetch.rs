//! Fetches a whole DAG into the store.
use std::collections::BTreeSet;
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

/// The most neighbours that are met.
const MAX_NEIGHBOURS: usize = 48;
/// How often neighbours that are not connected are dialled.
const MEET_AGAIN: Duration = Duration::from_secs(20);
/// The first pause between dials of providers none of which is connected, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

impl Node {
    /// Fetches the whole DAG below `root` into the store, from the providers and from every other connected peer.
    /// Blocks that are here already are not fetched again. Dropping the future ends the fetch.
    ///
    /// # Errors
    /// When a limit is reached, nothing comes any more, the DAG is not readable, or the store is full.
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

    /// As [`Node::fetch`], with providers that may change meanwhile: whoever is named later is dialled at once. `name` is what
    /// [`Node::fetches`] calls it.
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
        tokio::select! {
            result = session.run() => result,
            never = keep_connected(self, providers) => match never {},
            never = meet_neighbours(self) => match never {},
        }
    }

    /// The fetches that run or wait for their turn, the first one first.
    pub fn fetches(&self) -> Vec<RunningFetch> {
        self.fetches.list()
    }

    /// Names other nodes that are near. While something is fetched they are met, so that those who want the same can
    /// give it to each other. At most 48 are taken.
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

/// Dials all providers, and again whenever none of them is connected or others are named.
pub(super) async fn keep_connected(
    node: &Node,
    mut providers: watch::Receiver<Vec<Provider>>,
) -> std::convert::Infallible {
    let mut connected = node.connected_peers();
    let mut pause = BACK_OFF.0;
    loop {
        let current = providers.borrow_and_update().clone();
        let dials = current.iter().map(|(peer, addresses)| node.connect(*peer, addresses.clone()));
        let wait = async {
            join_all(dials).await;
            wait_until_alone(&mut connected, &current, &mut pause).await;
        };
        tokio::select! {
            () = wait => {}
            // A dial that hangs must not hold up one that would not.
            () = named_anew(&mut providers) => pause = BACK_OFF.0,
        }
    }
}

/// Dials the neighbours once, and again when others are named or some time is over.
pub(super) async fn meet_neighbours(node: &Node) -> std::convert::Infallible {
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

/// Returns when it is time to dial again: a while later when no provider is connected, else once none is any more.
async fn wait_until_alone(
    connected: &mut watch::Receiver<Arc<BTreeSet<PeerId>>>,
    providers: &[Provider],
    pause: &mut Duration,
) {
    let any = |peers: &BTreeSet<PeerId>| providers.iter().any(|(peer, _)| peers.contains(peer));
    if !any(&connected.borrow_and_update()) {
        sleep(*pause).await;
        *pause = (*pause * 2).min(BACK_OFF.1);
        return;
    }
    *pause = BACK_OFF.0;
    if connected.wait_for(|peers| !any(peers)).await.is_err() {
        // The driver is gone; the fetch itself notices that.
        std::future::pending().await
    }
}

/// Returns when the providers change; never when they cannot any more.
async fn named_anew(providers: &mut watch::Receiver<Vec<Provider>>) {
    if providers.changed().await.is_err() {
        std::future::pending().await
    }
}
