//! Keeps the facts about this node current.

use crate::config::Config;
use channels::{InterfaceFilter, InterfaceWatch};
use dcache::SwarmFile;
use service::LocalFacts;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::sync::watch;

/// Returns the facts that are known at the start. `swarm` is the swarm file; the open swarm has none.
pub(crate) fn first(config: &Config, choice: &InterfaceFilter, swarm: Option<&SwarmFile>) -> LocalFacts {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let (lines, (has_key, has_roots)) = (lines(choice, config.tcp_port), properties(swarm));
    LocalFacts { hostname: config.hostname.clone(), version, lines, ipfs: None, has_key, has_roots }
}

/// Returns whether a swarm has a key, and whether it has roots.
fn properties(swarm: Option<&SwarmFile>) -> (bool, bool) {
    let has_roots = |file: &SwarmFile| !file.policy().roots().is_empty();
    (swarm.is_some_and(|file| file.key().is_some()), swarm.is_some_and(has_roots))
}

fn lines(choice: &InterfaceFilter, port: u16) -> Vec<SocketAddr> {
    let interfaces = choice.interfaces().unwrap_or_default();
    interfaces.iter().flat_map(|interface| interface.hosts()).map(|host| (host, port).into()).collect()
}

/// Updates the addresses of the line protocol whenever networks come up or go down. While another program uses the
/// port, no address is announced, because peers would connect to that program.
pub(crate) async fn watch_networks(
    choice: InterfaceFilter,
    port: u16,
    mut is_open: watch::Receiver<Option<bool>>,
    facts: watch::Sender<LocalFacts>,
) -> Result<(), Infallible> {
    let mut watch = InterfaceWatch::new();
    is_open.mark_changed();
    loop {
        tokio::select! {
            () = watch.changed() => {}
            Ok(()) = is_open.changed() => {}
        }
        let lines = match *is_open.borrow_and_update() {
            Some(false) => Vec::new(),
            _ => lines(&choice, port),
        };
        facts.send_if_modified(|facts| {
            let is_new = facts.lines != lines;
            facts.lines.clone_from(&lines);
            is_new
        });
    }
}

/// Follows whether the swarm has a key, and whether it has roots.
pub(crate) async fn watch_swarm(
    mut membership: watch::Receiver<Option<SwarmFile>>,
    facts: watch::Sender<LocalFacts>,
) -> Result<(), Infallible> {
    loop {
        let now = properties(membership.borrow_and_update().as_ref());
        facts.send_if_modified(|facts| {
            let before = (facts.has_key, facts.has_roots);
            (facts.has_key, facts.has_roots) = now;
            before != now
        });
        if membership.changed().await.is_err() {
            // The daemon is stopping and drops this future.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn no_address_is_announced_while_another_program_uses_the_port() {
        let choice = InterfaceFilter::new(&[]).unwrap();
        let known = LocalFacts { lines: vec!["10.0.0.1:8000".parse().unwrap()], ..LocalFacts::default() };
        let (facts, is_open) = (watch::Sender::new(known), watch::Sender::new(Some(false)));
        let mut told = facts.subscribe();
        let all = lines(&choice, 8000);
        let watching = tokio::spawn(watch_networks(choice, 8000, is_open.subscribe(), facts));
        let soon = Duration::from_secs(10);
        tokio::time::timeout(soon, told.wait_for(|facts| facts.lines.is_empty())).await.unwrap().unwrap();
        is_open.send_replace(Some(true));
        tokio::time::timeout(soon, told.wait_for(|facts| facts.lines == all)).await.unwrap().unwrap();
        watching.abort();
    }
}
