//! What a scenario asks for, once the seed has decided who and when.

use crate::network::NetworkId;
use crate::node::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Something that a scenario asks for.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A node starts.
    Start { node: NodeId },
    /// A node is stopped in order.
    Stop { node: NodeId },
    /// A node is killed, and starts again later.
    Crash { node: NodeId, off: Duration },
    /// A node says something; if it does not run then, the next that does.
    Say { node: NodeId, group: usize, bucket: String, data: String, lifetime: Duration },
    /// A file is put into a node's shared folder; if it does not run then, into that of the next that does.
    Share { node: NodeId, number: usize },
    /// A network falls into parts.
    Part { network: NetworkId, parts: BTreeMap<NodeId, usize> },
    /// And is whole again.
    Heal { network: NetworkId },
    /// A node's clock is set.
    SetClock { node: NodeId, ahead: i64 },
    /// A node leaves a network.
    Leave { node: NodeId, network: NetworkId },
    /// A node comes to a network.
    Join { node: NodeId, network: NetworkId },
    /// From here on traffic is measured.
    Measure,
    /// The calm begins: the figures are taken.
    Calm,
    /// Something is spoilt, to see that it is found.
    Sabotage(Sabotage),
}

/// What can be spoilt behind everybody's back, for tests of the checks.
#[derive(Clone, Copy, Debug)]
pub enum Sabotage {
    /// The last node loses a record, and its ears.
    Forget,
    /// The first node sends more than its first channel allows.
    Overdrive,
    /// A record that nobody signed is put onto the first node's disk, which trusts its own.
    Plant,
}
