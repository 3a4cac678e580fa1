//! Delivers the lines that brains and liars send on networks.

use crate::event::Event;
use crate::line::Line;
use crate::network::{NetworkId, Sort, address};
use crate::node::{Body, NodeId, Port};
use crate::world::World;
use brain::Input;
use routing::{ChannelCommand, ChannelEvent, ChannelId, Target};
use std::sync::Arc;
use std::time::Duration;

/// Delay of a datagram to its own sender.
const LOOP_BACK: Duration = Duration::from_micros(50);

impl World {
    pub(crate) fn carry_out(&mut self, node: NodeId, command: ChannelCommand) {
        match command {
            ChannelCommand::Send { channel, target, line } => self.send(node, channel, target, line),
            ChannelCommand::Connect { address } => self.connect(node, address),
            ChannelCommand::Close { channel } => self.close(node, channel),
        }
    }

    /// Sends a line. Drops it if its channel is gone, because the brain may not have been notified of that yet.
    pub(crate) fn send(&mut self, node: NodeId, channel: ChannelId, target: Target, text: String) {
        let Some(port) = self.nodes[node].channels.get(&channel).copied() else { return };
        self.note(node as u64);
        self.note_text(&text);
        let line = Arc::new(Line::new(text));
        if line.envelope.is_none() && self.nodes[node].is_honest {
            self.fail(format!("node {node} sent an invalid line: {}", line.text));
        }
        match port {
            Port::Network(network) => self.send_on_network(node, network, target, &line),
            Port::Link(end) => self.send_on_link(node, end, line),
        }
    }

    fn send_on_network(&mut self, from: NodeId, id: NetworkId, target: Target, line: &Arc<Line>) {
        self.check_budget(from, id, line.bytes);
        let Self { now, networks, nodes, queue, random, .. } = self;
        let network = &networks[id];
        nodes[from].traffic.sent.add(line.kind, network.wire_bytes(line.bytes));
        for (&node, member) in &network.members {
            let arrives = || Event::Arrives { node, channel: member.channel, from, line: line.clone() };
            if node == from {
                if network.sort == Sort::Lan && target == Target::All {
                    queue.push(*now + LOOP_BACK, arrives());
                }
                continue;
            }
            let is_meant = match target {
                Target::All => true,
                Target::Host(host) => host.ip() == address(id, node).ip(),
            };
            if is_meant && network.connects(from, node) {
                let delays = network.arrivals(line.bytes, random).into_iter().flatten();
                delays.for_each(|delay| queue.push(*now + delay, arrives()));
            }
        }
    }

    fn check_budget(&mut self, node: NodeId, id: NetworkId, bytes: usize) {
        let Some(member) = self.networks[id].members.get_mut(&node) else { return };
        if let (Err(beyond), true) = (member.budget.spend(bytes, self.now), self.nodes[node].is_honest)
            && !std::mem::replace(&mut member.is_over, true)
        {
            let name = &self.networks[id].name;
            self.fail(format!("node {node} sent on {name} {beyond}"));
        }
    }

    pub(crate) fn arrives(&mut self, node: NodeId, channel: ChannelId, from: NodeId, line: &Line) {
        let Some(id) = self.network_of(node, channel) else { return };
        self.note((node as u64) << 32 | from as u64);
        let network = &self.networks[id];
        let source = (network.sort == Sort::Lan).then(|| address(id, from));
        if node != from {
            let bytes = network.wire_bytes(line.bytes);
            self.nodes[node].traffic.received.add(line.kind, bytes);
        }
        match &self.nodes[node].body {
            Body::Brain(_) => {
                let event = match &line.envelope {
                    Some(envelope) => ChannelEvent::Received {
                        channel,
                        source,
                        envelope: envelope.clone(),
                        bytes: line.bytes,
                        reaches_all: true,
                    },
                    None => ChannelEvent::Malformed { channel },
                };
                self.input(node, Input::Channel(event));
            }
            Body::Liar(_) if node != from => self.liar_hears(node, channel, line),
            Body::Liar(_) | Body::Off => {}
        }
    }
}
