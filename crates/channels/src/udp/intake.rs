//! The limit on the datagrams of each host. Datagrams beyond it are dropped before they cost more than their receipt.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use routing::{Allowance, SenderBudgets};
use std::net::IpAddr;
use std::time::Duration;

/// Minimum interval between two reports, so that a flood causes few of them.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The datagrams that hosts sent lately, and the number of dropped ones that is not reported yet.
#[derive(Debug, Default)]
pub(super) struct Intake {
    hosts: SenderBudgets<IpAddr>,
    dropped: u64,
    reported: Duration,
}

impl Intake {
    /// Counts a datagram of a host, and returns whether it is within the limit.
    pub(super) fn takes(&mut self, host: IpAddr, now: Duration) -> bool {
        let takes = self.hosts.spend(host, Allowance::LINES_OF_HOST, now);
        self.dropped += u64::from(!takes);
        takes
    }

    /// Returns the number of dropped datagrams since the last report, if a report is due.
    pub(super) fn report(&mut self, now: Duration) -> Option<u64> {
        if self.dropped == 0 || now.saturating_sub(self.reported) < REPORT_EVERY {
            return None;
        }
        self.reported = now;
        Some(std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_dropped_beyond_the_limit_of_its_host_and_reported_once_a_second() {
        let mut intake = Intake::default();
        let [flooding, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let (mut taken, mut reports, mut dropped) = (0, 0, 0);
        for millis in 0..10_000 {
            let now = Duration::from_secs(60) + Duration::from_millis(millis);
            taken += u32::from(intake.takes(flooding, now)) + u32::from(intake.takes(flooding, now));
            if let Some(datagrams) = intake.report(now) {
                (reports, dropped) = (reports + 1, dropped + datagrams);
            }
            assert!(millis % 100 != 0 || intake.takes(other, now), "other hosts are not affected");
        }
        let Allowance { burst, per_minute } = Allowance::LINES_OF_HOST;
        assert!((burst + per_minute / 6 - 10..=burst + per_minute / 6 + 10).contains(&taken), "{taken}");
        assert!((8..=10).contains(&reports), "{reports}");
        let rest = intake.report(Duration::from_secs(100)).unwrap_or_default();
        assert_eq!(u64::from(taken) + dropped + rest, 20_000);
    }
}
