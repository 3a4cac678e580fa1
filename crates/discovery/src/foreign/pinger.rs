//! Pings the hosts on the own networks on UDP port 11411, when a client wants the table of robots.

use super::ForeignRobots;
use super::networks::{OwnNetwork, pinged};
use super::ping::{MAX_PONG_BYTES, PING_PORT, Ping};
use super::socket::open;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Minimum time between two rounds of pings.
const ROUND: Duration = Duration::from_secs(30);
/// Number of pings that are sent at once. Each ping to an absent host costs a broadcast of the
/// address resolution, which uses the slowest rate of a radio.
const AT_ONCE: usize = 8;
/// Pause after the pings that are sent at once.
const PAUSE: Duration = Duration::from_millis(25);
/// Time to wait for answers after the last ping. The resolution of an address may be repeated twice, a second apart.
const PATIENCE: Duration = Duration::from_secs(3);
/// Maximum number of hosts whose answers are read in one round on one network.
const MAX_ANSWERS: usize = 1024;

/// Sends a round of pings when a client wants fresh facts.
pub(super) async fn ping_on_request(
    robots: &ForeignRobots,
    networks: watch::Receiver<Vec<OwnNetwork>>,
) -> Infallible {
    let mut wishes = robots.wishes();
    loop {
        if wishes.changed().await.is_err() {
            // No client can ask any more.
            std::future::pending::<()>().await;
        }
        let begun = Instant::now();
        let networks = networks.borrow().clone();
        ping_all(robots, &networks, PING_PORT).await;
        sleep_until(begun + ROUND).await;
        wishes.mark_unchanged();
    }
}

/// Pings all networks at the same time.
async fn ping_all(robots: &ForeignRobots, networks: &[OwnNetwork], port: u16) {
    let mut rounds = JoinSet::new();
    for (network, hosts) in pinged(networks) {
        rounds.spawn(ping_network(robots.clone(), network, hosts, port));
    }
    while let Some(ended) = rounds.join_next().await {
        if let Ok(Err(error)) = ended {
            tracing::debug!(%error, "the hosts on a network cannot be pinged");
        }
    }
}

async fn ping_network(
    robots: ForeignRobots,
    network: OwnNetwork,
    hosts: Vec<Ipv4Addr>,
    port: u16,
) -> io::Result<()> {
    let socket = open(network)?;
    let ping = Ping::new(socket.local_addr()?.port()).encode();
    let send = async {
        for some in hosts.chunks(AT_ONCE) {
            for host in some {
                // A host that cannot be reached is not there.
                let _ = socket.send_to(&ping, (*host, port)).await;
            }
            sleep(PAUSE).await;
        }
        sleep(PATIENCE).await;
    };
    tokio::select! {
        () = send => Ok(()),
        read = read_answers(&socket, network, &robots) => read,
    }
}

async fn read_answers(socket: &UdpSocket, network: OwnNetwork, robots: &ForeignRobots) -> io::Result<()> {
    let mut buffer = [0; MAX_PONG_BYTES + 1];
    let mut answered = BTreeSet::new();
    while answered.len() < MAX_ANSWERS {
        let (length, source) = socket.recv_from(&mut buffer).await?;
        // A host has one answer, so that it cannot use up those of others.
        if network.contains(source.ip()) && answered.insert(source.ip()) {
            robots.take_pong(&buffer[..length], source.ip());
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::super::responder::serve;
    use super::super::{ForeignSettings, Profile};
    use super::*;

    fn loopback(address: [u8; 4]) -> OwnNetwork {
        let netmask = Ipv4Addr::new(255, 255, 255, 248);
        OwnNetwork { interface: 1, address: address.into(), netmask }
    }

    #[tokio::test]
    async fn a_ping_finds_a_robot_that_answers() {
        let socket = UdpSocket::bind("127.77.0.3:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let profile =
            Profile { name: "duckie7".into(), robot_type: Some("duckiebot".into()), ..Profile::default() };
        let networks = watch::Sender::new(vec![loopback([127, 77, 0, 3])]);
        let (own, profile) = (networks.subscribe(), watch::Sender::new(profile));
        let answering = tokio::spawn(async move {
            let _ = serve(&socket, &own, &profile.subscribe()).await;
        });
        let robots = ForeignRobots::new(ForeignSettings::default());
        ping_all(&robots, &[loopback([127, 77, 0, 2])], port).await;
        let found = robots.list();
        let [robot] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((robot.name.as_str(), robot.robot_type.as_deref()), ("duckie7", Some("duckiebot")));
        assert_eq!(robot.configuration.as_deref(), Some("UNKNOWN"));
        assert_eq!((robot.address, robot.is_by_ping), (Some([127, 77, 0, 3].into()), true));
        answering.abort();
    }
}
