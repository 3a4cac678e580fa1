//! The dials in progress, and the callers that wait for them.
use std::collections::BTreeMap;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use super::addresses::without_peer;
use super::types::ConnectError;

/// Maximum number of dials to one peer at the same time. It bounds the work that a peer causes by announcing new
/// addresses again and again.
const MAX_DIALS: usize = 4;

/// Channel to which the result of a dial is sent.
pub(super) type Reply = oneshot::Sender<Result<(), ConnectError>>;

/// All dials in progress. When a peer announces new addresses while old ones are dialled, the new ones are dialled at
/// once.
#[derive(Debug, Default)]
pub(super) struct Dials(BTreeMap<PeerId, DialsOfPeer>);

#[derive(Debug, Default)]
struct DialsOfPeer {
    running: Vec<(ConnectionId, Vec<Multiaddr>)>,
    replies: Vec<Reply>,
}

impl Dials {
    /// Returns the addresses at which the peer is not being dialled yet. Returns none when the limit of dials to this
    /// peer is reached.
    pub(super) fn untried(&self, peer: &PeerId, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let running = self.0.get(peer).map_or(&[][..], |dials| &dials.running);
        if running.len() >= MAX_DIALS {
            return Vec::new();
        }
        let is_tried = |address: &Multiaddr| running.iter().any(|(_, tried)| tried.contains(address));
        addresses.into_iter().filter(|address| !is_tried(address)).collect()
    }

    /// Returns whether the peer is being dialled.
    pub(super) fn is_running(&self, peer: &PeerId) -> bool {
        self.0.get(peer).is_some_and(|dials| !dials.running.is_empty())
    }

    /// Records a dial that was started.
    pub(super) fn begun(&mut self, peer: PeerId, id: ConnectionId, addresses: Vec<Multiaddr>) {
        self.0.entry(peer).or_default().running.push((id, addresses));
    }

    /// Sends the result of the dials to a peer to `reply`. One of them must be in progress.
    pub(super) fn wait(&mut self, peer: PeerId, reply: Reply) {
        self.0.entry(peer).or_default().replies.push(reply);
    }

    /// Reports success to all callers that wait for this peer, whether one of these dials or another connection reached
    /// it.
    pub(super) fn reached(&mut self, peer: &PeerId, id: ConnectionId) {
        let Some(dials) = self.0.get_mut(peer) else { return };
        dials.replies.drain(..).for_each(|reply| drop(reply.send(Ok(()))));
        dials.running.retain(|(running, _)| *running != id);
        if dials.running.is_empty() {
            self.0.remove(peer);
        }
    }

    /// Handles a dial that ended because another host answered at one of its addresses. Returns its other addresses,
    /// which must be dialled again, because libp2p does not try them any more. The callers keep waiting.
    pub(super) fn met_another(&mut self, peer: &PeerId, id: ConnectionId, at: &Multiaddr) -> Vec<Multiaddr> {
        let Some(dials) = self.0.get_mut(peer) else { return Vec::new() };
        let Some(place) = dials.running.iter().position(|(running, _)| *running == id) else {
            return Vec::new();
        };
        let (_, mut addresses) = dials.running.swap_remove(place);
        let before = addresses.len();
        addresses.retain(|address| without_peer(address) != without_peer(at));
        // If no address was removed, dialling again could loop for ever.
        if addresses.len() < before { addresses } else { Vec::new() }
    }

    /// Handles a failed dial. Returns whether it was the last dial to this peer; then the callers that wait get the
    /// error.
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
    fn new_addresses_are_dialled_while_old_ones_still_are() {
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
    fn callers_get_an_error_when_all_dials_of_the_peer_have_failed() {
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
    fn the_other_addresses_are_dialled_when_another_host_answers_at_one() {
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
    fn callers_are_told_as_soon_as_the_peer_is_reached() {
        let (mut dials, peer) = (Dials::default(), PeerId::random());
        let (reply, mut answer) = oneshot::channel();
        dials.begun(peer, id(1), vec![address(1)]);
        dials.wait(peer, reply);
        // The peer connected by itself.
        dials.reached(&peer, id(9));
        assert_eq!(answer.try_recv(), Ok(Ok(())));
        assert!(dials.untried(&peer, vec![address(1)]).is_empty(), "this address is still being dialled");
        assert!(dials.failed(&peer, id(1), &ConnectError::Stopped));
        assert!(dials.0.is_empty());
    }
}
