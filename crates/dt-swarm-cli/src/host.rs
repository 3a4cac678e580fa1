//! Reads the HOST argument of the command line.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Default TCP port of the line protocol.
pub(crate) const DEFAULT_PORT: u16 = 8000;
/// Maximum length, in bytes, of a DNS name or an IP address. A DNS name has at most 255 bytes (RFC 1035, section
/// 2.3.4). The limit is higher because an interface name may follow an IPv6 address.
const MAX_NAME_BYTES: usize = 300;

/// The address of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) port: u16,
    /// Whether the command line contains the port. The user then means exactly the daemon at that port.
    pub(crate) is_port_named: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    #[error(
        "HOST is the name of a robot, another host name or an IP address. Append :PORT (1 to 65535) if the port is not {DEFAULT_PORT}; an IPv6 address with a port \
         is [ADDRESS]:PORT"
    )]
    Form,
    #[error("a port is a number from 1 to 65535; leave it out for the port {DEFAULT_PORT}")]
    Port,
}

impl FromStr for Host {
    type Err = HostError;
    fn from_str(text: &str) -> Result<Self, HostError> {
        let (name, port) = split(text)?;
        let is_port_named = port.is_some();
        let port = port.map_or(Ok(DEFAULT_PORT), |port| port.parse().map_err(|_| HostError::Port))?;
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '/' || c == '[' || c == ']';
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(is_odd) {
            return Err(HostError::Form);
        }
        if port == 0 {
            return Err(HostError::Port);
        }
        Ok(Self { name: name.to_owned(), port, is_port_named })
    }
}

impl Host {
    /// Returns the default address of the daemon on this computer: `localhost` with the default port.
    pub(crate) fn usual_here() -> Self {
        Self { name: "localhost".to_owned(), port: DEFAULT_PORT, is_port_named: false }
    }

    /// Returns whether the name is `localhost` or a loopback address, which always mean this computer.
    pub(crate) fn is_here(&self) -> bool {
        let is_loopback = self.name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        is_loopback || self.name == "localhost"
    }

    /// Returns whether the text is a name that may belong to a robot: no IP address and not `localhost`.
    pub(crate) fn is_name(&self) -> bool {
        let address = self.name.split_once('%').map_or(self.name.as_str(), |(address, _)| address);
        self.name != "localhost" && address.parse::<IpAddr>().is_err()
    }

    /// Returns the port if the command line contains it.
    pub(crate) fn named_port(&self) -> Option<u16> {
        self.is_port_named.then_some(self.port)
    }
}

impl From<SocketAddr> for Host {
    fn from(address: SocketAddr) -> Self {
        Self { name: address.ip().to_string(), port: address.port(), is_port_named: true }
    }
}

/// Splits the text into the name and, if it has one, the port.
fn split(text: &str) -> Result<(&str, Option<&str>), HostError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (name, port) = rest.split_once(']').ok_or(HostError::Form)?;
        return match port.strip_prefix(':') {
            Some(port) => Ok((name, Some(port))),
            None if port.is_empty() => Ok((name, None)),
            None => Err(HostError::Form),
        };
    }
    // An IPv6 address may end with an interface: fe80::1%wlan0.
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    if address.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Err(HostError::Form),
        Some((name, port)) => Ok((name, Some(port))),
        None => Ok((text, None)),
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_hosts_are_parsed() {
        for (text, shown) in [
            ("localhost", "localhost:8000"),
            ("duckie.local:9000", "duckie.local:9000"),
            ("10.0.0.7", "10.0.0.7:8000"),
            ("::1", "[::1]:8000"),
            ("[::1]", "[::1]:8000"),
            ("[fe80::1%wlan0]:81", "[fe80::1%wlan0]:81"),
            ("fe80::1%wlan0", "[fe80::1%wlan0]:8000"),
        ] {
            assert_eq!(text.parse::<Host>().map(|host| host.to_string()).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn this_computer_is_known_by_its_usual_names() {
        for text in ["localhost", "127.0.0.1:9000", "127.1.2.3", "::1", "[::1]:81"] {
            assert!(text.parse::<Host>().unwrap().is_here(), "{text}");
        }
        for text in ["duckie.local", "localhost.example.org", "10.0.0.7"] {
            assert!(!text.parse::<Host>().unwrap().is_here(), "{text}");
        }
        for (text, is_name) in [
            ("duckie7", true),
            ("duckie7.local:9000", true),
            ("entebot208~JnuCcN", true),
            ("localhost", false),
            ("10.0.0.7", false),
            ("fe80::1%wlan0", false),
        ] {
            assert_eq!(text.parse::<Host>().unwrap().is_name(), is_name, "{text}");
        }
    }

    #[test]
    fn invalid_hosts_are_refused() {
        for text in ["", ":8000", "a:b:c", "[::1", "[::1]x", "a b", "http://a:1", "a\n"] {
            assert_eq!(text.parse::<Host>(), Err(HostError::Form), "{text:?}");
        }
        for text in ["a:", "a:0", "a:65536", "a:70000", "[::1]:70000", "a:x"] {
            assert_eq!(text.parse::<Host>(), Err(HostError::Port), "{text:?}");
        }
        assert!(HostError::Port.to_string().contains("from 1 to 65535"));
    }
}
