//! Whether a record has to be carried from one network to another that reaches the world, such as a pubsub topic.
//!
//! A robot is on several networks at the same time: its local network, a pubsub topic, an IRC channel. The maker of a
//! record sends it on all of them. If each robot of a class carried every record from the local network to the topic,
//! the topic would have as many copies as there are robots. A forged name can at most delay a record until the next
//! beacon, because comparisons do not depend on these rules.

use crate::Now;
use crate::channel::Channel;
use crate::node::Node;
use dcache::PeerId;
use routing::{ChannelId, Reach};
use std::time::Duration;

/// Time after which a silent signer no longer counts as present on a network. A robot renews its presence every five
/// minutes, on all its channels.
const PRESENT: Duration = Duration::from_secs(600);
/// Maximum difference between the times at which a peer is heard on two networks when it sends the same on both.
const AT_ONCE: Duration = Duration::from_secs(60);

impl Node {
    /// Returns whether a record of `signer` that came on the channel `from` reaches the peers on the network `to`
    /// without this node sending it there. This is so if the signer is on that network itself, or all peers there also hear another
    /// network that carries the record. That is `from`, or a local network.
    pub(crate) fn is_bridge_needless(
        &self,
        now: Now,
        from: ChannelId,
        to: ChannelId,
        signer: PeerId,
    ) -> bool {
        // On a local network, nodes hear each other soon enough to forward a record only once. Its lines also show which
        // hosts hear broadcasts and which hear multicasts, so they are not left out there.
        if !self.reaches_world(to) {
            return false;
        }
        let is_network = self.channels.is_network(from);
        let is_present = self.heard_on(to, signer).is_some_and(|heard| heard + PRESENT > now.elapsed);
        is_network && (is_present || self.do_all_hear(to, from)) || self.is_spare(to)
    }

    /// Returns whether all peers on a network that reaches the world also hear a local network of this node. Then the
    /// local network brings them everything sooner and for less work.
    pub(crate) fn is_spare(&self, id: ChannelId) -> bool {
        let is_local = |channel: &Channel| channel.reach() == Some(Reach::Lan);
        self.reaches_world(id)
            && self.channels.iter().any(|(local, channel)| is_local(channel) && self.do_all_hear(id, local))
    }

    pub(crate) fn reaches_world(&self, id: ChannelId) -> bool {
        self.channels.get(id).and_then(Channel::reach) == Some(Reach::World)
    }

    fn heard_on(&self, channel: ChannelId, peer: PeerId) -> Option<Duration> {
        self.neighbours.get(&(channel, peer)).map(|neighbour| neighbour.heard)
    }

    /// Returns whether all peers that were heard on one network were, at that time or later, also heard on another. This
    /// is `false` when no peer was heard.
    fn do_all_hear(&self, on: ChannelId, other: ChannelId) -> bool {
        let mut peers = self.neighbours.all().filter(|((channel, _), _)| *channel == on).peekable();
        let hears = |peer: PeerId, heard| {
            self.heard_on(other, peer).is_some_and(|elsewhere| elsewhere + AT_ONCE > heard)
        };
        peers.peek().is_some() && peers.all(|((_, peer), neighbour)| hears(*peer, neighbour.heard))
    }
}
