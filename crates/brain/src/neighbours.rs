//! Neighbours: who was heard on which network, where they take links, what they showed, and whom to leave aside.

use crate::budget::Tokens;
use dcache::PeerId;
use routing::{Allowance, Beacon, ChannelId};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most neighbours remembered. One more, and of those of the host that has most the one heard longest ago is
/// forgotten.
const MAX_NEIGHBOURS: usize = 256;
/// How long after it was last heard a neighbour is still worth calling.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// The most hosts whose budgets are kept.
const MAX_BUDGETS: usize = 1024;
/// How long a neighbour is left aside after the first comparison that brought nothing, and at most.
const ASIDE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3600));

/// How long a neighbour to whom no link came up is compared with on the network only.
const WITHOUT_LINKS: Duration = Duration::from_secs(5 * 60);

/// A peer on one network.
pub(crate) type NeighbourId = (ChannelId, PeerId);

/// How what a neighbour showed compares with what this node held then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the same.
    Same,
    /// It is the same but for what changed here lately.
    Behind,
    /// It is something else.
    Different,
}

/// What is known of a neighbour.
#[derive(Clone, Debug, Default)]
pub(crate) struct Neighbour {
    /// Where it says that it takes links.
    pub(crate) line: Option<SocketAddr>,
    no_links_until: Duration,
    /// From where its datagrams come.
    pub(crate) source: Option<SocketAddr>,
    /// When.
    pub(crate) heard: Duration,
    /// What it showed last, when, and how that compared.
    pub(crate) shown: Option<(Beacon, Duration, Verdict)>,
    /// When to compare sets with it, since it shows something else.
    pub(crate) suspected: Option<Duration>,
    /// Comparisons in a row that brought nothing.
    fruitless: u32,
    aside_until: Duration,
}

impl Neighbour {
    /// Whether it was left aside, at `elapsed`.
    pub(crate) fn is_aside(&self, elapsed: Duration) -> bool {
        self.aside_until > elapsed
    }

    /// Where it takes links, as far as is known at `elapsed`.
    pub(crate) fn link(&self, elapsed: Duration) -> Option<SocketAddr> {
        self.line.filter(|_| self.no_links_until <= elapsed)
    }

    /// No link to it came up. That says nothing about its honesty: the network is left to compare on, at once.
    pub(crate) fn takes_no_links(&mut self, elapsed: Duration) {
        self.no_links_until = elapsed + WITHOUT_LINKS;
        self.suspected = Some(elapsed);
    }

    /// A comparison with it brought nothing: leaves it aside, each time for longer.
    pub(crate) fn leave_aside(&mut self, elapsed: Duration) {
        let factor = 1 << self.fruitless.min(16);
        self.fruitless += 1;
        self.aside_until = elapsed + (ASIDE.0 * factor).min(ASIDE.1);
        self.suspected = None;
    }

    /// It is as honest as anybody.
    pub(crate) fn redeem(&mut self) {
        self.fruitless = 0;
        self.aside_until = Duration::ZERO;
    }
}

/// All neighbours.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    known: BTreeMap<NeighbourId, Neighbour>,
}

impl Neighbours {
    /// Somebody was heard.
    pub(crate) fn heard(&mut self, id: NeighbourId, elapsed: Duration) -> &mut Neighbour {
        if self.known.len() >= MAX_NEIGHBOURS && !self.known.contains_key(&id) {
            self.forget_one();
        }
        let neighbour = self.known.entry(id).or_default();
        neighbour.heard = elapsed;
        neighbour
    }

    fn forget_one(&mut self) {
        let host = |neighbour: &Neighbour| neighbour.source.map(|source| source.ip());
        let mut of_hosts: BTreeMap<Option<IpAddr>, usize> = BTreeMap::new();
        for neighbour in self.known.values() {
            *of_hosts.entry(host(neighbour)).or_default() += 1;
        }
        // A host that speaks under hundreds of names drives out none but its own.
        let worth =
            |neighbour: &Neighbour| (Reverse(of_hosts.get(&host(neighbour)).copied()), neighbour.heard);
        if let Some((&least, _)) = self.known.iter().min_by_key(|(_, neighbour)| worth(neighbour)) {
            self.known.remove(&least);
        }
    }

    /// Nobody is left aside any more.
    pub(crate) fn redeem_all(&mut self) {
        self.known.values_mut().for_each(Neighbour::redeem);
    }

    pub(crate) fn get(&self, id: &NeighbourId) -> Option<&Neighbour> {
        self.known.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &NeighbourId) -> Option<&mut Neighbour> {
        self.known.get_mut(id)
    }

    /// The network on which they were heard is gone.
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.known.retain(|(on, _), _| *on != channel);
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&NeighbourId, &Neighbour)> {
        self.known.iter()
    }

    /// Those on a network.
    pub(crate) fn on(&self, channel: ChannelId) -> impl Iterator<Item = &Neighbour> {
        self.known.iter().filter(move |((on, _), _)| *on == channel).map(|(_, neighbour)| neighbour)
    }

    /// When the next comparison is due.
    pub(crate) fn next_suspected(&self) -> Option<Duration> {
        self.known.values().filter_map(|neighbour| neighbour.suspected).min()
    }

    /// The neighbour with whom a comparison is due by `elapsed`, the longest due first.
    pub(crate) fn due(&self, elapsed: Duration) -> Option<NeighbourId> {
        let due = self.known.iter().filter_map(|(id, neighbour)| Some((neighbour.suspected?, *id)));
        due.filter(|(at, _)| *at <= elapsed).min().map(|(_, id)| id)
    }

    /// Those that can be called, in a fixed order.
    pub(crate) fn callable(&self, elapsed: Duration) -> Vec<NeighbourId> {
        let can = |neighbour: &Neighbour| {
            neighbour.link(elapsed).is_some()
                && neighbour.heard + REMEMBERED > elapsed
                && !neighbour.is_aside(elapsed)
        };
        self.known.iter().filter(|(_, neighbour)| can(neighbour)).map(|(id, _)| *id).collect()
    }
}

/// A budget for each host (or channel), so that one that floods is paid no more attention than it is due.
#[derive(Debug)]
pub(crate) struct Budgets<Host> {
    hosts: BTreeMap<Host, Tokens>,
}

impl<Host> Default for Budgets<Host> {
    fn default() -> Self {
        Self { hosts: BTreeMap::new() }
    }
}

impl<Host: Ord + Copy> Budgets<Host> {
    /// Whether `host` may be heard once more.
    pub(crate) fn spend(&mut self, host: Host, allowance: Allowance, elapsed: Duration) -> bool {
        if self.hosts.len() >= MAX_BUDGETS && !self.hosts.contains_key(&host) {
            self.forget_longest_silent();
        }
        let full = || Tokens::full(allowance, elapsed);
        self.hosts.entry(host).or_insert_with(full).spend(1, elapsed)
    }

    fn forget_longest_silent(&mut self) {
        if let Some((&silent, _)) = self.hosts.iter().min_by_key(|(_, tokens)| tokens.since()) {
            self.hosts.remove(&silent);
        }
    }
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
    fn a_flooding_host_is_heard_at_its_rate() {
        let mut budgets = Budgets::default();
        let allowance = Allowance { burst: 10, per_minute: 300 };
        let host = "10.0.0.1".parse().unwrap();
        let heard = |budgets: &mut Budgets<IpAddr>, at| {
            (0..100).filter(|_| budgets.spend(host, allowance, at)).count()
        };
        assert_eq!(heard(&mut budgets, SECOND), 10);
        assert_eq!(heard(&mut budgets, SECOND * 2), 5);
        assert!(budgets.spend("10.0.0.2".parse().unwrap(), allowance, SECOND), "others are not disturbed");
    }

    #[test]
    fn tables_stay_bounded() {
        let (mut budgets, mut neighbours) = (Budgets::default(), Neighbours::default());
        for n in 0..3000u32 {
            let host = IpAddr::from(n.to_be_bytes());
            budgets.spend(host, Allowance { burst: 1, per_minute: 1 }, SECOND * n);
            neighbours.heard(neighbour(n), SECOND * n);
        }
        assert_eq!((budgets.hosts.len(), neighbours.known.len()), (MAX_BUDGETS, MAX_NEIGHBOURS));
    }

    #[test]
    fn a_host_of_many_names_drives_nobody_out() {
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
    fn who_was_not_heard_for_long_or_left_is_not_called() {
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
    fn who_brings_nothing_is_left_aside_for_longer_each_time() {
        let mut peer = Neighbour::default();
        peer.leave_aside(SECOND);
        assert!(peer.is_aside(SECOND * 5) && !peer.is_aside(SECOND * 6));
        peer.leave_aside(SECOND * 6);
        assert!(peer.is_aside(SECOND * 15) && !peer.is_aside(SECOND * 16));
        for _ in 0..40 {
            peer.leave_aside(SECOND * 16);
        }
        assert!(!peer.is_aside(SECOND * 16 + ASIDE.1));
        peer.redeem();
        peer.leave_aside(SECOND);
        assert!(!peer.is_aside(SECOND * 6));
    }
}
