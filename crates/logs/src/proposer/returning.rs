//! Files whose volume is back, and files that lack blocks.

use super::{Proposer, ProposerError};
use crate::ledger::Taken;
use crate::settle::{Fingerprint, Found};
use crate::volume::{SharedPath, VolumeId};
use ipfs::Cid;
use std::collections::BTreeSet;

/// Difference, in nanoseconds, above which a time of change shows that the file was changed. File systems of sticks
/// round the time to two seconds when they are mounted again.
const ROUNDING: u64 = 2_000_000_000;

impl Proposer {
    /// Notes the files of a volume that are found there with all their blocks. The others that are found unchanged are
    /// added again, which reads them. Those that were changed or cannot be looked at are lost.
    pub(super) async fn take_returned(&self, volume: VolumeId, found: &Found) -> Result<(), ProposerError> {
        let away = self.ledger.away_in(volume);
        if away.is_empty() {
            return Ok(());
        }
        let (kept, complete) = (self.kept(), self.complete().await);
        // A file that is not kept has no blocks to protect.
        let is_back =
            |(_, taken): &(String, Taken)| !kept.contains(&taken.cid) || complete.contains(&taken.cid);
        let (back, lacking): (Vec<_>, Vec<_>) = away.into_iter().partition(is_back);
        let is_same = |(path, taken): &(String, Taken)| {
            found.get(path).is_some_and(|now| is_like(&taken.fingerprint, now))
        };
        let (read, lost): (Vec<_>, Vec<_>) = lacking.into_iter().partition(is_same);
        for (path, _) in lost {
            self.lose(&SharedPath::new(volume, path)).await?;
        }
        if !read.is_empty() {
            tracing::debug!(files = read.len(), "files of a shared folder are read, since they lack blocks");
        }
        self.ledger.note_back(back.into_iter().map(|(path, _)| SharedPath::new(volume, path)));
        Ok(())
    }

    /// Returns the pinned roots of which all blocks are there; none when this cannot be read now. Then the files are
    /// added again.
    async fn complete(&self) -> BTreeSet<Cid> {
        let (Ok(pins), Ok(lacking)) = (self.node.pins().await, self.node.incomplete_pins().await) else {
            return BTreeSet::new();
        };
        let lacking: BTreeSet<Cid> = lacking.into_iter().collect();
        pins.into_iter().map(|pin| pin.root).filter(|root| !lacking.contains(root)).collect()
    }

    /// Stops keeping a file of which blocks are lost, and that cannot be added again. Files without lost blocks stay.
    pub(super) async fn lose(&self, file: &SharedPath) -> Result<(), ProposerError> {
        let away = self.ledger.away_in(file.volume);
        let Some((_, Taken { cid, .. })) = away.into_iter().find(|(path, _)| *path == file.path) else {
            return Ok(());
        };
        if self.kept().contains(&cid) {
            tracing::warn!(file = file.path, %cid, "a shared file lacks blocks; it is fetched again from a peer that holds it");
            if let Err(error) = self.node.unpin_all(vec![cid]).await {
                tracing::warn!(%error, "a file that lacks blocks could not be unpinned; this will be retried");
                return Ok(());
            }
            self.ledger.drop_kept(&[cid]).await?;
        }
        self.ledger.note_back([file.clone()]);
        Ok(())
    }

    /// Writes down which volumes appeared or vanished, and logs it. Forgets the oldest of too many missing ones.
    pub(super) async fn note_volumes(&self) -> Result<(), ProposerError> {
        let now = self.swarm.read(|_, now| now).await?;
        self.ledger.note_volumes(now).await?;
        for id in self.ledger.excess_volumes() {
            tracing::warn!(disk = %id, "too many disks are missing; the files of the one that was seen longest ago count as deleted");
            if let Err(error) = self.ledger.forget_volume(id, now).await {
                tracing::warn!(%error, "a missing disk could not be forgotten");
            }
        }
        Ok(())
    }
}

/// Returns whether a file is most likely unchanged, although its disk may have been mounted again.
fn is_like(before: &Fingerprint, now: &Fingerprint) -> bool {
    before.size == now.size && before.modified.abs_diff(now.modified) <= ROUNDING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_a_file_system_rounds_is_no_change() {
        let of = |size, modified| Fingerprint { size, modified, inode_changed: Some(modified) };
        let before = of(5, 3_999_999_999);
        assert!(is_like(&before, &of(5, 2_000_000_000)) && is_like(&before, &of(5, 4_000_000_000)));
        assert!(!is_like(&before, &of(6, 3_999_999_999)) && !is_like(&before, &of(5, 9_000_000_000)));
    }
}
