//! Beacons: telling others in short what this node holds, and seeing by theirs whether something is missing.

use crate::brain::{Origin, briefly};
use crate::channel::Channel;
use crate::neighbours::Verdict;
use crate::trickle::{Trickle, Turn};
use crate::{Brain, Now, Output};
use dcache::{End, PeerId, Time};
use routing::{Address, Allowance, Beacon, ChannelId, Envelope, Message, Standing, Target};
use std::time::Duration;

/// All bounds are whole numbers of this many seconds, and as far ahead: so the clocks of two nodes may differ by it
/// without one having forgotten what the other still compares.
const GRID: u64 = 30;
/// A neighbour whose bound is further away than this from ours has a wrong clock, or lies: what it shows may be compared,
/// but keeps nobody silent.
const ODD_BOUND: u64 = 600;
/// How many beacons of one host are looked at: with an odd bound one costs a walk through the whole set.
const OF_A_HOST: Allowance = Allowance { burst: 60, per_minute: 600 };
/// How long somebody who misses records and asks for them may take for each, and at most: so long others leave it alone.
const A_RECORD: Duration = Duration::from_micros(500);
const ASKING: Duration = Duration::from_secs(30);
/// Which share of its turns a beacon gives up where records are waiting.
const YIELDS: f64 = 0.75;
/// For how long a node keeps silent at most because of others, on a network with few; with many they share it.
const SILENT: Duration = Duration::from_secs(600);
/// How many neighbours are few, and how many times a wait grows with more at most.
const NEIGHBOURHOOD: (u32, u32) = (8, 8);
/// How many of the longest intervals after it was heard a beacon still says something about its sender.
const FRESH: u32 = 3;

impl Brain {
    /// The bound for what this node shows.
    pub(crate) fn bound(now: Now) -> Time {
        Time((now.moment.time.0 / GRID + 2) * GRID)
    }

    /// Something differs on a network, or is about to: its nodes are to compare at once.
    pub(crate) fn quicken(&mut self, now: Now, id: ChannelId) {
        let chance = self.chance();
        if let Some(trickle) = self.channels.get_mut(&id).and_then(|channel| channel.trickle.as_mut()) {
            trickle.reset(now.elapsed, chance);
        }
    }

    pub(crate) fn quicken_all(&mut self, now: Now) {
        for id in self.networks() {
            self.quicken(now, id);
        }
    }

    pub(crate) fn next_beacon(&self) -> Option<Duration> {
        self.channels.values().filter_map(|channel| channel.trickle.as_ref().map(Trickle::next)).min()
    }

    pub(crate) fn run_beacons(&mut self, now: Now, out: &mut Vec<Output>) {
        let is_due =
            |channel: &Channel| channel.trickle.as_ref().is_some_and(|trickle| trickle.next() <= now.elapsed);
        let due: Vec<ChannelId> =
            self.channels.iter().filter(|(_, channel)| is_due(channel)).map(|(id, _)| *id).collect();
        for id in due {
            let (chance, patience) = (self.chance(), self.patience(SILENT, id));
            let trickle = self.channels.get_mut(&id).and_then(|channel| channel.trickle.as_mut());
            match trickle.and_then(|trickle| trickle.take_due(now.elapsed, patience, chance)) {
                Some(Turn::Speak) => self.say_beacon(now, id, out),
                Some(Turn::Suppressed) => self.tally(id, |tally| tally.suppressed += 1),
                None => {}
            }
        }
    }

    fn say_beacon(&mut self, now: Now, id: ChannelId, out: &mut Vec<Output>) {
        // What still waits here is news; a beacon would mostly tell others what they will hear anyway. But where there is
        // always something waiting, it has to come all the same.
        if self.outbox.is_behind(id) && self.chance() < YIELDS {
            return;
        }
        let Some(channel) = self.channels.get(&id) else { return };
        let bound = Self::bound(now);
        let mut envelope =
            Envelope::new(self.own_address(channel), Address::every_brain(), Message::pong(briefly(now)));
        envelope.beacon = Some(Beacon { bound, fingerprint: self.set.fingerprint(End::at(bound)) });
        if self.send(now, id, Target::All, &envelope, out) {
            self.count("beacons said");
        }
    }

    /// Looks at what a peer on a network shows.
    pub(crate) fn beacon(&mut self, now: Now, origin: Origin, peer: PeerId, beacon: Beacon) {
        self.count("beacons heard");
        if let Some(source) = origin.source
            && !self.beacon_budgets.spend(source.ip(), OF_A_HOST, now.elapsed)
        {
            return self.count("beacons over a host's budget");
        }
        // Of what ends before our own time we may have forgotten some.
        if beacon.bound <= now.moment.time || !self.is_network(origin.channel) {
            return;
        }
        let (verdict, since) = self.judge(now, &beacon);
        let id = (origin.channel, peer);
        self.neighbours.heard(id, now.elapsed).shown = Some((beacon, now.elapsed, verdict));
        match verdict {
            Verdict::Same => self.agreed(now, origin.channel, peer, &beacon),
            Verdict::Behind => {
                // Perhaps it is on its way to them.
                if since + self.round_trip(origin.channel) < now.elapsed {
                    self.quicken(now, origin.channel);
                }
            }
            Verdict::Different => self.suspect(now, origin.channel, peer, &beacon),
        }
    }

    /// As [`Self::judge`], for what was shown before.
    pub(crate) fn judge_again(&self, now: Now, beacon: &Beacon) -> Verdict {
        self.judge(now, beacon).0
    }

    /// How what is shown compares with what this node holds; when they are behind, since when.
    fn judge(&self, now: Now, beacon: &Beacon) -> (Verdict, Duration) {
        let bound = End::at(beacon.bound);
        let ours = self.set.fingerprint(bound);
        if ours == beacon.fingerprint {
            return (Verdict::Same, now.elapsed);
        }
        // Whose clock is so far ahead of ours does not look at our beacons: it will not come, it is for us to go.
        let is_deaf_to_us = beacon.bound.since(Self::bound(now)) >= 2 * GRID;
        match self.history.explains(beacon.fingerprint, ours, bound) {
            Some(since) if !is_deaf_to_us => (Verdict::Behind, since),
            _ => (Verdict::Different, now.elapsed),
        }
    }

    fn agreed(&mut self, now: Now, channel: ChannelId, peer: PeerId, beacon: &Beacon) {
        let ours = Self::bound(now);
        let is_odd = beacon.bound.since(ours).max(ours.since(beacon.bound)) > ODD_BOUND;
        if let Some(trickle) = self.channels.get_mut(&channel).and_then(|channel| channel.trickle.as_mut())
            && !is_odd
        {
            trickle.heard_the_same();
        }
        self.last_agreed = Some(now.elapsed);
        if let Some(neighbour) = self.neighbours.get_mut(&(channel, peer)) {
            neighbour.suspected = None;
            neighbour.redeem();
        }
    }

    /// Notes that sets are to be compared with a neighbour, once what is on its way should be there. Who has less goes
    /// first: most often it is the one who misses something, and others need not do the same. Of many who miss the same
    /// the first to ask has it said to all; so the more is missing, the longer they wait for each other.
    fn suspect(&mut self, now: Now, channel: ChannelId, peer: PeerId, beacon: &Beacon) {
        let round_trip = self.round_trip(channel);
        let (ours, theirs) = (self.set.fingerprint(End::at(beacon.bound)).count, beacon.fingerprint.count);
        let (least, most) = match theirs < ours {
            true => {
                let while_it_asks = (A_RECORD * u32::try_from(ours - theirs).unwrap_or(u32::MAX)).min(ASKING);
                (round_trip * 7 / 2 + while_it_asks, round_trip * 13 + while_it_asks)
            }
            false if theirs - ours > self.settings.few => (round_trip / 2, round_trip * 3),
            false => (round_trip / 2, round_trip * 3 / 2),
        };
        let wait = least + self.random_wait(most - least);
        let Some(neighbour) = self.neighbours.get_mut(&(channel, peer)) else { return };
        if !neighbour.is_aside(now.elapsed) && neighbour.suspected.is_none() {
            neighbour.suspected = Some(now.elapsed + wait);
            self.quicken(now, channel);
        }
    }

    /// A wait that grows with the neighbours on a network, so that what all of them do together does not.
    fn patience(&self, alone: Duration, channel: ChannelId) -> Duration {
        alone * many(self.neighbours.on(channel).count())
    }

    /// Whether others on a network held lately what this node held: they lack then what it learns elsewhere.
    pub(crate) fn has_company(&self, now: Now, channel: ChannelId) -> bool {
        let longest = self.longest_interval(channel);
        self.neighbours.on(channel).any(|neighbour| {
            neighbour.shown.is_some_and(|(_, at, verdict)| {
                verdict != Verdict::Different && at + longest * FRESH > now.elapsed
            })
        })
    }

    fn longest_interval(&self, channel: ChannelId) -> Duration {
        self.capacity(channel).map_or(Duration::ZERO, |capacity| capacity.beacons.1)
    }

    /// The time that an answer takes on a network.
    pub(crate) fn round_trip(&self, channel: ChannelId) -> Duration {
        self.capacity(channel).map_or(Duration::ZERO, |capacity| capacity.round_trip)
    }

    /// How this node stands beside its neighbours.
    pub(crate) fn standing(&self, now: Now) -> Standing {
        let mut standing = Standing {
            agreed: self.last_agreed.map(|at| now.elapsed.saturating_sub(at).as_secs()),
            ..Standing::default()
        };
        for ((channel, _), neighbour) in self.neighbours.all() {
            let Some((beacon, at, _)) = neighbour.shown else { continue };
            if at + self.longest_interval(*channel) * FRESH <= now.elapsed {
                continue;
            }
            match self.judge(now, &beacon).0 {
                Verdict::Same => standing.agreeing += 1,
                Verdict::Behind | Verdict::Different => {
                    standing.differing += 1;
                    let ours = self.set.fingerprint(End::at(beacon.bound)).count;
                    standing.behind = standing.behind.max(beacon.fingerprint.count.saturating_sub(ours));
                }
            }
        }
        standing
    }
}

/// How many times more rarely each does what all of so many neighbours share.
pub(crate) fn many(neighbours: usize) -> u32 {
    let neighbours = u32::try_from(neighbours).unwrap_or(u32::MAX);
    (1 + neighbours / NEIGHBOURHOOD.0).min(NEIGHBOURHOOD.1)
}
