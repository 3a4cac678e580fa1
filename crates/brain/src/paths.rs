//! Paths: chains of channels to one peer, used as if they were a channel of their own.

use crate::origin::Origin;
use routing::{Address, Allowance, Capacity, ChannelId, Envelope, Part, Reach, Tokens};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Lower bound of the channel numbers of paths. The numbers of other channels stay below it.
const FIRST: u64 = 1 << 62;
/// Maximum number of paths that other nodes opened.
const MAX_LEARNED: usize = 16;
/// Maximum number of paths in all.
const MAX_PATHS: usize = 48;
/// Time after its last line at which a path that another node opened is dropped.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// Rate limit, in bytes, for all unproven paths together that begin at the same host. A path is unproven if another
/// node opened it, and the peer at its end has not proved that it receives lines. An attacker may have named that host
/// in order to flood it.
const UNPROVEN: Allowance = Allowance { burst: 32 * 1024, per_minute: 120_000 };

/// The limits of a path. They are low, because others forward its lines.
pub(crate) const PATH_CAPACITY: Capacity = Capacity {
    reach: Reach::Peer,
    cost: 10,
    mtu: 1100,
    bytes: Allowance { burst: 32 * 1024, per_minute: 600_000 },
    lines: Allowance { burst: 50, per_minute: 600 },
    whole: usize::MAX,
    piece: usize::MAX,
    beacons: (Duration::from_secs(1), Duration::from_secs(30)),
    round_trip: Duration::from_secs(1),
    is_lossy: true,
};

/// An open path.
#[derive(Debug)]
struct Path {
    id: ChannelId,
    /// The channels that it consists of, in order.
    chain: Address,
    is_configured: bool,
    /// Whether the peer at its end has proved that it receives lines sent along the path.
    is_proven: bool,
    /// Number sent last along the path, which the peer has to repeat. It is the salt of a comparison.
    challenge: Option<u64>,
    /// Time at which a line last came along the path.
    heard: Duration,
}

/// Result of opening a path.
pub(crate) enum Opening {
    /// The path is open already.
    Known(ChannelId),
    /// The path was opened now.
    New(ChannelId),
    /// There are too many paths.
    Full,
}

/// The open paths.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    open: Vec<Path>,
    /// Budgets of the first hosts of unproven paths that other nodes opened.
    unproven: BTreeMap<String, Tokens>,
    /// Number of paths that were ever opened.
    opened: u64,
}

impl Paths {
    /// Opens a path, unless it is open already or there are too many.
    pub(crate) fn open(&mut self, chain: &Address, is_configured: bool, elapsed: Duration) -> Opening {
        if let Some(path) = self.open.iter_mut().find(|path| is_same_way(&path.chain, chain)) {
            path.is_configured |= is_configured;
            return Opening::Known(path.id);
        }
        let learned = self.open.iter().filter(|path| !path.is_configured).count();
        if self.open.len() >= MAX_PATHS || (!is_configured && learned >= MAX_LEARNED) {
            return Opening::Full;
        }
        self.opened += 1;
        let id = ChannelId(FIRST + self.opened);
        let (chain, is_proven, challenge) = (chain.clone(), false, None);
        self.open.push(Path { id, chain, is_configured, is_proven, challenge, heard: elapsed });
        Opening::New(id)
    }

    /// Drops configured paths that are not among `chains`, and returns their numbers.
    pub(crate) fn retain_configured(&mut self, chains: &[Address]) -> Vec<ChannelId> {
        self.drop_where(|path| path.is_configured && !chains.contains(&path.chain))
    }

    /// Drops paths that other nodes opened and no longer use, and returns their numbers.
    pub(crate) fn drop_unused(&mut self, elapsed: Duration) -> Vec<ChannelId> {
        self.drop_where(|path| !path.is_configured && path.heard + FORGOTTEN <= elapsed)
    }

    fn drop_where(&mut self, is_over: impl Fn(&Path) -> bool) -> Vec<ChannelId> {
        let over: Vec<ChannelId> =
            self.open.iter().filter(|path| is_over(path)).map(|path| path.id).collect();
        self.open.retain(|path| !over.contains(&path.id));
        let first: BTreeSet<String> = self.open.iter().map(|path| first_host(&path.chain)).collect();
        self.unproven.retain(|host, _| first.contains(host));
        over
    }

    /// Notes a line that came by a chain. Returns its path, if one is open.
    pub(crate) fn heard(&mut self, chain: &Address, elapsed: Duration) -> Option<ChannelId> {
        let path = self.open.iter_mut().find(|path| is_same_way(&path.chain, chain))?;
        path.heard = elapsed;
        Some(path.id)
    }

    /// Notes that a number is sent along a path. Only a node that receives the line can repeat the number.
    pub(crate) fn challenge(&mut self, id: ChannelId, number: u64) {
        if let Some(path) = self.open.iter_mut().find(|path| path.id == id) {
            path.challenge = Some(number);
        }
    }

    /// Notes that a number came by a path. If it is the number that was sent, the peer at the end receives lines sent
    /// along the path.
    pub(crate) fn answered(&mut self, id: ChannelId, number: u64) {
        if let Some(path) = self.open.iter_mut().find(|path| path.id == id) {
            path.is_proven |= path.challenge == Some(number);
        }
    }

    pub(crate) fn is_configured(&self, id: ChannelId) -> bool {
        self.open.iter().any(|path| path.id == id && path.is_configured)
    }

    /// Returns whether this many bytes may be sent along a path, and counts them if so.
    pub(crate) fn may_send(&mut self, id: ChannelId, bytes: usize, elapsed: Duration) -> bool {
        let Some(path) = self.open.iter().find(|path| path.id == id) else { return false };
        if path.is_configured || path.is_proven {
            return true;
        }
        let full = || Tokens::full(UNPROVEN, elapsed);
        let budget = self.unproven.entry(first_host(&path.chain)).or_insert_with(full);
        budget.spend(u32::try_from(bytes).unwrap_or(u32::MAX), elapsed)
    }

    pub(crate) fn chains(&self) -> impl Iterator<Item = &Address> {
        self.open.iter().map(|path| &path.chain)
    }

    /// Returns the chain of a path; `None` for other channels.
    pub(crate) fn chain(&self, id: ChannelId) -> Option<&Address> {
        self.open.iter().find(|path| path.id == id).map(|path| &path.chain)
    }
}

/// Returns the channels by which an answer to a forwarded line goes back; `None` for a line that came directly.
pub(crate) fn way_back(envelope: &Envelope, origin: Origin) -> Option<Address> {
    if envelope.hops == 0 {
        return None;
    }
    let parts: Vec<Part<'_>> = envelope.from.parts().collect();
    let (last, way) = parts.split_last()?;
    let is_there = origin.source.is_none_or(|source| way.first().and_then(Part::ip) == Some(source.ip()));
    let is_chain = matches!(last, Part::Peer(_)) && way.len() > 1 && is_there;
    is_chain.then(|| Address::from_parts(way.iter().copied()).ok())?
}

/// Returns the host to which the first step of a chain leads, without its port.
fn first_host(chain: &Address) -> String {
    let (first, _) = chain.split_first();
    first.ip().map_or_else(|| first.to_string(), |ip| ip.to_string())
}

/// Returns whether two chains lead over the same hosts in the same order. Ports do not matter.
fn is_same_way(one: &Address, other: &Address) -> bool {
    let is_same = |(one, other): (Part<'_>, Part<'_>)| match (one.ip(), other.ip()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    };
    one.parts().count() == other.parts().count() && one.parts().zip(other.parts()).all(is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn open(paths: &mut Paths, chain: &str, is_configured: bool) -> ChannelId {
        match paths.open(&chain.parse().unwrap(), is_configured, Duration::ZERO) {
            Opening::New(id) => id,
            Opening::Known(_) | Opening::Full => panic!("the path was not opened"),
        }
    }

    fn sent(paths: &mut Paths, id: ChannelId) -> usize {
        (0..1000).filter(|_| paths.may_send(id, KIB, Duration::ZERO)).count()
    }

    #[test]
    fn paths_over_one_host_are_limited_until_their_peer_repeats_a_number() {
        let mut paths = Paths::default();
        let [one, other] = [7, 8].map(|last| {
            let far = format!("/ip4/10.2.0.{last}/udp/8000/dswarm-line");
            open(&mut paths, &format!("/ip4/10.1.0.66/udp/8000/dswarm-line{far}"), false)
        });
        assert_eq!((sent(&mut paths, one), sent(&mut paths, other)), (32, 0));
        paths.challenge(one, 7);
        paths.answered(one, 8);
        paths.answered(other, 7);
        assert_eq!((sent(&mut paths, one), sent(&mut paths, other)), (0, 0));
        paths.answered(one, 7);
        assert_eq!((sent(&mut paths, one), sent(&mut paths, other)), (1000, 0));
    }

    #[test]
    fn a_path_that_the_owner_configured_needs_no_proof() {
        let mut paths = Paths::default();
        let id = open(&mut paths, "/ip4/10.1.0.66/udp/8000/dswarm-line", true);
        assert_eq!(sent(&mut paths, id), 1000);
    }
}
