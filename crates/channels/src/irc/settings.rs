//! Settings of an IRC channel.

use crate::wire::Wire;
use dcache::PeerId;
use routing::{Address, Family, Hop, Host};
use std::path::PathBuf;
use std::time::Duration;

/// The most bytes of a channel's name (RFC 2812).
const MAX_CHANNEL: usize = 50;

/// A channel of a server, and the identity that this node has there.
#[derive(Clone, Debug)]
pub struct IrcSettings {
    /// The server: an IP address, or a DNS name, which is looked up whenever this node connects.
    pub server: String,
    /// Which of its addresses are tried.
    pub family: Family,
    /// Its port (6667; with TLS 6697).
    pub port: u16,
    /// Whether to encrypt, and which certificates to trust.
    pub tls: IrcTls,
    /// The channel, with its `#`.
    pub channel: String,
    /// The robot's name, of which the nick is made.
    pub hostname: String,
    /// This node: tells robots of one name apart, and is written into the "real name".
    pub peer: PeerId,
    /// The address of the channel, as it was configured.
    pub at: Address,
    /// How lines are written.
    pub wire: Wire,
    /// The interval in which one line is sent.
    pub pace: Duration,
    /// Timeouts and waits.
    pub waits: IrcWaits,
}

/// Whether the connection is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IrcTls {
    /// It is not.
    #[default]
    Off,
    /// It is; the server's certificate is signed by an authority that this system trusts.
    System,
    /// It is; the server's certificate, or its signer's, is in this file (PEM).
    Roots(PathBuf),
}

/// Timeouts and waits of an IRC connection.
#[derive(Clone, Copy, Debug)]
pub struct IrcWaits {
    /// The first and the longest wait before connecting again.
    pub reconnect: (Duration, Duration),
    /// The first and the longest wait before joining the channel again, after having been kicked or refused.
    pub rejoin: (Duration, Duration),
    /// How long this node has to be in the channel until the waits are the first ones again.
    pub steady: Duration,
    /// The longest wait for an answer of the server.
    pub answer: Duration,
    /// The time without a message of the server after which it is sent a PING.
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

/// Why a channel is impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IrcError {
    /// The name is none that servers take for a channel.
    #[error(
        "{0:?} is no IRC channel: its name begins with # and has at most {MAX_CHANNEL} bytes, no blanks and no commas"
    )]
    Channel(String),
}

impl IrcSettings {
    /// The channel at an address such as `/ip4/A/tcp/P/irc/#chan/dswarm-line`, with all else as suits a robot; `None` when
    /// it begins with something else, or leaves something open.
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

    /// Returns the name by which people know the channel.
    pub fn name(&self) -> String {
        format!("irc {} {}", self.server, self.channel)
    }

    /// Whether there can be such a channel.
    ///
    /// # Errors
    /// When its name is unfit.
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
    fn an_address_says_which_channel_of_which_server() {
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
    fn unfit_channels_are_refused() {
        let settings = settings("/ip4/10.77.0.1/tcp/6667/irc/#duckiebots/dswarm-line").unwrap();
        assert_eq!(settings.check(), Ok(()));
        for channel in ["", "#", "duckiebots", "#a b", "#a,#b", "#a\r\nQUIT", &format!("#{}", "a".repeat(50))]
        {
            let unfit = IrcSettings { channel: channel.to_owned(), ..settings.clone() };
            assert!(unfit.check().is_err(), "{channel:?}");
        }
    }
}
