//! The part of a scenario about the number of copies of each file.

use super::{Seconds, one};
use serde::Deserialize;
use std::time::Duration;

/// The number of copies that the swarm should have of each file, and the faults that endanger them.
///
/// A run fails when a copy is let go of although too few disks still have the file, whether their nodes run or not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copies {
    /// Number of copies of each file, that of the uploader included.
    pub wanted: usize,
    /// Healing delay: see `logs::CopyRules`.
    pub heal: Seconds,
    /// Maximum time for which a copy of a file may be missing on running nodes while no network is split. If one is missing
    /// for longer, the run fails.
    pub healed_within: Option<Seconds>,
    /// Maximum number of fetches beyond the first copies of each file. If there are more, the run fails.
    pub extra_fetches: Option<usize>,
    /// Nodes with a copy that are killed together.
    pub killed: Option<Killed>,
    /// Disks that become full for a while.
    pub full: Option<Full>,
}

/// Running nodes that keep the same file, and are killed at the same moment.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Killed {
    /// Time at which they are killed.
    pub at: Seconds,
    /// Number of these nodes.
    #[serde(default = "one")]
    pub holders: usize,
    /// Time until they are started again.
    pub off: Seconds,
}

/// Disks that become full. A node with a full disk has no room for files of others, and needs space.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Full {
    /// Number of times that a disk becomes full.
    pub times: usize,
    /// Earliest time of one.
    pub from: Seconds,
    /// Latest time of one.
    pub until: Seconds,
    /// Minimum and maximum time for which the disk is full.
    pub lasting: [Seconds; 2],
    /// Number of files that the node should let go of to have enough space.
    #[serde(default = "one")]
    pub files: usize,
}

impl Copies {
    /// Returns the rules for the decider.
    pub(crate) fn rules(&self) -> logs::CopyRules {
        logs::CopyRules { copies: self.wanted, heal: self.heal.0.as_secs() }
    }
}

/// Interval between two checks of the number of copies.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);
