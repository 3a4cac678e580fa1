//! Decides which addresses named by other peers are contacted. Through this node, other peers can reach only nodes of
//! the swarm.

use crate::Now;
use crate::next_hop::NextHop;
use crate::node::Node;
use crate::origin::Origin;
use routing::{Address, ChannelCommand, Hop, Medium, Part, Target};
use std::net::SocketAddr;
use telemetry::metrics;

/// The party that named an address to dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The owner of this node.
    Owner,
    /// A peer, in a line or a record.
    Others,
}

impl Node {
    /// Opens a link, and returns whether it did. An address that other peers named is dialled rarely until a node of
    /// the swarm answers there.
    pub(crate) fn dial(&mut self, now: Now, address: SocketAddr, named_by: NamedBy) -> bool {
        let may = named_by == NamedBy::Owner || self.targets.admit((), address, now.elapsed);
        match may {
            true => self.command(ChannelCommand::Connect { address }),
            false => self.count(&metrics::BRAIN_LINKS_NOT_DIALLED),
        }
        may
    }

    /// Notes that a line came by a channel. If this node dialled the channel, a node of the swarm answers at that
    /// address.
    pub(crate) fn note_answer(&mut self, now: Now, origin: Origin) {
        let medium = self.channels.get(origin.channel).map(|channel| channel.medium());
        if let Some(Medium::Link { dialled: Some(address), .. }) = medium {
            self.targets.reached((), *address, now.elapsed);
        }
    }

    /// Returns whether a peer may take links at an address that it named. `is_heard` tells whether the peer itself was
    /// heard from that IP address.
    pub(crate) fn is_fit_line(&self, line: SocketAddr, is_heard: bool) -> bool {
        targets::check(line, &self.ports(true), is_heard).is_ok()
    }

    /// Returns whether a step that other peers ask for leads to a host that was heard, or to a port at which nodes of
    /// the swarm listen.
    pub(crate) fn is_of_swarm(&self, next: &NextHop) -> bool {
        let (host, is_link) = match next {
            NextHop::On(_, Target::All) => return true,
            NextHop::On(_, Target::Host(host)) => (*host, false),
            NextHop::Dial(host) => (*host, true),
        };
        let ports = self.ports(is_link);
        let is_fit = || ports.contains(&host.port()) && targets::check(host, &ports, false).is_ok();
        self.is_heard(host) || is_fit()
    }

    /// Notes that a host sent a line for another node. If this node forwarded a line to that host before, a node of the
    /// swarm answers there.
    pub(crate) fn note_return(&mut self, now: Now, origin: Origin) {
        let source = origin.source.filter(|source| self.ports(false).contains(&source.port()));
        if let Some(source) = source {
            self.targets.heard((), source, now.elapsed);
        }
    }

    /// Returns whether the host of a step was heard, or may be contacted once more. It may be a node of the swarm that
    /// only others hear, or the victim of an attack. Datagrams and links to a host share one budget.
    pub(crate) fn may_disturb(&mut self, now: Now, next: &NextHop) -> bool {
        match next {
            NextHop::On(_, Target::Host(host)) => {
                self.is_heard(*host) || self.targets.admit((), *host, now.elapsed)
            }
            // The rate of dialling is limited where the link is opened.
            NextHop::On(_, Target::All) | NextHop::Dial(_) => true,
        }
    }

    /// Returns whether a peer was heard from this host, or takes links there.
    pub(crate) fn is_heard(&self, host: SocketAddr) -> bool {
        self.neighbours.all().any(|(_, known)| known.source == Some(host) || known.line == Some(host))
    }

    /// Returns whether the way back that a line brought leads only over nodes of the swarm. Its first step has to lead
    /// to the origin of the line: to the host that sent it, or to the peer or the channel that brought it.
    pub(crate) fn is_fit_path(&self, origin: Origin, chain: &Address) -> bool {
        let mut parts = chain.parts();
        let Some(first) = parts.next() else { return false };
        let is_own = |part: &Part<'_>| match part {
            Part::Hop(hop) => {
                let at = Address::hop(*hop).ok();
                let channel = self.channels.get(origin.channel);
                channel.is_some_and(|channel| at.is_some_and(|at| channel.is_at(&at)))
            }
            Part::Peer(_) => true,
            _ => false,
        };
        let is_back = match (&first, origin.source) {
            (Part::Hop(Hop::Udp(at)), Some(source)) => at.addr().is_some_and(|at| at.ip() == source.ip()),
            (Part::Peer(_), Some(_)) | (_, None) => is_own(&first),
            (_, Some(_)) => false,
        };
        let is_led = || self.next_hop(&first, None).is_some_and(|next| self.is_of_swarm(&next));
        is_back && is_led() && parts.all(|part| is_fit_hop(&part))
    }

    /// Returns the ports at which this node listens on its networks. Most likely all robots use the same.
    fn ports(&self, of_links: bool) -> Vec<u16> {
        let port = |medium: &Medium| match medium {
            Medium::Broadcast { line: Some(line), .. } if of_links => Some(line.tcp()?.port()),
            Medium::Broadcast { at: Some(at), .. } if !of_links => match at.first_hop()?.0 {
                Hop::Udp(socket) => socket.port.value(),
                _ => None,
            },
            _ => None,
        };
        self.channels.iter().filter_map(|(_, channel)| port(channel.medium())).collect()
    }
}

/// Returns whether a node of the swarm may take this later step of a way. Each node on the way checks its own step.
fn is_fit_hop(part: &Part<'_>) -> bool {
    match part {
        Part::Hop(Hop::Tcp(at) | Hop::Udp(at)) => {
            at.addr().is_some_and(|at| targets::check(at, &[], false).is_ok())
        }
        Part::Hop(Hop::Irc { .. } | Hop::Pubsub { .. }) | Part::Peer(_) => true,
        Part::Node(_) | Part::Content(_) | Part::CommandLine | Part::Other(_) => false,
    }
}
