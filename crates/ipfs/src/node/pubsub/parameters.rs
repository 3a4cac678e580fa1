//! Parameters of gossipsub. They suit robots on slow links: each message arrives soon, but in few copies.
use std::time::Duration;

use libp2p::gossipsub::{
    Config, ConfigBuilder, ConfigBuilderError, Message, MessageId, PeerScoreParams, PeerScoreThresholds,
    TopicScoreParams, ValidationMode,
};

/// Maximum length of one transmission in bytes, including messages and control data. Kubo puts all messages that a peer
/// requested again into one transmission.
const MAX_TRANSMISSION_BYTES: usize = 1024 * 1024;
/// Maximum number of messages in one transmission, and of messages that are requested again at one time.
const MAX_REPEATED: usize = 256;
/// Maximum number of bytes in one transmission that are not messages, such as lists of available messages and
/// subscriptions.
const MAX_CONTROL_BYTES: usize = 64 * 1024;
/// Maximum number of messages that wait to be sent to one peer.
const QUEUE: usize = 128;
/// Maximum time that a message waits to be sent to a peer.
const WAITING: Duration = Duration::from_secs(5);
/// Interval of heartbeats with topics, and without topics. Without topics there is nothing to pass on.
const HEARTBEATS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Interval of score updates with topics, and without topics. The decay per second is the same in both cases.
const UPDATES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// Selects the time for a node with topics or for one without.
fn time_of((with, without): (Duration, Duration), has_topics: bool) -> Duration {
    if has_topics { with } else { without }
}

/// Converts the share of a score that is left after one second to the share that is left after one update.
fn decay(of_second: f64, has_topics: bool) -> f64 {
    of_second.powf(time_of(UPDATES, has_topics).as_secs_f64())
}

/// Returns the configuration of gossipsub. Each message goes to four neighbours and is offered to three more. The usual
/// values, six and six, would need half as much bandwidth again. Records in messages that are lost nevertheless reach
/// the nodes later, because their brains compare their sets.
pub(super) fn gossip(has_topics: bool) -> Result<Config, ConfigBuilderError> {
    ConfigBuilder::default()
        .heartbeat_interval(time_of(HEARTBEATS, has_topics))
        .support_floodsub()
        .validation_mode(ValidationMode::Strict)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(MAX_TRANSMISSION_BYTES)
        .max_publish_messages(MAX_REPEATED)
        .max_control_messages_sent(MAX_REPEATED)
        .max_control_message_size(MAX_CONTROL_BYTES)
        .mesh_n_low(3)
        .mesh_n(4)
        .mesh_n_high(8)
        .mesh_outbound_min(1)
        .gossip_lazy(3)
        .flood_publish(false)
        .connection_handler_queue_len(QUEUE)
        .publish_queue_duration(WAITING)
        .forward_queue_duration(WAITING)
        .build()
}

/// Returns the ID of a message, in the same form as in Kubo: peers use it to announce the messages that they have.
fn message_id(message: &Message) -> MessageId {
    let mut id = message.source.map(|source| source.to_bytes()).unwrap_or_default();
    id.extend(message.sequence_number.into_iter().flat_map(u64::to_be_bytes));
    id.into()
}

/// Returns the score parameters of peers. Only misbehaviour changes the score. The number of delivered messages is not
/// used, because most honest nodes send no messages. The number of robots behind one address is not used either, because
/// a whole class can have one address.
pub(super) fn score(has_topics: bool) -> PeerScoreParams {
    PeerScoreParams {
        topic_score_cap: 0.0,
        app_specific_weight: 0.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: -1.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: decay(0.9, has_topics),
        decay_interval: time_of(UPDATES, has_topics),
        slow_peer_weight: 0.0,
        // Shorter than the time for which a peer is cut off, so that its score is reset when it connects again.
        retain_score: Duration::from_secs(240),
        ..PeerScoreParams::default()
    }
}

/// Returns the score parameters of a topic. Only messages with invalid signatures count.
pub(super) fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -1.0,
        // A node that sets the parameters of a topic has at least one topic.
        invalid_message_deliveries_decay: decay(0.99, true),
        ..TopicScoreParams::default()
    }
}

/// Returns the score thresholds. About ten messages with invalid signatures within a minute are enough to cut a peer
/// off.
pub(super) fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: -10.0,
        publish_threshold: -50.0,
        graylist_threshold: -80.0,
        accept_px_threshold: 0.0,
        opportunistic_graft_threshold: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::gossipsub::IdentTopic;
    use libp2p::identity::Keypair;

    #[test]
    fn the_parameters_fit_together() {
        for has_topics in [true, false] {
            gossip(has_topics).unwrap();
            score(has_topics).validate().unwrap();
        }
        topic_score().validate().unwrap();
        thresholds().validate().unwrap();
    }

    #[test]
    fn scores_decay_at_the_same_speed_at_any_update_interval() {
        let after_a_minute = |has_topics| {
            let score = score(has_topics);
            score.behaviour_penalty_decay.powf(60.0 / score.decay_interval.as_secs_f64())
        };
        assert!((after_a_minute(true) - after_a_minute(false)).abs() < 1e-9);
        assert!((after_a_minute(true) - 0.9f64.powi(60)).abs() < 1e-9);
    }

    #[test]
    fn without_topics_heartbeats_and_updates_are_rare() {
        let minute = Duration::from_secs(60);
        assert_eq!(gossip(false).unwrap().heartbeat_interval(), minute);
        assert_eq!(score(false).decay_interval, minute);
        assert_eq!(gossip(true).unwrap().heartbeat_interval(), Duration::from_secs(1));
    }

    #[test]
    fn a_message_is_identified_by_its_author_and_number() {
        let author = Keypair::generate_ed25519().public().to_peer_id();
        let message = |source, sequence_number| Message {
            source,
            data: vec![1],
            sequence_number,
            topic: IdentTopic::new("duckiebots").hash(),
        };
        let id = message_id(&message(Some(author), Some(0x0102_0304_0506_0708)));
        assert_eq!(id.0, [author.to_bytes(), vec![1, 2, 3, 4, 5, 6, 7, 8]].concat());
        assert_eq!(message_id(&message(None, None)).0, [0u8; 0]);
    }
}
