//! Progress and end of a comparison.

use super::pace::{Host, is_worth};
use super::{Comparisons, Session, SessionId, TRIES};
use crate::Now;
use crate::answers::{GiftProgress, PORTION};
use crate::node::Node;
use crate::origin::Origin;
use crate::replica::Verdict;
use routing::{ChannelCommand, ChannelId};
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::metrics;

impl Comparisons {
    /// Returns the comparison that runs over a link.
    fn over_link(&mut self, channel: ChannelId) -> Option<(SessionId, &mut Session)> {
        let is_on = |session: &Session| session.address.is_some() && session.channel == Some(channel);
        self.sessions.iter_mut().find(|(_, session)| is_on(session)).map(|(id, session)| (*id, session))
    }

    /// Returns the comparison that brought a record. On a network, it is the one with the host that sent the record.
    fn brought_by(&mut self, origin: Origin) -> Option<&mut Session> {
        let host = origin.source.map_or(Host::Channel(origin.channel), |source| Host::Ip(source.ip()));
        let mut sessions = self.sessions.values_mut();
        sessions.find(|session| {
            session.channel == Some(origin.channel) && (session.address.is_some() || session.host == host)
        })
    }

    /// Returns whether a comparison that this node began can have brought a record.
    pub(crate) fn is_under_way(&mut self, origin: Origin) -> bool {
        self.brought_by(origin).is_some()
    }

    /// Notes that a record came. Returns whether a comparison brought it.
    pub(crate) fn gained(&mut self, elapsed: Duration, origin: Origin) -> bool {
        let Some(session) = self.brought_by(origin) else { return false };
        session.gained += 1;
        session.pace.exchanged(1, elapsed);
        true
    }

    /// Notes the arrival of a record that has to wait for the rate limit of its signer. The sets still differ
    /// afterwards, which is not the fault of the peer.
    pub(crate) fn limited(&mut self, origin: Origin) {
        if let Some(session) = self.brought_by(origin) {
            session.is_limited = true;
        }
    }

    /// Notes the progress of sending the records that the other side of a link lacks.
    pub(crate) fn progressed(
        &mut self,
        node: &mut Node,
        now: Now,
        channel: ChannelId,
        progress: GiftProgress,
    ) {
        let Some((id, session)) = self.over_link(channel) else { return };
        session.pace.exchanged(PORTION as u64, now.elapsed);
        if progress == GiftProgress::Done {
            session.is_given = true;
            self.close_if_done(node, now, id);
        }
    }

    /// Notes that the other side of a link has sent all records that this node lacked.
    pub(crate) fn completed(&mut self, node: &mut Node, now: Now, channel: ChannelId) {
        if let Some((id, session)) = self.over_link(channel) {
            session.is_complete = true;
            self.close_if_done(node, now, id);
        }
    }

    fn close_if_done(&mut self, node: &mut Node, now: Now, id: SessionId) {
        let session = self.sessions.get(&id).filter(|session| session.is_complete && session.is_given);
        if let Some(channel) = session.and_then(|session| session.channel) {
            node.command(ChannelCommand::Close { channel });
            self.end(node, now, id);
        }
    }

    /// Handles the deadline of a comparison: continues if there was progress, tries the last step again, or gives up.
    pub(super) fn late(&mut self, node: &mut Node, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.tries += 1;
        let is_on_network = session.address.is_none();
        if is_on_network && !session.is_complete && session.tries < TRIES && session.ends > now.elapsed {
            return self.try_again(node, now, id);
        }
        if !is_on_network && session.ends > now.elapsed && session.pace.take_progress() {
            session.deadline = now.elapsed + node.settings.repair_timeout;
            return;
        }
        match session.channel {
            _ if is_on_network => self.end(node, now, id),
            None => self.no_link(node, now, id),
            Some(channel) => {
                node.command(ChannelCommand::Close { channel });
                self.end(node, now, id);
            }
        }
    }

    /// Ends a comparison. Backs off from a neighbour that differs and brought nothing, or brought so little that the
    /// comparison had to be cut off.
    fn end(&mut self, node: &mut Node, now: Now, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        node.count(match session.is_complete {
            true => &metrics::BRAIN_COMPARISONS_COMPLETED,
            false => &metrics::BRAIN_COMPARISONS_FAILED,
        });
        let shown = node.neighbours.get(&session.peer).and_then(|neighbour| neighbour.shown);
        // A neighbour that is merely behind counts as agreeing.
        let agrees =
            shown.is_some_and(|shown| node.replica.judge(now, &shown.beacon).0 != Verdict::Different);
        let is_whole = session.is_complete || session.address.is_none();
        let has_brought = session.gained > 0 && (is_whole || is_worth(session.gained));
        match (has_brought || agrees, session.is_limited) {
            (true, _) => node.neighbours.clear_backoff(session.peer),
            (false, true) => node.neighbours.rest(session.peer, now.elapsed),
            (false, false) => node.neighbours.back_off(session.peer, now.elapsed),
        }
        node.reset_timer(now, session.peer.0);
    }

    /// Notes that no link to this address came up.
    pub(crate) fn connect_failed(&mut self, node: &mut Node, now: Now, address: SocketAddr) {
        let waits = |session: &Session| session.address == Some(address) && session.channel.is_none();
        for id in self.sessions_that(waits) {
            self.no_link(node, now, id);
        }
    }

    fn no_link(&mut self, node: &mut Node, now: Now, id: SessionId) {
        node.count(&metrics::BRAIN_COMPARISONS_NO_LINK);
        let peer = self.sessions.remove(&id).map(|session| session.peer);
        if let Some(peer) = peer {
            node.neighbours.link_failed(peer, now.elapsed);
        }
    }

    /// Ends the comparisons on a channel that is gone.
    pub(crate) fn channel_is_down(&mut self, node: &mut Node, now: Now, channel: ChannelId) {
        for id in self.sessions_that(|session| session.channel == Some(channel)) {
            self.end(node, now, id);
        }
    }

    fn sessions_that(&self, is_one: impl Fn(&Session) -> bool) -> Vec<SessionId> {
        self.sessions.iter().filter(|(_, session)| is_one(session)).map(|(id, _)| *id).collect()
    }
}
