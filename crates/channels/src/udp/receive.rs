//! What becomes of a datagram that came.

use super::path::Path;
use super::socket::Arrival;
use super::unicast::Room;
use super::{Lan, Udp};
use crate::Wire;
use routing::{Address, ChannelEvent, ChannelId, Envelope};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;

impl Udp {
    pub(super) async fn receive(&mut self, arrival: Arrival, bytes: &[u8]) {
        // A broadcast is heard by its sender as well.
        if self.is_own(arrival.source) {
            return;
        }
        let wire: Wire = self.settings.wire.clone();
        let Some(line) = wire.read(bytes) else {
            return tracing::debug!(source = %arrival.source, "a datagram of another swarm");
        };
        let lan = self.lans.iter().position(|lan| lan.interface.index == arrival.interface);
        let way = lan.and_then(|lan| self.lans[lan].way_to(arrival.destination));
        let event = match (lan, way) {
            (Some(lan), Some(way)) => {
                let envelope = decode(arrival, &line);
                if let Ok(envelope) = &envelope
                    && !self.is_new(lan, way, envelope, arrival.source, &line)
                {
                    return;
                }
                report(self.lans[lan].channel, arrival, envelope)
            }
            // To all on a network that is not in use, or not yet: whoever says it does not speak to us alone.
            _ if !arrival.is_alone => return,
            _ => match self.receive_alone(lan, arrival, &line).await {
                Some(event) => event,
                None => return,
            },
        };
        self.switchboard.report(event).await;
    }

    /// Notes who was heard by which way; tells whether the line is no copy of one that came by another way.
    fn is_new(
        &mut self,
        lan: usize,
        way: super::ways::Way,
        envelope: &Envelope,
        source: SocketAddr,
        line: &[u8],
    ) -> bool {
        let now = self.now();
        let lan = &mut self.lans[lan];
        lan.meet(source.ip(), now);
        let peer = envelope.from.brain_of();
        peer.is_none_or(|peer| lan.ways.heard(peer, way, hash(line), now))
    }

    /// What came to this host alone.
    async fn receive_alone(
        &mut self,
        lan: Option<usize>,
        arrival: Arrival,
        line: &[u8],
    ) -> Option<ChannelEvent> {
        if let Some(path) = Path::parse(line) {
            self.walk(path, arrival).await;
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
            // An answer, say, of somebody who heard us on the wire. Who is far away must speak to all first, so that he
            // gets a channel on which nobody can make us flood him.
            None => lan.map(|lan| &self.lans[lan]).filter(|lan| lan.is_neighbour(arrival.source))?.channel,
        };
        Some(report(channel, arrival, envelope))
    }

    /// Opens a channel to somebody who speaks to all by speaking to us alone: so he does to each.
    async fn welcome(&mut self, lan: Option<usize>, arrival: Arrival) {
        let (source, now) = (arrival.source, self.now());
        if let Some(lan) = lan {
            note_alone(&mut self.lans[lan], source, now);
        }
        if self.unicast.get(source).is_some() {
            return;
        }
        match self.unicast.room_for(source) {
            Room::Free => {}
            Room::InsteadOf(other) => self.close(other).await,
            Room::Full => return tracing::debug!(%source, "too many hosts speak to this one alone"),
        }
        self.open(source, false).await;
    }

    /// The channel of a host that has one of its own.
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

    /// Proves to a host that we are here, or takes its proof.
    async fn walk(&mut self, path: Path, arrival: Arrival) {
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

fn note_alone(lan: &mut Lan, source: SocketAddr, now: std::time::Duration) {
    if lan.is_neighbour(source) {
        let since = lan.alone.map_or(now, |(_, since, _)| since);
        lan.alone = Some((source.ip(), since, now));
    }
}

fn decode(arrival: Arrival, line: &[u8]) -> Result<Envelope, String> {
    if arrival.is_cut {
        return Err("it is too long".to_owned());
    }
    Envelope::decode(line).map_err(|error| error.to_string())
}

fn report(channel: ChannelId, arrival: Arrival, envelope: Result<Envelope, String>) -> ChannelEvent {
    let source = arrival.source;
    match envelope {
        Ok(envelope) => {
            ChannelEvent::Received { channel, source: Some(source), envelope, bytes: arrival.length }
        }
        Err(error) => {
            tracing::debug!(%source, error, "a datagram that is no line");
            ChannelEvent::Malformed { channel }
        }
    }
}

fn hash(line: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}
