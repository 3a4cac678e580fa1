//! Pushing of records: on which channels, when, and how many in one line.

use crate::Now;
use crate::channel::SendOutcome;
use crate::node::Node;
use crate::outbox::{Cause, QueuedRecord};
use dcache::Key;
use routing::{Address, Carried, ChannelId, Envelope, MAX_RECORDS, Target};
use std::time::Duration;
use telemetry::metrics;

/// Maximum number of nodes for which the time before a record is forwarded grows.
const MAX_SHARING: u32 = 50;
/// Size, in bytes, of the frame around several records in a line.
const FRAME_BYTES: usize = 16;

impl Node {
    /// Queues a record on every channel except the one that brought it. A record that a comparison brought is queued
    /// only on networks where a neighbour held the same records as this node. On other networks the neighbours most
    /// likely have it. Records are not carried between networks that the same peers hear.
    pub(crate) fn push(&mut self, now: Now, key: &Key, cause: Cause, brought_by: Option<ChannelId>) {
        let pushed =
            self.channels.iter().filter(|(id, channel)| channel.is_pushed && Some(*id) != brought_by);
        let pushed: Vec<(ChannelId, bool, bool)> =
            pushed.map(|(id, channel)| (id, channel.capacity().is_some(), channel.is_shared())).collect();
        for (channel, is_network, is_shared) in pushed {
            if is_network && cause == Cause::Found && !self.has_company(now, channel) {
                continue;
            }
            if brought_by.is_some_and(|from| self.is_bridge_needless(now, from, channel, key.signer)) {
                continue;
            }
            let wait = match brought_by {
                Some(_) if is_shared => {
                    let most = self.longest_relay_wait(channel);
                    self.random_wait(most)
                }
                _ => Duration::ZERO,
            };
            self.schedule(QueuedRecord { channel, key: key.clone(), round: 0, cause }, now.elapsed + wait);
        }
    }

    /// Returns the maximum time that this node waits for another node to forward a record. On a network that reaches the
    /// world it grows with the number of nodes there. So about one of them forwards the record, and the others hear
    /// that in time, even if they are busy.
    fn longest_relay_wait(&self, channel: ChannelId) -> Duration {
        let sharing = if self.reaches_world(channel) { self.neighbours.on(channel).count() } else { 1 };
        self.settings.relay_wait * u32::try_from(sharing).unwrap_or(u32::MAX).clamp(1, MAX_SHARING)
    }

    /// Queues a record that a peer on the channel lacks, unless it is queued there already.
    pub(crate) fn push_missed(&mut self, now: Now, channel: ChannelId, key: Key) {
        if !self.channels.outbox.has(channel, &key) {
            self.schedule(QueuedRecord { channel, key, round: 0, cause: Cause::Missed }, now.elapsed);
        }
    }

    pub(crate) fn schedule(&mut self, record: QueuedRecord, due: Duration) {
        if !self.channels.outbox.schedule(record, due) {
            self.count(&metrics::BRAIN_RECORDS_DROPPED_QUEUE_FULL);
        }
    }

    /// Sends all records that are due, as far as the budgets of their channels allow.
    pub(crate) fn send_due_records(&mut self, now: Now) {
        while let Some(record) = self.channels.outbox.take_due(now.elapsed) {
            self.send_record(now, record);
        }
    }

    /// Sends a record. The next records are added to the same line, as far as they fit into one packet and are as urgent.
    /// On a slow channel, a long line is late.
    fn send_record(&mut self, now: Now, first: QueuedRecord) {
        let id = first.channel;
        let record = self.replica.set().get(&first.key);
        let (Some(channel), Some(record)) = (self.channels.get(id), record) else { return };
        let mut envelope = Envelope::record(self.own_address(channel), Address::every_brain(), record);
        let mut queued = vec![first];
        self.add_records(now, id, &mut envelope, &mut queued);
        match self.spend(now, id, &envelope) {
            SendOutcome::Sent => {
                self.put(now, id, Target::All, &envelope);
                queued.into_iter().for_each(|record| self.sent(now, record));
            }
            SendOutcome::OverBudget(until) => self.channels.outbox.rest(id, queued, until),
            SendOutcome::TooLong => self.count(&metrics::BRAIN_RECORDS_DROPPED_TOO_LONG),
        }
    }

    fn add_records(
        &mut self,
        now: Now,
        id: ChannelId,
        envelope: &mut Envelope,
        queued: &mut Vec<QueuedRecord>,
    ) {
        let Some(mtu) = self.channels.capacity(id).map(|capacity| capacity.mtu) else { return };
        if !self.channels.outbox.is_behind(id) {
            return;
        }
        let mut length = envelope.encode().len() + FRAME_BYTES;
        let urgency = queued.first().map(QueuedRecord::class);
        while envelope.records.len() < MAX_RECORDS
            && let Some(next) = self.channels.outbox.take_due_on(id, now.elapsed)
        {
            if Some(next.class()) > urgency {
                return self.channels.outbox.put_back(next);
            }
            let Some(carried) = self.replica.set().get(&next.key).map(Carried::from) else { continue };
            length += carried.encoded_length() + 1;
            if length > mtu {
                return self.channels.outbox.put_back(next);
            }
            envelope.records.push(carried);
            queued.push(next);
        }
    }

    /// Counts a record that was sent, and queues its next copy on networks that lose datagrams.
    fn sent(&mut self, now: Now, record: QueuedRecord) {
        self.count(&metrics::BRAIN_RECORDS_SENT_PUSHED);
        if record.cause == Cause::Missed {
            self.channels.tally(record.channel, |tally| tally.repaired += 1);
        }
        let is_lossy = self.channels.capacity(record.channel).is_some_and(|capacity| capacity.is_lossy);
        let is_repeated = is_lossy && record.round < record.cause.repeats();
        if let Some(later) = self.settings.repeats.get(record.round).filter(|_| is_repeated) {
            let due = now.elapsed + *later;
            self.schedule(QueuedRecord { round: record.round + 1, ..record }, due);
        }
    }
}
