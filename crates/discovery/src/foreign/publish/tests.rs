use super::*;
use crate::foreign::dns::{read, strings, write};
use crate::foreign::facts::{ForeignTable, value_of};
use proptest::prelude::*;
use std::time::Duration;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);

fn profile(name: &str) -> Profile {
    Profile {
        name: name.to_owned(),
        robot_type: Some("duckiebot".to_owned()),
        configuration: Some("DB21J\n".to_owned()),
        hardware: Some("virtual".to_owned()),
        own: None,
    }
}

fn publication() -> Publication {
    Publication::of(&profile("duckie7"), true).unwrap()
}

fn question(name: Name, kind: u16) -> Message {
    let questions = vec![Question { name, kind, wants_unicast: true }];
    Message { id: 7, questions, ..Message::default() }
}

#[test]
fn the_facts_have_the_form_that_the_clients_of_duckietown_read() {
    let facts = publication().facts;
    let texts: Vec<(String, &[u8])> = facts
        .iter()
        .map(|(name, text)| (String::from_utf8(name.labels()[0].clone()).unwrap(), strings(text)[0]))
        .collect();
    let expected = [
        ("DT::PRESENCE::duckie7", ""),
        ("DT::ROBOT_TYPE::duckie7", r#"{"type": "duckiebot"}"#),
        ("DT::ROBOT_CONFIGURATION::duckie7", r#"{"configuration": "DB21J"}"#),
        ("DT::ROBOT_HARDWARE::duckie7", r#"{"hardware": "virtual"}"#),
    ];
    assert_eq!(texts, expected.map(|(name, text)| (name.to_owned(), text.as_bytes())));
    assert!(facts.iter().all(|(_, text)| strings(text).len() == 1), "exactly one string");
}

#[test]
fn what_the_clients_cannot_read_is_not_published() {
    assert!(Publication::of(&profile(&"a".repeat(38)), true).is_some());
    assert_eq!(Publication::of(&profile(&"a".repeat(39)), true), None);
    assert_eq!(Publication::of(&profile("a::b"), true), None);
    assert_eq!(Publication::of(&profile(""), true), None);
    assert_eq!(Publication::of(&Profile { robot_type: None, ..profile("a") }, true), None, "no robot");
    let with_equals = Profile { configuration: Some("a=b".to_owned()), ..profile("a") };
    assert_eq!(Publication::of(&with_equals, true).unwrap().facts.len(), 3);
}

#[test]
fn an_answer_has_everything_that_the_asker_needs_in_one_datagram() {
    let longest = Publication::of(&profile(&"a".repeat(38)), true).unwrap();
    let answer = longest.answer(&question(service_name(), kind::PTR), ADDRESS, false).unwrap();
    assert_eq!(answer.records.len(), 4 * 3 + 1);
    assert!(write(&answer).len() <= 1472, "{} bytes", write(&answer).len());
    assert_eq!((answer.id, answer.questions.len()), (0, 0));
}

#[test]
fn an_ephemeral_port_gets_short_lifetimes_and_its_question_back() {
    let asked = question(service_name(), kind::PTR);
    let answer = publication().answer(&asked, ADDRESS, true).unwrap();
    assert_eq!((answer.id, &answer.questions), (7, &asked.questions));
    assert!(answer.records.iter().all(|record| record.ttl == 10 && !record.replaces));
    let mut table = ForeignTable::default();
    table.take_message(&read(&write(&answer)).unwrap(), ADDRESS.into(), Duration::ZERO);
    let robots = table.list(Duration::ZERO);
    assert_eq!(robots[0].configuration.as_deref(), Some("DB21J"));
    assert_eq!((robots[0].status.as_deref(), robots[0].address), (Some("Ready"), Some(ADDRESS.into())));
}

#[test]
fn each_record_is_found_by_its_name() {
    let (publication, host) = (publication(), Name::new(["DUCKIE7", "local"]).unwrap());
    let of_type = instance(FactKind::RobotType, "duckie7").unwrap();
    let count = |name: &Name, kind| {
        publication
            .answer(&question(name.clone(), kind), ADDRESS, false)
            .map_or(0, |answer| answer.records.len())
    };
    assert_eq!(count(&host, kind::A), 1);
    assert_eq!(count(&of_type, kind::TXT), 2, "and the address");
    assert_eq!(count(&of_type, kind::ANY), 3);
    assert_eq!(count(&host, kind::AAAA), 0);
    assert_eq!(count(&Name::new(["_http", "_tcp", "local"]).unwrap(), kind::PTR), 0);
}

#[test]
fn records_that_the_asker_knows_are_not_repeated() {
    let (publication, mut asked) = (publication(), question(service_name(), kind::PTR));
    asked.records = publication.announcement(ADDRESS).records;
    assert_eq!(publication.answer(&asked, ADDRESS, false), None);
    asked.records.iter_mut().for_each(|record| record.ttl = 10);
    assert!(publication.answer(&asked, ADDRESS, false).is_some());
}

#[test]
fn another_host_with_the_same_name_is_noticed() {
    let publication = publication();
    let theirs = publication.announcement([10, 77, 0, 1].into());
    let from = IpAddr::from([10, 77, 0, 1]);
    assert!(publication.is_contested(&theirs, from, &[ADDRESS]));
    assert!(!publication.is_contested(&publication.announcement(ADDRESS), from, &[ADDRESS]));
    assert!(!publication.is_contested(&publication.goodbye([10, 77, 0, 1].into()), from, &[ADDRESS]));
    let third = IpAddr::from([10, 77, 0, 2]);
    assert!(!publication.is_contested(&theirs, third, &[ADDRESS]), "a statement about another host");
}

fn own_service() -> OwnService {
    let peer = dcache::Keypair::from_seed([1; 32]).peer_id();
    OwnService { peer, port: 8000, shared: crate::Profile::default() }
}

#[test]
fn the_own_service_needs_no_robot_type_and_no_unique_name() {
    let laptop = Profile { robot_type: None, own: Some(own_service()), ..profile("laptop") };
    let publication = Publication::of(&laptop, true).unwrap();
    let asked = question(own_service_name(), kind::PTR);
    let answer = publication.answer(&asked, ADDRESS, true).unwrap();
    assert_eq!(answer.records.len(), 4, "{answer:?}");
    assert_eq!(crate::foreign::own_service::announced_peer(&answer), Some(own_service().peer));
    let ports = answer.records.iter().filter_map(|record| match record.data {
        Data::Srv { port, .. } => Some(port),
        _ => None,
    });
    assert_eq!(ports.collect::<Vec<_>>(), [8000]);
    assert_eq!(publication.answer(&question(service_name(), kind::PTR), ADDRESS, false), None);
    // Another host has the name, so that only the own service remains.
    let robot = Profile { own: Some(own_service()), ..profile("duckie7") };
    let publication = Publication::of(&robot, true).unwrap();
    let theirs = publication.announcement([10, 77, 0, 1].into());
    let from = IpAddr::from([10, 77, 0, 1]);
    assert!(publication.is_contested(&theirs, from, &[ADDRESS]));
    let (own, facts) = publication.split();
    assert!(!own.is_empty() && !own.has_facts() && !own.is_contested(&theirs, from, &[ADDRESS]));
    assert_eq!(facts, self::publication());
    assert_eq!(Publication::of(&robot, false), Some(own));
    assert_eq!(Publication::of(&profile("duckie7"), false), None);
}

#[test]
fn both_services_are_asked_for_at_once_and_answered_in_one_datagram() {
    let text = |number: usize| Some("x".repeat(number));
    let shared = crate::Profile {
        robot_type: text(20),
        hardware: text(20),
        configuration: text(8),
        ..own_service().shared
    };
    let own = Some(OwnService { shared, ..own_service() });
    let longest = Publication::of(&Profile { own, ..profile(&"a".repeat(38)) }, true).unwrap();
    let mut asked = question(service_name(), kind::PTR);
    asked.questions.extend(question(own_service_name(), kind::PTR).questions);
    let answer = longest.answer(&asked, ADDRESS, true).unwrap();
    assert_eq!(answer.records.len(), 4 * 3 + 1 + 4);
    assert!(write(&answer).len() <= 1472, "{} bytes", write(&answer).len());
}

proptest! {
    #[test]
    fn every_published_value_is_read_again_and_has_no_equals_sign(value in "\\PC{1,30}") {
        let profile = Profile { configuration: Some(value.clone()), ..profile("a") };
        for (name, text) in Publication::of(&profile, true).unwrap().facts {
            let (kind, _) = parse_instance(&name, &service_name()).unwrap();
            prop_assert!(!strings(&text)[0].contains(&b'='));
            if kind == FactKind::Configuration && value.trim().len() <= 63 {
                prop_assert_eq!(value_of(kind, &text), Some(value.trim().to_owned()));
            }
        }
    }
}
