//! Rate limits for answers to other hosts, and for answers of other hosts.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use targets::{Allowance, Tokens};

/// Answers to one host. `dts fleet discover` asks each robot once per network.
const OF_A_HOST: Allowance = Allowance { burst: 8, per_minute: 20 };
/// Answers to all hosts together: a class of thirty laptops that ask at the same moment.
const OF_ALL: Allowance = Allowance { burst: 128, per_minute: 300 };
/// Answers of one host that are read on a network. A robot answers a question with a few datagrams, and online asks every
/// two seconds. A reflector between two networks answers for many robots.
const FROM_A_HOST: Allowance = Allowance { burst: 128, per_minute: 240 };
/// Answers of all hosts that are read on a network. A class of a hundred robots answers at the same moment, each with a few
/// datagrams.
const FROM_ALL: Allowance = Allowance { burst: 1024, per_minute: 3000 };
/// Maximum number of hosts whose limits are remembered. When all are in use, further hosts are ignored.
const MAX_HOSTS: usize = 512;

/// The datagrams that were exchanged lately, with a limit for each host and one for all. Times count from a fixed moment.
#[derive(Debug)]
pub(super) struct HostLimits {
    of_host: Allowance,
    of_all: Allowance,
    hosts: BTreeMap<IpAddr, Tokens>,
    all: Tokens,
}

impl HostLimits {
    fn new(of_host: Allowance, of_all: Allowance) -> Self {
        Self { of_host, of_all, hosts: BTreeMap::new(), all: Tokens::full(of_all, Duration::ZERO) }
    }

    /// Returns the limits of answers to other hosts.
    pub(super) fn of_sent_answers() -> Self {
        Self::new(OF_A_HOST, OF_ALL)
    }

    /// Returns the limits of answers of other hosts on one network.
    pub(super) fn of_read_answers() -> Self {
        Self::new(FROM_A_HOST, FROM_ALL)
    }

    /// Returns whether a datagram to or from a host may be handled now, and counts it.
    pub(super) fn admit(&mut self, host: IpAddr, now: Duration) -> bool {
        let (of_host, of_all) = (self.of_host, self.of_all);
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host) {
            self.hosts.retain(|_, tokens| !tokens.is_full(of_host, now));
            if self.hosts.len() >= MAX_HOSTS {
                return false;
            }
        }
        let tokens = self.hosts.entry(host).or_insert_with(|| Tokens::full(of_host, now));
        let has = tokens.has(1, of_host, now) && self.all.has(1, of_all, now);
        [tokens, &mut self.all].into_iter().for_each(|tokens| tokens.take(u32::from(has)));
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn admitted(limits: &mut HostLimits, hosts: u32) -> u64 {
        let asked = (0..60_000u64).map(|tick| (Duration::from_millis(tick), tick as u32 % hosts));
        let answered = |(now, host): (Duration, u32)| {
            u64::from(limits.admit(Ipv4Addr::from_bits(0x0a00_0000 + host).into(), now))
        };
        asked.map(answered).sum()
    }

    #[test]
    fn one_host_gets_few_answers() {
        assert_eq!(admitted(&mut HostLimits::of_sent_answers(), 1), 8 + 19);
    }

    #[test]
    fn all_hosts_together_get_a_bounded_number_of_answers() {
        let mut limits = HostLimits::of_sent_answers();
        assert!(admitted(&mut limits, 5000) <= 128 + 300);
        assert!(limits.hosts.len() <= MAX_HOSTS);
    }

    #[test]
    fn one_host_that_floods_a_network_hides_the_answers_of_no_other() {
        let (mut limits, robot) = (HostLimits::of_read_answers(), IpAddr::from([10, 0, 0, 2]));
        for tick in 0..60_000 {
            limits.admit([10, 0, 0, 99].into(), Duration::from_millis(tick));
        }
        assert!((0..8).all(|_| limits.admit(robot, Duration::from_secs(60))));
    }
}
