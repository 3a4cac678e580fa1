//! Answers: a pong to a ping, records to a request or to somebody who lacks them, portion by portion.

use crate::brain::{Origin, briefly};
use crate::{Brain, Now, Output};
use dcache::{Key, Pattern, Validity};
use routing::{
    Address, Carried, ChannelCommand, ChannelId, Envelope, MAX_LINE_BYTES, MAX_RECORDS, Message, Target,
};
use std::collections::VecDeque;

/// How many records go out before the channel has to say that it sent them all.
const PORTION: usize = 256;

/// The most bytes around a payload among several records, and around all of them in a line.
const AROUND_PAYLOAD: usize = 300;
const AROUND_RECORDS: usize = 1024;

/// What is still to be sent on a link.
#[derive(Debug)]
pub(crate) struct Answer {
    to: Address,
    keys: VecDeque<Key>,
    ending: Ending,
}

/// What an answer is for, and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// For a request: one record a line, then a pong.
    Request,
    /// For a comparison that the other side began: several records a line, then a pong.
    Repair,
    /// For a comparison that we began: several records a line, and then the other side may have something left to say.
    Gift,
}

/// Where an answer goes: it travels back the way the question came, so of a chain of channels that ends at a brain
/// only the brain is left to name; or, when others passed it on and no path is known, what is behind the first of them.
fn reply_to(question: &Envelope, is_on_path: bool) -> Address {
    let from = &question.from;
    match from.split_first() {
        (_, Some(behind)) if question.hops > 0 && !is_on_path => behind,
        _ => from.brain_of().map_or_else(|| from.clone(), Address::brain),
    }
}

impl Brain {
    /// A pong, by the same way. On a link it says how this node is doing; on a network, where a question costs its
    /// asker nothing, it is no longer than the question.
    pub(crate) fn answer_ping(&mut self, now: Now, origin: Origin, ping: &Envelope, out: &mut Vec<Output>) {
        self.count("pings answered");
        let to = reply_to(ping, self.is_path(origin.channel));
        self.send_pong(now, origin, to, Ending::Request, out);
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
        let to = reply_to(request, self.is_path(origin.channel));
        if self.is_link(origin.channel) {
            let keys = self.set.live(patterns, now.moment.time);
            let keys = keys.map(Key::from).collect();
            self.start_answer(now, origin.channel, to, keys, Ending::Request, out);
        } else {
            self.send_pong(now, origin, to, Ending::Request, out);
        }
    }

    /// Begins to send records on a link; what was still to be sent there is dropped, so that an asker who asks again
    /// and again is owed one answer at most.
    pub(crate) fn start_answer(
        &mut self,
        now: Now,
        id: ChannelId,
        to: Address,
        keys: VecDeque<Key>,
        ending: Ending,
        out: &mut Vec<Output>,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let is_under_way = match &mut channel.answer {
            // What is wanted comes in several lines.
            Some(answer) if answer.ending == Ending::Gift && ending == Ending::Gift => {
                answer.keys.extend(keys);
                true
            }
            answer => answer.replace(Answer { to, keys, ending }).is_some(),
        };
        // One portion at a time: the link reports when the one under way is sent.
        if !is_under_way {
            self.continue_answer(now, id, out);
        }
    }

    /// The next portion, once the link has sent the one before; after the last, what ends it.
    pub(crate) fn continue_answer(&mut self, now: Now, id: ChannelId, out: &mut Vec<Output>) {
        let Some(mut answer) = self.channels.get_mut(&id).and_then(|channel| channel.answer.take()) else {
            return;
        };
        let portion = answer.keys.len().min(PORTION);
        let keys: Vec<Key> = answer.keys.drain(..portion).collect();
        match answer.ending {
            Ending::Request => keys.iter().for_each(|key| self.send_record(now, id, &answer.to, key, out)),
            Ending::Repair | Ending::Gift => self.send_together(now, id, &answer.to, &keys, out),
        }
        if answer.ending == Ending::Gift {
            self.session_goes_on(now, id);
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
        match answer.ending {
            Ending::Gift => self.session_is_given(now, id, out),
            Ending::Request | Ending::Repair => {
                self.send_pong(now, Origin { channel: id, source: None }, answer.to, answer.ending, out);
            }
        }
        if is_ending {
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

    fn send_record(&mut self, now: Now, id: ChannelId, to: &Address, key: &Key, out: &mut Vec<Output>) {
        // It may have left the set since the question.
        if let (Some(channel), Some(record)) = (self.channels.get(&id), self.set.get(key)) {
            let envelope = Envelope::record(self.own_address(channel), to.clone(), record);
            self.send(now, id, Target::All, &envelope, out);
            self.count("records sent in answers");
        }
    }

    /// Several records a line: what is around them then costs little.
    fn send_together(&mut self, now: Now, id: ChannelId, to: &Address, keys: &[Key], out: &mut Vec<Output>) {
        let Some(channel) = self.channels.get(&id) else { return };
        let empty = Envelope::new(self.own_address(channel), to.clone(), Message::pong(Validity::ALWAYS));
        let mut envelope = empty.clone();
        let mut bytes = 0;
        for key in keys {
            let Some(carried) = self.set.get(key).map(Carried::from) else { continue };
            // Escaped, a payload is at most twice as long: it has no control characters.
            let length = 2 * carried.payload.len() + AROUND_PAYLOAD;
            if envelope.records.len() == MAX_RECORDS || bytes + length > MAX_LINE_BYTES - AROUND_RECORDS {
                self.send(now, id, Target::All, &std::mem::replace(&mut envelope, empty.clone()), out);
                bytes = 0;
            }
            bytes += length;
            envelope.records.push(carried);
            self.tally(id, |tally| tally.repaired += 1);
        }
        if !envelope.records.is_empty() {
            self.send(now, id, Target::All, &envelope, out);
        }
    }

    /// Somebody is there; on a link of ours it is the end of what the other side had for us.
    pub(crate) fn pong(&mut self, now: Now, origin: Origin, pong: &Envelope, out: &mut Vec<Output>) {
        if pong.records.is_empty() {
            self.session_is_complete(now, origin.channel, out);
        }
    }

    fn send_pong(&mut self, now: Now, origin: Origin, to: Address, ending: Ending, out: &mut Vec<Output>) {
        let Some(channel) = self.channels.get(&origin.channel) else {
            return;
        };
        let mut envelope = Envelope::new(self.own_address(channel), to, Message::pong(briefly(now)));
        if self.is_link(origin.channel) && ending == Ending::Request {
            envelope.status = Some(self.status(now));
        }
        let target = origin.source.map_or(Target::All, Target::Host);
        self.send(now, origin.channel, target, &envelope, out);
    }
}
