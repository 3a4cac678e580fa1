//! How a comparison goes on, and how it ends.

use super::{Session, TRIES};
use crate::neighbours::Verdict;
use crate::{Brain, Now, Output};
use routing::{ChannelCommand, ChannelId};
use std::net::SocketAddr;
use std::time::Duration;

impl Brain {
    /// A record came: whether it is one that our comparison brought.
    pub(crate) fn session_gained(&mut self, elapsed: Duration, channel: ChannelId) -> bool {
        let timeout = self.settings.repair_timeout;
        let Some(session) = self.session.as_mut().filter(|session| session.channel == Some(channel)) else {
            return false;
        };
        session.gained += 1;
        if session.address.is_some() {
            session.deadline = elapsed + timeout;
        }
        true
    }

    /// A link took something of what we give.
    pub(crate) fn session_goes_on(&mut self, now: Now, channel: ChannelId) {
        if let Some(session) = self.session.as_mut().filter(|session| session.channel == Some(channel)) {
            session.deadline = now.elapsed + self.settings.repair_timeout;
        }
    }

    /// The other side of a link has said all that we lacked.
    pub(crate) fn session_is_complete(&mut self, now: Now, channel: ChannelId, out: &mut Vec<Output>) {
        let is_ours = |session: &&mut Session| session.channel == Some(channel) && session.address.is_some();
        if let Some(session) = self.session.as_mut().filter(is_ours) {
            session.is_complete = true;
            self.close_if_done(now, out);
        }
    }

    /// What the other side of a link lacked has been sent.
    pub(crate) fn session_is_given(&mut self, now: Now, channel: ChannelId, out: &mut Vec<Output>) {
        if let Some(session) = self.session.as_mut().filter(|session| session.channel == Some(channel)) {
            session.is_given = true;
            self.close_if_done(now, out);
        }
    }

    fn close_if_done(&mut self, now: Now, out: &mut Vec<Output>) {
        let is_done = |session: &&Session| session.is_complete && session.is_given;
        if let Some(channel) = self.session.as_ref().filter(is_done).and_then(|session| session.channel) {
            out.push(Output::Channel(ChannelCommand::Close { channel }));
            self.end_session(now);
        }
    }

    pub(super) fn session_is_late(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(session) = &mut self.session else { return };
        session.tries += 1;
        let is_on_network = session.address.is_none();
        if is_on_network && !session.is_complete && session.tries < TRIES && session.ends > now.elapsed {
            return self.try_again(now, out);
        }
        match session.channel {
            _ if is_on_network => self.end_session(now),
            None => self.no_link(now),
            Some(channel) => {
                out.push(Output::Channel(ChannelCommand::Close { channel }));
                self.end_session(now);
            }
        }
    }

    /// Ends the comparison. Somebody who differs and yet brings nothing is left aside for a while.
    fn end_session(&mut self, now: Now) {
        let Some(session) = self.session.take() else { return };
        self.count(if session.is_complete { "comparisons completed" } else { "comparisons failed" });
        let shown = self.neighbours.get(&session.peer).and_then(|neighbour| neighbour.shown);
        // Behind: what it showed was what we held, or would have been.
        let agrees = shown.is_some_and(|(beacon, ..)| self.judge_again(now, &beacon) != Verdict::Different);
        if let Some(neighbour) = self.neighbours.get_mut(&session.peer) {
            match session.gained > 0 || agrees {
                true => neighbour.redeem(),
                false => neighbour.leave_aside(now.elapsed),
            }
        }
        self.quicken(now, session.peer.0);
    }

    /// Nobody takes links there.
    pub(crate) fn connect_failed(&mut self, now: Now, address: SocketAddr) {
        let waits = |session: &Session| session.address == Some(address) && session.channel.is_none();
        if self.session.as_ref().is_some_and(waits) {
            self.no_link(now);
        }
    }

    /// The link on which to compare did not come up.
    fn no_link(&mut self, now: Now) {
        self.count("links that did not come up");
        let peer = self.session.take().map(|session| session.peer);
        if let Some(neighbour) = peer.and_then(|peer| self.neighbours.get_mut(&peer)) {
            neighbour.takes_no_links(now.elapsed);
        }
    }

    pub(crate) fn repair_channel_is_down(&mut self, now: Now, channel: ChannelId) {
        if self.session.as_ref().is_some_and(|session| session.channel == Some(channel)) {
            self.end_session(now);
        }
    }
}
