//! Sends the records that the other side of a comparison lacks.

use super::Comparisons;
use crate::Now;
use crate::answers::Answers;
use crate::node::Node;
use crate::origin::Origin;
use crate::steps::keys_of;
use dcache::{End, PeerId};
use routing::{ChannelId, Want};
use telemetry::metrics;

impl Comparisons {
    /// Handles a `want` step: the other side found the difference, and names the records that it lacks.
    pub(crate) fn wanted(
        &mut self,
        node: &mut Node,
        answers: &mut Answers,
        now: Now,
        (origin, peer): (Origin, PeerId),
        want: &Want,
    ) {
        let session = self.session_of(origin, peer, want.salt).and_then(|id| self.sessions.get_mut(&id));
        let Some(session) = session else {
            return node.count(&metrics::BRAIN_COMPARISONS_UNEXPECTED_STEPS);
        };
        let (Some(description), Some(channel)) = (&session.description, session.channel) else { return };
        let bound = End::at(description.bound);
        let keys = keys_of(node.replica.set(), bound, want.salt, &want.ids);
        if !node.channels.is_link(channel) {
            session.is_complete = true;
            session.deadline = now.elapsed + node.channels.round_trip(channel) * 2;
            node.give_on_network(now, channel, keys);
        } else if !keys.is_empty() {
            session.wanted += keys.len() as u64;
            // A peer that wants more records than this node holds wants some of them repeatedly.
            if session.wanted > description.count {
                return node.count(&metrics::BRAIN_COMPARISONS_WANTED_TWICE);
            }
            session.is_given = false;
            self.give(node, answers, now, channel, keys);
        }
    }

    fn give(
        &mut self,
        node: &mut Node,
        answers: &mut Answers,
        now: Now,
        channel: ChannelId,
        keys: Vec<dcache::Key>,
    ) {
        if let Some(progress) = answers.give(node, now, channel, keys) {
            self.progressed(node, now, channel, progress);
        }
    }
}
