//! Gossipsub behind a rate limit, so that no peer can flood the others.
//!
//! Each peer has a budget. All traffic that the peer sends is subtracted from its budget, including duplicates and
//! messages of other topics. Messages over the budget are not passed on. A peer that exceeds its budget by far, or that
//! sends messages with invalid signatures, is *cut off*: it is disconnected and cannot connect again for five minutes.
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p::core::{Endpoint, transport::PortUse};
use libp2p::gossipsub::{
    self, IdentTopic, MessageAcceptance, MessageAuthenticity, MessageId, PublishError, SubscriptionError,
    TopicHash,
};
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::ConnectionClosed;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use super::intake::Intake;
use super::parameters;

/// Number of units that a peer may send at once. A unit is a message of up to [`UNIT_BYTES`].
const BURST: f64 = 1000.0;
/// Number of units per second that a peer may send in the long run.
const PER_SECOND: f64 = 100.0;
/// Number of units over its budget at which a peer is cut off.
const DEBT: f64 = 4000.0;
/// Length of one unit in bytes.
const UNIT_BYTES: f64 = 2048.0;
/// Time for which a peer that was cut off cannot connect again.
const CUT_OFF: Duration = Duration::from_secs(300);
/// Maximum number of peers that are remembered as cut off.
const MAX_CUT_OFF: usize = 1024;

type Gossip = gossipsub::Behaviour<Intake, Intake>;

/// The peer was cut off and may not connect yet.
#[derive(Debug, thiserror::Error)]
#[error("the peer was cut off because it flooded the pubsub topic")]
struct Flooder;

/// The remaining budget of a peer.
#[derive(Clone, Copy, Debug)]
struct Account {
    left: f64,
    at: Instant,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self { left: BURST, at: now }
    }

    fn charge(&mut self, now: Instant, cost: f64) {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * PER_SECOND;
        self.left = (self.left + earned).min(BURST) - cost;
        self.at = now;
    }
}

pub(in crate::node) struct Behaviour {
    gossip: Gossip,
    intake: Intake,
    accounts: BTreeMap<PeerId, Account>,
    cut_off: BTreeMap<PeerId, Instant>,
    to_close: VecDeque<PeerId>,
    /// Whether gossipsub received an input after it was last polled until it had nothing to do.
    is_touched: bool,
}

impl Behaviour {
    pub(in crate::node) fn new(keypair: &Keypair, topics: &[String]) -> Result<Self, String> {
        let topics: BTreeSet<TopicHash> = topics.iter().map(|topic| IdentTopic::new(topic).hash()).collect();
        let has_topics = !topics.is_empty();
        let intake = Intake::new(topics);
        let config = parameters::gossip(has_topics).map_err(|error| error.to_string())?;
        let signed = MessageAuthenticity::Signed(keypair.clone());
        let mut gossip = Gossip::new_with_subscription_filter_and_transform(
            signed,
            config,
            intake.clone(),
            intake.clone(),
        )?;
        gossip.with_peer_score(parameters::score(has_topics), parameters::thresholds())?;
        Ok(Self {
            gossip,
            intake,
            accounts: BTreeMap::new(),
            cut_off: BTreeMap::new(),
            to_close: VecDeque::new(),
            is_touched: true,
        })
    }

    /// Returns whether this topic is in the configuration of the node.
    pub(super) fn may_subscribe(&self, topic: &TopicHash) -> bool {
        self.intake.has(topic)
    }

    pub(super) fn subscribe(&mut self, topic: &IdentTopic) -> Result<(), SubscriptionError> {
        self.is_touched = true;
        // This fails only without scores, and `new` has set them.
        let _ = self.gossip.set_topic_params(topic.clone(), parameters::topic_score());
        self.gossip.subscribe(topic).map(drop)
    }

    pub(super) fn unsubscribe(&mut self, topic: &IdentTopic) {
        self.is_touched = true;
        self.gossip.unsubscribe(topic);
    }

    pub(super) fn publish(&mut self, topic: &TopicHash, data: Vec<u8>) -> Result<(), PublishError> {
        self.is_touched = true;
        self.gossip.publish(topic.clone(), data).map(drop)
    }

    /// Returns whether the peer is within its budget.
    pub(super) fn is_within_budget(&self, peer: &PeerId) -> bool {
        self.accounts.get(peer).is_none_or(|account| account.left >= 0.0)
    }

    /// Passes a message on to the neighbours if `is_fit`, and drops it otherwise.
    pub(super) fn judge(&mut self, id: &MessageId, from: &PeerId, is_fit: bool) {
        self.is_touched = true;
        let verdict = if is_fit { MessageAcceptance::Accept } else { MessageAcceptance::Ignore };
        self.gossip.report_message_validation_result(id, from, verdict);
    }

    /// Returns the number of connected peers that are subscribed to a topic.
    pub(super) fn subscribers(&self, topic: &TopicHash) -> usize {
        self.gossip.all_peers().filter(|(_, topics)| topics.contains(&topic)).count()
    }

    /// Returns the peers that share a topic with this node.
    pub(in crate::node) fn sharers(&self) -> BTreeSet<PeerId> {
        let ours: BTreeSet<&TopicHash> = self.gossip.topics().collect();
        let shares = |topics: &[&TopicHash]| topics.iter().any(|topic| ours.contains(topic));
        self.gossip.all_peers().filter(|(_, topics)| shares(topics)).map(|(peer, _)| *peer).collect()
    }

    /// Returns the peers to which this node sends all messages.
    pub(in crate::node) fn mesh(&self) -> BTreeSet<PeerId> {
        self.gossip.all_mesh_peers().copied().collect()
    }

    fn has_peers(&self) -> bool {
        self.gossip.all_peers().next().is_some()
    }

    /// Returns whether gossipsub has nothing to do. Without peers its heartbeats change nothing.
    fn is_at_rest(&self) -> bool {
        !self.is_touched && !self.has_peers()
    }

    fn charge(&mut self, peer: PeerId) {
        let (now, (messages, bytes)) = (Instant::now(), self.intake.take());
        // Every packet costs at least one unit, because control messages and invalid messages are not counted one by
        // one.
        #[expect(
            clippy::cast_precision_loss,
            reason = "one packet of a peer holds far fewer than 2^52 bytes"
        )]
        let cost = 1.0 + (messages as f64).max(bytes as f64 / UNIT_BYTES);
        let account = self.accounts.entry(peer).or_insert_with(|| Account::new(now));
        account.charge(now, cost);
        let is_over = account.left < -DEBT;
        let score = self.gossip.peer_score(&peer).unwrap_or_default();
        if is_over || score < parameters::thresholds().graylist_threshold {
            self.cut_off(peer, now, score);
        }
    }

    fn cut_off(&mut self, peer: PeerId, now: Instant, score: f64) {
        if self.is_cut_off(&peer, now) {
            // Its connection is being closed already; this packet was still on the way.
            return;
        }
        tracing::warn!(%peer, score, "peer cut off for {} s because it floods the pubsub topic", CUT_OFF.as_secs());
        self.cut_off.retain(|_, until| *until > now);
        if self.cut_off.len() < MAX_CUT_OFF {
            self.cut_off.insert(peer, now + CUT_OFF);
        }
        self.to_close.push_back(peer);
    }

    fn is_cut_off(&self, peer: &PeerId, now: Instant) -> bool {
        self.cut_off.get(peer).is_some_and(|until| *until > now)
    }

    fn let_in(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        if self.is_cut_off(peer, Instant::now()) { Err(ConnectionDenied::new(Flooder)) } else { Ok(()) }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = <Gossip as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = gossipsub::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.let_in(&peer)?;
        self.gossip.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.let_in(&peer)?;
        self.gossip.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, remaining_established: 0, .. }) =
            &event
        {
            self.accounts.remove(peer_id);
        }
        self.is_touched = true;
        self.gossip.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.is_touched = true;
        self.gossip.on_connection_handler_event(peer, connection, event);
        self.charge(peer);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(peer_id) = self.to_close.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::All });
        }
        if self.is_at_rest() {
            return Poll::Pending;
        }
        let polled = self.gossip.poll(context);
        if polled.is_ready() {
            return polled;
        }
        self.is_touched = false;
        // The first call restarts a timer that has expired; only the second call registers the waker for it.
        if self.has_peers() { self.gossip.poll(context) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_peers_gossipsub_is_not_polled_until_it_receives_an_input() {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let topics = ["duckiebots".to_owned()];
        let mut guard = Behaviour::new(&Keypair::generate_ed25519(), &topics).unwrap();
        let mut rests = |guard: &mut Behaviour| {
            while guard.poll(&mut context).is_ready() {}
            guard.is_at_rest()
        };
        assert!(rests(&mut guard));
        guard.subscribe(&IdentTopic::new("duckiebots")).unwrap();
        assert!(!guard.is_at_rest());
        assert!(rests(&mut guard));
    }

    #[test]
    fn a_budget_grows_back_to_its_limit() {
        let start = Instant::now();
        let mut account = Account::new(start);
        account.charge(start, BURST + 50.0);
        assert!(account.left < 0.0);
        account.charge(start + Duration::from_secs(1), 0.0);
        assert!((account.left - 50.0).abs() < 1e-6, "{account:?}");
        account.charge(start + Duration::from_secs(3600), 1.0);
        assert!((account.left - (BURST - 1.0)).abs() < 1e-6, "{account:?}");
    }
}
