//! The facts that this robot publishes about itself by multicast DNS, and its answers to questions.
//!
//! The clients of Duckietown are strict: the TXT record of a fact has exactly one string, which is JSON without a key in
//! front of it and without the character `=`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Profile;
use super::dns::{Data, Message, Name, Question, Record, kind};
use super::facts::{FactKind, parse_instance, service_name};
use serde_json::{Map, Value};
use std::net::Ipv4Addr;

/// Lifetime, in seconds, of records that contain the name of a host (RFC 6762, section 10).
const TTL_HOST: u32 = 120;
/// Lifetime, in seconds, of other records.
const TTL_OTHER: u32 = 75 * 60;
/// Longest lifetime, in seconds, in an answer to an ephemeral port (RFC 6762, section 6.7).
const TTL_LEGACY: u32 = 10;
/// Maximum size of a host name, in bytes. With the longest name of a fact it has to fit into a label of 63 bytes.
const MAX_HOST_BYTES: usize = 38;
/// Maximum size of a TXT string, in bytes.
const MAX_STRING_BYTES: usize = 255;

/// The facts about this robot as records of multicast DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publication {
    service: Name,
    host: Name,
    /// Name of the instance and content of the TXT record of each fact.
    facts: Vec<(Name, Vec<u8>)>,
}

impl Publication {
    /// Returns the facts of a robot. Returns `None` without a type, because this host is no robot then, and for a name
    /// that the clients of Duckietown cannot read.
    pub(super) fn of(profile: &Profile) -> Option<Self> {
        profile.robot_type.as_ref()?;
        let (service, host) = (service_name(), Name::new([profile.name.as_str(), "local"])?);
        let facts = [
            (FactKind::Presence, None),
            (FactKind::RobotType, profile.robot_type.as_deref()),
            (FactKind::Configuration, profile.configuration.as_deref()),
            (FactKind::Hardware, profile.hardware.as_deref()),
        ];
        let facts = facts.into_iter().filter_map(|(kind, value)| {
            let text = text(kind, value.map(str::trim))?;
            Some((instance(kind, &profile.name)?, text))
        });
        let facts: Vec<(Name, Vec<u8>)> = facts.collect();
        let is_readable = |(name, _): &(Name, Vec<u8>)| parse_instance(name, &service).is_some();
        let fits = profile.name.len() <= MAX_HOST_BYTES && facts.iter().all(is_readable);
        fits.then_some(Self { service, host, facts })
    }

    /// Returns the question whether another host has the name of this one.
    pub(super) fn probe(&self) -> Message {
        let question = Question { name: self.host.clone(), kind: kind::ANY, wants_unicast: false };
        Message { questions: vec![question], ..Message::default() }
    }

    /// Returns whether another host states that the name of this one is its own.
    pub(super) fn is_contested(&self, message: &Message, own: &[Ipv4Addr]) -> bool {
        let is_other = |record: &Record| match &record.data {
            Data::A(ip) => record.name == self.host && record.ttl > 0 && !own.contains(ip),
            _ => false,
        };
        message.is_response && message.records.iter().any(is_other)
    }

    /// Returns all records, for hosts that hear them without a question.
    pub(super) fn announcement(&self, address: Ipv4Addr) -> Message {
        let mut records = Vec::new();
        self.facts.iter().for_each(|fact| records.extend(self.records(fact)));
        records.push(self.address(address));
        Message { is_response: true, records, ..Message::default() }
    }

    /// Returns the message that withdraws all records.
    pub(super) fn goodbye(&self, address: Ipv4Addr) -> Message {
        let mut message = self.announcement(address);
        message.records.iter_mut().for_each(|record| record.ttl = 0);
        message
    }

    /// Returns the answer to the questions in a message, or `None` if none of them concerns this robot. `is_legacy` says
    /// that the questions came from an ephemeral port.
    pub(super) fn answer(&self, asked: &Message, address: Ipv4Addr, is_legacy: bool) -> Option<Message> {
        if asked.is_response {
            return None;
        }
        let is_wanted = |question: &Question, record: &Record| {
            question.name == record.name && [kind_of(record), kind::ANY].contains(&question.kind)
        };
        let all = self.announcement(address).records;
        let is_any_wanted =
            |record: &Record| asked.questions.iter().any(|question| is_wanted(question, record));
        let is_known = |record: &Record| {
            // The asker lists the records that it has for at least half of their lifetime.
            let is_same = |known: &Record| known.name == record.name && known.data == record.data;
            !is_legacy && asked.records.iter().any(|known| is_same(known) && known.ttl >= record.ttl / 2)
        };
        let wanted: Vec<Record> =
            all.iter().filter(|record| is_any_wanted(record) && !is_known(record)).cloned().collect();
        if wanted.is_empty() {
            return None;
        }
        // The asker needs the other records next.
        let is_pointed_at = |record: &&Record| {
            wanted.iter().any(|wanted| matches!(&wanted.data, Data::Ptr(name) if *name == record.name))
        };
        let needs_host = wanted.iter().any(|record| !matches!(record.data, Data::A(_)));
        let more = all.iter().filter(|record| !wanted.contains(record));
        let more = more.filter(|record| is_pointed_at(record) || needs_host && record.name == self.host);
        let records = wanted.iter().chain(more).cloned().collect();
        let message = Message { is_response: true, records, ..Message::default() };
        Some(if is_legacy { legacy(message, asked) } else { message })
    }

    fn records(&self, (instance, text): &(Name, Vec<u8>)) -> [Record; 3] {
        let record = |name: &Name, ttl, replaces, data| Record { name: name.clone(), ttl, replaces, data };
        let srv = Data::Srv { port: 0, target: self.host.clone() };
        [
            // Other robots have such records with the same name.
            record(&self.service, TTL_OTHER, false, Data::Ptr(instance.clone())),
            record(instance, TTL_HOST, true, srv),
            record(instance, TTL_OTHER, true, Data::Txt(text.clone())),
        ]
    }

    fn address(&self, address: Ipv4Addr) -> Record {
        Record { name: self.host.clone(), ttl: TTL_HOST, replaces: true, data: Data::A(address) }
    }
}

/// Changes an answer into one for an asker that is no multicast DNS daemon: it repeats the question.
fn legacy(mut message: Message, asked: &Message) -> Message {
    (message.id, message.questions) = (asked.id, asked.questions.clone());
    for record in &mut message.records {
        (record.ttl, record.replaces) = (record.ttl.min(TTL_LEGACY), false);
    }
    message
}

fn kind_of(record: &Record) -> u16 {
    match record.data {
        Data::Ptr(_) => kind::PTR,
        Data::Srv { .. } => kind::SRV,
        Data::Txt(_) => kind::TXT,
        Data::A(_) => kind::A,
        Data::Aaaa(_) => kind::AAAA,
    }
}

fn instance(kind: FactKind, host: &str) -> Option<Name> {
    let label = format!("DT::{}::{host}", kind.name());
    let service = service_name();
    let rest = service.labels().iter().map(Vec::as_slice);
    Name::new(std::iter::once(label.as_bytes()).chain(rest))
}

/// Returns the content of the TXT record of a fact: one string, which is empty for a fact without a value. Returns
/// `None` if the value is missing, or cannot be published.
fn text(kind: FactKind, value: Option<&str>) -> Option<Vec<u8>> {
    let Some(key) = kind.key() else { return Some(vec![0]) };
    let value = value.filter(|value| !value.is_empty() && !value.contains('='))?;
    let json = Value::from(Map::from_iter([(key.to_owned(), Value::from(value))])).to_string();
    // Python writes a space behind the colon, and people compare the texts.
    let json = json.replacen("\":\"", "\": \"", 1);
    let length = u8::try_from(json.len()).ok().filter(|length| usize::from(*length) <= MAX_STRING_BYTES)?;
    Some([&[length], json.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::super::dns::{read, strings, write};
    use super::super::facts::{ForeignTable, value_of};
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);

    fn profile(name: &str) -> Profile {
        Profile {
            name: name.to_owned(),
            robot_type: Some("duckiebot".to_owned()),
            configuration: Some("DB21J\n".to_owned()),
            hardware: Some("virtual".to_owned()),
        }
    }

    fn publication() -> Publication {
        Publication::of(&profile("duckie7")).unwrap()
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
        assert!(Publication::of(&profile(&"a".repeat(38))).is_some());
        assert_eq!(Publication::of(&profile(&"a".repeat(39))), None);
        assert_eq!(Publication::of(&profile("a::b")), None);
        assert_eq!(Publication::of(&profile("")), None);
        assert_eq!(Publication::of(&Profile { robot_type: None, ..profile("a") }), None, "no robot");
        let with_equals = Profile { configuration: Some("a=b".to_owned()), ..profile("a") };
        assert_eq!(Publication::of(&with_equals).unwrap().facts.len(), 3);
    }

    #[test]
    fn an_answer_has_everything_that_the_asker_needs_in_one_datagram() {
        let longest = Publication::of(&profile(&"a".repeat(38))).unwrap();
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
        assert!(publication.is_contested(&theirs, &[ADDRESS]));
        assert!(!publication.is_contested(&publication.announcement(ADDRESS), &[ADDRESS]));
        assert!(!publication.is_contested(&publication.goodbye([10, 77, 0, 1].into()), &[ADDRESS]));
    }

    proptest! {
        #[test]
        fn every_published_value_is_read_again_and_has_no_equals_sign(value in "\\PC{1,30}") {
            let profile = Profile { configuration: Some(value.clone()), ..profile("a") };
            for (name, text) in Publication::of(&profile).unwrap().facts {
                let (kind, _) = parse_instance(&name, &service_name()).unwrap();
                prop_assert!(!strings(&text)[0].contains(&b'='));
                if kind == FactKind::Configuration && value.trim().len() <= 63 {
                    prop_assert_eq!(value_of(kind, &text), Some(value.trim().to_owned()));
                }
            }
        }
    }
}
