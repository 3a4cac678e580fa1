//! The pure decider. It decides when a node states, renews and withdraws the health of its robot.
//!
//! A change of the level is stated at once, and a change of the findings alone after a pause. Both are limited, so that
//! a robot whose health changes all the time does not flood its network. An unchanged health is renewed when half of
//! its lifetime is over, like the presence.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::allowance::Allowance;
use crate::health::{Level, Report};
use crate::stated::StatedHealth;
use dcache::buckets::HEALTH;
use dcache::{Data, Item, Key, Kind, Moment, PeerId, Set, Statements, Time, Validity};
use service::{Decide, Decision};
use std::collections::VecDeque;
use std::convert::Infallible;

/// Seconds after a new statement before which a change of the findings alone is not stated.
pub const DETAIL_PAUSE: u64 = 30;
/// Number of own statements that are remembered, to know them from those of another host with the same key.
const REMEMBERED: usize = 8;

/// Decides the statements of a node about the health of its robot.
#[derive(Clone, Debug)]
pub struct HealthAnnouncer {
    me: PeerId,
    /// Health to state; `None` until it is known.
    wanted: Option<StatedHealth>,
    /// Data of the statements that this host made, the last one at the end.
    made: VecDeque<Data>,
    /// Time of the last new statement.
    changed: Option<Time>,
    allowance: Allowance,
    is_copied: bool,
    is_leaving: bool,
}

impl HealthAnnouncer {
    /// Creates the decider of the node `me`.
    pub fn new(me: PeerId) -> Self {
        Self {
            me,
            wanted: None,
            made: VecDeque::new(),
            changed: None,
            allowance: Allowance::default(),
            is_copied: false,
            is_leaving: false,
        }
    }

    /// Replaces the health of the robot. Returns whether people would see another health, so that the node must decide.
    /// A value that changes alone is not stated again.
    pub fn set_health(&mut self, report: &Report) -> bool {
        let new = StatedHealth::of(report);
        let is_same = self.wanted.as_ref().is_some_and(|wanted| wanted.is_same(&new));
        if !is_same {
            self.wanted = Some(new);
        }
        !is_same
    }

    /// Sets whether another host uses the key of this node.
    pub fn set_copied(&mut self, is_copied: bool) {
        self.is_copied = is_copied;
    }

    /// Notes that the node stops. The next decisions only withdraw its health, which is not known any more.
    pub fn leave(&mut self) {
        self.is_leaving = true;
    }
}

impl Decide for HealthAnnouncer {
    type Action = Infallible;

    /// Proposes the health when it is new or has passed half of its validity. Withdraws the former one.
    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Infallible> {
        let stated = self.stated(set, now.time);
        let mut statements = Statements::new();
        if self.is_leaving {
            self.withdraw(&mut statements, &stated, None, now.time);
            return Decision::state(statements, None);
        }
        let due = self.due(&stated, now.time);
        let renewal = due.as_ref().map(|item| self.renew(&mut statements, set, item, now));
        if let Some(item) = &due {
            self.withdraw(&mut statements, &stated, Some(item), now.time);
        }
        // The policy can deny a peer, which then makes no statements. When the denial ends, the roles change.
        let roles = set.next_edge(&[], now.time);
        let change = self.next_change(due.as_ref(), now.time);
        Decision::state(statements, renewal.into_iter().chain(change).chain(roles).min())
    }
}

impl HealthAnnouncer {
    /// Returns the item that the node states now: the wanted health if it may, else the last one.
    fn due(&mut self, stated: &[Item], now: Time) -> Option<Item> {
        let wanted = self.wanted.clone()?;
        if let Some(same) = stated.iter().find(|item| is_about(item, |health| health.is_same(&wanted))) {
            return Some(same.clone());
        }
        let former = self.made.back().and_then(|made| stated.iter().find(|item| item.data == *made));
        if self.pause(former, wanted.level, now) > 0 || !self.allowance.take(now) {
            return former.cloned();
        }
        let data = wanted.to_data().ok()?;
        self.changed = Some(now);
        self.made.push_back(data.clone());
        if self.made.len() > REMEMBERED {
            self.made.pop_front();
        }
        Some(Item { bucket: HEALTH.of(self.me), data })
    }

    /// Returns the seconds before another health with this level may be stated in place of the former one. A clock that
    /// was set back ends the pause.
    fn pause(&self, former: Option<&Item>, level: Level, now: Time) -> u64 {
        let is_detail = former.is_some_and(|item| is_about(item, |health| health.level == level));
        let changed = self.changed.filter(|changed| is_detail && *changed <= now);
        changed.map_or(0, |changed| DETAIL_PAUSE.saturating_sub(now.since(changed)))
    }

    /// Returns the time at which the wanted health may be stated, if the node states another one or none.
    fn next_change(&self, due: Option<&Item>, now: Time) -> Option<Time> {
        let wanted = self.wanted.as_ref()?;
        if due.is_some_and(|item| is_about(item, |health| health.is_same(wanted))) {
            return None;
        }
        let wait = self.pause(due, wanted.level, now).max(self.allowance.wait(now));
        Some(now.plus(wait.max(1)))
    }

    /// Adds the statement of an item if it is missing or has passed half of its validity. Returns the time of the next
    /// renewal.
    fn renew(&self, statements: &mut Statements, set: &Set, item: &Item, now: Moment) -> Time {
        // A neighbour's clock may be `ahead` seconds ahead of ours. There the statement expires that much earlier.
        let (lifetime, ahead) = (HEALTH.lifetime(), now.latest().since(now.time));
        let margin = lifetime / 2 + ahead;
        let own = set.get(&Key { item: item.clone(), signer: self.me });
        let former = own.filter(|own| own.kind() == Kind::Propose).map(|own| *own.validity());
        let holds_for_all = |own: &Validity| own.from().is_none_or(|from| from <= now.earliest());
        let until = former.filter(holds_for_all).filter(|_| self.counts(set, item, now.time));
        let until = until.and_then(|own| own.until()).filter(|until| *until > now.time.plus(margin));
        let until = until.unwrap_or_else(|| {
            statements.propose(item.clone(), Validity::renewed(former.as_ref(), now.time, lifetime));
            now.time.plus(lifetime + ahead)
        });
        Time(until.0.saturating_sub(margin))
    }

    /// Returns whether the proposal of the item by this node counts.
    fn counts(&self, set: &Set, item: &Item, now: Time) -> bool {
        let view = set.item(item, now);
        view.is_some_and(|view| view.proposals.iter().any(|record| record.signer() == self.me))
    }

    /// Withdraws the former health of this host. Health that another host with the same key states is left to expire.
    fn withdraw(&self, statements: &mut Statements, stated: &[Item], kept: Option<&Item>, now: Time) {
        let is_ours = |item: &&Item| !self.is_copied || self.made.contains(&item.data);
        for former in stated.iter().filter(|item| Some(*item) != kept).filter(is_ours) {
            statements.propose(former.clone(), Validity::over(now));
        }
    }

    /// Returns the items that this node states.
    fn stated(&self, set: &Set, now: Time) -> Vec<Item> {
        set.bucket(&HEALTH.of(self.me), now).map(|view| view.item.clone()).collect()
    }
}

/// Returns whether an item states a health for which this holds.
fn is_about(item: &Item, holds: impl Fn(&StatedHealth) -> bool) -> bool {
    StatedHealth::from_data(&item.data).is_some_and(|health| holds(&health))
}

#[cfg(test)]
mod tests;
