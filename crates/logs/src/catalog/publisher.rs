//! The I/O shell that publishes the catalogue of this robot.

use super::format::{CatalogEntries, pieces};
use super::known::{CatalogVersion, Precedence};
use super::listing::Listing;
use super::pace::Pace;
use super::reader::read_catalog;
use super::rows::{CatalogRows, Pinned};
use super::shared::SharedCatalogs;
use super::stated::{StatedCatalog, Valid, statements};
use crate::ledger::Ledger;
use crate::receipts::{MOST_STATED, ReceiptMap};
use ipfs::Cid;
use ipfs::node::{Node, PinError};
use ipfs::unixfs::AddError;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::TableError;
use swarm::{SayError, Stopped, Swarm};
use tokio::sync::watch;
use tokio::time::Instant;

/// Time for which a former version stays pinned. Robots that began to fetch it can end this.
const GRACE: Duration = Duration::from_secs(600);
/// Interval at which the record is renewed if needed.
const RENEW: Duration = Duration::from_secs(600);
/// Time after a new receipt until a version is published, however few there are.
const FEW_RECEIPTS: Duration = Duration::from_secs(60);
/// Number of new receipts for which a version is published at once. Each is in a record until it is one of more than
/// [`MOST_STATED`] receipts, so a version for each of them would only cost the other robots a fetch.
const MANY_RECEIPTS: usize = MOST_STATED / 2;

/// Error that ends the publisher.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublisherError {
    /// The table of pinned catalogues cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Reason why a version is not published now.
#[derive(Debug, thiserror::Error)]
enum VersionError {
    #[error(transparent)]
    Add(#[from] AddError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error(transparent)]
    Say(#[from] SayError),
    #[error(transparent)]
    Table(#[from] TableError),
}

struct Publisher {
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
    catalogs: SharedCatalogs,
    /// The receipts of this robot.
    receipts: watch::Receiver<ReceiptMap>,
    /// The receipts at the last version, or when no catalogue was needed.
    listed_receipts: ReceiptMap,
    rows: CatalogRows,
    pace: Pace,
    started: Instant,
    /// The version that the record names.
    published: Option<StatedCatalog>,
    /// All pinned versions, the present one first.
    pinned: Pinned,
    /// Time at which the former versions are unpinned.
    unpin_at: Option<Instant>,
}

/// Publishes the catalogue of this robot until the future is dropped.
///
/// # Errors
/// When the table of pinned catalogues cannot be read or written.
pub(crate) async fn run_publisher(
    (swarm, node, ledger): (Swarm, Node, Ledger),
    (catalogs, receipts): (SharedCatalogs, watch::Receiver<ReceiptMap>),
    rows: CatalogRows,
) -> Result<Infallible, PublisherError> {
    let me = swarm.me();
    let pinned = rows.read_async().await?.remove(&me).unwrap_or_default();
    let (pace, started) = (Pace::default(), Instant::now());
    let mut publisher = Publisher {
        swarm,
        node,
        ledger,
        catalogs,
        receipts,
        listed_receipts: ReceiptMap::default(),
        rows,
        pace,
        started,
        published: None,
        pinned,
        unpin_at: Some(started + GRACE),
    };
    publisher.restore().await?;
    publisher.run().await
}

impl Publisher {
    /// Reads the version that was published before the start.
    async fn restore(&mut self) -> Result<(), PublisherError> {
        let me = self.swarm.me();
        let valid = self.swarm.read(move |set, now| Valid::of(set, me, now)).await?;
        let stated =
            valid.map(|valid| valid.catalog).filter(|stated| self.pinned.roots.contains(&stated.root));
        let read = match stated {
            Some(stated) => read_catalog(&self.node, stated.root).await.ok(),
            None => None,
        };
        self.published = stated.filter(|_| read.is_some());
        self.note_published(read.unwrap_or_default(), valid.map_or(0, |valid| valid.sequence)).await;
        Ok(())
    }

    async fn run(&mut self) -> Result<Infallible, PublisherError> {
        let mut listing = self.ledger.listing().subscribe();
        listing.mark_changed();
        let mut renew = Instant::now() + RENEW;
        let mut clock_sets = self.swarm.clock_sets();
        let mut receipts_due = None;
        loop {
            let due = self.pace.due().map_or(renew, |due| renew.min(self.started + due));
            let wake = [self.unpin_at, receipts_due].into_iter().flatten().fold(due, Instant::min);
            tokio::select! {
                Ok(()) = listing.changed() => {
                    if listing.borrow_and_update().is_known() {
                        self.pace.note_change(self.started.elapsed());
                    }
                }
                Ok(()) = self.receipts.changed() => {
                    self.note_receipts(MANY_RECEIPTS);
                    receipts_due.get_or_insert(Instant::now() + FEW_RECEIPTS);
                }
                // In another swarm, the record has to be published again.
                Ok(()) = clock_sets.changed() => renew = Instant::now(),
                () = tokio::time::sleep_until(wake) => {}
            }
            let now = Instant::now();
            if self.pace.due().is_some_and(|due| self.started + due <= now) {
                let listing = listing.borrow_and_update().clone();
                self.publish(listing).await?;
                renew = now + RENEW;
            } else if renew <= now {
                self.renew().await?;
                renew = now + RENEW;
            }
            if receipts_due.take_if(|due| *due <= now).is_some() {
                self.note_receipts(1);
            }
            if self.unpin_at.is_some_and(|at| at <= now) {
                self.unpin_former().await?;
            }
        }
    }

    /// Notes a change if at least this number of receipts differ from those of the last version.
    fn note_receipts(&mut self, least: usize) {
        let receipts = self.receipts.borrow_and_update().clone();
        // A version without the files would withdraw them.
        let is_known = self.ledger.listing().borrow().is_known();
        if is_known && self.listed_receipts.differences(&receipts) >= least {
            self.pace.note_change(self.started.elapsed());
        }
    }

    /// Publishes a version with these files, unless it is the same as the one before.
    async fn publish(&mut self, listing: Listing) -> Result<(), PublisherError> {
        let receipts = self.receipts.borrow_and_update().clone();
        let needs_catalog = listing.needs_catalog(self.published.is_some(), receipts.len());
        self.listed_receipts = receipts.clone();
        if !needs_catalog {
            self.pace.note_same();
            return self.withdraw().await;
        }
        match self.try_to_publish(listing, receipts).await {
            Ok(true) => self.pace.note_published(self.started.elapsed()),
            Ok(false) => self.pace.note_same(),
            Err(VersionError::Table(error)) => return Err(error.into()),
            Err(VersionError::Say(SayError::Stopped(stopped))) => return Err(stopped.into()),
            Err(error) => {
                tracing::warn!(%error, "the catalogue of this robot could not be published; this will be retried");
                self.pace.note_published(self.started.elapsed());
                self.pace.note_change(self.started.elapsed());
            }
        }
        Ok(())
    }

    /// Returns whether the version is a new one.
    async fn try_to_publish(&mut self, listing: Listing, receipts: ReceiptMap) -> Result<bool, VersionError> {
        let kept = self.ledger.kept();
        let making = move || {
            let entries = listing.entries(&kept, &receipts);
            (pieces(&entries), entries)
        };
        let made = tokio::task::spawn_blocking(making).await;
        let (pieces, entries) = made.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let (files, bytes) = (entries.len(), pieces.iter().map(|piece| piece.len() as u64).sum());
        let added = self.node.add_pieces(pieces).await?;
        let stated = StatedCatalog { root: added.root, files, bytes };
        if self.published == Some(stated) {
            self.say(Some(stated)).await?;
            return Ok(false);
        }
        let former: Vec<Cid> =
            self.pinned.roots.iter().copied().filter(|root| *root != stated.root).collect();
        self.pinned.roots = [stated.root].into_iter().chain(former).collect();
        // The row is written first: after a crash, each pinned version must have a row.
        self.rows.write(self.swarm.me(), &self.pinned).await?;
        self.node.pin(stated.root).await?;
        drop(added.protection);
        self.say(Some(stated)).await?;
        tracing::debug!(files, bytes, root = %stated.root, "a version of the catalogue of this robot was published");
        self.published = Some(stated);
        self.unpin_at = Some(Instant::now() + GRACE);
        let me = self.swarm.me();
        let valid = self.swarm.read(move |set, now| Valid::of(set, me, now)).await.map_err(SayError::from)?;
        self.note_published(entries, valid.map_or(0, |valid| valid.sequence)).await;
        Ok(true)
    }

    /// Takes back the record of a robot that needs no catalogue any more.
    async fn withdraw(&mut self) -> Result<(), PublisherError> {
        if self.published.take().is_none() {
            return Ok(());
        }
        self.unpin_at = Some(Instant::now());
        self.note_published(CatalogEntries::new(), 0).await;
        self.renew().await
    }

    async fn renew(&mut self) -> Result<(), PublisherError> {
        match self.say(self.published).await {
            Err(SayError::Stopped(stopped)) => return Err(stopped.into()),
            Err(error) => {
                tracing::warn!(%error, "the record of the catalogue could not be published; this will be retried")
            }
            Ok(()) => {}
        }
        Ok(())
    }

    async fn say(&self, stated: Option<StatedCatalog>) -> Result<(), SayError> {
        let me = self.swarm.me();
        let statements = self.swarm.read(move |set, now| statements(stated, set, me, now)).await?;
        self.swarm.say_what_counts(statements).await.map(|_| ())
    }

    /// Tells the deciders of this robot which files its catalogue lists.
    async fn note_published(&mut self, entries: CatalogEntries, sequence: u64) {
        self.pinned.sequence = sequence;
        let held = entries.iter().filter(|(_, entry)| entry.is_held()).map(|(cid, _)| *cid);
        self.ledger.catalogued().send_replace(Some(Arc::new(held.collect::<BTreeSet<Cid>>())));
        self.ledger.tell_changed();
        let (me, published) = (self.swarm.me(), self.published);
        let updated = self.catalogs.update(move |catalogs| match published {
            Some(StatedCatalog { root, .. }) => {
                catalogs.with(me, CatalogVersion { root, sequence }, Precedence::Own, entries)
            }
            None if catalogs.version(me).is_some() => Ok(catalogs.without(me)),
            None => Ok(catalogs.clone()),
        });
        if let Err(error) = updated.await {
            tracing::warn!(%error, "the catalogue of this robot is not listed here");
        }
    }

    /// Unpins the former versions.
    async fn unpin_former(&mut self) -> Result<(), PublisherError> {
        self.unpin_at = None;
        let present = self.published.map(|stated| stated.root);
        let (kept, former): (Vec<Cid>, Vec<Cid>) =
            self.pinned.roots.iter().partition(|root| Some(**root) == present);
        if former.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.node.unpin_all(former).await {
            tracing::warn!(%error, "former versions of the catalogue could not be unpinned; this will be retried");
            self.unpin_at = Some(Instant::now() + GRACE);
            return Ok(());
        }
        self.pinned.roots = kept;
        Ok(self.rows.write(self.swarm.me(), &self.pinned).await?)
    }
}
