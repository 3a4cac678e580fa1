//! Giving what the other side of a comparison lacks.

use crate::answer::Ending;
use crate::channel::Channel;
use crate::outbox::{Cause, Turn};
use crate::{Brain, Now, Output};
use dcache::{End, Key, Record};
use routing::{Address, ChannelId, Want};
use sketch::salted;
use std::collections::BTreeSet;

/// The most records given on a network at once.
const MAX_GIVEN: usize = 64;

impl Brain {
    /// The other side has found the difference, and names what it lacks.
    pub(super) fn give(&mut self, now: Now, want: &Want, out: &mut Vec<Output>) {
        let linger =
            self.session.as_ref().and_then(|session| session.channel).map(|id| self.round_trip(id) * 2);
        let (Some(session), Some(linger)) = (&mut self.session, linger) else { return };
        let (Some(said), Some(channel)) = (&session.said, session.channel) else { return };
        let (bound, is_on_network) =
            (End::at(said.bound), !self.channels.get(&channel).is_some_and(Channel::is_link));
        let keys = keys_of(self.set.beyond(bound), want.salt, &want.ids);
        if is_on_network {
            session.is_complete = true;
            session.deadline = now.elapsed + linger;
            self.give_on_network(now, channel, keys);
        } else if !keys.is_empty() {
            session.wanted += keys.len() as u64;
            // Each record once; whoever wants more than we hold wants it again and again.
            if session.wanted > said.count {
                return self.count("records wanted twice");
            }
            session.is_given = false;
            self.start_answer(now, channel, Address::every_brain(), keys.into(), Ending::Gift, out);
        }
    }

    pub(crate) fn give_on_network(&mut self, now: Now, channel: ChannelId, keys: Vec<Key>) {
        for key in keys.into_iter().take(MAX_GIVEN) {
            if !self.outbox.has(channel, &key) {
                self.schedule(Turn { channel, key, round: 0, cause: Cause::Missed }, now.elapsed);
            }
        }
    }
}

/// Where the records stand for which these numbers stand.
pub(crate) fn keys_of<'a>(records: impl Iterator<Item = &'a Record>, salt: u64, wanted: &[u64]) -> Vec<Key> {
    let wanted: BTreeSet<u64> = wanted.iter().copied().collect();
    let is_wanted = |record: &&Record| wanted.contains(&salted(salt, &record.id().0));
    records.filter(is_wanted).map(Key::from).collect()
}
