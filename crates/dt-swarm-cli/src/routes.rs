//! `route`: how addresses are rewritten, who was heard where, and where a line would go.

use crate::arguments::{Arguments, RouteCommand};
use crate::error::CliError;
use crate::local;
use crate::tables::table;
use crate::text::{clean, clean_lines, duration};
use control::{Answer, Learned, Request};
use routing::{Address, Rule};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The most characters of an address, and of a line of an explanation, that are shown.
const MAX_SHOWN: usize = 1200;

/// Does what `route …` says.
pub(crate) fn run(arguments: &Arguments, command: &RouteCommand) -> Result<(String, Value), CliError> {
    match command {
        RouteCommand::List => list(arguments),
        RouteCommand::Add { rule } => order(arguments, "Added", &Request::AddRoute { rule: rule.clone() }),
        RouteCommand::Del { rule } => {
            order(arguments, "Taken away", &Request::RemoveRoute { rule: rule.clone() })
        }
        RouteCommand::Explain { address } => explain(arguments, address),
    }
}

fn order(arguments: &Arguments, done: &str, request: &Request) -> Result<(String, Value), CliError> {
    local::open(arguments)?.order(request)?;
    Ok((format!("{done}.\n"), json!({ "done": true })))
}

fn list(arguments: &Arguments) -> Result<(String, Value), CliError> {
    let mut client = local::open(arguments)?;
    match client.ask(&Request::Routes {})? {
        Answer::Routes { rules, learned, paths, forwards } => {
            let json = json!({ "rules": rules, "learned": learned, "paths": paths, "forwards": forwards });
            Ok((show(&rules, &learned, &paths, forwards), json))
        }
        other => Err(client.unexpected(&other).into()),
    }
}

fn show(rules: &[Rule], learned: &[Learned], paths: &[Address], forwards: bool) -> String {
    let mut shown = String::new();
    // Writing to a String does not fail.
    for rule in rules {
        let _ = writeln!(shown, "{}", clean(&rule.to_string(), MAX_SHOWN));
    }
    for path in paths {
        let _ = writeln!(shown, "path {}", clean(path.as_str(), MAX_SHOWN));
    }
    if !learned.is_empty() {
        let mut heard = table(&["PEER", "HEARD BY", "COST", "AGO"]);
        for route in learned {
            let via = clean(route.via.as_str(), MAX_SHOWN);
            heard.add_row([route.peer.to_string(), via, route.cost.to_string(), duration(route.seconds)]);
        }
        let _ = writeln!(shown, "{heard}");
    }
    if shown.is_empty() {
        shown += "No rules, and no peer was heard lately.\n";
    }
    if !forwards {
        shown += "Lines are not passed on for others (`forward = false`).\n";
    }
    shown
}

fn explain(arguments: &Arguments, address: &Address) -> Result<(String, Value), CliError> {
    let mut client = local::open(arguments)?;
    match client.ask(&Request::Explain { address: address.clone() })? {
        Answer::Explained { words, steps, last } => {
            Ok((clean_lines(&words, MAX_SHOWN) + "\n", json!({ "explanation": steps, "last": last })))
        }
        other => Err(client.unexpected(&other).into()),
    }
}
