//! The neighbours heard on each network: where they take links, their latest beacons, and their backoff.

use crate::replica::Verdict;
use dcache::PeerId;
use routing::{Beacon, ChannelId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Maximum number of neighbours. When the table is full, the host with the most neighbours loses its least recently
/// heard one.
const MAX_NEIGHBOURS: usize = 256;
/// Time after which a silent neighbour is no longer chosen for checkups over a link.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// Shortest and longest backoff for a neighbour after comparisons that brought nothing. Each failure in a row doubles
/// it.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));
/// Time after a failed link for which this node compares with the neighbour on the network only.
const WITHOUT_LINKS: Duration = Duration::from_secs(5 * 60);
/// Number of neighbours that raises the slowdown factor of shared work by 1, and the maximum of the factor.
const SLOWDOWN: (u32, u32) = (8, 8);

/// A peer on one network.
pub(crate) type NeighbourId = (ChannelId, PeerId);

/// The latest beacon of a neighbour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) beacon: Beacon,
    /// Time at which it came.
    pub(crate) at: Duration,
    /// Result of comparing it with the records that this node held then.
    pub(crate) verdict: Verdict,
}

/// State of a neighbour.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbour {
    /// Address at which it accepts links; `None` if it named none that this node believes.
    pub(crate) line: Option<SocketAddr>,
    no_links_until: Duration,
    /// The source address of its datagrams.
    pub(crate) source: Option<SocketAddr>,
    /// Time at which it was last heard.
    pub(crate) heard: Duration,
    /// Time at which the network was last learned as a route to it.
    pub(crate) routed: Option<Duration>,
    pub(crate) shown: Option<Shown>,
    /// Time at which it last answered a ping on this network.
    pub(crate) answered: Option<Duration>,
    /// Time of the comparison that is planned because its beacon differs. `Neighbours` changes it.
    compare_at: Option<Duration>,
    /// Number of comparisons in a row that brought nothing.
    failures: u32,
    backoff_until: Duration,
}

impl Neighbour {
    /// Returns whether this node avoids the neighbour at `elapsed`, because comparisons brought nothing.
    pub(crate) fn is_backed_off(&self, elapsed: Duration) -> bool {
        self.backoff_until > elapsed
    }

    /// Returns the address at which it takes links, unless a link to it failed lately.
    pub(crate) fn link(&self, elapsed: Duration) -> Option<SocketAddr> {
        self.line.filter(|_| self.no_links_until <= elapsed)
    }

    /// Returns whether a comparison with it is planned.
    pub(crate) fn is_planned(&self) -> bool {
        self.compare_at.is_some()
    }

    fn back_off(&mut self, elapsed: Duration) {
        let factor = 1 << self.failures.min(16);
        self.failures += 1;
        self.backoff_until = elapsed + (BACKOFF.0 * factor).min(BACKOFF.1);
    }

    /// Ends the backoff and resets the count of failures.
    pub(crate) fn clear_backoff(&mut self) {
        self.failures = 0;
        self.backoff_until = Duration::ZERO;
    }
}

/// All known neighbours.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    known: BTreeMap<NeighbourId, Neighbour>,
    /// The planned comparisons, the next one first.
    planned: BTreeSet<(Duration, NeighbourId)>,
    /// Time at which a neighbour last showed the same records as this node.
    last_agreed: Option<Duration>,
}

impl Neighbours {
    /// Notes that a neighbour was heard, and returns it.
    pub(crate) fn heard(&mut self, id: NeighbourId, elapsed: Duration) -> &mut Neighbour {
        if self.known.len() >= MAX_NEIGHBOURS && !self.known.contains_key(&id) {
            self.evict_one();
        }
        let neighbour = self.known.entry(id).or_default();
        neighbour.heard = elapsed;
        neighbour
    }

    fn evict_one(&mut self) {
        let host = |neighbour: &Neighbour| neighbour.source.map(|source| source.ip());
        let mut of_hosts: BTreeMap<Option<IpAddr>, usize> = BTreeMap::new();
        for neighbour in self.known.values() {
            *of_hosts.entry(host(neighbour)).or_default() += 1;
        }
        // If one host uses hundreds of names, only its own names are evicted.
        let worth =
            |neighbour: &Neighbour| (Reverse(of_hosts.get(&host(neighbour)).copied()), neighbour.heard);
        if let Some((&least, _)) = self.known.iter().min_by_key(|(_, neighbour)| worth(neighbour)) {
            self.plan(least, None);
            self.known.remove(&least);
        }
    }

    /// Plans a comparison with a neighbour at a time, in place of the one that was planned; `None` plans none.
    pub(crate) fn plan(&mut self, id: NeighbourId, at: Option<Duration>) {
        let Some(neighbour) = self.known.get_mut(&id) else { return };
        if let Some(former) = std::mem::replace(&mut neighbour.compare_at, at) {
            self.planned.remove(&(former, id));
        }
        self.planned.extend(at.map(|at| (at, id)));
    }

    /// Notes that a link to a neighbour failed to come up. This is no sign of dishonesty, so the next comparison is due
    /// at once, on the network.
    pub(crate) fn link_failed(&mut self, id: NeighbourId, elapsed: Duration) {
        if let Some(neighbour) = self.known.get_mut(&id) {
            neighbour.no_links_until = elapsed + WITHOUT_LINKS;
            self.plan(id, Some(elapsed));
        }
    }

    /// Backs off from a neighbour after a comparison that brought nothing. Each failure in a row lengthens the backoff.
    pub(crate) fn back_off(&mut self, id: NeighbourId, elapsed: Duration) {
        if let Some(neighbour) = self.known.get_mut(&id) {
            neighbour.back_off(elapsed);
            self.plan(id, None);
        }
    }

    /// Backs off for the shortest time, after a comparison whose records all wait for a rate limit of this node.
    pub(crate) fn rest(&mut self, id: NeighbourId, elapsed: Duration) {
        if let Some(neighbour) = self.known.get_mut(&id) {
            neighbour.backoff_until = neighbour.backoff_until.max(elapsed + BACKOFF.0);
            self.plan(id, None);
        }
    }

    /// Notes that a neighbour showed the same records as this node. Cancels a planned comparison with it, and clears
    /// its backoff.
    pub(crate) fn agreed(&mut self, id: NeighbourId, elapsed: Duration) {
        self.last_agreed = Some(elapsed);
        if let Some(neighbour) = self.known.get_mut(&id) {
            neighbour.clear_backoff();
            self.plan(id, None);
        }
    }

    /// Returns when a neighbour last showed the same records as this node.
    pub(crate) fn last_agreed(&self) -> Option<Duration> {
        self.last_agreed
    }

    /// Clears the backoff of a neighbour.
    pub(crate) fn clear_backoff(&mut self, id: NeighbourId) {
        if let Some(neighbour) = self.known.get_mut(&id) {
            neighbour.clear_backoff();
        }
    }

    /// Clears the backoffs of all neighbours.
    pub(crate) fn clear_backoffs(&mut self) {
        self.known.values_mut().for_each(Neighbour::clear_backoff);
    }

    pub(crate) fn get(&self, id: &NeighbourId) -> Option<&Neighbour> {
        self.known.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &NeighbourId) -> Option<&mut Neighbour> {
        self.known.get_mut(id)
    }

    /// Removes the neighbours on a network that is gone.
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.known.retain(|(on, _), _| *on != channel);
        self.planned.retain(|(_, (on, _))| *on != channel);
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&NeighbourId, &Neighbour)> {
        self.known.iter()
    }

    /// Returns the neighbours on a network.
    pub(crate) fn on(&self, channel: ChannelId) -> impl Iterator<Item = &Neighbour> {
        self.known.iter().filter(move |((on, _), _)| *on == channel).map(|(_, neighbour)| neighbour)
    }

    /// Returns the planned comparisons, the next one first: the time and the neighbour of each.
    pub(crate) fn planned(&self) -> impl Iterator<Item = (Duration, NeighbourId)> {
        self.planned.iter().copied()
    }

    /// Returns the neighbours to which a link can be opened, in a fixed order.
    pub(crate) fn callable(&self, elapsed: Duration) -> Vec<NeighbourId> {
        let can = |neighbour: &Neighbour| {
            neighbour.link(elapsed).is_some()
                && neighbour.heard + REMEMBERED > elapsed
                && !neighbour.is_backed_off(elapsed)
        };
        self.known.iter().filter(|(_, neighbour)| can(neighbour)).map(|(id, _)| *id).collect()
    }
}

/// Returns the factor by which each node slows down work that it shares with this many neighbours. As long as the
/// factor is below its maximum, the total work of all nodes does not grow with their number.
pub(crate) fn slowdown(neighbours: usize) -> u32 {
    let neighbours = u32::try_from(neighbours).unwrap_or(u32::MAX);
    (1 + neighbours / SLOWDOWN.0).min(SLOWDOWN.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    const SECOND: Duration = Duration::from_secs(1);

    fn neighbour(n: u32) -> NeighbourId {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_be_bytes());
        (ChannelId(1), PeerId::from_public_key(key))
    }

    #[test]
    fn the_table_stays_bounded() {
        let mut neighbours = Neighbours::default();
        for n in 0..3000u32 {
            neighbours.heard(neighbour(n), SECOND * n);
        }
        assert_eq!(neighbours.known.len(), MAX_NEIGHBOURS);
    }

    #[test]
    fn a_host_with_many_names_evicts_no_other_host() {
        let mut neighbours = Neighbours::default();
        for n in 0..50u32 {
            neighbours.heard(neighbour(n), SECOND).source =
                Some(SocketAddr::from(([10, 0, 0, n as u8], 1240)));
        }
        for n in 100..3000u32 {
            neighbours.heard(neighbour(n), SECOND * n).source = "10.0.0.99:1240".parse().ok();
        }
        assert!((0..50).all(|n| neighbours.get(&neighbour(n)).is_some()));
    }

    #[test]
    fn a_neighbour_that_left_or_was_not_heard_for_long_is_not_called() {
        let mut neighbours = Neighbours::default();
        let peer = Keypair::from_seed([1; 32]).peer_id();
        let id = (ChannelId(1), peer);
        neighbours.heard(id, SECOND).line = "10.0.0.1:8000".parse().ok();
        neighbours.heard((ChannelId(2), peer), SECOND);
        assert_eq!(neighbours.callable(SECOND), [id]);
        assert!(neighbours.callable(SECOND + REMEMBERED).is_empty());
        neighbours.drop_channel(ChannelId(1));
        assert!(neighbours.callable(SECOND).is_empty());
    }

    #[test]
    fn planned_comparisons_are_in_the_order_of_their_times_and_end_with_their_neighbours() {
        let mut neighbours = Neighbours::default();
        let (one, other, elsewhere) = (neighbour(1), neighbour(2), (ChannelId(2), neighbour(1).1));
        for (id, seconds) in [(one, 7), (other, 5), (elsewhere, 6), (one, 3)] {
            neighbours.heard(id, SECOND);
            neighbours.plan(id, Some(SECOND * seconds));
        }
        let planned = |neighbours: &Neighbours| neighbours.planned().map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(planned(&neighbours), [SECOND * 3, SECOND * 5, SECOND * 6]);
        neighbours.back_off(other, SECOND);
        assert_eq!(planned(&neighbours), [SECOND * 3, SECOND * 6]);
        neighbours.drop_channel(elsewhere.0);
        assert_eq!(planned(&neighbours), [SECOND * 3]);
        for n in 100..3000u32 {
            neighbours.heard(neighbour(n), SECOND * n);
        }
        assert!(neighbours.get(&one).is_none() && planned(&neighbours).is_empty());
    }

    #[test]
    fn a_neighbour_that_brings_nothing_is_avoided_longer_each_time() {
        let mut peer = Neighbour::default();
        peer.back_off(SECOND);
        assert!(peer.is_backed_off(SECOND * 5) && !peer.is_backed_off(SECOND * 6));
        peer.back_off(SECOND * 6);
        assert!(peer.is_backed_off(SECOND * 15) && !peer.is_backed_off(SECOND * 16));
        for _ in 0..40 {
            peer.back_off(SECOND * 16);
        }
        assert!(!peer.is_backed_off(SECOND * 16 + BACKOFF.1));
        peer.clear_backoff();
        peer.back_off(SECOND);
        assert!(!peer.is_backed_off(SECOND * 6));
    }
}
