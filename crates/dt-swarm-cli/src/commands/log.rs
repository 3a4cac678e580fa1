//! `log`: everything that is known about a shared file.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::discarder::Discarder;
use crate::output::fields::{FileRef, PeerRef, Timestamp};
use crate::output::names::{HOSTNAMES, Names};
use crate::output::recording::Recording;
use crate::output::uploaded::UploadedCopy;
use crate::shared_files::{self, reference};
use crate::tables::table;
use crate::text::{clean, clean_lines, date, size};
use clap::Args;
use dcache::{PeerId, buckets};
use logs::{Answer, Counting, Logs, Request, SharedFile, Signers, State};
use serde::Serialize;
use std::fmt::Write as _;

/// Maximum number of characters of a path that are shown.
const MAX_PATH_SHOWN: usize = 300;
/// Maximum number of characters of a topic, of a message type and of a line of text.
const MAX_TEXT_SHOWN: usize = 100;
/// Maximum number of robots that a line names.
const MAX_PEERS_SHOWN: usize = 10;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost log example.bag
  dt-swarm-cli localhost log run/example.bag --json";

/// Shows everything that is known about a shared file: what it contains, who shares it, which robots keep it, and what it
/// waits for.
///
/// The robots state what a recording contains when they share it. A robot that keeps a file has checked this. The topics
/// are in the file, so they are shown only if the daemon on this computer has it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Log {
    /// The file: its name, the end of its path, or its CID as `report` shows it
    #[arg(value_name = "FILE|CID")]
    file: String,
}

/// A shared file.
#[derive(Debug, Serialize)]
pub(crate) struct LogFile {
    #[serde(flatten)]
    file: FileRef,
    /// The path of the file below the shared folder; `null` if it is directly in the folder, or not known.
    path: Option<String>,
    /// When the file was last changed; `null` if it is not known.
    modified_time: Option<Timestamp>,
    /// The peer that shared the file; `null` if it is not known.
    uploader: Option<PeerRef>,
    /// Whether the uploader itself signed the name, size and time; `null` if no peer signed them.
    is_signed_by_uploader: Option<bool>,
    /// The state: `shared`, `verified`, `kept` (some robots keep it, but too few), `safe`, `uploaded` or `discarded`.
    state: &'static str,
    /// The places where the file was uploaded to.
    uploads: Vec<UploadedCopy>,
    /// The number of copies that the swarm should have.
    wanted_copies: usize,
    /// The thing that the file waits for; `null` if there are enough copies.
    waits_for: Option<&'static str>,
    /// The peers that share the file.
    sharers: Vec<PeerRef>,
    /// The peers that checked the file.
    verifiers: Vec<PeerRef>,
    /// The peers that keep a copy.
    holders: Vec<PeerRef>,
    /// The peers that discarded it, with their reasons.
    discarders: Vec<Discarder>,
    /// The content of the recording in short; `null` if nothing is known.
    recording: Option<Recording>,
    /// The topics of the recording; `null` if the daemon does not have the file or runs on another computer.
    topics: Option<Vec<Topic>>,
    /// The first lines of a text; `null` as for `topics`.
    first_lines: Option<Vec<String>>,
}

/// A topic of a recording.
#[derive(Debug, Serialize)]
struct Topic {
    /// The name of the topic.
    name: String,
    /// The type of its messages; empty if the recording does not tell it.
    message_type: String,
    /// The number of its messages.
    messages: u64,
}

impl Command for Log {
    type Output = LogFile;

    fn run(&self, context: &Context) -> Result<LogFile, CliError> {
        let patterns = [HOSTNAMES, buckets::KEEPS.pattern(), buckets::UPLOADS.pattern()];
        let reading = context.read_shared(&patterns)?;
        let (set, now, peer) = (&reading.answer.set, reading.answer.now, reading.answer.pong.peer);
        let wanted_copies = shared_files::wanted_copies(set, peer, now);
        let files = shared_files::list(set, &reading.catalogs, now);
        let file = shared_files::find(&files, &self.file)?;
        let counting = Counting::new(set, &reading.catalogs, None, now);
        let uploads = UploadedCopy::read(&counting, &file.cid, &reading.names);
        let discarders = Discarder::of(file, set, now, &reading.names);
        let mut document = LogFile::new(file, (uploads, discarders), wanted_copies, &reading.names);
        document.add_content(context);
        Ok(document)
    }
}

impl LogFile {
    fn new(
        file: &SharedFile,
        (uploads, discarders): (Vec<UploadedCopy>, Vec<Discarder>),
        wanted_copies: usize,
        names: &Names,
    ) -> Self {
        let known = file.description.as_ref();
        let peers = |signers: &Signers| signers.keys().map(|peer: &PeerId| names.of(*peer)).collect();
        Self {
            file: reference(file),
            path: known.and_then(|known| Some(known.path.as_ref()?.to_string())),
            modified_time: known.map(|known| Timestamp(known.changed)),
            uploader: known.map(|known| names.of(known.uploader)),
            is_signed_by_uploader: known.map(|_| file.is_described_by_uploader),
            state: shared_files::state(file, wanted_copies, !uploads.is_empty()),
            uploads,
            wanted_copies,
            waits_for: waits_for(file, wanted_copies),
            sharers: peers(&file.proposers),
            verifiers: peers(&file.verifiers),
            holders: peers(&file.holders),
            discarders,
            recording: known.and_then(|known| Some(Recording::from(known.recording.as_ref()?))),
            topics: None,
            first_lines: None,
        }
    }

    /// Asks the daemon on this computer what the file contains.
    fn add_content(&mut self, context: &Context) {
        let request = Request::Recording { cid: self.file.cid.clone() };
        let Some(Ok(Answer::Recording { whole: Some(whole) })) =
            context.client().ok().map(|mut client| client.call::<Logs>(&request))
        else {
            return;
        };
        let topic = |topic: recordings::Topic| Topic {
            name: topic.name,
            message_type: topic.message_type,
            messages: topic.messages,
        };
        self.topics = Some(whole.content.topics.into_iter().map(topic).collect());
        self.first_lines = Some(whole.content.head);
    }
}

/// Returns what a file waits for on its way.
fn waits_for(file: &SharedFile, wanted_copies: usize) -> Option<&'static str> {
    let holders = file.holders.len();
    match file.state {
        State::Discarded => None,
        State::Shared if file.proposers.is_empty() => Some("a robot that has it"),
        State::Shared => Some("another robot that fetches and checks it"),
        State::Verified => Some("a robot that keeps a copy"),
        State::Safe if holders < wanted_copies => {
            Some("more robots that are present, have space and keep files of others")
        }
        State::Safe => None,
    }
}

fn list(peers: &[PeerRef]) -> String {
    let mut shown: Vec<String> = peers.iter().take(MAX_PEERS_SHOWN).map(PeerRef::show).collect();
    if peers.len() > MAX_PEERS_SHOWN {
        shown.push(format!("and {} more", peers.len() - MAX_PEERS_SHOWN));
    }
    if shown.is_empty() { "nobody".to_owned() } else { shown.join(", ") }
}

impl Output for LogFile {
    fn show(&self) -> String {
        let unknown = || "?".to_owned();
        let name = self.path.as_ref().or(self.file.name.as_ref());
        let mut shown = name.map_or_else(unknown, |name| clean(name, MAX_PATH_SHOWN)) + "\n";
        // Writing to a String does not fail.
        let mut line = |label: &str, text: &str| {
            let _ = writeln!(shown, "  {label:<10} {text}");
        };
        line("CID", &self.file.cid);
        line("size", &self.file.bytes.map_or_else(unknown, size));
        line("changed", &self.modified_time.map_or_else(unknown, |time| date(time.0)));
        let doubt =
            if self.is_signed_by_uploader == Some(false) { ", which did not sign this itself" } else { "" };
        line("uploader", &(self.uploader.as_ref().map_or_else(unknown, PeerRef::show) + doubt));
        if let Some(recording) = &self.recording {
            line("content", &recording.show());
            recording.times().iter().for_each(|times| line("recorded", times));
            recording.remarks().iter().for_each(|remark| line("", remark));
        }
        let copies = format!("{} of {} wanted copies", self.holders.len(), self.wanted_copies);
        let state = match self.waits_for {
            Some(waits) => format!("{}, {copies}; waits for {waits}", self.state),
            None => format!("{}, {copies}", self.state),
        };
        line("state", &state);
        self.uploads.iter().for_each(|copy| line("uploaded", &copy.show()));
        line("kept by", &list(&self.holders));
        // A robot that keeps the file has checked it.
        if !self.verifiers.is_empty() || self.holders.is_empty() {
            line("checked by", &list(&self.verifiers));
        }
        if !self.discarders.is_empty() {
            self.discarders
                .iter()
                .take(MAX_PEERS_SHOWN)
                .for_each(|peer| line("discarded", &format!("by {}", peer.show())));
        }
        for text in self.first_lines.iter().flatten() {
            line("text", &clean_lines(text, MAX_TEXT_SHOWN));
        }
        match &self.topics {
            Some(topics) if !topics.is_empty() => {
                let mut rows = table(&["topic", "type", "messages"]);
                for topic in topics {
                    let [name, kind] =
                        [&topic.name, &topic.message_type].map(|text| clean(text, MAX_TEXT_SHOWN));
                    rows.add_row([name, kind, topic.messages.to_string()]);
                }
                shown + "\n" + &rows.trim_fmt() + "\n"
            }
            None if self.recording.as_ref().is_some_and(Recording::has_topics) => {
                shown + "\nThe topics are in the file; ask a robot that keeps it, or `pin` it here first.\n"
            }
            _ => shown,
        }
    }
}
