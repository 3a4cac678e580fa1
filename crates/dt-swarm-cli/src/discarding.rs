//! Discards files and undoes a discard, for the commands `discard`, `undiscard` and `revoke --discard-files`.

use crate::context::Context;
use crate::error::CliError;
use crate::output::fields::FileRef;
use crate::output::names::HOSTNAMES;
use crate::shared_files;
use crate::signing::{self, SigningOptions, Unsigned};
use crate::text::clean;
use crate::validity::{DefaultLength, ValidityOptions};
use control::{ClientError, FailureKind};
use dcache::{Kind, PeerId, Time, buckets};
use ipfs::Cid;
use logs::buckets::Station;
use logs::{Answer, Logs, MAX_DISCARDS, Request};
use serde::Serialize;

/// Maximum number of files per request that a key file signs. Each file needs [`STATEMENTS`] statements.
const SIGNED_TOGETHER: usize = swarm::protocol::MAX_STATEMENTS / STATEMENTS;
/// Maximum number of statements that a key file signs about each file.
const STATEMENTS: usize = 5;
/// Validity, in seconds, of a statement whose only effect is to replace an earlier one.
const MOMENT: u64 = 1;

/// The change that is made to files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The files are discarded, for this reason.
    Discard {
        reason: Option<String>,
    },
    Undiscard,
}

/// A file that was discarded, or whose discard was undone.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ChangedFile {
    #[serde(flatten)]
    pub(crate) file: FileRef,
    /// The path of the file in the shared folder of this robot, where it is not deleted. `null` when it is not in that
    /// folder, or when a key file signed.
    pub(crate) path: Option<String>,
}

/// Finds the file that has this name or CID. A CID that is in no record is also accepted.
pub(crate) fn find(context: &Context, name: &str) -> Result<FileRef, CliError> {
    let reading = context.read_shared(&[HOSTNAMES])?;
    let files = shared_files::list(&reading.answer.set, &reading.catalogs, reading.answer.now);
    match shared_files::find(&files, name) {
        Err(CliError::NoSuchFile(_)) if logs::buckets::parse(name).is_some() => {
            Ok(FileRef { cid: name.to_owned(), name: None, bytes: None })
        }
        found => found.map(shared_files::reference),
    }
}

/// Finds the discarded file that has this name or CID. Without one, finds a file as [`find`] does.
///
/// With a key file, the file has to be discarded in the swarm. Without one, the daemon also undoes its own decisions
/// not to keep a file.
///
/// # Errors
/// [`CliError::NotDiscardedNow`] when a key file signs and the file is not discarded.
pub(crate) fn find_discarded(context: &Context, name: &str, has_key: bool) -> Result<FileRef, CliError> {
    let reading = context.read_shared(&[HOSTNAMES])?;
    let files = shared_files::list(&reading.answer.set, &reading.catalogs, reading.answer.now);
    let (file, is_discarded) = match shared_files::find_discarded(&files, name) {
        Err(CliError::NoSuchFile(_)) if logs::buckets::parse(name).is_some() => {
            (FileRef { cid: name.to_owned(), name: None, bytes: None }, false)
        }
        found => found.map(|file| (shared_files::reference(file), !file.discarders.is_empty()))?,
    };
    if has_key && !is_discarded { Err(CliError::NotDiscardedNow(label(&file))) } else { Ok(file) }
}

/// Finds the files that this peer shared, without the discarded ones.
pub(crate) fn of_peer(context: &Context, peer: PeerId) -> Result<Vec<FileRef>, CliError> {
    let reading = context.read_shared(&[HOSTNAMES])?;
    let files = shared_files::list(&reading.answer.set, &reading.catalogs, reading.answer.now);
    Ok(shared_files::of(&files, peer).map(shared_files::reference).collect())
}

/// Discards the files or undoes their discard. The robot signs, and renews its statements, unless the options name a key
/// file.
pub(crate) fn change(
    context: &Context,
    change: &Change,
    files: Vec<FileRef>,
    options: &SigningOptions,
) -> Result<Vec<ChangedFile>, CliError> {
    match options.has_key() {
        true => by_key(context, change, files, options),
        false => by_robot(context, change, files),
    }
}

fn by_robot(context: &Context, change: &Change, files: Vec<FileRef>) -> Result<Vec<ChangedFile>, CliError> {
    let mut client = context.client()?;
    let mut changed = Vec::new();
    for files in files.chunks(MAX_DISCARDS) {
        let cids = files.iter().map(|file| file.cid.clone()).collect();
        let request = match change {
            Change::Discard { reason } => Request::Discard { cids, reason: reason.clone() },
            Change::Undiscard => Request::Undiscard { cids },
        };
        let answered = match client.call::<Logs>(&request).map_err(not_changed)? {
            Answer::Discarded { files: answered } if answered.len() == files.len() => answered,
            other => return Err(client.unexpected(&other).into()),
        };
        let rows = files.iter().zip(answered);
        changed.extend(rows.map(|(file, row)| ChangedFile { file: file.clone(), path: row.path }));
    }
    Ok(changed)
}

fn not_changed(error: ClientError) -> CliError {
    match error {
        ClientError::Failure(failure) if failure.kind == FailureKind::NotAllowed => {
            CliError::NotDiscarded(failure)
        }
        other => other.into(),
    }
}

fn by_key(
    context: &Context,
    change: &Change,
    files: Vec<FileRef>,
    options: &SigningOptions,
) -> Result<Vec<ChangedFile>, CliError> {
    let has_roles = !context.policy_and_key()?.0.roots().is_empty();
    let validity = ValidityOptions::default();
    for files in files.chunks(SIGNED_TOGETHER) {
        let cids = files.iter().filter_map(|file| logs::buckets::parse(&file.cid));
        let statements = cids.flat_map(|cid| statements(change, &cid, has_roles, &validity));
        signing::sign(context, statements.collect(), options)?;
    }
    Ok(files.into_iter().map(|file| ChangedFile { file, path: None }).collect())
}

/// Returns the statements that a key file signs about a file. No daemon renews them. In a swarm with roles, the
/// statements of a discard are valid forever. In the open swarm, the proposal is valid for the lifetime of
/// `share/discard`, and each dismissal is valid for as long as the item is proposed.
fn statements<'a>(
    change: &Change,
    cid: &Cid,
    has_roles: bool,
    validity: &'a ValidityOptions,
) -> Vec<Unsigned<'a>> {
    let week = DefaultLength::Seconds(buckets::SHARE_DISCARD.lifetime());
    let proposed = DefaultLength::Until(Time::default());
    let moment = DefaultLength::Seconds(MOMENT);
    let lasting = |other| if has_roles { DefaultLength::Forever } else { other };
    let (propose, dismiss) = (Kind::Propose, Kind::Dismiss);
    let all = match change {
        Change::Discard { .. } => [
            (propose, Station::Discard, lasting(week)),
            (dismiss, Station::Files, lasting(proposed)),
            (dismiss, Station::Verified, lasting(proposed)),
            (dismiss, Station::Safe, lasting(proposed)),
        ],
        Change::Undiscard => [
            (dismiss, Station::Discard, proposed),
            (propose, Station::Verified, week),
            (dismiss, Station::Files, moment),
            (dismiss, Station::Safe, moment),
        ],
    };
    let unsigned = |(kind, item, default_length)| Unsigned { kind, item, validity, default_length };
    let reason = match change {
        Change::Discard { reason } => reason.as_deref().and_then(|reason| logs::reason_item(cid, reason)),
        Change::Undiscard => None,
    };
    let reason = reason.map(|item| (propose, item, lasting(week)));
    let of_file = all.into_iter().map(|(kind, station, length)| (kind, station.item(cid), length));
    of_file.chain(reason).map(unsigned).collect()
}

impl ChangedFile {
    /// Returns the name of the file, if known, and its CID.
    pub(crate) fn label(&self) -> String {
        label(&self.file)
    }
}

/// Returns the name of a file, if known, and its CID.
pub(crate) fn label(file: &FileRef) -> String {
    match &file.name {
        Some(name) => format!("{} ({})", clean(name, 120), clean(&file.cid, 120)),
        None => clean(&file.cid, 120),
    }
}
