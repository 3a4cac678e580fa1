//! An address: a chain of parts.

use super::error::AddressError;
use super::limits::{MAX_ADDRESS_BYTES, MAX_HOPS};
use super::parts::{Hop, Member, Part, Socket, Wild};
use super::read::Reader;
use super::segments;
use dcache::PeerId;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// Number of bytes of the address of one peer's brain: it begins `/dswarm/`, and IDs have 52 characters. No address of
/// this length ends at a peer's brain and has something before it: the shortest, `/cli`, would need more.
const BRAIN_BYTES: usize = 8 + 52 + 6;
/// An address: one or more [parts](Part), printed back exactly as it was read. Addresses are compared as texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    text: String,
    // Derived from the text.
    properties: Properties,
}

/// The properties of an address that are found when its parts are checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Properties {
    hops: u8,
    /// Whose brain it ends at.
    brain: Option<PeerId>,
    /// Whether anything put behind would belong to the last part.
    is_open: bool,
}

impl Address {
    /// The brain of one peer.
    pub fn brain(peer: PeerId) -> Self {
        let properties = Properties { hops: 0, brain: Some(peer), is_open: false };
        Self { text: format!("/dswarm/{peer}/brain"), properties }
    }

    /// Everybody's brain.
    pub fn every_brain() -> Self {
        Self::simple("/dswarm/*/brain".to_owned(), 0)
    }

    /// Somebody at a command line, who listens only on the connection on which he asks.
    pub fn command_line() -> Self {
        Self::simple("/cli".to_owned(), 0)
    }

    /// The line protocol over TCP at a host and port.
    pub fn tcp_line(at: SocketAddr) -> Self {
        Self::simple(Hop::Tcp(at.into()).to_string(), 1)
    }

    /// The line protocol over UDP at a host, or all hosts of a network, and a port.
    pub fn udp_line(at: SocketAddr) -> Self {
        Self::simple(Hop::Udp(at.into()).to_string(), 1)
    }

    /// The line protocol in a channel of an IRC server.
    ///
    /// # Errors
    /// When there can be no such channel.
    pub fn irc_line(server: Socket<'_>, is_tls: bool, channel: &str) -> Result<Self, AddressError> {
        Self::hop(Hop::Irc { server, is_tls, channel: Wild::Is(channel) })
    }

    /// The line protocol on a topic of IPFS pubsub.
    ///
    /// # Errors
    /// When a topic of this name cannot stand in an address.
    pub fn pubsub_line(topic: &str) -> Result<Self, AddressError> {
        Self::hop(Hop::Pubsub { topic: Wild::Is(topic) })
    }

    /// One channel.
    ///
    /// # Errors
    /// When a name in it cannot stand in an address.
    pub fn hop(hop: Hop<'_>) -> Result<Self, AddressError> {
        Self::from_parts([Part::Hop(hop)])
    }

    /// These parts, one after the other.
    ///
    /// # Errors
    /// When there is none, when they are too many, or a name in one cannot stand in an address.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = Part<'a>>) -> Result<Self, AddressError> {
        let parts: Vec<Part<'_>> = parts.into_iter().collect();
        let address: Self = parts.iter().map(ToString::to_string).collect::<String>().try_into()?;
        // A name with a `/` in it would be more than one segment.
        let is_same = address.parts().eq(parts);
        if is_same { Ok(address) } else { Err(AddressError::Parts(address.text)) }
    }

    /// Of known form, and neither at one peer's brain nor open.
    fn simple(text: String, hops: u8) -> Self {
        Self { text, properties: Properties { hops, brain: None, is_open: false } }
    }

    /// This address first, then `rest`.
    ///
    /// # Errors
    /// When the chain would be too long.
    pub fn then(&self, rest: &Self) -> Result<Self, AddressError> {
        let (length, hops) = (self.text.len() + rest.text.len(), self.properties.hops + rest.properties.hops);
        if length > MAX_ADDRESS_BYTES {
            return Err(AddressError::Length(length));
        }
        let properties = match self.properties.is_open {
            true => self.properties,
            false => Properties { hops, ..rest.properties },
        };
        properties.check()?;
        Ok(Self { text: [self.as_str(), rest.as_str()].concat(), properties })
    }

    /// What the address says, part by part; at least one.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut reader = Reader::new(&self.text);
        // They were read before, when the text was checked: what ends them is the end of the text.
        std::iter::from_fn(move || reader.part().ok())
    }

    /// The first part, and what follows it.
    pub fn split_first(&self) -> (Part<'_>, Option<Self>) {
        let (part, rest) = self.first();
        let hops = self.properties.hops - u8::from(matches!(part, Part::Hop(_)));
        let rest = (!rest.is_empty())
            .then(|| Self { text: rest.to_owned(), properties: Properties { hops, ..self.properties } });
        (part, rest)
    }

    /// The first part, and the text that follows it.
    pub(crate) fn first(&self) -> (Part<'_>, &str) {
        // Most addresses on the way are a brain's alone, and whose it is has been read.
        if let Some(peer) = self.properties.brain.filter(|_| self.text.len() == BRAIN_BYTES) {
            return (Part::Peer(Member { peer: Wild::Is(peer), name: "brain" }), "");
        }
        let mut reader = Reader::new(&self.text);
        // Never the second: see `parts`.
        let part = reader.part().unwrap_or(Part::Other(&self.text));
        (part, reader.rest())
    }

    /// The text of the first so many segments, if there are as many.
    pub(crate) fn prefix(&self, segments: usize) -> Option<&str> {
        let ends =
            self.text.bytes().enumerate().skip(1).filter(|(_, byte)| *byte == b'/').map(|(place, _)| place);
        let end = ends.chain([self.text.len()]).nth(segments.checked_sub(1)?)?;
        self.text.get(..end)
    }

    /// The channel with which the address begins, and what is to be sent onwards over it, if it begins with one.
    pub fn first_hop(&self) -> Option<(Hop<'_>, Option<Self>)> {
        match self.split_first() {
            (Part::Hop(hop), rest) => Some((hop, rest)),
            _ => None,
        }
    }

    /// Over how many channels the address leads.
    pub fn hops(&self) -> u8 {
        self.properties.hops
    }

    /// The segments, first to last.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        segments::iter(&self.text)
    }

    /// The peer whose brain the address ends at; `None` for everybody's and for other ends.
    pub fn brain_of(&self) -> Option<PeerId> {
        self.properties.brain
    }

    /// Whether the address, from its start, leads to a queue: to one brain's, say, or to everybody's.
    pub fn leads_to(&self, queue: &Self) -> bool {
        segments::strip_queue(&self.text, &queue.text).is_some()
    }

    /// Host and port, when the address begins with the line protocol over TCP.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self.parts().next()? {
            Part::Hop(Hop::Tcp(socket)) => socket.addr(),
            _ => None,
        }
    }

    /// What is left of this address after the queue's own: counted in whole segments.
    pub fn strip_queue(&self, queue: &Self) -> Option<String> {
        segments::strip_queue(&self.text, &queue.text).map(str::to_owned)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Properties {
    /// Reads all parts of a text whose form is checked.
    fn read(text: &str) -> Result<Self, AddressError> {
        let mut reader = Reader::new(text);
        let mut properties = Self { hops: 0, brain: None, is_open: false };
        while !reader.rest().is_empty() {
            properties = properties.after(&reader.part()?);
        }
        properties.check()
    }

    fn after(self, part: &Part<'_>) -> Self {
        let brain = match part {
            Part::Peer(Member { peer, name: "brain" }) => peer.value(),
            _ => None,
        };
        let hops = self.hops + u8::from(matches!(part, Part::Hop(_)));
        Self { hops, brain, is_open: matches!(part, Part::Content(_) | Part::Other(_)) }
    }

    fn check(self) -> Result<Self, AddressError> {
        // Twice the bytes of an address hold far fewer than 255 channels.
        if self.hops <= MAX_HOPS { Ok(self) } else { Err(AddressError::Hops(self.hops)) }
    }
}

impl FromStr for Address {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        segments::check(&text)?;
        let properties = Properties::read(&text)?;
        Ok(Self { text, properties })
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}
