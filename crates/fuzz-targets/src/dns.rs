//! Target: a message of multicast DNS with facts of robots.

use discovery::foreign::dns::{
    Data, MAX_ENTRIES, MAX_MESSAGE_BYTES, Message, Name, Question, Record, read, strings, write,
};
use discovery::foreign::facts::{FactKind, ForeignTable, MAX_ROBOTS, service_name, value_of};
use discovery::foreign::own_service::announced_peer;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Address from which the messages seem to come.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));

/// Checks that a message is the same after writing and reading it, and that its facts stay within the limits.
pub fn check(bytes: &[u8]) {
    assert!(strings(bytes).iter().map(|string| string.len()).sum::<usize>() <= bytes.len());
    for kind in FactKind::ALL {
        assert!(value_of(kind, bytes).is_none_or(|value| (1..=63).contains(&value.len())));
    }
    let Ok(message) = read(bytes) else { return };
    assert!(message.questions.len() + message.records.len() <= MAX_ENTRIES);
    let written = write(&message);
    if written.len() <= MAX_MESSAGE_BYTES {
        assert_eq!(read(&written).as_ref(), Ok(&message));
    }
    if announced_peer(&message).is_some() {
        assert!(message.is_response);
    }
    let mut table = ForeignTable::default();
    table.take_message(&message, SOURCE, Duration::ZERO);
    assert!(table.len() <= MAX_ROBOTS);
    for robot in table.list(Duration::from_secs(1)) {
        assert!(message.is_response && (1..=63).contains(&robot.name.len()));
    }
}

/// Returns the question for robots, and answers of robots.
pub fn seeds() -> Vec<Vec<u8>> {
    let question = Question { name: service_name(), kind: 12, wants_unicast: true };
    let question = Message { questions: vec![question], ..Message::default() };
    let json = br#"{"configuration": "DB21J"}"#;
    let with_length = [&[json.len() as u8], json.as_slice()].concat();
    let with_space = [b" ", json.as_slice()].concat();
    vec![write(&question), answer(with_length), answer(with_space), own_service()]
}

/// Returns the answer of a robot with dt-swarm.
fn own_service() -> Vec<u8> {
    let name = Name::new(["duckie7~JnuCcN", "_dt-swarm", "_tcp", "local"]).unwrap_or_default();
    let peer = dcache::Keypair::from_seed([1; 32]).peer_id();
    let strings = ["txtvers=1".to_owned(), format!("peer={peer}")];
    let text =
        strings.iter().flat_map(|string| [&[string.len() as u8], string.as_bytes()].concat()).collect();
    let records = vec![Record { name, ttl: 10, replaces: false, data: Data::Txt(text) }];
    write(&Message { is_response: true, records, ..Message::default() })
}

/// Returns the answer of a robot, with this content of its TXT record.
fn answer(text: Vec<u8>) -> Vec<u8> {
    let instance = ["DT::ROBOT_CONFIGURATION::duckie7", "_duckietown", "_tcp", "local"];
    let instance = Name::new(instance).unwrap_or_default();
    let host = Name::new(["duckie7", "local"]).unwrap_or_default();
    let record = |name: &Name, data: Data| Record { name: name.clone(), ttl: 10, replaces: false, data };
    let records = vec![
        record(&service_name(), Data::Ptr(instance.clone())),
        record(&instance, Data::Srv { port: 0, target: host.clone() }),
        record(&instance, Data::Txt(text)),
        record(&host, Data::A(Ipv4Addr::new(10, 0, 0, 9))),
    ];
    write(&Message { is_response: true, records, ..Message::default() })
}
