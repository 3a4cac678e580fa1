//! The state and its inputs.

use crate::answer::Answer;
use crate::budget::Budget;
use crate::history::History;
use crate::neighbours::{Budgets, Neighbours};
use crate::outbox::{Cause, Outbox, Turn};
use crate::repair::Session;
use crate::serve::Served;
use crate::trickle::Trickle;
use crate::troubles::Troubles;
use crate::{Input, Now, Output, Settings};
use dcache::{Key, Limits, Moment, PeerId, Policy, Set, Time};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::{
    Address, Capacity, ChannelCommand, ChannelEvent, ChannelId, ChannelStatus, Envelope, MAX_CHANNELS,
    Medium, Status, Target,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How often records that are over are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

/// By how many seconds the time jumps when a clock is set, and does not just go on.
const LEAP: u64 = 60;

/// A channel that is up.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) medium: Medium,
    /// Whether new records go to it: to networks and to peers, not to somebody who only asked a question.
    pub(crate) is_pushed: bool,
    /// Bad lines so far.
    pub(crate) strikes: u32,
    /// What is still to be sent on it in answer to a question, portion by portion.
    pub(crate) answer: Option<Answer>,
    /// Whether it is closed after that.
    pub(crate) is_ending: bool,
    /// What a network still bears.
    pub(crate) budget: Option<Budget>,
    /// When to show on a network what this node holds.
    pub(crate) trickle: Option<Trickle>,
    pub(crate) tally: ChannelStatus,
}

/// See the crate's documentation.
#[derive(Debug)]
pub struct Brain {
    pub(crate) me: PeerId,
    /// Where lines go that are for this brain alone: made once, since it is compared with each line's.
    pub(crate) here: Address,
    pub(crate) set: Set,
    pub(crate) settings: Settings,
    pub(crate) channels: BTreeMap<ChannelId, Channel>,
    pub(crate) neighbours: Neighbours,
    pub(crate) history: History,
    /// The comparison that this node began.
    pub(crate) session: Option<Session>,
    /// Comparisons that others began.
    pub(crate) served: Served,
    pub(crate) troubles: Troubles,
    pub(crate) random: ChaCha8Rng,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) budgets: Budgets,
    pub(crate) beacon_budgets: Budgets,
    pub(crate) outbox: Outbox,
    /// When some peer last held the same.
    pub(crate) last_agreed: Option<Duration>,
    /// When to compare with somebody whatever beacons show.
    pub(crate) next_checkup: Duration,
    /// What passed links that are gone.
    links: ChannelStatus,
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
            here: Address::brain(me),
            set,
            settings,
            channels: BTreeMap::new(),
            neighbours: Neighbours::default(),
            history: History::default(),
            session: None,
            served: Served::default(),
            troubles: Troubles::default(),
            random: ChaCha8Rng::seed_from_u64(seed),
            counters: BTreeMap::new(),
            budgets: Budgets::default(),
            beacon_budgets: Budgets::default(),
            outbox: Outbox::default(),
            last_agreed: None,
            next_checkup: Duration::ZERO,
            links: ChannelStatus { name: "links".to_owned(), ..ChannelStatus::default() },
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
        self.quicken_all(now);
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
            channels: self.channel_statuses(),
            standing: Some(self.standing(now)),
        }
    }

    /// What passed each network, and all links together.
    fn channel_statuses(&self) -> Vec<ChannelStatus> {
        let networks = self.channels.iter().filter(|(_, channel)| channel.budget.is_some());
        let with_waiting = |(id, channel): (&ChannelId, &Channel)| ChannelStatus {
            waiting: self.outbox.waiting(*id) as u64,
            ..channel.tally.clone()
        };
        let mut links = self.links.clone();
        for (_, link) in self.channels.iter().filter(|(_, channel)| channel.budget.is_none()) {
            add(&mut links, &link.tally);
        }
        let networks = networks.map(with_waiting).take(MAX_CHANNELS - 1);
        networks.chain([links]).collect()
    }

    /// When to send a [`Input::Tick`] at the latest, in time since start.
    pub fn next_wake(&self) -> Duration {
        let wakes = [self.outbox.next(), self.next_beacon(), self.next_repair_wake()];
        wakes.into_iter().flatten().fold(self.next_expiry, Duration::min)
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
            ChannelEvent::Trouble { name, words } => self.troubles.note(name, words, now.elapsed),
            ChannelEvent::ConnectFailed { address } => self.connect_failed(now, address),
            ChannelEvent::Received { channel, source, envelope, bytes } => {
                self.received(now, Origin { channel, source }, &envelope, bytes, out);
            }
            ChannelEvent::Malformed { channel } => self.strike("lines that were no envelope", channel, out),
            ChannelEvent::Drained { channel } => self.continue_answer(now, channel, out),
        }
    }

    fn up(&mut self, now: Now, id: ChannelId, medium: Medium, out: &mut Vec<Output>) {
        let (name, budget) = match &medium {
            Medium::Broadcast { name, capacity, .. } => {
                (name.clone(), Some(Budget::full(capacity.clone(), now.elapsed)))
            }
            Medium::Link { .. } => (String::new(), None),
        };
        let dialled = match medium {
            Medium::Link { dialled, .. } => dialled,
            Medium::Broadcast { .. } => None,
        };
        let channel = Channel {
            medium,
            is_pushed: budget.is_some() || dialled.is_some(),
            strikes: 0,
            answer: None,
            is_ending: false,
            budget,
            trickle: None,
            tally: ChannelStatus { name, ..ChannelStatus::default() },
        };
        self.channels.insert(id, channel);
        self.start_beacons(now, id);
        if let Some(address) = dialled {
            self.link_is_up(now, id, address, out);
        }
    }

    fn down(&mut self, now: Now, id: ChannelId) {
        if let Some(channel) = self.channels.remove(&id).filter(|channel| channel.budget.is_none()) {
            add(&mut self.links, &channel.tally);
        }
        self.outbox.drop_channel(id);
        self.neighbours.drop_channel(id);
        self.served.drop_channel(id);
        self.repair_channel_is_down(now, id);
    }

    fn run_due(&mut self, now: Now, out: &mut Vec<Output>) {
        while let Some(turn) = self.outbox.take_due(now.elapsed) {
            self.say(now, turn, out);
        }
        self.run_repair(now, out);
        self.run_beacons(now, out);
    }

    /// Forgets what is over, and looks at who holds which role: now and then, and at once when the clock was set
    /// or it turns out whether the time is known.
    fn advance(&mut self, now: Now, out: &mut Vec<Output>) {
        let before = std::mem::replace(&mut self.moment, now.moment);
        let has_leapt = before.time.0.abs_diff(now.moment.time.0) > LEAP;
        let has_turned = before.is_certain != now.moment.is_certain || has_leapt;
        if now.elapsed < self.next_expiry && !has_turned {
            return;
        }
        self.next_expiry = now.elapsed + EXPIRE_EVERY;
        if has_turned {
            // What was refused by the time as it was known before may be taken now.
            self.neighbours.redeem_all();
            self.quicken_all(now);
        }
        let dropped = self.set.advance(now.moment);
        if !dropped.is_empty() {
            out.push(Output::Removed(dropped));
        }
    }

    /// Gives a record its turn on every channel but the one that brought it. What a comparison brought goes only to
    /// networks where others held what this node held: the rest most likely has it.
    pub(crate) fn push(&mut self, now: Now, key: &Key, cause: Cause, brought_by: Option<ChannelId>) {
        let pushed =
            self.channels.iter().filter(|(id, channel)| channel.is_pushed && Some(**id) != brought_by);
        let pushed: Vec<(ChannelId, bool)> =
            pushed.map(|(id, channel)| (*id, channel.budget.is_some())).collect();
        for (channel, is_network) in pushed {
            if is_network && cause == Cause::Found && !self.has_company(now, channel) {
                continue;
            }
            let wait = match brought_by {
                Some(_) if is_network => self.random_wait(self.settings.relay_wait),
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

    fn say(&mut self, now: Now, turn: Turn, out: &mut Vec<Output>) {
        let (Some(channel), Some(record)) = (self.channels.get(&turn.channel), self.set.get(&turn.key))
        else {
            return;
        };
        let envelope = Envelope::record(self.own_address(channel), Address::every_brain(), record);
        match self.try_send(now, turn.channel, Target::All, &envelope, out) {
            Sending::Sent => self.said(now, turn),
            Sending::Over(until) => self.outbox.rest(turn, until),
            Sending::TooLong => self.count("records not said: too long for a channel"),
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

    /// Who we are on a channel: on a network with the place where we take links, so that others can ask for more.
    pub(crate) fn own_address(&self, channel: &Channel) -> Address {
        let brain = self.here.clone();
        match &channel.medium {
            Medium::Broadcast { line: Some(line), .. } => line.then(&brain).unwrap_or(brain),
            _ => brain,
        }
    }

    pub(crate) fn capacity(&self, id: ChannelId) -> Option<&Capacity> {
        match &self.channels.get(&id)?.medium {
            Medium::Broadcast { capacity, .. } => Some(capacity),
            Medium::Link { .. } => None,
        }
    }

    pub(crate) fn is_network(&self, id: ChannelId) -> bool {
        self.capacity(id).is_some()
    }

    pub(crate) fn networks(&self) -> Vec<ChannelId> {
        self.channels.iter().filter(|(_, channel)| channel.budget.is_some()).map(|(id, _)| *id).collect()
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

    pub(crate) fn try_send(
        &mut self,
        now: Now,
        id: ChannelId,
        target: Target,
        envelope: &Envelope,
        out: &mut Vec<Output>,
    ) -> Sending {
        let Some(channel) = self.channels.get_mut(&id) else { return Sending::TooLong };
        let line = envelope.encode();
        if let Some(budget) = &mut channel.budget {
            if !budget.bears(line.len()) {
                return Sending::TooLong;
            }
            if !budget.spend(line.len(), now.elapsed) {
                return Sending::Over(budget.when(line.len()));
            }
        }
        channel.tally.sent_lines += 1;
        channel.tally.sent_bytes += line.len() as u64;
        out.push(Output::Channel(ChannelCommand::Send { channel: id, target, line }));
        Sending::Sent
    }

    /// A random number from 0 to 1.
    pub(crate) fn chance(&mut self) -> f64 {
        self.random.random()
    }

    /// A wait between nothing and `longest`, by chance.
    pub(crate) fn random_wait(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.chance())
    }

    pub(crate) fn tally(&mut self, id: ChannelId, change: impl FnOnce(&mut ChannelStatus)) {
        if let Some(channel) = self.channels.get_mut(&id) {
            change(&mut channel.tally);
        }
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
    pub(crate) fn strike(&mut self, name: &str, id: ChannelId, out: &mut Vec<Output>) {
        self.count(name);
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        channel.strikes = channel.strikes.saturating_add(1);
        if channel.strikes == self.settings.forgiven && channel.budget.is_none() {
            out.push(Output::Channel(ChannelCommand::Close { channel: id }));
            self.count("links closed for bad lines");
        }
    }
}

/// What became of a line.
pub(crate) enum Sending {
    Sent,
    /// The budget is used up until then.
    Over(Duration),
    /// The channel never bears it.
    TooLong,
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

/// The validity of a message that is of use only now.
pub(crate) fn briefly(now: Now) -> dcache::Validity {
    dcache::Validity::starting(now.moment.time, 60)
}
