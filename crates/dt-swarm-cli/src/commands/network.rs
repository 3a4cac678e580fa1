//! `network`: the graph of robots, which says who hears whom on which channel.

mod graph;
mod page;

use self::graph::Graph;
use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use clap::Args;
use dcache::buckets::IPFS_PEERS;
use dcache::{PeerId, Set, Time};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost network                        shows the robots below the channels on which they were heard
  dt-swarm-cli localhost network --html network.html    writes a page with a drawing, for a browser";

/// Maximum number of IPFS connections that are read from records.
const MAX_IPFS_LINKS: usize = 10_000;

/// Shows the graph of robots: who hears whom on which channel, as far as the daemon knows.
///
/// The daemon knows whom it hears itself. Other robots state their IPFS connections.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Network {
    /// Also writes the graph as an HTML page, which needs no other file and contains no script.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Overwrites the file even if it is not a page that this command wrote.
    #[arg(long, requires = "html")]
    force: bool,
}

impl Command for Network {
    type Output = Graph;

    fn run(&self, context: &Context) -> Result<Graph, CliError> {
        if let Some(path) = &self.html {
            check(path, self.force)?;
        }
        let table = context.robots()?;
        // The graph without IPFS connections is still useful.
        let reading = context.read_in_parts(&[IPFS_PEERS.pattern()]);
        let connections = reading
            .map(|reading| ipfs_connections(&reading.answer.set, reading.answer.now))
            .unwrap_or_default();
        let mut graph = Graph::new(table, &connections);
        if let Some(path) = &self.html {
            write(path, &page::page(&graph)).map_err(|source| unwritable(path, source))?;
            graph.set_path(path);
        }
        Ok(graph)
    }
}

/// Returns the IPFS connections that peers state: the peer that states it, and the other end.
fn ipfs_connections(set: &Set, now: Time) -> Vec<(PeerId, PeerId)> {
    let pattern = IPFS_PEERS.matcher();
    let connection = |view: dcache::View<'_>| {
        Some((IPFS_PEERS.peer(&view.item.bucket)?, view.item.data.as_str().parse().ok()?))
    };
    set.matching(&pattern, now).filter_map(connection).take(MAX_IPFS_LINKS).collect()
}

/// Checks that the page may be written to this path: nothing is there, or a page that this command wrote.
fn check(path: &Path, force: bool) -> Result<(), CliError> {
    let is_file = match fs::metadata(path) {
        Ok(found) => found.is_file(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(unwritable(path, source)),
    };
    if !is_file {
        return Err(CliError::NotAPage(path.to_owned()));
    }
    let mut start = Vec::new();
    let file = File::open(path).and_then(|file| file.take(page::START.len() as u64).read_to_end(&mut start));
    match file {
        _ if force => Ok(()),
        Ok(_) if start == page::START.as_bytes() => Ok(()),
        _ => Err(CliError::Exists(path.to_owned())),
    }
}

/// Writes the page to a temporary file, which then replaces the file in one step.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // The operating system reduces the permissions by the mask of the user.
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(".dt-swarm-network-").permissions(Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(parent.unwrap_or_else(|| Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn unwritable(path: &Path, source: io::Error) -> CliError {
    CliError::PageUnwritten { path: path.to_owned(), source }
}

impl Output for Graph {
    fn show(&self) -> String {
        self.tree()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_replaces_only_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.html");
        check(&path, false).unwrap();
        write(&path, &format!("{}1", page::START)).unwrap();
        check(&path, false).unwrap();
        write(&path, "something else").unwrap();
        assert!(matches!(check(&path, false), Err(CliError::Exists(_))));
        check(&path, true).unwrap();
        assert!(matches!(check(folder.path(), true), Err(CliError::NotAPage(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
