//! `watch`: what appears in buckets and goes, as it happens.
//!
//! The program asks as a peer, with a key that lives as long as it runs: a daemon sends its peers whatever is new. All
//! records are verified here, in a set of our own, which also notices what ends by itself.

use super::Command;
use crate::ask::{self, Unverified};
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
  dt-swarm-cli localhost watch                     everything
  dt-swarm-cli duckie.local watch 'share/*' --json one JSON object a line: change, bucket, data, signers

+ appeared, - is gone, ~ others say so than before. First comes all that is there. Ctrl-C ends it.";

/// Time between pings. A daemon closes a link on which nothing comes for a minute.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Least time between two whole answers, which bring what was lost on a link that is too full.
const REPAIR_EVERY: Duration = Duration::from_secs(60);
/// The same, as a multiple of the time that an answer takes, so that repairs are a small part of the traffic.
const REPAIR_FACTOR: u32 = 60;
/// Changes that come within this time are looked at together.
const GATHER: Duration = Duration::from_millis(50);
/// The longest that changes wait to be looked at, however many come.
const LATEST: Duration = Duration::from_millis(500);

/// Show what appears in buckets and goes, as it happens, until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    /// Only buckets that match, as in `summary`.
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
    /// When the change was seen.
    time: Timestamp,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ChangeKind {
    /// The item is in its bucket now.
    Appeared,
    /// Others propose it than before.
    Signers,
    /// It is not there any more.
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

/// What is watched, and what is known about it.
struct Watching {
    connection: Connection,
    request: Envelope,
    ping: Envelope,
    set: Set,
    /// The buckets whose records are of use.
    wanted: Vec<Pattern>,
    subscription: Subscription,
    /// The time of this computer's clock and of the one by which to judge, when the daemon was last heard of.
    clocks: (Time, Time),
    next_ping: Instant,
    next_repair: Instant,
    repair_every: Duration,
    heard: Instant,
    /// Changes that were seen and not given yet.
    changes: VecDeque<Event>,
    /// When something changes by itself, if ever.
    edge: Option<Instant>,
}

impl Watching {
    fn begin(mut connection: Connection, pattern: &Pattern, policy: &Policy) -> Result<Self, CliError> {
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

    fn now(&self) -> Time {
        let (here, judging) = self.clocks;
        judging.plus(ask::clock().since(here))
    }

    fn admit(&mut self, came: Vec<Unverified>) -> Result<(), CliError> {
        let now = self.now();
        for (statement, signature) in came {
            let is_wanted = self.wanted.iter().any(|wanted| wanted.matches(&statement.item().bucket));
            if let Some(signature) = signature.filter(|_| is_wanted) {
                // A refused record changes nothing, whoever sent it.
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
            self.wait()?;
            self.look()?;
        }
    }

    /// Gathers what has changed, and finds out when something will change by itself.
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

    /// Waits until records came, or until something changes by itself.
    fn wait(&mut self) -> Result<(), CliError> {
        loop {
            let deadline = self.edge.map_or(self.next_ping, |edge| edge.min(self.next_ping));
            if self.gather(deadline)? {
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

    /// Takes what comes by `deadline` and right after it. Returns whether any records came.
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

    /// Keeps the link open. A daemon that has answered none of the pings before is gone.
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
