//! The first step of a line on its way: a channel, and the host on it.

use crate::channel::Channel;
use crate::node::Node;
use dcache::PeerId;
use routing::{Address, ChannelId, Hop, Medium, Member, Part, Target, Wild};
use std::net::{IpAddr, SocketAddr};

/// The first step of a line.
pub(crate) enum NextHop {
    /// A channel that is up.
    On(ChannelId, Target),
    /// A link that has to be opened first.
    Dial(SocketAddr),
}

impl Node {
    /// Returns the step to the first part of an address. A step to a peer does not lead back by the channel that
    /// brought the line.
    pub(crate) fn next_hop(&self, part: &Part<'_>, brought_by: Option<ChannelId>) -> Option<NextHop> {
        match part {
            Part::Hop(hop) => self.step_by(hop),
            Part::Peer(Member { peer: Wild::Is(peer), name: "brain" }) => self.step_to(*peer, brought_by),
            _ => None,
        }
    }

    fn step_by(&self, hop: &Hop<'_>) -> Option<NextHop> {
        let at = Address::hop(*hop).ok()?;
        if let Some((id, _)) = self.channels.iter().find(|(_, channel)| channel.is_at(&at)) {
            return Some(NextHop::On(id, Target::All));
        }
        match hop {
            Hop::Udp(socket) => self.network_for(socket.addr()?),
            Hop::Tcp(socket) => Some(NextHop::Dial(socket.addr()?)),
            _ => None,
        }
    }

    /// Returns the network on which a host most likely is. That is the network on which it was heard, or else the one
    /// where this node's own address has the most leading bits in common with it. A wrong guess does no harm, because
    /// the operating system routes the datagram in any case.
    fn network_for(&self, host: SocketAddr) -> Option<NextHop> {
        let heard = self.neighbours.all().find(|(_, neighbour)| neighbour.source == Some(host));
        if let Some(((id, _), _)) = heard {
            return Some(NextHop::On(*id, Target::Host(host)));
        }
        let likeness = |(id, channel): (ChannelId, &Channel)| match channel.medium() {
            Medium::Broadcast { line: Some(line), .. } => {
                Some((common_bits(line.tcp()?.ip(), host.ip())?, id))
            }
            _ => None,
        };
        let (_, id) = self.channels.iter().filter_map(likeness).max()?;
        Some(NextHop::On(id, Target::Host(host)))
    }

    /// Returns the step by the cheapest channel on which a peer was heard.
    fn step_to(&self, peer: PeerId, brought_by: Option<ChannelId>) -> Option<NextHop> {
        let heard = self.neighbours.all().filter(|((id, of), _)| *of == peer && Some(*id) != brought_by);
        let priced = heard.filter_map(|((id, _), neighbour)| {
            Some((self.channels.capacity(*id)?.cost, *id, neighbour.source))
        });
        let (_, id, source) = priced.min_by_key(|(cost, id, _)| (*cost, *id))?;
        Some(NextHop::On(id, source.map_or(Target::All, Target::Host)))
    }
}

/// Returns the number of leading bits that two addresses have in common; `None` when they are of different families.
fn common_bits(one: IpAddr, other: IpAddr) -> Option<u32> {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => Some((u32::from(one) ^ u32::from(other)).leading_zeros()),
        (IpAddr::V6(one), IpAddr::V6(other)) => Some((u128::from(one) ^ u128::from(other)).leading_zeros()),
        _ => None,
    }
}
