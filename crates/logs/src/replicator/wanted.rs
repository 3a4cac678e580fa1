//! Keeps files for other services of this node, and lets go of them when they are not needed any more.

use super::{Replicator, ReplicatorError};
use ipfs::Cid;
use std::collections::BTreeSet;

impl Replicator {
    /// Returns whether this node keeps the file although it may keep no files of other nodes otherwise.
    pub(super) fn is_wanted_here(&self, cid: &Cid) -> bool {
        self.settings.wanted_files.borrow().wanted.contains(cid)
    }

    /// Unpins the files that another service kept here and does not need any more. A node that keeps files of other
    /// nodes anyway keeps these files as well. Pins of persons stay.
    pub(super) async fn release_unneeded(&mut self) -> Result<(), ReplicatorError> {
        let released = self.settings.wanted_files.borrow().released.clone();
        if released.is_empty() {
            return Ok(());
        }
        if !self.settings.keep_others {
            let (kept, me) = (self.ledger.kept(), self.swarm.me());
            let by_persons = self.node.pins_by_persons().await?;
            let is_of_other = |cid: &Cid| kept.get(cid).is_some_and(|known| known.uploader != me);
            let unneeded = released.iter().filter(|cid| is_of_other(cid) && !by_persons.contains(cid));
            let unneeded: BTreeSet<Cid> = unneeded.copied().collect();
            for cid in &unneeded {
                tracing::debug!(%cid, "a file was uploaded or is not needed any more; this robot does not keep it any more");
            }
            for (_, attempt) in self.attempts.iter().filter(|(cid, _)| released.contains(cid)) {
                attempt.give_back.notify_one();
            }
            self.forget(unneeded.iter().copied().collect()).await?;
            self.decisions.decider().lose(unneeded);
        }
        self.settings.wanted_files.send_modify(|files| files.released.retain(|cid| !released.contains(cid)));
        Ok(())
    }
}
