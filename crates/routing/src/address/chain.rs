//! The type of an address, which is a chain of parts.

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

/// Length, in bytes, of the address of one peer's brain; IDs have 52 characters. If an address ends at a peer's brain
/// and has this length, it has no other part. Even the shortest other part, `/cli`, would make it longer.
const BRAIN_BYTES: usize = 8 + 52 + 6;
/// An address: one or more [parts](Part), displayed exactly as it was parsed. Addresses are compared as texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    text: String,
    // Derived from the text.
    properties: Properties,
}

/// Properties of an address that are determined when its parts are checked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Properties {
    hops: u8,
    /// The peer, if the address ends at the brain of one peer.
    brain: Option<PeerId>,
    /// Whether an appended text would belong to the last part.
    is_open: bool,
}

impl Address {
    /// Returns the address of one peer's brain.
    pub fn brain(peer: PeerId) -> Self {
        let properties = Properties { hops: 0, brain: Some(peer), is_open: false };
        Self { text: format!("/dswarm/{peer}/brain"), properties }
    }

    /// Returns the address of the brains of all peers.
    pub fn every_brain() -> Self {
        Self::simple("/dswarm/*/brain".to_owned(), 0)
    }

    /// Returns the address of a command line, which receives answers only on the connection on which it asks.
    pub fn command_line() -> Self {
        Self::simple("/cli".to_owned(), 0)
    }

    /// Returns the address of the line protocol over TCP at a host and port.
    pub fn tcp_line(at: SocketAddr) -> Self {
        Self::simple(Hop::Tcp(at.into()).to_string(), 1)
    }

    /// Returns the address of the line protocol over UDP at a port of one host, or of all hosts of a network.
    pub fn udp_line(at: SocketAddr) -> Self {
        Self::simple(Hop::Udp(at.into()).to_string(), 1)
    }

    /// Returns the address of the line protocol in a channel on an IRC server.
    ///
    /// # Errors
    /// When the name of the channel is invalid.
    pub fn irc_line(server: Socket<'_>, is_tls: bool, channel: &str) -> Result<Self, AddressError> {
        Self::hop(Hop::Irc { server, is_tls, channel: Wild::Is(channel) })
    }

    /// Returns the address of the line protocol on a topic of IPFS pubsub.
    ///
    /// # Errors
    /// When the name of the topic is not valid in an address.
    pub fn pubsub_line(topic: &str) -> Result<Self, AddressError> {
        Self::hop(Hop::Pubsub { topic: Wild::Is(topic) })
    }

    /// Returns the address of one channel.
    ///
    /// # Errors
    /// When a name in it is not valid in an address.
    pub fn hop(hop: Hop<'_>) -> Result<Self, AddressError> {
        Self::from_parts([Part::Hop(hop)])
    }

    /// Returns the address that consists of these parts.
    ///
    /// # Errors
    /// When there are no parts or too many, or when a name in one of them is not valid in an address.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = Part<'a>>) -> Result<Self, AddressError> {
        let parts: Vec<Part<'_>> = parts.into_iter().collect();
        let address: Self = parts.iter().map(ToString::to_string).collect::<String>().try_into()?;
        // A name that contains a `/` would be more than one segment.
        let is_same = address.parts().eq(parts);
        if is_same { Ok(address) } else { Err(AddressError::Parts(address.text)) }
    }

    /// Returns an address of known form that is not open and does not end at one peer's brain.
    fn simple(text: String, hops: u8) -> Self {
        Self { text, properties: Properties { hops, brain: None, is_open: false } }
    }

    /// Returns this address, followed by `rest`.
    ///
    /// # Errors
    /// When the result would be too long.
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

    /// Returns the parts of the address. There is at least one.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let mut reader = Reader::new(&self.text);
        // The parts were parsed before, when the text was checked. So an error only means the end of the text.
        std::iter::from_fn(move || reader.part().ok())
    }

    /// Returns the first part, and the rest of the address.
    pub fn split_first(&self) -> (Part<'_>, Option<Self>) {
        let (part, rest) = self.first();
        let hops = self.properties.hops - u8::from(matches!(part, Part::Hop(_)));
        let rest = (!rest.is_empty())
            .then(|| Self { text: rest.to_owned(), properties: Properties { hops, ..self.properties } });
        (part, rest)
    }

    /// Returns the first part, and the text after it.
    pub(crate) fn first(&self) -> (Part<'_>, &str) {
        // Most addresses in received lines are only that of a brain, and its peer has been parsed already.
        if let Some(peer) = self.properties.brain.filter(|_| self.text.len() == BRAIN_BYTES) {
            return (Part::Peer(Member { peer: Wild::Is(peer), name: "brain" }), "");
        }
        let mut reader = Reader::new(&self.text);
        // Parsing cannot fail, see `parts`; the fallback is never used.
        let part = reader.part().unwrap_or(Part::Other(&self.text));
        (part, reader.rest())
    }

    /// Returns the text of the first `segments` segments; `None` if there are fewer.
    pub(crate) fn prefix(&self, segments: usize) -> Option<&str> {
        let ends =
            self.text.bytes().enumerate().skip(1).filter(|(_, byte)| *byte == b'/').map(|(place, _)| place);
        let end = ends.chain([self.text.len()]).nth(segments.checked_sub(1)?)?;
        self.text.get(..end)
    }

    /// Returns the channel with which the address begins, and the address to which lines are forwarded from there.
    /// Returns `None` if the address does not begin with a channel.
    pub fn first_hop(&self) -> Option<(Hop<'_>, Option<Self>)> {
        match self.split_first() {
            (Part::Hop(hop), rest) => Some((hop, rest)),
            _ => None,
        }
    }

    /// Returns the number of channels in the address.
    pub fn hops(&self) -> u8 {
        self.properties.hops
    }

    /// Returns the segments, first to last.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        segments::iter(&self.text)
    }

    /// Returns the peer at whose brain the address ends; `None` for the brains of all peers, and for other ends.
    pub fn brain_of(&self) -> Option<PeerId> {
        self.properties.brain
    }

    /// Returns whether the address begins with that of a queue: a receiver of lines, such as one peer's brain or the
    /// brains of all peers.
    pub fn leads_to(&self, queue: &Self) -> bool {
        segments::strip_queue(&self.text, &queue.text).is_some()
    }

    /// Returns host and port if the address begins with the line protocol over TCP, and both are numbers.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self.parts().next()? {
            Part::Hop(Hop::Tcp(socket)) => socket.addr(),
            _ => None,
        }
    }

    /// Returns the rest of this address after the segments of a queue; `None` if it does not begin with them.
    pub fn strip_queue(&self, queue: &Self) -> Option<String> {
        segments::strip_queue(&self.text, &queue.text).map(str::to_owned)
    }

    /// Returns the text of the address.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Properties {
    /// Parses all parts of a text whose form has been checked.
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
        // Even twice the maximum length of an address contains far fewer than 255 channels.
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
