//! Counts files that are left out because the swarm remembers only a limited number of records of each peer.

use crate::choose::Shortage;

/// The files that this node leaves out for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Own files that are not announced, because the record quota of this node is used up.
    pub(crate) own: Shortage,
    /// Number of files of other peers that are not kept, because this node has no record left to state that it keeps
    /// them.
    pub(crate) others: usize,
    /// Number of own files that are not shared yet, because a program holds them open for writing.
    pub(crate) open: usize,
}

impl LeftOut {
    /// Notes the own files that are left out, and logs when this begins or ends. Returns whether [`Shortage::is_short`]
    /// changed.
    pub(crate) fn note_own(&mut self, own: Shortage, open: usize) -> bool {
        let before = std::mem::replace(&mut self.own, own);
        self.open = open;
        match (before.left_out, own.left_out) {
            (0, 1..) => tracing::warn!(
                files = own.left_out,
                "the shared folder has more files than the swarm remembers of one robot; the rest is left out, \
                 `report` shows the number of these files"
            ),
            (1.., 0) => tracing::info!("all files of the shared folder are shared again"),
            _ => {}
        }
        before.is_short != own.is_short
    }

    /// Notes the number of files of other peers that are left out, and logs when this begins. Always returns `false`,
    /// since no reader of the channel needs to be notified.
    pub(crate) fn note_others(&mut self, others: usize) -> bool {
        let before = std::mem::replace(&mut self.others, others);
        if before == 0 && others > 0 {
            tracing::warn!(
                files = others,
                "other robots share more files than this robot has records for; the rest is not kept"
            );
        }
        false
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
