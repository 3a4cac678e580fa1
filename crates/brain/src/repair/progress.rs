//! How a comparison goes on, and how it ends.

use super::{Comparisons, Session, TRIES};
use crate::Now;
use crate::answers::GiftProgress;
use crate::node::Node;
use crate::replica::Verdict;
use routing::{ChannelCommand, ChannelId};
use std::net::SocketAddr;
use std::time::Duration;
use telemetry::metrics;

impl Comparisons {
    fn session_on(&mut self, channel: ChannelId) -> Option<&mut Session> {
        self.session.as_mut().filter(|session| session.channel == Some(channel))
    }

    /// Notes that a record came. Returns whether the comparison brought it.
    pub(crate) fn gained(&mut self, elapsed: Duration, channel: ChannelId, timeout: Duration) -> bool {
        let Some(session) = self.session_on(channel) else { return false };
        session.gained += 1;
        if session.address.is_some() {
            session.deadline = elapsed + timeout;
        }
        true
    }

    /// Notes how far the records are sent that this node owes the other side of a link.
    pub(crate) fn progressed(
        &mut self,
        node: &mut Node,
        now: Now,
        channel: ChannelId,
        progress: GiftProgress,
    ) {
        let Some(session) = self.session_on(channel) else { return };
        session.deadline = now.elapsed + node.settings.repair_timeout;
        if progress == GiftProgress::Done {
            session.is_given = true;
            self.close_if_done(node, now);
        }
    }

    /// Notes that the other side of a link has sent all that this node lacked.
    pub(crate) fn completed(&mut self, node: &mut Node, now: Now, channel: ChannelId) {
        if let Some(session) = self.session_on(channel).filter(|session| session.address.is_some()) {
            session.is_complete = true;
            self.close_if_done(node, now);
        }
    }

    fn close_if_done(&mut self, node: &mut Node, now: Now) {
        let is_done = |session: &&Session| session.is_complete && session.is_given;
        if let Some(channel) = self.session.as_ref().filter(is_done).and_then(|session| session.channel) {
            node.command(ChannelCommand::Close { channel });
            self.end(node, now);
        }
    }

    /// Tries the last step again, or gives the comparison up.
    pub(super) fn late(&mut self, node: &mut Node, now: Now) {
        let Some(session) = &mut self.session else { return };
        session.tries += 1;
        let is_on_network = session.address.is_none();
        if is_on_network && !session.is_complete && session.tries < TRIES && session.ends > now.elapsed {
            return self.try_again(node, now);
        }
        match session.channel {
            _ if is_on_network => self.end(node, now),
            None => self.no_link(node, now),
            Some(channel) => {
                node.command(ChannelCommand::Close { channel });
                self.end(node, now);
            }
        }
    }

    /// Ends the comparison. Backs off from a neighbour that differs and yet brings nothing.
    fn end(&mut self, node: &mut Node, now: Now) {
        let Some(session) = self.session.take() else { return };
        node.count(match session.is_complete {
            true => &metrics::BRAIN_COMPARISONS_COMPLETED,
            false => &metrics::BRAIN_COMPARISONS_FAILED,
        });
        let shown = node.neighbours.get(&session.peer).and_then(|neighbour| neighbour.shown);
        // A neighbour that is behind showed what this node held, or would have held.
        let agrees =
            shown.is_some_and(|shown| node.replica.judge(now, &shown.beacon).0 != Verdict::Different);
        if let Some(neighbour) = node.neighbours.get_mut(&session.peer) {
            match session.gained > 0 || agrees {
                true => neighbour.clear_backoff(),
                false => neighbour.back_off(now.elapsed),
            }
        }
        node.reset_timer(now, session.peer.0);
    }

    /// Notes that no link came up to this address.
    pub(crate) fn connect_failed(&mut self, node: &mut Node, now: Now, address: SocketAddr) {
        let waits = |session: &Session| session.address == Some(address) && session.channel.is_none();
        if self.session.as_ref().is_some_and(waits) {
            self.no_link(node, now);
        }
    }

    fn no_link(&mut self, node: &mut Node, now: Now) {
        node.count(&metrics::BRAIN_COMPARISONS_NO_LINK);
        let peer = self.session.take().map(|session| session.peer);
        if let Some(neighbour) = peer.and_then(|peer| node.neighbours.get_mut(&peer)) {
            neighbour.link_failed(now.elapsed);
        }
    }

    /// Ends the comparison if it was on a channel that is gone.
    pub(crate) fn channel_is_down(&mut self, node: &mut Node, now: Now, channel: ChannelId) {
        if self.session_on(channel).is_some() {
            self.end(node, now);
        }
    }
}
