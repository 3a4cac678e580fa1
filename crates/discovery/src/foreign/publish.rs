//! The facts that this robot publishes about itself by multicast DNS, and its answers to questions.
//!
//! The clients of Duckietown are strict: the TXT record of a fact has exactly one string, which is JSON without a key in
//! front of it and without the character `=`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Profile;
use super::dns::{Data, Message, Name, Question, Record, kind};
use super::facts::{FactKind, parse_instance, service_name};
use super::own_service::{OwnService, own_service_name};
use serde_json::{Map, Value};
use std::net::{IpAddr, Ipv4Addr};

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

/// The facts about this robot, and the instance of its own service, as records of multicast DNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publication {
    service: Name,
    host: Name,
    /// Name of the instance and content of the TXT record of each fact.
    facts: Vec<(Name, Vec<u8>)>,
    own: Option<OwnInstance>,
}

/// The instance of dt-swarm's own service type, with its host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnInstance {
    name: Name,
    host: Name,
    service: OwnService,
}

impl OwnInstance {
    fn of(name: &str, service: OwnService) -> Option<Self> {
        Some(Self { name: service.instance(name)?, host: service.host()?, service })
    }
}

impl Publication {
    /// Returns the facts of a robot, and the instance of its own service. Returns `None` if nothing can be published.
    pub(super) fn of(profile: &Profile, publishes_facts: bool) -> Option<Self> {
        let host = Name::new([profile.name.as_str(), "local"])?;
        let facts = publishes_facts.then(|| Self::facts_of(profile)).flatten().unwrap_or_default();
        let own = profile.own.clone().and_then(|own| OwnInstance::of(&profile.name, own));
        Some(Self { service: service_name(), host, facts, own }).filter(|publication| !publication.is_empty())
    }

    /// Returns whether there is nothing to publish.
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.own.is_none()
    }

    /// Returns whether there are facts about this robot.
    pub(super) fn has_facts(&self) -> bool {
        !self.facts.is_empty()
    }

    /// Returns the label of the own instance, and what it tells.
    pub(super) fn own_service(&self) -> Option<(&[u8], &OwnService)> {
        let OwnInstance { name, service, .. } = self.own.as_ref()?;
        Some((name.labels().first()?.as_slice(), service))
    }

    /// Returns the publication without the facts about this robot, or with nothing but them.
    pub(super) fn split(self) -> (Self, Self) {
        let facts = Self { own: None, ..self.clone() };
        (Self { facts: Vec::new(), ..self }, facts)
    }

    /// Returns the facts of a robot. Returns `None` without a type, because this host is no robot then, and for a name
    /// that the clients of Duckietown cannot read.
    fn facts_of(profile: &Profile) -> Option<Vec<(Name, Vec<u8>)>> {
        profile.robot_type.as_ref()?;
        let service = service_name();
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
        fits.then_some(facts)
    }

    /// Returns the question whether another host has the name of this one.
    pub(super) fn probe(&self) -> Message {
        let question = Question { name: self.host.clone(), kind: kind::ANY, wants_unicast: false };
        Message { questions: vec![question], ..Message::default() }
    }

    /// Returns whether the host at `source`, which sent a message, states that the name of this host is its own. Then the
    /// facts must not be published. A statement about a third host does not count, because anyone could make it. The own
    /// service has names that no other robot has.
    pub(super) fn is_contested(&self, message: &Message, source: IpAddr, own: &[Ipv4Addr]) -> bool {
        let is_other = |record: &Record| match &record.data {
            Data::A(ip) => {
                record.name == self.host && record.ttl > 0 && source == IpAddr::V4(*ip) && !own.contains(ip)
            }
            _ => false,
        };
        message.is_response && self.has_facts() && message.records.iter().any(is_other)
    }

    /// Returns all records, for hosts that hear them without a question.
    pub(super) fn announcement(&self, address: Ipv4Addr) -> Message {
        let records = self.groups(address).concat();
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
        let records: Vec<Record> =
            self.groups(address).iter().flat_map(|group| answer_from(group, asked, is_legacy)).collect();
        let message = Message { is_response: true, records, ..Message::default() };
        (!message.records.is_empty()).then(|| if is_legacy { legacy(message, asked) } else { message })
    }

    /// Returns the records about the facts and those about the own service. Each group has its own host.
    fn groups(&self, address: Ipv4Addr) -> [Vec<Record>; 2] {
        let facts = self.facts.iter().flat_map(|(instance, text)| {
            instance_records(&self.service, instance, (0, &self.host), text.clone())
        });
        let facts: Vec<Record> = facts.collect();
        let facts =
            if facts.is_empty() { facts } else { [facts, vec![host_record(&self.host, address)]].concat() };
        let own = self.own.iter().flat_map(|OwnInstance { name, host, service }| {
            let records = instance_records(&own_service_name(), name, (service.port, host), service.text());
            records.into_iter().chain([host_record(host, address)])
        });
        [facts, own.collect()]
    }
}

/// Returns the records of a group that answer the questions in a message, and those that the asker needs next.
fn answer_from(group: &[Record], asked: &Message, is_legacy: bool) -> Vec<Record> {
    let is_wanted = |question: &Question, record: &Record| {
        question.name == record.name && [kind_of(record), kind::ANY].contains(&question.kind)
    };
    let is_any_wanted = |record: &Record| asked.questions.iter().any(|question| is_wanted(question, record));
    let is_known = |record: &Record| {
        // The asker lists the records that it has for at least half of their lifetime.
        let is_same = |known: &Record| known.name == record.name && known.data == record.data;
        !is_legacy && asked.records.iter().any(|known| is_same(known) && known.ttl >= record.ttl / 2)
    };
    let wanted: Vec<Record> =
        group.iter().filter(|record| is_any_wanted(record) && !is_known(record)).cloned().collect();
    let is_pointed_at = |record: &&Record| {
        wanted.iter().any(|wanted| matches!(&wanted.data, Data::Ptr(name) if *name == record.name))
    };
    let is_host = |record: &Record| matches!(record.data, Data::A(_));
    let needs_host = wanted.iter().any(|record| !is_host(record));
    let more = group.iter().filter(|record| !wanted.contains(record));
    let more = more.filter(|record| is_pointed_at(record) || needs_host && is_host(record));
    wanted.iter().chain(more).cloned().collect()
}

fn instance_records(
    service: &Name,
    instance: &Name,
    (port, host): (u16, &Name),
    text: Vec<u8>,
) -> [Record; 3] {
    let record = |name: &Name, ttl, replaces, data| Record { name: name.clone(), ttl, replaces, data };
    [
        // Other robots have such records with the same name.
        record(service, TTL_OTHER, false, Data::Ptr(instance.clone())),
        record(instance, TTL_HOST, true, Data::Srv { port, target: host.clone() }),
        record(instance, TTL_OTHER, true, Data::Txt(text)),
    ]
}

fn host_record(host: &Name, address: Ipv4Addr) -> Record {
    Record { name: host.clone(), ttl: TTL_HOST, replaces: true, data: Data::A(address) }
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
mod tests;
