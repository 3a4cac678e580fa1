//! Counts files that are left out because the swarm remembers only a limited number of records of each peer.

use crate::choose::Shortage;

/// What this node leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Own files of which the swarm is not told.
    pub(crate) own: Shortage,
    /// Number of files of other peers that are not kept, since it could not be said.
    pub(crate) others: usize,
    /// Number of files that are not taken yet, since somebody holds them open for writing.
    pub(crate) open: usize,
}

impl LeftOut {
    /// Notes which own files are left out, and logs it once when that begins or ends.
    pub(crate) fn note_own(&mut self, own: Shortage, open: usize) -> bool {
        let before = std::mem::replace(&mut self.own, own);
        self.open = open;
        match (before.left_out, own.left_out) {
            (0, 1..) => tracing::warn!(
                files = own.left_out,
                "the shared folder has more files than the swarm remembers of one robot; the rest is left out, \
                 `report` says how many files that are"
            ),
            (1.., 0) => tracing::info!("all files of the shared folder are shared again"),
            _ => {}
        }
        before.is_short != own.is_short
    }

    /// Notes how many files of other peers are left out, and logs it once when that begins.
    pub(crate) fn note_others(&mut self, others: usize) -> bool {
        let before = std::mem::replace(&mut self.others, others);
        if before == 0 && others > 0 {
            tracing::warn!(
                files = others,
                "other robots share more files than this one can say to keep; the rest is left out"
            );
        }
        false
    }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
