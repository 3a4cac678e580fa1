//! Keeps the list of kept files consistent with the pins of the block store and with the blocks that exist.

use super::{GATHER, Replicator, ReplicatorError};
use crate::ledger::Ledger;
use crate::let_go::{LetGo, Reason};
use crate::reconcile::{Differences, compare};
use crate::unlisted::GRACE;
use ipfs::Cid;
use ipfs::node::Node;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Time in which changes of the pins are handled together. Reading the list of pins costs time per pin.
const GATHER_PINS: Duration = Duration::from_millis(300);

/// Sends a message whenever the pins differ from the kept files.
pub(super) async fn watch_pins(
    node: Node,
    ledger: Ledger,
    found: mpsc::Sender<()>,
) -> Result<Infallible, ReplicatorError> {
    let mut changes = node.store().pin_changes();
    loop {
        changes.borrow_and_update();
        let is_same = differences(&node, &ledger, false).await? == Differences::default();
        if !is_same && found.send(()).await.is_err() || changes.changed().await.is_err() {
            return std::future::pending().await;
        }
        tokio::time::sleep(GATHER_PINS).await;
    }
}

/// Sends the pinned roots that lack blocks, whenever a pinned block is lost. Also checks the blocks and files on the
/// disk at the interval `check`, because they can be deleted or become unreadable while the daemon does not read them.
pub(super) async fn find_losses(
    node: Node,
    found: mpsc::Sender<BTreeSet<Cid>>,
    check: Duration,
) -> Result<Infallible, ReplicatorError> {
    let mut losses = node.store().losses();
    loop {
        losses.borrow_and_update();
        // This reads the files whose fingerprint changed, which can take long.
        check_files(&node).await;
        let incomplete = node.incomplete_pins().await?;
        if !incomplete.is_empty() && found.send(incomplete.into_iter().collect()).await.is_err() {
            return std::future::pending().await;
        }
        wait_for_loss(&node, &mut losses, check).await;
        tokio::time::sleep(GATHER).await;
    }
}

async fn wait_for_loss(node: &Node, losses: &mut watch::Receiver<(u64, u64)>, check: Duration) {
    loop {
        tokio::select! {
            changed = losses.changed() => match changed {
                Ok(()) => return,
                Err(_) => std::future::pending().await,
            },
            () = tokio::time::sleep(check) => {
                if let Err(error) = node.check_blocks().await {
                    tracing::warn!(%error, "the folder of blocks cannot be checked");
                }
                check_files(node).await;
            }
        }
    }
}

async fn check_files(node: &Node) {
    if let Err(error) = node.check_files(None).await {
        tracing::warn!(%error, "changes of shared files could not be recorded; they will be found again after the next start");
    }
}

async fn differences(
    node: &Node,
    ledger: &Ledger,
    are_pins_new: bool,
) -> Result<Differences, ReplicatorError> {
    // The ledger is read before the pins: a file is pinned before it is noted as kept.
    let (mut kept, let_go) = (ledger.kept(), ledger.released());
    // The proposer itself unpins older versions.
    let (older, _) = ledger.replaced();
    kept.retain(|cid, _| !older.contains_key(cid));
    let kept = kept.into_keys().collect();
    let pins = node.pins().await?.into_iter().map(|pin| pin.root).collect();
    Ok(compare(&pins, &kept, &let_go, are_pins_new))
}

impl Replicator {
    /// Compares the ledger with the pins at the start. When the database of pins was lost, pins the kept files again.
    /// Files that cannot be pinned are fetched again.
    pub(super) async fn compare_with_pins(&mut self) -> Result<(), ReplicatorError> {
        let mut lost: BTreeSet<Cid> = self.node.incomplete_pins().await?.into_iter().collect();
        let are_pins_new = self.node.store().are_pins_new();
        let found = differences(&self.node, &self.ledger, are_pins_new).await?;
        // All are pinned together if possible. After a crash between single pins, the rest would look as if a
        // user had unpinned them.
        let all: Vec<Cid> = found.pins_lost.iter().copied().collect();
        let is_done = all.is_empty() || self.node.pin_all(all).await.is_ok();
        let apart = if is_done { BTreeSet::new() } else { found.pins_lost };
        for cid in apart {
            if let Err(error) = self.node.pin(cid).await {
                tracing::warn!(%cid, %error, "a kept file could not be pinned again");
                lost.insert(cid);
            }
        }
        // These pins remain from a crash. Either a file was let go of but not unpinned yet, or a user pinned a let-go
        // file and the ledger did not note it yet.
        let by_persons = self.node.pins_by_persons().await?;
        let (back, remnants) = found.pinned.into_iter().partition(|cid| by_persons.contains(cid));
        self.node.unpin_all(Vec::from_iter::<BTreeSet<Cid>>(remnants)).await?;
        self.take_back(back).await?;
        self.note_unpinned(found.unpinned).await?;
        self.lost(&lost).await
    }

    /// Applies pins that a user added or removed.
    pub(super) async fn follow_pins(&mut self) -> Result<(), ReplicatorError> {
        let Differences { unpinned, pinned, .. } = differences(&self.node, &self.ledger, false).await?;
        self.note_unpinned(unpinned).await?;
        self.take_back(pinned).await
    }

    async fn take_back(&mut self, pinned: BTreeSet<Cid>) -> Result<(), ReplicatorError> {
        if !pinned.is_empty() {
            tracing::info!(
                files = pinned.len(),
                "files that this robot had let go of were pinned; it keeps them again"
            );
            self.ledger.take_back(&pinned.into_iter().collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    async fn note_unpinned(&mut self, unpinned: BTreeSet<Cid>) -> Result<(), ReplicatorError> {
        if unpinned.is_empty() {
            return Ok(());
        }
        for cid in &unpinned {
            tracing::info!(%cid, "a kept file was unpinned; this robot does not keep it any more");
        }
        self.let_go(unpinned, Reason::Unpinned).await
    }

    /// Notes files that this node lets go of for this reason.
    pub(super) async fn let_go(
        &mut self,
        cids: BTreeSet<Cid>,
        reason: Reason,
    ) -> Result<(), ReplicatorError> {
        let time = self.swarm.read(|_, now| now).await?;
        let rows = cids.into_iter().map(|cid| (cid, LetGo { reason, time })).collect();
        Ok(self.ledger.let_go(rows).await?)
    }

    /// Unpins the kept files that no peer has listed for the grace time. Their blocks stay until space is needed.
    pub(super) async fn release_unlisted(&mut self) -> Result<(), ReplicatorError> {
        let changes = std::mem::take(&mut self.decisions.decider().unlisted().changes);
        if !changes.released.is_empty() {
            let (files, days) = (changes.released.len(), GRACE / 86_400);
            tracing::info!(files, days, "kept files that no robot lists any more are unpinned");
            self.forget(changes.released.iter().copied().collect()).await?;
        }
        Ok(self.ledger.note_unlisted(&changes).await?)
    }

    /// Unpins the files that were let go of. The next decision retracts the statements of this node about them.
    pub(super) async fn release(&mut self) -> Result<(), ReplicatorError> {
        let releasing = self.ledger.releasing();
        if !releasing.is_empty() {
            self.node.unpin_all(releasing.iter().copied().collect()).await?;
            self.ledger.note_released(&releasing);
            self.decisions.decider().lose(releasing);
        }
        Ok(())
    }
}
