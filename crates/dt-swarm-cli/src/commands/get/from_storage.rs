//! Fetches files from the storage to which the daemon on this computer uploads. The daemon reads them, since it has the
//! credentials. The SHA-256 of each file is compared with the metadata of its object. The object of a folder is a tar
//! archive, which is unpacked.

use super::{Fetched, Get, GetResult, Target, place};
use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::interrupts::Interrupts;
use control::Client;
use ipfs::Cid;
use logs::{Counting, SharedFile, receipts};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use tokio::runtime::Runtime;
use transfers::Unpacker;
use uploads::{Answer, Request, StoredObject, Uploads};

/// Fetches the files, one after the other.
pub(super) fn get(
    get: &Get,
    context: &Context,
    reading: &Reading,
    files: &[SharedFile],
) -> Result<Vec<GetResult>, CliError> {
    let wanted = get.files.iter().map(|text| Wanted::find(get, text, files));
    let wanted: Vec<Wanted<'_>> = wanted.collect::<Result<_, _>>()?;
    let names: Vec<&str> = wanted.iter().map(|one| one.name.as_str()).collect();
    let mut reader = Reader::new(context)?;
    let objects: Vec<StoredObject> =
        wanted.iter().map(|one| reader.look(one, reading)).collect::<Result<_, _>>()?;
    let target = get.target(&names)?;
    let mut results = Vec::new();
    for (number, (one, object)) in wanted.iter().zip(&objects).enumerate() {
        let path = target.path(number);
        match path {
            Some(path) if object.is_archive => {
                let folder = place::temporary_folder(path).map_err(CliError::Write)?;
                let mut unpacker = Unpacker::new(folder.path().to_owned());
                reader.copy(one, object, &mut unpacker)?;
                unpacker.finish().map_err(CliError::Write)?;
                place::publish_folder(folder, path).map_err(CliError::Write)?;
            }
            Some(path) => {
                let file = place::temporary(path).map_err(CliError::Write)?;
                let mut sink = file.as_file().try_clone().map_err(CliError::Write)?;
                reader.copy(one, object, &mut sink)?;
                place::publish(file, path, get.force).map_err(CliError::Write)?;
            }
            None => reader.copy(one, object, &mut io::stdout())?,
        }
        results.push(GetResult::Fetched(Fetched {
            cid: one.cid.to_string(),
            bytes: object.bytes,
            path: path.map(|path| path.display().to_string()),
            source: None,
            host: None,
            is_silent: matches!(target, Target::Stdout),
        }));
    }
    Ok(results)
}

/// A file that is to be fetched.
struct Wanted<'a> {
    /// The name or CID from the command line.
    text: &'a str,
    cid: Cid,
    name: String,
}

impl<'a> Wanted<'a> {
    /// Finds a shared file. A CID that no peer shares may be in the storage nevertheless.
    fn find(get: &Get, text: &'a str, files: &[SharedFile]) -> Result<Self, CliError> {
        match (get.find(text, files), text.parse()) {
            (Ok(file), _) => {
                let known = file.description.as_ref().map(|known| known.filename.clone());
                Ok(Self { text, cid: file.cid, name: known.unwrap_or_else(|| text.to_owned()) })
            }
            (Err(_), Ok(cid)) => Ok(Self { text, cid, name: text.to_owned() }),
            (Err(error), Err(_)) => Err(error),
        }
    }
}

struct Reader {
    client: Client,
    runtime: Runtime,
    interrupts: Interrupts,
}

impl Reader {
    fn new(context: &Context) -> Result<Self, CliError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(CliError::Output)?;
        let interrupts = {
            let _inside = runtime.enter();
            Interrupts::new().map_err(CliError::Output)?
        };
        Ok(Self { client: context.client()?, runtime, interrupts })
    }

    fn look(&mut self, wanted: &Wanted<'_>, reading: &Reading) -> Result<StoredObject, CliError> {
        let request = Request::Look { cid: wanted.cid.to_string() };
        let (object, destination) = match self.client.call::<Uploads>(&request)? {
            Answer::Stored { object, destination } => (object, destination),
            other => return Err(self.client.unexpected(&other).into()),
        };
        let counting = Counting::new(&reading.answer.set, &reading.catalogs, None, reading.answer.now);
        let places = receipts(&counting, &wanted.cid).into_iter().map(|(receipt, _)| receipt.place).collect();
        let name = wanted.text.to_owned();
        object.ok_or(CliError::NotUploaded { name, destination, places })
    }

    /// Copies a file to `sink`, piece by piece.
    fn copy(
        &mut self,
        wanted: &Wanted<'_>,
        object: &StoredObject,
        sink: &mut impl Write,
    ) -> Result<(), CliError> {
        let (mut hash, mut offset, cid) = (Sha256::new(), 0, wanted.cid.to_string());
        while offset < object.bytes {
            if self.is_interrupted() {
                return Err(CliError::Interrupted);
            }
            let request =
                Request::Read { cid: cid.clone(), offset, size: object.bytes, is_archive: object.is_archive };
            let piece = match self.client.call::<Uploads>(&request)? {
                Answer::Piece { data } => data.0,
                other => return Err(self.client.unexpected(&other).into()),
            };
            if piece.is_empty() {
                return Err(CliError::Lost);
            }
            offset = offset.saturating_add(piece.len() as u64);
            hash.update(&piece);
            match sink.write_all(&piece) {
                // The reader closed the pipe early, as `head` does.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                written => written.map_err(CliError::Write)?,
            }
        }
        sink.flush().map_err(CliError::Write)?;
        match object.sha256.as_deref() == Some(hex(&hash.finalize()).as_str()) {
            true => Ok(()),
            false => Err(CliError::Damaged(wanted.text.to_owned())),
        }
    }

    fn is_interrupted(&mut self) -> bool {
        let interrupts = &mut self.interrupts;
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = interrupts.wait() => true,
                () = tokio::task::yield_now() => false,
            }
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
