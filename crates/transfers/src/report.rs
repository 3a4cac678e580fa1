//! How transfers are told to people.

use crate::download::End;
use crate::downloads::{Item, Phase, is_written_here};
use control::{LinkRate, SourceRate, Transfer, TransferState};
use ipfs::node::{LinkTraffic, Obstacle, RunningFetch, Source};

/// The most peers of one transfer that are named.
const MAX_SOURCES: usize = 8;

/// A download.
pub(crate) fn of_item(number: u64, item: &Item, fetches: &[RunningFetch]) -> Transfer {
    let order = &item.download.order;
    let running = fetches.iter().find(|fetch| Some(fetch.root) == item.download.root());
    let (state, reason) = state(item, running);
    let is_running = matches!(item.phase, Phase::Running(_));
    let running = running.filter(|_| is_running);
    Transfer {
        download: Some(number),
        cid: order.cid.clone(),
        name: order.name.clone(),
        priority: order.priority,
        state,
        reason,
        destination: order.destination.as_ref().map(|to| to.path.clone()),
        is_written_by_daemon: is_written_here(&item.download),
        bytes: bytes(item, running),
        size: order.size.or_else(|| running.and_then(|fetch| fetch.progress.claimed_bytes)),
        rate: running.map_or(0, |fetch| fetch.received.1),
        sources: running.map(sources).unwrap_or_default(),
    }
}

fn bytes(item: &Item, running: Option<&RunningFetch>) -> u64 {
    match (&item.download.end, &item.phase, running) {
        (Some(End::Done(bytes)), ..) => *bytes,
        (_, Phase::Whole(fetched), _) => fetched.summary.bytes,
        (.., Some(fetch)) => fetch.progress.bytes.max(item.bytes),
        _ => item.bytes,
    }
}

fn state(item: &Item, running: Option<&RunningFetch>) -> (TransferState, Option<String>) {
    let obstacle = running.and_then(|fetch| fetch.progress.obstacle);
    match (&item.download.end, &item.phase) {
        (Some(End::Done(_)), _) => (TransferState::Done, None),
        (Some(End::Failed(words)), _) => (TransferState::Failed, Some(words.clone())),
        (None, Phase::Whole(_)) => (TransferState::Whole, None),
        (None, Phase::Writing(_)) => (TransferState::Writing, None),
        (None, Phase::Running(_)) => match obstacle {
            Some(obstacle) => (TransferState::Waiting, Some(obstacle.to_string())),
            None => (TransferState::Fetching, None),
        },
        (None, Phase::Idle) => {
            let first = if item.is_queued { Obstacle::Queued.to_string() } else { "it begins".to_owned() };
            (TransferState::Waiting, Some(item.reason.clone().unwrap_or(first)))
        }
    }
}

/// Something that is fetched and nobody ordered.
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

/// What passes between this node and another. Peers of other kinds than ours, whose IDs are not those of our records, are
/// left out.
pub(crate) fn link(traffic: LinkTraffic) -> Option<LinkRate> {
    let LinkTraffic { peer, is_near, up: (sent, up), down: (received, down) } = traffic;
    Some(LinkRate { peer: peer.to_string().parse().ok()?, is_near, sent, up, received, down })
}
