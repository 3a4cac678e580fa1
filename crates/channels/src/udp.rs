//! UDP: each fit interface is a channel to all hosts on it, by broadcast and multicast. Each host that is not reached so
//! has a unicast channel of its own.
//!
//! One datagram is one line, without a line end.

mod cast;
mod lan;
mod names;
mod path;
mod receive;
mod send_failure;
mod settings;
mod socket;
mod trouble;
mod unicast;
mod upkeep;

pub use settings::{UdpPeer, UdpSettings};

use crate::bind_error::{BindError, Transport};
use crate::interface_watch::InterfaceWatch;
use crate::interfaces::Interface;
use crate::route::{OutgoingLine, Route};
use crate::switchboard::Switchboard;
use crate::wire::MAX_OVERHEAD;
use lan::Lan;
use names::{Lookup, Names};
use path::Tokens;
use routing::{Capacity, ChannelEvent, ChannelId, MAX_LINE_BYTES, Medium, Target};
use send_failure::SendStreak;
use socket::{Departure, Sockets};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::{FaultReport, faults, report};
use tokio::sync::{mpsc, watch as watched};
use tokio::time::Instant;
use trouble::LastReports;
use unicast::Unicast;
use upkeep::Upkeep;

/// The most datagrams that may wait to be sent.
const MAX_WAITING: usize = 1024;
/// The name under which faults of UDP as a whole are reported.
const UDP: &str = "udp";

struct Udp {
    settings: UdpSettings,
    switchboard: Switchboard,
    sockets: Sockets,
    /// The interfaces in use.
    lans: Vec<Lan>,
    unicast: Unicast,
    names: Names,
    /// How sending to each host with a channel of its own goes.
    sending: BTreeMap<SocketAddr, SendStreak>,
    last_reports: LastReports,
    tokens: Tokens,
    outgoing: mpsc::Sender<OutgoingLine>,
    started: Instant,
}

/// Sends and receives until it is dropped; ends only with an error.
///
/// # Errors
/// When the port cannot be opened.
pub async fn run_udp(settings: UdpSettings, switchboard: Switchboard) -> Result<(), BindError> {
    let port = settings.port;
    let sockets = Sockets::open(port).map_err(|source| BindError::new(Transport::Udp, port, source))?;
    let (outgoing, waiting) = mpsc::channel(MAX_WAITING);
    let udp = Udp {
        settings,
        switchboard,
        sockets,
        lans: Vec::new(),
        unicast: Unicast::default(),
        names: Names::default(),
        sending: BTreeMap::new(),
        last_reports: LastReports::default(),
        tokens: Tokens::default(),
        outgoing,
        started: Instant::now(),
    };
    udp.run(waiting).await
}

impl Udp {
    async fn run(mut self, mut waiting: mpsc::Receiver<OutgoingLine>) -> Result<(), BindError> {
        let (mut watch, mut upkeep) = (InterfaceWatch::new(), Upkeep::default());
        // Before the interfaces are listed there is nothing to look after.
        upkeep.done(self.now());
        let mut peers = self.settings.peers.clone();
        peers.mark_changed();
        // One byte more than a datagram may have, so that a longer one shows.
        let mut buffer = vec![0; MAX_LINE_BYTES + MAX_OVERHEAD + 1];
        loop {
            let latest = upkeep.latest(self.is_troubled(), self.next_look_up());
            tokio::select! {
                () = watch.changed() => {
                    self.list_interfaces().await;
                    upkeep = Upkeep::default();
                }
                () = tokio::time::sleep_until(self.started + latest) => {}
                Some(line) = waiting.recv() => self.send(line).await,
                received = self.sockets.receive(&mut buffer) => match received {
                    Ok(arrival) => self.receive(arrival, &buffer[..arrival.length]).await,
                    // The kernel reports here what an earlier datagram met (no route, nobody there); it ends nothing.
                    Err(error) => tracing::debug!(%error, "UDP"),
                },
                wanted = wanted(&mut peers) => self.configure(&wanted).await,
                found = self.names.next() => self.found(found).await,
            }
            if upkeep.is_due(self.now(), self.is_troubled(), self.next_look_up()) {
                self.tend().await;
                upkeep.done(self.now());
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    async fn list_interfaces(&mut self) {
        match self.settings.interfaces.interfaces() {
            Ok(current) => self.use_interfaces(current).await,
            Err(error) => tracing::warn!(%error, "cannot list this host's networks"),
        }
    }

    /// Looks after everything that changes by the passing of time.
    async fn tend(&mut self) {
        for silent in self.unicast.silent(self.now()) {
            self.close(silent).await;
        }
        self.look_up();
        self.open_configured().await;
        self.report_faults().await;
    }

    /// Whether something is wrong, reported or not yet.
    fn is_troubled(&self) -> bool {
        let is_failing = |lan: &Lan| lan.sending.is_failing() || lan.broadcasting.is_failing();
        !self.last_reports.is_empty()
            || self.lans.iter().any(is_failing)
            || self.sending.values().any(SendStreak::is_failing)
    }

    fn look_up(&mut self) {
        let (now, unicast) = (self.now(), &self.unicast);
        self.names.look_up(now, |address| unicast.get(address).map(|peer| peer.heard));
    }

    fn next_look_up(&self) -> Option<Duration> {
        self.names.next_look_up(|address| self.unicast.get(address).map(|peer| peer.heard))
    }

    async fn use_interfaces(&mut self, current: Vec<Interface>) {
        let (port, line_port) = (self.settings.port, self.settings.line_port);
        let medium = |interface: &Interface| Lan::medium(interface, port, line_port);
        let is_same = |old: &Interface, new: &Interface| old.index == new.index && medium(old) == medium(new);
        let is_gone = |lan: &mut Lan| !current.iter().any(|new| is_same(&lan.interface, new));
        for gone in self.lans.extract_if(.., is_gone).collect::<Vec<_>>() {
            tracing::info!(interface = %gone.interface, "an interface is gone");
            self.sockets.leave(gone.interface.index);
            self.down(gone.channel).await;
            self.report(&gone.interface.name, None).await;
        }
        for interface in current {
            match self.lans.iter_mut().find(|lan| lan.interface.index == interface.index) {
                Some(lan) => lan.refresh(interface, &self.sockets),
                None => self.join(interface, medium).await,
            }
        }
    }

    async fn join(&mut self, interface: Interface, medium: impl Fn(&Interface) -> Medium) {
        tracing::info!(%interface, "broadcasting on an interface");
        let channel = self.up(medium(&interface)).await;
        let mut lan = Lan::new(channel, interface.clone());
        lan.refresh(interface, &self.sockets);
        self.lans.push(lan);
    }

    async fn up(&mut self, medium: Medium) -> ChannelId {
        let channel = self.switchboard.new_id();
        self.switchboard.add(channel, Route::Network(self.outgoing.clone()));
        self.switchboard.report(ChannelEvent::Up { channel, medium }).await;
        channel
    }

    async fn down(&mut self, channel: ChannelId) {
        self.switchboard.remove(channel);
        self.switchboard.report(ChannelEvent::Down { channel }).await;
    }

    /// Opens a channel to one host.
    async fn open(&mut self, address: SocketAddr, is_configured: bool) -> ChannelId {
        tracing::info!(%address, is_configured, "a unicast channel begins");
        let capacity = Capacity::UNICAST;
        let (name, at) = (unicast_name(address), lan::udp_line(address));
        let channel = self.up(Medium::Broadcast { name, at, line: None, capacity }).await;
        self.unicast.add(address, channel, is_configured, self.now());
        channel
    }

    async fn close(&mut self, address: SocketAddr) {
        let Some(channel) = self.unicast.remove(address) else { return };
        tracing::info!(%address, "a unicast channel ends");
        self.sending.remove(&address);
        self.down(channel).await;
        self.report(&unicast_name(address), None).await;
    }

    /// Takes over the configured peers.
    async fn configure(&mut self, wanted: &[UdpPeer]) {
        for gone in self.names.set(wanted) {
            self.report(&format!("{UDP} {gone}"), None).await;
        }
        self.look_up();
        self.open_configured().await;
    }

    async fn found(&mut self, lookup: Lookup) {
        let name = format!("{UDP} {}", lookup.0);
        let fault = self.names.found(lookup, self.sockets.has_ipv6(), self.now());
        self.report(&name, fault).await;
        self.open_configured().await;
    }

    /// Opens and closes channels until those of configured hosts are the ones that are wanted now.
    async fn open_configured(&mut self) {
        let mut wanted = self.names.addresses();
        // All hosts may have the same configuration, in which each finds itself.
        wanted.retain(|address| !self.is_own(*address));
        for address in self.unicast.configured() {
            if !wanted.contains(&address) {
                self.close(address).await;
            }
        }
        for address in wanted {
            if !self.unicast.configure(address) {
                self.open(address, true).await;
            }
        }
    }

    /// Whether this task itself listens at an address.
    fn is_own(&self, address: SocketAddr) -> bool {
        let mut interfaces = self.lans.iter().map(|lan| &lan.interface);
        address.port() == self.settings.port && interfaces.any(|interface| interface.is_own(address.ip()))
    }

    async fn send(&mut self, outgoing: OutgoingLine) {
        let (bytes, now, port) = (self.settings.wire.write(&outgoing.line), self.now(), self.settings.port);
        let lan = self.lans.iter_mut().find(|lan| lan.channel == outgoing.channel);
        match (lan, outgoing.target) {
            (Some(lan), Target::All) => lan.send_to_all(&self.sockets, port, &bytes, now).await,
            (Some(lan), Target::Host(to)) => {
                // By this interface also when no route leads there, as when the netmask is wrong.
                let departure = Departure { to, from: None, interface: lan.interface.index };
                note_lost(self.sockets.send(departure, &bytes).await, to);
            }
            (None, _) => {
                let Some(to) = self.unicast.of(outgoing.channel) else { return };
                self.send_to(to, &bytes).await;
            }
        }
    }

    /// Sends to a host that has a channel of its own, unless its address may be forged.
    async fn send_to(&mut self, to: SocketAddr, bytes: &[u8]) {
        if !self.unicast.may_send(to, bytes.len()) {
            return tracing::debug!(%to, "it has not proven that it is there");
        }
        let from = self.unicast.get(to).and_then(|peer| peer.local);
        let sent = self.sockets.send(Departure { to, from, interface: 0 }, bytes).await;
        let now = self.now();
        self.sending.entry(to).or_default().note(&sent, now);
        note_lost(sent, to);
    }

    async fn report_faults(&mut self) {
        let (now, port) = (self.now(), self.settings.port);
        let of_lan = |lan: &Lan| (lan.interface.name.clone(), trouble::lan_fault(lan, port, now));
        let mut all: Vec<_> = self.lans.iter().map(of_lan).collect();
        all.extend(self.sending.iter().map(|(address, sending)| {
            let fault = sending.failure(now).map(|failure| failure.report(address));
            (unicast_name(*address), fault)
        }));
        all.push((UDP.to_owned(), self.lans.is_empty().then(|| self.no_interface())));
        for (name, fault) in all {
            self.report(&name, fault).await;
        }
    }

    fn no_interface(&self) -> FaultReport {
        let patterns = self.settings.interfaces.patterns();
        match patterns.is_empty() {
            true => report!(faults::UDP_NO_INTERFACE),
            false => report!(faults::UDP_NO_INTERFACE_CHOSEN, patterns = patterns),
        }
    }

    /// Reports what is wrong with a channel, or with `None` that it works, if that is new.
    async fn report(&mut self, name: &str, fault: Option<FaultReport>) {
        if self.last_reports.is_new(name, fault.as_ref()) {
            match &fault {
                Some(fault) => tracing::warn!("{fault}"),
                None => tracing::info!(name, "works again"),
            }
            self.switchboard.report(ChannelEvent::Trouble { name: name.to_owned(), fault }).await;
        }
    }
}

fn unicast_name(address: SocketAddr) -> String {
    format!("{UDP} {address}")
}

/// Logs a datagram that was not sent, because Wi-Fi is just gone or a queue is full. Its record is sent again, or repaired.
fn note_lost(sent: std::io::Result<()>, to: SocketAddr) {
    if let Err(error) = sent {
        tracing::debug!(%to, %error, "a datagram could not be sent");
    }
}

/// Returns the configured peers each time that they change.
async fn wanted(peers: &mut watched::Receiver<Vec<UdpPeer>>) -> Vec<UdpPeer> {
    match peers.changed().await {
        Ok(()) => peers.borrow_and_update().clone(),
        // Nobody can change them any more.
        Err(_) => std::future::pending().await,
    }
}
