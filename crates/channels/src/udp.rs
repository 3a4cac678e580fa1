//! UDP. Each interface that supports broadcast or multicast is one channel, which reaches all hosts on it. A host that
//! broadcasts and multicasts do not reach has a unicast channel of its own.
//!
//! Each datagram carries one line, without a line end.

mod cast;
mod intake;
mod lan;
mod names;
mod path;
mod receive;
mod send_failure;
mod settings;
mod socket;
mod sweep;
mod sweeping;
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
use intake::Intake;
use lan::Lan;
use names::{Lookup, Names};
use path::Tokens;
use routing::{Capacity, ChannelEvent, ChannelId, MAX_LINE_BYTES, Medium, Target};
use send_failure::SendStreak;
use socket::{Departure, Sockets};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use sweep::SweepBudget;
use telemetry::{FaultReport, faults, report};
use tokio::sync::{mpsc, watch as watched};
use tokio::time::Instant;
use trouble::LastReports;
use unicast::Unicast;
use upkeep::Upkeep;

/// Maximum number of lines queued for sending.
const MAX_WAITING: usize = 1024;
/// Name under which faults of UDP as a whole are reported.
const UDP: &str = "udp";

struct Udp {
    settings: UdpSettings,
    switchboard: Switchboard,
    sockets: Sockets,
    /// Interfaces in use.
    lans: Vec<Lan>,
    unicast: Unicast,
    names: Names,
    /// Results of sending to each host that has its own channel.
    sending: BTreeMap<SocketAddr, SendStreak>,
    last_reports: LastReports,
    tokens: Tokens,
    /// Time of the last report of a host of another swarm.
    other_swarm: Option<Duration>,
    intake: Intake,
    sweep_budget: SweepBudget,
    outgoing: mpsc::Sender<OutgoingLine>,
    started: Instant,
}

/// Sends and receives until it is dropped. Returns only with an error.
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
        other_swarm: None,
        intake: Intake::default(),
        sweep_budget: SweepBudget::default(),
        outgoing,
        started: Instant::now(),
    };
    udp.run(waiting).await
}

impl Udp {
    async fn run(mut self, mut waiting: mpsc::Receiver<OutgoingLine>) -> Result<(), BindError> {
        let (mut watch, mut upkeep) = (InterfaceWatch::new(), Upkeep::default());
        // There is no upkeep to do before the interfaces are listed.
        upkeep.done(self.now());
        let mut peers = self.settings.peers.clone();
        peers.mark_changed();
        let mut nearby = self.settings.nearby.clone();
        // One byte more than the longest datagram, so that longer ones are detected.
        let mut buffer = vec![0; MAX_LINE_BYTES + MAX_OVERHEAD + 1];
        loop {
            let latest = upkeep.latest(self.is_troubled(), self.next_look_up()).min(self.next_sweep());
            tokio::select! {
                () = watch.changed() => {
                    self.list_interfaces().await;
                    upkeep = Upkeep::default();
                }
                () = tokio::time::sleep_until(self.started + latest) => {}
                Some(line) = waiting.recv() => self.send(line).await,
                received = self.sockets.receive(&mut buffer) => match received {
                    Ok(arrival) => self.receive(arrival, &buffer[..arrival.length]).await,
                    // The kernel reports errors of earlier datagrams here, such as a missing route. Receiving goes on.
                    Err(error) => tracing::debug!(%error, "a UDP socket reported an error"),
                },
                wanted = wanted(&mut peers) => self.configure(&wanted).await,
                found = self.names.next() => self.found(found).await,
                hosts = wanted(&mut nearby) => self.sweep_nearby(&hosts),
            }
            self.sweep().await;
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
            Err(error) => tracing::warn!(%error, "cannot list the network interfaces of this host"),
        }
    }

    /// Does the upkeep that depends only on time.
    async fn tend(&mut self) {
        for silent in self.unicast.silent(self.now()) {
            self.close(silent).await;
        }
        self.look_up();
        self.open_configured().await;
        self.report_faults().await;
    }

    /// Returns whether there is a fault. It may be too recent to be reported.
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
        let mut lan = Lan::new(channel, interface.clone(), self.now());
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
        // Datagrams with forged addresses open many channels.
        match is_configured {
            true => tracing::info!(%address, "a unicast channel to a configured host was opened"),
            false => tracing::debug!(%address, "a unicast channel was opened"),
        }
        let capacity = Capacity::UNICAST;
        let (name, at) = (unicast_name(address), lan::udp_line(address));
        let channel = self.up(Medium::Broadcast { name, at, line: None, capacity }).await;
        self.unicast.add(address, channel, is_configured, self.now());
        channel
    }

    async fn close(&mut self, address: SocketAddr) {
        let Some(channel) = self.unicast.remove(address) else { return };
        tracing::debug!(%address, "a unicast channel was closed");
        self.sending.remove(&address);
        self.down(channel).await;
        self.report(&unicast_name(address), None).await;
    }

    /// Applies a new list of configured peers.
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

    /// Opens and closes unicast channels so that they match the addresses of the configured hosts.
    async fn open_configured(&mut self) {
        let mut wanted = self.names.addresses();
        // All hosts may share one configuration, so the list may contain this host itself.
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

    /// Returns whether this task itself listens at an address.
    fn is_own(&self, address: SocketAddr) -> bool {
        let mut interfaces = self.lans.iter().map(|lan| &lan.interface);
        address.port() == self.settings.port && interfaces.any(|interface| interface.is_own(address.ip()))
    }

    async fn send(&mut self, outgoing: OutgoingLine) {
        let (bytes, now, port) = (self.settings.wire.write(&outgoing.line), self.now(), self.settings.port);
        let lan = self.lans.iter_mut().find(|lan| lan.channel == outgoing.channel);
        match (lan, outgoing.target) {
            (Some(lan), Target::All) => {
                lan.keep_beacon(&outgoing.line, now);
                lan.send_to_all(&self.sockets, port, &bytes, now).await;
            }
            (Some(lan), Target::Host(to)) => {
                // Uses this interface even when no route leads to the host, for example because of a wrong netmask.
                let departure = Departure { to, from: None, interface: lan.interface.index };
                note_lost(self.sockets.send(departure, &bytes).await, to);
            }
            (None, _) => {
                let Some(to) = self.unicast.of(outgoing.channel) else { return };
                self.send_to(to, &bytes).await;
            }
        }
    }

    /// Sends to a host that has its own channel. Drops the line if the address of the host may be forged.
    async fn send_to(&mut self, to: SocketAddr, bytes: &[u8]) {
        if !self.unicast.may_send(to, bytes.len()) {
            return tracing::debug!(%to, "a datagram was not sent: the host has not proven its address");
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

    /// Reports the fault of a channel, or `None` when the channel works again. Does nothing if the last report was the
    /// same.
    async fn report(&mut self, name: &str, fault: Option<FaultReport>) {
        if self.last_reports.is_new(name, fault.as_ref()) {
            match &fault {
                Some(fault) => tracing::warn!("{fault}"),
                None => tracing::info!(name, "a UDP channel works again"),
            }
            self.switchboard.report(ChannelEvent::Trouble { name: name.to_owned(), fault }).await;
        }
    }
}

fn unicast_name(address: SocketAddr) -> String {
    format!("{UDP} {address}")
}

/// Logs a datagram that could not be sent, for example because Wi-Fi is down or a queue is full. Its record is sent
/// again or repaired later.
fn note_lost(sent: std::io::Result<()>, to: SocketAddr) {
    if let Err(error) = sent {
        tracing::debug!(%to, %error, "a datagram could not be sent");
    }
}

/// Waits for the next change of the configured peers, and returns them.
async fn wanted<T: Clone>(list: &mut watched::Receiver<Vec<T>>) -> Vec<T> {
    match list.changed().await {
        Ok(()) => list.borrow_and_update().clone(),
        // The sender is gone, so the peers cannot change any more.
        Err(_) => std::future::pending().await,
    }
}
