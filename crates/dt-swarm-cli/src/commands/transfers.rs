//! `transfers`: what comes and goes, live on a terminal.

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

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const NOTHING: &str = "Nothing comes or goes.";

/// Show what comes and goes: how far, how fast, from whom and to whom; live on a terminal, until Ctrl-C.
///
/// Into a pipe goes a line for each change, once a second at most, until nothing is under way.
#[derive(Debug, Args)]
pub(crate) struct Transfers {
    #[command(subcommand)]
    command: Option<TransfersCommand>,
}

#[derive(Debug, Subcommand)]
enum TransfersCommand {
    /// Do not fetch this any more, or forget that it was fetched.
    Cancel {
        /// The number of a download as `transfers` shows it, or a CID.
        #[arg(value_name = "NUMBER|CID")]
        download: String,
    },
}

/// What `transfers` and its subcommand give.
pub(crate) enum TransfersOutput {
    Cancelled(Done),
    Now(Snapshot),
    Live(Live<Snapshot>),
}

/// What comes and goes at a moment.
#[derive(Debug, Serialize)]
pub(crate) struct Snapshot {
    /// What was ordered, and what the daemon fetches by itself.
    transfers: Vec<Transfer>,
    /// What passes between the daemon and its peers.
    links: Vec<Link>,
    /// What is shown to people.
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

    /// Returns whether anything goes on by itself. What waits may wait for ever.
    fn is_under_way(&self) -> bool {
        let is_coming =
            |transfer: &Transfer| matches!(transfer.state, TransferState::Fetching | TransferState::Writing);
        self.transfers.iter().any(is_coming) || self.busy_links().next().is_some()
    }

    /// Returns a line for each transfer and each peer to which something goes.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.transfers.iter().map(Transfer::show).collect();
        lines.extend(self.busy_links().map(Link::show));
        if lines.is_empty() {
            lines.push(NOTHING.to_owned());
        }
        lines
    }

    /// Returns the same lines without bars, by what they are about.
    fn plain_lines(&self) -> BTreeMap<String, String> {
        let transfer = |transfer: &Transfer| {
            let line = format!("{}: {}", transfer.show_name(), transfer.show_figures());
            (format!("{:?} {}", transfer.download, transfer.file.cid), line)
        };
        let link = |link: &Link| (link.peer.peer.to_string(), link.show());
        self.transfers.iter().map(transfer).chain(self.busy_links().map(link)).collect()
    }
}

/// Draws all lines again and again in the same place, until Ctrl-C.
fn redrawn(mut client: Client, names: Names) -> Live<Snapshot> {
    let mut height = 0;
    let next = move || {
        if height > 0 {
            std::thread::sleep(LOOK_EVERY);
        }
        let mut snapshot = Snapshot::take(&mut client, &names)?;
        let lines = snapshot.lines();
        // Goes up to where it began and clears all below. What is wider than the terminal is cut, so that heights are right.
        let back = if height > 0 { format!("\x1b[{height}A") } else { String::new() };
        snapshot.text = format!("{back}\x1b[J\x1b[?7l{}\n\x1b[?7h", lines.join("\n"));
        height = lines.len();
        Ok(snapshot)
    };
    Live::new(std::iter::repeat_with(next))
}

/// Gives a line for each change, once a second at most, until nothing is under way.
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
