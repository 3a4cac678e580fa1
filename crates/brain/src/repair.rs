//! Repair: asking one peer for everything, and giving it what it lacked.
//!
//! A newcomer greets each network with a ping. The first that answers is called and asked for everything; when its
//! answer is complete, whatever we hold and did not hear in it goes to it in turn. Afterwards the same happens now and
//! then with a neighbour chosen by chance: lost datagrams and healed partitions need nothing else.

use crate::brain::{Channel, Origin, briefly};
use crate::{Brain, Now, Output};
use dcache::{Digest, Key, Pattern, PeerId, Statement};
use rand::RngExt as _;
use routing::{Address, ChannelCommand, ChannelId, Envelope, Medium, Message, Target};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// The first and the longest wait between two greetings on a network where nobody has answered.
const GREET_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Greetings and the repair under way.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    /// Networks on which nobody was found yet: when to greet again, and the wait after that.
    greetings: BTreeMap<ChannelId, (Duration, Duration)>,
    call: Option<Call>,
    /// When the next repair begins.
    next: Option<Duration>,
}

/// A repair under way.
#[derive(Debug)]
struct Call {
    address: SocketAddr,
    /// The link, once it is up.
    channel: Option<ChannelId>,
    /// When it is given up.
    deadline: Duration,
    /// What the peer said that it has.
    seen: BTreeSet<(Digest, PeerId)>,
}

impl Brain {
    /// Greets a network that came up, until somebody answers.
    pub(crate) fn greet(&mut self, now: Now, channel: ChannelId) {
        self.repair.greetings.entry(channel).or_insert((now.elapsed, GREET_AGAIN.0));
    }

    /// Nobody is left to call: perhaps they all moved.
    fn greet_all(&mut self, now: Now) {
        let is_network = |channel: &Channel| matches!(channel.medium, Medium::Broadcast { .. });
        let networks = self.channels.iter().filter(|(_, channel)| is_network(channel));
        for id in networks.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.greet(now, id);
        }
    }

    pub(crate) fn next_repair_wake(&self) -> Option<Duration> {
        let greetings = self.repair.greetings.values().map(|(at, _)| *at).min();
        let call = match &self.repair.call {
            Some(call) => Some(call.deadline),
            None => self.repair.next,
        };
        [greetings, call].into_iter().flatten().min()
    }

    pub(crate) fn run_repair(&mut self, now: Now, out: &mut Vec<Output>) {
        self.run_greetings(now, out);
        if self.repair.call.as_ref().is_some_and(|call| call.deadline <= now.elapsed) {
            self.give_up(now, out);
        }
        if self.repair.call.is_none() && self.repair.next.is_some_and(|next| next <= now.elapsed) {
            self.repair_with_somebody(now, None, out);
        }
    }

    fn run_greetings(&mut self, now: Now, out: &mut Vec<Output>) {
        let due = |(_, (at, _)): &(&ChannelId, &(Duration, Duration))| *at <= now.elapsed;
        let due: Vec<ChannelId> = self.repair.greetings.iter().filter(due).map(|(id, _)| *id).collect();
        for id in due {
            let Some(channel) = self.channels.get(&id) else {
                continue;
            };
            let ping = Message::ping(briefly(now));
            let envelope = Envelope::new(self.own_address(channel), Address::every_brain(), ping);
            out.push(Output::Channel(ChannelCommand::Send {
                channel: id,
                target: Target::All,
                line: envelope.encode(),
            }));
            self.count("greetings");
            if let Some((at, wait)) = self.repair.greetings.get_mut(&id) {
                *at = now.elapsed + *wait;
                *wait = (*wait * 2).min(GREET_AGAIN.1);
            }
        }
    }

    /// Somebody is there. On a network that was just greeted the first who answers is called; on a link a pong is the
    /// end of the answer.
    pub(crate) fn pong(&mut self, now: Now, origin: Origin, out: &mut Vec<Output>) {
        let is_call = |call: &Call| call.channel == Some(origin.channel);
        if self.repair.call.as_ref().is_some_and(is_call) {
            return self.complete(now, origin.channel, out);
        }
        if self.repair.greetings.contains_key(&origin.channel) && self.repair.call.is_none() {
            self.repair_with_somebody(now, Some(origin.channel), out);
        }
    }

    fn repair_with_somebody(&mut self, now: Now, on: Option<ChannelId>, out: &mut Vec<Output>) {
        let candidates = self.neighbours.worth_calling(on, now.elapsed);
        self.repair.next = Some(now.elapsed + self.repair_wait());
        if candidates.is_empty() {
            return self.greet_all(now);
        }
        let address = candidates[self.random.random_range(0..candidates.len())];
        let deadline = now.elapsed + self.settings.repair_timeout;
        self.repair.call = Some(Call { address, channel: None, deadline, seen: BTreeSet::new() });
        out.push(Output::Channel(ChannelCommand::Connect { address }));
        self.count("repairs begun");
    }

    fn repair_wait(&mut self) -> Duration {
        let (shortest, longest) = self.settings.repair_every;
        shortest + self.random_wait(longest.saturating_sub(shortest))
    }

    /// A link that we asked for is up: ask for everything.
    pub(crate) fn link_is_up(&mut self, now: Now, id: ChannelId, address: SocketAddr, out: &mut Vec<Output>) {
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let req = Message::req(&["*"], briefly(now));
        let envelope = Envelope::new(self.own_address(channel), Address::every_brain(), req);
        if let Some(call) = self.repair.call.as_mut().filter(|call| call.address == address) {
            call.channel = Some(id);
            out.push(Output::Channel(ChannelCommand::Send {
                channel: id,
                target: Target::All,
                line: envelope.encode(),
            }));
        } else {
            // Given up meanwhile.
            out.push(Output::Channel(ChannelCommand::Close { channel: id }));
        }
    }

    /// Notes what the called peer says that it has.
    pub(crate) fn repair_saw(&mut self, channel: ChannelId, statement: &Statement, signer: PeerId) {
        // More than we hold twice over is not worth remembering: the peer then gets a record too many.
        let limit = 2 * self.set.len() + 1024;
        if let Some(call) = self.repair.call.as_mut().filter(|call| call.channel == Some(channel))
            && call.seen.len() < limit
        {
            call.seen.insert((statement.digest(), signer));
        }
    }

    fn complete(&mut self, now: Now, id: ChannelId, out: &mut Vec<Output>) {
        let Some(call) = self.repair.call.take() else {
            return;
        };
        self.count("repairs completed");
        self.stop_greeting(call.address);
        let everything: Vec<Pattern> = Pattern::new("*").into_iter().collect();
        let lacking = self.set.live(&everything, now.moment.time);
        let lacking =
            lacking.filter(|record| !call.seen.contains(&(record.statement().digest(), record.signer())));
        let keys = lacking.map(Key::from).collect();
        self.start_answer(now, id, Address::every_brain(), keys, false, out);
    }

    /// The network on which the called peer lives has been greeted enough.
    fn stop_greeting(&mut self, address: SocketAddr) {
        let found = |channel: &ChannelId| self.neighbours.is_on(address, *channel);
        let found: Vec<ChannelId> = self.repair.greetings.keys().copied().filter(found).collect();
        for channel in found {
            self.repair.greetings.remove(&channel);
        }
    }

    /// Nobody was there, or the link broke, or its peer was too slow: forget it for now and soon try another.
    pub(crate) fn repair_failed(&mut self, now: Now, address: SocketAddr) {
        if self.repair.call.as_ref().is_some_and(|call| call.address == address) {
            self.repair.call = None;
            self.neighbours.forget(address);
            let wait = Duration::from_millis(500) + self.random_wait(Duration::from_secs(1));
            self.repair.next = Some(now.elapsed + wait);
            self.count("repairs failed");
        }
    }

    fn give_up(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(call) = &self.repair.call else { return };
        let (address, channel) = (call.address, call.channel);
        out.extend(channel.map(|channel| Output::Channel(ChannelCommand::Close { channel })));
        self.repair_failed(now, address);
    }

    pub(crate) fn repair_channel_is_down(&mut self, now: Now, channel: ChannelId) {
        self.repair.greetings.remove(&channel);
        let broken = self.repair.call.as_ref().filter(|call| call.channel == Some(channel));
        if let Some(address) = broken.map(|call| call.address) {
            self.repair_failed(now, address);
        }
    }
}
