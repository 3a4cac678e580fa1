//! Answers pings on UDP port 11411 while no other program on this host has the port.

use super::Profile;
use super::answer::answer;
use super::limits::HostLimits;
use super::networks::OwnNetwork;
use super::ping::MAX_PING_BYTES;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Time after the start of the host before the port is opened. On some robots another program answers pings. It starts
/// with the containers and would fail if the port were taken.
const OTHERS_START: Duration = Duration::from_secs(300);
/// Time between two tries while another program has the port.
const TRY_AGAIN: Duration = Duration::from_secs(30 * 60);
/// Time for which the port has to be free after another program had it. That program may just be restarting.
const STAYS_FREE: Duration = Duration::from_secs(120);
/// Pause after an error of the socket.
const AFTER_ERROR: Duration = Duration::from_secs(10);

/// Answers pings whenever the port is free.
pub(super) async fn respond(
    port: u16,
    networks: watch::Receiver<Vec<OwnNetwork>>,
    profile: watch::Receiver<Profile>,
) -> Infallible {
    sleep(others_start()).await;
    loop {
        let socket = free_port(port).await;
        tracing::debug!(port, "answering the pings of Duckietown's programs");
        let Err(error) = serve(&socket, &networks, &profile).await;
        tracing::debug!(%error, "pings cannot be answered");
        drop(socket);
        sleep(AFTER_ERROR).await;
    }
}

/// Opens the port, as soon as no other program has it.
async fn free_port(port: u16) -> UdpSocket {
    let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port));
    if let Ok(socket) = bind().await {
        return socket;
    }
    tracing::debug!(port, "another program answers the pings of Duckietown's programs");
    loop {
        sleep(TRY_AGAIN).await;
        if bind().await.is_err() {
            continue;
        }
        sleep(STAYS_FREE).await;
        if let Ok(socket) = bind().await {
            return socket;
        }
    }
}

/// Answers pings until the socket fails.
pub(super) async fn serve(
    socket: &UdpSocket,
    networks: &watch::Receiver<Vec<OwnNetwork>>,
    profile: &watch::Receiver<Profile>,
) -> io::Result<Infallible> {
    let (started, mut limits) = (Instant::now(), HostLimits::of_sent_answers());
    let mut buffer = [0; MAX_PING_BYTES + 1];
    loop {
        let (length, source) = socket.recv_from(&mut buffer).await?;
        let (bytes, now) = (&buffer[..length], started.elapsed());
        let answer = answer(bytes, source, &networks.borrow(), &profile.borrow(), &mut limits, now);
        if let Some((to, pong)) = answer
            && let Err(error) = socket.send_to(&pong, to).await
        {
            tracing::debug!(%to, %error, "a ping was not answered");
        }
    }
}

/// Returns the time that other programs have left to open their ports, after the start of the host.
pub(super) fn others_start() -> Duration {
    OTHERS_START.saturating_sub(uptime())
}

/// Returns the time since the host started. A host that does not tell it counts as running for long.
fn uptime() -> Duration {
    let text = fs::read_to_string("/proc/uptime").ok();
    let seconds = text.as_deref().and_then(|text| text.split_whitespace().next()?.parse().ok());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uptime_of_this_host_is_read() {
        assert!(uptime() > Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_port_is_opened_only_after_another_program_left_it_for_a_while() {
        let taken = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let begun = Instant::now();
        let opening = tokio::spawn(free_port(port));
        sleep(TRY_AGAIN / 2).await;
        drop(taken);
        assert_eq!(opening.await.unwrap().local_addr().unwrap().port(), port);
        assert!(begun.elapsed() >= TRY_AGAIN + STAYS_FREE);
    }
}
