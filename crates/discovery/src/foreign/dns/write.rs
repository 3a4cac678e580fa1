//! A writer of DNS messages.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{AUTHORITATIVE, CLASS_INTERNET, Data, Message, Name, RESPONSE, Record, TOP_BIT, kind};
use std::collections::BTreeMap;

/// First offset that does not fit into a pointer.
const POINTER_END: usize = 0x4000;
/// The bits that mark a pointer.
const POINTER: u16 = 0xc000;

/// Writes a message. All records are in the answer section. The end of a name that stands in the message already is
/// replaced by a pointer.
pub fn write(message: &Message) -> Vec<u8> {
    let mut writer = Writer::default();
    let flags = if message.is_response { RESPONSE | AUTHORITATIVE } else { 0 };
    let counts = [message.questions.len(), message.records.len(), 0, 0];
    let counts = counts.map(|count| u16::try_from(count).unwrap_or(u16::MAX));
    [message.id, flags].iter().chain(&counts).for_each(|field| writer.number(*field));
    for question in &message.questions {
        writer.name(&question.name);
        writer.number(question.kind);
        writer.class(question.wants_unicast);
    }
    message.records.iter().for_each(|record| writer.record(record));
    writer.bytes
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// Offsets of the names that stand in the message, and of their ends.
    written: BTreeMap<Vec<Vec<u8>>, u16>,
}

impl Writer {
    fn number(&mut self, number: u16) {
        self.bytes.extend(number.to_be_bytes());
    }

    fn class(&mut self, top: bool) {
        self.number(if top { CLASS_INTERNET | TOP_BIT } else { CLASS_INTERNET });
    }

    fn name(&mut self, name: &Name) {
        let mut labels = name.labels();
        while let Some((label, rest)) = labels.split_first() {
            if let Some(offset) = self.written.get(labels) {
                return self.number(POINTER | offset);
            }
            if let Some(offset) =
                u16::try_from(self.bytes.len()).ok().filter(|at| usize::from(*at) < POINTER_END)
            {
                self.written.insert(labels.to_vec(), offset);
            }
            self.label(label);
            labels = rest;
        }
        self.bytes.push(0);
    }

    fn label(&mut self, label: &[u8]) {
        // The constructors of `Name` limit a label to 63 bytes.
        self.bytes.push(label.len() as u8);
        self.bytes.extend(label);
    }

    fn record(&mut self, record: &Record) {
        self.name(&record.name);
        self.number(kind_of(&record.data));
        self.class(record.replaces);
        self.bytes.extend(record.ttl.to_be_bytes());
        let begin = self.bytes.len();
        self.number(0);
        self.data(&record.data);
        let length = u16::try_from(self.bytes.len() - begin - 2).unwrap_or(u16::MAX);
        self.bytes[begin..begin + 2].copy_from_slice(&length.to_be_bytes());
    }

    fn data(&mut self, data: &Data) {
        match data {
            Data::Ptr(name) => self.name(name),
            Data::Srv { port, target } => {
                // Priority and weight are 0. RFC 2782 does not permit pointers in the name of the host.
                [0, 0, *port].iter().for_each(|field| self.number(*field));
                target.labels().iter().for_each(|label| self.label(label));
                self.bytes.push(0);
            }
            Data::Txt(text) => self.bytes.extend(text),
            Data::A(ip) => self.bytes.extend(ip.octets()),
            Data::Aaaa(ip) => self.bytes.extend(ip.octets()),
        }
    }
}

fn kind_of(data: &Data) -> u16 {
    match data {
        Data::Ptr(_) => kind::PTR,
        Data::Srv { .. } => kind::SRV,
        Data::Txt(_) => kind::TXT,
        Data::A(_) => kind::A,
        Data::Aaaa(_) => kind::AAAA,
    }
}
