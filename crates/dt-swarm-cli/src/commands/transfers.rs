//! `transfers`: shows downloads and uploads, live on a terminal, and cancels downloads.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::names::Names;
use crate::output::transfer::{Link, Transfer};
use crate::output::{Done, Form, Live, Output, Print};
use clap::{Args, Subcommand};
use control::Client;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;
use transfers::{Answer, Request, TransferState};

/// Time between two requests for the state.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const NOTHING: &str = "There are no transfers.";

/// Shows downloads and uploads with their progress, rates and peers; live on a terminal, until Ctrl-C.
///
/// If the output is not a terminal, prints a line for each change, at most once a second, until no transfer is active.
#[derive(Debug, Args)]
pub(crate) struct Transfers {
    #[command(subcommand)]
    command: Option<TransfersCommand>,
}

#[derive(Debug, Subcommand)]
enum TransfersCommand {
    /// Cancels a download, or removes a completed one from the list.
    Cancel {
        /// The number of the download as `transfers` shows it, or its CID.
        #[arg(value_name = "NUMBER|CID")]
        download: String,
    },
}

/// The output of `transfers` and its subcommand.
pub(crate) enum TransfersOutput {
    Cancelled(Done),
    Now(Snapshot),
    Live(Live<Snapshot>),
}

/// The transfers and links of the daemon at one moment.
#[derive(Debug, Serialize)]
pub(crate) struct Snapshot {
    /// The downloads that users started, and the files that the daemon fetches by itself.
    transfers: Vec<Transfer>,
    /// The IPFS traffic between the daemon and its peers.
    links: Vec<Link>,
    /// The text for people.
    #[serde(skip)]
    text: String,
}

impl Command for Transfers {
    type Output = TransfersOutput;

    fn run(&self, context: &Context) -> Result<TransfersOutput, CliError> {
        if let Some(TransfersCommand::Cancel { download }) = &self.command {
            let request = Request::Cancel { download: download.clone() };
            context.order::<transfers::Transfers>(&request, Answer::Done {})?;
            return Ok(TransfersOutput::Cancelled(Done::new("Cancelled.")));
        }
        let (mut client, names) = (context.client()?, context.names());
        if context.form() == Form::Json {
            return Snapshot::take(&mut client, &names).map(TransfersOutput::Now);
        }
        Ok(TransfersOutput::Live(match std::io::stdout().is_terminal() {
            true => redrawn(client, names),
            false => line_by_line(client, names),
        }))
    }
}

impl Snapshot {
    fn take(client: &mut Client, names: &Names) -> Result<Self, CliError> {
        match client.call::<transfers::Transfers>(&Request::List {})? {
            Answer::Transfers { transfers, links } => Ok(Self {
                transfers: transfers.into_iter().map(|transfer| Transfer::new(transfer, names)).collect(),
                links: links.into_iter().map(|link| Link::new(link, names)).collect(),
                text: String::new(),
            }),
            other => Err(client.unexpected(&other).into()),
        }
    }

    fn busy_links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| link.sent_bytes_per_second > 0)
    }

    /// Returns whether any transfer is active. A waiting transfer does not count, because it may wait forever.
    fn is_under_way(&self) -> bool {
        let is_coming =
            |transfer: &Transfer| matches!(transfer.state, TransferState::Fetching | TransferState::Writing);
        self.transfers.iter().any(is_coming) || self.busy_links().next().is_some()
    }

    /// Returns a line for each transfer, and for each peer to which data is being sent.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.transfers.iter().map(Transfer::show).collect();
        lines.extend(self.busy_links().map(Link::show));
        if lines.is_empty() {
            lines.push(NOTHING.to_owned());
        }
        lines
    }

    /// Returns the lines without progress bars. The keys identify the transfers and peers.
    fn plain_lines(&self) -> BTreeMap<String, String> {
        let transfer = |transfer: &Transfer| {
            let line = format!("{}: {}", transfer.show_name(), transfer.show_figures());
            (format!("{:?} {}", transfer.download, transfer.file.cid), line)
        };
        let link = |link: &Link| (link.peer.peer.to_string(), link.show());
        self.transfers.iter().map(transfer).chain(self.busy_links().map(link)).collect()
    }
}

/// Draws all lines repeatedly in the same place, until Ctrl-C.
fn redrawn(mut client: Client, names: Names) -> Live<Snapshot> {
    let mut height = 0;
    let next = move || {
        if height > 0 {
            std::thread::sleep(LOOK_EVERY);
        }
        let mut snapshot = Snapshot::take(&mut client, &names)?;
        let lines = snapshot.lines();
        // Moves the cursor up to the first line and clears all lines. Lines that are wider than the terminal are cut,
        // so that each takes one row.
        let back = if height > 0 { format!("\x1b[{height}A") } else { String::new() };
        snapshot.text = format!("{back}\x1b[J\x1b[?7l{}\n\x1b[?7h", lines.join("\n"));
        height = lines.len();
        Ok(snapshot)
    };
    Live::new(std::iter::repeat_with(next))
}

/// Returns a line for each change, at most once a second, until no transfer is active.
fn line_by_line(mut client: Client, names: Names) -> Live<Snapshot> {
    let mut shown: Option<BTreeMap<String, String>> = None;
    let mut is_over = false;
    let next = move || {
        if is_over {
            return Ok(None);
        }
        if shown.is_some() {
            std::thread::sleep(LOOK_EVERY);
        }
        let mut snapshot = Snapshot::take(&mut client, &names)?;
        let lines = snapshot.plain_lines();
        let before = shown.take().unwrap_or_default();
        for (what, line) in &lines {
            if before.get(what) != Some(line) {
                // Writing to a String does not fail.
                let _ = writeln!(snapshot.text, "{line}");
            }
        }
        if before.is_empty() && lines.is_empty() {
            snapshot.text = format!("{NOTHING}\n");
        }
        is_over = !snapshot.is_under_way();
        shown = Some(lines);
        Ok(Some(snapshot))
    };
    Live::new(std::iter::from_fn({
        let mut next = next;
        move || next().transpose()
    }))
}

impl Output for Snapshot {
    fn show(&self) -> String {
        self.text.clone()
    }
}

impl Print for TransfersOutput {
    fn print(self, form: Form) -> Result<(), CliError> {
        match self {
            Self::Cancelled(done) => done.print(form),
            Self::Now(snapshot) => snapshot.print(form),
            Self::Live(live) => live.print(form),
        }
    }
}
