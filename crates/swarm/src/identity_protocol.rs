//! Requests about the identity of this node on the control socket.

use control::Protocol;
use dcache::PeerId;
use serde::{Deserialize, Serialize};

/// The service `identity`.
#[derive(Clone, Copy, Debug)]
pub struct IdentityProtocol;

impl Protocol for IdentityProtocol {
    const NAME: &'static str = "identity";
    type Request = IdentityRequest;
    type Answer = IdentityAnswer;
}

/// A request to the service `identity`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IdentityRequest {
    /// Asks for the identity. The answer is [`IdentityAnswer::Identity`].
    Show {},
    /// Replaces the key of this node by a new one. The daemon then starts again. The answer is
    /// [`IdentityAnswer::Renewed`].
    Renew {},
    /// Notes that the identity belongs to the machine on which the daemon runs. The answer is [`IdentityAnswer::Kept`].
    Keep {},
}

/// An answer of the service `identity`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IdentityAnswer {
    /// The identity of this node.
    Identity {
        /// Peer ID of this node.
        peer: PeerId,
        /// Whether another host uses the same key.
        is_copied: bool,
        /// Why the identity may belong to another machine, and the remedy; `None` if there is no doubt.
        doubt: Option<String>,
    },
    /// The new key is on the disk, and the daemon starts again.
    Renewed {
        /// Peer ID before.
        former: PeerId,
        /// Peer ID from now on.
        peer: PeerId,
        /// Path of the file that keeps the former key.
        former_key: String,
        /// Whether the robot belongs to a swarm with roles.
        has_swarm: bool,
    },
    /// The identity belongs to this machine.
    Kept {},
}
