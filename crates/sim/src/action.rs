//! The actions of a scenario, once the seed has decided the nodes and the times.

use crate::network::NetworkId;
use crate::node::NodeId;
use crate::scenario::Killed;
use diagnostics::health::Level;
use std::collections::BTreeMap;
use std::time::Duration;

/// An action that a scenario asks for.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A node starts.
    Start { node: NodeId },
    /// A node is shut down cleanly.
    Stop { node: NodeId },
    /// A node is killed, and starts again later.
    Crash { node: NodeId, off: Duration },
    /// A node is shut down cleanly, and starts again later. Its services publish their last statements first.
    Depart { node: NodeId, off: Duration },
    /// The tables of robots of some nodes are checked.
    CheckTables,
    /// The level of a node's health changes.
    SetLevel { node: NodeId, level: Level },
    /// The health that some nodes see is checked.
    CheckHealth,
    /// A node publishes a record; if it does not run then, the next running node does.
    Say { node: NodeId, group: usize, bucket: String, data: String, lifetime: Duration },
    /// A file is put into a node's shared folder; if the node does not run then, into that of the next running node.
    Share { node: NodeId, number: usize },
    /// The disk of a node becomes full for a while.
    FillDisk { node: NodeId, lasting: Duration, files: usize, is_urgent: bool },
    /// Running nodes that keep the same file are killed.
    KillHolders { killed: Killed, number: usize },
    /// The number of copies of each file is checked.
    CheckCopies,
    /// A network is split into parts.
    Part { network: NetworkId, parts: BTreeMap<NodeId, usize> },
    /// A network is whole again.
    Heal { network: NetworkId },
    /// A node's clock is set.
    SetClock { node: NodeId, ahead: i64 },
    /// A node leaves a network.
    Leave { node: NodeId, network: NetworkId },
    /// A node comes to a network.
    Join { node: NodeId, network: NetworkId },
    /// The measurement of traffic begins.
    Measure,
    /// The calm begins, a time without new records and faults. The measurement ends.
    Calm,
    /// A fault is injected that the checks have to find.
    Sabotage(Sabotage),
}

/// Faults that are injected to test the checks.
#[derive(Clone, Copy, Debug)]
pub enum Sabotage {
    /// The last node loses a record, and leaves its networks.
    Forget,
    /// The first node sends more than its first channel allows.
    Overdrive,
    /// A record that no node signed is put onto the disk of the first node, which trusts its own disk.
    Plant,
}
