//! Publishes the facts and the own service of this robot by multicast DNS.
//!
//! A second multicast DNS daemon on a host disturbs the first one. So this one runs only while port 5353 is free and
//! Avahi does not run, and it ends when Avahi is started. While Avahi runs, it publishes the own service: see
//! [`avahi`](super::avahi). The facts are left to the image of the robot then, which has files for them.

use super::Profile;
use super::avahi;
use super::dns::{self, MAX_MESSAGE_BYTES, Message};
use super::limits::HostLimits;
use super::networks::OwnNetwork;
use super::publish::Publication;
use super::responder::others_start;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use targets::{Allowance, Tokens};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep, timeout};

/// The group of multicast DNS.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
/// The port of multicast DNS.
const PORT: u16 = 5353;
/// Time between two looks whether another program uses multicast DNS.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// Number of questions whether another host has the same name, and the time to wait after each (RFC 6762, section 8.1).
const PROBES: (u32, Duration) = (3, Duration::from_millis(250));
/// Time between the two announcements (RFC 6762, section 8.3).
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(1);
/// Answers to all hosts of a network.
const ANSWERS: Allowance = Allowance { burst: 20, per_minute: 60 };

/// Publishes whenever no other program does, or lets Avahi do it.
pub(super) async fn advertise(
    mut networks: watch::Receiver<Vec<OwnNetwork>>,
    mut profile: watch::Receiver<Profile>,
    publishes_facts: bool,
) -> Infallible {
    loop {
        let publication = Publication::of(&profile.borrow_and_update(), publishes_facts);
        let (present, by_avahi) = (networks.borrow_and_update().clone(), avahi::is_running());
        let ended = async {
            match publication {
                Some(publication) if by_avahi => avahi::publish(&publication, LOOK_AGAIN).await,
                Some(publication) if !present.is_empty() => publish_alone(publication, present).await,
                _ => sleep(LOOK_AGAIN).await,
            }
        };
        // When one of these changes, the former facts are withdrawn. Avahi follows the networks itself.
        tokio::select! {
            () = ended => {}
            Ok(()) = networks.changed(), if !by_avahi => {}
            Ok(()) = profile.changed() => {}
        }
    }
}

/// Returns whether no other program on this host uses multicast DNS.
fn is_alone() -> bool {
    // Without the option to share the port, binding fails if any other program has it.
    let is_free = || std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).is_ok();
    !avahi::is_running() && is_free()
}

/// Publishes while no other program on this host uses multicast DNS. Returns some time after that.
async fn publish_alone(publication: Publication, networks: Vec<OwnNetwork>) {
    sleep(others_start()).await;
    if is_alone() {
        let ended = publish(publication, networks).await;
        tracing::debug!(?ended, "the facts of this robot are not published by multicast DNS now");
    }
    // If Avahi was just started, it publishes now.
    if !avahi::is_running() {
        sleep(LOOK_AGAIN).await;
    }
}

/// Publishes until another host or program makes that wrong. Dropping the future withdraws everything.
async fn publish(wanted: Publication, networks: Vec<OwnNetwork>) -> io::Result<()> {
    let mut advertiser = Advertiser::open(wanted, networks)?;
    let mut buffer = vec![0; MAX_MESSAGE_BYTES + 1];
    advertiser.claim(&mut buffer).await?;
    let again = sleep(ANNOUNCE_AGAIN);
    tokio::pin!(again);
    let mut is_repeated = false;
    let mut look = interval_at(Instant::now() + LOOK_AGAIN, LOOK_AGAIN);
    while !advertiser.publication.is_empty() {
        tokio::select! {
            received = advertiser.socket.recv_from(&mut buffer) => {
                let (length, source) = received?;
                advertiser.receive(&buffer[..length], source);
            }
            () = &mut again, if !is_repeated => {
                advertiser.announce();
                is_repeated = true;
            }
            _ = look.tick() => {
                if avahi::is_running() {
                    return Ok(());
                }
                if advertiser.publication != advertiser.wanted {
                    advertiser.claim(&mut buffer).await?;
                }
            }
        }
    }
    Ok(())
}

/// The socket with which the facts are published. Dropping it withdraws them.
struct Advertiser {
    /// Everything that this robot has to publish.
    wanted: Publication,
    /// The part that is published now. While another host has the name of this robot, it has no facts.
    publication: Publication,
    networks: Vec<OwnNetwork>,
    socket: UdpSocket,
    started: Instant,
    to_all: Tokens,
    to_one: HostLimits,
}

impl Advertiser {
    fn open(wanted: Publication, networks: Vec<OwnNetwork>) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // A multicast DNS daemon that is started later must be able to open the port.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_multicast_ttl_v4(255)?;
        socket.set_multicast_all_v4(false)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into())?;
        for network in &networks {
            if let Err(error) = socket.join_multicast_v4(&GROUP, &network.address) {
                tracing::debug!(?network, %error, "cannot hear questions of multicast DNS");
            }
        }
        let (socket, started) = (UdpSocket::from_std(socket.into())?, Instant::now());
        let (to_all, to_one) = (Tokens::full(ANSWERS, Duration::ZERO), HostLimits::of_sent_answers());
        let (publication, _) = wanted.clone().split();
        Ok(Self { wanted, publication, networks, socket, started, to_all, to_one })
    }

    fn own(&self) -> Vec<Ipv4Addr> {
        self.networks.iter().map(|network| network.address).collect()
    }

    fn is_own(&self, source: IpAddr) -> bool {
        self.networks.iter().any(|network| network.address == source)
    }

    /// Sends to all hosts of a network.
    fn send(&self, network: &OwnNetwork, message: &Message) {
        let sent = SockRef::from(&self.socket)
            .set_multicast_if_v4(&network.address)
            .and_then(|()| self.socket.try_send_to(&dns::write(message), (GROUP, PORT).into()));
        if let Err(error) = sent {
            tracing::debug!(?network, %error, "facts of this robot were not sent");
        }
    }

    fn announce(&self) {
        self.networks
            .iter()
            .for_each(|network| self.send(network, &self.publication.announcement(network.address)));
    }

    /// Publishes everything, or only the own service if another host has the name of this one.
    async fn claim(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if !self.wanted.has_facts() || !self.is_name_taken(buffer).await? {
            self.publication = self.wanted.clone();
        } else {
            tracing::debug!("another host has the name of this robot, so its facts are not published");
        }
        self.announce();
        Ok(())
    }

    /// Withdraws the facts, because another host has the name of this one.
    fn withdraw_facts(&mut self) {
        let (own, facts) = self.publication.clone().split();
        self.withdraw(&facts);
        self.publication = own;
    }

    fn withdraw(&self, publication: &Publication) {
        if !publication.is_empty() {
            self.networks
                .iter()
                .for_each(|network| self.send(network, &publication.goodbye(network.address)));
        }
    }

    /// Asks whether another host has the name of this one.
    async fn is_name_taken(&self, buffer: &mut [u8]) -> io::Result<bool> {
        let own = self.own();
        for _ in 0..PROBES.0 {
            self.networks.iter().for_each(|network| self.send(network, &self.wanted.probe()));
            let heard = async {
                loop {
                    let (length, source) = self.socket.recv_from(buffer).await?;
                    let message = dns::read(&buffer[..length]);
                    let is_near = self.networks.iter().any(|network| network.contains(source.ip()));
                    if is_near
                        && message.is_ok_and(|message| self.wanted.is_contested(&message, source.ip(), &own))
                    {
                        return Ok(true);
                    }
                }
            };
            match timeout(PROBES.1, heard).await {
                Ok(taken) => return taken,
                Err(_) => continue,
            }
        }
        Ok(false)
    }

    /// Answers a question, or notes that another host has the name of this one.
    fn receive(&mut self, bytes: &[u8], source: SocketAddr) {
        let network = self.networks.iter().find(|network| network.contains(source.ip())).copied();
        let (Some(network), Ok(message)) = (network, dns::read(bytes)) else { return };
        if message.is_response {
            if !self.is_own(source.ip()) && self.publication.is_contested(&message, source.ip(), &self.own())
            {
                self.withdraw_facts();
            }
            return;
        }
        let is_legacy = source.port() != PORT;
        let Some(answer) = self.publication.answer(&message, network.address, is_legacy) else { return };
        let now = self.started.elapsed();
        let is_for_one = is_legacy || message.questions.iter().all(|question| question.wants_unicast);
        if is_for_one {
            if self.to_one.admit(source.ip(), now)
                && let Err(error) = self.socket.try_send_to(&dns::write(&answer), source)
            {
                tracing::debug!(%source, %error, "facts of this robot were not sent");
            }
        } else if self.to_all.has(1, ANSWERS, now) {
            self.to_all.take(1);
            self.send(&network, &answer);
        }
    }
}

impl Drop for Advertiser {
    fn drop(&mut self) {
        self.withdraw(&self.publication);
    }
}
