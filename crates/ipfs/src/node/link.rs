//! The state of the exchange for each connected peer, and limits on the number of streams that are read.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use libp2p::{PeerId, Stream};

use super::limits::Share;
use super::streams::Coming;

/// Maximum number of streams of one peer that are read at the same time.
const MAX_STREAMS_PER_PEER: usize = 64;
/// Maximum number of streams of all peers at one address that are read at the same time.
const MAX_STREAMS_PER_SOURCE: usize = 256;
/// Maximum number of streams of all peers that are read at the same time.
const MAX_STREAMS: usize = 1024;

/// The state for one connected peer.
pub(super) struct Link {
    /// Number of this connection period. It distinguishes the work for this period from work for an earlier one.
    pub(super) visit: u64,
    /// Number that distinguishes current sends from sends over a connection that has closed.
    pub(super) sending: u64,
    pub(super) stream: Option<Stream>,
    pub(super) readers: usize,
    /// Source address of the peer, as used for limits.
    pub(super) source: Option<IpAddr>,
    pub(super) coming: Coming,
    pub(super) share: Arc<Share>,
    /// Time of the last message in either direction.
    pub(super) used: Instant,
    /// Time of the last received message, or of the connection.
    pub(super) heard: Instant,
}

impl Link {
    pub(super) fn new(visit: u64, share: Arc<Share>) -> Self {
        let (coming, now) = (Coming::default(), Instant::now());
        let (stream, source) = (None, None);
        Self { visit, sending: visit, stream, readers: 0, source, coming, share, used: now, heard: now }
    }

    /// Returns whether the peer has used up its limit of streams.
    pub(super) fn has_too_many(&self) -> bool {
        self.readers >= MAX_STREAMS_PER_PEER
    }
}

/// Returns whether the limit of streams is used up: of all peers at this address, or of all peers together.
pub(super) fn is_crowded(links: &BTreeMap<PeerId, Link>, source: Option<IpAddr>) -> bool {
    let at_source = links.values().filter(|link| link.source == source);
    let of_source: usize = at_source.map(|link| link.readers).sum();
    let of_all: usize = links.values().map(|link| link.readers).sum();
    // Peers on this computer or in this process are tests or programs of the user of this node, so they are not limited.
    let is_local = source.is_none_or(|ip| ip.is_loopback());
    of_all >= MAX_STREAMS || !is_local && of_source >= MAX_STREAMS_PER_SOURCE
}
