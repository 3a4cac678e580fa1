//! Keeps the facts about this node current.

use crate::config::Config;
use channels::{InterfaceFilter, InterfaceWatch};
use dcache::SwarmFile;
use service::LocalFacts;
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::sync::watch;

/// Returns the facts that are known at the start.
pub(crate) fn first(config: &Config, choice: &InterfaceFilter, has_key: bool) -> LocalFacts {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let lines = lines(choice, config.tcp_port);
    LocalFacts { hostname: config.hostname.clone(), version, lines, ipfs: None, has_key }
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

/// Follows whether the swarm has a key.
pub(crate) async fn watch_key(
    mut membership: watch::Receiver<Option<SwarmFile>>,
    facts: watch::Sender<LocalFacts>,
) -> Result<(), Infallible> {
    loop {
        let has_key = membership.borrow_and_update().as_ref().is_some_and(|file| file.key().is_some());
        facts.send_if_modified(|facts| std::mem::replace(&mut facts.has_key, has_key) != has_key);
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
