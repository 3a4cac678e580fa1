//! A lenient reader of DNS messages, as multicast DNS (RFC 6762) uses them.
//!
//! Robots of Duckietown publish facts in a form that strict readers reject, so this reader skips what it does not
//! understand and keeps the rest. Every input ends: pointers in names only lead backwards, and the size of a message and
//! the number of its entries are limited.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod name;
mod write;

pub use name::Name;
pub use write::write;

use std::net::{Ipv4Addr, Ipv6Addr};

/// Maximum size of a message, in bytes (RFC 6762, section 17).
pub const MAX_MESSAGE_BYTES: usize = 9000;
/// Maximum number of questions and records that are read from one message, together.
pub const MAX_ENTRIES: usize = 256;
/// Maximum number of strings that are read from one TXT record.
const MAX_STRINGS: usize = 32;
/// Size of the header, in bytes.
const HEADER_BYTES: usize = 12;

/// Types of records (RFC 1035, RFC 2782 and RFC 3596).
pub(super) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const TXT: u16 = 16;
    pub(crate) const AAAA: u16 = 28;
    pub(crate) const SRV: u16 = 33;
    /// A question for records of every type.
    pub(crate) const ANY: u16 = 255;
}

/// The class of the internet.
const CLASS_INTERNET: u16 = 1;
/// Bit of the class field: in a question, the answer is wanted by unicast; in a record, it replaces older ones.
const TOP_BIT: u16 = 0x8000;
/// Bit of the flags field that marks a response.
const RESPONSE: u16 = 0x8000;
/// Bit of the flags field that marks an answer of the host that owns the names.
const AUTHORITATIVE: u16 = 0x0400;

/// A message: its questions, and the records of all its sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Number that an answer repeats from its question.
    pub id: u16,
    /// Whether this is a response.
    pub is_response: bool,
    /// The questions of the class of the internet.
    pub questions: Vec<Question>,
    /// The records that were understood, in the order of the message.
    pub records: Vec<Record>,
}

/// A question for the records with a name and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name of the records.
    pub name: Name,
    /// Number of the type, such as 12 for PTR.
    pub kind: u16,
    /// Whether the answer is wanted by unicast (the bit QU of RFC 6762, section 5.4).
    pub wants_unicast: bool,
}

/// A record of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name to which the record belongs.
    pub name: Name,
    /// Time for which the record may be kept, in seconds. The value 0 withdraws it.
    pub ttl: u32,
    /// Whether the record replaces all older ones with its name and type.
    pub replaces: bool,
    /// The content of the record.
    pub data: Data,
}

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Points at a name, such as from a service type to an instance of it.
    Ptr(Name),
    /// Port and host of an instance.
    Srv {
        /// Port of the instance.
        port: u16,
        /// Name of the host.
        target: Name,
    },
    /// The bytes of a TXT record; [`strings`] divides them.
    Txt(Vec<u8>),
    /// An IPv4 address of a host.
    A(Ipv4Addr),
    /// An IPv6 address of a host.
    Aaaa(Ipv6Addr),
}

/// Error for bytes that are no DNS message at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The message is larger than the maximum of multicast DNS.
    #[error("a DNS message of {0} bytes is longer than {MAX_MESSAGE_BYTES} bytes")]
    TooLong(usize),
    /// The message ends within its header.
    #[error("a DNS message of {0} bytes is shorter than its header")]
    TooShort(usize),
}

/// Reads a message. Records that are not understood are left out. When the message is damaged, everything before the
/// damage is returned.
///
/// # Errors
/// When the message is too long, or shorter than its header.
pub fn read(bytes: &[u8]) -> Result<Message, DnsError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(DnsError::TooLong(bytes.len()));
    }
    let mut reader = Reader { bytes, at: 0 };
    let header = reader.header().ok_or(DnsError::TooShort(bytes.len()))?;
    let [id, flags, questions, answers, authorities, additional] = header;
    let is_response = flags & RESPONSE != 0;
    let mut message = Message { id, is_response, ..Message::default() };
    let records = [answers, authorities, additional].iter().map(|count| usize::from(*count)).sum::<usize>();
    // A damaged message ends this function early; what was read before is kept.
    let _ = reader.entries(&mut message, usize::from(questions), records);
    Ok(message)
}

/// Returns the strings of a TXT record. A length that leads beyond the end of the record gives the rest of it: some
/// robots publish such records.
pub fn strings(rdata: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut strings) = (rdata, Vec::new());
    while let Some((length, tail)) = rest.split_first() {
        if strings.len() >= MAX_STRINGS {
            break;
        }
        let (string, after) = tail.split_at(tail.len().min(usize::from(*length)));
        strings.push(string);
        rest = after;
    }
    strings
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn header(&mut self) -> Option<[u16; HEADER_BYTES / 2]> {
        let mut fields = [0; HEADER_BYTES / 2];
        for field in &mut fields {
            *field = self.number()?;
        }
        Some(fields)
    }

    /// Reads the questions and the records into `message`. Returns `None` at the first damage.
    fn entries(&mut self, message: &mut Message, questions: usize, records: usize) -> Option<()> {
        let questions = questions.min(MAX_ENTRIES);
        for _ in 0..questions {
            message.questions.extend(self.question()?);
        }
        for _ in 0..records.min(MAX_ENTRIES - questions) {
            message.records.extend(self.record()?);
        }
        Some(())
    }

    fn question(&mut self) -> Option<Option<Question>> {
        let name = self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        let question = Question { name, kind, wants_unicast: class & TOP_BIT != 0 };
        Some((class & !TOP_BIT == CLASS_INTERNET).then_some(question))
    }

    /// Reads a record. The inner option is `None` for a record that is not understood.
    fn record(&mut self) -> Option<Option<Record>> {
        let name = self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        let ttl = u32::from(self.number()?) << 16 | u32::from(self.number()?);
        let length = usize::from(self.number()?);
        let begin = self.at;
        let rdata = self.take(length)?;
        if class & !TOP_BIT != CLASS_INTERNET {
            return Some(None);
        }
        let data = self.data(kind, rdata, begin);
        Some(data.map(|data| Record { name, ttl, replaces: class & TOP_BIT != 0, data }))
    }

    /// Returns the content of a record that begins at `begin`, unless its type is unknown or it is damaged.
    fn data(&self, kind: u16, rdata: &[u8], begin: usize) -> Option<Data> {
        let name_at = |skipped: usize| {
            let (name, end) = Name::read(self.bytes, begin + skipped)?;
            (end <= begin + rdata.len()).then_some(name)
        };
        match kind {
            kind::PTR => name_at(0).map(Data::Ptr),
            kind::SRV => {
                // Priority and weight have no meaning here.
                let port: [u8; 2] = rdata.get(4..6)?.try_into().ok()?;
                Some(Data::Srv { port: u16::from_be_bytes(port), target: name_at(6)? })
            }
            kind::TXT => Some(Data::Txt(rdata.to_vec())),
            kind::A => <[u8; 4]>::try_from(rdata).ok().map(|ip| Data::A(ip.into())),
            kind::AAAA => <[u8; 16]>::try_from(rdata).ok().map(|ip| Data::Aaaa(ip.into())),
            _ => None,
        }
    }

    fn name(&mut self) -> Option<Name> {
        let (name, end) = Name::read(self.bytes, self.at)?;
        self.at = end;
        Some(name)
    }

    fn number(&mut self) -> Option<u16> {
        let bytes: [u8; 2] = self.take(2)?.try_into().ok()?;
        Some(u16::from_be_bytes(bytes))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at + length)?;
        self.at += length;
        Some(taken)
    }
}

#[cfg(test)]
mod tests;
