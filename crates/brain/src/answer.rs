//! Answers: a pong to a ping, records to a request, portion by portion.

use crate::brain::{Origin, briefly};
use crate::{Brain, Now, Output};
use dcache::{Key, Pattern};
use routing::{Address, ChannelCommand, ChannelId, Envelope, Medium, Message, Target};
use std::collections::VecDeque;

/// How many records go out before the channel has to say that it sent them all.
const PORTION: usize = 256;

/// What is still to be sent on a link.
#[derive(Debug)]
pub(crate) struct Answer {
    to: Address,
    keys: VecDeque<Key>,
    /// Whether a pong ends it: it answers a request, and is not a gift after a repair.
    ends_with_pong: bool,
}

/// Where an answer goes: it travels back the way the question came, so of a chain of channels that ends at a brain
/// only the brain is left to name.
fn reply_to(from: &Address) -> Address {
    from.brain_of().map_or_else(|| from.clone(), Address::brain)
}

impl Brain {
    /// A pong, by the same way. On a link it says how this node is doing; on a network, where a question costs its
    /// asker nothing, it is no longer than the question.
    pub(crate) fn answer_ping(&mut self, now: Now, origin: Origin, ping: &Envelope, out: &mut Vec<Output>) {
        self.count("pings answered");
        self.send_pong(now, origin, reply_to(&ping.from), out);
    }

    /// Everything that matches, then a pong. On a network only the pong: it names the port at which to ask, where the
    /// asker has to prove its address before many bytes flow its way.
    pub(crate) fn answer_request(
        &mut self,
        now: Now,
        origin: Origin,
        request: &Envelope,
        patterns: &[Pattern],
        out: &mut Vec<Output>,
    ) {
        self.count("requests answered");
        if self.medium_is_link(origin.channel) {
            let keys = self.set.live(patterns, now.moment.time);
            let keys = keys.map(Key::from).collect();
            self.start_answer(now, origin.channel, reply_to(&request.from), keys, true, out);
        } else {
            self.send_pong(now, origin, reply_to(&request.from), out);
        }
    }

    fn medium_is_link(&self, channel: ChannelId) -> bool {
        self.channels.get(&channel).is_some_and(|channel| matches!(channel.medium, Medium::Link { .. }))
    }

    /// Begins to send records on a link; what was still to be sent there is dropped, so that an asker who asks again
    /// and again is owed one answer at most.
    pub(crate) fn start_answer(
        &mut self,
        now: Now,
        id: ChannelId,
        to: Address,
        keys: VecDeque<Key>,
        ends_with_pong: bool,
        out: &mut Vec<Output>,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let is_under_way = channel.answer.replace(Answer { to, keys, ends_with_pong }).is_some();
        // One portion at a time: the link reports when the one under way is sent.
        if !is_under_way {
            self.continue_answer(now, id, out);
        }
    }

    /// The next portion, once the link has sent the one before. After the last comes the pong, or, after a gift, the end of the link.
    pub(crate) fn continue_answer(&mut self, now: Now, id: ChannelId, out: &mut Vec<Output>) {
        let Some(mut answer) = self.channels.get_mut(&id).and_then(|channel| channel.answer.take()) else {
            return;
        };
        let portion = answer.keys.len().min(PORTION);
        for key in answer.keys.drain(..portion) {
            self.send_record(id, &answer.to, &key, out);
        }
        if !answer.keys.is_empty() || portion == PORTION {
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.answer = Some(answer);
            }
        } else {
            self.finish_answer(now, id, answer, out);
        }
    }

    fn finish_answer(&mut self, now: Now, id: ChannelId, answer: Answer, out: &mut Vec<Output>) {
        let is_ending = self.channels.get(&id).is_some_and(|channel| channel.is_ending);
        let is_gift = !answer.ends_with_pong;
        if !is_gift {
            self.send_pong(now, Origin { channel: id, source: None }, answer.to, out);
        }
        if is_gift || is_ending {
            out.push(Output::Channel(ChannelCommand::Close { channel: id }));
        }
    }

    /// Whoever asked will ask no more: the link is closed once it has its answer.
    pub(crate) fn ended(&mut self, id: ChannelId, out: &mut Vec<Output>) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        channel.is_ending = true;
        channel.is_pushed = false;
        if channel.answer.is_none() {
            out.push(Output::Channel(ChannelCommand::Close { channel: id }));
        }
    }

    fn send_record(&mut self, id: ChannelId, to: &Address, key: &Key, out: &mut Vec<Output>) {
        // It may have left the set since the question.
        if let (Some(channel), Some(record)) = (self.channels.get(&id), self.set.get(key)) {
            let envelope = Envelope::record(self.own_address(channel), to.clone(), record);
            out.push(Output::Channel(ChannelCommand::Send {
                channel: id,
                target: Target::All,
                line: envelope.encode(),
            }));
            self.count("records sent in answers");
        }
    }

    fn send_pong(&mut self, now: Now, origin: Origin, to: Address, out: &mut Vec<Output>) {
        let Some(channel) = self.channels.get(&origin.channel) else {
            return;
        };
        let mut envelope = Envelope::new(self.own_address(channel), to, Message::pong(briefly(now)));
        if matches!(channel.medium, Medium::Link { .. }) {
            envelope.status = Some(self.status(now));
        }
        let target = origin.source.map_or(Target::All, Target::Host);
        out.push(Output::Channel(ChannelCommand::Send {
            channel: origin.channel,
            target,
            line: envelope.encode(),
        }));
    }
}
