//! Passing on lines for others: from whoever wants to reach somebody by us, towards where the line is addressed.
//!
//! An address is a chain: whoever gets a line takes the next channel off the front of its `to`, and puts in front of its
//! `from` where it is reached itself, so that an answer finds its way back. Bounds keep this from being abused: a line
//! is passed on a few times at most, the same line only once, and each sender has a budget.

use crate::brain::Origin;
use crate::budget::Tokens;
use crate::neighbours::Budgets;
use crate::{Brain, Now, Output};
use dcache::{Digest, PeerId};
use routing::{
    Address, Allowance, ChannelCommand, ChannelId, Envelope, Hop, MAX_LINE_BYTES, Medium, Member, Part,
    Reach, Resolution, Rule, Table, Target, Wild,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How many times a line is passed on at most, by all together.
const MAX_PASSED: u8 = 8;
/// How many lines are passed on for one sender.
const OF_A_SENDER: Allowance = Allowance { burst: 200, per_minute: 1200 };
/// How many bytes are passed on for all together.
const OF_ALL: Allowance = Allowance { burst: 256 * 1024, per_minute: 3_000_000 };
/// For how long the same line is not passed on once more. Who repeats a line because it was lost waits for longer.
const ONCE: Duration = Duration::from_millis(400);
/// The most lines that are remembered for that.
const MAX_LATELY: usize = 512;
/// How many lines wait for a link that is being dialled, and for how long.
const MAX_WAITING: usize = 16;
const WAITING: Duration = Duration::from_secs(10);

/// What is needed to pass lines on.
#[derive(Debug)]
pub(crate) struct Forwarding {
    pub(crate) is_on: bool,
    pub(crate) table: Table,
    hosts: Budgets<IpAddr>,
    channels: Budgets<ChannelId>,
    bytes: Option<Tokens>,
    lately: VecDeque<(Duration, Digest)>,
    waiting: VecDeque<(Duration, SocketAddr, String)>,
}

impl Forwarding {
    pub(crate) fn new(me: PeerId) -> Self {
        Self {
            is_on: true,
            table: Table::new(me),
            hosts: Budgets::default(),
            channels: Budgets::default(),
            bytes: None,
            lately: VecDeque::new(),
            waiting: VecDeque::new(),
        }
    }

    /// From now on these rules count, and no others.
    pub(crate) fn configure(&mut self, rules: Vec<Rule>) {
        for rule in self.table.rules().to_vec() {
            self.table.remove(&rule);
        }
        for rule in rules {
            // Whoever made the list was told what is wrong with it.
            let _ = self.table.add(rule);
        }
    }

    /// Whether a line may be passed on; if not, what to count.
    fn admit(
        &mut self,
        elapsed: Duration,
        origin: Origin,
        envelope: &Envelope,
        bytes: usize,
    ) -> Result<(), &'static str> {
        if envelope.hops >= MAX_PASSED {
            return Err("lines not passed on: passed on too often");
        }
        let has_share = match origin.source {
            Some(source) => self.hosts.spend(source.ip(), OF_A_SENDER, elapsed),
            None => self.channels.spend(origin.channel, OF_A_SENDER, elapsed),
        };
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let all = self.bytes.get_or_insert_with(|| Tokens::full(OF_ALL, elapsed));
        if !has_share || !all.spend(bytes, elapsed) {
            return Err("lines not passed on: over a sender's budget");
        }
        if self.was_there(elapsed, envelope) {
            return Err("lines not passed on: passed on just now");
        }
        Ok(())
    }

    fn was_there(&mut self, elapsed: Duration, envelope: &Envelope) -> bool {
        self.lately.retain(|(at, _)| *at + ONCE > elapsed);
        // By whichever way it came.
        let same = Envelope { from: Address::command_line(), hops: 0, ..envelope.clone() };
        let digest = Digest::of(same.encode().as_bytes());
        if self.lately.iter().any(|(_, seen)| *seen == digest) {
            return true;
        }
        self.lately.push_back((elapsed, digest));
        if self.lately.len() > MAX_LATELY {
            self.lately.pop_front();
        }
        false
    }
}

/// By which way a line leaves.
pub(crate) enum Way {
    On(ChannelId, Target),
    /// A link has to be made first.
    Dial(SocketAddr),
}

impl Brain {
    /// A line for somebody else came.
    pub(crate) fn forward(
        &mut self,
        now: Now,
        origin: Origin,
        envelope: &Envelope,
        bytes: usize,
        out: &mut Vec<Output>,
    ) {
        // On a network all hear what is for one of them: nothing has to be passed on, unless it says by which channel.
        let is_asked = envelope.to.hops() > 0
            || envelope.to.strip_queue(&self.here).is_some()
            || self.reach(origin.channel) == Some(Reach::Peer);
        if !self.forwarding.is_on || !is_asked {
            return self.count("lines for others");
        }
        if let Err(reason) = self.forwarding.admit(now.elapsed, origin, envelope, bytes) {
            return self.count(reason);
        }
        let Some(from) = self.seen(origin, envelope) else {
            return self.count("lines not passed on: no answer could come back");
        };
        let onward = Envelope { from, hops: envelope.hops + 1, ..envelope.clone() };
        match self.pass_on(now, origin, onward, out) {
            true => self.count("lines passed on"),
            false => self.count("lines not passed on: no way there"),
        }
    }

    fn reach(&self, id: ChannelId) -> Option<Reach> {
        let channel = self.channels.get(&id)?;
        if channel.is_link() {
            Some(Reach::Peer)
        } else {
            channel.capacity.as_ref().map(|capacity| capacity.reach)
        }
    }

    fn pass_on(&mut self, now: Now, origin: Origin, mut onward: Envelope, out: &mut Vec<Output>) -> bool {
        let to = match self.forwarding.table.resolve(&onward.to, now.elapsed) {
            Ok(Resolution::Channel { address }) => address,
            // Perhaps a neighbour.
            _ => onward.to.clone(),
        };
        let (part, rest) = to.split_first();
        let Some(way) = self.way(&part, Some(origin.channel)).filter(|way| self.is_of_swarm(way)) else {
            return false;
        };
        onward.to = match (rest, part) {
            (Some(rest), _) => rest,
            (None, Part::Hop(_)) => Address::every_brain(),
            (None, _) => to.clone(),
        };
        self.go(now, way, onward, out)
    }

    /// How this node answers whoever sent a line.
    fn seen(&self, origin: Origin, envelope: &Envelope) -> Option<Address> {
        if envelope.hops > 0 {
            let claimed = envelope.from.split_first().0;
            let is_there = origin.source.is_none_or(|source| ip(&claimed) == Some(source.ip()));
            return is_there.then(|| envelope.from.clone());
        }
        let brain = Address::brain(envelope.from.brain_of()?);
        match (&self.channels.get(&origin.channel)?.medium, origin.source) {
            (_, Some(source)) => Address::udp_line(source).then(&brain).ok(),
            (Medium::Link { .. }, None) => Some(brain),
            (Medium::Broadcast { at, .. }, None) => at.as_ref()?.then(&brain).ok(),
        }
    }

    /// How others on a channel reach this node.
    fn reached_at(&self, id: ChannelId) -> Option<Address> {
        match &self.channels.get(&id)?.medium {
            Medium::Link { .. } => Some(self.here.clone()),
            Medium::Broadcast { at, line, .. } => {
                let at = at.as_ref()?;
                match (at.first_hop()?.0, line.as_ref().and_then(Address::tcp)) {
                    (Hop::Udp(all), Some(own)) => {
                        Some(Address::udp_line((own.ip(), all.port.value()?).into()))
                    }
                    // Who answers a datagram knows where it came from; this only names us.
                    (Hop::Udp(_), None) => Some(self.here.clone()),
                    _ => Some(at.clone()),
                }
            }
        }
    }

    /// The way for the first part of an address, not back to where it came from.
    pub(crate) fn way(&self, part: &Part<'_>, brought_by: Option<ChannelId>) -> Option<Way> {
        match part {
            Part::Hop(hop) => self.way_by(hop),
            Part::Peer(Member { peer: Wild::Is(peer), name: "brain" }) => self.way_to(*peer, brought_by),
            _ => None,
        }
    }

    fn way_by(&self, hop: &Hop<'_>) -> Option<Way> {
        let at = Address::hop(*hop).ok()?;
        if let Some((id, _)) = self.channels.iter().find(|(_, channel)| channel.is_at(&at)) {
            return Some(Way::On(*id, Target::All));
        }
        match hop {
            Hop::Udp(socket) => self.network_for(socket.addr()?),
            Hop::Tcp(socket) => Some(Way::Dial(socket.addr()?)),
            _ => None,
        }
    }

    /// Whether a way that others ask for leads to where robots listen. Nobody is to reach by us what else there is on our
    /// networks, and on this computer.
    fn is_of_swarm(&self, way: &Way) -> bool {
        let (host, is_link) = match way {
            Way::On(_, Target::All) => return true,
            Way::On(_, Target::Host(host)) => (*host, false),
            Way::Dial(host) => (*host, true),
        };
        let ip = host.ip().to_canonical();
        let is_host = !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast());
        let is_heard =
            self.neighbours.all().any(|(_, known)| known.source == Some(host) || known.line == Some(host));
        is_heard || (is_host && self.ports(is_link).any(|port| port == host.port()))
    }

    /// The ports at which this node listens on its networks, as all robots most likely do.
    fn ports(&self, of_links: bool) -> impl Iterator<Item = u16> {
        self.channels.values().filter_map(move |channel| match &channel.medium {
            Medium::Broadcast { line: Some(line), .. } if of_links => Some(line.tcp()?.port()),
            Medium::Broadcast { at: Some(at), .. } if !of_links => match at.first_hop()?.0 {
                Hop::Udp(socket) => socket.port.value(),
                _ => None,
            },
            _ => None,
        })
    }

    /// The network on which a host most likely is: that on which it was heard, or whose own address is most alike. The
    /// operating system knows the way in any case.
    fn network_for(&self, host: SocketAddr) -> Option<Way> {
        let heard = self.neighbours.all().find(|(_, neighbour)| neighbour.source == Some(host));
        if let Some(((id, _), _)) = heard {
            return Some(Way::On(*id, Target::Host(host)));
        }
        let likeness = |(id, channel): (&ChannelId, &crate::channel::Channel)| match &channel.medium {
            Medium::Broadcast { line: Some(line), .. } => Some((alike(line.tcp()?.ip(), host.ip())?, *id)),
            _ => None,
        };
        let (_, id) = self.channels.iter().filter_map(likeness).max()?;
        Some(Way::On(id, Target::Host(host)))
    }

    /// The cheapest channel on which a peer was heard.
    fn way_to(&self, peer: PeerId, brought_by: Option<ChannelId>) -> Option<Way> {
        let heard = self.neighbours.all().filter(|((id, of), _)| *of == peer && Some(*id) != brought_by);
        let priced =
            heard.filter_map(|((id, _), neighbour)| Some((self.capacity(*id)?.cost, *id, neighbour.source)));
        let (_, id, source) = priced.min_by_key(|(cost, id, _)| (*cost, *id))?;
        Some(Way::On(id, source.map_or(Target::All, Target::Host)))
    }

    /// Sends a line for somebody else by a way.
    fn go(&mut self, now: Now, way: Way, mut onward: Envelope, out: &mut Vec<Output>) -> bool {
        let Way::On(id, target) = way else { return self.go_by_link(now, way, onward, out) };
        let here = self.reached_at(id).and_then(|here| here.then(&onward.from).ok());
        let Some(from) = here else { return false };
        onward.from = from;
        onward.encode().len() <= MAX_LINE_BYTES && self.send(now, id, target, &onward, out)
    }

    fn go_by_link(&mut self, now: Now, way: Way, mut onward: Envelope, out: &mut Vec<Output>) -> bool {
        let Way::Dial(address) = way else { return false };
        let Ok(from) = self.here.then(&onward.from) else { return false };
        onward.from = from;
        self.send_by_link(now, address, onward.encode(), out)
    }

    /// Sends a line by a link that is there, or is dialled now.
    pub(crate) fn send_by_link(
        &mut self,
        now: Now,
        address: SocketAddr,
        line: String,
        out: &mut Vec<Output>,
    ) -> bool {
        let waiting = &mut self.forwarding.waiting;
        waiting.retain(|(at, ..)| *at + WAITING > now.elapsed);
        if line.len() > MAX_LINE_BYTES || waiting.len() >= MAX_WAITING {
            return false;
        }
        let is_dialled = waiting.iter().any(|(_, other, _)| *other == address);
        waiting.push_back((now.elapsed, address, line));
        if !is_dialled {
            out.push(Output::Channel(ChannelCommand::Connect { address }));
        }
        true
    }

    /// A link is up for which lines may be waiting. It is closed by the other side, once it is silent for long.
    pub(crate) fn send_what_waited(
        &mut self,
        id: ChannelId,
        address: SocketAddr,
        out: &mut Vec<Output>,
    ) -> bool {
        let waiting = std::mem::take(&mut self.forwarding.waiting);
        let (for_it, others): (VecDeque<_>, VecDeque<_>) =
            waiting.into_iter().partition(|(_, to, _)| *to == address);
        self.forwarding.waiting = others;
        let has_some = !for_it.is_empty();
        if let Some(channel) = self.channels.get_mut(&id).filter(|_| has_some) {
            channel.is_pushed = false;
        }
        for (_, _, line) in for_it {
            self.put_line(id, Target::All, line, out);
        }
        has_some
    }

    /// No link came up there: what waited for it is lost.
    pub(crate) fn drop_what_waited(&mut self, address: SocketAddr) {
        self.forwarding.waiting.retain(|(_, to, _)| *to != address);
    }
}

/// The IP address of a part, if it is a channel with one.
pub(crate) fn ip(part: &Part<'_>) -> Option<IpAddr> {
    match part {
        Part::Hop(Hop::Tcp(socket) | Hop::Udp(socket)) => Some(socket.addr()?.ip()),
        _ => None,
    }
}

/// How many bits two addresses have in common at their beginning; none when they are of different kinds.
fn alike(one: IpAddr, other: IpAddr) -> Option<u32> {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => Some((u32::from(one) ^ u32::from(other)).leading_zeros()),
        (IpAddr::V6(one), IpAddr::V6(other)) => Some((u128::from(one) ^ u128::from(other)).leading_zeros()),
        _ => None,
    }
}
