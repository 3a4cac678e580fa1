//! Carries out sweeps: sends the latest beacon to one address after the other, and opens channels to the hosts that
//! answer.

use super::socket::Departure;
use super::sweep::Step;
use super::{Udp, note_lost};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Time until a sweep looks again for a beacon of this node.
const NO_BEACON: Duration = Duration::from_millis(500);
/// Number of bytes that a host may get after it answered a sweep and before it proves its address: enough to answer its
/// challenge, and to challenge it. This is less than the datagram of the sweep.
const CREDIT: usize = 256;

impl Udp {
    /// Returns when the next step of a sweep is due.
    pub(super) fn next_sweep(&self) -> Duration {
        let next = self.lans.iter().map(|lan| lan.sweep.next());
        next.min().unwrap_or(Duration::MAX / 4)
    }

    /// Takes the steps of sweeps that are due.
    pub(super) async fn sweep(&mut self) {
        let now = self.now();
        for lan in 0..self.lans.len() {
            if self.lans[lan].sweep.next() <= now {
                self.sweep_one(lan, now).await;
            }
        }
    }

    /// Asks hosts at which a robot was found by other means.
    pub(super) fn sweep_nearby(&mut self, hosts: &[Ipv4Addr]) {
        let now = self.now();
        for lan in &mut self.lans {
            lan.sweep.found(&lan.interface.networks, hosts, now);
        }
    }

    async fn sweep_one(&mut self, lan: usize, now: Duration) {
        let (port, lan) = (self.settings.port, &mut self.lans[lan]);
        let Some(line) = lan.recent_beacon(now) else { return lan.sweep.wait(now, NO_BEACON) };
        let bytes = self.settings.wire.write(line);
        if let Err(wait) = self.sweep_budget.has_room(now) {
            return lan.sweep.wait(now, wait);
        }
        match lan.sweep.take_due(now) {
            Some(Step::Begin) => {
                let nearby = self.settings.nearby.borrow().clone();
                let known = [nearby, self.settings.known.borrow().clone()].concat();
                lan.sweep.begin(&lan.interface.networks, &known, now);
                tracing::debug!(
                    interface = lan.interface.name,
                    "no neighbour is heard: asking single addresses"
                );
            }
            Some(Step::Ask(host)) => {
                self.sweep_budget.take();
                let to = SocketAddr::from((host, port));
                let departure = Departure { to, from: None, interface: lan.interface.index };
                note_lost(self.sockets.send(departure, &bytes).await, to);
            }
            None => {}
        }
    }

    /// Opens a channel to a host that answers a sweep, and allows it the few bytes of path validation.
    pub(super) async fn open_swept(&mut self, lan: Option<usize>, source: SocketAddr) {
        let (SocketAddr::V4(v4), Some(lan)) = (source, lan) else { return };
        let is_new = v4.port() == self.settings.port && self.unicast.get(source).is_none();
        if is_new && self.lans[lan].sweep.take_answer(*v4.ip()) && self.admit(source).await {
            self.unicast.credit(source, CREDIT);
        }
    }
}
