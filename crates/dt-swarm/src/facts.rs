//! What this node knows about itself, kept up to date for those who announce and show it.

use crate::config::Config;
use channels::InterfaceFilter;
use discovery::Facts;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;

/// How often this host's networks are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// The facts that are known at the start.
pub(crate) fn first(config: &Config, choice: &InterfaceFilter) -> Facts {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let lines = lines(choice, config.tcp_port);
    Facts { hostname: config.hostname.clone(), version, lines, ipfs: None }
}

fn lines(choice: &InterfaceFilter, port: u16) -> Vec<SocketAddr> {
    let interfaces = choice.interfaces().unwrap_or_default();
    interfaces.iter().flat_map(|interface| interface.hosts()).map(|host| (host, port).into()).collect()
}

/// Notices networks that come and go.
pub(crate) async fn watch_networks(
    choice: InterfaceFilter,
    port: u16,
    facts: watch::Sender<Facts>,
) -> Result<(), Infallible> {
    loop {
        let lines = lines(&choice, port);
        facts.send_if_modified(|facts| {
            let is_new = facts.lines != lines;
            facts.lines.clone_from(&lines);
            is_new
        });
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
