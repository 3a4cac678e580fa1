//! The table of robots without dt-swarm.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::text::{FactKind, parse_instance, service_name, value_of};
use crate::foreign::ForeignRobot;
use crate::foreign::dns::{Data, Message, Name};
use crate::foreign::ping::Pong;
use crate::foreign::schedule::LAST_PAUSE;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Maximum number of robots in the table. The one that was not heard for the longest time leaves.
pub const MAX_ROBOTS: usize = 512;
/// Maximum number of robots that one host may name. A reflector between two networks names many, a robot itself one.
const MAX_OF_A_SOURCE: usize = 128;
/// Maximum number of addresses that are kept for a robot.
const MAX_ADDRESSES: usize = 4;
/// Maximum number of hosts whose facts about one robot are kept.
const MAX_SOURCES: usize = 4;
/// Minimum time between two rounds of questions that are counted, and the number of rounds that a host may miss until
/// another host that answers for the same robot takes its place. A robot that changes its address is found within a
/// minute, and a few lost datagrams give a robot to nobody else.
const ROUND: Duration = Duration::from_secs(10);
const MAX_MISSED: u32 = 6;
/// Time after which an earlier name of a host is no longer listed, if the host was heard under another name meanwhile.
const RENAMED: Duration = Duration::from_secs(60);
/// Shortest and longest lifetime of a fact.
///
/// An answer to a question from an ephemeral port has a lifetime of at most ten seconds, whatever the robot chose
/// (RFC 6762, section 6.7). So the lifetime in the record cannot be used alone: a fact has to live until two questions
/// remained without an answer. The longest lifetime is the one of multicast DNS for such records, 75 minutes.
const LIFETIME: (Duration, Duration) =
    (Duration::from_secs(2 * LAST_PAUSE + 60), Duration::from_secs(75 * 60));
/// Time for which the answer to a ping is kept.
const PONG_LIFETIME: Duration = Duration::from_secs(300);
/// Time after which a robot does not count as starting any more, if other facts of it were heard in the meantime. The
/// withdrawal of a fact is sent by multicast to a port that this host does not open, so the fact is missed instead.
const STARTING: Duration = Duration::from_secs(10);

/// The robots that were heard. Times count from a fixed moment.
#[derive(Debug, Default)]
pub struct ForeignTable {
    robots: BTreeMap<String, Row>,
    pongs: BTreeMap<IpAddr, Answered>,
}

/// A robot that publishes facts.
#[derive(Debug)]
struct Row {
    /// The facts by the host that stated them. The host that first named the robot has precedence, so that another one
    /// can neither change nor withdraw its facts.
    facts: BTreeMap<(FactKind, IpAddr), Fact>,
    /// Addresses of the robot, the latest first.
    addresses: Vec<IpAddr>,
    /// The host that first named the robot.
    source: IpAddr,
    /// Number of rounds of questions that other hosts answered for the robot since this host last did, and the time at
    /// which the last one was counted.
    missed: (u32, Duration),
}

#[derive(Debug)]
struct Fact {
    value: Option<String>,
    at: Duration,
    until: Duration,
}

/// A robot that answered a ping.
#[derive(Debug)]
struct Answered {
    pong: Pong,
    at: Duration,
}

impl ForeignTable {
    /// Takes the facts in a response that came from `source`.
    pub fn take_message(&mut self, message: &Message, source: IpAddr, now: Duration) {
        if !message.is_response {
            return;
        }
        self.expire(now);
        let (service, mut named, addresses) = (service_name(), BTreeSet::new(), addresses(message));
        for record in &message.records {
            let (instance, rdata) = match &record.data {
                Data::Ptr(instance) if record.name == service => (instance, None),
                Data::Txt(rdata) => (&record.name, Some(rdata)),
                Data::Srv { .. } => (&record.name, None),
                _ => continue,
            };
            let Some((kind, host)) = parse_instance(instance, &service) else { continue };
            if record.ttl == 0 {
                self.withdraw(&host, kind, source);
                continue;
            }
            self.hear(&host, kind, rdata.map(|rdata| value_of(kind, rdata)), record.ttl, source, now);
            if let Data::Srv { target, .. } = &record.data {
                named.insert((host, target.key()));
            }
        }
        for (host, target) in named {
            let of_target = addresses.get(&target).map_or([].as_slice(), Vec::as_slice);
            self.note_address(&host, of_target, source);
        }
    }

    /// Takes the answer to a ping that came from `source`.
    pub fn take_pong(&mut self, pong: Pong, source: IpAddr, now: Duration) {
        self.expire(now);
        if !self.pongs.contains_key(&source) {
            self.make_room();
        }
        self.pongs.insert(source, Answered { pong, at: now });
    }

    /// Returns the robots that were heard, sorted by name. A robot that published facts and answered a ping is one
    /// entry.
    pub fn list(&mut self, now: Duration) -> Vec<ForeignRobot> {
        self.expire(now);
        let named = self.last_named();
        let is_renamed =
            |address: IpAddr, at: Duration| named.get(&address).is_some_and(|last| at + RENAMED < *last);
        let present =
            self.robots.iter().filter(|(_, row)| !is_renamed(row.source, row.heard()) || !row.is_of_source());
        let mut robots: Vec<ForeignRobot> = present.map(|(name, row)| row.robot(name, now)).collect();
        for (address, answered) in &self.pongs {
            let name = &answered.pong.name;
            let is_known = self.robots.get(name).is_some_and(|row| row.is_at(*address));
            let known = is_known.then(|| robots.iter_mut().find(|robot| robot.name == *name)).flatten();
            match known {
                Some(robot) => answered.complete(robot, now),
                None if is_renamed(*address, answered.at) => {}
                None => robots.push(answered.robot(*address, now)),
            }
        }
        robots.sort_by(|a, b| (&a.name, a.address).cmp(&(&b.name, b.address)));
        robots
    }

    /// Returns the number of robots.
    pub fn len(&self) -> usize {
        self.robots.len() + self.pongs.len()
    }

    /// Returns whether no robot is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns when each host that names only itself last did so.
    fn last_named(&self) -> BTreeMap<IpAddr, Duration> {
        let mut last = BTreeMap::new();
        for row in self.robots.values().filter(|row| row.is_of_source()) {
            let known = last.entry(row.source).or_default();
            *known = row.heard().max(*known);
        }
        last
    }

    fn hear(
        &mut self,
        host: &str,
        kind: FactKind,
        value: Option<Option<String>>,
        ttl: u32,
        source: IpAddr,
        now: Duration,
    ) {
        if !self.robots.contains_key(host) {
            self.make_room_for(source);
            self.make_room();
            let row = Row { facts: BTreeMap::new(), addresses: Vec::new(), source, missed: (0, now) };
            self.robots.insert(host.to_owned(), row);
        }
        let Some(row) = self.robots.get_mut(host) else { return };
        if !row.takes(source) {
            return;
        }
        row.count_missed(source, now);
        if row.addresses.is_empty() {
            row.addresses.push(source);
        }
        let until = now + Duration::from_secs(ttl.into()).clamp(LIFETIME.0, LIFETIME.1);
        let fact = row.facts.entry((kind, source)).or_insert(Fact { value: None, at: now, until });
        (fact.at, fact.until) = (now, until);
        if let Some(value) = value {
            fact.value = value;
        }
    }

    /// Removes a fact that `source` stated.
    fn withdraw(&mut self, host: &str, kind: FactKind, source: IpAddr) {
        if let Some(row) = self.robots.get_mut(host) {
            row.facts.remove(&(kind, source));
        }
        self.robots.retain(|_, row| !row.facts.is_empty());
    }

    /// Notes the address of a robot: the one from which it answered if that is one of its own, else the first of its own.
    fn note_address(&mut self, host: &str, own: &[IpAddr], source: IpAddr) {
        let Some(row) = self.robots.get_mut(host).filter(|row| row.source == source) else { return };
        let address = match own.contains(&source) {
            true => source,
            false => own.first().copied().unwrap_or(source),
        };
        row.addresses.retain(|known| *known != address);
        row.addresses.insert(0, address);
        row.addresses.truncate(MAX_ADDRESSES);
    }

    /// Removes what was not heard for too long.
    fn expire(&mut self, now: Duration) {
        for row in self.robots.values_mut() {
            row.expire(now);
        }
        self.robots.retain(|_, row| !row.facts.is_empty());
        self.pongs.retain(|_, answered| answered.at + PONG_LIFETIME > now);
    }

    /// Removes the oldest robot that was named by `source`, if it named too many.
    fn make_room_for(&mut self, source: IpAddr) {
        let named = self.robots.iter().filter(|(_, row)| row.source == source);
        if named.clone().count() >= MAX_OF_A_SOURCE {
            let oldest = named.min_by_key(|(_, row)| row.heard()).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.robots.remove(&name));
        }
    }

    /// If the table is full, removes the oldest robot of the host that named the most. So hosts that name many robots
    /// displace only each other.
    fn make_room(&mut self) {
        if self.len() < MAX_ROBOTS {
            return;
        }
        let mut named: BTreeMap<IpAddr, usize> = BTreeMap::new();
        let sources = self.robots.values().map(|row| row.source).chain(self.pongs.keys().copied());
        sources.for_each(|source| *named.entry(source).or_default() += 1);
        let worth = |source: &IpAddr, at: Duration| (Reverse(named.get(source).copied()), at);
        let row = self.robots.iter().map(|(name, row)| (worth(&row.source, row.heard()), name)).min();
        let pong = self.pongs.iter().map(|(address, answered)| (worth(address, answered.at), address)).min();
        match (row, pong) {
            (Some((row, name)), pong) if pong.is_none_or(|(pong, _)| row <= pong) => {
                let name = name.clone();
                self.robots.remove(&name);
            }
            (_, Some((_, address))) => {
                let address = *address;
                self.pongs.remove(&address);
            }
            _ => {}
        }
    }
}

/// Returns the addresses in a message by the keys of their names.
fn addresses(message: &Message) -> BTreeMap<Vec<u8>, Vec<IpAddr>> {
    let mut addresses: BTreeMap<Vec<u8>, Vec<IpAddr>> = BTreeMap::new();
    let mut note = |name: &Name, ip: IpAddr| addresses.entry(name.key()).or_default().push(ip);
    for record in message.records.iter().filter(|record| record.ttl > 0) {
        match &record.data {
            Data::A(ip) => note(&record.name, (*ip).into()),
            Data::Aaaa(ip) => note(&record.name, (*ip).into()),
            _ => {}
        }
    }
    // People type IPv4 addresses more easily.
    addresses.values_mut().for_each(|ips| ips.sort_by_key(IpAddr::is_ipv6));
    addresses
}

impl Row {
    /// Returns the time at which the robot was last heard.
    fn heard(&self) -> Duration {
        self.facts.values().map(|fact| fact.at).max().unwrap_or_default()
    }

    /// Returns whether the table keeps facts of this host about the robot.
    fn takes(&self, source: IpAddr) -> bool {
        let sources: BTreeSet<IpAddr> = self.facts.keys().map(|(_, source)| *source).collect();
        sources.len() < MAX_SOURCES || sources.contains(&source)
    }

    /// Counts the rounds in which only other hosts answer for the robot. After some of them, the robot has another
    /// address.
    fn count_missed(&mut self, source: IpAddr, now: Duration) {
        if source == self.source {
            self.missed = (0, now);
        } else if self.missed.1 + ROUND <= now {
            self.missed = (self.missed.0 + 1, now);
            if self.missed.0 >= MAX_MISSED {
                (self.source, self.addresses, self.missed.0) = (source, vec![source], 0);
            }
        }
    }

    /// Returns whether the robot is at the host that named it.
    fn is_of_source(&self) -> bool {
        self.addresses.first() == Some(&self.source)
    }

    /// Removes the facts that were not heard for too long. If those of the host that first named the robot are gone, the
    /// one that was heard last takes its place.
    fn expire(&mut self, now: Duration) {
        self.facts.retain(|_, fact| fact.until > now);
        if !self.facts.keys().any(|(_, source)| *source == self.source)
            && let Some(((_, source), _)) = self.facts.iter().max_by_key(|(_, fact)| fact.at)
        {
            self.source = *source;
            self.addresses = vec![*source];
        }
    }

    /// Returns the facts of a kind, that of the host that first named the robot first.
    fn of_kind(&self, kind: FactKind) -> impl Iterator<Item = &Fact> {
        let stated = |wanted: bool| {
            let facts = self.facts.iter().filter(move |((of, _), _)| *of == kind);
            facts.filter(move |((_, source), _)| (*source == self.source) == wanted).map(|(_, fact)| fact)
        };
        stated(true).chain(stated(false))
    }

    fn is_at(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    fn status(&self) -> Option<&'static str> {
        let heard = self.heard();
        let is_starting = |fact: &Fact| fact.at + STARTING >= heard;
        if self.of_kind(FactKind::Booting).next().is_some_and(is_starting) {
            return Some("Booting");
        }
        self.of_kind(FactKind::Presence).next().map(|_| "Ready")
    }

    fn robot(&self, name: &str, now: Duration) -> ForeignRobot {
        let value = |kind| self.of_kind(kind).find_map(|fact| fact.value.clone());
        ForeignRobot {
            name: name.to_owned(),
            robot_type: value(FactKind::RobotType),
            configuration: value(FactKind::Configuration),
            hardware: value(FactKind::Hardware),
            status: self.status().map(str::to_owned),
            address: self.addresses.first().copied(),
            is_by_ping: false,
            age: now.saturating_sub(self.heard()),
        }
    }
}

impl Answered {
    fn robot(&self, address: IpAddr, now: Duration) -> ForeignRobot {
        let name = self.pong.name.clone();
        let mut robot = ForeignRobot {
            name,
            address: Some(address),
            is_by_ping: true,
            age: Duration::MAX,
            ..ForeignRobot::default()
        };
        self.complete(&mut robot, now);
        robot
    }

    /// Adds the facts of the answer that are missing in an entry.
    fn complete(&self, robot: &mut ForeignRobot, now: Duration) {
        let pong = &self.pong;
        let add = |known: &mut Option<String>, new: &String| {
            if known.is_none() && !new.is_empty() {
                *known = Some(new.clone());
            }
        };
        add(&mut robot.robot_type, &pong.robot_type);
        add(&mut robot.configuration, &pong.configuration);
        add(&mut robot.hardware, &pong.hardware);
        robot.age = robot.age.min(now.saturating_sub(self.at));
    }
}

#[cfg(test)]
mod tests;
