//! Addresses of IPSD: chains of segments, such as `/ip4/10.0.0.7/tcp/8000/dswarm-line/dswarm/ID/brain`.

use dcache::PeerId;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The most bytes of an address.
pub const MAX_ADDRESS_BYTES: usize = 512;
/// The segment that ends a channel speaking the line protocol.
const LINE: &str = "dswarm-line";

/// An address: one or more segments, each after a `/`, none of them empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Over the bound.
    #[error("an address has at most {MAX_ADDRESS_BYTES} bytes, not {0}")]
    Length(usize),
    /// Not of the form `/a/b/c`.
    #[error("an address is segments, each after a `/` and none empty: {0:?}")]
    Segments(String),
}

impl Address {
    /// The brain of one peer.
    pub fn brain(peer: PeerId) -> Self {
        Self(format!("/dswarm/{peer}/brain"))
    }

    /// Everybody's brain.
    pub fn every_brain() -> Self {
        Self("/dswarm/*/brain".to_owned())
    }

    /// Somebody at a command line, who listens only on the connection on which he asks.
    pub fn command_line() -> Self {
        Self("/cli".to_owned())
    }

    /// The line protocol over TCP at a host and port.
    pub fn tcp_line(at: SocketAddr) -> Self {
        Self(format!("/{}/tcp/{}/{LINE}", host(at.ip()), at.port()))
    }

    /// This address first, then `rest`.
    ///
    /// # Errors
    /// When the chain would be too long.
    pub fn then(&self, rest: &Self) -> Result<Self, AddressError> {
        format!("{self}{rest}").parse()
    }

    /// The segments, first to last.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        // Every address begins with a slash.
        self.0[1..].split('/')
    }

    /// The peer whose brain the address ends at; `None` for everybody's and for other ends.
    pub fn brain_of(&self) -> Option<PeerId> {
        let mut ending = self.segments().rev();
        match (ending.next(), ending.next(), ending.next()) {
            (Some("brain"), Some(peer), Some("dswarm")) => peer.parse().ok(),
            _ => None,
        }
    }

    /// Whether the address, from its start, leads to a queue: to one brain's, say, or to everybody's.
    pub fn leads_to(&self, queue: &Self) -> bool {
        self.strip_queue(queue).is_some()
    }

    /// Host and port, when the address begins with the line protocol over TCP.
    pub fn tcp(&self) -> Option<SocketAddr> {
        let mut segments = self.segments();
        let ip: IpAddr = match (segments.next()?, segments.next()?) {
            ("ip4", ip) => IpAddr::V4(ip.parse().ok()?),
            ("ip6", ip) => IpAddr::V6(ip.parse().ok()?),
            _ => return None,
        };
        match (segments.next()?, segments.next()?.parse().ok()?, segments.next()?) {
            ("tcp", port, LINE) => Some(SocketAddr::new(ip, port)),
            _ => None,
        }
    }

    /// What is left of this address after the queue's own: whole segments are compared, and a `*` in this address
    /// stands for any one segment of the queue (IPSD). The rest is empty when they are equally long.
    pub fn strip_queue(&self, queue: &Self) -> Option<String> {
        let mut segments = self.segments();
        let fits = |of_queue: &str| segments.next().is_some_and(|own| own == "*" || own == of_queue);
        if !queue.segments().all(fits) {
            return None;
        }
        Some(segments.map(|segment| format!("/{segment}")).collect())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("ip4/{ip}"),
        IpAddr::V6(ip) => format!("ip6/{ip}"),
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
        if text.len() > MAX_ADDRESS_BYTES {
            return Err(AddressError::Length(text.len()));
        }
        let segments = text.strip_prefix('/').map(|rest| rest.split('/'));
        let is_segment = |segment: &str| !segment.is_empty() && !segment.chars().any(char::is_control);
        match segments.is_some_and(|mut segments| segments.all(is_segment)) {
            true => Ok(Self(text)),
            false => Err(AddressError::Segments(text)),
        }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn matches_whole_segments_as_ipsd_says() {
        let rest = address("/irc/*/chan/b").strip_queue(&address("/irc/host/chan"));
        assert_eq!(rest.as_deref(), Some("/b"));
        assert_eq!(address("/dswarm/X/brain").strip_queue(&address("/dswarm/X/pinner")), None);
        assert_eq!(address("/dswarm/X").strip_queue(&address("/dswarm/X/brain")), None);
        assert_eq!(address("/dswarm/X/brains").strip_queue(&address("/dswarm/X/brain")), None);
    }

    #[test]
    fn knows_whose_brain_and_which_socket() {
        let peer = Keypair::from_seed([1; 32]).peer_id();
        let other = Keypair::from_seed([2; 32]).peer_id();
        let at: SocketAddr = "10.77.0.1:8000".parse().unwrap();
        let chain = Address::tcp_line(at).then(&Address::brain(peer)).unwrap();
        assert_eq!(chain.as_str(), format!("/ip4/10.77.0.1/tcp/8000/dswarm-line/dswarm/{peer}/brain"));
        assert_eq!((chain.tcp(), chain.brain_of()), (Some(at), Some(peer)));
        let here = Address::brain(peer);
        assert!(Address::every_brain().leads_to(&here) && here.leads_to(&here));
        assert!(!Address::brain(other).leads_to(&here) && !Address::command_line().leads_to(&here));
        assert_eq!(Address::every_brain().brain_of(), None);
        assert_eq!(address("/ip4/10.77.0.1/udp/1240/dswarm-line").tcp(), None);
        assert_eq!(address("/ip6/::1/tcp/8000/dswarm-line").tcp(), Some("[::1]:8000".parse().unwrap()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "/", "a/b", "/a//b", "/a/", "/a\n", &"/a".repeat(300)] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
