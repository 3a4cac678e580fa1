use super::*;
use crate::foreign::dns::Record;
use proptest::prelude::*;

const SOURCE: &str = "10.77.0.9";

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn instance(fact: &str, host: &str) -> Name {
    Name::new([format!("DT::{fact}::{host}").as_str(), "_duckietown", "_tcp", "local"]).unwrap()
}

fn record(name: Name, data: Data) -> Record {
    Record { name, ttl: 10, replaces: false, data }
}

/// Returns the records of a fact as avahi answers them, with this JSON.
fn fact(fact: &str, host: &str, json: &str) -> Vec<Record> {
    let (name, target) = (instance(fact, host), Name::new([host, "local"]).unwrap());
    let text = [&[json.len() as u8], json.as_bytes()].concat();
    vec![
        record(service_name(), Data::Ptr(name.clone())),
        record(name.clone(), Data::Srv { port: 0, target }),
        record(name, Data::Txt(text)),
    ]
}

fn response(records: Vec<Record>) -> Message {
    Message { is_response: true, records, ..Message::default() }
}

fn take(table: &mut ForeignTable, records: Vec<Record>, seconds: u64) {
    table.take_message(&response(records), ip(SOURCE), at(seconds));
}

fn only(table: &mut ForeignTable, seconds: u64) -> ForeignRobot {
    let robots = table.list(at(seconds));
    let [robot] = robots.as_slice() else { panic!("{robots:?}") };
    robot.clone()
}

fn pong(name: &str) -> Pong {
    let text = format!(
        r#"{{"version": "1", "name": "{name}", "type": "duckiebot", "configuration": "DB21J", "hardware": "virtual"}}"#
    );
    Pong::decode(text.as_bytes()).unwrap()
}

#[test]
fn the_facts_of_a_robot_become_one_entry() {
    let mut table = ForeignTable::default();
    let records = [
        fact("PRESENCE", "duckie7", ""),
        fact("ROBOT_TYPE", "duckie7", r#"{"type": "duckiebot"}"#),
        fact("ROBOT_CONFIGURATION", "duckie7", r#"{"configuration": "DB21J"}"#),
        fact("ROBOT_HARDWARE", "duckie7", r#"{"hardware": "virtual"}"#),
        vec![record(Name::new(["duckie7", "local"]).unwrap(), Data::A([10, 77, 0, 9].into()))],
    ];
    take(&mut table, records.concat(), 5);
    let text = |text: &str| Some(text.to_owned());
    let expected = ForeignRobot {
        name: "duckie7".to_owned(),
        robot_type: text("duckiebot"),
        configuration: text("DB21J"),
        hardware: text("virtual"),
        status: text("Ready"),
        address: Some(ip(SOURCE)),
        is_by_ping: false,
        age: at(3),
    };
    assert_eq!(only(&mut table, 8), expected);
}

#[test]
fn a_starting_robot_is_not_ready() {
    let mut table = ForeignTable::default();
    let both = [fact("PRESENCE", "a", ""), fact("BOOTING", "a", "")].concat();
    take(&mut table, both, 0);
    assert_eq!(only(&mut table, 1).status.as_deref(), Some("Booting"));
    // The next answers do not contain the fact any more.
    take(&mut table, fact("PRESENCE", "a", ""), 8);
    assert_eq!(only(&mut table, 8).status.as_deref(), Some("Booting"), "a datagram may be lost");
    take(&mut table, fact("PRESENCE", "a", ""), 23);
    assert_eq!(only(&mut table, 23).status.as_deref(), Some("Ready"));
}

#[test]
fn facts_without_answers_leave_and_withdrawn_ones_leave_at_once() {
    let mut table = ForeignTable::default();
    take(&mut table, fact("PRESENCE", "a", ""), 0);
    assert_eq!(table.list(at(600)).len(), 1, "two questions remained without an answer");
    assert!(table.list(at(660)).is_empty());
    let lasting = |ttl| {
        let mut records = fact("PRESENCE", "a", "");
        records.iter_mut().for_each(|record| record.ttl = ttl);
        records
    };
    take(&mut table, lasting(u32::MAX), 1000);
    assert_eq!(table.list(at(1000 + 75 * 60 - 1)).len(), 1);
    assert!(table.list(at(1000 + 75 * 60)).is_empty());
    take(&mut table, lasting(10), 9000);
    take(&mut table, lasting(0), 9001);
    assert!(table.list(at(9001)).is_empty());
}

#[test]
fn the_address_is_the_one_from_which_the_robot_answers() {
    let mut table = ForeignTable::default();
    take(&mut table, fact("PRESENCE", "a", ""), 0);
    assert_eq!(only(&mut table, 0).address, Some(ip(SOURCE)), "no address is stated");
    let stated = |ips: &[[u8; 4]]| {
        let name = Name::new(["a", "local"]).unwrap();
        let addresses = ips.iter().map(|ip| record(name.clone(), Data::A((*ip).into())));
        fact("PRESENCE", "a", "").into_iter().chain(addresses).collect::<Vec<_>>()
    };
    take(&mut table, stated(&[[172, 17, 0, 1], [10, 77, 0, 9]]), 1);
    assert_eq!(only(&mut table, 1).address, Some(ip(SOURCE)));
    take(&mut table, stated(&[[10, 77, 0, 8]]), 2);
    assert_eq!(only(&mut table, 2).address, Some(ip("10.77.0.8")), "another host answered for the robot");
    let stranger = record(Name::new(["b", "local"]).unwrap(), Data::A([10, 77, 0, 1].into()));
    take(&mut table, [fact("PRESENCE", "a", ""), vec![stranger]].concat(), 3);
    assert_eq!(only(&mut table, 3).address, Some(ip(SOURCE)));
}

#[test]
fn answers_to_pings_complete_an_entry_or_make_one() {
    let mut table = ForeignTable::default();
    take(&mut table, fact("PRESENCE", "a", ""), 0);
    table.take_pong(pong("a"), ip(SOURCE), at(2));
    let robot = only(&mut table, 3);
    assert_eq!((robot.configuration.as_deref(), robot.is_by_ping, robot.age), (Some("DB21J"), false, at(1)));
    // Another robot with the same name.
    table.take_pong(pong("a"), ip("10.77.0.10"), at(3));
    let robots = table.list(at(3));
    assert_eq!(robots.iter().map(|robot| robot.is_by_ping).collect::<Vec<_>>(), [false, true]);
    assert_eq!((robots[1].address, robots[1].status.as_deref()), (Some(ip("10.77.0.10")), None));
    assert_eq!(table.list(at(303)).len(), 1);
}

#[test]
fn questions_of_other_hosts_are_ignored() {
    let mut table = ForeignTable::default();
    let message = Message { is_response: false, ..response(fact("PRESENCE", "a", "")) };
    table.take_message(&message, ip(SOURCE), at(0));
    assert!(table.is_empty());
}

#[test]
fn one_host_cannot_displace_the_robots_of_others() {
    let mut table = ForeignTable::default();
    table.take_message(&response(fact("PRESENCE", "real", "")), ip("10.77.0.2"), at(0));
    for number in 0..2000 {
        take(&mut table, fact("PRESENCE", &format!("false{number}"), ""), 1);
    }
    assert_eq!(table.len(), 1 + MAX_OF_A_SOURCE);
    assert!(table.list(at(1)).iter().any(|robot| robot.name == "real"));
}

#[test]
fn hosts_that_name_many_robots_displace_only_each_other() {
    let mut table = ForeignTable::default();
    let source = |host: u8| IpAddr::from([10, 77, 0, host]);
    table.take_message(&response(fact("PRESENCE", "real", "")), source(2), at(0));
    table.take_pong(pong("pong"), source(3), at(0));
    for number in 0..3000u32 {
        let host = 100 + u8::try_from(number % 16).unwrap();
        let facts = fact("PRESENCE", &format!("false{number}"), "");
        table.take_message(&response(facts), source(host), at(1));
    }
    assert_eq!(table.len(), MAX_ROBOTS);
    let names: Vec<String> = table.list(at(1)).into_iter().map(|robot| robot.name).collect();
    assert!(["real", "pong"].iter().all(|real| names.iter().any(|name| name == real)), "{names:?}");
}

#[test]
fn another_host_neither_withdraws_nor_changes_the_facts_of_a_robot() {
    let (mut table, other) = (ForeignTable::default(), ip("10.77.0.66"));
    let told = |json: &str, ttl| {
        let mut records = [fact("PRESENCE", "a", ""), fact("ROBOT_TYPE", "a", json)].concat();
        records.push(record(Name::new(["a", "local"]).unwrap(), Data::A([10, 77, 0, 66].into())));
        records.iter_mut().for_each(|record| record.ttl = ttl);
        response(records)
    };
    take(
        &mut table,
        [fact("PRESENCE", "a", ""), fact("ROBOT_TYPE", "a", r#"{"type": "duckiebot"}"#)].concat(),
        0,
    );
    for ttl in [0, 10, 0] {
        table.take_message(&told(r#"{"type": "false"}"#, ttl), other, at(1));
        let robot = only(&mut table, 1);
        assert_eq!((robot.robot_type.as_deref(), robot.address), (Some("duckiebot"), Some(ip(SOURCE))));
    }
    table.take_message(&told(r#"{"type": "other"}"#, 4000), other, at(2));
    assert_eq!(only(&mut table, 700).robot_type.as_deref(), Some("other"), "the first host is gone");
}

#[test]
fn a_robot_with_a_new_address_is_found_there_within_a_minute() {
    let (mut table, new) = (ForeignTable::default(), ip("10.77.0.20"));
    take(&mut table, fact("PRESENCE", "a", ""), 0);
    for second in (2..=60).step_by(2) {
        table.take_message(&response(fact("PRESENCE", "a", "")), new, at(second));
        let address = only(&mut table, second).address;
        assert_eq!(address, Some(if second < 60 { ip(SOURCE) } else { new }), "after {second} s");
    }
}

#[test]
fn the_earlier_name_of_a_renamed_robot_is_not_listed() {
    let mut table = ForeignTable::default();
    table.take_pong(pong("old"), ip(SOURCE), at(0));
    take(&mut table, fact("PRESENCE", "old", ""), 0);
    take(&mut table, fact("PRESENCE", "new", ""), 50);
    assert_eq!(table.list(at(50)).len(), 2, "two robots may share an address");
    take(&mut table, fact("PRESENCE", "new", ""), 70);
    assert_eq!(only(&mut table, 70).name, "new");
}

#[test]
fn the_oldest_robot_leaves_a_full_table() {
    let mut table = ForeignTable::default();
    for number in 0..MAX_ROBOTS as u32 + 10 {
        let source = IpAddr::V4((0x0a00_0000 + number).into());
        let now = Duration::from_millis(number.into());
        match number % 2 {
            0 => table.take_message(&response(fact("PRESENCE", &format!("a{number}"), "")), source, now),
            _ => table.take_pong(pong(&format!("a{number}")), source, now),
        }
    }
    let robots = table.list(at(1));
    assert_eq!(robots.len(), MAX_ROBOTS);
    assert!(!robots.iter().any(|robot| ["a0", "a1", "a9"].contains(&&*robot.name)));
    assert!(["a10", "a11", "a521"].iter().all(|name| robots.iter().any(|robot| robot.name == *name)));
}

proptest! {
    #[test]
    fn the_table_is_bounded_and_ages_never_exceed_the_lifetime(
        steps in proptest::collection::vec((0u64..200, 0u8..40, 0usize..5, any::<u32>(), 0u8..4), 1..200)
    ) {
        let (mut table, mut now) = (ForeignTable::default(), Duration::ZERO);
        for (wait, host, kind, ttl, source) in steps {
            now += at(wait);
            let mut records = fact(FactKind::ALL[kind].name(), &format!("h{host}"), "{}");
            records.iter_mut().for_each(|record| record.ttl = ttl);
            table.take_message(&response(records), IpAddr::V4([10, 0, 0, source].into()), now);
            for robot in table.list(now) {
                prop_assert!(robot.age < LIFETIME.1);
                prop_assert!(robot.address.is_some());
            }
            prop_assert!(table.len() <= 40);
        }
    }
}
