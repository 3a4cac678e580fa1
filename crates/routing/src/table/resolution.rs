//! Where an address leads, or why nowhere.

use crate::{Address, AddressError, Member, Part, Wild};
use serde::Serialize;
use std::fmt;

/// Maximum number of steps of one resolution.
pub const MAX_STEPS: usize = 8;

/// Where an address leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum Resolution {
    /// Over the channel with which this address begins, see [`Address::first_hop`].
    Channel {
        /// The address.
        address: Address,
    },
    /// To the brain of this node.
    Here,
    /// Nowhere that is known.
    NoRoute {
        /// What is left of the address.
        address: Address,
    },
}

/// Why an address leads nowhere although something matches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The same again.
    #[error("a loop: {rule} would be used a second time, on {address}")]
    Loop {
        /// By which rule.
        rule: String,
        /// On what.
        address: Address,
    },
    /// Too far.
    #[error("not at a channel after {MAX_STEPS} steps, but at {0}")]
    Steps(Address),
    /// What came out is no address.
    #[error("{by}: {error}")]
    Rewritten {
        /// Of which rule, or whose learned route.
        by: String,
        /// Why.
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
                _ => write!(f, "sent over {address}, to all who hear it"),
            },
        }
    }
}

fn why_none(address: &Address) -> &'static str {
    match address.split_first().0 {
        Part::Peer(Member { peer: Wild::Any, name: "brain" }) => "what is for everybody's brain ends there",
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
