//! Fetches shared files from the copy of the daemon at HOST, over Bitswap. Every block is checked against its hash.
//!
//! The program has no IPFS node and no store. [`ipfs::copy`] gives the content piece by piece, and each piece is
//! written at once. If the copy ends early, no partial file is left behind.

use super::{Fetched, Get, GetResult, Target, place};
use crate::ask::Answer;
use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::interrupts::Interrupts;
use crate::text::size;
use bytes::Bytes;
use dcache::buckets;
use ipfs::copy::{CopyError, Source};
use ipfs::unixfs::is_plain_name;
use ipfs::{Cid, Multiaddr, PeerId};
use logs::{Description, SharedFile};
use recordings::Kind;
use seal::SwarmKey;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Default port of IPFS connections (IPSD).
const DEFAULT_PORT: u16 = 6002;
/// Time between two reports of progress.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// Maximum number of pieces that wait to be written.
const MAX_WAITING: usize = 16;

/// Fetches the files, one after the other.
pub(super) fn get(
    get: &Get,
    context: &Context,
    reading: &Reading,
    files: &[SharedFile],
) -> Result<Vec<GetResult>, CliError> {
    let Reading { connection, answer, names, .. } = reading;
    let host = connection.address()?;
    let wanted = get.files.iter().map(|text| Wanted::find(get, text, files));
    let wanted: Vec<Wanted<'_>> = wanted.collect::<Result<_, _>>()?;
    let filenames: Vec<&str> = wanted.iter().map(|one| one.description.filename.as_str()).collect();
    let fetcher = Fetcher {
        target: get.target(&filenames)?,
        peer: answer.pong.peer.to_string().parse().map_err(|_| CliError::NotHeld)?,
        addresses: addresses(answer, host),
        key: context.key()?,
        patience: context.timeout,
        force: get.force,
    };
    let sizes = fetcher.run(&wanted)?;
    let fetched = wanted.iter().zip(sizes).enumerate().map(|(number, (one, bytes))| Fetched {
        cid: one.file.cid.to_string(),
        bytes,
        path: fetcher.target.path(number).map(|path| path.display().to_string()),
        source: Some(names.of(answer.pong.peer)),
        host: Some(host.to_string()),
        is_silent: matches!(fetcher.target, Target::Stdout),
    });
    Ok(fetched.map(GetResult::Fetched).collect())
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

    /// Returns whether the file is a folder of ROS 2.
    fn is_folder(&self) -> bool {
        self.description.recording.as_ref().is_some_and(|recording| recording.kind == Kind::Ros2Folder)
    }
}

/// Returns the addresses at which the daemon accepts IPFS connections. These are the addresses that it signed. Before
/// them come the same ports at the IP address at which it has just answered, because that address is certainly
/// reachable.
fn addresses(answer: &Answer, host: IpAddr) -> Vec<Multiaddr> {
    let signed = answer.set.bucket(&buckets::IPFS_ADDRESSES.of(answer.pong.peer), answer.now);
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
    // The addresses at HOST are first, because only a limited number of addresses is tried.
    let all = at_host.chain([usual]).chain(signed.iter().cloned());
    let mut addresses: Vec<Multiaddr> = Vec::new();
    for address in all.filter_map(|text| text.parse().ok()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Fetches from one daemon.
struct Fetcher {
    target: Target,
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    /// The key of the swarm. With a key, the IPFS connections belong to a private network.
    key: Option<SwarmKey>,
    /// Maximum time without a new block.
    patience: Duration,
    force: bool,
}

impl Fetcher {
    /// Fetches the files to the target. Returns their sizes. Ctrl-C ends it.
    fn run(&self, wanted: &[Wanted<'_>]) -> Result<Vec<u64>, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(CliError::Output)?;
        let result = runtime.block_on(async {
            let mut interrupts = Interrupts::new().map_err(CliError::Output)?;
            tokio::select! {
                result = self.fetch_all(wanted) => result,
                () = interrupts.wait() => Err(CliError::Interrupted),
            }
        });
        // A blocked reader of standard output must not keep this program running.
        runtime.shutdown_background();
        result
    }

    async fn fetch_all(&self, wanted: &[Wanted<'_>]) -> Result<Vec<u64>, CliError> {
        let key = self.key.as_ref().map(SwarmKey::libp2p);
        let source = Source::connect(self.peer, self.addresses.clone(), key, self.patience).await;
        let mut source = source.map_err(CliError::content)?;
        let mut sizes = Vec::new();
        for (number, one) in wanted.iter().enumerate() {
            sizes.push(match self.target.path(number) {
                Some(path) if one.is_folder() => self.fetch_folder(&mut source, one, path).await?,
                Some(path) => self.fetch_file(&mut source, one, path).await?,
                None => copy(&mut source, one, Box::new(io::stdout())).await?,
            });
        }
        Ok(sizes)
    }

    /// Fetches a file to a temporary file in the same folder, and renames that when it is complete.
    async fn fetch_file(
        &self,
        source: &mut Source,
        wanted: &Wanted<'_>,
        path: &Path,
    ) -> Result<u64, CliError> {
        let file = place::temporary(path).map_err(CliError::Write)?;
        let sink = file.as_file().try_clone().map_err(CliError::Write)?;
        let bytes = copy(source, wanted, Box::new(sink)).await?;
        place::publish(file, path, self.force).map_err(CliError::Write)?;
        Ok(bytes)
    }

    /// Fetches the files of a folder to a temporary folder, and renames that when it is complete. Returns the size of all
    /// files, which must be that of the description.
    async fn fetch_folder(
        &self,
        source: &mut Source,
        wanted: &Wanted<'_>,
        path: &Path,
    ) -> Result<u64, CliError> {
        let Description { filename, size, .. } = wanted.description;
        let wrong = || CliError::FolderDiffers(filename.clone());
        let members = source.members(wanted.file.cid, filename).await.map_err(CliError::content)?;
        let members = members.filter(|members| members.iter().all(|(name, _)| is_plain_name(name)));
        let folder = place::temporary_folder(path).map_err(CliError::Write)?;
        let mut bytes: u64 = 0;
        for (name, cid) in members.ok_or_else(wrong)? {
            let member = source.size(cid).await.map_err(CliError::content)?;
            bytes = bytes.checked_add(member).filter(|bytes| bytes <= size).ok_or_else(wrong)?;
            let file = File::create_new(folder.path().join(name)).map_err(CliError::Write)?;
            let sink = file.try_clone().map_err(CliError::Write)?;
            copy_part(source, wanted, Part::Member(cid, member), Box::new(sink)).await?;
            file.sync_all().map_err(CliError::Write)?;
        }
        if bytes != *size {
            return Err(wrong());
        }
        place::publish_folder(folder, path).map_err(CliError::Write)?;
        Ok(bytes)
    }
}

/// The content that is copied to a sink.
enum Part {
    /// The shared file.
    Whole,
    /// A file of this size in a folder.
    Member(Cid, u64),
}

/// Copies the shared file to `sink`. A folder cannot go to standard output.
async fn copy(
    source: &mut Source,
    wanted: &Wanted<'_>,
    sink: Box<dyn Write + Send>,
) -> Result<u64, CliError> {
    if wanted.is_folder() {
        return Err(CliError::FolderToStdout);
    }
    copy_part(source, wanted, Part::Whole, sink).await
}

/// Copies content to `sink`, which a separate thread writes. Returns the number of bytes.
async fn copy_part(
    source: &mut Source,
    wanted: &Wanted<'_>,
    part: Part,
    sink: Box<dyn Write + Send>,
) -> Result<u64, CliError> {
    let Description { filename, size, .. } = wanted.description;
    let size = match part {
        Part::Whole => size,
        Part::Member(_, ref size) => size,
    };
    let written = Arc::new(AtomicU64::new(0));
    let (sender, pieces) = mpsc::channel(MAX_WAITING);
    let counter = written.clone();
    let writer = tokio::task::spawn_blocking(move || write_pieces(pieces, sink, &counter));
    let copying = async {
        match part {
            Part::Whole => source.copy_file(wanted.file.cid, filename, *size, &sender).await,
            Part::Member(file, size) => source.copy(file, size, &sender).await,
        }
    };
    let copied = tokio::select! {
        copied = copying => copied,
        never = show(&written, *size) => match never {},
    };
    drop(sender);
    let ended = writer.await.map_err(|error| CliError::Output(error.into()))?;
    match (copied, ended) {
        // The reader closed the pipe early, as `head` does.
        (_, Err(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(*size),
        (_, Err(error)) => Err(CliError::Write(error)),
        (Err(CopyError::NotHeld(_)), _) => Err(CliError::NotHeld),
        (Err(error), _) => Err(CliError::content(error)),
        (Ok(()), Ok(())) => Ok(written.load(Ordering::Relaxed)),
    }
}

fn write_pieces(
    mut pieces: mpsc::Receiver<Bytes>,
    mut sink: Box<dyn Write + Send>,
    written: &AtomicU64,
) -> io::Result<()> {
    while let Some(piece) = pieces.blocking_recv() {
        sink.write_all(&piece)?;
        written.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    sink.flush()
}

/// Shows the progress on stderr if that is a terminal.
async fn show(written: &AtomicU64, total: u64) -> std::convert::Infallible {
    let mut every = tokio::time::interval(SHOW_EVERY);
    every.tick().await;
    loop {
        every.tick().await;
        if io::stderr().is_terminal() {
            let bytes = written.load(Ordering::Relaxed);
            let _ = write!(io::stderr(), "\r{} of {} \r", size(bytes), size(total));
        }
    }
}
