//! The dials that are under way, and who waits for them.
use std::collections::BTreeMap;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::addresses::without_peer;
use super::types::ConnectError;

/// Maximum number of dials of one peer at a time. A peer that names new addresses again and again gets no more.
const MAX_DIALS: usize = 4;

/// Where the result of a dial is sent.
pub(super) type Reply = oneshot::Sender<Result<(), ConnectError>>;

/// All dials. A peer that names new addresses while it is dialled at old ones is dialled at the new ones at once.
#[derive(Debug, Default)]
pub(super) struct Dials(BTreeMap<PeerId, DialsOfPeer>);

#[derive(Debug, Default)]
struct DialsOfPeer {
    running: Vec<(ConnectionId, Vec<Multiaddr>)>,
    replies: Vec<Reply>,
}

impl Dials {
    /// Returns those of the addresses at which the peer is not being dialled. There are none when it is being dialled as
    /// often as is allowed.
    pub(super) fn untried(&self, peer: &PeerId, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let running = self.0.get(peer).map_or(&[][..], |dials| &dials.running);
        if running.len() >= MAX_DIALS {
            return Vec::new();
        }
        let is_tried = |address: &Multiaddr| running.iter().any(|(_, tried)| tried.contains(address));
        addresses.into_iter().filter(|address| !is_tried(address)).collect()
    }

    /// Whether the peer is being dialled.
    pub(super) fn is_running(&self, peer: &PeerId) -> bool {
        self.0.get(peer).is_some_and(|dials| !dials.running.is_empty())
    }

    /// Notes a dial that has begun.
    pub(super) fn begun(&mut self, peer: PeerId, id: ConnectionId, addresses: Vec<Multiaddr>) {
        self.0.entry(peer).or_default().running.push((id, addresses));
    }

    /// Sends the result of the dials of a peer to `reply`. One of them has to be under way.
    pub(super) fn wait(&mut self, peer: PeerId, reply: Reply) {
        self.0.entry(peer).or_default().replies.push(reply);
    }

    /// Notes that a peer was reached, by one of these dials or otherwise.
    pub(super) fn reached(&mut self, peer: &PeerId, id: ConnectionId) {
        let Some(dials) = self.0.get_mut(peer) else { return };
        dials.replies.drain(..).for_each(|reply| drop(reply.send(Ok(()))));
        dials.running.retain(|(running, _)| *running != id);
        if dials.running.is_empty() {
            self.0.remove(peer);
        }
    }

    /// Notes that a dial ended because another host answered at one of its addresses. Returns its other addresses: libp2p does
    /// not go on with them. Those who wait go on waiting.
    pub(super) fn met_another(&mut self, peer: &PeerId, id: ConnectionId, at: &Multiaddr) -> Vec<Multiaddr> {
        let Some(dials) = self.0.get_mut(peer) else { return Vec::new() };
        let Some(place) = dials.running.iter().position(|(running, _)| *running == id) else {
            return Vec::new();
        };
        let (_, mut addresses) = dials.running.swap_remove(place);
        let before = addresses.len();
        addresses.retain(|address| without_peer(address) != without_peer(at));
        // Without an end this would not go on.
        if addresses.len() < before { addresses } else { Vec::new() }
    }

    /// Notes that a dial failed. Returns whether it was the last one of this peer; then those who wait are told.
    pub(super) fn failed(&mut self, peer: &PeerId, id: ConnectionId, error: &ConnectError) -> bool {
        let Some(dials) = self.0.get_mut(peer) else { return true };
        dials.running.retain(|(running, _)| *running != id);
        if !dials.running.is_empty() {
            return false;
        }
        let replies = self.0.remove(peer).into_iter().flat_map(|dials| dials.replies);
        replies.for_each(|reply| drop(reply.send(Err(error.clone()))));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Multiaddr {
        format!("/ip4/10.0.0.{last}/tcp/6002").parse().unwrap()
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn new_addresses_are_dialled_though_old_ones_still_are() {
        let (mut dials, peer) = (Dials::default(), PeerId::random());
        assert_eq!(dials.untried(&peer, vec![address(1)]), [address(1)]);
        dials.begun(peer, id(1), vec![address(1)]);
        assert!(dials.untried(&peer, vec![address(1)]).is_empty());
        assert_eq!(dials.untried(&peer, vec![address(1), address(2)]), [address(2)]);
        for number in 2..=MAX_DIALS {
            dials.begun(peer, id(number), vec![address(2)]);
        }
        assert!(dials.untried(&peer, vec![address(3)]).is_empty());
        assert_eq!(dials.untried(&PeerId::random(), vec![address(3)]), [address(3)]);
    }

    #[test]
    fn a_dial_fails_for_those_who_wait_when_all_dials_of_the_peer_have_failed() {
        let (mut dials, peer) = (Dials::default(), PeerId::random());
        let error = ConnectError::Failed(peer, "no".to_owned());
        let (reply, mut answer) = oneshot::channel();
        dials.begun(peer, id(1), vec![address(1)]);
        dials.wait(peer, reply);
        dials.begun(peer, id(2), vec![address(2)]);
        assert!(!dials.failed(&peer, id(1), &error));
        assert!(answer.try_recv().is_err());
        assert!(dials.failed(&peer, id(2), &error));
        assert_eq!(answer.try_recv(), Ok(Err(error)));
    }

    #[test]
    fn where_another_host_answers_the_other_addresses_are_left_to_dial() {
        let (mut dials, peer) = (Dials::default(), PeerId::random());
        let (reply, mut answer) = oneshot::channel();
        dials.begun(peer, id(1), vec![address(1), address(2)]);
        dials.wait(peer, reply);
        let with_peer: Multiaddr = format!("{}/p2p/{peer}", address(1)).parse().unwrap();
        assert_eq!(dials.met_another(&peer, id(1), &with_peer), [address(2)]);
        assert!(answer.try_recv().is_err());
        dials.begun(peer, id(2), vec![address(2)]);
        assert!(dials.met_another(&peer, id(2), &address(1)).is_empty());
        assert!(dials.failed(&peer, id(2), &ConnectError::Stopped));
        assert_eq!(answer.try_recv(), Ok(Err(ConnectError::Stopped)));
    }

    #[test]
    fn whoever_waits_is_told_as_soon_as_the_peer_is_reached() {
        let (mut dials, peer) = (Dials::default(), PeerId::random());
        let (reply, mut answer) = oneshot::channel();
        dials.begun(peer, id(1), vec![address(1)]);
        dials.wait(peer, reply);
        // It came by itself.
        dials.reached(&peer, id(9));
        assert_eq!(answer.try_recv(), Ok(Ok(())));
        assert!(dials.untried(&peer, vec![address(1)]).is_empty(), "this dial still goes on");
        assert!(dials.failed(&peer, id(1), &ConnectError::Stopped));
        assert!(dials.0.is_empty());
    }
}
