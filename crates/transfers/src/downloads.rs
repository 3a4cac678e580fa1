//! The list of downloads: their orders, their state, and the requests about them.

use crate::chunk_reader::{ChunkReader, Source};
use crate::export::is_ours_to_write;
use crate::order::OrderError;
use crate::protocol::{Answer, LinkRate, Order, Piece, Transfer};
use crate::report;
use crate::schedule::{self, Candidate};
use ipfs::node::{Fetched, Node};
use service::{Context, Failure, FailureKind, Job, JobEnd, JobKind, JobNumber, Jobs};
use std::time::Duration;
use store::TableError;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Name of the table on the disk.
const TABLE: &str = "downloads";

/// The jobs of this service: downloads.
pub(crate) struct Download;

impl JobKind for Download {
    type Order = Order;
    /// Size of the delivered content in bytes.
    type Outcome = u64;
    type Local = Local;
    const MAX_OPEN: usize = 128;
    const MAX_ENDED: usize = 16;
}

/// State of a download that is in memory only.
#[derive(Default)]
pub(crate) struct Local {
    pub(crate) phase: Phase,
    /// Reason why the last attempt stopped.
    pub(crate) reason: Option<String>,
    /// Bytes that were received by the end of the last attempt.
    pub(crate) bytes: u64,
    /// Time at which the last attempt stopped before the download was complete, since the start of the process.
    pub(crate) stalled: Option<Duration>,
    /// Earliest time of the next attempt, since the start of the process.
    pub(crate) not_before: Option<Duration>,
    /// Whether all slots were taken at the last check.
    pub(crate) is_queued: bool,
    reader: Option<ChunkReader>,
}

/// The activity of a download that has not ended.
#[derive(Default)]
pub(crate) enum Phase {
    #[default]
    Idle,
    /// The content is being fetched.
    Running(AbortHandle),
    /// The content is being written to its destination.
    Writing(AbortHandle),
    /// The content is complete, and protected until the client has read it.
    Whole(Fetched),
}

/// The downloads that users ordered. A clone refers to the same downloads.
#[derive(Clone)]
pub(crate) struct Downloads {
    pub(crate) context: Context,
    pub(crate) jobs: Jobs<Download>,
    started: Instant,
}

impl Downloads {
    /// Reads the earlier orders from the disk. This call blocks.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn open(context: Context) -> Result<Self, TableError> {
        let jobs = Jobs::open(context.table(TABLE), |order: &Order| order.root().is_some())?;
        Ok(Self { context, jobs, started: Instant::now() })
    }

    /// Returns the time since the start of the process.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Takes an order, which is on the disk when this returns. If a download with the same order is
    /// open already, returns that download.
    ///
    /// # Errors
    /// When the order is not valid, too many downloads are open, or the disk fails.
    pub(crate) async fn order(&self, order: Order) -> Result<Answer, Failure> {
        order.check().map_err(invalid)?;
        let wanted = order.clone();
        let number = self.jobs.order(order, |known| known.is_same(&wanted)).await?;
        tracing::info!(%number, cid = wanted.cid, name = wanted.name, "a download was ordered");
        self.show(number)
    }

    /// Returns the state of a download.
    ///
    /// # Errors
    /// When there is no download with this number.
    pub(crate) fn show(&self, number: JobNumber) -> Result<Answer, Failure> {
        let fetches = self.node().map(|node| node.fetches()).unwrap_or_default();
        let items = self.jobs.items();
        let job = items.get(&number).ok_or_else(|| unknown(number))?;
        Ok(Answer::Transfer(report::of_job(number, job, &fetches)))
    }

    /// Returns the state of all transfers and links.
    pub(crate) fn show_all(&self) -> Answer {
        let node = self.node();
        let fetches = node.as_ref().map(Node::fetches).unwrap_or_default();
        let links: Vec<LinkRate> = node.iter().flat_map(Node::traffic).filter_map(report::link).collect();
        let items = self.jobs.items();
        let of_job = |(number, job): (&JobNumber, &Job<Download>)| report::of_job(*number, job, &fetches);
        let mut transfers: Vec<Transfer> = items.iter().map(of_job).collect();
        let is_other = |fetch: &&ipfs::node::RunningFetch| {
            !items.values().any(|job| job.is_open() && job.order.root() == Some(fetch.root))
        };
        transfers.extend(fetches.iter().filter(is_other).map(report::of_fetch));
        Answer::Transfers { transfers, links }
    }

    /// Cancels a download by its number, or all open downloads of a CID. A download that has ended is
    /// removed from the list.
    ///
    /// # Errors
    /// When there is no such download, or the disk fails.
    pub(crate) async fn cancel(&self, what: &str) -> Result<Answer, Failure> {
        let wanted: Option<JobNumber> = what.parse().ok();
        let is_meant = |number: JobNumber, job: &Job<Download>| {
            Some(number) == wanted || (job.is_open() && job.order.cid == what)
        };
        let cancelled = self.jobs.cancel(is_meant).await?;
        if cancelled.is_empty() {
            let message = format!("there is no download {what:?}: `transfers` lists them");
            return Err(Failure::new(FailureKind::Wrong, message));
        }
        for (number, job) in cancelled {
            job.local.phase.stop();
            tracing::info!(%number, "a download was cancelled");
        }
        Ok(Answer::Done {})
    }

    /// Reads a piece of a complete download.
    ///
    /// # Errors
    /// When the download is not complete or cannot be read.
    pub(crate) async fn read(&self, number: JobNumber, offset: u64) -> Result<Answer, Failure> {
        let node = self.node().ok_or_else(|| not_whole(number))?;
        let (source, reader) = {
            let mut items = self.jobs.items();
            let job = items.get_mut(&number).ok_or_else(|| unknown(number))?;
            let source = source(job, most(&node)).filter(|_| matches!(job.local.phase, Phase::Whole(_)));
            (source.ok_or_else(|| not_whole(number))?, job.local.reader.take())
        };
        let mut reader = reader
            .filter(|reader| reader.reaches(offset))
            .unwrap_or_else(|| ChunkReader::open(node.store().clone(), source));
        let piece = reader.read(offset).await.map_err(|error| Failure::new(FailureKind::Disk, error))?;
        let is_archive = reader.is_archive();
        if !piece.is_empty() {
            self.jobs.change(number, |job| job.local.reader = Some(reader));
        }
        Ok(Answer::Piece { data: Piece(piece), is_archive })
    }

    /// Releases a download that the client has read.
    ///
    /// # Errors
    /// When the download is not complete, or the disk fails.
    pub(crate) async fn collected(&self, number: JobNumber) -> Result<Answer, Failure> {
        let bytes = {
            let items = self.jobs.items();
            let job = items.get(&number).ok_or_else(|| unknown(number))?;
            match &job.local.phase {
                Phase::Whole(fetched) => fetched.summary.bytes,
                _ => return Err(not_whole(number)),
            }
        };
        self.jobs.end(number, JobEnd::Done(bytes)).await?;
        Ok(Answer::Done {})
    }

    /// Returns the download to fetch next.
    pub(crate) fn next(&self) -> Option<(JobNumber, Order)> {
        let items = self.jobs.items();
        let number = schedule::next(items.iter().filter_map(candidate), self.now())?;
        Some((number, items.get(&number)?.order.clone()))
    }

    /// Returns the time until the next waiting download may be retried.
    pub(crate) fn until_next(&self) -> Option<Duration> {
        let items = self.jobs.items();
        let times = items.iter().filter_map(candidate).filter_map(|waiting| waiting.not_before);
        times.min().map(|at| at.saturating_sub(self.now()))
    }

    /// Notes that all download slots are taken, so that the reports to clients show it.
    pub(crate) fn queue(&self) {
        self.jobs.items().values_mut().for_each(|job| job.local.is_queued = true);
    }

    /// Resets all downloads when the IPFS node stops. Their tasks are aborted, and complete content is no longer
    /// protected from garbage collection.
    pub(crate) fn rest(&self) {
        for job in self.jobs.items().values_mut() {
            (job.local.reader, job.local.not_before) = (None, None);
            std::mem::take(&mut job.local.phase).stop();
        }
    }

    fn node(&self) -> Option<Node> {
        self.context.node.borrow().clone()
    }
}

/// Returns the maximum size of a download in bytes: the capacity of the block store.
pub(crate) fn most(node: &Node) -> u64 {
    node.usage().max_bytes
}

fn source(job: &Job<Download>, most: u64) -> Option<Source> {
    let path = job.order.payload.clone().unwrap_or_default();
    Some(Source { root: job.order.root()?, path, max_bytes: job.order.limits(most).max_bytes })
}

fn candidate((number, job): (&JobNumber, &Job<Download>)) -> Option<Candidate> {
    let is_idle = job.is_open() && matches!(job.local.phase, Phase::Idle);
    is_idle.then_some(Candidate {
        number: *number,
        priority: job.order.priority,
        stalled: job.local.stalled,
        not_before: job.local.not_before,
    })
}

impl Phase {
    fn stop(self) {
        if let Self::Running(fetch) | Self::Writing(fetch) = self {
            fetch.abort();
        }
    }
}

/// Returns whether the daemon itself writes the file to its destination.
pub(crate) fn is_written_here(order: &Order) -> bool {
    order.destination.as_ref().is_some_and(is_ours_to_write)
}

fn invalid(error: OrderError) -> Failure {
    Failure::new(FailureKind::Wrong, error)
}

fn unknown(number: JobNumber) -> Failure {
    Failure::new(FailureKind::Wrong, format!("there is no download {number}: `transfers` lists them"))
}

fn not_whole(number: JobNumber) -> Failure {
    Failure::new(FailureKind::Wrong, format!("the download {number} is not complete"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use store::{Store, Table};

    #[test]
    fn rows_that_are_not_valid_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&folder.path().join("records.redb")).unwrap().0);
        let row = |cid: &str| serde_json::json!({ "order": { "cid": cid, "name": "" } });
        let rows: Table<String, serde_json::Value> = store.clone().table("transfers/downloads");
        let all = [("1", row("bafkqaaa")), ("2", row("nonsense")), ("x", row("bafkqaaa")), ("3", "{".into())];
        rows.write(&all.map(|(key, row)| (key.to_owned(), Some(row)))).unwrap();
        let open = |order: &Order| order.root().is_some();
        let jobs = Jobs::<Download>::open(store.table("transfers/downloads"), open).unwrap();
        assert_eq!(jobs.items().keys().copied().collect::<Vec<_>>(), [JobNumber(1)]);
    }
}
