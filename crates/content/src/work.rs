//! The work of jobs: adding a file, and fetching and pinning content.

use crate::protocol::Pinned;
use ipfs::Cid;
use ipfs::node::{FetchError, FetchLimits, FetchProgress, Node};
use ipfs::unixfs::{AddError, Content, Format};
use service::{Context, ListedBy, ProgressReporter, providers_of};
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;
use swarm::Swarm;
use tokio::sync::watch;

/// Timeout of a fetch: the time without any new block after which it fails.
const STALL: Duration = Duration::from_secs(60);
/// Assumed minimum of the average block size in bytes. A fetch may have at most as many blocks of this size as fit into the
/// store.
const SMALLEST_BLOCK: u64 = 4 * 1024;

/// Adds the file at `path` and pins it.
pub(crate) async fn add(
    node: Node,
    context: Context,
    path: PathBuf,
    copy: bool,
    reporter: ProgressReporter,
) -> Result<Pinned, String> {
    let unreadable = |error| AddError::Read(path.clone(), error).to_string();
    // The path may be a symbolic link. The file that it points to is served.
    let real = path.canonicalize().map_err(unreadable)?;
    let metadata = real.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    if context.is_private(&real) {
        return Err(format!("{} belongs to the daemon itself, and is never shared", path.display()));
    }
    let content = if copy { Content::File(real) } else { Content::InPlace(real) };
    let (progress, watched) = watch::channel(0);
    let total = metadata.len();
    tokio::select! {
        added = node.add_file(content, Format::V1, progress) => {
            let root = added.map_err(|error| error.to_string())?.root;
            pin(&node, root).await
        }
        never = report(watched, |done| reporter.report(done, Some(total))) => match never {},
    }
}

/// Fetches the missing blocks below `root` and pins it.
pub(crate) async fn fetch_and_pin(
    (swarm, listed_by): (Swarm, ListedBy),
    node: Node,
    root: Cid,
    reporter: ProgressReporter,
) -> Result<Pinned, String> {
    let max_bytes = node.usage().max_bytes;
    let max_blocks = usize::try_from(max_bytes / SMALLEST_BLOCK).unwrap_or(usize::MAX);
    let limits = FetchLimits { max_bytes, max_blocks, stall_timeout: STALL, priority: 0 };
    let mut providers =
        providers_of(&swarm, &listed_by, vec![root]).await.map_err(|error| error.to_string())?;
    let (progress, watched) = watch::channel(FetchProgress::default());
    let told = |progress: FetchProgress| reporter.report(progress.bytes, progress.claimed_bytes);
    tokio::select! {
        fetched = node.fetch(root, providers.remove(&root).unwrap_or_default(), limits, progress) => {
            // Until the content is pinned, the result of the fetch protects its blocks from garbage collection.
            let _fetched = fetched.map_err(not_fetched)?;
            pin(&node, root).await
        }
        never = report(watched, told) => match never {},
    }
}

fn not_fetched(error: FetchError) -> String {
    match error {
        FetchError::TooLarge(_) => {
            format!("{error}, which is the maximum size of this host's block store: see `store_max_mib`")
        }
        other => other.to_string(),
    }
}

async fn pin(node: &Node, root: Cid) -> Result<Pinned, String> {
    let pin = node.pin_by_person(root).await.map_err(|error| error.to_string())?;
    Ok(Pinned { cid: root.to_string(), bytes: pin.bytes })
}

/// Calls `report` with each new value. Never returns.
async fn report<T: Copy>(mut progress: watch::Receiver<T>, report: impl Fn(T)) -> Infallible {
    while progress.changed().await.is_ok() {
        report(*progress.borrow_and_update());
    }
    std::future::pending().await
}
