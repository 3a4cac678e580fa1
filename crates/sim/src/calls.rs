//! Links, from dialling to closing.

use crate::event::Event;
use crate::line::{Kind, Line};
use crate::link::{self, EndOf, Link, LinkId};
use crate::network::{Network, whose};
use crate::node::{Body, NodeId, Port};
use crate::world::World;
use brain::Input;
use rand::RngExt as _;
use routing::{ChannelEvent, ChannelId, Medium};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Time after which an attempt to connect fails if no packet can even be sent.
const AT_ONCE: Duration = Duration::from_millis(1);

impl World {
    pub(crate) fn connect(&mut self, node: NodeId, address: SocketAddr) {
        let life = self.nodes[node].life;
        let uncalled = Event::Uncalled { life, address };
        let (network, peer) = match whose(address) {
            Some((network, peer)) if self.may_call(node, network, peer) => (network, peer),
            _ => return self.queue.push(self.now + AT_ONCE, uncalled),
        };
        if !self.networks[network].connects(node, peer) {
            return self.queue.push(self.now + link::RINGING, uncalled);
        }
        let id = self.new_number();
        self.links.insert(
            id,
            Link::new(network, address, [self.nodes[node].life, self.nodes[peer].life], self.now),
        );
        self.nodes[node].traffic.sent.add(Kind::Others, link::OPENING);
        let late = link::opening_delay(self.networks[network].conditions.loss, &mut self.random);
        if late > link::RINGING {
            self.links.remove(&id);
            return self.queue.push(self.now + link::RINGING, uncalled);
        }
        let delay = self.networks[network].delay(&mut self.random) + late;
        self.queue.push(self.now + delay, Event::Called { link: id });
    }

    fn may_call(&self, node: NodeId, network: usize, peer: NodeId) -> bool {
        let is_way = |network: &Network| network.is_dialable && network.members.contains_key(&node);
        node != peer
            && peer < self.nodes.len()
            && self.networks.get(network).is_some_and(is_way)
            && self.nodes[node].links() < link::MOST
    }

    /// Returns whether both nodes are still in the runs in which the link was opened, and can hear each other.
    fn stands(&self, link: &Link) -> bool {
        let [one, other] = [&link.ends[0], &link.ends[1]].map(|end| end.life);
        let lives =
            |life: crate::node::Life| self.nodes[life.node].life == life && !self.nodes[life.node].is_off();
        !link.is_broken
            && lives(one)
            && lives(other)
            && self.networks[link.network].connects(one.node, other.node)
    }

    pub(crate) fn called(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (caller, address, network) = (link.ends[0].life, link.address, link.network);
        let has_room = self.nodes[link.ends[1].life.node].links() < link::MOST;
        if !self.stands(link) || !has_room {
            self.links.remove(&id);
            let wait = if has_room { link::RINGING } else { AT_ONCE };
            return self.queue.push(self.now + wait, Event::Uncalled { life: caller, address });
        }
        let known = self.now + self.networks[network].delay(&mut self.random);
        if let Some(link) = self.links.get_mut(&id) {
            link.ends[1].waits_for(known);
        }
        self.queue.push(known, Event::Connected { link: id });
        self.up(EndOf { link: id, side: 1 }, None);
    }

    pub(crate) fn connected(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.is_connected = true;
        let (caller, address, is_over) = (link.ends[0].life, link.address, link.ends[1].channel.is_none());
        if !self.links.get(&id).is_some_and(|link| self.stands(link)) {
            self.break_link(id);
            return self.queue.push(self.now + link::RINGING, Event::Uncalled { life: caller, address });
        }
        let end = EndOf { link: id, side: 0 };
        self.up(end, Some(address));
        if is_over {
            self.queue.push(self.now, Event::Ended { end });
        }
    }

    fn up(&mut self, of: EndOf, dialled: Option<SocketAddr>) {
        let channel = ChannelId(self.new_number());
        let Some(link) = self.links.get_mut(&of.link) else { return };
        let end = &mut link.ends[of.side];
        (end.channel, end.heard, end.free) = (Some(channel), self.now, self.now);
        let node = end.life.node;
        self.nodes[node].channels.insert(channel, Port::Link(of));
        self.queue.push(self.now + link::SILENT, Event::Patience { end: of });
        self.input(
            node,
            Input::Channel(ChannelEvent::Up { channel, medium: Medium::Link { dialled, is_kept: false } }),
        );
    }

    pub(crate) fn send_on_link(&mut self, node: NodeId, of: EndOf, line: Arc<Line>) {
        let Some(link) = self.links.get_mut(&of.link) else { return };
        let other_is_gone = link.ends[1 - of.side].channel.is_none() && of.side == 0;
        let end = &mut link.ends[of.side];
        if end.is_closing {
            return;
        }
        let conditions = &self.networks[link.network].conditions;
        let bytes = link::wire_bytes(line.bytes);
        let arrival = end.send(bytes, conditions, self.now, &mut self.random);
        let (free, is_planned) = (end.free, std::mem::replace(&mut end.is_awaited, true));
        self.nodes[node].traffic.sent.add(line.kind, bytes);
        if !is_planned {
            self.queue.push(free, Event::Drained { end: of });
        }
        match other_is_gone {
            // The sender is notified after a round trip.
            true => self.queue.push(self.now + conditions.delay * 2, Event::Gone { end: of }),
            false => self.queue.push(arrival, Event::Passed { end: of.other(), line }),
        }
    }

    pub(crate) fn passed(&mut self, of: EndOf, line: &Line) {
        let Some(link) = self.links.get_mut(&of.link).filter(|link| !link.is_broken) else { return };
        let end = &mut link.ends[of.side];
        end.heard = self.now;
        let (node, Some(channel)) = (end.life.node, end.channel) else {
            // The link is gone here, and the sender is notified.
            return self.queue.push(self.now, Event::Gone { end: of.other() });
        };
        self.nodes[node].traffic.received.add(line.kind, link::wire_bytes(line.bytes));
        if matches!(self.nodes[node].body, Body::Liar(_)) {
            return self.liar_hears(node, channel, line);
        }
        let event = match &line.envelope {
            Some(envelope) => ChannelEvent::Received {
                channel,
                source: None,
                envelope: envelope.clone(),
                bytes: line.bytes,
                reaches_all: true,
            },
            None => ChannelEvent::Malformed { channel },
        };
        self.input(node, Input::Channel(event));
    }

    pub(crate) fn drained(&mut self, of: EndOf) {
        let Some(link) = self.links.get_mut(&of.link).filter(|link| !link.is_broken) else { return };
        let end = &mut link.ends[of.side];
        if end.free > self.now {
            return self.queue.push(end.free, Event::Drained { end: of });
        }
        end.is_awaited = false;
        if let (Some(channel), false) = (end.channel, end.is_closing) {
            let node = end.life.node;
            self.input(node, Input::Channel(ChannelEvent::Drained { channel }));
        }
    }

    /// Closes a link for a node. The link is gone there once its lines are sent, and the other side is notified.
    pub(crate) fn close(&mut self, node: NodeId, channel: ChannelId) {
        let Some(Port::Link(of)) = self.nodes[node].channels.get(&channel).copied() else { return };
        let Some(link) = self.links.get_mut(&of.link) else { return };
        let delay = self.networks[link.network].conditions.delay;
        let end = &mut link.ends[of.side];
        if std::mem::replace(&mut end.is_closing, true) {
            return;
        }
        let (gone, heard) = (end.free.max(self.now), end.last_arrival().max(self.now + delay));
        self.queue.push(gone, Event::Gone { end: of });
        self.queue.push(heard, Event::Ended { end: of.other() });
    }

    pub(crate) fn ended(&mut self, of: EndOf) {
        let Some(link) = self.links.get_mut(&of.link).filter(|link| !link.is_broken) else { return };
        let end = &mut link.ends[of.side];
        if let (Some(channel), false) = (end.channel, std::mem::replace(&mut end.is_ended, true)) {
            let node = end.life.node;
            self.queue.push(self.now + link::LINGER, Event::Gone { end: of });
            self.input(node, Input::Channel(ChannelEvent::Ended { channel }));
        }
    }

    pub(crate) fn gone(&mut self, of: EndOf) {
        let Some(link) = self.links.get_mut(&of.link) else { return };
        let end = &mut link.ends[of.side];
        let (life, channel) = (end.life, end.channel.take());
        if link.is_connected && link.ends.iter().all(|end| end.channel.is_none()) {
            self.links.remove(&of.link);
        }
        if let Some(channel) = channel
            && self.nodes[life.node].life == life
            && self.nodes[life.node].channels.remove(&channel).is_some()
        {
            self.input(life.node, Input::Channel(ChannelEvent::Down { channel }));
        }
    }

    pub(crate) fn patience(&mut self, of: EndOf) {
        let Some(link) = self.links.get(&of.link) else { return };
        let end = &link.ends[of.side];
        if end.channel.is_none() || end.is_ended {
            return;
        }
        let over = end.heard + link::SILENT;
        if over > self.now {
            return self.queue.push(over, Event::Patience { end: of });
        }
        let delay = self.networks[link.network].conditions.delay;
        self.queue.push(self.now + delay, Event::Ended { end: of.other() });
        self.gone(of);
    }

    /// Breaks a link: no more lines arrive. Each sender notices that after a while.
    fn break_link(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if !std::mem::replace(&mut link.is_broken, true) {
            for side in 0..2 {
                self.queue.push(self.now + link::STUCK, Event::Gone { end: EndOf { link: id, side } });
            }
        }
    }

    /// Breaks all links whose ends can no longer hear each other.
    pub(crate) fn break_links(&mut self) {
        let connects = |link: &Link| {
            self.networks[link.network].connects(link.ends[0].life.node, link.ends[1].life.node)
        };
        let cut: Vec<_> = self.links.iter().filter(|(_, link)| !connects(link)).map(|(id, _)| *id).collect();
        cut.into_iter().for_each(|id| self.break_link(id));
    }

    /// Handles the links of a node that is killed. Its peers are notified if only its process was killed, but not after
    /// a power failure.
    pub(crate) fn hang_up(&mut self, node: NodeId) {
        let is_power_cut = self.random.random_bool(0.5);
        let ports: Vec<_> = std::mem::take(&mut self.nodes[node].channels).into_values().collect();
        for port in ports {
            let Port::Link(of) = port else { continue };
            if is_power_cut {
                self.break_link(of.link);
            } else {
                let Some(link) = self.links.get(&of.link) else { continue };
                let delay = self.networks[link.network].conditions.delay;
                self.queue.push(self.now + delay, Event::Ended { end: of.other() });
                self.gone(of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;
    use crate::network::address;
    use crate::{Options, Scenario, plan};

    /// Returns two nodes without records, some seconds after they started.
    fn two() -> World {
        let text = "about = ''\nduration = 1000\ncalm = 1\n[[lan]]\nnodes = 2\ndelay_ms = 10\n";
        let scenario = Scenario::read("two", text).unwrap();
        let mut world = plan::world(&Arc::new(scenario), Options::default()).unwrap();
        world.run_until(Duration::from_secs(5));
        world
    }

    fn pass(world: &mut World, milliseconds: u64) {
        world.run_until(world.now + Duration::from_millis(milliseconds));
    }

    #[test]
    fn a_link_is_up_after_a_round_trip_and_ends_for_both_nodes() {
        let mut world = two();
        world.connect(0, address(0, 1));
        pass(&mut world, 15);
        assert_eq!((world.nodes[0].links(), world.nodes[1].links()), (0, 1));
        // Node 0 did not ask for the link, and closes it as soon as it is up.
        pass(&mut world, 100);
        assert_eq!((world.nodes[0].links(), world.nodes[1].links(), world.links.len()), (0, 0, 0));
    }

    #[test]
    fn a_node_that_cannot_be_reached_is_not_connected() {
        let mut world = two();
        world.act(Action::Part { network: 0, parts: [(1, 1)].into() });
        world.connect(0, address(0, 1));
        world.connect(0, address(7, 1));
        world.connect(0, address(0, 0));
        pass(&mut world, 6000);
        assert!(world.links.is_empty() && world.nodes[1].links() == 0);
    }

    #[test]
    fn broken_links_are_removed_completely() {
        for act in [
            Action::Part { network: 0, parts: [(1, 1)].into() },
            Action::Crash { node: 0, off: Duration::from_secs(1) },
            Action::Crash { node: 1, off: Duration::from_secs(1) },
            Action::Leave { node: 1, network: 0 },
        ] {
            for wait in [5, 15, 25] {
                let mut world = two();
                world.connect(0, address(0, 1));
                pass(&mut world, wait);
                world.act(act.clone());
                pass(&mut world, 90_000);
                assert!(world.links.is_empty(), "{act:?} after {wait} ms");
                assert_eq!(
                    (world.nodes[0].links(), world.nodes[1].links()),
                    (0, 0),
                    "{act:?} after {wait} ms"
                );
            }
        }
    }
}
