//! `watch`: shows changes of buckets as they happen.
//!
//! The program connects as a peer with a temporary key, because a daemon sends all new records to its peers. It
//! verifies the records and keeps them in its own set. With this set it also notices when an item disappears because
//! its proposals expire.

use super::Command;
use crate::ask::{self, Pong, Unverified};
use crate::connection::Connection;
use crate::context::Context;
use crate::error::CliError;
use crate::output::fields::{PeerRef, Timestamp};
use crate::output::names::{HOSTNAMES, Names};
use crate::output::{Live, Output};
use crate::pattern;
use crate::random;
use crate::text::clean;
use clap::Args;
use dcache::{Change, Keypair, Limits, Moment, Pattern, PeerId, Policy, Set, Subscription, Time, Validity};
use routing::{Address, Envelope, Message};
use serde::Serialize;
use std::collections::{BTreeSet, VecDeque};
use std::iter;
use std::time::{Duration, Instant};

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost watch                       shows the changes of all buckets
  dt-swarm-cli duckie.local watch 'share/*' --json   prints one JSON object per line: change, bucket, data, signers

+ an item appeared, - an item is gone, ~ the signers of an item changed.
The items that are there at the start are shown first. Ctrl-C ends the command.";

/// Time between pings. A daemon closes a link on which it receives nothing for a minute.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Minimum time between two repetitions of the complete question. A repetition brings the records that an overloaded
/// link lost.
const REPAIR_EVERY: Duration = Duration::from_secs(60);
/// Minimum time between two repetitions as a multiple of the time that an answer takes. It keeps repetitions a small
/// part of the traffic.
const REPAIR_FACTOR: u32 = 60;
/// Time to wait for further records after each record. Records that are received within this time are evaluated
/// together.
const GATHER: Duration = Duration::from_millis(50);
/// Maximum time that a record waits to be evaluated, even if more records keep arriving.
const LATEST: Duration = Duration::from_millis(500);

/// Shows changes of buckets as they happen, until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    /// Pattern of the buckets to watch, as in `summary`.
    #[arg(default_value = "*")]
    pattern: String,
}

/// A change of a bucket.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    change: ChangeKind,
    /// The path of the bucket.
    bucket: String,
    /// The item's text.
    data: String,
    /// The peers that propose the item now.
    signers: Vec<PeerRef>,
    /// The time at which the change was seen.
    time: Timestamp,
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ChangeKind {
    /// The item is in its bucket now.
    Appeared,
    /// The item is proposed by other peers than before.
    Signers,
    /// The item is no longer in its bucket.
    Gone,
}

impl Command for Watch {
    type Output = Live<Event>;

    fn run(&self, context: &Context) -> Result<Live<Event>, CliError> {
        let pattern = pattern::parse(&self.pattern)?;
        let (policy, key) = context.policy_and_key()?;
        let mut watching = Watching::begin(context.connect_with(key.as_ref())?, &pattern, &policy)?;
        Ok(Live::new(iter::repeat_with(move || watching.next_event())))
    }
}

/// The state of a running `watch`.
pub(super) struct Watching {
    connection: Connection,
    request: Envelope,
    ping: Envelope,
    set: Set,
    /// Patterns of the buckets whose records are admitted to the set.
    wanted: Vec<Pattern>,
    subscription: Subscription,
    /// The end of the first answer.
    pong: Pong,
    /// The time of this computer's clock at the last pong, and the time at which to judge records at that moment.
    clocks: (Time, Time),
    next_ping: Instant,
    next_repair: Instant,
    repair_every: Duration,
    heard: Instant,
    /// Changes that were seen but not printed yet.
    changes: VecDeque<Event>,
    /// The next time at which an item changes because a record begins or ceases to hold, if there is one.
    edge: Option<Instant>,
}

impl Watching {
    /// Connects as a peer, and reads the present items.
    pub(super) fn begin(
        mut connection: Connection,
        pattern: &Pattern,
        policy: &Policy,
    ) -> Result<Self, CliError> {
        let me = Address::brain(Keypair::from_seed(random::bytes()?).peer_id());
        let patterns = ask::with_roles(&[pattern.as_str(), HOSTNAMES], policy);
        let wanted = patterns.iter().map(|pattern| Pattern::new(pattern)).collect::<Result<_, _>>()?;
        let envelope = |payload| Envelope::new(me.clone(), Address::every_brain(), payload);
        let request = envelope(Message::req(&patterns, Validity::ALWAYS));
        let (begun, mut came) = (Instant::now(), Vec::new());
        connection.send(&request)?;
        let pong = ask::await_pong(&mut connection, &mut came)?;
        connection.keep_open();
        let now = Instant::now();
        let repair_every = REPAIR_EVERY.max((now - begun) * REPAIR_FACTOR);
        let mut watching = Self {
            connection,
            request,
            ping: envelope(Message::ping(Validity::ALWAYS)),
            set: Set::new(policy.clone(), Limits::NONE),
            wanted,
            subscription: Subscription::new(pattern.clone()),
            clocks: (pong.arrived, pong.reading_time()),
            pong,
            next_ping: now + PING_EVERY,
            next_repair: now + repair_every,
            repair_every,
            heard: now,
            changes: VecDeque::new(),
            edge: None,
        };
        watching.admit(came)?;
        watching.look()?;
        Ok(watching)
    }

    /// Returns the end of the first answer of the daemon.
    pub(super) fn pong(&self) -> &Pong {
        &self.pong
    }

    /// Returns the records that were received so far.
    pub(super) fn set(&self) -> &Set {
        &self.set
    }

    /// Returns the time at which to judge the records.
    pub(super) fn now(&self) -> Time {
        let (here, judging) = self.clocks;
        judging.plus(ask::clock().since(here))
    }

    fn admit(&mut self, came: Vec<Unverified>) -> Result<(), CliError> {
        let now = self.now();
        for (statement, signature) in came {
            let is_wanted = self.wanted.iter().any(|wanted| wanted.matches(&statement.item().bucket));
            if let Some(signature) = signature.filter(|_| is_wanted) {
                // A refused record is ignored.
                let _ = self.set.admit(statement, signature, now);
            }
        }
        match self.set.len() {
            0..=ask::MAX_RECORDS => Ok(()),
            _ => Err(self.connection.endless(format!("{} records", ask::MAX_RECORDS))),
        }
    }

    /// Waits for the next change.
    fn next_event(&mut self) -> Result<Event, CliError> {
        loop {
            if let Some(event) = self.changes.pop_front() {
                return Ok(event);
            }
            self.wait(None)?;
            self.look()?;
        }
    }

    /// Waits until something changes, at most until `end`. Drops the changes.
    pub(super) fn wait_for_any(&mut self, end: Instant) -> Result<(), CliError> {
        while self.changes.is_empty() && Instant::now() < end {
            self.wait(Some(end))?;
            self.look()?;
        }
        self.changes.clear();
        Ok(())
    }

    /// Collects the changes of the set, and computes the time of the next change without a new record.
    fn look(&mut self) -> Result<(), CliError> {
        let now = self.now();
        self.set.advance(Moment::certain(now));
        let changes = self.subscription.changes(&self.set, now);
        let edge = self.subscription.next(&self.set, now);
        self.edge = edge.map(|edge| Instant::now() + Duration::from_secs(edge.since(now)));
        if !changes.is_empty() {
            let names = Names::read(&self.set, now)?;
            self.changes.extend(changes.iter().map(|change| Event::new(change, now, &names)));
        }
        Ok(())
    }

    /// Waits until records are received, until an item changes without a new record, or until `end`.
    fn wait(&mut self, end: Option<Instant>) -> Result<(), CliError> {
        loop {
            let deadline = [Some(self.next_ping), self.edge, end].into_iter().flatten().min();
            if self.gather(deadline.unwrap_or(self.next_ping))? {
                return Ok(());
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(());
            }
            if Instant::now() >= self.next_ping {
                self.ping()?;
            }
            if self.edge.is_some_and(|edge| Instant::now() >= edge) {
                return Ok(());
            }
        }
    }

    /// Receives lines until `deadline`. After the first record, waits only until no further record arrives within
    /// [`GATHER`], and at most for [`LATEST`]. Returns whether any records were received.
    fn gather(&mut self, deadline: Instant) -> Result<bool, CliError> {
        let mut came = Vec::new();
        let mut until = deadline;
        let mut latest = None;
        while let Some(envelope) = self.connection.receive_until(until)? {
            self.heard = Instant::now();
            if let Some(pong) = ask::take(&self.connection, envelope, &mut came)? {
                self.clocks = (pong.arrived, pong.reading_time());
            }
            if !came.is_empty() {
                let latest = *latest.get_or_insert(self.heard + LATEST);
                until = latest.min(self.heard + GATHER);
            }
        }
        let is_any = !came.is_empty();
        self.admit(came)?;
        Ok(is_any)
    }

    /// Sends a ping, which keeps the link open, or repeats the question if that is due. Fails when the daemon has not
    /// answered earlier pings.
    fn ping(&mut self) -> Result<(), CliError> {
        if self.heard.elapsed() > PING_EVERY + self.connection.patience() {
            return Err(self.connection.silent());
        }
        let now = Instant::now();
        self.next_ping = now + PING_EVERY;
        if now < self.next_repair {
            return self.connection.send(&self.ping);
        }
        self.next_repair = now + self.repair_every;
        self.connection.send(&self.request)
    }
}

impl Event {
    fn new(change: &Change, now: Time, names: &Names) -> Self {
        let nobody = BTreeSet::new();
        let (change, item, signers) = match change {
            Change::Appeared { item, signers } => (ChangeKind::Appeared, item, signers),
            Change::Signers { item, signers } => (ChangeKind::Signers, item, signers),
            Change::Gone { item } => (ChangeKind::Gone, item, &nobody),
        };
        Self {
            change,
            bucket: item.bucket.as_str().to_owned(),
            data: item.data.as_str().to_owned(),
            signers: signers.iter().map(|peer: &PeerId| names.of(*peer)).collect(),
            time: Timestamp(now),
        }
    }
}

impl Output for Event {
    fn show(&self) -> String {
        let (bucket, data) = (clean(&self.bucket, 200), clean(&self.data, 200));
        let by = || {
            let signers: Vec<String> = self.signers.iter().map(PeerRef::show).collect();
            format!("  by {}", signers.join(", "))
        };
        match self.change {
            ChangeKind::Appeared => format!("+ {bucket}  {data}{}\n", by()),
            ChangeKind::Signers => format!("~ {bucket}  {data}{}\n", by()),
            ChangeKind::Gone => format!("- {bucket}  {data}\n"),
        }
    }
}
