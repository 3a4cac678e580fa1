//! The hearing of this node: the peers heard on each channel, the peers that answer pings, and hosts of other swarms.

use crate::channel::Channel;
use crate::neighbours::{Neighbour, NeighbourId};
use crate::node::{Node, briefly};
use crate::origin::Origin;
use crate::{Brain, Now, Output};
use dcache::PeerId;
use routing::{Envelope, Medium, Message, Reach, Target};
use std::net::SocketAddr;
use std::time::Duration;

/// A peer that was heard on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hearing {
    /// The peer that was heard.
    pub peer: PeerId,
    /// Name of the channel.
    pub channel: String,
    /// Which peers receive a line of the channel.
    pub reach: Reach,
    /// Source address of the peer's datagrams, if the channel reveals it.
    pub source: Option<SocketAddr>,
    /// Time since the peer was last heard there.
    pub heard: Duration,
    /// Time since the peer last answered a ping there; `None` if it never did.
    pub answered: Option<Duration>,
}

/// A host that belongs to another swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherSwarm {
    /// Address of the host, if it is known.
    pub source: Option<SocketAddr>,
    /// Time since it was last heard.
    pub age: Duration,
}

/// A host of another swarm, and when it was heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherHost {
    source: Option<SocketAddr>,
    at: Duration,
}

impl Brain {
    /// Sends a ping to all peers on each channel but those that reach the whole world, where an answer of every peer
    /// would cost too much. Returns the commands for the channels. [`Brain::hearings`] shows who answered.
    pub fn ping(&mut self, now: Now) -> Vec<Output> {
        let node = &mut self.node;
        for id in node.channels.networks() {
            let Some(channel) = node.channels.get(id) else { continue };
            if channel.capacity().is_none_or(|capacity| capacity.reach == Reach::World) {
                continue;
            }
            let question = Message::ping(briefly(now));
            let envelope = Envelope::new(node.own_address(channel), node.everybody.clone(), question);
            node.send(now, id, Target::All, &envelope);
        }
        std::mem::take(&mut node.outputs)
    }

    /// Returns the peers that were heard on each channel, with the age of each fact.
    pub fn hearings(&self, now: Now) -> Vec<Hearing> {
        let age = |at: Duration| now.elapsed.saturating_sub(at);
        let hearing = |(id, peer): &NeighbourId, neighbour: &Neighbour| {
            let channel = self.node.channels.get(*id)?;
            Some(Hearing {
                peer: *peer,
                channel: channel.display_name(),
                reach: channel.capacity()?.reach,
                source: neighbour.source,
                heard: age(neighbour.heard),
                answered: neighbour.answered.map(age),
            })
        };
        self.node.neighbours.all().filter_map(|(id, neighbour)| hearing(id, neighbour)).collect()
    }

    /// Returns the latest host whose datagrams cannot be read, because they are sealed with another key or because only
    /// one of the two swarms has a key.
    pub fn other_key(&self, now: Now) -> Option<OtherSwarm> {
        self.node.other_key.map(|host| host.told(now))
    }

    /// Returns the latest host that sent a record whose signature is not valid in this swarm.
    pub fn other_records(&self, now: Now) -> Option<OtherSwarm> {
        self.node.other_records.map(|host| host.told(now))
    }
}

impl OtherHost {
    fn told(self, now: Now) -> OtherSwarm {
        OtherSwarm { source: self.source, age: now.elapsed.saturating_sub(self.at) }
    }
}

impl Channel {
    /// Returns the name of the channel, for display.
    fn display_name(&self) -> String {
        match self.medium() {
            Medium::Broadcast { name, .. } => name.clone(),
            Medium::Link { .. } => self.tally.name.clone(),
        }
    }
}

impl Node {
    /// Notes that a peer answered a ping.
    pub(crate) fn note_pong(&mut self, now: Now, origin: Origin, peer: PeerId) {
        if let Some(neighbour) = self.neighbours.get_mut(&(origin.channel, peer)) {
            neighbour.answered = Some(now.elapsed);
        }
    }

    /// Notes a host whose datagrams cannot be read because its swarm has another key.
    pub(crate) fn hear_other_key(&mut self, now: Now, source: SocketAddr) {
        self.other_key = Some(OtherHost { source: Some(source), at: now.elapsed });
    }

    /// Notes a host that sent a record whose signature is not valid in this swarm.
    pub(crate) fn hear_other_records(&mut self, now: Now, source: Option<SocketAddr>) {
        self.other_records = Some(OtherHost { source, at: now.elapsed });
    }
}
