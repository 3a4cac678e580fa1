//! The result of resolving an address, or the reason why that failed.

use crate::{Address, AddressError, Member, Part, Wild};
use serde::Serialize;
use std::fmt;

/// Maximum number of steps of one resolution.
pub const MAX_STEPS: usize = 8;

/// The result of resolving an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum Resolution {
    /// The line is sent on the channel with which this address begins; see [`Address::first_hop`].
    Channel {
        /// Address that begins with a channel.
        address: Address,
    },
    /// The line is for the brain of this node.
    Here,
    /// No rule and no learned route matches.
    NoRoute {
        /// Address after the last step.
        address: Address,
    },
}

/// Reason why an address could not be resolved although something matches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The same rule would be used again.
    #[error("a loop: {rule} would be used a second time, on {address}")]
    Loop {
        /// Rule that would be used again.
        rule: String,
        /// Address to which it would be applied.
        address: Address,
    },
    /// Too many steps were needed.
    #[error("no channel is reached after {MAX_STEPS} steps; the address is then {0}")]
    Steps(Address),
    /// The rewriting resulted in an invalid address.
    #[error("{by}: {error}")]
    Rewritten {
        /// Rule or learned route that rewrote the address.
        by: String,
        /// Reason why the result is invalid.
        #[source]
        error: AddressError,
    },
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => f.write_str("delivered here"),
            Self::NoRoute { address } => write!(f, "no route: {}", why_none(address)),
            Self::Channel { address } => match address.first_hop() {
                Some((hop, Some(onwards))) => write!(f, "sent over {hop}, from there on to {onwards}"),
                _ => write!(f, "sent over {address}, to all that receive it"),
            },
        }
    }
}

fn why_none(address: &Address) -> &'static str {
    match address.split_first().0 {
        Part::Peer(Member { peer: Wild::Any, name: "brain" }) => "lines for all brains are not forwarded",
        Part::Peer(Member { name: "brain", .. }) => {
            "no rule matches, and this peer was not heard in the last 15 minutes"
        }
        Part::CommandLine => {
            "no rule matches; a command line is reached only on the connection on which it asked"
        }
        Part::Content(_) => "no rule matches; content is fetched, not written to",
        _ => "no rule matches",
    }
}
