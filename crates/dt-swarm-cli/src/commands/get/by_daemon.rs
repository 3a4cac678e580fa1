//! Has the daemon here fetch a file. It goes on whatever becomes of this program.

use super::{Fetched, Get, GetOutput, place};
use crate::context::Context;
use crate::error::CliError;
use crate::output::names::Names;
use crate::output::transfer;
use crate::output::warn;
use crate::text::clean;
use control::{Client, ClientError};
use logs::SharedFile;
use service::JobNumber;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use transfers::{Answer, Destination, MAX_PATH_BYTES, Order, Request, Transfer, TransferState, Transfers};

/// Time between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Has the daemon fetch a file, and waits for it.
pub(super) fn get(
    get: &Get,
    context: &Context,
    client: Client,
    files: &[SharedFile],
) -> Result<GetOutput, CliError> {
    let file = match get.find(files) {
        // One that nobody shares may still be held by somebody.
        Err(CliError::NoSuchFile(_)) if get.file.parse::<ipfs::Cid>().is_ok() => None,
        other => Some(other?),
    };
    let destination = destination(get, file)?;
    let order = order(get, file, destination.as_deref());
    let waiting = Waiting::begin(get, context, client, destination)?;
    waiting.run(&order)
}

/// Returns where the file is to be; nowhere when it is only to be pinned.
fn destination(get: &Get, file: Option<&SharedFile>) -> Result<Option<PathBuf>, CliError> {
    if get.pin && get.place().is_none() {
        return Ok(None);
    }
    let name = file.and_then(|file| file.description.as_ref()).map(|known| known.filename.as_str());
    let path = place::destination(get.place(), name.unwrap_or(&get.file), get.force)?;
    std::path::absolute(path).map(Some).map_err(CliError::Write)
}

fn order(get: &Get, file: Option<&SharedFile>, destination: Option<&Path>) -> Order {
    let known = file.and_then(|file| file.description.as_ref());
    Order {
        cid: file.map_or_else(|| get.file.clone(), |file| file.cid.to_string()),
        name: known.map_or_else(String::new, |known| known.filename.clone()),
        payload: known.map(|known| known.filename.clone()),
        size: known.map(|known| known.size),
        destination: destination.and_then(|path| for_daemon(path, get.force)),
        pin: get.pin,
        priority: get.priority,
    }
}

/// Returns the destination as the daemon is told it. To a path that has no JSON form this program writes.
fn for_daemon(path: &Path, replace: bool) -> Option<Destination> {
    let folder = std::fs::metadata(place::folder(path)).ok()?;
    path.to_str().filter(|text| text.len() <= MAX_PATH_BYTES)?;
    let (folder, user) = ((folder.dev(), folder.ino()), rustix::process::geteuid().as_raw());
    Some(Destination { path: path.to_owned(), folder, user, replace })
}

struct Waiting<'a> {
    context: &'a Context,
    client: Option<Client>,
    runtime: Runtime,
    interrupt: Signal,
    deadline: Option<Instant>,
    destination: Option<PathBuf>,
    force: bool,
    /// The message or the progress that was shown last.
    shown: String,
}

impl<'a> Waiting<'a> {
    fn begin(
        get: &Get,
        context: &'a Context,
        client: Client,
        destination: Option<PathBuf>,
    ) -> Result<Self, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(CliError::Output)?;
        let interrupt = {
            let _inside = runtime.enter();
            signal(SignalKind::interrupt()).map_err(CliError::Output)?
        };
        let deadline = get.wait.map(|wait| Instant::now() + wait);
        let (client, shown, force) = (Some(client), String::new(), get.force);
        Ok(Self { context, client, runtime, interrupt, deadline, destination, force, shown })
    }

    fn run(mut self, order: &Order) -> Result<GetOutput, CliError> {
        let first = self.ask(&Request::Fetch(order.clone()))?;
        let job = first.download.ok_or(CliError::Lost)?;
        let is_only_ordered = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_only_ordered {
            let transfer = transfer::Transfer::new(first, &Names::default());
            return Ok(GetOutput::Ordered(Box::new(transfer)));
        }
        let result = self.wait(job, first);
        self.clear();
        result.map(GetOutput::Fetched)
    }

    fn wait(&mut self, job: JobNumber, first: Transfer) -> Result<Fetched, CliError> {
        let mut transfer = first;
        loop {
            match transfer.state {
                TransferState::Done => return Ok(self.done(transfer)),
                TransferState::Failed => {
                    return Err(CliError::content(transfer.reason.unwrap_or_default()));
                }
                TransferState::Whole => {
                    let bytes = self.collect(job)?;
                    return Ok(self.done(Transfer { bytes, ..transfer }));
                }
                _ => self.show(&transfer),
            }
            self.pause(job)?;
            transfer = self.look(job)?.unwrap_or(transfer);
        }
    }

    fn done(&self, transfer: Transfer) -> Fetched {
        Fetched {
            cid: transfer.cid,
            bytes: transfer.bytes,
            path: self.destination.as_ref().map(|path| path.display().to_string()),
            source: None,
            host: None,
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Transfer, CliError> {
        match self.answer(request)? {
            Answer::Transfer(transfer) => Ok(transfer),
            _ => Err(CliError::Lost),
        }
    }

    fn answer(&mut self, request: &Request) -> Result<Answer, CliError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.context.client()?,
        };
        let answer = client.call::<Transfers>(request)?;
        self.client = Some(client);
        Ok(answer)
    }

    /// Asks how far it is. Returns `None` while the daemon is away, since it goes on when the daemon is back.
    fn look(&mut self, job: JobNumber) -> Result<Option<Transfer>, CliError> {
        match self.ask(&Request::Show { job }) {
            Ok(transfer) => Ok(Some(transfer)),
            Err(error) if is_away(&error) => {
                self.warn_once("the daemon is away; the download goes on when it is back".to_owned());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits a little. Fails after the time to wait, and on Ctrl-C.
    fn pause(&mut self, job: JobNumber) -> Result<(), CliError> {
        let interrupt = &mut self.interrupt;
        let is_interrupted = self.runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            }
        });
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_interrupted || is_late { Err(CliError::GoesOn(job)) } else { Ok(()) }
    }

    fn show(&mut self, transfer: &Transfer) {
        if io::stderr().is_terminal() {
            // What is wider than the terminal is cut; the cursor stays at the beginning.
            let line = transfer::Transfer::new(transfer.clone(), &Names::default()).show();
            let _ = write!(io::stderr(), "\r\x1b[?7l{line}\x1b[K\x1b[?7h");
            self.shown = line;
        } else if let Some(reason) = &transfer.reason {
            self.warn_once(format!("waiting: {}", clean(reason, 300)));
        } else {
            self.shown.clear();
        }
    }

    /// Prints a message, unless it was the last.
    fn warn_once(&mut self, message: String) {
        if self.shown != message {
            self.clear();
            warn(&message);
            self.shown = message;
        }
    }

    fn clear(&self) {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Reads the file from the daemon and writes it: first beside its place, then there.
    fn collect(&mut self, job: JobNumber) -> Result<u64, CliError> {
        let Some(path) = self.destination.clone() else { return Err(CliError::Lost) };
        let mut file = tempfile::NamedTempFile::new_in(place::folder(&path)).map_err(CliError::Write)?;
        let mut offset = 0;
        loop {
            let piece = match self.answer(&Request::Read { job, offset })? {
                Answer::Piece { data } => data.0,
                _ => return Err(CliError::Lost),
            };
            if piece.is_empty() {
                break;
            }
            file.write_all(&piece).map_err(CliError::Write)?;
            offset += piece.len() as u64;
        }
        file.as_file().sync_all().map_err(CliError::Write)?;
        let kept = if self.force { file.persist(&path) } else { file.persist_noclobber(&path) };
        let kept = kept.map_err(|error| CliError::Write(error.error))?;
        make_usual(&kept).map_err(CliError::Write)?;
        self.answer(&Request::Collected { job })?;
        Ok(offset)
    }
}

/// Gives it the usual mode. Only its owner may read a temporary file.
fn make_usual(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

fn is_away(error: &CliError) -> bool {
    matches!(
        error,
        CliError::NoDaemon(_)
            | CliError::Control(
                ClientError::Closed(_)
                    | ClientError::Broken(..)
                    | ClientError::Absent(..)
                    | ClientError::Silent(..)
            )
    )
}
