//! The commands: ask, then say it for people or for programs.

use crate::arguments::{Arguments, Command};
use crate::ask::{self, Answer};
use crate::connection::Connection;
use crate::error::CliError;
use crate::names::{HOSTNAMES, Names};
use crate::report::{SharedFile, report};
use crate::text::{clean, clean_json, count, size};
use crate::{ping, summary, tables};
use dcache::Pattern;
use serde_json::{Value, json};
use std::io::Write as _;

/// The most characters of a file's name in a table.
const MAX_NAME_SHOWN: usize = 48;
/// The most holders that a table names.
const MAX_HOLDERS_SHOWN: usize = 4;

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
    let files = report(&answer.set, answer.now);
    let mut table = tables::table(&["name", "size", "uploader", "state", "holders", "CID"]);
    for file in &files {
        table.add_row(row(file, &names));
    }
    let shown = match files.is_empty() {
        true => "No files are shared. Put one into the shared folder of any host of the swarm.".to_owned(),
        false => format!("{}\n\n{}", table.trim_fmt(), count(files.len(), "file")),
    };
    let listed: Vec<Value> = files.iter().map(|file| file_json(file, &names)).collect();
    let json = json!({ "daemon": summary::about(&answer), "files": listed });
    Ok((format!("{shown}\n{}", summary::footer(&answer)), json))
}

fn row(file: &SharedFile, names: &Names) -> [String; 6] {
    let unknown = || "?".to_owned();
    let known = file.description.as_ref();
    let uploader = known.map(|known| {
        let doubt = if known.is_signed_by_uploader { "" } else { " ?" };
        names.show(known.uploader) + doubt
    });
    [
        known.map_or_else(unknown, |known| clean(&known.filename, MAX_NAME_SHOWN)),
        known.map_or_else(unknown, |known| size(known.size)),
        uploader.unwrap_or_else(unknown),
        file.state.word().to_owned(),
        holders(file, names),
        file.cid.clone(),
    ]
}

fn holders(file: &SharedFile, names: &Names) -> String {
    let shown = file.holders.iter().take(MAX_HOLDERS_SHOWN);
    let list: Vec<String> = shown.map(|peer| names.show(*peer)).collect();
    match file.holders.len() {
        0 => "nobody".to_owned(),
        number @ 0..=MAX_HOLDERS_SHOWN => format!("{number}: {}", list.join(", ")),
        number => format!("{number}: {}, …", list.join(", ")),
    }
}

fn file_json(file: &SharedFile, names: &Names) -> Value {
    let known = file.description.as_ref();
    let holders = file.holders.iter();
    json!({
        "cid": file.cid,
        "name": known.map(|known| &known.filename),
        "size": known.map(|known| known.size),
        "changed": known.map(|known| known.changed),
        "uploader": known.map(|known| known.uploader),
        "uploader_hostname": known.and_then(|known| names.raw(known.uploader)),
        "signed_by_uploader": known.map(|known| known.is_signed_by_uploader),
        "state": file.state,
        "holders": holders.map(|peer| json!({ "peer": peer, "hostname": names.raw(*peer) })).collect::<Vec<_>>(),
    })
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
