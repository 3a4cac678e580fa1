//! Tells when to list this host's interfaces again: after a notice of the kernel, not by looking every second.

use bytes::BytesMut;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};
use nix::errno::Errno;
use nix::libc::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK};
use std::fmt::{Debug, Formatter};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Time between a notice and the look that it causes. Changes come in groups, as when a network comes up.
const SETTLING: Duration = Duration::from_millis(100);
/// Time between two looks while the kernel gives notice. The looks guard against notices that are lost.
const WATCHED: Duration = Duration::from_secs(60);
/// Time between two looks where the kernel gives no notice.
const UNWATCHED: Duration = Duration::from_secs(1);
/// The bytes of one read. What does not fit is dropped: that something changed is all that counts.
const READ_BYTES: usize = 4096;

/// Waits for changes of this host's interfaces: one comes or goes, gets or loses an address, or its cable is pulled.
pub struct InterfaceWatch {
    /// A socket that gets the kernel's notices; `None` where there are none.
    notices: Option<TokioSocket>,
    due: Instant,
}

impl InterfaceWatch {
    /// Begins to listen. The first look is due at once.
    pub fn new() -> Self {
        let notices = subscribe()
            .inspect_err(|error| tracing::debug!(%error, "the kernel does not tell of interfaces"));
        Self { notices: notices.ok(), due: Instant::now() }
    }

    /// Waits until the interfaces are to be listed again. May be dropped and called again without losing a notice.
    pub async fn changed(&mut self) {
        loop {
            tokio::select! {
                () = sleep_until(self.due) => break,
                noticed = notice(self.notices.as_ref()) => match noticed {
                    Ok(()) => self.due = self.due.min(Instant::now() + SETTLING),
                    Err(error) => {
                        tracing::debug!(%error, "the kernel does not tell of interfaces any more");
                        self.notices = None;
                        self.due = Instant::now();
                    }
                },
            }
        }
        self.due = Instant::now() + if self.notices.is_some() { WATCHED } else { UNWATCHED };
    }
}

impl Default for InterfaceWatch {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for InterfaceWatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let is_told = self.notices.is_some();
        f.debug_struct("InterfaceWatch").field("is_told", &is_told).field("due", &self.due).finish()
    }
}

/// Opens a socket for the kernel's notices of links and addresses.
fn subscribe() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    let groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
    socket.socket_mut().bind(&SocketAddr::new(0, groups.unsigned_abs()))?;
    Ok(socket)
}

/// Waits for a notice; waits for ever where there are none. One that was lost because too many came counts as well.
async fn notice(socket: Option<&TokioSocket>) -> io::Result<()> {
    let Some(socket) = socket else { return std::future::pending().await };
    let is_lost = |error: &io::Error| error.raw_os_error() == Some(Errno::ENOBUFS as i32);
    match socket.recv(&mut BytesMut::with_capacity(READ_BYTES)).await {
        Err(error) if !is_lost(&error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for the look that is due at once, and returns how long it is until the next one.
    async fn pause(mut watch: InterfaceWatch) -> Duration {
        watch.changed().await;
        watch.due - Instant::now()
    }

    #[tokio::test]
    async fn with_notices_it_looks_once_a_minute_and_else_every_second() {
        let watch = InterfaceWatch::new();
        assert!(watch.notices.is_some());
        assert!(pause(watch).await > WATCHED / 2);
        let without = InterfaceWatch { notices: None, due: Instant::now() };
        assert!(pause(without).await <= UNWATCHED);
    }
}
