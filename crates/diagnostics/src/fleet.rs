//! The health of all robots, as the set knows it, and which robots are silent.
//!
//! A record has no time of signing, but a service states each item for the lifetime of its bucket. So the time of
//! signing is the end of the validity minus the lifetime. It is not exact if the clock of the signer differs.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::health::{Finding, Level};
use crate::stated::StatedHealth;
use dcache::buckets::{HEALTH, HOSTNAME, PEER};
use dcache::{CLOCK_LEEWAY, Item, Key, Kind, PeerId, Record, Set, Time, View};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Maximum number of robots in a list. The worst ones are kept.
pub const MAX_ROBOTS: usize = 10_000;

/// How the health of a robot is known. The order is from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportState {
    /// The robot states its health.
    Stated,
    /// The robot withdrew its presence, because its daemon was stopped.
    Stopped,
    /// The robot is present, and states no health. Its version may be older, or it has just started.
    Missing,
    /// The robot was there, and its last statement has ended. It lost its power or its network.
    Silent,
}

/// The health of a robot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RobotHealth {
    /// Peer ID of the robot.
    pub peer: PeerId,
    /// Name of the host, if it is known.
    pub name: Option<String>,
    /// Level; STALE unless the robot states its health.
    pub level: Level,
    /// How the health is known.
    pub state: ReportState,
    /// Findings that are not OK, the worst first.
    pub findings: Vec<Finding>,
    /// Number of findings that are not listed.
    pub more: u32,
    /// Seconds since the health was stated; without a health, since the last sign of the robot.
    pub age_seconds: u64,
}

/// Returns the health of all robots that were there in the last days, the worst first.
pub fn fleet(set: &Set, now: Time) -> Vec<RobotHealth> {
    let mut robots: BTreeMap<PeerId, Known> = BTreeMap::new();
    for view in set.matching(&HEALTH.matcher(), now) {
        if let Some((peer, own)) = HEALTH.peer(&view.item.bucket).and_then(|peer| own(&view, peer)) {
            robots.entry(peer).or_default().add_health(own);
        }
    }
    for view in set.matching(&HOSTNAME.matcher(), now) {
        if let Some((peer, own)) = HOSTNAME.peer(&view.item.bucket).and_then(|peer| own(&view, peer)) {
            robots.entry(peer).or_default().add_name(own);
        }
    }
    for view in set.bucket(&PEER.path(), now) {
        if let Some((peer, _)) = view.item.data.as_str().parse().ok().and_then(|peer| own(&view, peer)) {
            robots.entry(peer).or_default().is_present = true;
        }
    }
    let mut list: Vec<RobotHealth> =
        robots.into_iter().map(|(peer, known)| known.into_robot(peer, set, now)).collect();
    list.sort_by_cached_key(|robot| {
        let name = robot.name.as_ref().map(|name| name.to_lowercase());
        (Reverse(robot.level), Reverse(robot.state), name.is_none(), name, robot.peer)
    });
    list.truncate(MAX_ROBOTS);
    list
}

/// The statements of a robot.
#[derive(Debug, Default)]
struct Known {
    name: Option<(Time, String)>,
    health: Option<(Time, StatedHealth)>,
    is_present: bool,
}

impl Known {
    /// Takes a statement about the health, if it is the newest one.
    fn add_health(&mut self, own: &Record) {
        let Some(health) = StatedHealth::from_data(&own.item().data) else { return };
        let signed = signed(own, HEALTH.lifetime());
        if self.health.as_ref().is_none_or(|(known, _)| *known <= signed) {
            self.health = Some((signed, health));
        }
    }

    fn add_name(&mut self, own: &Record) {
        let signed = signed(own, HOSTNAME.lifetime());
        if self.name.as_ref().is_none_or(|(known, _)| *known <= signed) {
            self.name = Some((signed, own.item().data.as_str().to_owned()));
        }
    }

    fn into_robot(self, peer: PeerId, set: &Set, now: Time) -> RobotHealth {
        let presence = set.get(&Key { item: Item { bucket: PEER.path(), data: peer.into() }, signer: peer });
        let stopped = presence.filter(|own| own.kind() == Kind::Dismiss && !self.is_present).map(withdrawn);
        let present =
            presence.filter(|own| own.kind() == Kind::Propose).map(|own| signed(own, PEER.lifetime()));
        let named = self.name.as_ref().map(|(signed, _)| *signed);
        let seen = present.into_iter().chain(named).max().unwrap_or_default();
        let (health, state, at) = match (self.health, stopped) {
            (_, Some(at)) => (None, ReportState::Stopped, at),
            (Some((signed, health)), None) => (Some(health), ReportState::Stated, signed),
            (None, None) if self.is_present => (None, ReportState::Missing, seen),
            (None, None) => (None, ReportState::Silent, seen),
        };
        RobotHealth {
            peer,
            name: self.name.map(|(_, name)| name),
            level: health.as_ref().map_or(Level::Stale, |health| health.level),
            state,
            findings: health.as_ref().map(StatedHealth::findings).unwrap_or_default(),
            more: health.as_ref().map_or(0, |health| health.more),
            age_seconds: now.since(at),
        }
    }
}

/// Returns the peer with its own proposal of an item.
fn own<'a>(view: &View<'a>, peer: PeerId) -> Option<(PeerId, &'a Record)> {
    let own = view.proposals.iter().find(|record| record.signer() == peer)?;
    Some((peer, own))
}

/// Returns the time of signing of a statement that a service makes for `lifetime` seconds.
fn signed(record: &Record, lifetime: u64) -> Time {
    Time(record.validity().until().unwrap_or_default().0.saturating_sub(lifetime))
}

/// Returns the time of signing of a withdrawal. Its validity begins earlier, so that clocks need not agree.
fn withdrawn(record: &Record) -> Time {
    record.validity().from().unwrap_or_default().plus(CLOCK_LEEWAY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Report;
    use crate::health::rules::by_code;
    use dcache::{BucketPath, Data, End, Keypair, Statement, Validity};

    const NOW: Time = Time(1_800_000_000);

    fn key(seed: u8) -> Keypair {
        Keypair::from_seed([seed; 32])
    }

    fn state(set: &mut Set, seed: u8, bucket: BucketPath, data: &str, kind: Kind, validity: Validity) {
        let item = Item { bucket, data: Data::new(data).unwrap() };
        let statement = Statement::new(kind, item, validity).unwrap();
        let sequence = set.latest_sequence(key(seed).peer_id()) + 1;
        let record = Record::sign(statement, &key(seed), sequence, End::default());
        set.admit_verified(record, validity.from().unwrap_or_default()).unwrap();
    }

    /// States the name, the presence and the health of a robot at a time.
    fn robot(set: &mut Set, seed: u8, health: Option<&Report>, time: Time) {
        let peer = key(seed).peer_id();
        let (named, present) =
            (Validity::stated(time, HOSTNAME.lifetime()), Validity::stated(time, PEER.lifetime()));
        state(set, seed, HOSTNAME.of(peer), &format!("robot{seed}"), Kind::Propose, named);
        state(set, seed, PEER.path(), &peer.to_string(), Kind::Propose, present);
        if let Some(health) = health {
            let data = StatedHealth::of(health).to_data().unwrap();
            let validity = Validity::stated(time, HEALTH.lifetime());
            state(set, seed, HEALTH.of(peer), data.as_str(), Kind::Propose, validity);
        }
    }

    fn hot(level: Level) -> Report {
        let finding = by_code("temperature.high").unwrap().finding(level, "cpu", 91.0);
        Report { level, findings: vec![finding] }
    }

    fn names(fleet: &[RobotHealth]) -> Vec<(&str, Level, ReportState, u64)> {
        fleet
            .iter()
            .map(|robot| (robot.name.as_deref().unwrap_or("?"), robot.level, robot.state, robot.age_seconds))
            .collect()
    }

    #[test]
    fn the_worst_robot_comes_first_and_silent_ones_are_listed() {
        let mut set = Set::default();
        robot(&mut set, 1, Some(&Report::default()), NOW);
        robot(&mut set, 2, Some(&hot(Level::Warn)), NOW);
        robot(&mut set, 3, Some(&hot(Level::Error)), NOW);
        robot(&mut set, 4, Some(&Report::default()), Time(NOW.0 - 1000));
        robot(&mut set, 5, None, NOW);
        robot(&mut set, 6, Some(&Report::default()), NOW);
        let stopped = Validity::stated(NOW.plus(5), 600);
        state(&mut set, 6, PEER.path(), &key(6).peer_id().to_string(), Kind::Dismiss, stopped);
        let fleet = fleet(&set, NOW.plus(9));
        assert_eq!(
            names(&fleet),
            [
                ("robot3", Level::Error, ReportState::Stated, 9),
                ("robot4", Level::Stale, ReportState::Silent, 1009),
                ("robot5", Level::Stale, ReportState::Missing, 9),
                ("robot6", Level::Stale, ReportState::Stopped, 4),
                ("robot2", Level::Warn, ReportState::Stated, 9),
                ("robot1", Level::Ok, ReportState::Stated, 9),
            ]
        );
        assert_eq!(fleet[0].findings, hot(Level::Error).findings);
    }

    #[test]
    fn the_newest_of_several_statements_counts() {
        let mut set = Set::default();
        robot(&mut set, 1, Some(&Report::default()), NOW);
        robot(&mut set, 1, Some(&hot(Level::Warn)), NOW.plus(60));
        assert_eq!(names(&fleet(&set, NOW.plus(61))), [("robot1", Level::Warn, ReportState::Stated, 1)]);
    }

    #[test]
    fn nobody_else_states_the_health_of_a_robot() {
        let mut set = Set::default();
        robot(&mut set, 1, Some(&Report::default()), NOW);
        let data = StatedHealth::of(&hot(Level::Error)).to_data().unwrap();
        let item = Item { bucket: HEALTH.of(key(1).peer_id()), data };
        let statement = Statement::new(Kind::Propose, item, Validity::stated(NOW, 600)).unwrap();
        let _ = set.admit_verified(Record::sign(statement, &key(2), 1, End::default()), NOW);
        assert_eq!(names(&fleet(&set, NOW)), [("robot1", Level::Ok, ReportState::Stated, 0)]);
    }

    #[test]
    fn a_health_that_cannot_be_read_is_missing() {
        let mut set = Set::default();
        robot(&mut set, 1, None, NOW);
        let validity = Validity::stated(NOW, 600);
        state(&mut set, 1, HEALTH.of(key(1).peer_id()), "good", Kind::Propose, validity);
        assert_eq!(names(&fleet(&set, NOW)), [("robot1", Level::Stale, ReportState::Missing, 0)]);
    }
}
