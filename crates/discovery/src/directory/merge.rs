//! Merges robots without dt-swarm into the rows of peers, and marks robots of the same name.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::draft::{Draft, put_younger};
use crate::ForeignRobot;
use crate::protocol::{Fact, Heard, Robot, Source};
use dcache::PeerId;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Name of the channel of DNS-SD answers.
const DNS_SD: &str = "dns-sd";
/// Name of the channel of answers to pings.
const PONG: &str = "udp 11411";

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

/// Moves each robot without dt-swarm into the row of the peer with the same name that was heard at its address or
/// accepts connections there. Removes these robots from `foreign`. Another robot could claim the same name, so the name
/// alone does not suffice.
pub(super) fn into_peers(drafts: &mut BTreeMap<PeerId, Draft>, foreign: &mut Vec<Draft>) {
    let mut named: BTreeMap<String, Vec<PeerId>> = BTreeMap::new();
    for (peer, draft) in drafts.iter() {
        if let Some(name) = &draft.robot.name {
            named.entry(folded(&name.value)).or_default().push(*peer);
        }
    }
    foreign.retain_mut(|other| {
        let name = other.robot.name.as_ref().map(|name| folded(&name.value));
        let peers = name.and_then(|name| named.get(&name)).map_or(&[][..], Vec::as_slice);
        let is_at_same_host =
            |peer: &&PeerId| drafts.get(peer).is_some_and(|draft| !draft.hosts.is_disjoint(&other.hosts));
        let Some(draft) = peers.iter().find(is_at_same_host).and_then(|peer| drafts.get_mut(peer)) else {
            return true;
        };
        merge(draft, std::mem::take(&mut other.robot));
        false
    });
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
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in rows.iter().filter_map(|row| row.name.as_ref()) {
        *counts.entry(folded(&name.value)).or_default() += 1;
    }
    for row in rows {
        let name = row.name.as_ref().map(|name| folded(&name.value));
        row.shares_name = name.and_then(|name| counts.get(&name)).is_some_and(|count| *count > 1);
    }
}

fn folded(name: &str) -> String {
    name.to_lowercase()
}
