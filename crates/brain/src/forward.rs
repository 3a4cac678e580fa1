//! Forwarding of lines for other nodes, towards the address of each line.
//!
//! An address is a chain. A node that receives a line removes the next channel from the front of its `to` address. It
//! puts its own address in front of the `from` address, so that an answer finds its way back. Limits prevent abuse: a
//! line is forwarded a few times at most, repetitions of a line are dropped, and each sender has a budget.

use crate::Now;
use crate::next_hop::NextHop;
use crate::node::Node;
use crate::origin::Origin;
use crate::reach::NamedBy;
use dcache::{Digest, PeerId};
use routing::{
    Address, Allowance, ChannelId, Envelope, Hop, MAX_LINE_BYTES, Medium, Part, Reach, Resolution, Rule,
    SenderBudgets, Table, Target, Tokens,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use telemetry::{Metric, metrics};

/// Maximum number of times a line is forwarded, by all nodes together.
const MAX_HOPS: u8 = 8;
/// Rate limit, in lines, for each sender.
const OF_A_SENDER: Allowance = Allowance { burst: 200, per_minute: 1200 };
/// Rate limit, in bytes, for all senders together.
const OF_ALL: Allowance = Allowance { burst: 256 * 1024, per_minute: 3_000_000 };
/// Time for which the same line is not forwarded again. A sender that repeats a lost line waits longer.
const DUPLICATE: Duration = Duration::from_millis(400);
/// Maximum number of lines remembered to recognise duplicates.
const MAX_RECENT: usize = 512;

/// State of forwarding: routes, rate limits, and the lines forwarded lately.
#[derive(Debug)]
pub(crate) struct Forwarding {
    pub(crate) is_on: bool,
    pub(crate) table: Table,
    hosts: SenderBudgets<IpAddr>,
    channels: SenderBudgets<ChannelId>,
    bytes: Option<Tokens>,
    /// Digests of the lines forwarded lately.
    recent: VecDeque<(Duration, Digest)>,
}

impl Forwarding {
    pub(crate) fn new(me: PeerId) -> Self {
        Self {
            is_on: true,
            table: Table::new(me),
            hosts: SenderBudgets::default(),
            channels: SenderBudgets::default(),
            bytes: None,
            recent: VecDeque::new(),
        }
    }

    /// Replaces all rules.
    pub(crate) fn configure(&mut self, rules: Vec<Rule>) {
        for rule in self.table.rules().to_vec() {
            self.table.remove(&rule);
        }
        for rule in rules {
            // The user who configured the rules was told which of them are refused.
            let _ = self.table.add(rule);
        }
    }

    /// Handles a line that is addressed to another node.
    pub(crate) fn received(
        &mut self,
        node: &mut Node,
        now: Now,
        origin: Origin,
        envelope: &Envelope,
        bytes: usize,
    ) {
        // On a network, all nodes hear a line that is addressed to one of them. Nothing has to be forwarded unless the
        // address names a channel.
        let is_asked = envelope.to.hops() > 0
            || envelope.to.strip_queue(&node.here).is_some()
            || node.channels.get(origin.channel).and_then(|channel| channel.reach()) == Some(Reach::Peer);
        if !self.is_on || !is_asked {
            return node.count(&metrics::BRAIN_LINES_FOREIGN);
        }
        if let Err(reason) = self.admit(now.elapsed, origin, envelope, bytes) {
            return node.count(reason);
        }
        let Some(from) = sender(node, origin, envelope) else {
            return node.count(&metrics::BRAIN_LINES_NOT_FORWARDED_NO_RETURN);
        };
        node.note_return(now, origin);
        let onward = Envelope { from, hops: envelope.hops + 1, ..envelope.clone() };
        match self.forward(node, now, origin, onward) {
            true => node.count(&metrics::BRAIN_LINES_FORWARDED),
            false => node.count(&metrics::BRAIN_LINES_NOT_FORWARDED_NO_ROUTE),
        }
    }

    /// Takes the cost of a line from the budgets. If the line may not be forwarded, returns the metric to count.
    fn admit(
        &mut self,
        elapsed: Duration,
        origin: Origin,
        envelope: &Envelope,
        bytes: usize,
    ) -> Result<(), &'static Metric> {
        if envelope.hops >= MAX_HOPS {
            return Err(&metrics::BRAIN_LINES_NOT_FORWARDED_TOO_MANY_HOPS);
        }
        let has_share = match origin.source {
            Some(source) => self.hosts.spend(source.ip(), OF_A_SENDER, elapsed),
            None => self.channels.spend(origin.channel, OF_A_SENDER, elapsed),
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let all = self.bytes.get_or_insert_with(|| Tokens::full(OF_ALL, elapsed));
        if !has_share || !all.spend(bytes, elapsed) {
            return Err(&metrics::BRAIN_LINES_NOT_FORWARDED_OVER_BUDGET);
        }
        if self.is_duplicate(elapsed, envelope) {
            return Err(&metrics::BRAIN_LINES_NOT_FORWARDED_DUPLICATE);
        }
        Ok(())
    }

    fn is_duplicate(&mut self, elapsed: Duration, envelope: &Envelope) -> bool {
        self.recent.retain(|(at, _)| *at + DUPLICATE > elapsed);
        // Copies of a line that came by different ways differ only in `from` and `hops`, which the digest leaves out.
        let same = Envelope { from: Address::command_line(), hops: 0, ..envelope.clone() };
        let digest = Digest::of(same.encode().as_bytes());
        if self.recent.iter().any(|(_, seen)| *seen == digest) {
            return true;
        }
        self.recent.push_back((elapsed, digest));
        if self.recent.len() > MAX_RECENT {
            self.recent.pop_front();
        }
        false
    }

    fn forward(&mut self, node: &mut Node, now: Now, origin: Origin, mut onward: Envelope) -> bool {
        let to = match self.table.resolve(&onward.to, now.elapsed) {
            Ok(Resolution::Channel { address }) => address,
            // The address may be that of a neighbour.
            _ => onward.to.clone(),
        };
        let (part, rest) = to.split_first();
        let next = node.next_hop(&part, Some(origin.channel));
        let next = next.filter(|next| node.is_of_swarm(next) && node.may_disturb(now, next));
        let Some(next) = next else { return false };
        onward.to = match (rest, part) {
            (Some(rest), _) => rest,
            (None, Part::Hop(_)) => Address::every_brain(),
            (None, _) => to.clone(),
        };
        match next {
            NextHop::On(id, target) => send_on(node, now, id, target, onward),
            NextHop::Dial(address) => send_by_link(node, now, address, onward),
        }
    }
}

fn send_on(node: &mut Node, now: Now, id: ChannelId, target: Target, mut onward: Envelope) -> bool {
    let from = address_on(node, id).and_then(|here| here.then(&onward.from).ok());
    let Some(from) = from else { return false };
    onward.from = from;
    onward.encode().len() <= MAX_LINE_BYTES && node.send(now, id, target, &onward)
}

fn send_by_link(node: &mut Node, now: Now, address: SocketAddr, mut onward: Envelope) -> bool {
    let Ok(from) = node.here.then(&onward.from) else { return false };
    onward.from = from;
    node.send_by_link(now, address, onward.encode(), NamedBy::Others)
}

/// Returns the address at which this node answers the sender of a line.
fn sender(node: &Node, origin: Origin, envelope: &Envelope) -> Option<Address> {
    if envelope.hops > 0 {
        let claimed = envelope.from.split_first().0;
        let is_there = origin.source.is_none_or(|source| claimed.ip() == Some(source.ip()));
        return is_there.then(|| envelope.from.clone());
    }
    let brain = Address::brain(envelope.from.brain_of()?);
    match (node.channels.get(origin.channel)?.medium(), origin.source) {
        (_, Some(source)) => Address::udp_line(source).then(&brain).ok(),
        (Medium::Link { .. }, None) => Some(brain),
        (Medium::Broadcast { at, .. }, None) => at.as_ref()?.then(&brain).ok(),
    }
}

/// Returns the address at which others on a channel reach this node.
fn address_on(node: &Node, id: ChannelId) -> Option<Address> {
    match node.channels.get(id)?.medium() {
        Medium::Link { .. } => Some(node.here.clone()),
        Medium::Broadcast { at, line, .. } => {
            let at = at.as_ref()?;
            match (at.first_hop()?.0, line.as_ref().and_then(Address::tcp)) {
                (Hop::Udp(all), Some(own)) => Some(Address::udp_line((own.ip(), all.port.value()?).into())),
                // The receiver of a datagram sees where it came from; this address only names this node.
                (Hop::Udp(_), None) => Some(node.here.clone()),
                _ => Some(at.clone()),
            }
        }
    }
}
