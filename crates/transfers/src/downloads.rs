//! All downloads: what was ordered, and how far it is.

use crate::BookError;
use crate::book::{self, Changes};
use crate::download::{Download, End, OrderError};
use crate::export::is_ours_to_write;
use crate::outlet::{Content, Outlet};
use crate::report;
use crate::turns::{self, Turn};
use control::{Answer, Failure, FailureKind, LinkRate, Order, Piece, Transfer};
use ipfs::node::{Fetched, Node};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Store;
use swarm::Swarm;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The most downloads that are under way or wait.
const MAX_OPEN: usize = 128;
/// Of those that ended so many are remembered.
const MAX_ENDED: usize = 16;

/// What people ordered. A clone is the same.
#[derive(Clone)]
pub struct Downloads(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    store: Arc<Store>,
    pub(crate) swarm: Swarm,
    node: watch::Receiver<Option<Node>>,
    /// The most bytes of one whose size is not known.
    pub(crate) most: u64,
    items: Mutex<BTreeMap<u64, Item>>,
    /// One change at a time, on the disk and then here.
    writing: tokio::sync::Mutex<()>,
    /// There may be something to begin.
    pub(crate) changed: Notify,
}

/// A download and what this process knows of it.
pub(crate) struct Item {
    pub(crate) download: Download,
    pub(crate) phase: Phase,
    /// Why it does not go on, or did not when it last was tried.
    pub(crate) reason: Option<String>,
    /// How far it was when it last was tried.
    pub(crate) bytes: u64,
    pub(crate) stalled: Option<Instant>,
    pub(crate) not_before: Option<Instant>,
    /// All places were taken when it was looked for one.
    pub(crate) is_queued: bool,
    outlet: Option<Outlet>,
}

/// What is being done for a download.
pub(crate) enum Phase {
    Idle,
    /// It is fetched.
    Running(AbortHandle),
    /// It is written to its place.
    Writing(AbortHandle),
    /// All of it is here, and held.
    Whole(Fetched),
}

impl Item {
    fn new(download: Download) -> Self {
        Self {
            download,
            phase: Phase::Idle,
            reason: None,
            bytes: 0,
            stalled: None,
            not_before: None,
            is_queued: false,
            outlet: None,
        }
    }

    fn is_open(&self) -> bool {
        self.download.end.is_none()
    }
}

impl Downloads {
    /// Reads what was ordered before. It may block. The node is fetched by while there is one; `most` is the most that
    /// something may have whose size is not known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(
        store: Arc<Store>,
        swarm: Swarm,
        node: watch::Receiver<Option<Node>>,
        most: u64,
    ) -> Result<Self, BookError> {
        let read = book::read(&store)?;
        let items = read.into_iter().map(|(number, download)| (number, Item::new(download))).collect();
        let (items, writing, changed) = (Mutex::new(items), tokio::sync::Mutex::default(), Notify::new());
        Ok(Self(Arc::new(Inner { store, swarm, node, most, items, writing, changed })))
    }

    /// Takes an order: it is on the disk when this returns. One that is under way already is not begun again.
    ///
    /// # Errors
    /// When it makes no sense, when there are too many, or when the disk fails.
    pub async fn order(&self, order: Order) -> Result<Answer, Failure> {
        let download = Download::new(order).map_err(senseless)?;
        let _writing = self.0.writing.lock().await;
        let known = self.find(|item| item.is_open() && item.download.is_same(&download.order));
        if let Some(number) = known {
            return self.show(number);
        }
        let (open, number) = {
            let items = self.items();
            let open = items.values().filter(|item| item.is_open()).count();
            (open, items.keys().last().copied().unwrap_or(0) + 1)
        };
        if open >= MAX_OPEN {
            let words = format!("{MAX_OPEN} downloads are under way: cancel one first");
            return Err(Failure::new(FailureKind::Refused, words));
        }
        self.write(vec![(number, Some(download.clone()))]).await?;
        tracing::info!(
            number,
            cid = download.order.cid,
            name = download.order.name,
            "a download was ordered"
        );
        self.items().insert(number, Item::new(download));
        self.0.changed.notify_one();
        self.show(number)
    }

    /// How far a download is.
    ///
    /// # Errors
    /// When there is none with this number.
    pub fn show(&self, number: u64) -> Result<Answer, Failure> {
        let fetches = self.node().map(|node| node.fetches()).unwrap_or_default();
        let items = self.items();
        let item = items.get(&number).ok_or_else(|| unknown(number))?;
        Ok(Answer::Transfer(report::of_item(number, item, &fetches)))
    }

    /// Everything that comes and goes.
    pub fn show_all(&self) -> Answer {
        let node = self.node();
        let fetches = node.as_ref().map(Node::fetches).unwrap_or_default();
        let links: Vec<LinkRate> = node.iter().flat_map(Node::traffic).filter_map(report::link).collect();
        let items = self.items();
        let of_item = |(number, item): (&u64, &Item)| report::of_item(*number, item, &fetches);
        let mut transfers: Vec<Transfer> = items.iter().map(of_item).collect();
        let is_other = |fetch: &&ipfs::node::RunningFetch| {
            !items.values().any(|item| item.is_open() && item.download.root() == Some(fetch.root))
        };
        transfers.extend(fetches.iter().filter(is_other).map(report::of_fetch));
        Answer::Transfers { transfers, links }
    }

    /// Ends a download, by its number or its CID; one that ended is forgotten.
    ///
    /// # Errors
    /// When there is none, or the disk fails.
    pub async fn cancel(&self, what: &str) -> Result<Answer, Failure> {
        let _writing = self.0.writing.lock().await;
        let number = what.parse().ok();
        let found: Vec<u64> = {
            let items = self.items();
            let is_meant = |(key, item): &(&u64, &Item)| {
                Some(**key) == number || (item.is_open() && item.download.order.cid == what)
            };
            items.iter().filter(is_meant).map(|(key, _)| *key).collect()
        };
        if found.is_empty() {
            let words = format!("there is no download {what:?}: `transfers` lists them");
            return Err(Failure::new(FailureKind::Wrong, words));
        }
        self.write(found.iter().map(|number| (*number, None)).collect()).await?;
        for number in found {
            if let Some(item) = self.items().remove(&number) {
                item.phase.stop();
            }
            tracing::info!(number, "a download was cancelled");
        }
        Ok(Answer::Done {})
    }

    /// A part of a download that is whole.
    ///
    /// # Errors
    /// When it is not whole, or cannot be read.
    pub async fn read(&self, number: u64, offset: u64) -> Result<Answer, Failure> {
        let node = self.node().ok_or_else(|| not_whole(number))?;
        let (content, outlet) = {
            let mut items = self.items();
            let item = items.get_mut(&number).ok_or_else(|| unknown(number))?;
            let content = self.content(item).filter(|_| matches!(item.phase, Phase::Whole(_)));
            (content.ok_or_else(|| not_whole(number))?, item.outlet.take())
        };
        let mut outlet = outlet
            .filter(|outlet| outlet.reaches(offset))
            .unwrap_or_else(|| Outlet::open(node.store().clone(), content));
        let piece = outlet.read(offset).await.map_err(|words| Failure::new(FailureKind::Disk, words))?;
        if let Some(item) = self.items().get_mut(&number).filter(|_| !piece.is_empty()) {
            item.outlet = Some(outlet);
        }
        Ok(Answer::Piece { data: Piece(piece) })
    }

    fn content(&self, item: &Item) -> Option<Content> {
        let path = item.download.order.payload.clone().unwrap_or_default();
        let max_bytes = item.download.limits(self.0.most).max_bytes;
        Some(Content { root: item.download.root()?, path, max_bytes })
    }

    /// Lets go of a download that was read.
    ///
    /// # Errors
    /// When it is not whole, or the disk fails.
    pub async fn collected(&self, number: u64) -> Result<Answer, Failure> {
        let bytes = {
            let items = self.items();
            let item = items.get(&number).ok_or_else(|| unknown(number))?;
            match &item.phase {
                Phase::Whole(fetched) => fetched.summary.bytes,
                _ => return Err(not_whole(number)),
            }
        };
        self.end(number, End::Done(bytes)).await.map_err(unwritten)?;
        Ok(Answer::Done {})
    }

    /// Writes down how a download ended, and forgets the oldest of those that ended before.
    pub(crate) async fn end(&self, number: u64, end: End) -> Result<(), BookError> {
        let _writing = self.0.writing.lock().await;
        let Some(mut download) = self.items().get(&number).map(|item| item.download.clone()) else {
            // Cancelled meanwhile.
            return Ok(());
        };
        download.end = Some(end);
        let mut changes: Changes = vec![(number, Some(download.clone()))];
        let old = self.oldest_ended();
        changes.extend(old.iter().map(|old| (*old, None)));
        book::write(&self.0.store, changes).await?;
        let mut items = self.items();
        old.iter().for_each(|old| drop(items.remove(old)));
        if let Some(item) = items.get_mut(&number) {
            *item = Item::new(download);
        }
        Ok(())
    }

    /// Those that have to go when one more ends.
    fn oldest_ended(&self) -> Vec<u64> {
        let items = self.items();
        let ended: Vec<u64> =
            items.iter().filter(|(_, item)| !item.is_open()).map(|(number, _)| *number).collect();
        let excess = (ended.len() + 1).saturating_sub(MAX_ENDED);
        ended.into_iter().take(excess).collect()
    }

    async fn write(&self, changes: Changes) -> Result<(), Failure> {
        book::write(&self.0.store, changes).await.map_err(unwritten)
    }

    /// The next one to be fetched.
    pub(crate) fn next(&self) -> Option<(u64, Download)> {
        let items = self.items();
        let is_idle = |item: &Item| item.is_open() && matches!(item.phase, Phase::Idle);
        let turn = |(number, item): (&u64, &Item)| Turn {
            number: *number,
            priority: item.download.order.priority,
            stalled: item.stalled,
            not_before: item.not_before,
        };
        let idle = items.iter().filter(|(_, item)| is_idle(item)).map(turn);
        let number = turns::next(idle, Instant::now())?;
        Some((number, items.get(&number)?.download.clone()))
    }

    /// All places are taken: those that wait have to wait for one.
    pub(crate) fn queue(&self) {
        self.items().values_mut().for_each(|item| item.is_queued = true);
    }

    /// Changes what is known of a download, if it was not cancelled.
    pub(crate) fn change(&self, number: u64, change: impl FnOnce(&mut Item)) {
        if let Some(item) = self.items().get_mut(&number) {
            change(item);
        }
    }

    /// The node is gone: nothing is under way, and nothing held.
    pub(crate) fn rest(&self) {
        for item in self.items().values_mut() {
            (item.outlet, item.not_before) = (None, None);
            std::mem::replace(&mut item.phase, Phase::Idle).stop();
        }
    }

    fn find(&self, is_it: impl Fn(&Item) -> bool) -> Option<u64> {
        self.items().iter().find(|(_, item)| is_it(item)).map(|(number, _)| *number)
    }

    fn node(&self) -> Option<Node> {
        self.0.node.borrow().clone()
    }

    fn items(&self) -> MutexGuard<'_, BTreeMap<u64, Item>> {
        // Each change is a single call that leaves it whole.
        self.0.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    fn stop(self) {
        if let Self::Running(job) | Self::Writing(job) = self {
            job.abort();
        }
    }
}

/// Whether the daemon itself writes it to its place.
pub(crate) fn is_written_here(download: &Download) -> bool {
    download.destination().is_some_and(is_ours_to_write)
}

fn senseless(error: OrderError) -> Failure {
    Failure::new(FailureKind::Wrong, error)
}

fn unknown(number: u64) -> Failure {
    Failure::new(FailureKind::Wrong, format!("there is no download {number}: `transfers` lists them"))
}

fn not_whole(number: u64) -> Failure {
    Failure::new(FailureKind::Wrong, format!("the download {number} is not whole"))
}

fn unwritten(error: BookError) -> Failure {
    Failure::new(FailureKind::Disk, error)
}
