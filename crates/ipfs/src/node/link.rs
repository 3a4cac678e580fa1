//! What the exchange knows of a connected peer, and how many of its streams are read.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use libp2p::{PeerId, Stream};

use super::limits::Share;
use super::streams::Coming;

/// The most streams of one peer that are read at one time.
const MAX_STREAMS_PER_PEER: usize = 64;
/// Maximum number of streams of all peers at one address that are read at one time.
const MAX_STREAMS_PER_SOURCE: usize = 256;
/// Maximum number of streams of all peers that are read at one time.
const MAX_STREAMS: usize = 1024;

/// One connected peer.
pub(super) struct Link {
    /// Tells work for this connection from work for an earlier one.
    pub(super) visit: u64,
    /// Tells what is sent now from what was sent over a connection that is closed.
    pub(super) sending: u64,
    pub(super) stream: Option<Stream>,
    pub(super) readers: usize,
    /// Where the peer is.
    pub(super) source: Option<IpAddr>,
    pub(super) coming: Coming,
    pub(super) share: Arc<Share>,
    /// When something was last said on it.
    pub(super) used: Instant,
    /// When something last came on it, or it was made.
    pub(super) heard: Instant,
}

impl Link {
    pub(super) fn new(visit: u64, share: Arc<Share>) -> Self {
        let (coming, now) = (Coming::default(), Instant::now());
        let (stream, source) = (None, None);
        Self { visit, sending: visit, stream, readers: 0, source, coming, share, used: now, heard: now }
    }

    /// Whether as many streams of the peer are read as is allowed.
    pub(super) fn has_too_many(&self) -> bool {
        self.readers >= MAX_STREAMS_PER_PEER
    }
}

/// Whether as many streams are read as is allowed, of all peers at one address or of all together.
pub(super) fn is_crowded(links: &BTreeMap<PeerId, Link>, source: Option<IpAddr>) -> bool {
    let at_source = links.values().filter(|link| link.source == source);
    let of_source: usize = at_source.map(|link| link.readers).sum();
    let of_all: usize = links.values().map(|link| link.readers).sum();
    // What is in one process, or on this computer, is a test or a program of the owner.
    let is_local = source.is_none_or(|ip| ip.is_loopback());
    of_all >= MAX_STREAMS || !is_local && of_source >= MAX_STREAMS_PER_SOURCE
}
