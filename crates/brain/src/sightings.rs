//! The peers that this node has heard on its channels.

use crate::Now;
use crate::neighbours::{Neighbour, NeighbourId};
use crate::node::Node;
use dcache::PeerId;
use routing::Reach;
use std::net::SocketAddr;
use std::time::Duration;

/// A peer that was heard on a channel: a network, or a lasting link or path to one peer. A peer that was heard on
/// several channels has one sighting for each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The peer, as the line named it. Lines are not signed, so another host may have used its name.
    pub peer: PeerId,
    /// Name of the channel, as the status shows it.
    pub channel: String,
    /// The peers that receive the lines of the channel.
    pub reach: Reach,
    /// Address from which its lines came. On a channel without such addresses, the address at which it accepts links,
    /// if it is known.
    pub address: Option<SocketAddr>,
    /// Whether its lines came from that address. Otherwise the peer only stated it.
    pub is_source: bool,
    /// Time since it was last heard on the channel.
    pub age: Duration,
}

impl Node {
    /// Returns the peers that were heard on the channels that are up, sorted by channel and peer.
    pub(crate) fn sightings(&self, now: Now) -> Vec<Sighting> {
        let sighting = |(&(id, peer), neighbour): (&NeighbourId, &Neighbour)| {
            let channel = self.channels.get(id)?;
            Some(Sighting {
                peer,
                channel: channel.tally.name.clone(),
                reach: channel.capacity()?.reach,
                address: neighbour.source.or(neighbour.line),
                is_source: neighbour.source.is_some(),
                age: now.elapsed.saturating_sub(neighbour.heard),
            })
        };
        self.neighbours.all().filter_map(sighting).collect()
    }
}
