//! `get` from another host, or without a daemon here that takes orders: fetches a shared file from that daemon's own copy,
//! over Bitswap, every block checked against its hash.
//!
//! An IPFS node lives here for as long as this takes: with a key of its own, listening nowhere, its blocks in a
//! temporary folder beside the file that is to be.

use crate::ask::Answer;
use crate::error::CliError;
use crate::report;
use crate::text::{clean, size};
use dcache::{PeerId, buckets};
use ipfs::node::{FetchError, FetchLimits, FetchProgress, Node, NodeConfig, Provider};
use ipfs::store::StoreConfig;
use ipfs::{Keypair, Multiaddr};
use logs::{Description, INFO_NAME, SharedFile};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Where IPFS connections are taken, unless the daemon says otherwise (IPSD).
const USUAL_PORT: u16 = 6002;
/// How often progress is shown.
const SHOW: Duration = Duration::from_millis(500);
/// Of more blocks than these for each MiB a file is not made.
const BLOCKS_PER_MIB: u64 = 64;
/// What the directory and the info file add to a file, and what the tree over its chunks adds.
const OVERHEAD: u64 = 64 * 1024;

/// What to fetch, and where to.
pub(crate) struct Wanted<'a> {
    pub(crate) file: &'a str,
    pub(crate) destination: Option<&'a Path>,
    pub(crate) force: bool,
    pub(crate) patience: Duration,
}

/// Fetches the file, and says so for people and for programs.
pub(crate) fn get(answer: &Answer, host: IpAddr, wanted: &Wanted<'_>) -> Result<(String, Value), CliError> {
    let files = report::files(&answer.set, answer.now);
    let file = find(&files, wanted.file)?;
    let description =
        file.description.as_ref().ok_or_else(|| CliError::NotDescribed(wanted.file.to_owned()))?;
    let destination = destination(wanted.destination, &description.filename, wanted.force)?;
    let provider = provider(answer, host)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Output)?;
    let bytes = runtime.block_on(fetch(file, description, provider, &destination, wanted.patience))?;
    let shown = clean(&destination.display().to_string(), 200);
    Ok((
        format!("{shown}: {}, from {}\n", size(bytes), clean(&host.to_string(), 64)),
        json!({ "file": destination, "bytes": bytes, "cid": file.cid.to_string() }),
    ))
}

/// The one file that is called so, by name or CID.
pub(crate) fn find<'a>(files: &'a [SharedFile], wanted: &str) -> Result<&'a SharedFile, CliError> {
    let is_it = |file: &&SharedFile| {
        file.cid.to_string() == wanted
            || file.description.as_ref().is_some_and(|known| known.filename == wanted)
    };
    let found: Vec<&SharedFile> = files.iter().filter(is_it).collect();
    match found[..] {
        [] => Err(CliError::NoSuchFile(wanted.to_owned())),
        [one] => Ok(one),
        [..] => {
            let cids: Vec<String> = found.iter().map(|file| file.cid.to_string()).collect();
            Err(CliError::Ambiguous { name: wanted.to_owned(), cids: cids.join(", ") })
        }
    }
}

/// Where the file is to be; nothing that is there is overwritten unless that was asked for.
pub(crate) fn destination(place: Option<&Path>, name: &str, force: bool) -> Result<PathBuf, CliError> {
    let named = place.unwrap_or_else(|| Path::new("."));
    let path = if named.is_dir() { named.join(name) } else { named.to_owned() };
    if !force && std::fs::symlink_metadata(&path).is_ok() {
        return Err(CliError::Exists(path));
    }
    // A bare name has an empty parent.
    let is_in_nothing = path.parent().is_some_and(|parent| parent.as_os_str().is_empty());
    Ok(if is_in_nothing { Path::new(".").join(path) } else { path })
}

/// The folder of a file.
pub(crate) fn beside(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
}

/// Where the daemon that answered takes IPFS connections: at the addresses that it signs, and at the same ports of the
/// address at which it just answered, which is sure to be reachable from here.
fn provider(answer: &Answer, host: IpAddr) -> Result<Provider, CliError> {
    let peer: PeerId = answer.pong.peer;
    let signed = answer.set.bucket(&buckets::IPFS_ADDRESSES.of(peer), answer.now);
    let signed: Vec<String> = signed.map(|view| view.item.data.as_str().to_owned()).collect();
    let here = match host.to_canonical() {
        IpAddr::V4(ip) => format!("/ip4/{ip}"),
        IpAddr::V6(ip) => format!("/ip6/{ip}"),
    };
    let at_host = signed.iter().filter_map(|text| {
        let (_, rest) = text.strip_prefix("/ip4/").or_else(|| text.strip_prefix("/ip6/"))?.split_once('/')?;
        Some(format!("{here}/{rest}"))
    });
    let usual = format!("{here}/tcp/{USUAL_PORT}");
    let mut addresses: Vec<String> = at_host.chain(signed.iter().cloned()).chain([usual]).collect();
    addresses.sort();
    addresses.dedup();
    let addresses: Vec<Multiaddr> = addresses.iter().filter_map(|text| text.parse().ok()).collect();
    let id = peer.to_string().parse();
    Ok((id.map_err(|_| CliError::NotHeld)?, addresses))
}

async fn fetch(
    file: &SharedFile,
    description: &Description,
    provider: Provider,
    destination: &Path,
    patience: Duration,
) -> Result<u64, CliError> {
    let content = |error: &dyn std::fmt::Display| CliError::Content(error.to_string());
    let folder = tempfile::Builder::new().prefix(".dt-swarm-get-").tempdir_in(beside(destination));
    let folder = folder.map_err(CliError::Write)?;
    let max_bytes = description.size.saturating_add(description.size / 100).saturating_add(OVERHEAD);
    let directory = folder.path().join("blocks");
    let store = StoreConfig { directory, max_bytes: max_bytes.saturating_mul(2), min_free_bytes: 0 };
    let config = NodeConfig { allow_loopback: true, ..NodeConfig::new(Keypair::generate_ed25519(), store) };
    let (node, driver, _) = Node::start(config).await.map_err(|error| content(&error))?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(driver.run(stop.clone()));
    let max_blocks = usize::try_from(max_bytes / (1 << 20) * BLOCKS_PER_MIB + 64).unwrap_or(usize::MAX);
    let limits = FetchLimits { max_bytes, max_blocks, stall_timeout: patience, priority: 0 };
    let (progress, watched) = watch::channel(FetchProgress::default());
    let result = tokio::select! {
        result = async {
            let _fetched = node.fetch(file.cid, vec![provider], limits, progress).await.map_err(explain)?;
            export(&node, file, description, destination).await
        } => result,
        never = show(watched, description.size) => match never {},
    };
    stop.cancel();
    // Its end is not worth an error: what was asked for is done or not.
    let _ = running.await;
    result
}

fn explain(error: FetchError) -> CliError {
    match error {
        FetchError::Stalled { blocks: 0, .. } => CliError::NotHeld,
        other => CliError::Content(other.to_string()),
    }
}

/// Writes the payload, once it is whole, to its place.
async fn export(
    node: &Node,
    file: &SharedFile,
    description: &Description,
    destination: &Path,
) -> Result<u64, CliError> {
    let content = |error: &dyn std::fmt::Display| CliError::Content(error.to_string());
    let entries = node.list(file.cid).await.map_err(|error| content(&error))?;
    let payload = entries.iter().find(|entry| entry.name != INFO_NAME && entry.name == description.filename);
    let payload = payload.ok_or_else(|| content(&"it does not hold the file that it is said to hold"))?;
    node.export(payload.cid, destination, description.size).await.map_err(|error| content(&error))
}

/// Shows how far it is, to whoever looks at a terminal.
async fn show(progress: watch::Receiver<FetchProgress>, total: u64) -> std::convert::Infallible {
    let mut every = tokio::time::interval(SHOW);
    every.tick().await;
    loop {
        every.tick().await;
        if std::io::stderr().is_terminal() {
            let bytes = progress.borrow().bytes.min(total);
            let _ = write!(std::io::stderr(), "\r{} of {} \r", size(bytes), size(total));
        }
    }
}
