//! Channels: coming up and going down, what they bear, and putting lines on them.

use crate::answer::Answer;
use crate::budget::Budget;
use crate::trickle::Trickle;
use crate::{Brain, Now, Output};
use dcache::PeerId;
use routing::{
    Address, Capacity, ChannelCommand, ChannelId, ChannelStatus, Envelope, MAX_CHANNELS, Medium, Reach,
    Target,
};
use std::time::Duration;

/// How many of the longest intervals after it was heard a peer still counts as one of a channel.
const HEARD_LATELY: u32 = 3;

/// A channel that is up.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) medium: Medium,
    /// What it bears; nothing is stated of a link that is only for a question or a comparison.
    pub(crate) capacity: Option<Capacity>,
    /// Whether new records go to it: to networks and to peers, not to somebody who only asked a question.
    pub(crate) is_pushed: bool,
    /// Bad lines so far.
    pub(crate) strikes: u32,
    /// What is still to be sent on it in answer to a question, portion by portion.
    pub(crate) answer: Option<Answer>,
    /// Whether it is closed after that.
    pub(crate) is_ending: bool,
    /// What it still bears.
    budget: Option<Budget>,
    /// When to show on it what this node holds.
    pub(crate) trickle: Option<Trickle>,
    pub(crate) tally: ChannelStatus,
}

/// What became of a line.
pub(crate) enum Sending {
    Sent,
    /// The budget is used up until then.
    Over(Duration),
    /// The channel never bears it.
    TooLong,
}

impl Channel {
    fn new(medium: Medium) -> Self {
        let is_dialled = matches!(medium, Medium::Broadcast { .. } | Medium::Link { dialled: Some(_), .. });
        Self {
            medium,
            capacity: None,
            is_pushed: is_dialled,
            strikes: 0,
            answer: None,
            is_ending: false,
            budget: None,
            trickle: None,
            tally: ChannelStatus::default(),
        }
    }

    pub(crate) fn is_link(&self) -> bool {
        matches!(self.medium, Medium::Link { .. })
    }

    /// Whether this is its own address.
    pub(crate) fn is_at(&self, address: &Address) -> bool {
        match &self.medium {
            Medium::Broadcast { at, .. } => at.as_ref() == Some(address),
            Medium::Link { dialled, .. } => dialled.map(Address::tcp_line).as_ref() == Some(address),
        }
    }

    /// Whether several hear what is said on it, so that one of them saying something is enough.
    pub(crate) fn is_shared(&self) -> bool {
        self.capacity.as_ref().is_some_and(|capacity| capacity.reach != Reach::Peer)
    }

    /// Takes what a line of so many bytes costs.
    fn spend(&mut self, bytes: usize, elapsed: Duration) -> Sending {
        let Some(budget) = &mut self.budget else { return Sending::Sent };
        match budget.bears(bytes) {
            false => Sending::TooLong,
            true if budget.spend(bytes, elapsed) => Sending::Sent,
            true => Sending::Over(budget.when(bytes)),
        }
    }
}

impl Brain {
    pub(crate) fn up(&mut self, now: Now, id: ChannelId, medium: Medium, out: &mut Vec<Output>) {
        self.channels.insert(id, Channel::new(medium.clone()));
        match medium {
            Medium::Broadcast { name, capacity, .. } => self.bear(now, id, name, capacity),
            Medium::Link { dialled: Some(address), is_kept: true } => {
                self.bear(now, id, format!("tcp {address}"), Capacity::LINK);
            }
            Medium::Link { dialled: Some(address), is_kept: false } => {
                if !self.send_what_waited(id, address, out) {
                    self.link_is_up(now, id, address, out);
                }
            }
            Medium::Link { dialled: None, .. } => {}
        }
    }

    /// From now on this node shows on a channel what it holds, within what that bears.
    fn bear(&mut self, now: Now, id: ChannelId, name: String, capacity: Capacity) {
        let chance = self.chance();
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.is_pushed = true;
        channel.tally.name = name;
        channel.budget = Some(Budget::full(capacity.clone(), now.elapsed));
        channel.trickle = Some(Trickle::new(capacity.beacons, now.elapsed, chance));
        channel.capacity = Some(capacity);
    }

    /// Who shows on a link what it holds wants it to last.
    pub(crate) fn keep_link(&mut self, now: Now, id: ChannelId, peer: PeerId) {
        if self.channels.get(&id).is_some_and(|channel| channel.capacity.is_none() && channel.is_link()) {
            let peer = peer.to_string();
            let end: String = peer.chars().skip(peer.len().saturating_sub(6)).collect();
            self.bear(now, id, format!("tcp from …{end}"), Capacity::LINK);
        }
    }

    pub(crate) fn down(&mut self, now: Now, id: ChannelId) {
        if let Some(channel) = self.channels.remove(&id).filter(Channel::is_link) {
            add(&mut self.links, &channel.tally);
        }
        self.outbox.drop_channel(id);
        self.neighbours.drop_channel(id);
        self.served.drop_channel(id);
        self.repair_channel_is_down(now, id);
    }

    /// Who we are on a channel: on a network with the place where we take links, so that others can ask for more.
    pub(crate) fn own_address(&self, channel: &Channel) -> Address {
        let brain = self.here.clone();
        match &channel.medium {
            Medium::Broadcast { line: Some(line), .. } => line.then(&brain).unwrap_or(brain),
            _ => brain,
        }
    }

    /// What a channel bears on which peers compare what they hold: a network, or a link that lasts.
    pub(crate) fn capacity(&self, id: ChannelId) -> Option<&Capacity> {
        self.channels.get(&id)?.capacity.as_ref()
    }

    pub(crate) fn is_network(&self, id: ChannelId) -> bool {
        self.capacity(id).is_some()
    }

    pub(crate) fn is_link(&self, id: ChannelId) -> bool {
        self.channels.get(&id).is_some_and(Channel::is_link)
    }

    pub(crate) fn networks(&self) -> Vec<ChannelId> {
        self.channels.iter().filter(|(_, channel)| channel.capacity.is_some()).map(|(id, _)| *id).collect()
    }

    /// Sends a line, if its channel bears it now.
    pub(crate) fn send(
        &mut self,
        now: Now,
        id: ChannelId,
        target: Target,
        envelope: &Envelope,
        out: &mut Vec<Output>,
    ) -> bool {
        let is_sent = matches!(self.try_send(now, id, target, envelope, out), Sending::Sent);
        if !is_sent {
            self.count("lines not sent: over a channel's budget");
        }
        is_sent
    }

    /// As [`Self::send`], telling what hinders. Only what is pushed is held to the budget of a link: answers go out portion
    /// by portion, as the other side takes them.
    pub(crate) fn try_send(
        &mut self,
        now: Now,
        id: ChannelId,
        target: Target,
        envelope: &Envelope,
        out: &mut Vec<Output>,
    ) -> Sending {
        let spent = if self.is_link(id) { Sending::Sent } else { self.spend(now, id, envelope) };
        if matches!(spent, Sending::Sent) {
            self.put(now, id, target, envelope, out);
        }
        spent
    }

    /// Takes what a line costs from the budget of its channel.
    pub(crate) fn spend(&mut self, now: Now, id: ChannelId, envelope: &Envelope) -> Sending {
        let channel = self.channels.get_mut(&id);
        channel.map_or(Sending::TooLong, |channel| channel.spend(envelope.encode().len(), now.elapsed))
    }

    /// Puts a line on a channel; on a path it goes its first step.
    pub(crate) fn put(
        &mut self,
        now: Now,
        id: ChannelId,
        target: Target,
        envelope: &Envelope,
        out: &mut Vec<Output>,
    ) {
        let line = envelope.encode();
        match self.paths.iter().find(|path| path.id == id).map(|path| path.chain.clone()) {
            None => self.put_line(id, target, line, out),
            Some(chain) => {
                self.tally_sent(id, line.len());
                self.put_on_path(now, &chain, envelope, out);
            }
        }
    }

    pub(crate) fn put_line(
        &mut self,
        channel: ChannelId,
        target: Target,
        line: String,
        out: &mut Vec<Output>,
    ) {
        self.tally_sent(channel, line.len());
        out.push(Output::Channel(ChannelCommand::Send { channel, target, line }));
    }

    fn tally_sent(&mut self, channel: ChannelId, bytes: usize) {
        self.tally(channel, |tally| {
            tally.sent_lines += 1;
            tally.sent_bytes += bytes as u64;
        });
    }

    pub(crate) fn tally(&mut self, id: ChannelId, change: impl FnOnce(&mut ChannelStatus)) {
        if let Some(channel) = self.channels.get_mut(&id) {
            change(&mut channel.tally);
        }
    }

    /// Counts something bad. A link that brings too much of it is closed; a network cannot be.
    pub(crate) fn strike(&mut self, name: &str, id: ChannelId, out: &mut Vec<Output>) {
        self.count(name);
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        channel.strikes = channel.strikes.saturating_add(1);
        if channel.strikes == self.settings.forgiven && channel.is_link() {
            out.push(Output::Channel(ChannelCommand::Close { channel: id }));
            self.count("links closed for bad lines");
        }
    }

    /// What passed each network and each link that lasts, and all other links together.
    pub(crate) fn channel_statuses(&self, now: Now) -> Vec<ChannelStatus> {
        let mut links = self.links.clone();
        let mut shown = Vec::new();
        for (id, channel) in &self.channels {
            match &channel.capacity {
                Some(capacity) if shown.len() + 1 < MAX_CHANNELS => {
                    shown.push(self.channel_status(now, *id, channel, capacity));
                }
                _ => add(&mut links, &channel.tally),
            }
        }
        shown.push(links);
        shown
    }

    fn channel_status(
        &self,
        now: Now,
        id: ChannelId,
        channel: &Channel,
        capacity: &Capacity,
    ) -> ChannelStatus {
        let lately = now.elapsed.saturating_sub(capacity.beacons.1 * HEARD_LATELY);
        let peers = self.neighbours.on(id).filter(|neighbour| neighbour.heard >= lately).count();
        ChannelStatus {
            waiting: self.outbox.waiting(id) as u64,
            reach: Some(capacity.reach),
            cost: capacity.cost.into(),
            mtu: capacity.mtu as u64,
            bytes_per_minute: capacity.bytes.per_minute.into(),
            lines_per_minute: capacity.lines.per_minute.into(),
            bytes_left: channel.budget.as_ref().map_or(0, |budget| budget.bytes_left(now.elapsed)),
            peers: peers as u64,
            ..channel.tally.clone()
        }
    }
}

fn add(sum: &mut ChannelStatus, more: &ChannelStatus) {
    sum.sent_lines += more.sent_lines;
    sum.sent_bytes += more.sent_bytes;
    sum.received_lines += more.received_lines;
    sum.received_bytes += more.received_bytes;
    sum.suppressed += more.suppressed;
    sum.repaired += more.repaired;
    sum.refused += more.refused;
}
