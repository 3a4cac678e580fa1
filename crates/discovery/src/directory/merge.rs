//! Merges robots without dt-swarm into the rows of peers, and marks robots of the same name.
//!
//! A robot whose address changes was also heard at its former addresses. It withdraws each of them with a signed record.
//! Until that record ends, answers that came from there before belong to its row.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Drafts;
use super::draft::{Draft, put_younger};
use crate::ForeignRobot;
use crate::protocol::{Fact, Heard, Robot, Source};
use dcache::buckets::ADDRESSES;
use dcache::{CLOCK_LEEWAY, Data, Item, Key, Kind, PeerId, Set, Time};
use routing::Address;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Name of the channel of DNS-SD answers.
const DNS_SD: &str = "dns-sd";
/// Name of the channel of answers to pings.
const PONG: &str = "udp 11411";
/// Port of the line protocol in the default configuration. A robot that states no address at present probably had it.
const DEFAULT_PORT: u16 = 8000;
/// Maximum difference, in seconds, between the clocks of two robots that is no fault. A robot that was heard this long
/// after a peer left the address may still be that peer.
const CLOCKS_DIFFER: u64 = 60;

/// Returns one draft for each robot without dt-swarm. Facts with the same name and the same address are of one robot.
pub(super) fn distinct(foreign: &[ForeignRobot]) -> Vec<Draft> {
    let mut drafts: BTreeMap<(String, Option<IpAddr>), Draft> = BTreeMap::new();
    for robot in foreign {
        let address = robot.address.map(|address| address.to_canonical());
        let draft = drafts.entry((folded(&robot.name), address)).or_default();
        add(draft, robot);
        draft.hosts.extend(address);
    }
    drafts.into_values().collect()
}

fn add(draft: &mut Draft, foreign: &ForeignRobot) {
    let (age, source) = (foreign.age.as_secs(), source(foreign));
    let name = Some(foreign.name.clone()).filter(|name| !name.is_empty());
    let robot = &mut draft.robot;
    let facts = [
        (&mut robot.name, &name),
        (&mut robot.robot_type, &foreign.robot_type),
        (&mut robot.configuration, &foreign.configuration),
        (&mut robot.hardware, &foreign.hardware),
        (&mut robot.status, &foreign.status),
    ];
    for (fact, value) in facts {
        // Robots without this fact answer pings with the word `unknown`.
        let value = value.clone().filter(|value| !value.eq_ignore_ascii_case("unknown"));
        put_younger(fact, value, age, source);
    }
    let channel = if foreign.is_by_ping { PONG } else { DNS_SD };
    let address = foreign.address.map(|address| address.to_string());
    robot.heard.push(Heard { channel: channel.to_owned(), address, age_seconds: age });
    draft.note_heard(age, true);
}

fn source(foreign: &ForeignRobot) -> Source {
    if foreign.is_by_ping { Source::Pong } else { Source::DnsSd }
}

/// Moves each robot without dt-swarm into the row of the peer with the same name that was heard at its address, accepts
/// connections there, or did so when the robot was heard. Removes these robots from `foreign`. Another robot could claim
/// the same name, so the name alone does not suffice.
pub(super) fn into_peers(drafts: &mut Drafts, foreign: &mut Vec<Draft>, (set, now): (&Set, Time)) {
    if foreign.is_empty() {
        return;
    }
    let mut named: BTreeMap<String, Vec<PeerId>> = BTreeMap::new();
    for (peer, draft) in drafts.iter() {
        if let Some(name) = &draft.robot.name {
            named.entry(folded(&name.value)).or_default().push(*peer);
        }
    }
    foreign.retain_mut(|other| {
        let name = other.robot.name.as_ref().map(|name| folded(&name.value));
        let peers = name.and_then(|name| named.get(&name)).map_or(&[][..], Vec::as_slice);
        let is_there =
            |peer: &&PeerId| drafts.get(peer).is_some_and(|draft| !draft.hosts.is_disjoint(&other.hosts));
        let was_there = |peer: &&PeerId| {
            let heard = other.robot.heard.iter().map(|heard| heard.age_seconds).min().unwrap_or_default();
            drafts.get(peer).is_some_and(|draft| {
                let left = other.hosts.iter().filter_map(|host| left(set, now, **peer, draft, *host));
                left.min().is_some_and(|left| left <= heard)
            })
        };
        let peer = peers.iter().find(is_there).or_else(|| peers.iter().find(was_there));
        let Some(draft) = peer.and_then(|peer| drafts.get_mut(peer)) else {
            return true;
        };
        merge(draft, std::mem::take(&mut other.robot));
        false
    });
}

/// Returns the time in seconds since a peer withdrew its last statement that it accepts connections at a host, less
/// [`CLOCKS_DIFFER`]. Returns `None` if no such statement is known.
fn left(set: &Set, now: Time, peer: PeerId, draft: &Draft, host: IpAddr) -> Option<u64> {
    // A robot uses the same port at all its addresses.
    let ports = draft.ports.iter().copied().chain([DEFAULT_PORT]);
    let withdrawn = ports.filter_map(|port| {
        let address = Address::tcp_line((host, port).into()).then(&Address::brain(peer)).ok()?;
        let item = Item { bucket: ADDRESSES.of(peer), data: Data::new(address.as_str()).ok()? };
        let own = set.get(&Key { item, signer: peer }).filter(|own| own.kind() == Kind::Dismiss)?;
        // The validity of a withdrawal begins this long before it is signed.
        let signed = own.validity().from()?.plus(CLOCK_LEEWAY);
        Some(now.since(signed).saturating_sub(CLOCKS_DIFFER))
    });
    withdrawn.min()
}

/// Adds the facts of a robot without dt-swarm that the peer does not state itself.
fn merge(draft: &mut Draft, foreign: Robot) {
    for heard in &foreign.heard {
        draft.note_heard(heard.age_seconds, true);
    }
    let robot = &mut draft.robot;
    let fill = |fact: &mut Option<Fact>, other: Option<Fact>| {
        if fact.is_none() {
            *fact = other;
        }
    };
    fill(&mut robot.robot_type, foreign.robot_type);
    fill(&mut robot.configuration, foreign.configuration);
    fill(&mut robot.hardware, foreign.hardware);
    fill(&mut robot.status, foreign.status);
    robot.heard.extend(foreign.heard);
}

/// Marks all robots whose name another robot has as well. Upper and lower case are the same, as in the DNS.
pub(super) fn mark_shared_names(rows: &mut [Robot]) {
    let named =
        rows.iter().enumerate().filter_map(|(row, robot)| Some((folded(&robot.name.as_ref()?.value), row)));
    let mut named: Vec<(String, usize)> = named.collect();
    named.sort_unstable();
    for same in named.chunk_by(|(one, _), (other, _)| one == other).filter(|same| same.len() > 1) {
        for (_, row) in same {
            if let Some(robot) = rows.get_mut(*row) {
                robot.shares_name = true;
            }
        }
    }
}

fn folded(name: &str) -> String {
    name.to_lowercase()
}
