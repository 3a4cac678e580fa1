//! Links that are to last: dialled, and dialled again whenever they end.

use crate::Switchboard;
use crate::dial::{DialError, Dialler};
use crate::link::{End, Origin, Patience, run_link};
use rand::TryRng as _;
use routing::ChannelEvent;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// The most peers with whom links are kept.
pub const MAX_KEPT: usize = 32;

/// A peer with whom a link is to be kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptPeer {
    /// An IP address or a name, which is looked up each time.
    pub host: String,
    /// The port of its line protocol.
    pub port: u16,
}

impl fmt::Display for KeptPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// How to keep a link.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    pub(crate) dialler: Dialler,
    pub(crate) patience: Patience,
    /// How often to say that this node is still there.
    pub(crate) sign: Duration,
    /// The shortest and the longest pause before dialling again.
    pub(crate) pauses: (Duration, Duration),
    pub(crate) switchboard: Switchboard,
}

/// The links that are kept; who is taken off the list is hung up.
#[derive(Debug)]
pub(crate) struct Kept {
    keeper: Keeper,
    links: BTreeMap<KeptPeer, AbortOnDropHandle<()>>,
}

impl Kept {
    pub(crate) fn new(keeper: Keeper) -> Self {
        Self { keeper, links: BTreeMap::new() }
    }

    /// Keeps links with these peers, and no others.
    pub(crate) fn set(&mut self, peers: &[KeptPeer]) {
        if peers.len() > MAX_KEPT {
            tracing::warn!(most = MAX_KEPT, "too many peers to keep links with: the last ones are left out");
        }
        let peers = &peers[..peers.len().min(MAX_KEPT)];
        self.links.retain(|peer, _| peers.contains(peer));
        for peer in peers {
            let keep = || tokio::spawn(self.keeper.clone().keep(peer.clone()));
            self.links.entry(peer.clone()).or_insert_with(|| AbortOnDropHandle::new(keep()));
        }
    }
}

impl Keeper {
    /// Keeps a link until it is dropped.
    async fn keep(self, peer: KeptPeer) {
        let mut trouble =
            Trouble { name: format!("tcp {peer}"), told: None, switchboard: self.switchboard.clone() };
        let mut pause = self.pauses.0;
        loop {
            let lasted = self.link(&peer, &mut trouble).await;
            if lasted >= self.pauses.1 {
                pause = self.pauses.0;
            }
            tokio::time::sleep(somewhat_less(pause)).await;
            pause = (pause * 2).min(self.pauses.1);
        }
    }

    /// One link, from dialling to its end; returns how long it lasted.
    async fn link(&self, peer: &KeptPeer, trouble: &mut Trouble) -> Duration {
        match self.dialler.dial_name(&peer.host, peer.port).await {
            Ok((address, begun)) => {
                trouble.tell(None).await;
                let began = Instant::now();
                let origin = Origin::Kept(address, self.sign);
                let end = run_link(begun, origin, self.patience, self.switchboard.clone()).await;
                tracing::debug!(%peer, "a kept link ended");
                if matches!(end, End::Keyed) {
                    trouble.tell(Some("it belongs to another swarm (it has a key)".to_owned())).await;
                }
                began.elapsed()
            }
            // A server whose own address is in the swarm's file.
            Err(DialError::Oneself) => {
                trouble.tell(None).await;
                Duration::ZERO
            }
            Err(error) => {
                trouble.tell(Some(error.to_string())).await;
                Duration::ZERO
            }
        }
    }
}

/// From a half to the whole of a pause, so that those who lost one peer at once do not all come back at once.
fn somewhat_less(pause: Duration) -> Duration {
    // Without random bytes there is only the crowd.
    let random = rand::rngs::SysRng.try_next_u32().unwrap_or(u32::MAX);
    pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

/// What is wrong with a peer, told when it changes; dropped, it is over.
struct Trouble {
    name: String,
    told: Option<String>,
    switchboard: Switchboard,
}

impl Trouble {
    async fn tell(&mut self, words: Option<String>) {
        if self.told != words {
            self.told.clone_from(&words);
            self.switchboard.report(ChannelEvent::Trouble { name: self.name.clone(), words }).await;
        }
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        if self.told.is_some() {
            let name = std::mem::take(&mut self.name);
            self.switchboard.report_soon(ChannelEvent::Trouble { name, words: None });
        }
    }
}
