//! Rate limits for answers to other hosts.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use targets::{Allowance, Tokens};

/// Answers to one host. `dts fleet discover` asks each robot once per network.
const OF_A_HOST: Allowance = Allowance { burst: 8, per_minute: 20 };
/// Answers to all hosts together: a class of thirty laptops that ask at the same moment.
const OF_ALL: Allowance = Allowance { burst: 128, per_minute: 300 };
/// Maximum number of hosts whose limits are remembered. When all are in use, further hosts get no answer.
const MAX_HOSTS: usize = 512;

/// The answers that were sent lately. Times count from a fixed moment.
#[derive(Debug)]
pub(super) struct AnswerLimits {
    hosts: BTreeMap<IpAddr, Tokens>,
    all: Tokens,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self { hosts: BTreeMap::new(), all: Tokens::full(OF_ALL, Duration::ZERO) }
    }
}

impl AnswerLimits {
    /// Returns whether a host may get an answer now, and counts it.
    pub(super) fn admit(&mut self, host: IpAddr, now: Duration) -> bool {
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host) {
            self.hosts.retain(|_, tokens| !tokens.is_full(OF_A_HOST, now));
            if self.hosts.len() >= MAX_HOSTS {
                return false;
            }
        }
        let tokens = self.hosts.entry(host).or_insert_with(|| Tokens::full(OF_A_HOST, now));
        let has = tokens.has(1, OF_A_HOST, now) && self.all.has(1, OF_ALL, now);
        [tokens, &mut self.all].into_iter().for_each(|tokens| tokens.take(u32::from(has)));
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn admitted(limits: &mut AnswerLimits, hosts: u32) -> u64 {
        let asked = (0..60_000u64).map(|tick| (Duration::from_millis(tick), tick as u32 % hosts));
        let answered = |(now, host): (Duration, u32)| {
            u64::from(limits.admit(Ipv4Addr::from_bits(0x0a00_0000 + host).into(), now))
        };
        asked.map(answered).sum()
    }

    #[test]
    fn one_host_gets_few_answers() {
        assert_eq!(admitted(&mut AnswerLimits::default(), 1), 8 + 19);
    }

    #[test]
    fn all_hosts_together_get_a_bounded_number_of_answers() {
        let mut limits = AnswerLimits::default();
        assert!(admitted(&mut limits, 5000) <= 128 + 300);
        assert!(limits.hosts.len() <= MAX_HOSTS);
    }
}
