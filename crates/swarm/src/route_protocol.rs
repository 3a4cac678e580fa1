//! Requests about routing on the control socket: rewriting rules, and the channels by which peers were heard.

use control::Protocol;
use dcache::PeerId;
use routing::{Address, Rule};
use serde::{Deserialize, Serialize};

/// The service `routes`.
#[derive(Clone, Copy, Debug)]
pub struct RouteProtocol;

impl Protocol for RouteProtocol {
    const NAME: &'static str = "routes";
    type Request = RouteRequest;
    type Answer = RouteAnswer;
}

/// A request to the service `routes`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RouteRequest {
    /// Asks for all rules and routes. The answer is [`RouteAnswer::Routes`].
    List {},
    /// Adds a rewriting rule, which is kept over restarts.
    Add {
        /// The rule to add.
        rule: Rule,
    },
    /// Removes a rewriting rule that was added.
    Remove {
        /// The rule to remove.
        rule: Rule,
    },
    /// Asks where a line with this address would go. The answer is [`RouteAnswer::Explained`].
    Explain {
        /// Address of the line.
        address: Address,
    },
}

/// An answer of the service `routes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RouteAnswer {
    /// The change is on the disk.
    Done {},
    /// Answer to [`RouteRequest::List`]: all rules and routes.
    Routes {
        /// Rules in the order in which they are tried.
        rules: Vec<Rule>,
        /// Channels by which peers were heard.
        learned: Vec<Learned>,
        /// Chains of channels that are used as one channel.
        paths: Vec<Address>,
        /// Whether this node forwards lines for others.
        forwards: bool,
    },
    /// Answer to [`RouteRequest::Explain`]: the route of the line.
    Explained {
        /// Each step as a sentence.
        text: String,
        /// Each step in a form for programs.
        steps: serde_json::Value,
        /// The channel by which the line would leave, as a sentence.
        last: String,
    },
}

/// The channel by which a peer was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    /// Peer that was heard.
    pub peer: PeerId,
    /// Channel by which it was heard.
    pub via: Address,
    /// Cost of a byte on that channel, relative to other channels.
    pub cost: u8,
    /// Seconds since the peer was heard.
    pub seconds: u64,
}
