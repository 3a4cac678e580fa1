//! Links between two nodes. They deliver lines in order and without loss, with a limited rate and a delay.
//!
//! The model is an estimate. A line takes its bytes, its line end, and 66 bytes of headers (Ethernet, IP, TCP with time
//! stamps) for each 1448 bytes. Opening and closing takes seven segments without content. Acknowledgements are not
//! counted. Where datagrams get lost, segments do too. Each loss of a segment delays its line by 200 ms, 400 ms, ...,
//! and all lines after it wait for it. Each loss while the link is opened takes one second, then two, as in TCP.

use crate::network::{Conditions, NetworkId};
use crate::node::Life;
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use routing::ChannelId;
use std::net::SocketAddr;
use std::time::Duration;

/// Timeout of an attempt to connect, as in the settings of the channels.
pub(crate) const RINGING: Duration = Duration::from_secs(5);
/// Time after which a silent link is closed, as in the settings of the channels.
pub(crate) const SILENT: Duration = Duration::from_secs(60);
/// Time after which a link is closed if the other side reads nothing, as in the settings of the channels.
pub(crate) const STUCK: Duration = Duration::from_secs(20);
/// Time for which a link stays open after the peer closed its side, so that an answer can still be sent.
pub(crate) const LINGER: Duration = Duration::from_secs(300);
/// Maximum number of links that a node has, as in the daemon.
pub(crate) const MOST: usize = 64;

const HEADERS: usize = 66;
const SEGMENT: usize = 1448;
/// Number of bytes for opening and closing a link. They count as sent by the node that dialled.
pub(crate) const OPENING: u64 = 7 * HEADERS as u64;
const RESEND: Duration = Duration::from_millis(200);
/// Time after which the first segment of a link is sent again, as in Linux.
const OPEN_AGAIN: Duration = Duration::from_secs(1);
/// Maximum number of times that a segment is lost. Even on a bad network, TCP delivers it within some seconds.
const MOST_RESENDS: u32 = 5;

/// Number of a link.
pub(crate) type LinkId = u64;

/// One end of a link. Side 0 belongs to the node that dialled, side 1 to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EndOf {
    pub(crate) link: LinkId,
    pub(crate) side: usize,
}

impl EndOf {
    pub(crate) fn other(self) -> Self {
        Self { link: self.link, side: 1 - self.side }
    }
}

/// State of one end of a link.
#[derive(Debug)]
pub(crate) struct End {
    /// The run of the node that it belongs to.
    pub(crate) life: Life,
    /// Its channel at that node, while it is up.
    pub(crate) channel: Option<ChannelId>,
    /// Time at which the last of the lines given to it is sent completely.
    pub(crate) free: Duration,
    /// Time at which the last line that it sent arrives.
    arrival: Duration,
    /// Time at which something last arrived.
    pub(crate) heard: Duration,
    /// Whether a check of `free` is planned.
    pub(crate) is_awaited: bool,
    /// Whether its node has asked to close it.
    pub(crate) is_closing: bool,
    /// Whether the other side will send no more lines.
    pub(crate) is_ended: bool,
}

impl End {
    fn new(life: Life, now: Duration) -> Self {
        let (free, arrival, heard) = (now, now, now);
        let (is_awaited, is_closing, is_ended) = (false, false, false);
        Self { life, channel: None, free, arrival, heard, is_awaited, is_closing, is_ended }
    }

    /// Delays all arrivals until `other`, the time at which the other side learns that the link is up.
    pub(crate) fn waits_for(&mut self, other: Duration) {
        self.arrival = self.arrival.max(other);
    }

    /// Returns the time at which the last line that was sent arrives.
    pub(crate) fn last_arrival(&self) -> Duration {
        self.arrival
    }

    /// Takes a line to send, and returns the time at which it arrives.
    pub(crate) fn send(
        &mut self,
        bytes: u64,
        on: &Conditions,
        now: Duration,
        random: &mut ChaCha8Rng,
    ) -> Duration {
        let takes = Duration::from_secs_f64(bytes as f64 / f64::from(on.link_rate.max(1)));
        self.free = self.free.max(now) + takes;
        let segments = bytes.div_ceil((SEGMENT + HEADERS) as u64);
        let late: Duration = (0..segments).map(|_| resends(on.loss, RESEND, random)).sum();
        self.arrival = self.arrival.max(self.free + on.delay + late);
        self.arrival
    }
}

/// Returns the time by which losses delay a segment, when `first` is the time until it is sent for the second time. Each
/// further try takes twice as long.
fn resends(loss: f64, first: Duration, random: &mut ChaCha8Rng) -> Duration {
    let mut late = Duration::ZERO;
    for resend in 0..MOST_RESENDS {
        if loss <= 0.0 || !random.random_bool(loss) {
            break;
        }
        late += first * (1 << resend);
    }
    late
}

/// Returns the time by which losses delay the opening of a link. Its first segment and the answer may get lost.
pub(crate) fn opening_delay(loss: f64, random: &mut ChaCha8Rng) -> Duration {
    resends(loss * (2.0 - loss), OPEN_AGAIN, random)
}

/// A link between two nodes.
#[derive(Debug)]
pub(crate) struct Link {
    /// Network that it runs over.
    pub(crate) network: NetworkId,
    /// Address that was dialled.
    pub(crate) address: SocketAddr,
    pub(crate) ends: [End; 2],
    /// Whether no more lines arrive. The ends may not have noticed that yet.
    pub(crate) is_broken: bool,
    /// Whether the node that dialled knows that the link is up.
    pub(crate) is_connected: bool,
}

impl Link {
    pub(crate) fn new(network: NetworkId, address: SocketAddr, ends: [Life; 2], now: Duration) -> Self {
        Self {
            network,
            address,
            ends: ends.map(|life| End::new(life, now)),
            is_broken: false,
            is_connected: false,
        }
    }
}

/// Returns the size of a line on the wire of a link.
pub(crate) fn wire_bytes(line: usize) -> u64 {
    (line + 1 + (line + 1).div_ceil(SEGMENT) * HEADERS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;

    #[test]
    fn lines_keep_their_order_and_the_rate() {
        let on = Conditions {
            loss: 0.3,
            duplication: 0.5,
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(50),
            link_rate: 100_000,
        };
        let (mut end, mut random) =
            (End::new(Life { node: 0, number: 1 }, Duration::ZERO), ChaCha8Rng::seed_from_u64(1));
        let arrivals: Vec<_> = (0..1000).map(|_| end.send(1000, &on, Duration::ZERO, &mut random)).collect();
        assert!(arrivals.is_sorted());
        assert!(end.free > Duration::from_millis(9990) && end.free < Duration::from_millis(10_010));
        assert!(arrivals[0] >= Duration::from_millis(20));
    }
}
