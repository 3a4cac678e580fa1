//! AutoNAT v2: servers in other networks check whether the addresses of this node lead to it.
//!
//! As a client, this node asks only persistent peers, which the owner of the node or of the swarm named, and asks seldom.
//! As a server, it dials only addresses of the host from which the client is connected, under the rule for all addresses
//! that others name. So it never dials a victim, and needs no padding.
//!
//! The implementation of libp2p is not used. Its server dials any host that a client names. It dials with the identity of
//! the node, so the client takes the connection for a replacement of the existing one. Its client never checks an address
//! again, and wakes up every few seconds.
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams};
use rand::TryRng as _;
use tokio::task::JoinSet;

mod checks;
mod dial_back;
mod exchange;
pub(super) mod message;
pub(super) mod outside;
mod pending;

use super::addresses::is_quic;
use super::relay::server::{Admission, Requests};
use checks::Checks;
use exchange::Request;
use message::{DialResult, ProbeResponse};
use outside::{NatKind, Outside, RouterPort};
use pending::Pending;

/// Maximum number of requests that a server serves at the same time.
const MAX_SERVED: usize = 16;
/// Maximum number of running tasks with which a server serves a further request. Clients that do not read the answers
/// hold some.
const MAX_RUNNING: usize = 64;
/// Maximum number of numbers that are taken from servers at the same time.
const MAX_TAKEN: usize = 16;

/// Returns whether a peer with these protocols is a server.
pub(super) fn is_server(protocols: &[StreamProtocol]) -> bool {
    protocols.contains(&exchange::PROTOCOL)
}

/// An event for the driver.
pub(super) enum Event {
    /// A client asks this node to dial one of these addresses. The driver answers by [`Reachability::serve`].
    Requested(Asked),
    /// A check has ended, so [`Reachability::outside`] may have changed.
    Checked,
}

/// A request of a client.
pub(super) struct Asked(Box<Request>);

impl Asked {
    /// Returns the peer that asks.
    pub(super) fn peer(&self) -> PeerId {
        self.0.peer
    }

    /// Returns the addresses that the client named, with their indices in the request.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (u32, &Multiaddr)> {
        (0..).zip(&self.0.addresses).filter_map(|(index, address)| Some((index, address.as_ref()?)))
    }
}

enum Ended {
    Requested(PeerId, io::Result<Request>),
    Dialled(PeerId, Stream, ProbeResponse),
    Responded(io::Result<()>),
    Taken(io::Result<()>),
    Checked(Multiaddr, io::Result<bool>),
}

/// The server, if this node is one.
struct Server {
    requests: IncomingStreams,
    admission: Admission,
    budget: Requests,
    /// The clients whose requests are served now, one of each.
    serving: BTreeSet<PeerId>,
}

/// The checks of own addresses, and those that are made for others.
pub(super) struct Reachability {
    control: Control,
    network_key: Option<[u8; 32]>,
    dial_backs: Option<IncomingStreams>,
    server: Option<Server>,
    running: JoinSet<Ended>,
    taking: usize,
    pending: Pending,
    checks: Checks,
    nat: NatKind,
    router_port: Option<RouterPort>,
}

impl Reachability {
    /// Makes a client, and with an admission also a server.
    pub(super) fn new(
        mut control: Control,
        network_key: Option<[u8; 32]>,
        admission: Option<Admission>,
    ) -> Self {
        // This fails only if a protocol is accepted twice.
        let dial_backs = control.accept(dial_back::PROTOCOL).ok();
        let server = admission.and_then(|admission| {
            let requests = control.accept(exchange::PROTOCOL).ok()?;
            Some(Server { requests, admission, budget: Requests::default(), serving: BTreeSet::new() })
        });
        let (running, pending, checks) = (JoinSet::new(), Pending::default(), Checks::default());
        let (nat, router_port) = (NatKind::default(), None);
        Self {
            control,
            network_key,
            dial_backs,
            server,
            running,
            taking: 0,
            pending,
            checks,
            nat,
            router_port,
        }
    }

    /// Records whether a connected persistent peer in another network is a server.
    pub(super) fn offered(&mut self, peer: PeerId, is_server: bool) {
        self.checks.offered(peer, is_server);
    }

    /// Records whether a router forwards a port to this host. The address counts after the next call of
    /// [`Reachability::observed`].
    pub(super) fn set_router_port(&mut self, port: RouterPort) {
        self.router_port = Some(port);
    }

    /// Sets the addresses at which others may reach this node. `observed` are the different addresses that peers in other
    /// networks observed, and `seen` all their reports. `listening` are the addresses at which this node listens.
    pub(super) fn observed(&mut self, observed: Vec<Multiaddr>, seen: &[Multiaddr], listening: &[Multiaddr]) {
        self.nat = NatKind::of(seen, listening);
        let forwarded = self.router_port.iter().filter_map(|port| match port {
            RouterPort::Forwarded(address) => Some(address.clone()),
            RouterPort::Failed(_) => None,
        });
        let mut candidates: Vec<Multiaddr> = forwarded.collect();
        for address in observed {
            if !is_quic(&address) && !candidates.contains(&address) {
                candidates.push(address);
            }
        }
        self.checks.set_candidates(candidates);
    }

    /// Returns how other networks see this node.
    pub(super) fn outside(&self) -> Outside {
        Outside {
            nat: self.nat,
            reached: self.checks.addresses(true),
            unreached: self.checks.addresses(false),
            router_port: self.router_port.clone(),
        }
    }

    /// Returns whether others reach this node without a relay.
    pub(super) fn is_public(&self) -> bool {
        !self.checks.addresses(true).is_empty()
    }

    /// Returns whether the result for one of these addresses is expected soon.
    pub(super) fn is_coming(&self, addresses: &[Multiaddr]) -> bool {
        addresses.iter().any(|address| self.checks.is_coming(address))
    }

    /// Returns the time of the next check since the start of the node, if there is one.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.checks.next_due()
    }

    /// Begins the next check if it is due.
    pub(super) fn check(&mut self, elapsed: Duration) {
        let Some((server, address)) = self.checks.begin(elapsed) else { return };
        let mut nonce = [0; 8];
        if let Err(error) = rand::rngs::SysRng.try_fill_bytes(&mut nonce) {
            tracing::warn!(%error, "the system provides no random bytes");
            return self.checks.ended(&address, None, elapsed);
        }
        let (control, pending, nonce) =
            (self.control.clone(), self.pending.clone(), u64::from_le_bytes(nonce));
        self.running.spawn(async move {
            let checked = exchange::ask(control, server, address.clone(), pending, nonce).await;
            tracing::debug!(%server, %address, ?checked, "a server checked an address of this node");
            Ended::Checked(address, checked)
        });
    }

    /// Serves a request. `chosen` is the address to dial with its index; without one, the request is refused.
    pub(super) fn serve(&mut self, Asked(request): Asked, chosen: Option<(u32, Multiaddr)>) {
        let (peer, network_key) = (request.peer, self.network_key);
        self.running.spawn(async move {
            let response = match chosen {
                None => ProbeResponse::Refused,
                Some((index, address)) => {
                    let result: DialResult = dial_back::dial(peer, address, request.nonce, network_key).await;
                    ProbeResponse::Dialled(index, result)
                }
            };
            Ended::Dialled(peer, request.stream, response)
        });
    }

    /// Waits for the next event. `elapsed` is the time since the start of the node, and `source` returns the source of a
    /// connected peer. Cancel safe.
    pub(super) async fn next(
        &mut self,
        elapsed: impl Fn() -> Duration,
        source: impl Fn(&PeerId) -> Option<IpAddr>,
    ) -> Event {
        loop {
            tokio::select! {
                Some(ended) = self.running.join_next() => match ended {
                    Ok(ended) => if let Some(event) = self.ended(ended, elapsed()) { return event },
                    Err(error) => tracing::error!(%error, "a task that checks addresses failed"),
                },
                Some((_, stream)) = next_stream(&mut self.dial_backs) => {
                    if self.taking < MAX_TAKEN {
                        self.taking += 1;
                        let taking = dial_back::take(stream, self.pending.clone());
                        self.running.spawn(async move { Ended::Taken(taking.await) });
                    }
                }
                Some((peer, stream)) = next_request(&mut self.server) => {
                    self.begin_to_serve(peer, stream, source(&peer), elapsed());
                }
                else => std::future::pending().await,
            }
        }
    }

    fn begin_to_serve(&mut self, peer: PeerId, stream: Stream, source: Option<IpAddr>, elapsed: Duration) {
        let Some(server) = &mut self.server else { return };
        let has_room = server.serving.len() < MAX_SERVED && self.running.len() < MAX_RUNNING;
        let has_room = has_room && !server.serving.contains(&peer);
        if has_room && server.admission.admits(&peer) && server.budget.admit(peer, source, elapsed) {
            server.serving.insert(peer);
            self.running
                .spawn(async move { Ended::Requested(peer, exchange::requested(peer, stream).await) });
        }
    }

    fn ended(&mut self, ended: Ended, elapsed: Duration) -> Option<Event> {
        match ended {
            Ended::Requested(_, Ok(request)) => Some(Event::Requested(Asked(Box::new(request)))),
            Ended::Requested(peer, Err(error)) => {
                tracing::debug!(%peer, %error, "a request to check an address could not be read");
                self.served(&peer);
                None
            }
            Ended::Dialled(peer, stream, response) => {
                // The client may ask again as soon as it has the answer.
                self.served(&peer);
                self.running
                    .spawn(async move { Ended::Responded(exchange::respond(stream, response).await) });
                None
            }
            Ended::Responded(sent) => {
                if let Err(error) = sent {
                    tracing::debug!(%error, "the result of a check could not be sent");
                }
                None
            }
            Ended::Taken(taken) => {
                self.taking = self.taking.saturating_sub(1);
                if let Err(error) = taken {
                    tracing::debug!(%error, "a server did not send the expected number");
                }
                None
            }
            Ended::Checked(address, checked) => {
                self.checks.ended(&address, checked.ok(), elapsed);
                Some(Event::Checked)
            }
        }
    }

    fn served(&mut self, peer: &PeerId) {
        if let Some(server) = &mut self.server {
            server.serving.remove(peer);
        }
    }
}

async fn next_stream(incoming: &mut Option<IncomingStreams>) -> Option<(PeerId, Stream)> {
    match incoming {
        Some(incoming) => incoming.next().await,
        None => None,
    }
}

async fn next_request(server: &mut Option<Server>) -> Option<(PeerId, Stream)> {
    match server {
        Some(server) => server.requests.next().await,
        None => None,
    }
}

#[cfg(test)]
mod tests;
