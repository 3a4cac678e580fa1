//! The state and its inputs.

use crate::channel::Channel;
use crate::forward::Forwarding;
use crate::history::History;
use crate::neighbours::{Budgets, Neighbours};
use crate::outbox::Outbox;
use crate::paths::Path;
use crate::repair::Session;
use crate::serve::Served;
use crate::troubles::Troubles;
use crate::{Input, Now, Output, Settings};
use dcache::{Limits, Moment, PeerId, Policy, Set, Time};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::{Address, ChannelEvent, ChannelId, ChannelStatus, Status, Table};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How often records that are over are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(5);

/// By how many seconds the time jumps when a clock is set, and does not just go on.
const LEAP: u64 = 60;

/// See the crate's documentation.
#[derive(Debug)]
pub struct Brain {
    pub(crate) me: PeerId,
    /// Where lines go that are for this brain alone: made once, since it is compared with each line's.
    pub(crate) here: Address,
    /// And where those go that are for all.
    pub(crate) everybody: Address,
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
    pub(crate) forwarding: Forwarding,
    pub(crate) paths: Vec<Path>,
    /// How many paths there ever were.
    pub(crate) last_path: u64,
    pub(crate) random: ChaCha8Rng,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) budgets: Budgets<IpAddr>,
    pub(crate) beacon_budgets: Budgets<IpAddr>,
    pub(crate) outbox: Outbox,
    /// When some peer last held the same.
    pub(crate) last_agreed: Option<Duration>,
    /// When to compare with somebody whatever beacons show.
    pub(crate) next_checkup: Duration,
    /// What passed links that are gone.
    pub(crate) links: ChannelStatus,
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
            everybody: Address::every_brain(),
            set,
            settings,
            channels: BTreeMap::new(),
            neighbours: Neighbours::default(),
            history: History::default(),
            session: None,
            served: Served::default(),
            troubles: Troubles::default(),
            forwarding: Forwarding::new(me),
            paths: Vec::new(),
            last_path: 0,
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
            channels: self.channel_statuses(now),
            troubles: self.troubles.statuses(now.elapsed),
            standing: Some(self.standing(now)),
        }
    }

    /// Where lines would go.
    pub fn table(&self) -> &Table {
        &self.forwarding.table
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
            ChannelEvent::Trouble { name, fault } => self.troubles.note(name, fault, now.elapsed),
            ChannelEvent::ConnectFailed { address } => {
                self.drop_what_waited(address);
                self.connect_failed(now, address);
            }
            ChannelEvent::Received { channel, source, envelope, bytes } => {
                self.received(now, Origin { channel, source }, &envelope, bytes, out);
            }
            ChannelEvent::Malformed { channel } => self.strike("lines that were no envelope", channel, out),
            ChannelEvent::Drained { channel } => self.continue_answer(now, channel, out),
        }
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
        self.forget_paths(now);
        self.forwarding.table.age_out(now.elapsed);
        let dropped = self.set.advance(now.moment);
        if !dropped.is_empty() {
            out.push(Output::Removed(dropped));
        }
    }

    /// A random number from 0 to 1.
    pub(crate) fn chance(&mut self) -> f64 {
        self.random.random()
    }

    /// A wait between nothing and `longest`, by chance.
    pub(crate) fn random_wait(&mut self, longest: Duration) -> Duration {
        longest.mul_f64(self.chance())
    }

    pub(crate) fn count(&mut self, name: &str) {
        match self.counters.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.counters.insert(name.to_owned(), 1);
            }
        }
    }
}

/// The validity of a message that is of use only now.
pub(crate) fn briefly(now: Now) -> dcache::Validity {
    dcache::Validity::starting(now.moment.time, 60)
}
