//! Claim and possession as one book: what is kept, what is pinned, and what is whole.

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

/// Time in which changes of the pins are looked at together: reading the list of pins costs a little for each.
const GATHER_PINS: Duration = Duration::from_millis(300);

/// Tells whenever the pins are not those of the kept files.
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

/// Finds the roots that lack blocks, whenever something that is pinned went missing. Looks for that by itself once in
/// `check`, since a file can become unreadable and blocks can be deleted without anybody reading them.
pub(super) async fn find_losses(
    node: Node,
    found: mpsc::Sender<BTreeSet<Cid>>,
    check: Duration,
) -> Result<Infallible, ReplicatorError> {
    let mut losses = node.store().losses();
    loop {
        losses.borrow_and_update();
        // Files that look different are read now, which can take long.
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
                    tracing::warn!(%error, "the folder of blocks cannot be looked at");
                }
                check_files(node).await;
            }
        }
    }
}

async fn check_files(node: &Node) {
    if let Err(error) = node.check_files(None).await {
        tracing::warn!(%error, "what became of shared files could not be noted; it is seen again after the next start");
    }
}

async fn differences(
    node: &Node,
    ledger: &Ledger,
    are_pins_new: bool,
) -> Result<Differences, ReplicatorError> {
    // The ledger is read first: what is kept was pinned before.
    let (mut kept, let_go) = (ledger.kept(), ledger.released());
    // The proposer lets go of older versions by itself.
    let (older, _) = ledger.replaced();
    kept.retain(|cid, _| !older.contains_key(cid));
    let kept = kept.into_keys().collect();
    let pins = node.pins().await?.into_iter().map(|pin| pin.root).collect();
    Ok(compare(&pins, &kept, &let_go, are_pins_new))
}

impl Replicator {
    /// At the start: pins again what is in the ledger but not pinned when the database of pins was lost. What cannot be
    /// pinned is fetched again.
    pub(super) async fn compare_with_pins(&mut self) -> Result<(), ReplicatorError> {
        let mut lost: BTreeSet<Cid> = self.node.incomplete_pins().await?.into_iter().collect();
        let are_pins_new = self.node.store().are_pins_new();
        let found = differences(&self.node, &self.ledger, are_pins_new).await?;
        // Together first: after a crash between two of these, the rest would look unpinned by a person.
        let all: Vec<Cid> = found.pins_lost.iter().copied().collect();
        let is_done = all.is_empty() || self.node.pin_all(all).await.is_ok();
        let apart = if is_done { BTreeSet::new() } else { found.pins_lost };
        for cid in apart {
            if let Err(error) = self.node.pin(cid).await {
                tracing::warn!(%cid, %error, "a kept file could not be pinned anew");
                lost.insert(cid);
            }
        }
        // A crash came between letting go of these and unpinning them, or between a person's pin and taking them back.
        let by_persons = self.node.pins_by_persons().await?;
        let (back, remnants) = found.pinned.into_iter().partition(|cid| by_persons.contains(cid));
        self.node.unpin_all(Vec::from_iter::<BTreeSet<Cid>>(remnants)).await?;
        self.take_back(back).await?;
        self.note_unpinned(found.unpinned).await?;
        self.lost(&lost).await
    }

    /// Does what follows from pins that a person made or removed.
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

    /// Lets go of files, for this reason.
    pub(super) async fn let_go(
        &mut self,
        cids: BTreeSet<Cid>,
        reason: Reason,
    ) -> Result<(), ReplicatorError> {
        let time = self.swarm.read(|_, now| now).await?;
        let rows = cids.into_iter().map(|cid| (cid, LetGo { reason, time })).collect();
        Ok(self.ledger.let_go(rows).await?)
    }

    /// Unpins the kept files that nobody has listed for the grace time. Their blocks stay until room is needed.
    pub(super) async fn release_unlisted(&mut self) -> Result<(), ReplicatorError> {
        let changes = std::mem::take(&mut self.decisions.decider().unlisted().changes);
        if !changes.released.is_empty() {
            let (files, days) = (changes.released.len(), GRACE / 86_400);
            tracing::info!(files, days, "kept files that nobody lists any more are unpinned");
            self.forget(changes.released.iter().copied().collect()).await?;
        }
        Ok(self.ledger.note_unlisted(&changes).await?)
    }

    /// Unpins the files that were let go of, and has the next decision take back what this node states about them.
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
