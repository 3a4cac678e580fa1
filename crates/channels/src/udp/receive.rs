//! Handles received datagrams.

use super::Udp;
use super::cast::{CastMode, LineReach};
use super::path::Path;
use super::socket::Arrival;
use super::unicast::Admission;
use crate::wire::Wire;
use routing::{Address, ChannelEvent, ChannelId, Envelope};
use seal::Unsealed;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::time::Duration;

/// Minimum interval between two reports of hosts of other swarms, so that a flood of their datagrams costs little.
const OTHER_SWARM_EVERY: Duration = Duration::from_secs(1);

impl Udp {
    pub(super) async fn receive(&mut self, arrival: Arrival, bytes: &[u8]) {
        // The sender of a broadcast hears it as well.
        if self.is_own(arrival.source) || !self.takes(arrival.source).await {
            return;
        }
        let wire: Wire = self.settings.wire.clone();
        let line = match wire.open(bytes) {
            Ok(line) => line,
            Err(reason) => return self.refuse(arrival.source, reason).await,
        };
        if wire.seems_sealed(bytes) {
            self.report_other_swarm(arrival.source).await;
        }
        let lan = self.lans.iter().position(|lan| lan.interface.index == arrival.interface);
        let mode = lan.and_then(|lan| self.lans[lan].cast_mode(arrival.destination));
        let event = match (lan, mode) {
            (Some(lan), Some(mode)) => {
                let envelope = decode(arrival, &line);
                let mut reaches_all = true;
                if let Ok(envelope) = &envelope {
                    match self.note_cast(lan, mode, envelope, arrival.source, &line) {
                        Some(known) => reaches_all = known,
                        None => return,
                    }
                }
                report(self.lans[lan].channel, arrival, envelope, reaches_all)
            }
            // The datagram is for all hosts on a network that this node does not use, or does not use yet. It is not
            // meant for this host alone.
            _ if !arrival.is_unicast => return,
            _ => match self.receive_unicast(lan, arrival, &line).await {
                Some(event) => event,
                None => return,
            },
        };
        self.switchboard.report(event).await;
    }

    /// Returns whether the host that sent a datagram is within its limit. The brain checks the same limit, but after the
    /// cost of opening and decoding.
    async fn takes(&mut self, source: SocketAddr) -> bool {
        let now = self.now();
        let takes = self.intake.takes(source.ip(), now);
        if let Some(datagrams) = self.intake.report(now) {
            self.switchboard.report(ChannelEvent::OverBudget { datagrams }).await;
        }
        takes
    }

    /// Reports a datagram that could not be opened, unless it is a replay or was sent by this node itself.
    async fn refuse(&mut self, source: SocketAddr, reason: Unsealed) {
        tracing::debug!(%source, %reason, "a datagram was refused");
        if matches!(reason, Unsealed::Plain | Unsealed::Forged) {
            self.report_other_swarm(source).await;
        }
    }

    /// Reports that a host belongs to another swarm, at most once in [`OTHER_SWARM_EVERY`].
    async fn report_other_swarm(&mut self, source: SocketAddr) {
        let now = self.now();
        if self.other_swarm.is_none_or(|last| now.saturating_sub(last) >= OTHER_SWARM_EVERY) {
            self.other_swarm = Some(now);
            self.switchboard.report(ChannelEvent::OtherSwarm { source }).await;
        }
    }

    /// Records which peer was heard by which mode. Returns whether the line reaches all peers on the interface, or `None`
    /// for a line that need not be reported: a copy of one that arrived by another mode. The copy of a beacon is reported
    /// if only both modes together reach all peers, because it then suppresses the beacon of this node.
    fn note_cast(
        &mut self,
        lan: usize,
        mode: CastMode,
        envelope: &Envelope,
        source: SocketAddr,
        line: &[u8],
    ) -> Option<bool> {
        let now = self.now();
        let lan = &mut self.lans[lan];
        lan.meet(source.ip(), now);
        lan.sweep.heard_by_cast(now);
        let peer = envelope.from.brain_of();
        // A forwarded line does not show where its original sender is.
        if let Some(peer) = peer.filter(|_| envelope.hops == 0) {
            self.settings.heard.note(lan.interface.index, peer, source.ip());
        }
        let Some(peer) = peer else { return Some(true) };
        let (is_new, has_beacon) = (lan.cast.heard(peer, mode, hash(line), now), envelope.beacon.is_some());
        // Other lines suppress nothing.
        let reach = if has_beacon { lan.cast.reach(peer, mode, now) } else { LineReach::All };
        match (is_new, reach) {
            (true, reach) => Some(reach != LineReach::Some),
            (false, LineReach::AllByThis) => Some(true),
            (false, _) => None,
        }
    }

    /// Handles a datagram for this host alone. Returns the event to report.
    async fn receive_unicast(
        &mut self,
        lan: Option<usize>,
        arrival: Arrival,
        line: &[u8],
    ) -> Option<ChannelEvent> {
        if let Some(path) = Path::parse(line) {
            self.open_swept(lan, arrival.source).await;
            self.handle_path(path, arrival).await;
            return None;
        }
        let envelope = decode(arrival, line);
        let for_all = envelope
            .as_ref()
            .is_ok_and(|envelope| envelope.hops == 0 && envelope.to == Address::every_brain());
        if for_all {
            self.welcome(lan, arrival).await;
        }
        let channel = match self.note(arrival).await {
            Some(channel) => channel,
            // The datagram is, for example, an answer of a host on the same link. A distant host has to send a line for
            // all hosts first. It then gets a channel of its own, on which an attacker cannot make this node flood a
            // victim.
            None => lan.map(|lan| &self.lans[lan]).filter(|lan| lan.is_neighbour(arrival.source))?.channel,
        };
        Some(report(channel, arrival, envelope, true))
    }

    /// Opens a channel to a host that sends its lines for all hosts by unicast.
    async fn welcome(&mut self, lan: Option<usize>, arrival: Arrival) {
        let (source, now) = (arrival.source, self.now());
        if let Some(lan) = lan {
            self.lans[lan].note_unicast(source, now);
            self.lans[lan].sweep.heard_by_unicast(now);
        }
        if self.unicast.get(source).is_some() {
            return;
        }
        self.admit(source).await;
    }

    /// Opens a channel to a host that is not configured, if there is room. Returns whether it did.
    pub(super) async fn admit(&mut self, source: SocketAddr) -> bool {
        match self.unicast.admission(source) {
            Admission::Free => {}
            Admission::InsteadOf(other) => self.close(other).await,
            Admission::Full => {
                tracing::debug!(%source, "too many hosts send by unicast");
                return false;
            }
        }
        self.open(source, false).await;
        true
    }

    /// Records a datagram of a host that has its own channel, and challenges the host if that is due. Returns the
    /// channel.
    async fn note(&mut self, arrival: Arrival) -> Option<ChannelId> {
        let now = self.now();
        let Arrival { source, destination, length, .. } = arrival;
        let (channel, is_to_prove) = self.unicast.note(source, destination, length, now)?;
        if is_to_prove {
            let challenge = Path::Challenge(self.tokens.of(source)).line();
            self.send_to(source, &self.settings.wire.write(&challenge)).await;
        }
        Some(channel)
    }

    /// Answers the challenge of a host, or checks its response.
    async fn handle_path(&mut self, path: Path, arrival: Arrival) {
        if self.note(arrival).await.is_none() {
            return;
        }
        match path {
            Path::Challenge(token) => {
                let response = self.settings.wire.write(&Path::Response(token).line());
                self.send_to(arrival.source, &response).await;
            }
            Path::Response(token) if token == self.tokens.of(arrival.source) => {
                self.unicast.prove(arrival.source);
            }
            Path::Response(_) => {}
        }
    }
}

fn decode(arrival: Arrival, line: &[u8]) -> Result<Envelope, String> {
    if arrival.is_cut {
        return Err("it is too long".to_owned());
    }
    Envelope::decode(line).map_err(|error| error.to_string())
}

fn report(
    channel: ChannelId,
    arrival: Arrival,
    envelope: Result<Envelope, String>,
    reaches_all: bool,
) -> ChannelEvent {
    let (source, bytes) = (arrival.source, arrival.length);
    match envelope {
        Ok(envelope) => {
            ChannelEvent::Received { channel, source: Some(source), envelope, bytes, reaches_all }
        }
        Err(error) => {
            tracing::debug!(%source, error, "a datagram is not a valid line");
            ChannelEvent::Malformed { channel }
        }
    }
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}
