//! A transport whose dials are delayed, so that other transports have a head start.
//!
//! A peer is dialled at all its addresses at once, and the first connection wins. TCP costs less than QUIC: the kernel
//! does the work, and its headers are shorter. So QUIC is used only where TCP does not get through, and a relay only
//! where neither does. RFC 8305 does the same with IPv6 and IPv4.
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::{Multiaddr, Transport};
use tokio::time::sleep;

/// Delay of each dial over QUIC. RFC 8305 recommends 250 ms.
pub(super) const OF_TCP: Duration = Duration::from_millis(250);
/// Delay of each dial through a relay. A direct connection is made within it, unless a packet is lost twice.
pub(super) const OF_DIRECT: Duration = Duration::from_millis(750);

/// Wraps a transport and delays its dials by a fixed time.
pub(super) struct GivesHeadStart<T>(pub(super) T, pub(super) Duration);

impl<T> Transport for GivesHeadStart<T>
where
    T: Transport + Unpin,
    T::Dial: Send + 'static,
{
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = BoxFuture<'static, Result<T::Output, T::Error>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<Self::Error>> {
        let dial = self.0.dial(address, options)?;
        Ok(sleep(self.1).then(|()| dial).boxed())
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.0).poll(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::core::Endpoint;
    use libp2p::core::transport::{MemoryTransport, PortUse};

    #[tokio::test(start_paused = true)]
    async fn dials_begin_later_and_succeed() {
        let mut transport = GivesHeadStart(MemoryTransport::default(), OF_TCP);
        let address: Multiaddr = "/memory/170100".parse().unwrap();
        transport.listen_on(ListenerId::next(), address.clone()).unwrap();
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
        let mut dial = transport.dial(address, options).unwrap();
        let early = tokio::time::timeout(OF_TCP / 2, &mut dial).await;
        assert!(early.is_err());
        let incoming = std::future::poll_fn(|context| Pin::new(&mut transport).poll(context));
        let listening = incoming.await;
        assert!(matches!(listening, TransportEvent::NewAddress { .. }));
        dial.await.unwrap();
    }
}
