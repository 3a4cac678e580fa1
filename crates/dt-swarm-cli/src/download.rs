//! `get` on the robot itself: the daemon fetches, and goes on whatever becomes of this program.

use crate::arguments::{Arguments, GetArguments};
use crate::bars;
use crate::error::CliError;
use crate::get::{self, beside};
use crate::local;
use crate::text::{clean, size};
use control::{
    Answer, Client, ClientError, Destination, MAX_PATH_BYTES, Order, Request, Transfer, TransferState,
};
use logs::SharedFile;
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_millis(500);

/// Has the daemon fetch a file, and waits for it.
pub(crate) fn run(
    arguments: &Arguments,
    client: Client,
    files: &[SharedFile],
    wanted: &GetArguments,
) -> Result<(String, Value), CliError> {
    let file = match get::find(files, &wanted.file) {
        // One that nobody shares may still be held by somebody.
        Err(CliError::NoSuchFile(_)) if is_cid(&wanted.file) => None,
        other => Some(other?),
    };
    let destination = destination(wanted, file)?;
    let order = order(wanted, file, destination.as_deref());
    let waiting = Waiting::begin(arguments, client, wanted, destination)?;
    waiting.run(&order)
}

fn is_cid(text: &str) -> bool {
    text.parse::<ipfs::Cid>().is_ok()
}

/// Where it is to be; nowhere when it is only to be pinned.
fn destination(wanted: &GetArguments, file: Option<&SharedFile>) -> Result<Option<PathBuf>, CliError> {
    if wanted.pin && wanted.place().is_none() {
        return Ok(None);
    }
    let name = file.and_then(|file| file.description.as_ref()).map(|known| known.filename.as_str());
    let path = get::destination(wanted.place(), name.unwrap_or(&wanted.file), wanted.force)?;
    std::path::absolute(path).map(Some).map_err(CliError::Write)
}

fn order(wanted: &GetArguments, file: Option<&SharedFile>, destination: Option<&Path>) -> Order {
    let known = file.and_then(|file| file.description.as_ref());
    Order {
        cid: file.map_or_else(|| wanted.file.clone(), |file| file.cid.to_string()),
        name: known.map_or_else(String::new, |known| known.filename.clone()),
        payload: known.map(|known| known.filename.clone()),
        size: known.map(|known| known.size),
        destination: destination.and_then(|path| place(path, wanted.force)),
        pin: wanted.pin,
        priority: wanted.priority,
    }
}

/// The place as the daemon is told it. One that has no JSON form is written by this program.
fn place(path: &Path, replace: bool) -> Option<Destination> {
    let folder = std::fs::metadata(beside(path)).ok()?;
    path.to_str().filter(|text| text.len() <= MAX_PATH_BYTES)?;
    let (folder, user) = ((folder.dev(), folder.ino()), rustix::process::geteuid().as_raw());
    Some(Destination { path: path.to_owned(), folder, user, replace })
}

struct Waiting<'a> {
    arguments: &'a Arguments,
    client: Option<Client>,
    runtime: Runtime,
    interrupt: Signal,
    deadline: Option<Instant>,
    destination: Option<PathBuf>,
    force: bool,
    /// What was last said of how it goes.
    told: String,
}

impl<'a> Waiting<'a> {
    fn begin(
        arguments: &'a Arguments,
        client: Client,
        wanted: &GetArguments,
        destination: Option<PathBuf>,
    ) -> Result<Self, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(CliError::Output)?;
        let interrupt = {
            let _inside = runtime.enter();
            signal(SignalKind::interrupt()).map_err(CliError::Output)?
        };
        let deadline = wanted.wait.map(|wait| Instant::now() + wait);
        let (client, told, force) = (Some(client), String::new(), wanted.force);
        Ok(Self { arguments, client, runtime, interrupt, deadline, destination, force, told })
    }

    fn run(mut self, order: &Order) -> Result<(String, Value), CliError> {
        let first = self.ask(&Request::Fetch(order.clone()))?;
        let number = first.download.ok_or(CliError::Lost)?;
        let is_only_ordered = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_only_ordered {
            return Ok((ordered(number), json!(first)));
        }
        let result = self.wait(number, first);
        self.clear();
        result
    }

    fn wait(&mut self, number: u64, first: Transfer) -> Result<(String, Value), CliError> {
        let mut transfer = first;
        loop {
            match transfer.state {
                TransferState::Done => return Ok(self.done(&transfer, transfer.bytes)),
                TransferState::Failed => {
                    return Err(CliError::Content(transfer.reason.unwrap_or_default()));
                }
                TransferState::Whole => {
                    let bytes = self.collect(number)?;
                    return Ok(self.done(&transfer, bytes));
                }
                _ => self.tell(&transfer),
            }
            self.pause(number)?;
            transfer = self.look(number)?.unwrap_or(transfer);
        }
    }

    fn done(&self, transfer: &Transfer, bytes: u64) -> (String, Value) {
        let json = json!({ "file": self.destination, "bytes": bytes, "cid": transfer.cid });
        let words = match &self.destination {
            Some(path) => format!("{}: {}\n", clean(&path.display().to_string(), 200), size(bytes)),
            None => format!("{}: {}, pinned\n", transfer.cid, size(bytes)),
        };
        (words, json)
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
            None => local::open(self.arguments)?,
        };
        let answer = client.ask(request)?;
        self.client = Some(client);
        Ok(answer)
    }

    /// How far it is; nothing while the daemon is away, since it goes on when it is back.
    fn look(&mut self, number: u64) -> Result<Option<Transfer>, CliError> {
        match self.ask(&Request::Download { number }) {
            Ok(transfer) => Ok(Some(transfer)),
            Err(error) if is_away(&error) => {
                self.say("the daemon is away; the download goes on when it is back".to_owned());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Waits a little; an error when that was long enough, or when somebody has no patience.
    fn pause(&mut self, number: u64) -> Result<(), CliError> {
        let interrupt = &mut self.interrupt;
        let is_interrupted = self.runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            }
        });
        let is_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        if is_interrupted || is_late { Err(CliError::GoesOn(number)) } else { Ok(()) }
    }

    fn tell(&mut self, transfer: &Transfer) {
        if io::stderr().is_terminal() {
            // Its end is cut rather than put on a line of its own; the cursor stays at the beginning.
            let line = bars::line(transfer, None);
            let _ = write!(io::stderr(), "\r\x1b[?7l{line}\x1b[K\x1b[?7h");
            self.told = line;
        } else if let Some(reason) = &transfer.reason {
            self.say(format!("waiting: {}", clean(reason, 300)));
        } else {
            self.told.clear();
        }
    }

    /// A line, once.
    fn say(&mut self, words: String) {
        if self.told != words {
            self.clear();
            let _ = writeln!(io::stderr(), "dt-swarm-cli: {words}");
            self.told = words;
        }
    }

    fn clear(&self) {
        if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    /// Reads it from the daemon and writes it: first beside its place, then there.
    fn collect(&mut self, number: u64) -> Result<u64, CliError> {
        let Some(path) = self.destination.clone() else { return Err(CliError::Lost) };
        let mut file = tempfile::NamedTempFile::new_in(beside(&path)).map_err(CliError::Write)?;
        let mut offset = 0;
        loop {
            let piece = match self.answer(&Request::Read { number, offset })? {
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
        self.answer(&Request::Collected { number })?;
        Ok(offset)
    }
}

/// A temporary file is its owner's alone; this one is to be like others.
fn make_usual(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

fn ordered(number: u64) -> String {
    format!("Download {number} goes on in the background; `transfers` shows it.\n")
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
