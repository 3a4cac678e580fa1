//! Persistent links, which are dialled again whenever they end.

use crate::backoff::Backoff;
use crate::dial::Dialler;
use crate::link::{Activity, End, LinkTimeouts, Origin, run_link};
use crate::switchboard::Switchboard;
use routing::ChannelEvent;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use telemetry::{FaultReport, faults, report};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// Maximum number of persistent links.
const MAX_LINKS: usize = 32;

/// A peer with which this node keeps a persistent link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TcpPeer {
    /// IP address or host name. A name is resolved again for each attempt.
    pub host: String,
    /// TCP port of the peer's line protocol.
    pub port: u16,
}

impl fmt::Display for TcpPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Keeps a link with a peer by dialling it again whenever the link ends.
#[derive(Clone, Debug)]
pub(crate) struct Redialler {
    pub(crate) dialler: Dialler,
    pub(crate) timeouts: LinkTimeouts,
    /// Interval at which an empty line is sent as a keep-alive.
    pub(crate) sign: Duration,
    /// Minimum and maximum pause before dialling again.
    pub(crate) pauses: (Duration, Duration),
    pub(crate) switchboard: Switchboard,
}

/// The persistent links. Removing a peer from the list closes its link.
#[derive(Debug)]
pub(crate) struct PersistentLinks {
    redialler: Redialler,
    links: BTreeMap<TcpPeer, AbortOnDropHandle<()>>,
}

impl PersistentLinks {
    pub(crate) fn new(redialler: Redialler) -> Self {
        Self { redialler, links: BTreeMap::new() }
    }

    /// Sets the list of peers, and opens and closes links accordingly.
    pub(crate) fn set(&mut self, peers: &[TcpPeer]) {
        if peers.len() > MAX_LINKS {
            tracing::warn!(
                most = MAX_LINKS,
                "too many peers for persistent links: those over the maximum are ignored"
            );
        }
        let peers = &peers[..peers.len().min(MAX_LINKS)];
        self.links.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            let run = || tokio::spawn(self.redialler.clone().run(peer.clone()));
            self.links.entry(peer.clone()).or_insert_with(|| AbortOnDropHandle::new(run()));
        }
    }
}

impl Redialler {
    /// Keeps a link with a peer whenever one can be established. Runs until it is dropped.
    async fn run(self, peer: TcpPeer) {
        let mut health = LinkHealth::new(&peer, self.switchboard.clone());
        let mut backoff = Backoff::new(self.pauses);
        loop {
            let lasted = self.link(&peer, &mut health).await;
            if lasted >= self.pauses.1 {
                backoff.reset();
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Runs one link, from dialling to its end. Returns how long it lasted.
    async fn link(&self, peer: &TcpPeer, health: &mut LinkHealth) -> Duration {
        match self.dialler.dial_name(&peer.host, peer.port).await {
            Ok((address, link)) => {
                health.report(None).await;
                let began = Instant::now();
                let origin = Origin::Persistent(address, self.sign);
                let switchboard = self.switchboard.clone();
                let end = run_link(link, origin, self.timeouts, switchboard, Activity::new()).await;
                tracing::debug!(%peer, "a persistent link ended");
                match end {
                    End::Keyed => health.report(Some(report!(faults::TCP_KEY_UNEXPECTED))).await,
                    End::WebServer => health.report(Some(report!(faults::TCP_WEB_SERVER))).await,
                    End::Orderly | End::Broken => {}
                }
                began.elapsed()
            }
            Err(error) => {
                health.report(error.report()).await;
                Duration::ZERO
            }
        }
    }
}

/// Reports the fault of a link whenever it changes. Dropping it reports that the fault is over.
struct LinkHealth {
    name: String,
    reported: Option<FaultReport>,
    switchboard: Switchboard,
}

impl LinkHealth {
    fn new(peer: &TcpPeer, switchboard: Switchboard) -> Self {
        Self { name: format!("tcp {peer}"), reported: None, switchboard }
    }

    async fn report(&mut self, fault: Option<FaultReport>) {
        if self.reported != fault {
            self.reported.clone_from(&fault);
            self.switchboard.report(ChannelEvent::Trouble { name: self.name.clone(), fault }).await;
        }
    }
}

impl Drop for LinkHealth {
    fn drop(&mut self) {
        if self.reported.is_some() {
            let name = std::mem::take(&mut self.name);
            self.switchboard.report_soon(ChannelEvent::Trouble { name, fault: None });
        }
    }
}
