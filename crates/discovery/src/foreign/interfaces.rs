//! Follows the networks of this host.

use super::networks::{MAX_NETWORKS, OwnNetwork};
use if_addrs::IfAddr;
use service::LocalFacts;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use tokio::sync::watch;

/// Returns the networks on which the node accepts connections at `lines`. These addresses are the ones on the interfaces
/// that the configuration allows.
pub(super) fn networks(lines: &[SocketAddr]) -> Vec<OwnNetwork> {
    let found = if_addrs::get_if_addrs()
        .inspect_err(|error| tracing::debug!(%error, "the network interfaces cannot be listed"))
        .unwrap_or_default();
    let is_used = |ip: IpAddr| lines.iter().any(|line| line.ip() == ip);
    let network = |interface: if_addrs::Interface| match interface.addr {
        IfAddr::V4(v4) if is_used(v4.ip.into()) => {
            Some(OwnNetwork { interface: interface.index?, address: v4.ip, netmask: v4.netmask })
        }
        _ => None,
    };
    found.into_iter().filter_map(network).take(MAX_NETWORKS).collect()
}

/// Updates the list of networks whenever the addresses of this host change.
pub(super) async fn follow(
    mut facts: watch::Receiver<LocalFacts>,
    networks: watch::Sender<Vec<OwnNetwork>>,
) -> Infallible {
    let mut lines = Vec::new();
    loop {
        let told = facts.borrow_and_update().lines.clone();
        // While another program has the port of the line protocol, no addresses are told. The networks are still there.
        if !told.is_empty() {
            lines = told;
        }
        let found = self::networks(&lines);
        networks.send_if_modified(|known| {
            let is_new = *known != found;
            *known = found;
            is_new
        });
        if facts.changed().await.is_err() {
            // The daemon is stopping and drops this future.
            std::future::pending().await
        }
    }
}
