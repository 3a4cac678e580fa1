//! Streams of services: a service accepts the streams that peers open for its protocol, and opens streams to peers.
//!
//! libp2p-stream opens the outbound streams. It is not used for inbound streams, because it drops streams that arrive
//! at the same time.
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::upgrade::{DeniedUpgrade, InboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, transport::PortUse};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
    Stream, StreamProtocol, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use libp2p_stream::{Control, OpenStreamError};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::limits::Limits;
use super::service_stream::ServiceStream;
use super::types::ConnectError;

/// Maximum number of inbound streams of one protocol that wait to be accepted. Further streams are reset.
const MAX_WAITING: usize = 32;
/// Timeout for opening a stream on an open connection.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Reason why a stream to a peer could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The peer could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No service of the peer accepts streams of this protocol.
    #[error("{0} has no service for {1}")]
    Unsupported(PeerId, &'static str),
    /// The connection broke, or the peer did not answer in time.
    #[error("the connection with {0} broke: {1}")]
    Broken(PeerId, String),
}

/// The streams of services. All clones share the same state.
#[derive(Clone)]
pub(super) struct ServiceStreams {
    control: Control,
    registry: Registry,
    limits: Arc<Limits>,
}

impl fmt::Debug for ServiceStreams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ServiceStreams")
    }
}

impl ServiceStreams {
    pub(super) fn new(control: Control, registry: Registry, limits: Arc<Limits>) -> Self {
        Self { control, registry, limits }
    }

    /// Accepts the streams that peers open for a protocol. A later call for the same protocol replaces this one.
    pub(super) fn accept(&self, protocol: &'static str) -> InboundStreams {
        let (sender, waiting) = mpsc::channel(MAX_WAITING);
        let protocol = StreamProtocol::new(protocol);
        let mut inner = self.registry.lock();
        inner.accepted.retain(|(known, _)| *known != protocol);
        inner.accepted.push((protocol, sender));
        drop(inner);
        InboundStreams { waiting, streams: self.clone() }
    }

    /// Opens a stream to a connected peer.
    pub(super) async fn open(
        &self,
        peer: PeerId,
        protocol: &'static str,
    ) -> Result<ServiceStream, StreamError> {
        let mut control = self.control.clone();
        let opening = control.open_stream(peer, StreamProtocol::new(protocol));
        match timeout(OPEN_TIMEOUT, opening).await {
            Ok(Ok(stream)) => Ok(self.stream(peer, stream)),
            Ok(Err(OpenStreamError::UnsupportedProtocol(_))) => Err(StreamError::Unsupported(peer, protocol)),
            Ok(Err(error)) => Err(StreamError::Broken(peer, error.to_string())),
            Err(_) => Err(StreamError::Broken(peer, "it does not answer".to_owned())),
        }
    }

    fn stream(&self, peer: PeerId, stream: Stream) -> ServiceStream {
        ServiceStream::new(peer, stream, self.limits.share(&peer), self.registry.in_use(peer))
    }
}

/// The inbound streams of one protocol. Dropping it ends the acceptance.
#[derive(Debug)]
pub struct InboundStreams {
    waiting: mpsc::Receiver<(PeerId, Stream)>,
    streams: ServiceStreams,
}

impl InboundStreams {
    /// Waits for the next stream. Returns `None` when the node has stopped or another service accepts the protocol.
    pub async fn next(&mut self) -> Option<ServiceStream> {
        let (peer, stream) = self.waiting.recv().await?;
        Some(self.streams.stream(peer, stream))
    }
}

/// The accepted protocols, and the number of open streams with each peer. All clones share the same state.
#[derive(Clone, Default)]
pub(super) struct Registry(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    accepted: Vec<(StreamProtocol, mpsc::Sender<(PeerId, Stream)>)>,
    in_use: BTreeMap<PeerId, usize>,
}

impl Registry {
    /// Returns whether a stream with the peer is open. Its connection is in use then.
    pub(super) fn is_in_use(&self, peer: &PeerId) -> bool {
        self.lock().in_use.contains_key(peer)
    }

    fn in_use(&self, peer: PeerId) -> InUse {
        *self.lock().in_use.entry(peer).or_default() += 1;
        InUse { registry: self.clone(), peer }
    }

    fn protocols(&self) -> Vec<StreamProtocol> {
        let mut inner = self.lock();
        inner.accepted.retain(|(_, sender)| !sender.is_closed());
        inner.accepted.iter().map(|(protocol, _)| protocol.clone()).collect()
    }

    fn arrived(&self, peer: PeerId, protocol: &StreamProtocol, stream: Stream) {
        let inner = self.lock();
        let accepted = inner.accepted.iter().find(|(known, _)| known == protocol);
        if accepted.is_none_or(|(_, sender)| sender.try_send((peer, stream)).is_err()) {
            tracing::debug!(%peer, %protocol, "a stream was reset: too many wait, or the service stopped");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change is a single call that leaves the value consistent, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes that a stream is open. Dropping it notes the end of the stream.
pub(super) struct InUse {
    registry: Registry,
    peer: PeerId,
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        let Some(streams) = inner.in_use.get_mut(&self.peer) else { return };
        *streams = streams.saturating_sub(1);
        if *streams == 0 {
            inner.in_use.remove(&self.peer);
        }
    }
}

/// Accepts the inbound streams of all registered protocols.
#[derive(Default)]
pub(super) struct Behaviour {
    registry: Registry,
}

impl Behaviour {
    pub(super) fn registry(&self) -> Registry {
        self.registry.clone()
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler { peer, registry: self.registry.clone() })
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler { peer, registry: self.registry.clone() })
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

pub(super) struct Handler {
    peer: PeerId,
    registry: Registry,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Accepted;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(Accepted(self.registry.protocols()), ())
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        Poll::Pending
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) = event {
            let (stream, name) = protocol;
            self.registry.arrived(self.peer, &name, stream);
        }
    }
}

/// The protocols of which a connection accepts streams.
pub(super) struct Accepted(Vec<StreamProtocol>);

impl UpgradeInfo for Accepted {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Accepted {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, stream: Stream, protocol: Self::Info) -> Self::Future {
        ready(Ok((stream, protocol)))
    }
}
