//! Fetches shared files from the copy of the daemon at HOST, over Bitswap. Every block is checked against its hash.
//!
//! An IPFS node lives here for as long as this takes: with a key of its own, listening nowhere, its blocks in a
//! temporary folder beside the new file. Whatever ends it, the folder goes with it.

use super::{Fetched, Get, GetResult, Target, place};
use crate::ask::Answer;
use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::interrupts::Interrupts;
use crate::text::size;
use dcache::buckets;
use ipfs::node::{FetchError, FetchLimits, FetchProgress, Node, NodeConfig, Provider};
use ipfs::store::{Store, StoreConfig};
use ipfs::unixfs::{ReadError, read_through};
use ipfs::{Keypair, Multiaddr};
use logs::{Description, INFO_NAME, SharedFile};
use seal::SwarmKey;
use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
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
/// Longest time to wait at the end for threads that write to the temporary folder.
const ENDING: Duration = Duration::from_secs(5);

/// Fetches the files, one after the other.
pub(super) fn get(
    get: &Get,
    context: &Context,
    reading: &Reading,
    files: &[SharedFile],
) -> Result<Vec<GetResult>, CliError> {
    let Reading { connection, answer, names } = reading;
    let host = connection.address()?;
    let wanted = get.files.iter().map(|text| Wanted::find(get, text, files));
    let wanted: Vec<Wanted<'_>> = wanted.collect::<Result<_, _>>()?;
    let filenames: Vec<&str> = wanted.iter().map(|one| one.description.filename.as_str()).collect();
    let target = get.target(&filenames)?;
    let fetcher = Fetcher {
        provider: provider(answer, host)?,
        key: context.key()?,
        patience: context.timeout,
        force: get.force,
        is_stdout: matches!(target, Target::Stdout),
    };
    let mut fetched = Vec::new();
    for (number, one) in wanted.iter().enumerate() {
        let path = target.path(number);
        let bytes = fetcher.run(one, path)?;
        fetched.push(GetResult::Fetched(Fetched {
            cid: one.file.cid.to_string(),
            bytes,
            path: path.map(|path| path.display().to_string()),
            source: Some(names.of(answer.pong.peer)),
            host: Some(host.to_string()),
            is_silent: fetcher.is_stdout,
        }));
    }
    Ok(fetched)
}

/// A file that is to be fetched.
struct Wanted<'a> {
    file: &'a SharedFile,
    description: &'a Description,
}

impl<'a> Wanted<'a> {
    fn find(get: &Get, text: &str, files: &'a [SharedFile]) -> Result<Self, CliError> {
        let file = get.find(text, files)?;
        let description = file.description.as_ref().ok_or_else(|| CliError::NotDescribed(text.to_owned()))?;
        Ok(Self { file, description })
    }

    /// Returns the most bytes that all blocks of the file may have together.
    fn max_bytes(&self) -> u64 {
        let size = self.description.size;
        size.saturating_add(size / 100).saturating_add(OVERHEAD_BYTES)
    }
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

/// Fetches from one daemon.
struct Fetcher {
    provider: Provider,
    /// The key of the swarm: its IPFS connections are those of a private network.
    key: Option<SwarmKey>,
    /// How long no block may come.
    patience: Duration,
    force: bool,
    is_stdout: bool,
}

impl Fetcher {
    /// Fetches a file to `path`, or to standard output. Nothing else stays, also after Ctrl-C.
    fn run(&self, wanted: &Wanted<'_>, path: Option<&Path>) -> Result<u64, CliError> {
        let folder = match path {
            Some(path) => place::folder(path).to_owned(),
            None => std::env::temp_dir(),
        };
        let folder = tempfile::Builder::new().prefix(place::TEMPORARY).tempdir_in(folder);
        let folder = folder.map_err(CliError::Write)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Output)?;
        let result = runtime.block_on(async {
            let mut interrupts = Interrupts::new().map_err(CliError::Output)?;
            tokio::select! {
                result = self.fetch(wanted, &folder) => result,
                () = interrupts.wait() => Err(CliError::Interrupted),
            }
        });
        // Threads may still write; a reader of standard output that is stuck does not keep this program.
        runtime.shutdown_timeout(ENDING);
        let bytes = result?;
        if let Some(path) = path {
            self.publish(&payload_in(&folder), path).map_err(CliError::Write)?;
        }
        Ok(bytes)
    }

    async fn fetch(&self, wanted: &Wanted<'_>, folder: &TempDir) -> Result<u64, CliError> {
        let max_bytes = wanted.max_bytes();
        let directory = folder.path().join("blocks");
        let store = StoreConfig { directory, max_bytes: max_bytes.saturating_mul(2), min_free_bytes: 0 };
        let network_key = self.key.as_ref().map(|key| key.libp2p().into());
        let config = NodeConfig::new(Keypair::generate_ed25519(), store);
        let config = NodeConfig { allow_loopback: true, network_key, ..config };
        let (node, driver, _) = Node::start(config).await.map_err(CliError::content)?;
        let stop = CancellationToken::new();
        let running = tokio::spawn(driver.run(stop.clone()));
        let max_blocks = usize::try_from(max_bytes / (1 << 20) * BLOCKS_PER_MIB + 64).unwrap_or(usize::MAX);
        let limits = FetchLimits { max_bytes, max_blocks, stall_timeout: self.patience, priority: 0 };
        let (progress, watched) = watch::channel(FetchProgress::default());
        let (root, providers) = (wanted.file.cid, vec![self.provider.clone()]);
        let result = tokio::select! {
            result = async {
                let _fetched = node.fetch(root, providers, limits, progress).await.map_err(explain)?;
                match self.is_stdout {
                    true => pour(&node, wanted).await,
                    false => export(&node, wanted, folder).await,
                }
            } => result,
            never = show(watched, wanted.description.size) => match never {},
        };
        stop.cancel();
        // Its end is not worth an error: the file was fetched or not.
        let _ = running.await;
        result
    }

    /// Gives a whole file its place.
    fn publish(&self, payload: &Path, path: &Path) -> io::Result<()> {
        if !self.force && std::fs::symlink_metadata(path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        std::fs::rename(payload, path)?;
        std::fs::File::open(place::folder(path))?.sync_all()
    }
}

/// Returns where the whole file is before it gets its place.
fn payload_in(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("payload")
}

fn explain(error: FetchError) -> CliError {
    match error {
        FetchError::Stalled { blocks: 0, .. } => CliError::NotHeld,
        other => CliError::content(other),
    }
}

/// Writes the payload, once it is whole, into the temporary folder.
async fn export(node: &Node, wanted: &Wanted<'_>, folder: &TempDir) -> Result<u64, CliError> {
    let description = wanted.description;
    let entries = node.list(wanted.file.cid).await.map_err(CliError::content)?;
    let payload = entries.iter().find(|entry| entry.name != INFO_NAME && entry.name == description.filename);
    let missing = || CliError::content("it does not hold the file that it is said to hold");
    let payload = payload.ok_or_else(missing)?;
    node.export(payload.cid, &payload_in(folder), description.size).await.map_err(CliError::content)
}

/// Why a file was not written to standard output.
#[derive(Debug, thiserror::Error)]
enum PourError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Writes the payload, once it is whole, to standard output.
async fn pour(node: &Node, wanted: &Wanted<'_>) -> Result<u64, CliError> {
    let (store, root) = (node.store().clone(), wanted.file.cid);
    let (name, size) = (wanted.description.filename.clone(), wanted.description.size);
    let poured = tokio::task::spawn_blocking(move || write_out(&store, &root, &name, size));
    match poured.await.map_err(|error| CliError::Output(error.into()))? {
        // As `head` does once it has enough.
        Err(PourError::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(size),
        Err(PourError::Write(error)) => Err(CliError::Output(error)),
        Err(PourError::Read(error)) => Err(CliError::content(error)),
        Ok(bytes) => Ok(bytes),
    }
}

fn write_out(store: &Store, root: &ipfs::Cid, name: &str, size: u64) -> Result<u64, PourError> {
    let (mut stdout, mut bytes) = (io::stdout(), 0);
    read_through(store, root, name, size, &mut |piece| -> Result<(), PourError> {
        bytes += piece.len() as u64;
        Ok(stdout.write_all(piece)?)
    })?;
    stdout.flush()?;
    Ok(bytes)
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
