//! Parses the parts of an address, one after another.

use super::error::AddressError;
use super::parts::{Content, Family, Hop, Host, Member, Node, Part, Socket, Transport, Wild};
use super::segments::split_first;
use std::fmt::{self, Display, Write as _};
use std::str::FromStr;

/// The segment that ends a channel for the line protocol.
const LINE: &str = "dswarm-line";
/// Maximum number of bytes of a channel name that IRC servers accept (RFC 2812).
const MAX_IRC_CHANNEL_BYTES: usize = 50;

/// Position in an address while it is parsed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a str,
    /// Number of segments that have been parsed.
    read: usize,
}

type Read<T> = Result<T, AddressError>;

impl<'a> Reader<'a> {
    /// Returns a reader before the first segment of a text whose form has been checked.
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, read: 0 }
    }

    /// Returns the text that has not been parsed yet.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    /// Parses the next part. There is one while the rest is not empty.
    pub(super) fn part(&mut self) -> Read<Part<'a>> {
        let before = self.rest;
        match self.take("a part of an address")? {
            "ip4" => self.ip("an IPv4 address").map(Host::Ip4).and_then(|host| self.at(host)),
            "ip6" => self.ip("an IPv6 address").map(Host::Ip6).and_then(|host| self.at(host)),
            "dns" => self.named(Family::Any),
            "dns4" => self.named(Family::Ip4),
            "dns6" => self.named(Family::Ip6),
            "ipfs-pubsub" => self.pubsub(),
            "ipfs" => self.content(),
            "dswarm" => self.member(before),
            "cli" => Ok(Part::CommandLine),
            _ => {
                self.rest = "";
                Ok(Part::Other(before))
            }
        }
    }

    /// Returns the next segment.
    fn take(&mut self, expected: &'static str) -> Read<&'a str> {
        let Some((segment, rest)) = split_first(self.rest) else {
            return Err(AddressError::Ends { after: self.read, expected });
        };
        self.rest = rest;
        self.read += 1;
        Ok(segment)
    }

    /// Returns the error that the last segment is not the expected one.
    fn unexpected(&self, found: &str, expected: &'static str) -> AddressError {
        AddressError::Unexpected { number: self.read, found: found.to_owned(), expected }
    }

    /// Parses a segment that has to be this keyword.
    fn keyword(&mut self, keyword: &'static str) -> Read<()> {
        let found = self.take(keyword)?;
        if found == keyword { Ok(()) } else { Err(self.unexpected(found, keyword)) }
    }

    /// Parses a value in its usual spelling, or `*`.
    fn value<T: Display>(
        &mut self,
        expected: &'static str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Read<Wild<T>> {
        let found = self.take(expected)?;
        if found == "*" {
            return Ok(Wild::Any);
        }
        let value = parse(found).ok_or_else(|| self.unexpected(found, expected))?;
        let mut rest = Unprinted(found);
        match write!(rest, "{value}") {
            Ok(()) if rest.0.is_empty() => Ok(Wild::Is(value)),
            _ => Err(self.spelling(found, value.to_string())),
        }
    }

    /// Returns the error that the last segment is not in its usual spelling.
    fn spelling(&self, found: &str, canonical: String) -> AddressError {
        AddressError::Spelling { number: self.read, found: found.to_owned(), canonical }
    }

    /// Parses a text that `fits` accepts, or `*`.
    fn text(&mut self, expected: &'static str, fits: impl FnOnce(&str) -> bool) -> Read<Wild<&'a str>> {
        match self.take(expected)? {
            "*" => Ok(Wild::Any),
            found if fits(found) => Ok(Wild::Is(found)),
            found => Err(self.unexpected(found, expected)),
        }
    }

    fn ip<T: FromStr + Display>(&mut self, expected: &'static str) -> Read<Wild<T>> {
        self.value(expected, |text| text.parse().ok())
    }

    fn named(&mut self, family: Family) -> Read<Part<'a>> {
        let name = self.text("a host name", is_host_name)?;
        if let Some(name) = name.value().filter(|name| name.bytes().any(|byte| byte.is_ascii_uppercase())) {
            return Err(self.spelling(name, name.to_ascii_lowercase()));
        }
        self.at(Host::Name { family, name })
    }

    fn port(&mut self) -> Read<Wild<u16>> {
        self.value("a port from 0 to 65535", |text| text.parse().ok())
    }

    /// Parses the rest of a part after its host.
    fn at(&mut self, host: Host<'a>) -> Read<Part<'a>> {
        let expected = "`tcp` or `udp`";
        match self.take(expected)? {
            "tcp" => self.port().and_then(|port| self.on_tcp(Socket { host, port })),
            "udp" => self.port().and_then(|port| self.on_udp(Socket { host, port })),
            found => Err(self.unexpected(found, expected)),
        }
    }

    fn on_tcp(&mut self, at: Socket<'a>) -> Read<Part<'a>> {
        let expected = "`dswarm-line`, `irc`, `tls` or `p2p`";
        match self.take(expected)? {
            LINE => Ok(Part::Hop(Hop::Tcp(at))),
            "irc" => self.irc(at, false),
            "tls" => self.keyword("irc").and_then(|()| self.irc(at, true)),
            "p2p" => self.node(at, Transport::Tcp),
            found => Err(self.unexpected(found, expected)),
        }
    }

    fn on_udp(&mut self, at: Socket<'a>) -> Read<Part<'a>> {
        let expected = "`dswarm-line` or `quic-v1`";
        match self.take(expected)? {
            LINE => Ok(Part::Hop(Hop::Udp(at))),
            "quic-v1" => self.keyword("p2p").and_then(|()| self.node(at, Transport::Quic)),
            found => Err(self.unexpected(found, expected)),
        }
    }

    fn irc(&mut self, server: Socket<'a>, is_tls: bool) -> Read<Part<'a>> {
        let channel = self.text("an IRC channel such as `#duckiebots`", is_irc_channel)?;
        self.keyword(LINE)?;
        Ok(Part::Hop(Hop::Irc { server, is_tls, channel }))
    }

    fn pubsub(&mut self) -> Read<Part<'a>> {
        let topic = self.text("a topic", |_| true)?;
        self.keyword(LINE)?;
        Ok(Part::Hop(Hop::Pubsub { topic }))
    }

    fn node(&mut self, at: Socket<'a>, transport: Transport) -> Read<Part<'a>> {
        let peer = self.value("a libp2p peer ID in base58", |text| text.parse().ok())?;
        Ok(Part::Node(Node { at, transport, peer }))
    }

    fn content(&mut self) -> Read<Part<'a>> {
        let cid = self.value("a CID", |text| text.try_into().ok())?;
        let path = std::mem::take(&mut self.rest);
        Ok(Part::Content(Content { cid, path }))
    }

    fn member(&mut self, whole: &'a str) -> Read<Part<'a>> {
        let expected = "the peer ID of an Ed25519 key (12D3Koo...) or `*`";
        let peer = match self.take(expected)? {
            "*" => Wild::Any,
            // Peers of the original implementation had RSA keys. Their signatures do not count here, but their lines
            // are parsed.
            found if is_other_key(found) => {
                self.rest = "";
                return Ok(Part::Other(whole));
            }
            // Each ID has only one spelling in base58.
            found => Wild::Is(found.parse().map_err(|_| self.unexpected(found, expected))?),
        };
        let expected = "a name such as `brain`, in small letters, digits and `-`";
        let name = self.take(expected)?;
        match name == "*" || name.bytes().all(is_of_member) {
            true => Ok(Part::Peer(Member { peer, name })),
            false => Err(self.unexpected(name, expected)),
        }
    }
}

/// Returns whether this is the ID of a peer whose key is not contained in the ID.
fn is_other_key(id: &str) -> bool {
    id.starts_with("Qm") && id.parse::<multiaddr::PeerId>().is_ok()
}

/// A writer that compares a text with printed output. Each printed piece is removed from the beginning of the text, and
/// the first difference is an error.
struct Unprinted<'a>(&'a str);

impl fmt::Write for Unprinted<'_> {
    fn write_str(&mut self, printed: &str) -> fmt::Result {
        self.0 = self.0.strip_prefix(printed).ok_or(fmt::Error)?;
        Ok(())
    }
}

fn is_of_member(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// Returns whether a name consists of labels of letters, digits, `-` and `_`. The last label needs a letter, or else it
/// would be an IPv4 address (RFC 1123, section 2.1).
fn is_host_name(name: &str) -> bool {
    let is_of_label = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_of_label);
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= 253 && name.split('.').all(is_label) && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Returns whether a name is a channel name as in RFC 2812: `#` or `&`, followed by anything but spaces, commas, colons
/// and control characters.
fn is_irc_channel(name: &str) -> bool {
    name.len() <= MAX_IRC_CHANNEL_BYTES
        && name
            .strip_prefix(['#', '&'])
            .is_some_and(|rest| !rest.is_empty() && !rest.contains([' ', ',', ':']))
}
