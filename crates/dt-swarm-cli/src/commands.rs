//! The commands: ask, then say it for people or for programs.

use crate::arguments::{Arguments, Command, GetArguments};
use crate::ask::{self, Answer};
use crate::connection::Connection;
use crate::error::CliError;
use crate::get::{self, Wanted};
use crate::names::{HOSTNAMES, Names};
use crate::text::{clean, clean_json};
use crate::{
    change, channels, content, download, keys, limit, local, ping, query, report, roles, routes, stats,
    storage, summary, swarm_files, transfers, watch,
};
use dcache::{Item, Kind, Pattern, Time, buckets};
use serde_json::{Value, json};
use std::io::Write as _;

/// Does what the command line says; returns what is to be printed.
pub(crate) fn run(arguments: &Arguments) -> Result<String, CliError> {
    let (shown, json) = match &arguments.command {
        Command::Summary { pattern } => run_summary(arguments, pattern)?,
        Command::Report => run_report(arguments)?,
        Command::Get(wanted) => run_get(arguments, wanted)?,
        Command::Transfers { command } => return transfers::run(arguments, command.as_ref()),
        Command::Limit(wanted) => limit::run(arguments, wanted)?,
        Command::Add { file, copy } => content::add(arguments, file, *copy)?,
        Command::Pin { cid } => content::pin(arguments, cid)?,
        Command::Unpin { cid } => content::unpin(arguments, cid)?,
        Command::Gc => content::collect_garbage(arguments)?,
        Command::Storage => storage::run(arguments)?,
        Command::Ping { count } => run_ping(arguments, *count)?,
        Command::Stats => run_stats(arguments)?,
        Command::Channels => run_channels(arguments)?,
        Command::Version => run_version(arguments)?,
        Command::Query { pattern, at } => run_query(arguments, pattern, *at)?,
        Command::Watch { pattern } => return run_watch(arguments, pattern),
        Command::Propose(wanted) => change::one(arguments, Kind::Propose, wanted)?,
        Command::Dismiss(wanted) => change::one(arguments, Kind::Dismiss, wanted)?,
        Command::Replace { bucket, old, new, validity, voice } => {
            let items = [old, new].map(|data| Item { bucket: bucket.clone(), data: data.clone() });
            change::replace(arguments, items, validity, voice)?
        }
        Command::Grant(wanted) => roles::run(arguments, Kind::Propose, wanted)?,
        Command::Revoke(wanted) => roles::run(arguments, Kind::Dismiss, wanted)?,
        Command::Keys { command } => keys::run(arguments, command.as_ref())?,
        Command::Route { command } => routes::run(arguments, command)?,
        Command::Swarm { command } => swarm_files::run(arguments, command)?,
    };
    match arguments.json {
        true => Ok(clean_json(&format!("{json:#}")) + "\n"),
        false => Ok(shown),
    }
}

pub(crate) fn warn(warning: Option<String>) {
    if let Some(warning) = warning {
        // Without a place for warnings the answer is still worth showing.
        let _ = writeln!(std::io::stderr(), "dt-swarm-cli: {warning}");
    }
}

fn connect(arguments: &Arguments) -> Result<Connection, CliError> {
    Connection::open(&arguments.host, arguments.timeout, swarm_files::key(arguments)?.as_ref())
}

/// Records that match one of the patterns, judged by the policy of the swarm, and the names of those who signed them.
fn ask(arguments: &Arguments, patterns: &[&str]) -> Result<(Connection, Answer, Names), CliError> {
    let (policy, key) = swarm_files::policy_and_key(arguments)?;
    let mut connection = Connection::open(&arguments.host, arguments.timeout, key.as_ref())?;
    let answer = ask::records(&mut connection, patterns, &policy)?;
    let names = Names::read(&answer.set, answer.now)?;
    warn(answer.pong.clock_warning(&connection.host().to_string()));
    Ok((connection, answer, names))
}

fn run_summary(arguments: &Arguments, pattern: &str) -> Result<(String, Value), CliError> {
    let pattern = Pattern::new(&summary::pattern(pattern))?;
    let (_, answer, names) = ask(arguments, &[pattern.as_str(), HOSTNAMES])?;
    Ok((summary::show(&answer, &pattern, &names), summary::json(&answer, &pattern, &names)))
}

fn run_report(arguments: &Arguments) -> Result<(String, Value), CliError> {
    let (_, answer, names) = ask(arguments, &[buckets::SHARE.pattern(), HOSTNAMES])?;
    Ok((report::show(&answer, &names), report::json(&answer, &names)))
}

fn run_query(arguments: &Arguments, pattern: &str, at: Option<Time>) -> Result<(String, Value), CliError> {
    let pattern = Pattern::new(&summary::pattern(pattern))?;
    let (_, answer, names) = ask(arguments, &[pattern.as_str(), HOSTNAMES])?;
    let at = at.unwrap_or(answer.now);
    Ok((query::show(&answer, &pattern, at, &names), query::json(&answer, &pattern, at, &names)))
}

fn run_watch(arguments: &Arguments, pattern: &str) -> Result<String, CliError> {
    let pattern = Pattern::new(&summary::pattern(pattern))?;
    let (policy, key) = swarm_files::policy_and_key(arguments)?;
    let mut connection = Connection::open(&arguments.host, arguments.timeout, key.as_ref())?;
    watch::watch(&mut connection, &pattern, &policy, arguments.json)?;
    Ok(String::new())
}

fn run_get(arguments: &Arguments, wanted: &GetArguments) -> Result<(String, Value), CliError> {
    let (connection, answer, _) =
        ask(arguments, &[buckets::SHARE.pattern(), buckets::IPFS_ADDRESSES.pattern(), HOSTNAMES])?;
    match local::open(arguments) {
        Ok(client) => {
            return download::run(arguments, client, &report::files(&answer.set, answer.now), wanted);
        }
        Err(error) if wanted.is_for_daemon() || arguments.socket.is_some() => return Err(error),
        Err(_) => {}
    }
    let (file, destination, force) = (wanted.file.as_str(), wanted.place(), wanted.force);
    let wanted = Wanted { file, destination, force, patience: arguments.timeout };
    get::get(&answer, connection.address()?, &wanted)
}

fn run_ping(arguments: &Arguments, count: u16) -> Result<(String, Value), CliError> {
    let pings = ping::ping(&mut connect(arguments)?, count)?;
    warn(pings.warning());
    Ok((pings.show(), pings.json()))
}

fn run_stats(arguments: &Arguments) -> Result<(String, Value), CliError> {
    let pong = ask::ping(&mut connect(arguments)?)?;
    Ok((stats::show(&pong), stats::json(&pong)))
}

fn run_channels(arguments: &Arguments) -> Result<(String, Value), CliError> {
    let pong = ask::ping(&mut connect(arguments)?)?;
    Ok((channels::show(&pong), channels::json(&pong)))
}

fn run_version(arguments: &Arguments) -> Result<(String, Value), CliError> {
    let mut connection = connect(arguments)?;
    let own = env!("CARGO_PKG_VERSION");
    let pong = ask::ping(&mut connection)?;
    let theirs = pong.status.as_ref().map(|status| status.version.as_str());
    let host = connection.host();
    let shown = theirs.map_or("unknown".to_owned(), |version| clean(version, 64));
    Ok((
        format!("dt-swarm-cli {own}\ndt-swarm at {host}: {shown}\n"),
        json!({ "cli": own, "daemon": theirs, "peer": pong.peer }),
    ))
}
