//! The commands: ask, then say it for people or for programs.

use crate::arguments::{Arguments, Command};
use crate::ask::{self, Answer};
use crate::connection::Connection;
use crate::error::CliError;
use crate::get::{self, Wanted};
use crate::names::{HOSTNAMES, Names};
use crate::text::{clean, clean_json};
use crate::{ping, report, summary};
use dcache::Pattern;
use serde_json::{Value, json};
use std::io::Write as _;

/// Does what the command line says; returns what is to be printed.
pub(crate) fn run(arguments: &Arguments) -> Result<String, CliError> {
    // What cannot be right is said before anybody is asked.
    let pattern = match &arguments.command {
        Command::Summary { pattern } => Pattern::new(&summary::pattern(pattern))?,
        _ => Pattern::new("*")?,
    };
    let mut connection = Connection::open(&arguments.host, arguments.timeout)?;
    let (shown, json) = match &arguments.command {
        Command::Summary { .. } => run_summary(&mut connection, &pattern)?,
        Command::Report => run_report(&mut connection)?,
        Command::Get { file, destination, force } => {
            let (destination, force, patience) = (destination.as_deref(), *force, arguments.timeout);
            run_get(&mut connection, &Wanted { file, destination, force, patience })?
        }
        Command::Ping { count } => run_ping(&mut connection, *count)?,
        Command::Version => run_version(&mut connection)?,
    };
    match arguments.json {
        true => Ok(clean_json(&format!("{json:#}")) + "\n"),
        false => Ok(shown),
    }
}

fn warn(warning: Option<String>) {
    if let Some(warning) = warning {
        // Without a place for warnings the answer is still worth showing.
        let _ = writeln!(std::io::stderr(), "dt-swarm-cli: {warning}");
    }
}

/// Records that match one of the patterns, and the names of those who signed them.
fn ask(connection: &mut Connection, patterns: &[&str]) -> Result<(Answer, Names), CliError> {
    let answer = ask::records(connection, patterns)?;
    let names = Names::read(&answer.set, answer.now)?;
    warn(answer.pong.clock_warning(&connection.host().to_string()));
    Ok((answer, names))
}

fn run_summary(connection: &mut Connection, pattern: &Pattern) -> Result<(String, Value), CliError> {
    let (answer, names) = ask(connection, &[pattern.as_str(), HOSTNAMES])?;
    Ok((summary::show(&answer, pattern, &names), summary::json(&answer, pattern, &names)))
}

fn run_report(connection: &mut Connection) -> Result<(String, Value), CliError> {
    let (answer, names) = ask(connection, &["/share/*", HOSTNAMES])?;
    Ok((report::show(&answer, &names), report::json(&answer, &names)))
}

fn run_get(connection: &mut Connection, wanted: &Wanted<'_>) -> Result<(String, Value), CliError> {
    let (answer, _) = ask(connection, &["/share/*", "/pri/*/ipfs_addresses", HOSTNAMES])?;
    get::get(&answer, connection.address()?, wanted)
}

fn run_ping(connection: &mut Connection, count: u16) -> Result<(String, Value), CliError> {
    let pings = ping::ping(connection, count)?;
    warn(pings.warning());
    Ok((pings.show(), pings.json()))
}

fn run_version(connection: &mut Connection) -> Result<(String, Value), CliError> {
    let own = env!("CARGO_PKG_VERSION");
    let pong = ask::ping(connection)?;
    let theirs = pong.status.as_ref().map(|status| status.version.as_str());
    let host = connection.host();
    let shown = theirs.map_or("unknown".to_owned(), |version| clean(version, 64));
    Ok((
        format!("dt-swarm-cli {own}\ndt-swarm at {host}: {shown}\n"),
        json!({ "cli": own, "daemon": theirs, "peer": pong.peer }),
    ))
}
