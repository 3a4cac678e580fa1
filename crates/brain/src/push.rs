//! Saying records: to whom, when, and several in one line.

use crate::channel::Sending;
use crate::outbox::{Cause, Turn};
use crate::{Brain, Now, Output};
use dcache::Key;
use routing::{Address, Carried, ChannelId, Envelope, MAX_RECORDS, Target};
use std::time::Duration;

/// What stands around several records in a line, in bytes.
const AROUND: usize = 16;

impl Brain {
    /// Gives a record its turn on every channel but the one that brought it. What a comparison brought goes only to
    /// networks where others held what this node held: the rest most likely has it.
    pub(crate) fn push(&mut self, now: Now, key: &Key, cause: Cause, brought_by: Option<ChannelId>) {
        let pushed =
            self.channels.iter().filter(|(id, channel)| channel.is_pushed && Some(**id) != brought_by);
        let pushed: Vec<(ChannelId, bool, bool)> =
            pushed.map(|(id, channel)| (*id, channel.capacity.is_some(), channel.is_shared())).collect();
        for (channel, is_network, is_shared) in pushed {
            if is_network && cause == Cause::Found && !self.has_company(now, channel) {
                continue;
            }
            let wait = match brought_by {
                Some(_) if is_shared => self.random_wait(self.settings.relay_wait),
                _ => Duration::ZERO,
            };
            self.schedule(Turn { channel, key: key.clone(), round: 0, cause }, now.elapsed + wait);
        }
    }

    pub(crate) fn schedule(&mut self, turn: Turn, due: Duration) {
        if !self.outbox.schedule(turn, due) {
            self.count("records not said: too many waiting");
        }
    }

    /// Says a record whose turn has come, and with it those whose turn comes next, as far as one packet holds them.
    pub(crate) fn say(&mut self, now: Now, turn: Turn, out: &mut Vec<Output>) {
        let id = turn.channel;
        let (Some(channel), Some(record)) = (self.channels.get(&id), self.set.get(&turn.key)) else {
            return;
        };
        let mut envelope = Envelope::record(self.own_address(channel), Address::every_brain(), record);
        let mut turns = vec![turn];
        self.add_records(now, id, &mut envelope, &mut turns);
        match self.spend(now, id, &envelope) {
            Sending::Sent => {
                self.put(now, id, Target::All, &envelope, out);
                turns.into_iter().for_each(|turn| self.said(now, turn));
            }
            Sending::Over(until) => self.outbox.rest(id, turns, until),
            Sending::TooLong => self.count("records not said: too long for a channel"),
        }
    }

    fn add_records(&mut self, now: Now, id: ChannelId, envelope: &mut Envelope, turns: &mut Vec<Turn>) {
        let Some(mtu) = self.capacity(id).map(|capacity| capacity.mtu) else { return };
        if !self.outbox.is_behind(id) {
            return;
        }
        let mut length = envelope.encode().len() + AROUND;
        while envelope.records.len() < MAX_RECORDS
            && let Some(turn) = self.outbox.take_due_on(id, now.elapsed)
        {
            let Some(carried) = self.set.get(&turn.key).map(Carried::from) else { continue };
            length += carried.encoded_length() + 1;
            if length > mtu {
                return self.outbox.put_back(turn);
            }
            envelope.records.push(carried);
            turns.push(turn);
        }
    }

    fn said(&mut self, now: Now, turn: Turn) {
        self.count("records said");
        if turn.cause == Cause::Missed {
            self.tally(turn.channel, |tally| tally.repaired += 1);
        }
        let is_lossy = self.capacity(turn.channel).is_some_and(|capacity| capacity.is_lossy);
        let is_repeated = is_lossy && turn.round < turn.cause.repeats();
        if let Some(later) = self.settings.repeats.get(turn.round).filter(|_| is_repeated) {
            let due = now.elapsed + *later;
            self.schedule(Turn { round: turn.round + 1, ..turn }, due);
        }
    }
}
