//! Settings of an IRC channel.

use crate::wire::Wire;
use dcache::PeerId;
use routing::{Address, Family, Hop, Host};
use std::path::PathBuf;
use std::time::Duration;

/// Maximum number of bytes of a channel name (RFC 2812).
const MAX_CHANNEL: usize = 50;

/// A channel on an IRC server, and the identity of this node there.
#[derive(Clone, Debug)]
pub struct IrcSettings {
    /// IP address or host name of the server. A name is resolved again for each connection.
    pub server: String,
    /// Which addresses of the server are tried.
    pub family: Family,
    /// TCP port of the server: usually 6667, or 6697 with TLS.
    pub port: u16,
    /// Whether the connection is encrypted, and which certificates are trusted.
    pub tls: IrcTls,
    /// Name of the channel, with its `#`.
    pub channel: String,
    /// Name of the robot, from which the nick is derived.
    pub hostname: String,
    /// Identity of this node. Distinguishes robots of the same name, and is sent as part of the "real name".
    pub peer: PeerId,
    /// Address of the channel, as configured.
    pub at: Address,
    /// Encoding of the lines.
    pub wire: Wire,
    /// Interval between two lines.
    pub pace: Duration,
    /// Timeouts and waits.
    pub waits: IrcWaits,
}

/// Whether the connection is encrypted, and which certificates are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IrcTls {
    /// The connection is not encrypted.
    #[default]
    Off,
    /// The connection is encrypted. An authority that this system trusts has to have signed the server's certificate.
    System,
    /// The connection is encrypted. This file (PEM) contains the certificate of the server or of its signer.
    Roots(PathBuf),
}

/// Timeouts and waits of an IRC connection.
#[derive(Clone, Copy, Debug)]
pub struct IrcWaits {
    /// First and maximum wait before connecting again.
    pub reconnect: (Duration, Duration),
    /// First and maximum wait before joining the channel again after this node was kicked or refused.
    pub rejoin: (Duration, Duration),
    /// Time in the channel after which both waits start again from the first one.
    pub steady: Duration,
    /// Timeout for an answer of the server.
    pub answer: Duration,
    /// Time without a message of the server after which this node sends a PING.
    pub quiet: Duration,
}

impl Default for IrcWaits {
    fn default() -> Self {
        Self {
            reconnect: (Duration::from_secs(1), Duration::from_secs(300)),
            rejoin: (Duration::from_secs(10), Duration::from_secs(3600)),
            steady: Duration::from_secs(180),
            answer: Duration::from_secs(30),
            quiet: Duration::from_secs(90),
        }
    }
}

/// Error for a channel that cannot exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IrcError {
    /// No server accepts the name as that of a channel.
    #[error(
        "{0:?} is not an IRC channel: a name begins with # and has at most {MAX_CHANNEL} bytes, no blanks, commas or colons"
    )]
    Channel(String),
}

impl IrcSettings {
    /// Returns the settings for an address such as `/ip4/A/tcp/P/irc/#chan/dswarm-line`, with defaults that suit a
    /// robot. Returns `None` if the address does not begin with an IRC channel, or if it contains a `*`.
    pub fn at(at: &Address, hostname: &str, peer: PeerId) -> Option<Self> {
        let (Hop::Irc { server, is_tls, channel }, _) = at.first_hop()? else { return None };
        let (name, family) = host(server.host)?;
        Some(Self {
            server: name,
            family,
            port: server.port.value()?,
            tls: if is_tls { IrcTls::System } else { IrcTls::Off },
            channel: channel.value()?.to_owned(),
            hostname: hostname.to_owned(),
            peer,
            at: at.clone(),
            wire: Wire::default(),
            pace: Duration::from_secs(2),
            waits: IrcWaits::default(),
        })
    }

    /// Returns the name of the channel, for display.
    pub fn name(&self) -> String {
        format!("irc {} {}", self.server, self.channel)
    }

    /// Checks whether the name of the channel is valid.
    ///
    /// # Errors
    /// When the name is invalid.
    pub fn check(&self) -> Result<(), IrcError> {
        let fits = |one: char| !one.is_control() && !matches!(one, ' ' | ',' | ':');
        let is_fit = (2..=MAX_CHANNEL).contains(&self.channel.len())
            && self.channel.starts_with('#')
            && self.channel.chars().all(fits);
        if is_fit { Ok(()) } else { Err(IrcError::Channel(self.channel.clone())) }
    }
}

fn host(host: Host<'_>) -> Option<(String, Family)> {
    match host {
        Host::Ip4(address) => Some((address.value()?.to_string(), Family::Ip4)),
        Host::Ip6(address) => Some((address.value()?.to_string(), Family::Ip6)),
        Host::Name { family, name } => Some((name.value()?.to_owned(), family)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(at: &str) -> Option<IrcSettings> {
        IrcSettings::at(&at.parse().unwrap(), "duck", PeerId::from_public_key([1; 32]))
    }

    #[test]
    fn an_address_names_the_server_and_the_channel() {
        let plain = settings("/ip4/10.77.0.1/tcp/6667/irc/#duckiebots/dswarm-line").unwrap();
        assert_eq!((plain.server.as_str(), plain.port, plain.tls.clone()), ("10.77.0.1", 6667, IrcTls::Off));
        assert_eq!(plain.name(), "irc 10.77.0.1 #duckiebots");
        let named = settings("/dns6/irc.lab/tcp/6697/tls/irc/#duckiebots/dswarm-line").unwrap();
        assert_eq!(
            (named.server.as_str(), named.family, named.tls),
            ("irc.lab", Family::Ip6, IrcTls::System)
        );
        for other in ["/ip4/10.77.0.1/tcp/8000/dswarm-line", "/ip4/*/tcp/6667/irc/#duckiebots/dswarm-line"] {
            assert!(settings(other).is_none(), "{other}");
        }
    }

    #[test]
    fn invalid_channel_names_are_refused() {
        let settings = settings("/ip4/10.77.0.1/tcp/6667/irc/#duckiebots/dswarm-line").unwrap();
        assert_eq!(settings.check(), Ok(()));
        for channel in ["", "#", "duckiebots", "#a b", "#a,#b", "#a\r\nQUIT", &format!("#{}", "a".repeat(50))]
        {
            let unfit = IrcSettings { channel: channel.to_owned(), ..settings.clone() };
            assert!(unfit.check().is_err(), "{channel:?}");
        }
    }
}
