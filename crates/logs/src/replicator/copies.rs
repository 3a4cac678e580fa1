//! Carries out the decisions about the number of copies of each file.

use super::{Replicator, ReplicatorError};
use crate::replicate::ReleaseReason;
use ipfs::Cid;
use ipfs::node::Node;
use tokio::sync::watch;

/// The files that persons pinned on this node. The list is read again when a pin has changed.
pub(super) struct PersonPins(watch::Receiver<u64>);

impl PersonPins {
    pub(super) fn new(node: &Node) -> Self {
        let mut changes = node.store().pin_changes();
        changes.mark_changed();
        Self(changes)
    }
}

impl Replicator {
    /// Passes the room of the store and the pins of persons to the decider.
    pub(super) async fn set_copies(&mut self) -> Result<(), ReplicatorError> {
        let room = match self.settings.keep_others {
            true => self.room().min(self.settings.max_file_bytes),
            false => 0,
        };
        let pressure = *self.space.pressure().borrow();
        let wanted = self.settings.wanted_files.borrow().wanted.clone();
        {
            let mut decider = self.decisions.decider();
            decider.set_wanted(wanted);
            decider.set_room(room);
            decider.set_pressure(pressure);
        }
        if self.person_pins.0.has_changed().unwrap_or_default() {
            self.person_pins.0.borrow_and_update();
            let pinned = self.node.pins_by_persons().await?;
            self.decisions.decider().set_pinned(pinned);
        }
        Ok(())
    }

    /// Returns the room for files of other robots in bytes.
    pub(super) fn room(&self) -> u64 {
        // When the file system does not report its free space, fetches fail as well.
        self.space.room(self.node.store()).unwrap_or_default()
    }

    /// Unpins a file of which other robots keep enough copies, unless a person has pinned it since.
    pub(super) async fn let_go_of_copy(
        &mut self,
        cid: Cid,
        reason: ReleaseReason,
    ) -> Result<(), ReplicatorError> {
        if self.is_wanted_here(&cid) || self.node.pins_by_persons().await?.contains(&cid) {
            self.decisions.decider().stay(cid);
            return Ok(());
        }
        tracing::info!(%cid, ?reason, "other robots keep a shared file; this robot does not keep it any more");
        let description = self.ledger.kept().remove(&cid);
        self.forget(vec![cid]).await?;
        let Some(description) = description else { return Ok(()) };
        if reason == ReleaseReason::Space {
            self.space.note_released(description.size);
        }
        let time = self.swarm.read(|_, now| now).await?;
        Ok(self.settings.dropped.note(cid, description, (reason, time)).await?)
    }

    /// Ends the fetches of files of which other robots have made enough copies meanwhile.
    pub(super) fn stop_unneeded(&mut self) {
        let decider = self.decisions.decider();
        let active = self.attempts.iter().filter(|(_, attempt)| attempt.is_under_way());
        for (_, attempt) in active.filter(|(cid, _)| !decider.is_assigned(cid)) {
            attempt.give_back.notify_one();
        }
    }
}
