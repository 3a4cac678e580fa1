//! Reception of lines: makes cheap checks first, then passes each part of a line to the part of the brain that handles
//! it.

use super::Brain;
use crate::Now;
use crate::brain::admit::RecordSource;
use crate::origin::Origin;
use dcache::{PeerId, buckets};
use routing::{Address, Capacity, ChannelId, Envelope, Medium, Message, Repair, Want};
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::metrics;

/// Maximum number of signed addresses of a peer that are checked. They are checked again for each of its lines.
const MAX_SIGNED_LINES: usize = 16;
/// Minimum time between two lines of a peer from which this node learns the same route. The age of a route is shown in
/// seconds.
const LEARN_EVERY: Duration = Duration::from_secs(1);

impl Brain {
    pub(super) fn received(&mut self, now: Now, origin: Origin, envelope: &Envelope, bytes: usize) {
        let peer = envelope.from.brain_of();
        if !self.node.channels.contains(origin.channel) {
            return;
        }
        if peer == Some(self.node.me) {
            return self.hear_own_name(now, origin, envelope);
        }
        self.node.channels.tally(origin.channel, |tally| {
            tally.received_lines += 1;
            tally.received_bytes += bytes as u64;
        });
        self.node.count(&metrics::BRAIN_LINES_RECEIVED);
        if !self.has_budget(now, origin) {
            return;
        }
        self.node.note_answer(now, origin);
        if envelope.to != self.node.here && envelope.to != self.node.everybody {
            return self.forwarding.received(&mut self.node, now, origin, envelope, bytes);
        }
        let origin = self.path_of(now, origin, envelope, bytes);
        if let Some(peer) = peer {
            self.hear(now, origin, peer, &envelope.from);
        }
        if let (Some(peer), Some(beacon)) = (peer, envelope.beacon) {
            self.keep_link(now, origin.channel, peer);
            self.beacons.received(&mut self.node, now, origin, peer, beacon);
        }
        if let (Some(peer), Some(step)) = (peer, &envelope.repair) {
            return self.repair_step(now, origin, peer, step);
        }
        self.message(now, origin, envelope);
    }

    /// Returns whether the host that sent a line is within its rate limit. If not, counts the line as refused.
    fn has_budget(&mut self, now: Now, origin: Origin) -> bool {
        let budget = self.node.settings.host_budget;
        let source = origin.source.map(|source| source.ip());
        let has_budget = source.is_none_or(|ip| self.host_budgets.spend(ip, budget, now.elapsed));
        if !has_budget {
            self.node.count(&metrics::BRAIN_LINES_REFUSED_OVER_BUDGET);
        }
        has_budget
    }

    /// Handles a line in the name of this node. The line may be this node's own broadcast, which brings nothing new.
    /// From another host that uses the same key, only new records signed with that key are taken, so that each host
    /// learns of the other.
    fn hear_own_name(&mut self, now: Now, origin: Origin, envelope: &Envelope) {
        if !self.has_budget(now, origin) {
            return;
        }
        let Ok(Message::Statement(statement)) = Message::parse(&envelope.payload) else { return };
        let me = self.node.me;
        for carried in envelope.records.iter().filter(|carried| carried.signature.signer == me) {
            self.carried(now, RecordSource::Pushed(origin), carried);
        }
        if envelope.signatures.iter().any(|signature| signature.signer == me) {
            self.statement(now, origin, &statement, envelope);
        }
    }

    fn repair_step(&mut self, now: Now, origin: Origin, peer: PeerId, step: &Repair) {
        let from = (origin, peer);
        let Self { node, answers, comparisons, served, .. } = self;
        if let Repair::More { salt, .. } | Repair::Want(Want { salt, .. }) = step {
            node.paths.answered(origin.channel, *salt);
        }
        match step {
            Repair::Sketch(sketch) => served.sketch(node, answers, now, from, sketch),
            Repair::More { salt, have } => comparisons.more_wanted(node, now, from, (*salt, *have)),
            Repair::Want(want) => comparisons.wanted(node, answers, now, from, want),
        }
    }

    fn message(&mut self, now: Now, origin: Origin, envelope: &Envelope) {
        if let [signature] = envelope.signatures.as_slice()
            && self.hears_again(RecordSource::Pushed(origin), &envelope.payload, signature)
        {
            for carried in &envelope.records {
                self.carried(now, RecordSource::Pushed(origin), carried);
            }
            return;
        }
        let message = Message::parse(&envelope.payload);
        let is_news = matches!(message, Ok(Message::Statement(_)));
        for carried in &envelope.records {
            let source = if is_news { RecordSource::Pushed(origin) } else { RecordSource::Repaired(origin) };
            self.carried(now, source, carried);
        }
        let Self { node, answers, .. } = self;
        match message {
            Ok(Message::Statement(statement)) => self.statement(now, origin, &statement, envelope),
            Ok(Message::Request { patterns, .. }) => {
                answers.answer_request(node, now, origin, envelope, &patterns)
            }
            Ok(Message::Ping { .. }) => answers.answer_ping(node, now, origin, envelope),
            // A pong without records ends the transfer from the other side of a link.
            Ok(Message::Pong { validity }) if envelope.records.is_empty() => {
                if let Some(peer) = envelope.from.brain_of() {
                    node.note_clock(now, origin, peer, &validity);
                    // A beacon is a pong to all. Only a pong to this node answers its ping.
                    if envelope.to == node.here && envelope.beacon.is_none() {
                        node.note_pong(now, origin, peer);
                    }
                }
                self.comparisons.completed(node, now, origin.channel);
            }
            Ok(Message::Pong { .. }) => {}
            Ok(Message::Command { .. }) => node.count(&metrics::BRAIN_MESSAGES_IGNORED_COMMANDS),
            Ok(Message::Signature) => node.count(&metrics::BRAIN_MESSAGES_IGNORED_SIGNATURES),
            Err(_) => node.penalize(&metrics::BRAIN_MESSAGES_REFUSED_MALFORMED, origin.channel),
        }
    }

    /// Notes where a peer takes links. An address that the peer claims has to fit the host that the line came from.
    /// Otherwise anyone could make a whole class connect to a victim.
    fn hear(&mut self, now: Now, origin: Origin, peer: PeerId, from: &Address) {
        if self.node.channels.is_network(origin.channel) {
            let line = self.line_of(now, origin, peer, from);
            let neighbour = self.node.neighbours.heard((origin.channel, peer), now.elapsed);
            let is_routed = neighbour.routed.is_some_and(|at| at + LEARN_EVERY > now.elapsed);
            if !is_routed || neighbour.source != origin.source {
                neighbour.routed = Some(now.elapsed);
                self.learn_route(now, origin, peer);
            }
            let neighbour = self.node.neighbours.heard((origin.channel, peer), now.elapsed);
            neighbour.source = origin.source.or(neighbour.source);
            neighbour.line = line.or(neighbour.line);
        }
        if let Some(channel) = self.node.channels.get_mut(origin.channel) {
            channel.is_pushed = true;
        }
    }

    /// Returns the address at which a peer takes links, as far as its claim can be believed.
    fn line_of(&self, now: Now, origin: Origin, peer: PeerId, from: &Address) -> Option<SocketAddr> {
        let claimed = from.tcp();
        match (self.node.channels.get(origin.channel)?.medium(), origin.source) {
            (Medium::Link { dialled, .. }, _) => *dialled,
            (_, Some(source)) => {
                claimed.filter(|line| line.ip() == source.ip() && self.node.is_fit_line(*line, true))
            }
            // Where this node names its own address, all nodes do. Elsewhere, as on IRC, anyone could claim any address
            // for another peer, so only addresses that the peer has signed are believed.
            (Medium::Broadcast { line: Some(_), .. }, None) => {
                claimed.filter(|line| self.node.is_fit_line(*line, false))
            }
            (Medium::Broadcast { line: None, .. }, None) => self.signed_line(now, peer),
        }
    }

    /// Returns the first suitable address at which a peer takes links according to its signed records.
    fn signed_line(&self, now: Now, peer: PeerId) -> Option<SocketAddr> {
        let bucket = buckets::ADDRESSES.of(peer);
        let views = self.node.replica.set().bucket(&bucket, now.moment.time).take(MAX_SIGNED_LINES);
        let mut lines = views.filter_map(|view| view.item.data.as_str().parse::<Address>().ok()?.tcp());
        lines.find(|line| self.node.is_fit_line(*line, false))
    }

    /// Learns the channel on which a peer was heard as a route to it.
    fn learn_route(&mut self, now: Now, origin: Origin, peer: PeerId) {
        let Some(channel) = self.node.channels.get(origin.channel) else { return };
        let Some(cost) = channel.capacity().map(|capacity| capacity.cost) else { return };
        let via = match (channel.medium(), origin.source) {
            (_, Some(source)) => Some(Address::udp_line(source)),
            (Medium::Link { dialled, .. }, None) => dialled.map(Address::tcp_line),
            (Medium::Broadcast { at, .. }, None) => at.clone(),
        };
        if let Some(via) = via {
            self.forwarding.table.learn(peer, &via, cost, now.elapsed);
        }
    }

    /// Keeps a link on which the other side sends beacons: it wants the link to last.
    fn keep_link(&mut self, now: Now, id: ChannelId, peer: PeerId) {
        let channel = self.node.channels.get(id);
        if channel.is_some_and(|channel| channel.capacity().is_none() && channel.is_link()) {
            let peer = peer.to_string();
            let end: String = peer.chars().skip(peer.len().saturating_sub(6)).collect();
            self.node.activate(now, id, format!("tcp from …{end}"), Capacity::LINK);
        }
    }
}
