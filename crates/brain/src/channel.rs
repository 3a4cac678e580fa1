//! One channel: its medium, its remaining budget, and its beacon timer.

use crate::budget::Budget;
use crate::greeting::Greetings;
use crate::trickle::{TimerAction, Trickle};
use routing::{Address, Capacity, ChannelStatus, Medium, Reach};
use std::time::Duration;

/// Maximum number of proofs of identity on one link. A program asks for one.
const MAX_PROOFS: u32 = 4;

/// A channel that is up.
#[derive(Debug)]
pub(crate) struct Channel {
    medium: Medium,
    /// The limits of the channel; `None` for a link that serves only one question or one comparison.
    capacity: Option<Capacity>,
    /// Whether new records are pushed to it. True for networks and peers, false for a client that only asked a
    /// question.
    pub(crate) is_pushed: bool,
    /// Whether the other side of the link is a program on this computer.
    pub(crate) is_local: bool,
    /// Number of times that this node proved its identity on it.
    proofs: u32,
    /// Number of bad lines so far.
    penalties: u32,
    budget: Option<Budget>,
    /// Timer of the beacons that show this node's records.
    timer: Option<Trickle>,
    /// Greetings of newcomers; `None` where peers are not greeted.
    pub(crate) greetings: Option<Greetings>,
    pub(crate) tally: ChannelStatus,
}

/// Result of trying to send a line.
pub(crate) enum SendOutcome {
    Sent,
    /// The budget is used up until this time.
    OverBudget(Duration),
    /// The line is longer than the channel can ever send.
    TooLong,
}

impl Channel {
    pub(crate) fn new(medium: Medium) -> Self {
        let is_pushed = matches!(medium, Medium::Broadcast { .. } | Medium::Link { dialled: Some(_), .. });
        Self {
            medium,
            capacity: None,
            is_pushed,
            is_local: false,
            proofs: 0,
            penalties: 0,
            budget: None,
            timer: None,
            greetings: None,
            tally: ChannelStatus::default(),
        }
    }

    /// Starts beacons and pushed records on the channel, within the limits of `capacity`. `chance` is a random number
    /// from 0 to 1.
    pub(crate) fn activate(&mut self, name: String, capacity: Capacity, elapsed: Duration, chance: f64) {
        self.is_pushed = true;
        self.tally.name = name;
        self.budget = Some(Budget::full(capacity.clone(), elapsed));
        self.timer = Some(Trickle::new(capacity.beacons, elapsed, chance));
        self.greetings = (capacity.reach == Reach::Lan).then(|| Greetings::new(elapsed));
        self.capacity = Some(capacity);
    }

    pub(crate) fn medium(&self) -> &Medium {
        &self.medium
    }

    pub(crate) fn capacity(&self) -> Option<&Capacity> {
        self.capacity.as_ref()
    }

    pub(crate) fn is_link(&self) -> bool {
        matches!(self.medium, Medium::Link { .. })
    }

    /// Returns whether `address` is the channel's own address.
    pub(crate) fn is_at(&self, address: &Address) -> bool {
        match &self.medium {
            Medium::Broadcast { at, .. } => at.as_ref() == Some(address),
            Medium::Link { dialled, .. } => dialled.map(Address::tcp_line).as_ref() == Some(address),
        }
    }

    /// Returns which nodes hear the channel, as far as that is known.
    pub(crate) fn reach(&self) -> Option<Reach> {
        if self.is_link() { Some(Reach::Peer) } else { self.capacity.as_ref().map(|capacity| capacity.reach) }
    }

    /// Returns whether several nodes hear the channel, so that it is enough if one of them sends a record.
    pub(crate) fn is_shared(&self) -> bool {
        self.capacity.as_ref().is_some_and(|capacity| capacity.reach != Reach::Peer)
    }

    /// Takes the cost of a line of this many bytes from the budget.
    pub(crate) fn spend(&mut self, bytes: usize, elapsed: Duration) -> SendOutcome {
        let Some(budget) = &mut self.budget else { return SendOutcome::Sent };
        match budget.allows(bytes) {
            false => SendOutcome::TooLong,
            true if budget.spend(bytes, elapsed) => SendOutcome::Sent,
            true => SendOutcome::OverBudget(budget.when(bytes)),
        }
    }

    /// Returns whether this node may prove its identity on the channel once more. A proof is a signature, so each link
    /// gets few of them, and the many peers of a network get none.
    pub(crate) fn take_proof(&mut self) -> bool {
        let may = self.is_link() && self.proofs < MAX_PROOFS;
        self.proofs += u32::from(may);
        may
    }

    /// Counts a bad line. Returns true for the line with which a link reaches `limit`, so that it is closed once.
    pub(crate) fn penalize(&mut self, limit: u32) -> bool {
        self.penalties = self.penalties.saturating_add(1);
        self.penalties == limit && self.is_link()
    }

    /// Starts the shortest beacon interval.
    pub(crate) fn reset_timer(&mut self, elapsed: Duration, chance: f64) {
        if let Some(timer) = &mut self.timer {
            timer.reset(elapsed, chance);
        }
    }

    /// Notes a beacon that shows the same records as this node's beacon would.
    pub(crate) fn heard_the_same(&mut self, elapsed: Duration) {
        if let Some(timer) = &mut self.timer {
            timer.heard_the_same(elapsed);
        }
    }

    /// Returns when the beacon timer is due.
    pub(crate) fn next_beacon(&self) -> Option<Duration> {
        self.timer.as_ref().map(Trickle::next)
    }

    /// Returns the action that is due on the beacon timer; see [`Trickle::take_due`].
    pub(crate) fn take_beacon(
        &mut self,
        elapsed: Duration,
        patience: Duration,
        chance: f64,
    ) -> Option<TimerAction> {
        self.timer.as_mut()?.take_due(elapsed, patience, chance)
    }

    /// Returns the status of a channel with these limits, as it is shown to people.
    pub(crate) fn status(&self, capacity: &Capacity, elapsed: Duration) -> ChannelStatus {
        ChannelStatus {
            reach: Some(capacity.reach),
            cost: capacity.cost.into(),
            mtu: capacity.mtu as u64,
            bytes_per_minute: capacity.bytes.per_minute.into(),
            lines_per_minute: capacity.lines.per_minute.into(),
            bytes_left: self.budget.as_ref().map_or(0, |budget| budget.bytes_left(elapsed)),
            ..self.tally.clone()
        }
    }
}
