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
/// How often it is seen whether providers that are connected still answer.
const CHECK: Duration = Duration::from_secs(10);
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

/// Dials all providers, and again whenever one of them is connected no more or others are named.
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
            tokio::select! {
                () = wait_until_fewer(&mut connected, &current, &mut pause) => {}
                never = check_connected(node, &current) => match never {},
            }
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

/// Sees again and again whether the connected providers still answer. A connection that does not is closed.
async fn check_connected(node: &Node, providers: &[Provider]) -> std::convert::Infallible {
    loop {
        sleep(CHECK).await;
        let connected = node.connected_peers().borrow().clone();
        let checked = providers.iter().filter(|(peer, _)| connected.contains(peer));
        join_all(checked.map(|(peer, addresses)| node.connect(*peer, addresses.clone()))).await;
    }
}

/// Returns when it is time to dial again: a while later when no provider is connected, else once one is no more.
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
        // The others go on meanwhile; whoever comes and goes is not dialled without end.
        Ok(_) => sleep(BACK_OFF.1).await,
        // The driver is gone; the fetch itself notices that.
        Err(_) => std::future::pending().await,
    }
}

/// Returns when the providers change; never when they cannot any more.
async fn named_anew(providers: &mut watch::Receiver<Vec<Provider>>) {
    if providers.changed().await.is_err() {
        std::future::pending().await
    }
}
