//! Signals when this host's interfaces have to be listed again. It relies on notifications of the kernel instead of
//! polling every second.

use bytes::BytesMut;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket};
use nix::errno::Errno;
use nix::libc::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR, RTMGRP_LINK};
use std::fmt::{Debug, Formatter};
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Delay between a notification and the listing that it causes. Changes come in groups, for example when a network
/// comes up.
const SETTLING: Duration = Duration::from_millis(100);
/// Interval between two listings while the kernel sends notifications. Guards against lost notifications.
const WATCHED: Duration = Duration::from_secs(60);
/// Interval between two listings where the kernel sends no notifications.
const UNWATCHED: Duration = Duration::from_secs(1);
/// Size of one read, in bytes. The rest of a longer notification is dropped, because its content does not matter.
const READ_BYTES: usize = 4096;

/// Waits for changes of this host's interfaces. A change is an interface that appears or disappears, an address that is
/// added or removed, or a cable that is plugged in or out.
pub struct InterfaceWatch {
    /// Netlink socket for the kernel's notifications; `None` where there are none.
    notices: Option<TokioSocket>,
    due: Instant,
}

impl InterfaceWatch {
    /// Starts listening. The first listing is due at once.
    pub fn new() -> Self {
        let notices =
            subscribe().inspect_err(|error| tracing::debug!(%error, "cannot subscribe to interface changes"));
        Self { notices: notices.ok(), due: Instant::now() }
    }

    /// Waits until the interfaces have to be listed again. Cancel safe: dropping the future loses no notification.
    pub async fn changed(&mut self) {
        loop {
            tokio::select! {
                () = sleep_until(self.due) => break,
                noticed = notice(self.notices.as_ref()) => match noticed {
                    Ok(()) => self.due = self.due.min(Instant::now() + SETTLING),
                    Err(error) => {
                        tracing::debug!(%error, "notifications of interface changes ended");
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

/// Opens a netlink socket for notifications about links and addresses.
fn subscribe() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    let groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
    socket.socket_mut().bind(&SocketAddr::new(0, groups.unsigned_abs()))?;
    Ok(socket)
}

/// Waits for a notification, or for ever without a socket. A notification that the kernel dropped because the queue was
/// full counts as well.
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

    /// Waits for the listing that is due at once. Returns the time until the next one.
    async fn pause(mut watch: InterfaceWatch) -> Duration {
        watch.changed().await;
        watch.due - Instant::now()
    }

    #[tokio::test]
    async fn interfaces_are_listed_every_minute_with_notices_and_else_every_second() {
        let watch = InterfaceWatch::new();
        assert!(watch.notices.is_some());
        assert!(pause(watch).await > WATCHED / 2);
        let without = InterfaceWatch { notices: None, due: Instant::now() };
        assert!(pause(without).await <= UNWATCHED);
    }
}
