//! The state and its inputs.

use crate::answer::Answer;
use crate::neighbours::{Budgets, Neighbours};
use crate::push::Turn;
use crate::repair::Repair;
use crate::{Input, Now, Outbox, Output, Settings};
use dcache::{
    Admission, Key, Limits, Moment, PeerId, Policy, Record, Refusal, Set, Signature, Statement, Time,
};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::{Address, ChannelCommand, ChannelEvent, ChannelId, Envelope, Medium, Message, Status, Target};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How often records that are over are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

/// A channel that is up.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) medium: Medium,
    /// Whether new records go to it: to networks and to peers, not to somebody who only asked a question.
    pub(crate) is_pushed: bool,
    /// Bad lines so far.
    strikes: u32,
    /// What is still to be sent on it in answer to a question, portion by portion.
    pub(crate) answer: Option<Answer>,
    /// Whether it is closed after that.
    pub(crate) is_ending: bool,
}

/// See the crate's documentation.
#[derive(Debug)]
pub struct Brain {
    pub(crate) me: PeerId,
    pub(crate) set: Set,
    pub(crate) settings: Settings,
    pub(crate) channels: BTreeMap<ChannelId, Channel>,
    pub(crate) neighbours: Neighbours,
    pub(crate) repair: Repair,
    pub(crate) random: ChaCha8Rng,
    pub(crate) counters: BTreeMap<String, u64>,
    budgets: Budgets,
    outbox: Outbox,
    next_expiry: Duration,
    /// What was known of the time when something last happened.
    moment: Moment,
    version: String,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) channel: ChannelId,
    pub(crate) source: Option<SocketAddr>,
}

impl Brain {
    /// The brain of `me`, knowing what is in `set`. All chance grows from `seed`.
    pub fn new(me: PeerId, set: Set, settings: Settings, version: &str, seed: u64) -> Self {
        Self {
            me,
            set,
            settings,
            channels: BTreeMap::new(),
            neighbours: Neighbours::default(),
            repair: Repair::default(),
            random: ChaCha8Rng::seed_from_u64(seed),
            counters: BTreeMap::new(),
            budgets: Budgets::default(),
            outbox: Outbox::default(),
            next_expiry: Duration::ZERO,
            moment: Moment::certain(Time(0)),
            version: version.to_owned(),
        }
    }

    /// Everything that this node holds.
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// From now on another policy counts; what it does not allow to keep leaves the set.
    pub fn adopt(&mut self, policy: Policy, now: Now) -> Vec<Output> {
        let limits = Limits::of(&policy);
        let records = std::mem::replace(&mut self.set, Set::new(policy, limits));
        let dropped = self.set.restore(records.records().cloned(), now.moment);
        if dropped.is_empty() { Vec::new() } else { vec![Output::Removed(dropped)] }
    }

    /// How this node is doing.
    pub fn status(&self, now: Now) -> Status {
        Status {
            version: self.version.clone(),
            time: now.moment.time,
            uptime: now.elapsed.as_secs(),
            records: self.set.len() as u64,
            counters: self.counters.clone(),
            ..Status::default()
        }
    }

    /// When to send a [`Input::Tick`] at the latest, in time since start.
    pub fn next_wake(&self) -> Duration {
        let wakes = [self.outbox.next(), self.next_repair_wake(), Some(self.next_expiry)];
        wakes.into_iter().flatten().min().unwrap_or(self.next_expiry)
    }

    /// Takes one input; whatever is due by `now` is done as well.
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.advance(now, &mut out);
        match input {
            Input::Channel(event) => self.channel_event(now, event, &mut out),
            Input::Local(record) => self.local(now, record, &mut out),
            Input::Tick => {}
        }
        self.run_due(now, &mut out);
        out
    }

    fn channel_event(&mut self, now: Now, event: ChannelEvent, out: &mut Vec<Output>) {
        match event {
            ChannelEvent::Up { channel, medium } => self.up(now, channel, medium, out),
            ChannelEvent::Down { channel } => self.down(now, channel),
            ChannelEvent::Ended { channel } => self.ended(channel, out),
            ChannelEvent::ConnectFailed { address } => self.repair_failed(now, address),
            ChannelEvent::Received { channel, source, envelope, .. } => {
                self.received(now, Origin { channel, source }, &envelope, out);
            }
            ChannelEvent::Malformed { channel } => self.strike("lines that were no envelope", channel, out),
            ChannelEvent::Drained { channel } => self.continue_answer(now, channel, out),
        }
    }

    fn up(&mut self, now: Now, channel: ChannelId, medium: Medium, out: &mut Vec<Output>) {
        let dialled = match &medium {
            Medium::Broadcast { .. } => None,
            Medium::Link { dialled } => *dialled,
        };
        let is_network = matches!(medium, Medium::Broadcast { .. });
        let is_pushed = is_network || dialled.is_some();
        self.channels
            .insert(channel, Channel { medium, is_pushed, strikes: 0, answer: None, is_ending: false });
        if is_network {
            self.greet(now, channel);
        } else if let Some(address) = dialled {
            self.link_is_up(now, channel, address, out);
        }
    }

    fn down(&mut self, now: Now, channel: ChannelId) {
        self.channels.remove(&channel);
        self.outbox.drop_channel(channel);
        self.neighbours.drop_channel(channel);
        self.repair_channel_is_down(now, channel);
    }

    fn local(&mut self, now: Now, record: Record, out: &mut Vec<Output>) {
        match self.set.admit_verified(record, now.moment.time) {
            Ok(admission) => self.settle(now, admission, None, out),
            Err(reason) => {
                self.count(&format!("own records refused: {reason}"));
                out.push(Output::NotSaid(reason));
            }
        }
    }

    fn received(&mut self, now: Now, origin: Origin, envelope: &Envelope, out: &mut Vec<Output>) {
        // A broadcast is heard by its sender as well.
        if !self.channels.contains_key(&origin.channel) || envelope.from.brain_of() == Some(self.me) {
            return;
        }
        self.count("lines received");
        if let Some(source) = origin.source
            && !self.budgets.spend(source.ip(), self.settings.host_budget, now.elapsed)
        {
            return self.count("lines over a host's budget");
        }
        if !envelope.to.is_for(self.me) {
            return self.count("lines for others");
        }
        self.hear(now, origin, &envelope.from);
        match Message::parse(&envelope.payload) {
            Ok(Message::Statement(statement)) => self.statement(now, origin, &statement, envelope, out),
            Ok(Message::Request { patterns, .. }) => {
                self.answer_request(now, origin, envelope, &patterns, out)
            }
            Ok(Message::Ping { .. }) => self.answer_ping(now, origin, envelope, out),
            Ok(Message::Pong { .. }) => self.pong(now, origin, out),
            Ok(Message::Command { .. }) => self.count("commands ignored"),
            Ok(Message::Signature) => self.count("separate signatures ignored"),
            Err(_) => self.strike("payloads that were no message", origin.channel, out),
        }
    }

    /// Notes where a peer takes links. What it says of itself must fit the host that the line came from, or anybody
    /// could send the whole class to connect to a victim.
    fn hear(&mut self, now: Now, origin: Origin, from: &Address) {
        if let (Some(source), Some(line), Some(_)) = (origin.source, from.tcp(), from.brain_of())
            && source.ip() == line.ip()
        {
            self.neighbours.heard(line, origin.channel, now.elapsed);
        }
        if from.brain_of().is_some()
            && let Some(channel) = self.channels.get_mut(&origin.channel)
        {
            channel.is_pushed = true;
        }
    }

    fn statement(
        &mut self,
        now: Now,
        origin: Origin,
        statement: &Statement,
        envelope: &Envelope,
        out: &mut Vec<Output>,
    ) {
        if envelope.signatures.is_empty() {
            return self.strike("records without a signature", origin.channel, out);
        }
        for signature in &envelope.signatures {
            self.repair_saw(origin.channel, statement, signature.signer);
            self.admit(now, origin, statement, *signature, out);
        }
    }

    fn admit(
        &mut self,
        now: Now,
        origin: Origin,
        statement: &Statement,
        signature: Signature,
        out: &mut Vec<Output>,
    ) {
        match self.set.admit(statement.clone(), signature, now.moment.time) {
            Ok(Admission::Known) => {
                self.count("records known");
                let key = Key { item: statement.item().clone(), signer: signature.signer };
                self.heard_again(origin.channel, &key, statement);
            }
            Ok(admission) => self.settle(now, admission, Some(origin), out),
            Err(reason) => self.refused(origin, reason, out),
        }
    }

    /// On a network on which others were heard saying a record, it need not be passed on once more. Its maker keeps
    /// its turns: those are against loss.
    fn heard_again(&mut self, channel: ChannelId, key: &Key, statement: &Statement) {
        let is_latest = self.set.get(key).is_some_and(|held| held.statement() == statement);
        if key.signer != self.me && is_latest {
            self.outbox.cancel(channel, key);
        }
    }

    fn refused(&mut self, origin: Origin, reason: Refusal, out: &mut Vec<Output>) {
        let Origin { channel, source } = origin;
        out.push(Output::Refused { channel, source, reason });
        let name = format!("records refused: {reason}");
        match reason {
            // Only these are the work of somebody who means ill; the others happen among honest peers.
            Refusal::Forged | Refusal::NotOwner => self.strike(&name, channel, out),
            _ => self.count(&name),
        }
    }

    /// What follows from a record that is new in the set.
    fn settle(&mut self, now: Now, admission: Admission, origin: Option<Origin>, out: &mut Vec<Output>) {
        let Admission::New { record, evicted } = admission else {
            return;
        };
        self.count(if origin.is_some() { "records taken" } else { "own records" });
        let key = Key::from(&record);
        out.push(Output::Admitted(record));
        if !evicted.is_empty() {
            out.push(Output::Removed(evicted));
        }
        self.push(now, &key, origin.map(|origin| origin.channel));
    }

    fn push(&mut self, now: Now, key: &Key, brought_by: Option<ChannelId>) {
        let pushed =
            self.channels.iter().filter(|(id, channel)| channel.is_pushed && Some(**id) != brought_by);
        let pushed: Vec<_> =
            pushed.map(|(id, channel)| (*id, matches!(channel.medium, Medium::Broadcast { .. }))).collect();
        for (channel, is_network) in pushed {
            let wait = match brought_by {
                Some(_) if is_network => self.random_wait(self.settings.relay_wait),
                _ => Duration::ZERO,
            };
            let turn = Turn { channel, key: key.clone(), round: 0 };
            if !self.outbox.schedule(turn, now.elapsed + wait) {
                self.count("records not said: too many waiting");
            }
        }
    }

    fn run_due(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some(turn) = self.outbox.take_due(now.elapsed, self.settings.spacing) {
            self.say(now, &turn, out);
        }
        self.run_repair(now, out);
    }

    /// Forgets what is over, and looks at who holds which role: now and then, and at once when the clock was set back
    /// or it turns out whether the time is known.
    fn advance(&mut self, now: Now, out: &mut Vec<Output>) {
        let before = std::mem::replace(&mut self.moment, now.moment);
        let has_turned = before.is_certain != now.moment.is_certain || before.time > now.moment.time.plus(60);
        if now.elapsed < self.next_expiry && !has_turned {
            return;
        }
        self.next_expiry = now.elapsed + EXPIRE_EVERY;
        let dropped = self.set.advance(now.moment);
        if !dropped.is_empty() {
            out.push(Output::Removed(dropped));
        }
    }

    fn say(&mut self, now: Now, turn: &Turn, out: &mut Vec<Output>) {
        let Some(channel) = self.channels.get(&turn.channel) else {
            return;
        };
        let Some(record) = self.set.get(&turn.key) else {
            return;
        };
        let is_own = turn.key.signer == self.me;
        let repeat = match channel.medium {
            Medium::Broadcast { .. } if is_own => self.settings.repeats.get(turn.round).copied(),
            _ => None,
        };
        let envelope = Envelope::record(self.own_address(channel), Address::every_brain(), record);
        out.push(Output::Channel(ChannelCommand::Send {
            channel: turn.channel,
            target: Target::All,
            line: envelope.encode(),
        }));
        self.count("records said");
        if let Some(later) = repeat {
            let again = Turn { round: turn.round + 1, ..turn.clone() };
            self.outbox.schedule(again, now.elapsed + later);
        }
    }

    /// Who we are on a channel: on a network with the place where we take links, so that others can ask for more.
    pub(crate) fn own_address(&self, channel: &Channel) -> Address {
        let brain = Address::brain(self.me);
        match &channel.medium {
            Medium::Broadcast { line: Some(line), .. } => line.then(&brain).unwrap_or(brain),
            _ => brain,
        }
    }

    /// A wait between nothing and `longest`, by chance.
    pub(crate) fn random_wait(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.random.random::<f64>())
    }

    pub(crate) fn count(&mut self, name: &str) {
        match self.counters.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.counters.insert(name.to_owned(), 1);
            }
        }
    }

    /// Counts something bad. A link that brings too much of it is closed; a network cannot be.
    fn strike(&mut self, name: &str, id: ChannelId, out: &mut Vec<Output>) {
        self.count(name);
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        channel.strikes = channel.strikes.saturating_add(1);
        if channel.strikes == self.settings.forgiven && matches!(channel.medium, Medium::Link { .. }) {
            out.push(Output::Channel(ChannelCommand::Close { channel: id }));
            self.count("links closed for bad lines");
        }
    }
}

/// The validity of a message that is of use only now.
pub(crate) fn briefly(now: Now) -> dcache::Validity {
    dcache::Validity::starting(now.moment.time, 60)
}
