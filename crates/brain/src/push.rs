//! Push: what waits to be said on each channel, and when its turn comes.

use dcache::Key;
use routing::ChannelId;
use std::collections::BTreeMap;
use std::time::Duration;

/// The most that may wait. What finds no place is not said; repair brings it to those who miss it.
const MAX_WAITING: usize = 20_000;

/// A record's turn on a channel. Only its place is remembered: what is said then is the latest word that stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) channel: ChannelId,
    pub(crate) key: Key,
    /// How many times it was said before.
    pub(crate) round: usize,
}

/// What waits on one channel.
#[derive(Debug, Default)]
struct Lane {
    turns: BTreeMap<(Duration, u64), Turn>,
    /// Where each record waits: it has at most one turn a channel.
    places: BTreeMap<Key, (Duration, u64)>,
    /// When the channel may be spoken on again.
    free: Duration,
}

impl Lane {
    fn cancel(&mut self, key: &Key) {
        if let Some(place) = self.places.remove(key) {
            self.turns.remove(&place);
        }
    }

    fn next(&self) -> Option<Duration> {
        self.turns.first_key_value().map(|((due, _), _)| self.free.max(*due))
    }
}

/// All turns, channel by channel in the order of their times.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: BTreeMap<ChannelId, Lane>,
    serial: u64,
}

impl Outbox {
    /// Gives a record its turn at `due`; one that it already has on that channel is replaced. False when too much is
    /// waiting there.
    pub(crate) fn schedule(&mut self, turn: Turn, due: Duration) -> bool {
        let lane = self.lanes.entry(turn.channel).or_default();
        lane.cancel(&turn.key);
        if lane.turns.len() >= MAX_WAITING {
            return false;
        }
        self.serial += 1;
        lane.places.insert(turn.key.clone(), (due, self.serial));
        lane.turns.insert((due, self.serial), turn);
        true
    }

    /// Takes a record's turn away: somebody else was heard saying it.
    pub(crate) fn cancel(&mut self, channel: ChannelId, key: &Key) {
        if let Some(lane) = self.lanes.get_mut(&channel) {
            lane.cancel(key);
        }
    }

    /// Forgets a channel that is gone.
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.lanes.remove(&channel);
    }

    /// When the next turn comes.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.lanes.values().filter_map(Lane::next).min()
    }

    /// The next turn that has come by `elapsed`; its channel is taken for `spacing` by it.
    pub(crate) fn take_due(&mut self, elapsed: Duration, spacing: Duration) -> Option<Turn> {
        let is_due = |lane: &&mut Lane| lane.next().is_some_and(|due| due <= elapsed);
        let lane = self.lanes.values_mut().find(is_due)?;
        let (_, turn) = lane.turns.pop_first()?;
        lane.places.remove(&turn.key);
        lane.free = elapsed + spacing;
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Item, Keypair};

    const SPACING: Duration = Duration::from_millis(10);

    fn turn(data: &str) -> Turn {
        let item = Item { bucket: "a".parse().unwrap(), data: Data::new(data).unwrap() };
        let key = Key { item, signer: Keypair::from_seed([1; 32]).peer_id() };
        Turn { channel: ChannelId(1), key, round: 0 }
    }

    #[test]
    fn turns_keep_their_distance() {
        let mut outbox = Outbox::default();
        for data in ["a", "b", "c"] {
            outbox.schedule(turn(data), Duration::ZERO);
        }
        assert_eq!(outbox.take_due(Duration::ZERO, SPACING), Some(turn("a")));
        assert_eq!(outbox.take_due(Duration::ZERO, SPACING), None);
        assert_eq!(outbox.next(), Some(SPACING));
        assert_eq!(outbox.take_due(SPACING * 2, SPACING), Some(turn("b")));
        assert_eq!(outbox.take_due(SPACING * 2, SPACING), None);
        assert_eq!(outbox.take_due(SPACING * 3, SPACING), Some(turn("c")));
    }

    #[test]
    fn a_record_has_one_turn_a_channel_and_can_lose_it() {
        let mut outbox = Outbox::default();
        outbox.schedule(turn("a"), Duration::ZERO);
        outbox.schedule(turn("a"), Duration::from_secs(1));
        assert_eq!(outbox.next(), Some(Duration::from_secs(1)));
        outbox.cancel(ChannelId(1), &turn("a").key);
        assert_eq!(outbox.next(), None);
        outbox.schedule(turn("b"), Duration::ZERO);
        outbox.drop_channel(ChannelId(1));
        assert_eq!(outbox.next(), None);
    }
}
