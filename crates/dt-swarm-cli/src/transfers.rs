//! `transfers`: what comes and goes, live on a terminal.

use crate::arguments::{Arguments, TransfersCommand};
use crate::ask;
use crate::bars;
use crate::connection::Connection;
use crate::error::CliError;
use crate::local;
use crate::names::{HOSTNAMES, Names};
use crate::print;
use crate::swarm_files;
use crate::text::clean_json;
use control::{Answer, Client, LinkRate, Request, Transfer, TransferState};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(1);

/// Does what `transfers …` says.
pub(crate) fn run(arguments: &Arguments, command: Option<&TransfersCommand>) -> Result<String, CliError> {
    if let Some(TransfersCommand::Cancel { download }) = command {
        local::open(arguments)?.order(&Request::Cancel { download: download.clone() })?;
        let done = json!({ "done": true }).to_string() + "\n";
        return Ok(if arguments.json { done } else { "Cancelled.\n".to_owned() });
    }
    let mut client = local::open(arguments)?;
    if arguments.json {
        let (transfers, links) = ask_all(&mut client)?;
        return Ok(clean_json(&format!("{:#}", all_json(&transfers, &links))) + "\n");
    }
    let names = names(arguments);
    match std::io::stdout().is_terminal() {
        true => live(&mut client, names.as_ref()),
        false => plain(&mut client, names.as_ref()),
    }
}

fn ask_all(client: &mut Client) -> Result<(Vec<Transfer>, Vec<LinkRate>), CliError> {
    match client.ask(&Request::Transfers {})? {
        Answer::Transfers { transfers, links } => Ok((transfers, links)),
        other => Err(client.unexpected(&other).into()),
    }
}

/// What peers call themselves. Without names their IDs have to do.
fn names(arguments: &Arguments) -> Option<Names> {
    let (policy, key) = swarm_files::policy_and_key(arguments).ok()?;
    let mut connection = Connection::open(&arguments.host, arguments.timeout, key.as_ref()).ok()?;
    let answer = ask::records(&mut connection, &[HOSTNAMES], &policy).ok()?;
    Names::read(&answer.set, answer.now).ok()
}

/// All of it again and again in the same place, until Ctrl-C.
fn live(client: &mut Client, names: Option<&Names>) -> Result<String, CliError> {
    let mut height = 0;
    loop {
        let (transfers, links) = ask_all(client)?;
        let lines = lines(&transfers, &links, names);
        // Up to where it began, and all below it away; what is wider than the terminal is cut, so that heights are right.
        let back = if height > 0 { format!("\x1b[{height}A") } else { String::new() };
        if !print(&format!("{back}\x1b[J\x1b[?7l{}\n\x1b[?7h", lines.join("\n")))? {
            return Ok(String::new());
        }
        height = lines.len();
        std::thread::sleep(LOOK);
    }
}

fn lines(transfers: &[Transfer], links: &[LinkRate], names: Option<&Names>) -> Vec<String> {
    let busy = links.iter().filter(|link| link.up > 0).map(|link| bars::upload(link, names));
    let mut lines: Vec<String> = transfers.iter().map(|transfer| bars::line(transfer, names)).collect();
    lines.extend(busy);
    if lines.is_empty() {
        lines.push("Nothing comes or goes.".to_owned());
    }
    lines
}

/// A line for each change, once a second at most, until nothing is under way.
fn plain(client: &mut Client, names: Option<&Names>) -> Result<String, CliError> {
    let mut told = BTreeMap::new();
    loop {
        let (transfers, links) = ask_all(client)?;
        let is_first = told.is_empty();
        let now = plain_lines(&transfers, &links, names);
        let mut new = String::new();
        for (what, line) in &now {
            if told.get(what) != Some(line) {
                // Writing to a String does not fail.
                let _ = writeln!(new, "{line}");
            }
        }
        if is_first && now.is_empty() {
            return Ok("Nothing comes or goes.\n".to_owned());
        }
        let is_over = !transfers.iter().any(is_under_way) && links.iter().all(|link| link.up == 0);
        if !print(&new)? || is_over {
            return Ok(String::new());
        }
        told = now;
        std::thread::sleep(LOOK);
    }
}

fn plain_lines(
    transfers: &[Transfer],
    links: &[LinkRate],
    names: Option<&Names>,
) -> BTreeMap<String, String> {
    let transfer = |transfer: &Transfer| {
        let line = format!("{}: {}", bars::name(transfer), bars::figures(transfer, names));
        (format!("{:?} {}", transfer.download, transfer.cid), line)
    };
    let link = |link: &LinkRate| (link.peer.to_string(), bars::upload(link, names));
    transfers.iter().map(transfer).chain(links.iter().filter(|link| link.up > 0).map(link)).collect()
}

/// What waits may wait for ever.
fn is_under_way(transfer: &Transfer) -> bool {
    matches!(transfer.state, TransferState::Fetching | TransferState::Writing)
}

fn all_json(transfers: &[Transfer], links: &[LinkRate]) -> Value {
    json!({ "transfers": transfers, "links": links })
}
