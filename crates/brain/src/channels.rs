//! The channels that are up, and the records that wait to be sent on them.

use crate::channel::{Channel, SendOutcome};
use crate::neighbours::Neighbours;
use crate::outbox::Outbox;
use routing::{Capacity, ChannelId, ChannelStatus, MAX_CHANNELS, Medium};
use std::collections::BTreeMap;
use std::time::Duration;

/// Time for which a peer counts as present on a channel after it was heard, as a multiple of the longest beacon
/// interval.
const RECENT_INTERVALS: u32 = 3;

/// The channels that are up, and the records that wait to be sent on them.
#[derive(Debug)]
pub(crate) struct Channels {
    open: BTreeMap<ChannelId, Channel>,
    pub(crate) outbox: Outbox,
    /// Sum of the counts of all closed links.
    closed_links: ChannelStatus,
}

impl Channels {
    pub(crate) fn new() -> Self {
        let closed_links = ChannelStatus { name: "links".to_owned(), ..ChannelStatus::default() };
        Self { open: BTreeMap::new(), outbox: Outbox::default(), closed_links }
    }

    /// Adds a channel that came up.
    pub(crate) fn open(&mut self, id: ChannelId, medium: Medium) {
        self.open.insert(id, Channel::new(medium));
    }

    /// Drops a channel that is gone, with the records that wait for it.
    pub(crate) fn close(&mut self, id: ChannelId) {
        if let Some(channel) = self.open.remove(&id).filter(Channel::is_link) {
            add(&mut self.closed_links, &channel.tally);
        }
        self.outbox.drop_channel(id);
    }

    /// Notes that the other side of a link is a program on this computer.
    pub(crate) fn mark_local(&mut self, id: ChannelId) {
        if let Some(channel) = self.open.get_mut(&id) {
            channel.is_local = true;
        }
    }

    pub(crate) fn contains(&self, id: ChannelId) -> bool {
        self.open.contains_key(&id)
    }

    pub(crate) fn get(&self, id: ChannelId) -> Option<&Channel> {
        self.open.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.open.get_mut(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ChannelId, &Channel)> {
        self.open.iter().map(|(id, channel)| (*id, channel))
    }

    /// Returns the limits of a channel on which peers compare their records: a network, or a link that lasts.
    pub(crate) fn capacity(&self, id: ChannelId) -> Option<&Capacity> {
        self.open.get(&id)?.capacity()
    }

    /// Returns whether peers compare their records on this channel.
    pub(crate) fn is_network(&self, id: ChannelId) -> bool {
        self.capacity(id).is_some()
    }

    pub(crate) fn is_link(&self, id: ChannelId) -> bool {
        self.open.get(&id).is_some_and(Channel::is_link)
    }

    /// Returns the channels on which peers compare their records.
    pub(crate) fn networks(&self) -> Vec<ChannelId> {
        self.iter().filter(|(_, channel)| channel.capacity().is_some()).map(|(id, _)| id).collect()
    }

    /// Returns the round-trip time of a network.
    pub(crate) fn round_trip(&self, id: ChannelId) -> Duration {
        self.capacity(id).map_or(Duration::ZERO, |capacity| capacity.round_trip)
    }

    /// Returns the longest interval between beacons on a network.
    pub(crate) fn longest_interval(&self, id: ChannelId) -> Duration {
        self.capacity(id).map_or(Duration::ZERO, |capacity| capacity.beacons.1)
    }

    /// Takes the cost of a line of this many bytes from the budget of its channel.
    pub(crate) fn spend(&mut self, id: ChannelId, bytes: usize, elapsed: Duration) -> SendOutcome {
        self.open.get_mut(&id).map_or(SendOutcome::TooLong, |channel| channel.spend(bytes, elapsed))
    }

    /// Returns when the next beacon timer is due.
    pub(crate) fn next_beacon(&self) -> Option<Duration> {
        self.open.values().filter_map(Channel::next_beacon).min()
    }

    /// Returns the channels whose beacon timer is due.
    pub(crate) fn due_beacons(&self, elapsed: Duration) -> Vec<ChannelId> {
        let is_due = |channel: &Channel| channel.next_beacon().is_some_and(|at| at <= elapsed);
        self.iter().filter(|(_, channel)| is_due(channel)).map(|(id, _)| id).collect()
    }

    /// Changes the counts of a channel.
    pub(crate) fn tally(&mut self, id: ChannelId, change: impl FnOnce(&mut ChannelStatus)) {
        if let Some(channel) = self.open.get_mut(&id) {
            change(&mut channel.tally);
        }
    }

    /// Returns the status of each network and each lasting link, and the sum of all other links.
    pub(crate) fn statuses(&self, neighbours: &Neighbours, elapsed: Duration) -> Vec<ChannelStatus> {
        let mut links = self.closed_links.clone();
        let mut shown = Vec::new();
        for (id, channel) in self.iter() {
            match channel.capacity() {
                Some(capacity) if shown.len() + 1 < MAX_CHANNELS => {
                    let recently = elapsed.saturating_sub(capacity.beacons.1 * RECENT_INTERVALS);
                    let peers = neighbours.on(id).filter(|neighbour| neighbour.heard >= recently).count();
                    let waiting = self.outbox.waiting(id) as u64;
                    shown.push(ChannelStatus {
                        waiting,
                        peers: peers as u64,
                        ..channel.status(capacity, elapsed)
                    });
                }
                _ => add(&mut links, &channel.tally),
            }
        }
        shown.push(links);
        shown
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
