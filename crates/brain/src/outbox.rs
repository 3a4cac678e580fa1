//! What waits to be said on each channel, and whose turn is next.
//!
//! A channel's budget is shared fairly in two steps (start-time fair queueing: Goyal, Vin, Cheng, SIGCOMM 1996). Classes
//! have shares by weight: what is needed to find each other and the logs before all else, and what is said for the first
//! time before what is said again. Within a class each signer has an equal share, and of his each kind of bucket. So
//! nobody starves anybody, however much he says.

use dcache::buckets::{self, Priority};
use dcache::{Key, PeerId};
use routing::ChannelId;
use std::collections::BTreeMap;
use std::time::Duration;

/// The most that may wait on one channel. What finds no place is not said; repair brings it to those who miss it.
const MAX_WAITING: usize = 20_000;
/// What a record is taken to cost before it is written as a line, in bytes.
const TYPICAL: u64 = 600;

/// Turns put back have smaller serial numbers than this, all others larger ones.
const BEHIND: u64 = 1 << 32;

/// What comes before what, with its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Who is where, and which logs there are.
    Leading,
    /// Everything else, for the first time.
    Fresh,
    /// Once more: against loss, or because somebody misses it.
    Again,
}

impl Class {
    fn weight(self) -> u64 {
        match self {
            Self::Leading => 16,
            Self::Fresh => 4,
            Self::Again => 1,
        }
    }
}

/// A record's turn on a channel. Only its place is remembered: what is said then is the latest word that stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) channel: ChannelId,
    pub(crate) key: Key,
    /// How many times it was said before.
    pub(crate) round: usize,
    pub(crate) cause: Cause,
}

/// Why a record is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// This node has something new to say.
    News,
    /// This node says something again that it said before: others can wait for it.
    Renewal,
    /// Somebody else said it elsewhere.
    Relay,
    /// A comparison with somebody elsewhere brought it.
    Found,
    /// Somebody misses it.
    Missed,
}

impl Cause {
    /// How many times it is said again at most, where datagrams get lost.
    pub(crate) fn repeats(self) -> usize {
        match self {
            Self::News => usize::MAX,
            Self::Renewal | Self::Relay => 2,
            Self::Missed => 1,
            Self::Found => 0,
        }
    }
}

impl Turn {
    fn class(&self) -> Class {
        if self.round > 0 || self.cause == Cause::Missed {
            return Class::Again;
        }
        match buckets::family(&self.key.item.bucket).priority {
            Priority::Leading => Class::Leading,
            Priority::Ordinary => Class::Fresh,
        }
    }

    /// Who shares the class with whom.
    fn flow(&self) -> Flow {
        (self.key.signer, buckets::subject(&self.key.item.bucket).to_owned())
    }
}

type Flow = (PeerId, String);

/// Where a turn waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// For its time.
    Later(Duration, u64),
    /// For the channel.
    Ready(Class, u64, u64),
}

/// What is ready in one class, by its tag: the work that its flow will have had by then.
#[derive(Debug, Default)]
struct Queue {
    ready: BTreeMap<(u64, u64), Turn>,
    flows: BTreeMap<Flow, u64>,
    /// The tag of the last turn taken.
    reached: u64,
}

impl Queue {
    fn tag(&mut self, flow: Flow) -> u64 {
        if self.ready.is_empty() {
            self.flows.clear();
        }
        let last = self.flows.entry(flow).or_insert(self.reached);
        let tag = (*last).max(self.reached);
        *last = tag + TYPICAL;
        tag
    }
}

/// What waits on one channel.
#[derive(Debug, Default)]
struct Lane {
    later: BTreeMap<(Duration, u64), Turn>,
    queues: BTreeMap<Class, Queue>,
    /// The work that each class has had, divided by its weight.
    shares: BTreeMap<Class, u64>,
    /// The share at which the last turn was taken.
    reached: u64,
    /// Where each record waits: it has at most one turn a channel.
    places: BTreeMap<Key, Place>,
    /// How many turns were put back.
    put_back: u64,
}

impl Lane {
    fn cancel(&mut self, key: &Key) -> bool {
        let taken = match self.places.remove(key) {
            Some(Place::Later(due, serial)) => self.later.remove(&(due, serial)),
            Some(Place::Ready(class, tag, serial)) => {
                self.queues.get_mut(&class).and_then(|queue| queue.ready.remove(&(tag, serial)))
            }
            None => None,
        };
        taken.is_some()
    }

    /// Moves what has come due to the queues.
    fn ripen(&mut self, elapsed: Duration, serial: &mut u64) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= elapsed) {
            let turn = entry.remove();
            *serial += 1;
            self.enqueue(turn, *serial);
        }
    }

    fn enqueue(&mut self, turn: Turn, serial: u64) {
        let class = turn.class();
        if !self.is_busy(class) {
            // Whoever had nothing to say saves up no share.
            let share = self.shares.entry(class).or_default();
            *share = (*share).max(self.reached);
        }
        let queue = self.queues.entry(class).or_default();
        let (tag, serial) = (queue.tag(turn.flow()), BEHIND + serial);
        self.places.insert(turn.key.clone(), Place::Ready(class, tag, serial));
        queue.ready.insert((tag, serial), turn);
    }

    fn is_busy(&self, class: Class) -> bool {
        self.queues.get(&class).is_some_and(|queue| !queue.ready.is_empty())
    }

    fn busy(&self) -> impl Iterator<Item = Class> {
        self.queues.iter().filter(|(_, queue)| !queue.ready.is_empty()).map(|(class, _)| *class)
    }

    fn take(&mut self) -> Option<Turn> {
        let class = self.busy().min_by_key(|class| (self.shares.get(class).copied(), *class))?;
        let queue = self.queues.get_mut(&class)?;
        let ((tag, _), turn) = queue.ready.pop_first()?;
        queue.reached = tag;
        self.places.remove(&turn.key);
        let share = self.shares.entry(class).or_default();
        self.reached = *share;
        *share += TYPICAL / class.weight();
        Some(turn)
    }

    /// Undoes a [`Lane::take`]; of several the last first.
    fn put_back(&mut self, turn: Turn) {
        let class = turn.class();
        let queue = self.queues.entry(class).or_default();
        self.put_back += 1;
        let (tag, serial) = (queue.reached, BEHIND.saturating_sub(self.put_back));
        self.places.insert(turn.key.clone(), Place::Ready(class, tag, serial));
        queue.ready.insert((tag, serial), turn);
        let share = self.shares.entry(class).or_default();
        *share = share.saturating_sub(TYPICAL / class.weight());
    }

    fn next(&self) -> Option<Duration> {
        match self.busy().next() {
            Some(_) => Some(Duration::ZERO),
            None => self.later.first_key_value().map(|((due, _), _)| *due),
        }
    }
}

/// All turns, channel by channel.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: BTreeMap<ChannelId, Lane>,
    /// Channels whose budget is used up, and until when.
    resting: BTreeMap<ChannelId, Duration>,
    serial: u64,
}

impl Outbox {
    /// Gives a record its turn at `due`; one that it already has on that channel is replaced. False when too much is
    /// waiting there.
    pub(crate) fn schedule(&mut self, turn: Turn, due: Duration) -> bool {
        let lane = self.lanes.entry(turn.channel).or_default();
        lane.cancel(&turn.key);
        if lane.places.len() >= MAX_WAITING {
            return false;
        }
        self.serial += 1;
        lane.places.insert(turn.key.clone(), Place::Later(due, self.serial));
        lane.later.insert((due, self.serial), turn);
        true
    }

    /// Whether a record waits for its turn on a channel.
    pub(crate) fn has(&self, channel: ChannelId, key: &Key) -> bool {
        self.lanes.get(&channel).is_some_and(|lane| lane.places.contains_key(key))
    }

    /// Takes a record's turn away, if it has one: somebody else was heard saying it.
    pub(crate) fn cancel(&mut self, channel: ChannelId, key: &Key) -> bool {
        self.lanes.get_mut(&channel).is_some_and(|lane| lane.cancel(key))
    }

    /// Whether something waits on a channel that could be said at once, if the channel bore it.
    pub(crate) fn is_behind(&self, channel: ChannelId) -> bool {
        self.lanes.get(&channel).is_some_and(|lane| lane.busy().next().is_some())
    }

    /// How many records wait on a channel.
    pub(crate) fn waiting(&self, channel: ChannelId) -> usize {
        self.lanes.get(&channel).map_or(0, |lane| lane.places.len())
    }

    /// Forgets a channel that is gone.
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.lanes.remove(&channel);
        self.resting.remove(&channel);
    }

    /// When the next turn comes.
    pub(crate) fn next(&self) -> Option<Duration> {
        let of = |(channel, lane): (&ChannelId, &Lane)| {
            let rests = self.resting.get(channel).copied().unwrap_or_default();
            lane.next().map(|next| next.max(rests))
        };
        self.lanes.iter().filter_map(of).min()
    }

    /// Puts turns back to the front, in their order; their channel rests until `until`, when its budget has room again.
    pub(crate) fn rest(&mut self, channel: ChannelId, turns: Vec<Turn>, until: Duration) {
        self.resting.insert(channel, until);
        turns.into_iter().rev().for_each(|turn| self.put_back(turn));
    }

    /// Puts a turn back to the front.
    pub(crate) fn put_back(&mut self, turn: Turn) {
        if let Some(lane) = self.lanes.get_mut(&turn.channel) {
            lane.put_back(turn);
        }
    }

    /// The next turn on a channel that has come by `elapsed`.
    pub(crate) fn take_due_on(&mut self, channel: ChannelId, elapsed: Duration) -> Option<Turn> {
        let lane = self.lanes.get_mut(&channel)?;
        lane.ripen(elapsed, &mut self.serial);
        lane.take()
    }

    /// Nothing more is taken from a channel until then: something else is to find room in its budget.
    pub(crate) fn pause(&mut self, channel: ChannelId, until: Duration) {
        self.resting.insert(channel, until);
    }

    /// The next turn that has come by `elapsed`.
    pub(crate) fn take_due(&mut self, elapsed: Duration) -> Option<Turn> {
        self.resting.retain(|_, until| *until > elapsed);
        let (resting, serial) = (&self.resting, &mut self.serial);
        let awake = self.lanes.iter_mut().filter(|(channel, _)| !resting.contains_key(channel));
        let mut ripe = awake.map(|(_, lane)| {
            lane.ripen(elapsed, serial);
            lane
        });
        ripe.find_map(Lane::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Item, Keypair};

    const SECOND: Duration = Duration::from_secs(1);
    const CHANNEL: ChannelId = ChannelId(1);

    fn turn(signer: u8, bucket: &str, data: &str) -> Turn {
        let item = Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() };
        let key = Key { item, signer: Keypair::from_seed([signer; 32]).peer_id() };
        Turn { channel: CHANNEL, key, round: 0, cause: Cause::News }
    }

    fn taken(outbox: &mut Outbox, count: usize) -> Vec<String> {
        let turns = (0..count).filter_map(|_| outbox.take_due(SECOND));
        turns.map(|turn| turn.key.item.data.as_str().to_owned()).collect()
    }

    #[test]
    fn a_record_has_one_turn_a_channel_and_can_lose_it() {
        let mut outbox = Outbox::default();
        outbox.schedule(turn(1, "a", "a"), Duration::ZERO);
        outbox.schedule(turn(1, "a", "a"), SECOND);
        assert_eq!(outbox.next(), Some(SECOND));
        assert!(outbox.cancel(CHANNEL, &turn(1, "a", "a").key));
        assert!(!outbox.cancel(CHANNEL, &turn(1, "a", "a").key));
        assert_eq!(outbox.next(), None);
        outbox.schedule(turn(1, "a", "b"), Duration::ZERO);
        outbox.drop_channel(CHANNEL);
        assert_eq!((outbox.next(), outbox.waiting(CHANNEL)), (None, 0));
    }

    #[test]
    fn discovery_and_logs_pass_whatever_waits() {
        let mut outbox = Outbox::default();
        for n in 0..100 {
            outbox.schedule(turn(1, "pri/me/diagnostics", &format!("diagnostics {n}")), Duration::ZERO);
        }
        assert_eq!(taken(&mut outbox, 5).len(), 5);
        outbox.schedule(turn(2, "share/files", "log"), SECOND);
        outbox.schedule(turn(3, "peer", "peer"), SECOND);
        assert_eq!(taken(&mut outbox, 3), ["log", "peer", "diagnostics 5"]);
    }

    #[test]
    fn what_is_new_comes_before_what_is_said_again_but_not_for_ever() {
        let mut outbox = Outbox::default();
        for n in 0..100 {
            outbox.schedule(Turn { round: 1, ..turn(1, "a", "again") }, Duration::ZERO);
            outbox.schedule(Turn { round: 1, ..turn(1, "a", &format!("again {n}")) }, Duration::ZERO);
            outbox.schedule(turn(2, "a", &format!("new {n}")), Duration::ZERO);
        }
        let first = taken(&mut outbox, 50);
        assert_eq!(first.iter().filter(|data| data.starts_with("again")).count(), 10);
    }

    #[test]
    fn no_signer_and_no_bucket_starves_another() {
        let mut outbox = Outbox::default();
        for n in 0..100 {
            outbox.schedule(turn(1, "a", &format!("flood {n}")), Duration::ZERO);
        }
        taken(&mut outbox, 10);
        outbox.schedule(turn(1, "b", "same signer"), Duration::ZERO);
        outbox.schedule(turn(2, "a", "other signer"), Duration::ZERO);
        let next = taken(&mut outbox, 4);
        assert!(
            next.contains(&"same signer".to_owned()) && next.contains(&"other signer".to_owned()),
            "{next:?}"
        );
    }

    #[test]
    fn a_channel_rests_and_goes_on_where_it_was() {
        let mut outbox = Outbox::default();
        for data in ["a", "b", "c"] {
            outbox.schedule(turn(1, "a", data), Duration::ZERO);
        }
        let first = outbox.take_due(SECOND).unwrap();
        outbox.rest(CHANNEL, vec![first], SECOND * 3);
        assert_eq!((outbox.take_due(SECOND), outbox.next()), (None, Some(SECOND * 3)));
        let taken: Vec<_> = (0..3).filter_map(|_| outbox.take_due(SECOND * 3)).collect();
        assert_eq!(taken, [turn(1, "a", "a"), turn(1, "a", "b"), turn(1, "a", "c")]);
    }
}
