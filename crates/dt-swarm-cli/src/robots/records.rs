//! The table of robots from signed records alone, for a daemon whose control socket cannot be asked.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::buckets::{ADDRESSES, Bucket, HOSTNAME, IPFS_ADDRESSES, OfPeer, PEER, ROBOT, VERSION};
use dcache::{Data, PeerId, Record, Set, Time, Validity};
use discovery::Profile;
use discovery::protocol::{Fact, Heard, MAX_HEARD, MAX_SHOWN_ADDRESSES, Place, Robot, Source};
use routing::{Hop, Part, Wild};
use std::collections::BTreeMap;
use swarm::route_protocol::Learned;

/// Patterns of the buckets from which the table is made.
pub(crate) const PATTERNS: [&str; 6] = [
    PEER.pattern(),
    HOSTNAME.pattern(),
    VERSION.pattern(),
    ROBOT.pattern(),
    ADDRESSES.pattern(),
    IPFS_ADDRESSES.pattern(),
];

/// The newest value that a peer states, with the sequence number of its record.
type Newest = BTreeMap<PeerId, (u64, Fact)>;

/// Makes the table from the records that count at `now`. `me` is the daemon that sent them.
pub(crate) fn robots(set: &Set, now: Time, me: PeerId) -> Vec<Robot> {
    let mut robots: BTreeMap<PeerId, Robot> = BTreeMap::new();
    for (peer, robot) in present(set, now) {
        robots.insert(peer, robot);
    }
    let mut take = |facts: Newest, put: fn(&mut Robot, Fact)| {
        for (peer, (_, fact)) in facts {
            let robot = robots.entry(peer).or_default();
            robot.peer = Some(peer);
            put(robot, fact);
        }
    };
    take(newest(set, HOSTNAME, now), |robot, fact| robot.name = Some(fact));
    take(newest(set, VERSION, now), |robot, fact| robot.version = Some(fact));
    take(newest(set, ROBOT, now), put_profile);
    for bucket in [ADDRESSES, IPFS_ADDRESSES] {
        add_addresses(&mut robots, set, bucket, now);
    }
    let own = robots.entry(me).or_default();
    (own.peer, own.place, own.is_me) = (Some(me), Place::Here, true);
    robots.into_values().collect()
}

/// Returns the robots that state their presence.
fn present(set: &Set, now: Time) -> impl Iterator<Item = (PeerId, Robot)> {
    set.bucket(&PEER.path(), now).filter_map(move |view| {
        let peer: PeerId = view.item.data.as_str().parse().ok()?;
        let robot = Robot { peer: Some(peer), place: Place::Elsewhere, ..Robot::default() };
        let own = view.proposals.iter().find(|record| record.signer() == peer);
        let heard = own.map(|record| Heard {
            channel: BY_RECORDS.to_owned(),
            address: None,
            age_seconds: age(record.validity(), PEER.lifetime(), now),
        });
        Some((peer, Robot { heard: heard.into_iter().collect(), ..robot }))
    })
}

/// Name in place of a channel, for a robot of which only a record tells that it is present.
pub(crate) const BY_RECORDS: &str = "records";

/// Returns the newest statement of each peer in its bucket of this family.
fn newest(set: &Set, bucket: Bucket<OfPeer>, now: Time) -> Newest {
    let mut newest = Newest::new();
    let pattern = bucket.matcher();
    for view in set.matching(&pattern, now) {
        let Some(peer) = bucket.peer(&view.item.bucket) else { continue };
        for record in view.proposals {
            keep_newest(&mut newest, peer, record, fact(record, bucket.lifetime(), now));
        }
    }
    newest
}

fn keep_newest(newest: &mut Newest, peer: PeerId, record: &Record, fact: Fact) {
    let sequence = record.signature().sequence;
    if newest.get(&peer).is_none_or(|(before, _)| *before < sequence) {
        newest.insert(peer, (sequence, fact));
    }
}

fn put_profile(robot: &mut Robot, fact: Fact) {
    let Ok(data) = Data::new(&fact.value) else { return };
    let profile = Profile::from_data(&data);
    let part = |value: Option<String>| Some(Fact { value: value?, ..fact.clone() });
    robot.robot_type = part(profile.robot_type);
    robot.configuration = part(profile.configuration);
    robot.hardware = part(profile.hardware);
    robot.distro = part(profile.distro);
    robot.device = part(profile.device);
    robot.boot = part(profile.boot);
}

fn add_addresses(robots: &mut BTreeMap<PeerId, Robot>, set: &Set, bucket: Bucket<OfPeer>, now: Time) {
    let pattern = bucket.matcher();
    for view in set.matching(&pattern, now) {
        let Some(peer) = bucket.peer(&view.item.bucket) else { continue };
        let robot = robots.entry(peer).or_default();
        robot.peer = Some(peer);
        let newest = view.proposals.iter().max_by_key(|record| record.signature().sequence);
        if let (Some(record), true) = (newest, robot.addresses.len() < MAX_SHOWN_ADDRESSES) {
            robot.addresses.push(fact(record, bucket.lifetime(), now));
        }
    }
}

fn fact(record: &Record, lifetime: u64, now: Time) -> Fact {
    let value = record.item().data.as_str().to_owned();
    Fact { value, age_seconds: age(record.validity(), lifetime, now), source: Source::Record }
}

/// Returns the seconds since a statement was made. A validity begins before the statement is made, but it ends one
/// lifetime of the bucket after that.
fn age(validity: &Validity, lifetime: u64, now: Time) -> u64 {
    let made = match (validity.until(), validity.from()) {
        (Some(until), _) => Time(until.0.saturating_sub(lifetime)),
        (None, from) => from.unwrap_or(now),
    };
    now.since(made)
}

/// Adds the channels on which the daemon heard its peers.
pub(crate) fn add_heard(robots: &mut [Robot], learned: Vec<Learned>) {
    let mut heard: BTreeMap<PeerId, Vec<(Heard, bool)>> = BTreeMap::new();
    for route in learned {
        heard.entry(route.peer).or_default().push(heard_on(&route));
    }
    for robot in robots {
        let Some(mut heard) = robot.peer.and_then(|peer| heard.remove(&peer)) else { continue };
        heard.sort_by_key(|(heard, _)| heard.age_seconds);
        heard.truncate(MAX_HEARD);
        if robot.place != Place::Away {
            let is_near = heard.iter().any(|(_, is_near)| *is_near);
            robot.place = if is_near { Place::Here } else { robot.place };
        }
        robot.heard = heard.into_iter().map(|(heard, _)| heard).collect();
    }
}

/// Returns the channel of a learned route, and whether it belongs to a network of the daemon.
fn heard_on(route: &Learned) -> (Heard, bool) {
    let first = route.via.parts().next();
    let (channel, is_near) = match first {
        Some(Part::Hop(Hop::Udp(_))) => ("udp".to_owned(), true),
        Some(Part::Hop(Hop::Tcp(_))) => ("tcp".to_owned(), false),
        Some(Part::Hop(Hop::Irc { .. })) => ("irc".to_owned(), false),
        Some(Part::Hop(Hop::Pubsub { topic: Wild::Is(topic) })) => (format!("pubsub {topic}"), false),
        _ => (route.via.as_str().to_owned(), false),
    };
    let address = match first {
        Some(Part::Hop(Hop::Udp(socket) | Hop::Tcp(socket))) => socket.addr().map(|at| at.to_string()),
        _ => None,
    };
    (Heard { channel, address, age_seconds: route.seconds }, is_near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robots::fixture::{key, peer};
    use dcache::{BucketPath, Data, End, Item, Kind, Statement};

    const NOW: Time = Time(1_800_000_000);

    fn say(set: &mut Set, who: u8, bucket: BucketPath, data: &str, lifetime: u64, ago: u64) {
        let made = Time(NOW.0 - ago);
        let item = Item { bucket, data: Data::new(data).unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::stated(made, lifetime)).unwrap();
        let sequence = set.latest_sequence(peer(who)) + 1;
        set.admit_verified(Record::sign(statement, &key(who), sequence, End::default()), NOW).unwrap();
    }

    fn profile(who: u8) -> BucketPath {
        ROBOT.of(peer(who))
    }

    #[test]
    fn records_become_rows_with_the_ages_of_the_statements() {
        let mut set = Set::default();
        say(&mut set, 1, PEER.path(), &peer(1).to_string(), PEER.lifetime(), 40);
        say(&mut set, 1, HOSTNAME.of(peer(1)), "old", HOSTNAME.lifetime(), 900);
        say(&mut set, 1, HOSTNAME.of(peer(1)), "duckie1", HOSTNAME.lifetime(), 70);
        say(&mut set, 1, profile(1), r#"{"type":"duckiebot","more":[1]}"#, ROBOT.lifetime(), 9);
        say(&mut set, 1, ADDRESSES.of(peer(1)), "/ip4/10.0.0.7/tcp/8000/dswarm-line", 3600, 5);
        say(&mut set, 2, HOSTNAME.of(peer(2)), "left", HOSTNAME.lifetime(), 9000);
        let robots = robots(&set, NOW, peer(3));
        let row = |who| robots.iter().find(|robot| robot.peer == Some(peer(who))).unwrap();
        assert_eq!(robots.len(), 3);
        let one = row(1);
        let name = one.name.as_ref().unwrap();
        assert_eq!((name.value.as_str(), name.age_seconds, one.place), ("duckie1", 70, Place::Elsewhere));
        assert_eq!(one.heard[0].age_seconds, 40);
        assert_eq!(one.robot_type.as_ref().map(|fact| fact.value.as_str()), Some("duckiebot"));
        assert_eq!((one.addresses.len(), one.addresses[0].age_seconds), (1, 5));
        assert_eq!((row(2).place, row(3).place, row(3).is_me), (Place::Away, Place::Here, true));
    }

    #[test]
    fn a_profile_that_is_no_profile_is_left_out() {
        let mut set = Set::default();
        let long = format!(r#"{{"type":"{}","hardware":"jetson_nano"}}"#, "x".repeat(65));
        for (who, text) in [(1, "no JSON"), (2, r#"{"type":7}"#), (3, &long)] {
            say(&mut set, who, profile(who), text, ROBOT.lifetime(), 0);
            say(&mut set, who, HOSTNAME.of(peer(who)), "name", HOSTNAME.lifetime(), 0);
        }
        let robots = robots(&set, NOW, peer(1));
        assert!(robots.iter().all(|robot| robot.robot_type.is_none()));
        assert_eq!(robots.iter().filter(|robot| robot.hardware.is_some()).count(), 1);
    }

    #[test]
    fn only_the_newest_channels_are_shown_and_udp_means_a_network_of_the_daemon() {
        let mut robots = [1, 2, 3].map(|who| {
            let place = if who == 3 { Place::Away } else { Place::Elsewhere };
            Robot { peer: Some(peer(who)), place, ..Robot::default() }
        });
        let learned = |who, via: &str, seconds| Learned {
            peer: peer(who),
            via: via.parse().unwrap(),
            cost: 1,
            seconds,
        };
        let udp = |who, seconds| learned(who, "/ip4/10.0.0.7/udp/1240/dswarm-line", seconds);
        let mut all = vec![learned(2, "/ipfs-pubsub/duckiebots/dswarm-line", 1), udp(3, 2), udp(9, 1)];
        all.extend((0..20).rev().map(|seconds| udp(1, seconds)));
        add_heard(&mut robots, all);
        assert_eq!(robots[0].heard.len(), MAX_HEARD);
        assert_eq!(robots[0].heard[0].address.as_deref(), Some("10.0.0.7:1240"));
        assert_eq!(robots[0].heard[0].age_seconds, 0);
        assert_eq!(robots[1].heard[0].channel, "pubsub duckiebots");
        assert_eq!(robots.map(|robot| robot.place), [Place::Here, Place::Elsewhere, Place::Away]);
    }

    #[test]
    fn a_statement_of_the_future_has_no_age() {
        for validity in [Validity::ALWAYS, Validity::starting(Time(NOW.0 + 90), 5000)] {
            assert_eq!(age(&validity, 600, NOW), 0);
        }
    }
}
