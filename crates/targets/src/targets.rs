//! Limits how often targets that other peers named are contacted.

use crate::tokens::{Allowance, Tokens};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Rate limit, in attempts, for one unproven IP address: no node of the swarm has answered there yet. All peers that
/// name the address share this limit. The burst suffices to try all sockets of a robot a few times.
pub const UNPROVEN: Allowance = Allowance { burst: 16, per_minute: 2 };
/// Rate limit, in attempts, for all unproven addresses of one network: 256 IPv4 addresses, or one IPv6 prefix of 64
/// bits. It is high enough to look at intervals for all robots of a class that is switched off.
const OF_A_NETWORK: Allowance = Allowance { burst: 192, per_minute: 60 };
/// Rate limit, in attempts, for all unproven targets together, so that no peer can use this node to scan the internet.
const OF_ALL: Allowance = Allowance { burst: 512, per_minute: 300 };
/// Rate limit, in attempts, for a peer at a socket where it has answered before. It is higher than the others, because
/// a robot often comes back to the same address.
pub const REACHED: Allowance = Allowance { burst: 64, per_minute: 60 };
/// Number of attempts that are given back to the budgets when a peer answers. They make up for the attempts at its
/// other addresses, which were tried at the same time.
const GIVEN_BACK: u32 = 4;
/// Maximum number of IP addresses whose budgets are kept. Only budgets that are full again are forgotten. Before a used
/// budget is full again, [`OF_ALL`] admits attempts at fewer addresses than this, so the table does not overflow.
const MAX_HOSTS: usize = 4096;
/// Maximum number of entries in the table of sockets at which peers have answered.
const MAX_REACHED: usize = 1024;

/// Targets that were contacted lately because other peers named them. The type `Who` names a peer; use `()` where peers
/// do not prove their identity.
#[derive(Debug)]
pub struct Targets<Who> {
    hosts: BTreeMap<IpAddr, Tokens>,
    networks: BTreeMap<IpAddr, Tokens>,
    all: Option<Tokens>,
    reached: BTreeMap<(Who, SocketAddr), Reached>,
}

#[derive(Debug)]
struct Reached {
    tokens: Tokens,
    /// Time at which it was last reached.
    at: Duration,
}

impl<Who> Default for Targets<Who> {
    fn default() -> Self {
        Self { hosts: BTreeMap::new(), networks: BTreeMap::new(), all: None, reached: BTreeMap::new() }
    }
}

impl<Who: Ord + Copy> Targets<Who> {
    /// Returns whether this node may try to reach a peer at a target now. If so, counts the attempt. `elapsed` is the
    /// time since a fixed moment.
    pub fn admit(&mut self, who: Who, target: SocketAddr, elapsed: Duration) -> bool {
        let target = canonical(target);
        if let Some(reached) = self.reached.get_mut(&(who, target)) {
            let has = reached.tokens.has(1, REACHED, elapsed);
            reached.tokens.take(u32::from(has));
            return has;
        }
        self.admit_unproven(target.ip(), elapsed)
    }

    fn admit_unproven(&mut self, ip: IpAddr, elapsed: Duration) -> bool {
        make_room(&mut self.hosts, UNPROVEN, ip, elapsed);
        make_room(&mut self.networks, OF_A_NETWORK, network(ip), elapsed);
        let host = self.hosts.entry(ip).or_insert_with(|| Tokens::full(UNPROVEN, elapsed));
        let network = self.networks.entry(network(ip));
        let network = network.or_insert_with(|| Tokens::full(OF_A_NETWORK, elapsed));
        let all = self.all.get_or_insert_with(|| Tokens::full(OF_ALL, elapsed));
        let has = host.has(1, UNPROVEN, elapsed)
            && network.has(1, OF_A_NETWORK, elapsed)
            && all.has(1, OF_ALL, elapsed);
        [host, network, all].into_iter().for_each(|tokens| tokens.take(u32::from(has)));
        has
    }

    /// Notes that a node of the swarm sent something from a target, which is an answer if the target was contacted
    /// lately.
    pub fn heard(&mut self, who: Who, target: SocketAddr, elapsed: Duration) {
        if self.hosts.contains_key(&canonical(target).ip()) {
            self.reached(who, target, elapsed);
        }
    }

    /// Notes that a peer of the swarm answered at a target.
    pub fn reached(&mut self, who: Who, target: SocketAddr, elapsed: Duration) {
        let target = canonical(target);
        if let Some(reached) = self.reached.get_mut(&(who, target)) {
            reached.at = elapsed;
            return;
        }
        if self.reached.len() >= MAX_REACHED {
            let oldest = self.reached.iter().min_by_key(|(_, reached)| reached.at).map(|(key, _)| *key);
            oldest.and_then(|key| self.reached.remove(&key));
        }
        self.reached.insert((who, target), Reached { tokens: Tokens::full(REACHED, elapsed), at: elapsed });
        let ip = target.ip();
        if let Some(host) = self.hosts.get_mut(&ip) {
            host.put_back(GIVEN_BACK, UNPROVEN);
        }
        if let Some(of_network) = self.networks.get_mut(&network(ip)) {
            of_network.put_back(GIVEN_BACK, OF_A_NETWORK);
        }
        if let Some(all) = &mut self.all {
            all.put_back(GIVEN_BACK, OF_ALL);
        }
    }
}

/// Removes the budgets that are full again, if the table has no space for one more.
fn make_room(known: &mut BTreeMap<IpAddr, Tokens>, allowance: Allowance, new: IpAddr, elapsed: Duration) {
    if known.len() < MAX_HOSTS || known.contains_key(&new) {
        return;
    }
    known.retain(|_, tokens| !tokens.is_full(allowance, elapsed));
    if known.len() >= MAX_HOSTS {
        // The limit for all targets together should prevent this case, but the table has to be bounded without relying
        // on it.
        known.pop_first();
    }
}

fn canonical(target: SocketAddr) -> SocketAddr {
    SocketAddr::new(target.ip().to_canonical(), target.port())
}

/// Returns the network of an address: 24 bits of IPv4, 64 of IPv6.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & !0xff).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn victim(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 77, 0, 66], port))
    }

    /// Returns the number of attempts that are admitted within 90 s, with `each` tried every 100 ms.
    fn admitted(targets: &mut Targets<u32>, each: impl Fn(u32) -> (u32, SocketAddr)) -> usize {
        let times = (0..900).flat_map(|tick| (0..20).map(move |n| (Duration::from_millis(tick * 100), n)));
        times
            .filter(|(now, n)| {
                let (who, target) = each(*n);
                targets.admit(who, target, *now)
            })
            .count()
    }

    #[test]
    fn a_victim_is_contacted_a_few_times_whichever_peers_and_ports_are_named() {
        let mut targets = Targets::default();
        let contacted = admitted(&mut targets, |n| (n, victim(8000 + n as u16)));
        assert_eq!(contacted, 16 + 2, "within 90 s");
    }

    #[test]
    fn a_network_is_not_scanned() {
        let mut targets = Targets::default();
        let contacted = admitted(&mut targets, |n| (n, SocketAddr::from(([10, 77, 0, n as u8], 8000))));
        assert!(contacted <= 192 + 90, "{contacted}");
        let mut targets = Targets::default();
        let mut n = 0;
        let anywhere = (0..90_000).filter(|tick| {
            n += 1;
            targets.admit(
                0,
                SocketAddr::from((Ipv4Addr::from_bits(n << 8), 8000)),
                Duration::from_millis(*tick),
            )
        });
        assert!(anywhere.count() <= 512 + 450);
    }

    #[test]
    fn a_robot_is_looked_for_where_it_answered_although_others_name_its_address() {
        let mut targets = Targets::default();
        assert!(targets.admit(1, victim(6002), at(0)));
        targets.reached(1, victim(6002), at(0));
        admitted(&mut targets, |n| (100 + n, victim(6002)));
        assert!(!targets.admit(100, victim(6002), at(89)));
        for second in 90..150 {
            assert!(targets.admit(1, victim(6002), at(second)));
        }
        assert!(!targets.admit(1, victim(6003), at(89)), "only where the robot answered");
    }

    #[test]
    fn a_host_that_was_not_contacted_does_not_answer() {
        let mut targets = Targets::default();
        targets.heard(1, victim(8000), at(0));
        assert_eq!(targets.reached.len(), 0);
        targets.admit(1, victim(8000), at(0));
        targets.heard(1, victim(8000), at(0));
        assert_eq!(targets.reached.len(), 1);
    }

    #[test]
    fn all_robots_of_one_host_are_found_when_they_are_there() {
        let mut targets = Targets::default();
        for robot in 0..200u16 {
            for port in [20_000 + robot, 30_000 + robot] {
                assert!(targets.admit(robot, victim(port), at(0)), "{robot}");
            }
            targets.reached(robot, victim(20_000 + robot), at(0));
        }
        assert_eq!(targets.reached.len(), 200);
    }

    #[test]
    fn the_tables_stay_bounded() {
        let mut targets = Targets::default();
        for n in 0..6000u32 {
            let target = SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + (n << 8)), 8000));
            targets.admit(n, target, at(n.into()));
            targets.reached(n, target, at(n.into()));
        }
        assert!(targets.hosts.len() <= MAX_HOSTS && targets.networks.len() <= MAX_HOSTS);
        assert_eq!(targets.reached.len(), MAX_REACHED);
    }

    proptest! {
        #[test]
        fn a_host_where_no_peer_answers_is_never_contacted_beyond_its_allowance(
            steps in proptest::collection::vec((0u64..2000, 0u32..4, 0u16..4), 1..300)
        ) {
            let mut targets = Targets::default();
            let (mut now, mut contacted) = (Duration::ZERO, 0);
            for (wait, who, port) in steps {
                now += Duration::from_millis(wait);
                contacted += u64::from(targets.admit(who, victim(8000 + port), now));
                prop_assert!(contacted <= 16 + now.as_millis() as u64 * 2 / 60_000);
            }
        }
    }
}
