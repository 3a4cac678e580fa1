//! Asks the daemon on this computer to fetch files. The downloads continue after this program ends.

use super::{Fetched, Get, GetResult, Target, place};
use crate::context::Context;
use crate::error::CliError;
use crate::interrupts::Interrupts;
use crate::output::names::Names;
use crate::output::transfer;
use crate::output::warn;
use crate::text::clean;
use control::{Client, ClientError};
use logs::SharedFile;
use service::JobNumber;
use std::io::{self, ErrorKind, IsTerminal as _, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use transfers::{
    Answer, Destination, MAX_PATH_BYTES, Order, Request, Transfer, TransferState, Transfers, Unpacker,
};

/// Time between two requests for the state of a download.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Asks the daemon to fetch the files, and waits for them.
pub(super) fn get(
    get: &Get,
    context: &Context,
    client: Client,
    files: &[SharedFile],
) -> Result<Vec<GetResult>, CliError> {
    let wanted = get.files.iter().map(|text| Wanted::find(get, text, files));
    let wanted: Vec<Wanted<'_>> = wanted.collect::<Result<_, _>>()?;
    let names: Vec<&str> = wanted.iter().map(Wanted::name).collect();
    let target = get.target(&names)?;
    Waiting::begin(get, context, client, target)?.run(get, &wanted)
}

/// A file that is to be fetched.
struct Wanted<'a> {
    /// The name or CID from the command line.
    text: &'a str,
    /// `None` for a CID that no peer shares. A peer may hold it nevertheless.
    file: Option<&'a SharedFile>,
}

impl<'a> Wanted<'a> {
    fn find(get: &Get, text: &'a str, files: &'a [SharedFile]) -> Result<Self, CliError> {
        match get.find(text, files) {
            Ok(file) => Ok(Self { text, file: Some(file) }),
            Err(_) if is_unknown_cid(text, files) => Ok(Self { text, file: None }),
            Err(error) => Err(error),
        }
    }

    fn name(&self) -> &str {
        let known = self.file.and_then(|file| file.description.as_ref());
        known.map_or(self.text, |known| known.filename.as_str())
    }

    fn order(&self, get: &Get, path: Option<&Path>) -> Order {
        let known = self.file.and_then(|file| file.description.as_ref());
        Order {
            cid: self.file.map_or_else(|| self.text.to_owned(), |file| file.cid.to_string()),
            name: known.map_or_else(String::new, |known| known.filename.clone()),
            payload: known.map(|known| known.filename.clone()),
            size: known.map(|known| known.size),
            destination: path.and_then(|path| for_daemon(path, get.force)),
            pin: get.pin,
            priority: get.priority,
        }
    }
}

fn is_unknown_cid(text: &str, files: &[SharedFile]) -> bool {
    text.parse::<ipfs::Cid>().is_ok() && !files.iter().any(|file| file.cid.to_string() == text)
}

/// Returns the destination for the request to the daemon. Returns `None` for a path that is not UTF-8 or is too long;
/// then this program writes the file itself.
fn for_daemon(path: &Path, replace: bool) -> Option<Destination> {
    let path = std::path::absolute(path).ok()?;
    let folder = std::fs::metadata(place::folder(&path)).ok()?;
    path.to_str().filter(|text| text.len() <= MAX_PATH_BYTES)?;
    let (folder, user) = ((folder.dev(), folder.ino()), rustix::process::geteuid().as_raw());
    Some(Destination { path, folder, user, replace })
}

/// A download that the daemon was asked to start.
#[derive(Clone, Copy)]
struct Job {
    number: JobNumber,
    /// Index of the file among the FILE arguments of the command line.
    file: usize,
}

struct Waiting<'a> {
    context: &'a Context,
    client: Option<Client>,
    runtime: Runtime,
    interrupts: Interrupts,
    deadline: Option<Instant>,
    target: Target,
    force: bool,
    /// Downloads that are not complete yet.
    open: Vec<Job>,
    /// The last message or progress line that was shown.
    shown: String,
}

impl<'a> Waiting<'a> {
    fn begin(get: &Get, context: &'a Context, client: Client, target: Target) -> Result<Self, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(CliError::Output)?;
        let interrupts = {
            let _inside = runtime.enter();
            Interrupts::new().map_err(CliError::Output)?
        };
        let deadline = get.wait.map(|wait| Instant::now() + wait);
        let (client, shown, force) = (Some(client), String::new(), get.force);
        Ok(Self { context, client, runtime, interrupts, deadline, target, force, open: Vec::new(), shown })
    }

    fn run(mut self, get: &Get, wanted: &[Wanted<'_>]) -> Result<Vec<GetResult>, CliError> {
        let result = self.order_and_wait(get, wanted);
        self.clear();
        let is_stdout = matches!(self.target, Target::Stdout);
        for job in std::mem::take(&mut self.open).into_iter().filter(|_| is_stdout) {
            // This program does not read the rest of the content, so it cancels the download. If the request does not
            // reach the daemon, the download stays open until a user cancels it.
            let _ = self.answer(&Request::Cancel { download: job.number.to_string() });
        }
        // A write may still be blocked, because the reader of standard output does not read. The program ends without
        // waiting for it.
        self.runtime.shutdown_background();
        result
    }

    fn order_and_wait(&mut self, get: &Get, wanted: &[Wanted<'_>]) -> Result<Vec<GetResult>, CliError> {
        let mut first = Vec::new();
        for (file, one) in wanted.iter().enumerate() {
            let order = one.order(get, self.target.path(file));
            let transfer = self.ask(&Request::Fetch(order))?;
            let number = transfer.download.ok_or(CliError::Lost)?;
            self.open.push(Job { number, file });
            first.push(transfer);
            if let Target::Files(places) = &mut self.target {
                places.keep();
            }
        }
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            let ordered =
                |first| GetResult::Ordered(Box::new(transfer::Transfer::new(first, &Names::default())));
            return Ok(first.into_iter().map(ordered).collect());
        }
        self.wait_for_all(first, wanted)
    }

    /// Waits for the downloads one after the other, while the daemon fetches all of them. If one of them fails, still
    /// waits for the others.
    fn wait_for_all(
        &mut self,
        first: Vec<Transfer>,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<GetResult>, CliError> {
        let (mut here, mut failed, of) = (Vec::new(), 0, wanted.len());
        for (transfer, one) in first.into_iter().zip(wanted) {
            let Some(job) = self.open.first().copied() else { return Err(CliError::Lost) };
            match self.wait(job, transfer) {
                Ok(fetched) => here.push(GetResult::Fetched(fetched)),
                Err(error @ (CliError::NotFetched(_) | CliError::Content(_) | CliError::Write(_)))
                    if of > 1 =>
                {
                    self.clear();
                    warn(&format!("{}: {error}", clean(one.name(), 120)));
                    failed += 1;
                }
                Err(error) => return Err(error),
            }
            self.open.remove(0);
        }
        if failed == 0 { Ok(here) } else { Err(CliError::SomeFailed { failed, of }) }
    }

    fn wait(&mut self, job: Job, first: Transfer) -> Result<Fetched, CliError> {
        let mut transfer = first;
        loop {
            match transfer.state {
                TransferState::Done => return Ok(self.done(job, transfer)),
                TransferState::Failed => {
                    // The daemon has already retried, so this program does not.
                    return Err(CliError::NotFetched(transfer.reason.unwrap_or_default()));
                }
                TransferState::Whole => {
                    let bytes = self.collect(job)?;
                    return Ok(self.done(job, Transfer { bytes, ..transfer }));
                }
                _ => self.show(&transfer),
            }
            self.pause()?;
            transfer = self.look(job.number)?.unwrap_or(transfer);
        }
    }

    fn done(&self, job: Job, transfer: Transfer) -> Fetched {
        Fetched {
            cid: transfer.cid,
            bytes: transfer.bytes,
            path: self.target.path(job.file).map(|path| path.display().to_string()),
            source: None,
            host: None,
            is_silent: matches!(self.target, Target::Stdout),
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

    /// Asks for the state of a download. Returns `None` if the daemon does not answer. This is not an error: the
    /// download continues when the daemon runs again.
    fn look(&mut self, job: JobNumber) -> Result<Option<Transfer>, CliError> {
        match self.ask(&Request::Show { job }) {
            Ok(transfer) => Ok(Some(transfer)),
            Err(error) if is_away(&error) => {
                self.warn_once(
                    "the daemon does not run; the download continues when it runs again".to_owned(),
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for [`LOOK_EVERY`]. Fails after the deadline, and on Ctrl-C.
    fn pause(&mut self) -> Result<(), CliError> {
        let interrupts = &mut self.interrupts;
        let is_interrupted = self.runtime.block_on(async {
            tokio::select! {
                () = interrupts.wait() => true,
                () = tokio::time::sleep(LOOK_EVERY) => false,
            }
        });
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        match &self.target {
            _ if !is_interrupted && !is_late => Ok(()),
            Target::Stdout if is_interrupted => Err(CliError::Interrupted),
            Target::Stdout => Err(CliError::Late),
            _ => Err(self.goes_on()),
        }
    }

    fn goes_on(&self) -> CliError {
        CliError::GoesOn(self.open.iter().map(|job| job.number).collect())
    }

    fn show(&mut self, transfer: &Transfer) {
        if io::stderr().is_terminal() {
            // Replaces the present line of the terminal. Automatic wrapping is switched off while the line is printed,
            // so a line that is wider than the terminal is cut.
            let line = transfer::Transfer::new(transfer.clone(), &Names::default()).show();
            let _ = write!(io::stderr(), "\r\x1b[?7l{line}\x1b[K\x1b[?7h");
            self.shown = line;
        } else if let Some(reason) = &transfer.reason {
            self.warn_once(format!("waiting: {}", clean(reason, 300)));
        } else {
            self.shown.clear();
        }
    }

    /// Prints a message, unless it is the same as the last one.
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

    /// Reads a complete file from the daemon and writes it to its destination. Then tells the daemon that it is written.
    fn collect(&mut self, job: Job) -> Result<u64, CliError> {
        let bytes = match (self.target.path(job.file).map(Path::to_owned), &self.target) {
            (Some(path), _) => self.collect_file(job.number, &path)?,
            (None, Target::Stdout) => {
                let (first, _) = self.read(job.number, 0)?;
                self.pour(job.number, first, Box::new(io::stdout()))?
            }
            _ => return Err(CliError::Lost),
        };
        self.answer(&Request::Collected { job: job.number })?;
        Ok(bytes)
    }

    fn collect_file(&mut self, job: JobNumber, path: &Path) -> Result<u64, CliError> {
        let first = self.read(job, 0)?;
        if first.1 {
            return self.collect_folder(job, path, first.0);
        }
        let file = place::temporary(path).map_err(CliError::Write)?;
        let sink = file.as_file().try_clone().map_err(CliError::Write)?;
        let bytes = self.pour(job, first.0, Box::new(sink))?;
        place::publish(file, path, self.force).map_err(CliError::Write)?;
        Ok(bytes)
    }

    /// Unpacks a folder, which the daemon sends as an archive. Returns the size of its files.
    fn collect_folder(&mut self, job: JobNumber, path: &Path, first: Vec<u8>) -> Result<u64, CliError> {
        let folder = place::temporary_folder(path).map_err(CliError::Write)?;
        let unpacker = Arc::new(Mutex::new(Unpacker::new(folder.path().to_owned())));
        self.pour(job, first, Box::new(SharedUnpacker(unpacker.clone())))?;
        let unpacker = Arc::into_inner(unpacker).and_then(|unpacker| unpacker.into_inner().ok());
        let bytes = unpacker.ok_or(CliError::Lost)?.finish().map_err(CliError::Write)?;
        place::publish_folder(folder, path).map_err(CliError::Write)?;
        Ok(bytes)
    }

    /// Reads a piece, and whether it is one of the archive of a folder.
    fn read(&mut self, job: JobNumber, offset: u64) -> Result<(Vec<u8>, bool), CliError> {
        match self.answer(&Request::Read { job, offset })? {
            Answer::Piece { data, is_archive } => Ok((data.0, is_archive)),
            _ => Err(CliError::Lost),
        }
    }

    /// Copies the file from the daemon to `sink`, piece by piece. `first` is its first piece. Returns the number of bytes
    /// that were read from the daemon. This is the size of the file, unless `sink` is a pipe that its reader closes early.
    fn pour(&mut self, job: JobNumber, first: Vec<u8>, mut sink: Sink) -> Result<u64, CliError> {
        let (mut offset, mut next) = (0, Some(first));
        loop {
            let piece = match next.take() {
                Some(piece) => piece,
                None => self.read(job, offset)?.0,
            };
            if piece.is_empty() {
                return Ok(offset);
            }
            offset += piece.len() as u64;
            match self.write(sink, piece)? {
                (back, Ok(())) => sink = back,
                // The reader has closed the pipe early, as `head` does.
                (_, Err(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(offset),
                (_, Err(error)) => return Err(CliError::Write(error)),
            }
        }
    }

    /// Writes on a separate thread, because writing to a pipe may block forever.
    fn write(&mut self, mut sink: Sink, piece: Vec<u8>) -> Result<(Sink, io::Result<()>), CliError> {
        let interrupts = &mut self.interrupts;
        let written = self.runtime.block_on(async {
            let write = tokio::task::spawn_blocking(move || {
                let written = sink.write_all(&piece).and_then(|()| sink.flush());
                (sink, written)
            });
            tokio::select! {
                () = interrupts.wait() => None,
                written = write => Some(written),
            }
        });
        match (written, &self.target) {
            (Some(written), _) => written.map_err(|error| CliError::Output(error.into())),
            (None, Target::Stdout) => Err(CliError::Interrupted),
            (None, _) => Err(self.goes_on()),
        }
    }
}

/// The writer to which the pieces of a file are written.
type Sink = Box<dyn Write + Send>;

/// An unpacker that is used by one thread after the other.
struct SharedUnpacker(Arc<Mutex<Unpacker>>);

impl Write for SharedUnpacker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
