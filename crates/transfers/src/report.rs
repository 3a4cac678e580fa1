//! Makes the reports about transfers and links for clients.

use crate::downloads::{Download, Phase, is_written_here};
use crate::protocol::{LinkRate, SourceRate, Transfer, TransferState};
use ipfs::node::{LinkTraffic, Obstacle, RunningFetch, Source};
use service::{Job, JobEnd, JobNumber};

/// Maximum number of peers that are listed for a transfer.
const MAX_SOURCES: usize = 8;

/// Returns the report of a download.
pub(crate) fn of_job(number: JobNumber, job: &Job<Download>, fetches: &[RunningFetch]) -> Transfer {
    let order = &job.order;
    let running = fetches.iter().find(|fetch| Some(fetch.root) == order.root());
    let (state, reason) = state(job, running);
    let is_running = matches!(job.local.phase, Phase::Running(_));
    let running = running.filter(|_| is_running);
    Transfer {
        download: Some(number),
        cid: order.cid.clone(),
        name: order.name.clone(),
        priority: order.priority,
        state,
        reason,
        destination: order.destination.as_ref().map(|to| to.path.clone()),
        is_written_by_daemon: is_written_here(order),
        bytes: bytes(job, running),
        size: order.size.or_else(|| running.and_then(|fetch| fetch.progress.claimed_bytes)),
        rate: running.map_or(0, |fetch| fetch.received.1),
        sources: running.map(sources).unwrap_or_default(),
    }
}

fn bytes(job: &Job<Download>, running: Option<&RunningFetch>) -> u64 {
    match (&job.end, &job.local.phase, running) {
        (Some(JobEnd::Done(bytes)), ..) => *bytes,
        (_, Phase::Whole(fetched), _) => fetched.summary.bytes,
        (.., Some(fetch)) => fetch.progress.bytes.max(job.local.bytes),
        _ => job.local.bytes,
    }
}

fn state(job: &Job<Download>, running: Option<&RunningFetch>) -> (TransferState, Option<String>) {
    let obstacle = running.and_then(|fetch| fetch.progress.obstacle);
    match (&job.end, &job.local.phase) {
        (Some(JobEnd::Done(_)), _) => (TransferState::Done, None),
        (Some(JobEnd::Failed(message)), _) => (TransferState::Failed, Some(message.clone())),
        (None, Phase::Whole(_)) => (TransferState::Whole, None),
        (None, Phase::Writing(_)) => (TransferState::Writing, None),
        (None, Phase::Running(_)) => match obstacle {
            Some(obstacle) => (TransferState::Waiting, Some(obstacle.to_string())),
            None => (TransferState::Fetching, None),
        },
        (None, Phase::Idle) => {
            let first =
                if job.local.is_queued { Obstacle::Queued.to_string() } else { "it is starting".to_owned() };
            (TransferState::Waiting, Some(job.local.reason.clone().unwrap_or(first)))
        }
    }
}

/// Returns the report of a fetch that the daemon started by itself.
pub(crate) fn of_fetch(fetch: &RunningFetch) -> Transfer {
    let obstacle = fetch.progress.obstacle;
    Transfer {
        download: None,
        cid: fetch.root.to_string(),
        name: fetch.name.clone(),
        priority: fetch.priority,
        state: obstacle.map_or(TransferState::Fetching, |_| TransferState::Waiting),
        reason: obstacle.map(|obstacle| obstacle.to_string()),
        destination: None,
        is_written_by_daemon: false,
        bytes: fetch.progress.bytes,
        size: fetch.progress.claimed_bytes,
        rate: fetch.received.1,
        sources: sources(fetch),
    }
}

fn sources(fetch: &RunningFetch) -> Vec<SourceRate> {
    let source = |source: &Source| {
        let peer = source.peer.to_string().parse().ok()?;
        Some(SourceRate { peer, bytes: source.bytes, rate: source.rate })
    };
    fetch.sources.iter().filter_map(source).take(MAX_SOURCES).collect()
}

/// Returns the report of the traffic with a peer; `None` for a peer whose ID is not of the kind that signs records.
pub(crate) fn link(traffic: LinkTraffic) -> Option<LinkRate> {
    let LinkTraffic { peer, is_near, up: (sent, up), down: (received, down) } = traffic;
    Some(LinkRate { peer: peer.to_string().parse().ok()?, is_near, sent, up, received, down })
}
