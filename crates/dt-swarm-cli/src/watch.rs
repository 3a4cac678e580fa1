//! `watch`: what appears in buckets and goes, as it happens.
//!
//! We ask as a peer with a key that lives for as long as this takes: a daemon sends its peers whatever is new. All of it
//! is verified here, in a set of our own, which also notices what ends by itself.

use crate::ask::{self, Unverified};
use crate::connection::Connection;
use crate::error::CliError;
use crate::names::{HOSTNAMES, Names};
use crate::print;
use crate::text::{clean, clean_json};
use dcache::{Change, Keypair, Limits, Moment, Pattern, PeerId, Policy, Set, Subscription, Time, Validity};
use rand::TryRng as _;
use routing::{Address, Envelope, Message};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// A daemon closes a link on which nothing comes for a minute.
const PING_EVERY: Duration = Duration::from_secs(20);
/// What was lost on a link that is too full comes with the next whole answer: how long to wait for that at least, and
/// how many times as long as an answer takes, so that it is never more than a small part of the traffic.
const REPAIR: (Duration, u32) = (Duration::from_secs(60), 60);
/// Changes that come in this time are looked at together.
const GATHER: Duration = Duration::from_millis(50);
/// The longest that changes wait to be looked at, however many come.
const LATEST: Duration = Duration::from_millis(500);

/// What is watched, and what is known about it.
struct Watching<'a> {
    connection: &'a mut Connection,
    request: Envelope,
    ping: Envelope,
    set: Set,
    /// Whose records are of use.
    wanted: Vec<Pattern>,
    subscription: Subscription,
    /// The time of this computer's clock and of the one by which to judge, when the daemon was last heard of.
    clocks: (Time, Time),
    next_ping: Instant,
    next_repair: Instant,
    repair_every: Duration,
    heard: Instant,
}

/// Prints what changes in buckets that match, until the connection ends.
pub(crate) fn watch(
    connection: &mut Connection,
    pattern: &Pattern,
    policy: &Policy,
    is_json: bool,
) -> Result<(), CliError> {
    let mut watching = Watching::begin(connection, pattern, policy)?;
    loop {
        let (lines, next) = watching.look(is_json);
        if !print(&lines)? {
            // Whoever closed the pipe has seen enough.
            return Ok(());
        }
        watching.wait(next)?;
    }
}

fn random_key() -> Result<Keypair, CliError> {
    let mut seed = [0; 32];
    let filled = rand::rngs::SysRng.try_fill_bytes(&mut seed);
    filled.map_err(|error| CliError::Random(io::Error::other(error)))?;
    Ok(Keypair::from_seed(seed))
}

impl<'a> Watching<'a> {
    fn begin(connection: &'a mut Connection, pattern: &Pattern, policy: &Policy) -> Result<Self, CliError> {
        let me = Address::brain(random_key()?.peer_id());
        let patterns = ask::with_roles(&[pattern.as_str(), HOSTNAMES], policy);
        let wanted = patterns.iter().map(|pattern| Pattern::new(pattern)).collect::<Result<_, _>>()?;
        let envelope = |payload| Envelope::new(me.clone(), Address::every_brain(), payload);
        let request = envelope(Message::req(&patterns, Validity::ALWAYS));
        let (begun, mut came) = (Instant::now(), Vec::new());
        connection.send(&request)?;
        let pong = ask::await_pong(connection, &mut came)?;
        connection.keep_open();
        let now = Instant::now();
        let repair_every = REPAIR.0.max((now - begun) * REPAIR.1);
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
        };
        watching.admit(came)?;
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
                // What is refused changes nothing, whoever sent it.
                let _ = self.set.admit(statement, signature, now);
            }
        }
        match self.set.len() {
            0..=ask::MAX_RECORDS => Ok(()),
            _ => Err(self.connection.endless(format!("{} records", ask::MAX_RECORDS))),
        }
    }

    /// What has changed, in words, and when something will change by itself.
    fn look(&mut self, is_json: bool) -> (String, Option<Duration>) {
        let now = self.now();
        self.set.advance(Moment::certain(now));
        let changes = self.subscription.changes(&self.set, now);
        let next = self.subscription.next(&self.set, now);
        let next = next.map(|next| Duration::from_secs(next.since(now)));
        if changes.is_empty() {
            return (String::new(), next);
        }
        let names = Names::read(&self.set, now);
        let line = |change: &Change| match (&names, is_json) {
            (Ok(names), true) => clean_json(&json(change, now, names).to_string()) + "\n",
            (Ok(names), false) => words(change, names),
            // Its pattern is a constant of ours.
            (Err(_), _) => String::new(),
        };
        (changes.iter().map(line).collect(), next)
    }

    /// Waits until something came, or until `next`.
    fn wait(&mut self, next: Option<Duration>) -> Result<(), CliError> {
        let edge = next.map(|next| Instant::now() + next);
        loop {
            let deadline = edge.map_or(self.next_ping, |edge| edge.min(self.next_ping));
            if self.gather(deadline)? {
                return Ok(());
            }
            if Instant::now() >= self.next_ping {
                self.ping()?;
            }
            if edge.is_some_and(|edge| Instant::now() >= edge) {
                return Ok(());
            }
        }
    }

    /// Takes what comes by `deadline` and right after it; returns whether any records did.
    fn gather(&mut self, deadline: Instant) -> Result<bool, CliError> {
        let mut came = Vec::new();
        let mut until = deadline;
        let mut latest = None;
        while let Some(envelope) = self.connection.receive_until(until)? {
            self.heard = Instant::now();
            if let Some(pong) = ask::take(self.connection, envelope, &mut came)? {
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

    /// Keeps the link; a daemon that has answered none of the pings before is gone.
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

fn words(change: &Change, names: &Names) -> String {
    let (sign, item, signers) = match change {
        Change::Appeared { item, signers } => ('+', item, Some(signers)),
        Change::Signers { item, signers } => ('~', item, Some(signers)),
        Change::Gone { item } => ('-', item, None),
    };
    let (bucket, data) = (clean(item.bucket.as_str(), 200), clean(item.data.as_str(), 200));
    let who = signers.map_or_else(String::new, |signers| {
        let who: Vec<String> = signers.iter().map(|peer| names.show(*peer)).collect();
        format!("  by {}", who.join(", "))
    });
    format!("{sign} {bucket}  {data}{who}\n")
}

fn json(change: &Change, now: Time, names: &Names) -> Value {
    let nobody = BTreeSet::new();
    let (kind, item, signers) = match change {
        Change::Appeared { item, signers } => ("appeared", item, signers),
        Change::Signers { item, signers } => ("signers", item, signers),
        Change::Gone { item } => ("gone", item, &nobody),
    };
    let who = |peer: &PeerId| json!({ "peer": peer, "hostname": names.raw(*peer) });
    json!({
        "change": kind,
        "bucket": item.bucket.as_str(),
        "data": item.data.as_str(),
        "signers": signers.iter().map(who).collect::<Vec<_>>(),
        "time": now,
    })
}
