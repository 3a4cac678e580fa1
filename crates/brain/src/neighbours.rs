//! Neighbours: who was heard on which broadcast channel, where they take links, and how much each may say.

use routing::ChannelId;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The most neighbours remembered. One more, and the one heard longest ago is forgotten.
const MAX_NEIGHBOURS: usize = 256;
/// How long after it was last heard a neighbour is still worth calling.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// The most hosts whose budgets are kept.
const MAX_BUDGETS: usize = 1024;

#[derive(Debug)]
struct Neighbour {
    channel: ChannelId,
    heard: Duration,
}

/// Who takes links where, by the address of its line port.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    known: BTreeMap<SocketAddr, Neighbour>,
}

impl Neighbours {
    /// Somebody on `channel` takes links at `line`.
    pub(crate) fn heard(&mut self, line: SocketAddr, channel: ChannelId, elapsed: Duration) {
        self.known.insert(line, Neighbour { channel, heard: elapsed });
        if self.known.len() > MAX_NEIGHBOURS
            && let Some((&oldest, _)) = self.known.iter().min_by_key(|(_, neighbour)| neighbour.heard)
        {
            self.known.remove(&oldest);
        }
    }

    /// Nobody takes links there, it turned out.
    pub(crate) fn forget(&mut self, line: SocketAddr) {
        self.known.remove(&line);
    }

    /// Whether it was last heard on `channel`.
    pub(crate) fn is_on(&self, line: SocketAddr, channel: ChannelId) -> bool {
        self.known.get(&line).is_some_and(|neighbour| neighbour.channel == channel)
    }

    /// The network on which they were heard is gone.
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.known.retain(|_, neighbour| neighbour.channel != channel);
    }

    /// Those that are worth calling, in a fixed order; on `channel` alone when one is given.
    pub(crate) fn worth_calling(&self, channel: Option<ChannelId>, elapsed: Duration) -> Vec<SocketAddr> {
        let worth = |neighbour: &Neighbour| {
            neighbour.heard + REMEMBERED > elapsed
                && channel.is_none_or(|channel| neighbour.channel == channel)
        };
        let worth = self.known.iter().filter(|(_, neighbour)| worth(neighbour));
        worth.map(|(line, _)| *line).collect()
    }
}

/// A token bucket for each host, so that one that floods is paid no more attention than it is due.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    hosts: BTreeMap<IpAddr, Budget>,
}

#[derive(Debug)]
struct Budget {
    /// Thousandths of a line.
    left: u64,
    since: Duration,
}

impl Budgets {
    /// Whether `host` may be heard once more: `burst` lines at once, `rate` a second in the long run.
    pub(crate) fn spend(&mut self, host: IpAddr, (burst, rate): (u32, u32), elapsed: Duration) -> bool {
        if self.hosts.len() >= MAX_BUDGETS && !self.hosts.contains_key(&host) {
            self.forget_longest_silent();
        }
        let full = u64::from(burst) * 1000;
        let budget = self.hosts.entry(host).or_insert(Budget { left: full, since: elapsed });
        let passed = u64::try_from(elapsed.saturating_sub(budget.since).as_millis()).unwrap_or(u64::MAX);
        budget.left = full.min(budget.left.saturating_add(passed.saturating_mul(u64::from(rate))));
        budget.since = elapsed;
        let may = budget.left >= 1000;
        budget.left -= if may { 1000 } else { 0 };
        may
    }

    fn forget_longest_silent(&mut self) {
        if let Some((&silent, _)) = self.hosts.iter().min_by_key(|(_, budget)| budget.since) {
            self.hosts.remove(&silent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_flooding_host_is_heard_at_its_rate() {
        let mut budgets = Budgets::default();
        let host = "10.0.0.1".parse().unwrap();
        let heard = |budgets: &mut Budgets, at| (0..100).filter(|_| budgets.spend(host, (10, 5), at)).count();
        assert_eq!(heard(&mut budgets, SECOND), 10);
        assert_eq!(heard(&mut budgets, SECOND * 2), 5);
        assert!(budgets.spend("10.0.0.2".parse().unwrap(), (10, 5), SECOND), "others are not disturbed");
    }

    #[test]
    fn tables_stay_bounded() {
        let (mut budgets, mut neighbours) = (Budgets::default(), Neighbours::default());
        for n in 0..3000u32 {
            let host = IpAddr::from(n.to_be_bytes());
            budgets.spend(host, (1, 1), SECOND * n);
            neighbours.heard(SocketAddr::new(host, 1), ChannelId(1), SECOND * n);
        }
        assert_eq!((budgets.hosts.len(), neighbours.known.len()), (MAX_BUDGETS, MAX_NEIGHBOURS));
    }

    #[test]
    fn who_was_not_heard_for_long_or_left_is_not_called() {
        let mut neighbours = Neighbours::default();
        let line = "10.0.0.1:8000".parse().unwrap();
        neighbours.heard(line, ChannelId(1), SECOND);
        assert_eq!(neighbours.worth_calling(Some(ChannelId(1)), SECOND), [line]);
        assert!(neighbours.worth_calling(Some(ChannelId(2)), SECOND).is_empty());
        assert!(neighbours.worth_calling(None, SECOND + REMEMBERED).is_empty());
        neighbours.drop_channel(ChannelId(1));
        assert!(neighbours.worth_calling(None, SECOND).is_empty());
    }
}
