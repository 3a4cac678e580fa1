//! A row of the table while its facts are gathered.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{FOREIGN_HERE, HEARD_HERE, HEARD_LATELY, SHOWN, Sighting, Surroundings};
use crate::Profile;
use crate::protocol::{Fact, Heard, MAX_HEARD, MAX_SHOWN_ADDRESSES, Place, Robot, Source};
use dcache::{PeerId, Time};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// Maximum length of an address, in bytes. Honest addresses have at most some 150 bytes.
const MAX_ADDRESS_BYTES: usize = 256;

/// State of a peer's presence according to the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Presence {
    /// No record is known.
    #[default]
    Unknown,
    /// The peer is present.
    Stated,
    /// The peer's own statement ended at this time, or an admin denies it.
    Over(Time),
    /// The peer withdrew its statement.
    Withdrawn,
}

/// A row of the table while its facts are gathered.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) robot: Robot,
    pub(super) presence: Presence,
    /// IP addresses at which the robot was heard or accepts connections.
    pub(super) hosts: BTreeSet<IpAddr>,
    /// Ports at which the robot accepts lines.
    pub(super) ports: BTreeSet<u16>,
    /// Device IDs that were stated with the key of the robot.
    devices: BTreeSet<String>,
    /// Tags of devices that were stated with the key of the robot.
    hosts_by_tag: BTreeSet<String>,
    /// Age, in seconds, of the youngest statement of the robot.
    stated: Option<u64>,
    /// Age, in seconds, of the last line of the robot on any channel.
    heard: Option<u64>,
    /// Age, in seconds, of the last line of the robot on a network of this host, or of its last foreign answer.
    heard_here: Option<u64>,
}

impl Draft {
    /// Notes that the robot made a statement of this age.
    pub(super) fn note_stated(&mut self, age: u64) {
        note(&mut self.stated, age);
    }

    /// Notes that the robot was heard this many seconds ago.
    pub(super) fn note_heard(&mut self, age: u64, is_here: bool) {
        note(&mut self.heard, age);
        if is_here {
            note(&mut self.heard_here, age);
        }
    }

    /// Adds a sighting. Sightings are added in the order of their ages.
    pub(super) fn add_sighting(&mut self, sighting: &Sighting) {
        let age_seconds = sighting.age.as_secs();
        self.note_heard(age_seconds, sighting.is_on_network);
        self.hosts.extend(sighting.address.map(|address| address.ip().to_canonical()));
        let address = sighting.address.map(|address| address.to_string());
        self.robot.heard.push(Heard { channel: sighting.channel.clone(), address, age_seconds });
    }

    /// Adds an address at which the robot accepts connections, as the robot states it. `host` is its IP address and
    /// port, if it accepts lines there.
    pub(super) fn add_address(&mut self, stated: &str, host: Option<SocketAddr>, age_seconds: u64) {
        if self.robot.addresses.len() < MAX_SHOWN_ADDRESSES && stated.len() <= MAX_ADDRESS_BYTES {
            self.hosts.extend(host.map(|host| host.ip().to_canonical()));
            self.ports.extend(host.map(|host| host.port()));
            let (value, source) = (stated.to_owned(), Source::Record);
            self.robot.addresses.push(Fact { value, age_seconds, source });
        }
    }

    /// Adds a profile. Of several profiles, the youngest one counts.
    pub(super) fn add_profile(&mut self, profile: Profile, age: u64) {
        let Profile { boot, configuration, device, distro, hardware, host, robot_type } = profile;
        self.devices.extend(device.clone());
        self.hosts_by_tag.extend(host);
        let Robot { boot: b, configuration: c, device: d, distro: e, hardware: f, robot_type: g, .. } =
            &mut self.robot;
        let facts = [(b, boot), (c, configuration), (d, device), (e, distro), (f, hardware), (g, robot_type)];
        for (fact, value) in facts {
            put_younger(fact, value, age, Source::Record);
        }
    }

    /// Returns the row of a peer, or `None` if the peer was not seen for too long.
    pub(super) fn into_robot(self, peer: PeerId, around: &Surroundings, now: Time) -> Option<Robot> {
        let is_me = peer == around.me;
        let youngest = self.stated.into_iter().chain(self.heard).min();
        if !is_me && youngest.is_none_or(|age| age > SHOWN.as_secs()) {
            return None;
        }
        let place = if is_me { Place::Here } else { self.place(now) };
        let has_several = self.devices.len() > 1 || self.hosts_by_tag.len() > 1;
        let is_copied = has_several || is_me && around.is_copied;
        let age_seconds = self.heard.or(self.stated);
        let mut robot = Robot { peer: Some(peer), place, is_me, is_copied, age_seconds, ..self.robot };
        limit_heard(&mut robot.heard);
        Some(robot)
    }

    /// Returns the row of a robot without dt-swarm, or `None` if it was not heard for too long.
    pub(super) fn into_foreign(self) -> Option<Robot> {
        let age = self.heard.filter(|age| *age <= SHOWN.as_secs())?;
        let place = if age <= FOREIGN_HERE.as_secs() { Place::Here } else { Place::Away };
        let mut robot = Robot { place, age_seconds: Some(age), ..self.robot };
        limit_heard(&mut robot.heard);
        Some(robot)
    }

    fn place(&self, now: Time) -> Place {
        if !self.is_present(now) {
            return Place::Away;
        }
        match self.heard_here {
            Some(age) if age <= HEARD_HERE.as_secs() => Place::Here,
            _ => Place::Elsewhere,
        }
    }

    fn is_present(&self, now: Time) -> bool {
        let lately = self.heard.filter(|age| *age <= HEARD_LATELY.as_secs());
        match self.presence {
            Presence::Stated => true,
            Presence::Unknown => lately.is_some(),
            Presence::Over(end) => lately.is_some_and(|age| now.0.saturating_sub(age) > end.0),
            // The time of the withdrawal is not known, so a line may have been sent before it. A robot that is back
            // states its presence at once.
            Presence::Withdrawn => false,
        }
    }
}

fn limit_heard(heard: &mut Vec<Heard>) {
    heard.sort_by(|one, other| {
        let key = |heard: &Heard| (heard.age_seconds, heard.channel.clone(), heard.address.clone());
        key(one).cmp(&key(other))
    });
    heard.dedup();
    heard.truncate(MAX_HEARD);
}

/// Replaces an age by a smaller one.
fn note(known: &mut Option<u64>, age: u64) {
    *known = Some(known.map_or(age, |known| known.min(age)));
}

/// Replaces a fact by a younger one. Of two facts of the same age, the one with the smaller text stays, so that the order
/// in which facts come has no effect.
pub(super) fn put_younger(fact: &mut Option<Fact>, value: Option<String>, age_seconds: u64, source: Source) {
    let Some(value) = value else { return };
    let is_better =
        |known: &Fact| (age_seconds, &value, source) < (known.age_seconds, &known.value, known.source);
    if fact.as_ref().is_none_or(is_better) {
        *fact = Some(Fact { value, age_seconds, source });
    }
}
