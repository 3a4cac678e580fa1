//! `network`: the graph of robots, which says who hears whom on which channel.

mod graph;
mod page;

use self::graph::Graph;
use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::page_file;
use clap::Args;
use dcache::buckets::IPFS_PEERS;
use dcache::{PeerId, Set, Time};
use std::path::PathBuf;

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
            page_file::check(&page::PAGE, path, self.force)?;
        }
        let table = context.robots()?;
        // The graph without IPFS connections is still useful.
        let reading = context.read_in_parts(&[IPFS_PEERS.pattern()]);
        let connections = reading
            .map(|reading| ipfs_connections(&reading.answer.set, reading.answer.now))
            .unwrap_or_default();
        let mut graph = Graph::new(table, &connections);
        if let Some(path) = &self.html {
            page_file::write(&page::PAGE, path, &page::page(&graph))?;
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

impl Output for Graph {
    fn show(&self) -> String {
        self.tree()
    }
}
