//! Chooses between broadcast and multicast. In order to save bytes, a line is sent by a small set of cast modes that
//! reaches all peers on an interface.
//!
//! A filter may drop the broadcasts or multicasts to a host while it lets those of the host pass. So the modes by which a
//! peer is heard do not show by which modes it hears. Therefore some lines are sent by all modes: several soon after a
//! new peer was heard, and one each minute later. From these lines, the peer learns by which modes it hears this node.

use dcache::PeerId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time after which a silent peer no longer influences the choice.
const LATELY: Duration = Duration::from_secs(300);
/// Longest interval at which a line is sent by all modes.
const ALL_MODES: Duration = Duration::from_secs(60);
/// Interval at which a line is sent by all modes after a new peer was heard. Each such line doubles the interval, up to
/// [`ALL_MODES`].
const ALL_MODES_AT_FIRST: Duration = Duration::from_secs(2);
/// Shortest interval that a new peer shortens again. So where new peers are heard all the time, four lines within 14 s are
/// sent by all modes.
const RESTARTED: Duration = Duration::from_secs(16);
/// Silence of all peers after which all modes are used, because something may be wrong or nobody is there. A working
/// network is rarely silent for that long, even when one peer sends and the others suppress their copies.
const QUIET: Duration = Duration::from_secs(30);
/// Maximum number of successive lines of a peer that one mode may fail to deliver while other modes deliver them. If it
/// misses more, the mode counts as not reaching that peer.
const MAX_MISSED: u32 = 3;
/// Maximum delay between the copies of a line that different modes deliver.
const COPIES: Duration = Duration::from_secs(2);
/// Time after which a mode that delivers nothing counts as filtered, if other modes deliver lines meanwhile. In this
/// time, each peer sends at least two lines by all modes.
const LONG: Duration = Duration::from_secs(150);
/// Like [`LONG`], for a mode that has missed lines that [`PROOF`] shows. In this time, a peer that hears this node sends
/// four lines by all modes.
const SHORT: Duration = Duration::from_secs(20);
/// Number of successive lines that came by two other modes, and so were most likely sent by all of them. One or two of
/// them may get lost on a bad network.
const PROOF: u32 = 3;
/// Maximum number of peers that are remembered.
const MAX_PEERS: usize = 512;

/// A way of sending one datagram to all hosts on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CastMode {
    /// To the broadcast address of each IPv4 network.
    Broadcast,
    /// To the IPv4 group.
    Multicast4,
    /// To the IPv6 group.
    Multicast6,
}

impl CastMode {
    /// All modes, the preferred one first.
    pub(crate) const ALL: [Self; 3] = [Self::Broadcast, Self::Multicast4, Self::Multicast6];
}

/// A set of cast modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CastModes([bool; CastMode::ALL.len()]);

impl CastModes {
    /// Returns the set with this mode added.
    pub(crate) fn with(mut self, mode: CastMode) -> Self {
        self.0[mode as usize] = true;
        self
    }

    /// Returns whether a mode is in the set.
    pub(crate) fn has(self, mode: CastMode) -> bool {
        self.0[mode as usize]
    }

    /// Returns the modes that are not in the other set.
    pub(crate) fn without(self, other: Self) -> Self {
        self.iter().filter(|mode| !other.has(*mode)).fold(Self::default(), Self::with)
    }

    /// Returns the modes of the set, the preferred one first.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = CastMode> {
        CastMode::ALL.into_iter().filter(move |mode| self.has(*mode))
    }
}

/// Reception history of one peer.
#[derive(Clone, Debug)]
struct Heard {
    first: Duration,
    last: Duration,
    by: [ByMode; CastMode::ALL.len()],
    /// Hash of the last line, and the modes that have delivered it so far. The same line by another mode is a copy.
    line: u64,
    came: CastModes,
}

/// Reception history of one peer by one mode.
#[derive(Clone, Copy, Debug, Default)]
struct ByMode {
    last: Option<Duration>,
    /// Number of lines that other modes have delivered since `last`.
    missed: u32,
}

impl Heard {
    fn new(now: Duration) -> Self {
        Self { first: now, last: now, by: Default::default(), line: 0, came: CastModes::default() }
    }

    /// Records a line. Returns whether the line is new, and not a copy of the last one.
    fn note(&mut self, mode: CastMode, line: u64, now: Duration) -> bool {
        let is_copy = line == self.line
            && self.came != CastModes::default()
            && !self.came.has(mode)
            && now.saturating_sub(self.last) <= COPIES;
        if !is_copy {
            (self.line, self.came) = (line, CastModes::default());
            self.by.iter_mut().for_each(|by| by.missed = by.missed.saturating_add(1));
        }
        self.last = now;
        self.came = self.came.with(mode);
        self.by[mode as usize] = ByMode { last: Some(now), missed: 0 };
        !is_copy
    }

    fn is_reached_by(&self, mode: CastMode, now: Duration) -> bool {
        self.by[mode as usize].missed <= MAX_MISSED && self.heard_within(mode, LATELY, now)
    }

    fn heard_within(&self, mode: CastMode, time: Duration, now: Duration) -> bool {
        self.by[mode as usize].last.is_some_and(|last| now.saturating_sub(last) <= time)
    }
}

/// The peers that a line reaches, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineReach {
    /// Only some peers hear the modes by which the line came.
    Some,
    /// The modes by which the line came before reach all peers.
    All,
    /// Together with the last mode by which it came, its modes reach all peers.
    AllByThis,
}

/// Remembers by which modes the peers on one interface were heard, and chooses the modes for sending. Times count from
/// any fixed moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct CastSelector {
    peers: BTreeMap<PeerId, Heard>,
    last_heard: Option<Duration>,
    last_all: Option<Duration>,
    /// Time after `last_all` at which the next line is sent by all modes.
    pause: Duration,
    available: CastModes,
    /// For each mode, the number of successive lines that came by two other modes and not by this one.
    missed: [u32; CastMode::ALL.len()],
}

impl CastSelector {
    /// Records a line of a peer, given by its hash. Returns whether the line is new, and not a copy of
    /// the peer's last line.
    pub(crate) fn heard(&mut self, peer: PeerId, mode: CastMode, line: u64, now: Duration) -> bool {
        self.last_heard = Some(now);
        if !self.peers.contains_key(&peer) {
            if self.peers.len() >= MAX_PEERS {
                self.forget_one();
            }
            if self.pause >= RESTARTED {
                self.pause = ALL_MODES_AT_FIRST;
            }
        }
        let heard = self.peers.entry(peer).or_insert_with(|| Heard::new(now));
        let (is_new, came) = (heard.note(mode, line, now), heard.came);
        self.missed[mode as usize] = 0;
        if came.iter().count() == 2 && !is_new {
            let others = CastMode::ALL.into_iter().filter(|other| !came.has(*other));
            others.for_each(|other| {
                self.missed[other as usize] = self.missed[other as usize].saturating_add(1)
            });
        }
        is_new
    }

    /// Returns which peers the last line of a peer reaches, which came by `mode` at last.
    pub(crate) fn reach(&self, peer: PeerId, mode: CastMode, now: Duration) -> LineReach {
        let came = self.peers.get(&peer).map_or(CastModes::default(), |heard| heard.came);
        let needed = self.cover(self.available, now);
        let before = came.without(CastModes::default().with(mode));
        let suffice = |modes: CastModes| needed.without(modes) == CastModes::default();
        match (suffice(before), suffice(came)) {
            (true, _) => LineReach::All,
            (false, true) => LineReach::AllByThis,
            (false, false) => LineReach::Some,
        }
    }

    fn forget_one(&mut self) {
        let longest_silent = self.peers.iter().min_by_key(|(_, heard)| heard.last).map(|(peer, _)| *peer);
        longest_silent.and_then(|peer| self.peers.remove(&peer));
    }

    /// Returns the available modes by which the next line to all hosts is sent.
    pub(crate) fn choose(&mut self, available: CastModes, now: Duration) -> CastModes {
        self.peers.retain(|_, heard| now.saturating_sub(heard.last) <= LATELY);
        let is_due = self.last_all.is_none_or(|last| now.saturating_sub(last) >= self.pause);
        let is_quiet = self.last_heard.is_none_or(|last| now.saturating_sub(last) > QUIET);
        if is_due || is_quiet || available != self.available {
            (self.last_all, self.available) = (Some(now), available);
            self.pause = (self.pause * 2).clamp(ALL_MODES_AT_FIRST, ALL_MODES);
            return available;
        }
        self.cover(available, now)
    }

    /// Returns a small set of modes that reaches all peers, chosen greedily: the mode that reaches most of them comes
    /// first.
    fn cover(&self, available: CastModes, now: Duration) -> CastModes {
        let mut left: Vec<&Heard> = self.peers.values().collect();
        let mut chosen = CastModes::default();
        loop {
            let covered =
                |mode: &CastMode| left.iter().filter(|heard| heard.is_reached_by(*mode, now)).count();
            // `max_by_key` returns the last of equal elements, so the preferred mode has to come last.
            let best = available.without(chosen).iter().rev().max_by_key(covered);
            match best.filter(|mode| covered(mode) > 0) {
                Some(mode) => {
                    left.retain(|heard| !heard.is_reached_by(mode, now));
                    chosen = chosen.with(mode);
                }
                // The remaining peers are reached by none of the available modes.
                None if chosen == CastModes::default() => return available,
                None => return chosen,
            }
        }
    }

    /// Returns whether one mode has delivered no line within [`LONG`], although a peer is still heard by another mode. The
    /// peer must have been heard for that long, or only for [`SHORT`] with a [`PROOF`] that lines were missed.
    pub(crate) fn is_silent(&self, mode: CastMode, other: CastMode, now: Duration) -> bool {
        let time = if self.missed[mode as usize] >= PROOF { SHORT } else { LONG };
        let is_witness = |heard: &Heard| {
            now.saturating_sub(heard.first) >= time && heard.heard_within(other, ALL_MODES + QUIET, now)
        };
        let mut peers = self.peers.values();
        peers.any(is_witness) && !self.peers.values().any(|heard| heard.heard_within(mode, LONG, now))
    }

    /// Returns whether any peer was heard within the last 150 seconds, by any mode.
    pub(crate) fn is_anybody_heard(&self, now: Duration) -> bool {
        self.last_heard.is_some_and(|last| now.saturating_sub(last) <= LONG)
    }
}

#[cfg(test)]
mod tests;
