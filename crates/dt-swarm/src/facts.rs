//! Keeps the facts about this node current.

use crate::config::Config;
use channels::{InterfaceFilter, InterfaceWatch};
use service::LocalFacts;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::sync::watch;

/// Returns the facts that are known at the start.
pub(crate) fn first(config: &Config, choice: &InterfaceFilter) -> LocalFacts {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let lines = lines(choice, config.tcp_port);
    LocalFacts { hostname: config.hostname.clone(), version, lines, ipfs: None }
}

fn lines(choice: &InterfaceFilter, port: u16) -> Vec<SocketAddr> {
    let interfaces = choice.interfaces().unwrap_or_default();
    interfaces.iter().flat_map(|interface| interface.hosts()).map(|host| (host, port).into()).collect()
}

/// Updates the addresses when networks come and go.
pub(crate) async fn watch_networks(
    choice: InterfaceFilter,
    port: u16,
    facts: watch::Sender<LocalFacts>,
) -> Result<(), Infallible> {
    let mut watch = InterfaceWatch::new();
    loop {
        watch.changed().await;
        let lines = lines(&choice, port);
        facts.send_if_modified(|facts| {
            let is_new = facts.lines != lines;
            facts.lines.clone_from(&lines);
            is_new
        });
    }
}
