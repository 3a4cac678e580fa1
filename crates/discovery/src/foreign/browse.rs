//! Asks the own networks for facts of robots, by multicast DNS.
//!
//! The questions come from ephemeral ports (RFC 6762, section 6.7), so the answers come back by unicast. Port 5353
//! belongs to the multicast DNS daemon of this host and is not opened.

use super::ForeignRobots;
use super::dns::{self, MAX_MESSAGE_BYTES, Message, Question, kind};
use super::facts::service_name;
use super::limits::HostLimits;
use super::networks::OwnNetwork;
use super::own_service::own_service_name;
use super::schedule::Schedule;
use super::socket::open;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

/// The group and the port of multicast DNS.
const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);
/// Pause after an error of a socket.
const AFTER_ERROR: Duration = Duration::from_secs(10);

/// Asks at intervals, when the networks change, and when a client wants fresh facts.
pub(super) async fn browse(
    robots: &ForeignRobots,
    mut networks: watch::Receiver<Vec<OwnNetwork>>,
) -> Infallible {
    let (mut wishes, mut alone) = (robots.wishes(), robots.0.alone.subscribe());
    let mut schedule = Schedule::new(robots.now());
    let mut asked = Asked::open(robots, &networks.borrow_and_update());
    loop {
        tokio::select! {
            () = sleep_until(robots.0.started + schedule.next()) => {
                let question = question(robots.0.settings.find_foreign, *alone.borrow());
                if let Some(question) = question {
                    asked.ask(&question).await;
                }
                schedule.asked(robots.now());
            }
            Ok(()) = wishes.changed() => schedule.wanted(robots.now()),
            Ok(()) = alone.changed() => {
                if *alone.borrow_and_update() {
                    schedule.wanted(robots.now());
                }
            }
            Ok(()) = networks.changed() => {
                asked = Asked::open(robots, &networks.borrow_and_update());
                schedule.restart(robots.now());
            }
        }
    }
}

/// Returns the question for all robots without dt-swarm, if they are wanted. A node that hears nobody by lines also asks
/// for all robots with dt-swarm. Otherwise each robot of a class would answer each other one. Returns `None` when nothing
/// is asked.
fn question(finds_foreign: bool, is_alone: bool) -> Option<Vec<u8>> {
    let names = [finds_foreign.then(service_name), is_alone.then(own_service_name)].into_iter().flatten();
    let questions: Vec<_> =
        names.map(|name| Question { name, kind: kind::PTR, wants_unicast: true }).collect();
    (!questions.is_empty()).then(|| dns::write(&Message { questions, ..Message::default() }))
}

/// The networks that are asked. Dropping it ends the tasks that read the answers.
struct Asked {
    sockets: Vec<Arc<UdpSocket>>,
    _listening: JoinSet<()>,
}

impl Asked {
    fn open(robots: &ForeignRobots, networks: &[OwnNetwork]) -> Self {
        let (mut sockets, mut listening) = (Vec::new(), JoinSet::new());
        for network in networks {
            match open(*network).map(Arc::new) {
                Ok(socket) => {
                    listening.spawn(listen(socket.clone(), *network, robots.clone()));
                    sockets.push(socket);
                }
                Err(error) => tracing::debug!(?network, %error, "cannot ask for robots without dt-swarm"),
            }
        }
        Self { sockets, _listening: listening }
    }

    async fn ask(&self, question: &[u8]) {
        for socket in &self.sockets {
            if let Err(error) = socket.send_to(question, GROUP).await {
                tracing::debug!(%error, "a question for robots without dt-swarm was not sent");
            }
        }
    }
}

/// Reads the answers of hosts on a network.
async fn listen(socket: Arc<UdpSocket>, network: OwnNetwork, robots: ForeignRobots) {
    let mut buffer = vec![0; MAX_MESSAGE_BYTES + 1];
    let mut limits = HostLimits::of_read_answers();
    loop {
        let (length, source) = match socket.recv_from(&mut buffer).await {
            Ok((length, source)) => (length, source.ip()),
            Err(error) => {
                tracing::debug!(%error, "no answers of robots without dt-swarm can be read");
                sleep(AFTER_ERROR).await;
                continue;
            }
        };
        if network.contains(source) && limits.admit(source, robots.now()) {
            robots.take_message(&buffer[..length], source);
        }
    }
}
