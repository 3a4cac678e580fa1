//! `collectors`: shows, adds and removes the collectors, which store the histories of the swarm's robots.

use super::Command;
use super::fleet::daemon_of;
use crate::context::Context;
use crate::error::CliError;
use crate::output::fields::{Daemon, PeerRef};
use crate::output::{Form, Output, Print};
use crate::roles::not_an_id;
use crate::signing::{self, Signed, SigningOptions, Unsigned};
use crate::tables::table;
use crate::text::{clean, count, size};
use crate::validity::{DefaultLength, ValidityOptions};
use clap::{Args, Subcommand};
use dcache::buckets::COLLECTORS;
use dcache::{Data, Item, Kind, PeerId};
use diagnostics::Diagnostics;
use diagnostics::protocol::{self, Answer, Request};
use serde::Serialize;
use std::fmt::Write as _;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost collectors show
  dt-swarm-cli localhost collectors add 12D3KooW… --key root      signs with the key file of a root
  dt-swarm-cli localhost collectors remove 12D3KooW…              signs with the key of this robot, which has to be admin
  dt-swarm-cli duckie7 metrics temperature --collected --since 30d    on a collector: what it has stored of a robot";

/// Maximum number of characters of the name of an export.
const MAX_NAME_SHOWN: usize = 60;

/// Shows or changes the collectors of the swarm, which store the histories of all robots.
///
/// Robots seal their histories for the collectors. Other nodes carry them, and cannot read them.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Collectors {
    #[command(subcommand)]
    command: CollectorsCommand,
}

#[derive(Debug, Subcommand)]
enum CollectorsCommand {
    /// Shows the collectors, and what this node gives to them, carries to them, and has stored.
    Show,
    /// Names a collector. An admin or a root has to sign.
    Add(CollectorArguments),
    /// Makes a peer no collector any more. Robots seal their histories again for the others.
    Remove(CollectorArguments),
}

/// The peer that becomes or ceases to be a collector.
#[derive(Debug, Args)]
struct CollectorArguments {
    /// The peer ID of the collector, as `ping` there shows it.
    #[arg(value_name = "PEER_ID")]
    peer: String,
    #[command(flatten)]
    validity: ValidityOptions,
    #[command(flatten)]
    signing: SigningOptions,
}

/// The output of the subcommands.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum CollectorsOutput {
    Shown(Box<Shown>),
    Signed(Box<Signed>),
}

/// The collectors of the swarm, and the batches of this node.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    /// The daemon that answered.
    daemon: Daemon,
    /// The collectors that admins name.
    collectors: Vec<CollectorEntry>,
    /// The history of this robot.
    own: protocol::OwnBatches,
    /// The sealed histories of other robots that this node carries.
    carried: protocol::CarriedBatches,
    /// The rows of other robots that this node has stored; `null` if there are none.
    collected: Option<protocol::CollectedTotals>,
}

/// A collector of the swarm.
#[derive(Debug, Serialize)]
struct CollectorEntry {
    #[serde(flatten)]
    peer: PeerRef,
    /// Whether the collector states a key. Without one, nothing is sealed for it.
    has_key: bool,
}

impl Command for Collectors {
    type Output = CollectorsOutput;

    fn run(&self, context: &Context) -> Result<CollectorsOutput, CliError> {
        match &self.command {
            CollectorsCommand::Show => show(context).map(Box::new).map(CollectorsOutput::Shown),
            CollectorsCommand::Add(arguments) => arguments.sign(context, Kind::Propose),
            CollectorsCommand::Remove(arguments) => arguments.sign(context, Kind::Dismiss),
        }
    }
}

impl CollectorArguments {
    fn sign(&self, context: &Context, kind: Kind) -> Result<CollectorsOutput, CliError> {
        context.require_here()?;
        let peer = self.peer.parse::<PeerId>().map_err(|_| not_an_id(context, &self.peer))?;
        let item = Item { bucket: COLLECTORS.path(), data: Data::from(peer) };
        let default_length = DefaultLength::Forever;
        let statement = Unsigned { kind, item, validity: &self.validity, default_length };
        let signed = signing::sign(context, vec![statement], &self.signing)?;
        Ok(CollectorsOutput::Signed(Box::new(signed)))
    }
}

fn show(context: &Context) -> Result<Shown, CliError> {
    context.require_here()?;
    let mut found = context.find()?;
    let answer = found.client.call::<Diagnostics>(&Request::Collectors {})?;
    let Answer::Collectors(protocol::Collectors { collectors, own, carried, collected }) = answer else {
        return Err(found.client.unexpected(&answer).into());
    };
    let names = context.names();
    let entry =
        |row: protocol::CollectorRow| CollectorEntry { peer: names.of(row.peer), has_key: row.has_key };
    let collectors = collectors.into_iter().map(entry).collect();
    Ok(Shown { daemon: daemon_of(&found), collectors, own, carried, collected })
}

impl Print for CollectorsOutput {
    fn print(self, form: Form) -> Result<(), CliError> {
        match self {
            Self::Shown(shown) => shown.print(form),
            Self::Signed(signed) => signed.print(form),
        }
    }
}

impl Output for Shown {
    fn show(&self) -> String {
        let mut text = self.show_collectors();
        // Writing to a String does not fail.
        let _ = writeln!(text, "\n{}", self.show_own());
        let protocol::CarriedBatches { limit, robots, batches, bytes } = self.carried;
        if batches > 0 {
            let (robots, parts) = (counted(robots, "robot"), counted(batches, "sealed part"));
            let _ =
                writeln!(text, "Carried: {parts} of {robots}, {} of at most {}.", size(bytes), size(limit));
        }
        if let Some(protocol::CollectedTotals { robots, rows, unplaced, waiting }) = &self.collected {
            let (robots, rows) = (counted(*robots, "robot"), counted(*rows, "row"));
            let _ =
                writeln!(text, "Stored here: {rows} of {robots}; the time of {unplaced} is not known yet.");
            for (name, waiting) in waiting {
                let _ = writeln!(
                    text,
                    "Export {}: {} not sent yet.",
                    clean(name, MAX_NAME_SHOWN),
                    counted(*waiting, "row")
                );
            }
        }
        text
    }
}

impl Shown {
    fn show_collectors(&self) -> String {
        if self.collectors.is_empty() {
            return "This swarm has no collectors. An admin names one with `collectors add`.\n".to_owned();
        }
        let mut rows = table(&["Collector", "State"]);
        for collector in &self.collectors {
            let state = if collector.has_key { "states its key" } else { "states no key yet" };
            rows.add_row([collector.peer.show(), state.to_owned()]);
        }
        format!("{rows}\n")
    }

    fn show_own(&self) -> String {
        let protocol::OwnBatches { is_allowed, stored, batches, rows, bytes, lost } = self.own;
        if !is_allowed {
            return "The history of this robot is given to nobody: see the section [diagnostics] of its configuration."
                .to_owned();
        }
        let waiting = match batches {
            0 => "no sealed part waits for a collector".to_owned(),
            _ => format!(
                "{} with {} ({}) wait for a collector",
                counted(batches, "sealed part"),
                counted(rows, "row"),
                size(bytes)
            ),
        };
        let stored = if stored == 0 { "nothing".to_owned() } else { format!("the rows up to {stored}") };
        let lost = if lost == 0 { String::new() } else { format!(" Lost: {}.", counted(lost, "row")) };
        format!("The history of this robot: {waiting}. Collectors have {stored}.{lost}")
    }
}

fn counted(number: u64, what: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robots::fixture::peer;

    #[test]
    fn the_collectors_and_all_parts_are_shown_in_sentences() {
        let mut shown = Shown {
            daemon: Daemon {
                peer: PeerRef::unnamed(peer(1)),
                version: None,
                uptime_seconds: None,
                clock_ahead_seconds: None,
                records: None,
            },
            collectors: Vec::new(),
            own: protocol::OwnBatches { is_allowed: true, ..Default::default() },
            carried: protocol::CarriedBatches::default(),
            collected: None,
        };
        let text = shown.show();
        assert!(text.contains("no collectors") && text.contains("Collectors have nothing."), "{text}");
        shown.collectors.push(CollectorEntry { peer: PeerRef::unnamed(peer(2)), has_key: false });
        shown.own =
            protocol::OwnBatches { stored: 7, batches: 2, rows: 9, bytes: 4000, lost: 1, ..shown.own };
        shown.carried = protocol::CarriedBatches { limit: 1 << 20, robots: 1, batches: 3, bytes: 5000 };
        shown.collected = Some(protocol::CollectedTotals {
            robots: 2,
            rows: 8,
            unplaced: 0,
            waiting: [("main".to_owned(), 3)].into(),
        });
        let text = shown.show();
        for part in [
            "states no key yet",
            "2 sealed parts with 9 rows",
            "rows up to 7",
            "Lost: 1 row.",
            "3 sealed parts of 1 robot",
            "8 rows of 2 robots",
            "Export main: 3 rows",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
