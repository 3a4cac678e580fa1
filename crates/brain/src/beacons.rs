//! Beacons show in a few bytes which records a node holds. From the beacons of its neighbours, a node learns whether
//! records are missing.

use crate::Now;
use crate::neighbours::{Neighbour, Shown, slowdown};
use crate::node::{Node, briefly};
use crate::origin::Origin;
use crate::replica::{Replica, Verdict};
use crate::trickle::TimerAction;
use dcache::{BOUND_GRID, PeerId};
use routing::{Address, Allowance, Beacon, ChannelId, Envelope, Message, SenderBudgets, Target};
use std::net::IpAddr;
use std::time::Duration;
use telemetry::metrics;

/// Maximum difference, in seconds, between the bound of a neighbour's beacon and ours at which its beacons suppress
/// ours. If the difference is larger, the neighbour's clock is wrong or the neighbour lies. Its records are compared
/// all the same.
const MAX_BOUND_DISTANCE: u64 = 600;
/// Rate limit for the beacons of one host, or of one channel that does not tell its hosts, such as a link.
const OF_A_SENDER: Allowance = Allowance { burst: 60, per_minute: 600 };
/// Time for which this node waits for a neighbour with fewer records to ask for them: per missing record, and at most.
/// After that time, this node begins a comparison itself.
const TIME_TO_ASK: (Duration, Duration) = (Duration::from_micros(500), Duration::from_secs(30));
/// Share of the beacons that are skipped on a channel where records wait to be sent.
const YIELDING: f64 = 0.75;
/// Maximum time for which the beacons of other nodes suppress this node's, on a network with few neighbours.
const MAX_SUPPRESSED: Duration = Duration::from_secs(600);

/// The sender of a beacon, as far as the brain can tell who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sender {
    Host(IpAddr),
    Channel(ChannelId),
}

impl From<Origin> for Sender {
    fn from(origin: Origin) -> Self {
        origin.source.map_or(Self::Channel(origin.channel), |source| Self::Host(source.ip()))
    }
}

/// Rate limits of received beacons, per sender.
#[derive(Debug, Default)]
pub(crate) struct Beacons {
    budgets: SenderBudgets<Sender>,
}

impl Beacons {
    /// Sends the beacons that are due.
    pub(crate) fn run(&mut self, node: &mut Node, now: Now) {
        for id in node.channels.due_beacons(now.elapsed) {
            let chance = node.chance();
            let patience = MAX_SUPPRESSED * slowdown(node.neighbours.on(id).count());
            let Some(channel) = node.channels.get_mut(id) else { continue };
            match channel.take_beacon(now.elapsed, patience, chance) {
                Some(TimerAction::Send) => send(node, now, id),
                Some(TimerAction::Suppress) => channel.tally.suppressed += 1,
                None => {}
            }
        }
    }

    /// Handles the beacon of a peer on a network.
    pub(crate) fn received(
        &mut self,
        node: &mut Node,
        now: Now,
        origin: Origin,
        peer: PeerId,
        beacon: Beacon,
    ) {
        node.count(&metrics::BRAIN_BEACONS_RECEIVED);
        if !self.budgets.spend(origin.into(), OF_A_SENDER, now.elapsed) {
            return node.count(&metrics::BRAIN_BEACONS_REFUSED_OVER_BUDGET);
        }
        // No honest node sends such a bound. Its fingerprint would cost a walk through the whole set, now and with each
        // status.
        if !beacon.bound.0.is_multiple_of(BOUND_GRID) {
            return node.count(&metrics::BRAIN_BEACONS_REFUSED_ODD_BOUND);
        }
        // Records that end before our own time may be forgotten here already, so such a bound cannot be compared.
        if beacon.bound <= now.moment.time || !node.channels.is_network(origin.channel) {
            return;
        }
        let (verdict, since) = node.replica.judge(now, &beacon);
        let id = (origin.channel, peer);
        node.neighbours.heard(id, now.elapsed).shown = Some(Shown { beacon, at: now.elapsed, verdict });
        match verdict {
            Verdict::Same => agreed(node, now, origin, peer, &beacon),
            Verdict::Behind => {
                // The peer may not have received the changes yet.
                if since + node.channels.round_trip(origin.channel) < now.elapsed {
                    node.reset_timer(now, origin.channel);
                }
            }
            Verdict::Different => plan_comparison(node, now, origin.channel, peer, &beacon),
        }
    }
}

fn send(node: &mut Node, now: Now, id: ChannelId) {
    // The records that wait here are new, so a beacon would mostly announce records that the neighbours are about to
    // hear anyway. But where records always wait, some beacons have to be sent all the same.
    if node.channels.outbox.is_behind(id) && node.chance() < YIELDING {
        return;
    }
    let Some(channel) = node.channels.get(id) else { return };
    let mut envelope =
        Envelope::new(node.own_address(channel), Address::every_brain(), Message::pong(briefly(now)));
    envelope.beacon = Some(node.replica.beacon(now));
    if node.send(now, id, Target::All, &envelope) {
        node.count(&metrics::BRAIN_BEACONS_SENT);
    }
}

fn agreed(node: &mut Node, now: Now, origin: Origin, peer: PeerId, beacon: &Beacon) {
    let (id, ours) = (origin.channel, Replica::bound(now));
    let is_near = beacon.bound.since(ours).max(ours.since(beacon.bound)) <= MAX_BOUND_DISTANCE;
    // A beacon that some nodes do not hear does not replace ours, which all of them hear.
    if let Some(channel) = node.channels.get_mut(id).filter(|_| is_near && origin.reaches_all) {
        channel.heard_the_same(now.elapsed);
    }
    node.neighbours.agreed((id, peer), now.elapsed);
}

/// Plans a comparison with a neighbour, at a time when records that are on their way should have arrived. The node that
/// holds fewer records goes first: most often it lacks some, and then other nodes need not compare as well. When
/// several nodes lack the same records, the answer to the first request reaches all of them. So the more records are
/// missing, the longer the nodes that hold more wait.
fn plan_comparison(node: &mut Node, now: Now, channel: ChannelId, peer: PeerId, beacon: &Beacon) {
    let round_trip = node.channels.round_trip(channel);
    let (ours, theirs) = (node.replica.fingerprint(beacon.bound).count, beacon.fingerprint.count);
    let (least, most) = match theirs < ours {
        true => {
            let missing = u32::try_from(ours - theirs).unwrap_or(u32::MAX);
            let while_it_asks = (TIME_TO_ASK.0 * missing).min(TIME_TO_ASK.1);
            (round_trip * 7 / 2 + while_it_asks, round_trip * 13 + while_it_asks)
        }
        false if theirs - ours > node.settings.few => (round_trip / 2, round_trip * 3),
        false => (round_trip / 2, round_trip * 3 / 2),
    };
    let wait = least + node.random_wait(most - least);
    let id = (channel, peer);
    let is_free = |neighbour: &Neighbour| !neighbour.is_backed_off(now.elapsed) && !neighbour.is_planned();
    if node.neighbours.get(&id).is_some_and(is_free) {
        node.neighbours.plan(id, Some(now.elapsed + wait));
        node.reset_timer(now, channel);
    }
}
