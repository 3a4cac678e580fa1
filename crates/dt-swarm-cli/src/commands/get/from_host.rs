//! Fetches a shared file from the copy of the daemon at HOST, over Bitswap. Every block is checked against its hash.
//!
//! An IPFS node lives here for as long as this takes: with a key of its own, listening nowhere, its blocks in a
//! temporary folder beside the new file.

use super::{Fetched, Get, place};
use crate::ask::Answer;
use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::text::size;
use dcache::buckets;
use ipfs::node::{FetchError, FetchLimits, FetchProgress, Node, NodeConfig, Provider};
use ipfs::store::StoreConfig;
use ipfs::{Keypair, Multiaddr};
use logs::{Description, INFO_NAME, SharedFile};
use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The port of IPFS connections, unless the daemon says otherwise (IPSD).
const DEFAULT_PORT: u16 = 6002;
/// Time between two reports of progress.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// The most blocks for each MiB of a file.
const BLOCKS_PER_MIB: u64 = 64;
/// The bytes that the directory, the info file and the tree over the chunks add to a file.
const OVERHEAD_BYTES: u64 = 64 * 1024;

/// Fetches the file.
pub(super) fn get(
    get: &Get,
    context: &Context,
    reading: &Reading,
    files: &[SharedFile],
) -> Result<Fetched, CliError> {
    let Reading { connection, answer, names } = reading;
    let host = connection.address()?;
    let file = get.find(files)?;
    let description = file.description.as_ref().ok_or_else(|| CliError::NotDescribed(get.file.clone()))?;
    let destination = place::destination(get.place(), &description.filename, get.force)?;
    let provider = provider(answer, host)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Output)?;
    let bytes = runtime.block_on(fetch(file, description, provider, &destination, context.timeout))?;
    Ok(Fetched {
        cid: file.cid.to_string(),
        bytes,
        path: Some(destination.display().to_string()),
        source: Some(names.of(answer.pong.peer)),
        host: Some(host.to_string()),
    })
}

/// Returns where the daemon takes IPFS connections: at the addresses that it signs, and at the same ports of the address
/// at which it just answered, which is sure to be reachable from here.
fn provider(answer: &Answer, host: IpAddr) -> Result<Provider, CliError> {
    let peer = answer.pong.peer;
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
    let usual = format!("{here}/tcp/{DEFAULT_PORT}");
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
    let folder = tempfile::Builder::new().prefix(".dt-swarm-get-").tempdir_in(place::folder(destination));
    let folder = folder.map_err(CliError::Write)?;
    let max_bytes = description.size.saturating_add(description.size / 100).saturating_add(OVERHEAD_BYTES);
    let directory = folder.path().join("blocks");
    let store = StoreConfig { directory, max_bytes: max_bytes.saturating_mul(2), min_free_bytes: 0 };
    let config = NodeConfig { allow_loopback: true, ..NodeConfig::new(Keypair::generate_ed25519(), store) };
    let (node, driver, _) = Node::start(config).await.map_err(CliError::content)?;
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
    // Its end is not worth an error: the file was fetched or not.
    let _ = running.await;
    result
}

fn explain(error: FetchError) -> CliError {
    match error {
        FetchError::Stalled { blocks: 0, .. } => CliError::NotHeld,
        other => CliError::content(other),
    }
}

/// Writes the payload, once it is whole, to its place.
async fn export(
    node: &Node,
    file: &SharedFile,
    description: &Description,
    destination: &Path,
) -> Result<u64, CliError> {
    let entries = node.list(file.cid).await.map_err(CliError::content)?;
    let payload = entries.iter().find(|entry| entry.name != INFO_NAME && entry.name == description.filename);
    let missing = || CliError::content("it does not hold the file that it is said to hold");
    let payload = payload.ok_or_else(missing)?;
    node.export(payload.cid, destination, description.size).await.map_err(CliError::content)
}

/// Shows how far it is, to whoever looks at a terminal.
async fn show(progress: watch::Receiver<FetchProgress>, total: u64) -> std::convert::Infallible {
    let mut every = tokio::time::interval(SHOW_EVERY);
    every.tick().await;
    loop {
        every.tick().await;
        if std::io::stderr().is_terminal() {
            let bytes = progress.borrow().bytes.min(total);
            let _ = write!(std::io::stderr(), "\r{} of {} \r", size(bytes), size(total));
        }
    }
}
