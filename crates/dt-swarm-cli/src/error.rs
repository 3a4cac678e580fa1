//! What can go wrong: one sentence each that names the cause and the way out.

use crate::text::clean;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error("the name of {host} is not known here: {source}. Check the spelling, or give the IP address.")]
    Unresolved { host: String, source: io::Error },
    #[error("no daemon answers at {host}: {}", why(source))]
    Unreachable { host: String, source: io::Error },
    #[error(
        "{host} took the connection, but nothing came for {} s. It may be busy or far away: try again with a longer \
         --timeout, and see there whether dt-swarm still runs.",
        .timeout.as_secs_f64()
    )]
    Silent { host: String, timeout: Duration },
    #[error("the connection with {host} broke: {source}. Try again.")]
    Broken { host: String, source: io::Error },
    #[error(
        "{host} closed the connection before its answer was complete. Is dt-swarm still running there? Try again."
    )]
    Closed { host: String },
    #[error(
        "what answers at {host} is no dt-swarm daemon: {}. The port is that of the line protocol (8000 by default).",
        clean(reason, 120)
    )]
    NotOurs { host: String, reason: String },
    #[error("{host} does not stop answering: more than {most}. That is no healthy daemon.")]
    Endless { host: String, most: String },
    #[error("not a pattern for buckets: {0}. Examples: share/files, share/*, */info/*")]
    Pattern(#[from] dcache::PatternError),
    #[error("the swarm knows no file called {:?}. `report` lists them.", clean(.0, 120))]
    NoSuchFile(String),
    #[error("several files are called {:?}; take one by its CID: {cids}", clean(name, 120))]
    Ambiguous { name: String, cids: String },
    #[error("nobody says what {:?} is; try again when its uploader is there", clean(.0, 120))]
    NotDescribed(String),
    #[error("{} is there already; --force overwrites it", .0.display())]
    Exists(PathBuf),
    #[error(
        "the daemon does not hold that file, or its IPFS port cannot be reached; `report` names who holds it"
    )]
    NotHeld,
    #[error("the file was not fetched: {}. Try again: `report` names who holds it.", clean(.0, 200))]
    Content(String),
    #[error("the file cannot be written: {0}")]
    Write(io::Error),
    #[error("cannot print the answer: {0}")]
    Output(io::Error),
}

fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused. Is dt-swarm running there? Start it with `dt-swarm`.".to_owned()
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "no reply. Is the host on, and is this computer on the same network?".to_owned()
        }
        _ => format!("{error}. Is the host on, and is this computer on the same network?"),
    }
}
