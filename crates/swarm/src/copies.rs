//! Detects that another host uses the key of this node, as after its SD card was copied.
//!
//! The sign is a record of this key that this run did not sign and that was signed after this run began. Only another
//! host with the key can make one.
//!
//! Records of earlier runs come back from peers as well, after the store was lost or restored, and any peer may send
//! them at any time. They are older, and a store that was not lost knows their numbers. After the clock was set, times
//! before and after it cannot be compared, so only later records count. If the clock is behind, records of earlier runs
//! look late. Therefore a node that lost its store first learns their numbers from peers.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use brain::Now;
use dcache::buckets::{
    ADDRESSES, Family, HOSTNAME, IPFS_ADDRESSES, Lifetime, PEER, RENEWED, VERSION, family,
};
use dcache::{Kind, Record, Time};
use routing::Address;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;
use telemetry::{FaultReport, faults, report};

/// Time without a record of the other host after which it counts as gone. Each running host states its presence every
/// five minutes, and two of three such records may be lost.
const GONE_AFTER: Duration = Duration::from_secs(16 * 60);
/// Clock jump, in seconds, that is treated as a clock change.
const CLOCK_CHANGE: u64 = 60;
/// Time, after the first record of the own key, in which a node that lost its store learns its earlier numbers. Peers
/// that meet have exchanged all records within a minute; this is twice as long.
const LEARNING: Duration = Duration::from_secs(120);
/// Maximum number of ranges of own sequence numbers. A range ends when this node continues above a number of the other
/// host. With more ranges, the oldest two are merged. At worst, an old record of the other host then counts as an own
/// one.
const MAX_RANGES: usize = 256;
/// Buckets in which a node makes statements about itself automatically.
const CLAIMS: [&Family; 5] =
    [PEER.family(), HOSTNAME.family(), VERSION.family(), ADDRESSES.family(), IPFS_ADDRESSES.family()];

/// Looks for records of the own key that another host signed.
#[derive(Debug)]
pub(crate) struct CopyDetector {
    /// Highest sequence number of earlier runs, as far as it is known.
    former: u64,
    /// Whether `former` is not on the disk, and is learnt from peers instead.
    is_lost: bool,
    /// Time since start until which `former` is learnt from peers. Absent until a record of the own key was heard.
    learns_until: Option<Duration>,
    /// Sequence numbers that this run used, in order.
    signed: VecDeque<RangeInclusive<u64>>,
    /// Earliest signing time of a record that shows another host, if this run did not sign it. Absent while the time is
    /// not known.
    since: Option<Time>,
    /// Time that the clock last showed, and the time since start at which it was read.
    clock: Option<(Time, Duration)>,
    /// Seconds by which the clocks of neighbours are ahead. A node extends its statements by this time.
    ahead: u64,
    copy: Option<Copied>,
    told: Option<FaultReport>,
}

/// The other host.
#[derive(Clone, Copy, Debug)]
struct Copied {
    /// Time since start at which it was last heard.
    heard: Duration,
    /// Its address, if it stated one.
    host: Option<IpAddr>,
}

impl CopyDetector {
    /// Returns the detector of a run. `former` is the highest sequence number on the disk; absent if the disk knows
    /// none.
    pub(crate) fn new(former: Option<u64>) -> Self {
        Self {
            former: former.unwrap_or_default(),
            is_lost: former.is_none(),
            learns_until: None,
            signed: VecDeque::new(),
            since: None,
            clock: None,
            ahead: 0,
            copy: None,
            told: None,
        }
    }

    /// Reads the time, and drops the other host if it was not heard for long.
    pub(crate) fn read_clock(&mut self, now: Now) {
        let Now { moment, elapsed } = now;
        let runs_on = |(time, at): (Time, Duration)| {
            let expected = time.plus(elapsed.saturating_sub(at).as_secs());
            expected.0.abs_diff(moment.time.0) <= CLOCK_CHANGE
        };
        let runs_on = self.clock.is_some_and(runs_on);
        self.clock = Some((moment.time, elapsed));
        self.ahead = moment.latest().since(moment.time);
        self.since = match moment.is_certain {
            true => self.since.filter(|_| runs_on).or(Some(moment.time)),
            false => None,
        };
        self.copy = self.copy.filter(|copy| copy.heard + GONE_AFTER > elapsed);
    }

    /// Notes records that this run signed.
    pub(crate) fn signed(&mut self, records: &[Record]) {
        for sequence in records.iter().map(|record| record.signature().sequence) {
            match self.signed.back_mut() {
                Some(last) if last.end().saturating_add(1) == sequence => *last = *last.start()..=sequence,
                _ => self.signed.push_back(sequence..=sequence),
            }
        }
        while self.signed.len() > MAX_RANGES
            && let (Some(first), Some(second)) = (self.signed.pop_front(), self.signed.pop_front())
        {
            self.signed.push_front(*first.start()..=*second.end());
        }
    }

    /// Checks a record of the own key that came from a peer and is new here.
    pub(crate) fn heard(&mut self, record: &Record, elapsed: Duration) {
        let sequence = record.signature().sequence;
        if self.is_lost && elapsed < *self.learns_until.get_or_insert(elapsed + LEARNING) {
            self.former = self.former.max(sequence);
            return;
        }
        let is_own = sequence <= self.former || self.signed.iter().any(|range| range.contains(&sequence));
        let is_later = self.since.is_some_and(|since| self.signed_at(record).is_some_and(|at| at >= since));
        if is_later && !is_own && RENEWED.contains(&record.item().bucket) {
            self.left(record);
            return;
        }
        if is_later && !is_own {
            let known = self.copy.and_then(|copy| copy.host);
            self.copy = Some(Copied { heard: elapsed, host: stated_host(record).or(known) });
        }
    }

    /// Notes that the other host got an identity of its own. Records that it signed earlier may still come from peers;
    /// they do not count any more. A further host with the key is found by its later records.
    fn left(&mut self, record: &Record) {
        self.copy = None;
        self.since = self.since.max(record.validity().from().map(|renewed| renewed.plus(1)));
    }

    /// Returns a lower bound of the time at which a record was signed. A validity may begin before the signing, by up
    /// to the whole age of the renewed statement. A claim ends one lifetime after its signing, or later where
    /// neighbours are ahead.
    fn signed_at(&self, record: &Record) -> Option<Time> {
        let (validity, family) = (record.validity(), family(&record.item().bucket));
        let is_claim = record.kind() == Kind::Propose && CLAIMS.contains(&family);
        let by_end = match (family.lifetime, validity.until()) {
            (Lifetime::For(lifetime), Some(until)) if is_claim => {
                Some(Time(until.0.saturating_sub(lifetime + self.ahead)))
            }
            _ => None,
        };
        validity.from().max(by_end)
    }

    /// Returns the change since the last call: the fault, or an inner `None` if it has ended.
    pub(crate) fn news(&mut self) -> Option<Option<FaultReport>> {
        let fault = self.copy.map(|copy| {
            let host = copy.host.map_or_else(|| "another host".to_owned(), |host| format!("the host {host}"));
            report!(faults::IDENTITY_COPIED, host = host)
        });
        (fault != self.told).then(|| {
            self.told.clone_from(&fault);
            fault
        })
    }
}

/// Returns the host at which the signer of a record says that it takes lines.
fn stated_host(record: &Record) -> Option<IpAddr> {
    let is_stated = record.kind() == Kind::Propose && ADDRESSES.contains(&record.item().bucket);
    let address = is_stated.then(|| record.item().data.as_str().parse::<Address>().ok()).flatten();
    Some(address?.tcp()?.ip())
}

#[cfg(test)]
mod tests;
