//! The records that wait to be sent on each channel, and the order in which they are sent.
//!
//! A channel's budget is shared in two steps by start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996). First, it
//! is shared among the classes of records by weight. Records with which peers and logs are found have the highest
//! weight, and repetitions have the lowest. Then the share of each class is divided equally among its flows. A flow
//! consists of the records of one signer in one kind of bucket. So the records of one flow do not delay those of other
//! flows, however many they are.

use dcache::buckets::{self, Priority};
use dcache::{Key, PeerId};
use routing::ChannelId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum number of records that wait on one channel. Further records are dropped; repair brings them to peers that
/// lack them.
const MAX_WAITING: usize = 20_000;
/// Size, in bytes, that the queue assumes for each record. The exact size is known only when the line is written.
const TYPICAL: u64 = 600;

/// Number of records that are sent on a channel between two steps of comparisons while leading records wait.
const LEADING_TURN: usize = 12;

/// Limit between two ranges of serial numbers. Records that were put back get lower numbers, so that they are taken
/// first; all others get higher ones.
const BEHIND: u64 = 1 << 32;

/// The classes of records, most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    /// Records that tell where peers are, and which logs there are.
    Leading,
    /// All other records, when they are sent for the first time.
    Fresh,
    /// Repetitions, to make up for loss or because a peer lacks the record.
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

/// A record that waits to be sent on a channel. Only its key is kept: the record sent is the latest under that key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedRecord {
    pub(crate) channel: ChannelId,
    pub(crate) key: Key,
    /// Number of times it was sent before.
    pub(crate) round: usize,
    pub(crate) cause: Cause,
}

/// The reason for sending a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A new record of this node.
    News,
    /// A record of this node that renews an earlier one. It is not urgent.
    Renewal,
    /// A record of another node, heard on another channel.
    Relay,
    /// A record that a comparison on another channel brought.
    Found,
    /// A record that a peer on this channel lacks.
    Missed,
    /// A record of this node that a newcomer on this channel most likely lacks.
    Greeting,
}

impl Cause {
    /// Returns the maximum number of repetitions on networks that lose datagrams.
    pub(crate) fn repeats(self) -> usize {
        match self {
            Self::News => usize::MAX,
            Self::Renewal | Self::Relay | Self::Greeting => 2,
            Self::Missed => 1,
            Self::Found => 0,
        }
    }
}

impl QueuedRecord {
    pub(crate) fn class(&self) -> Class {
        if self.round > 0 || self.cause == Cause::Missed {
            return Class::Again;
        }
        match buckets::family(&self.key.item.bucket).priority {
            Priority::Leading => Class::Leading,
            Priority::Ordinary => Class::Fresh,
        }
    }

    /// Returns the flow to which the record belongs: its signer and its kind of bucket. All flows of a class have equal
    /// shares.
    fn flow(&self) -> Flow {
        (self.key.signer, buckets::subject(&self.key.item.bucket).to_owned())
    }
}

type Flow = (PeerId, String);

/// The place where a record waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// Waits until its due time.
    Later(Duration, u64),
    /// Waits until the channel can send it.
    Ready(Class, u64, u64),
}

/// The ready records of one class, ordered by tag. The tag of a record is the number of bytes that its flow has sent
/// when the record's turn comes.
#[derive(Debug, Default)]
struct Queue {
    ready: BTreeMap<(u64, u64), QueuedRecord>,
    flows: BTreeMap<Flow, u64>,
    /// The tag of the last record taken.
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

/// The records that wait on one channel.
#[derive(Debug, Default)]
struct Lane {
    later: BTreeMap<(Duration, u64), QueuedRecord>,
    queues: BTreeMap<Class, Queue>,
    /// Number of bytes that each class has sent, divided by its weight.
    shares: BTreeMap<Class, u64>,
    /// Share of the class that sent last, as it was before that record.
    reached: u64,
    /// The place of each waiting record. A record waits at most once on a channel.
    places: BTreeMap<Key, Place>,
    /// Number of records that were put back.
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

    /// Moves the records that are due into the queues.
    fn ripen(&mut self, elapsed: Duration, serial: &mut u64) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= elapsed) {
            let record = entry.remove();
            *serial += 1;
            self.enqueue(record, *serial);
        }
    }

    fn enqueue(&mut self, record: QueuedRecord, serial: u64) {
        let class = record.class();
        if !self.is_busy(class) {
            // An idle class does not accumulate credit.
            let share = self.shares.entry(class).or_default();
            *share = (*share).max(self.reached);
        }
        let queue = self.queues.entry(class).or_default();
        let (tag, serial) = (queue.tag(record.flow()), BEHIND + serial);
        self.places.insert(record.key.clone(), Place::Ready(class, tag, serial));
        queue.ready.insert((tag, serial), record);
    }

    fn is_busy(&self, class: Class) -> bool {
        self.queues.get(&class).is_some_and(|queue| !queue.ready.is_empty())
    }

    fn busy(&self) -> impl Iterator<Item = Class> {
        self.queues.iter().filter(|(_, queue)| !queue.ready.is_empty()).map(|(class, _)| *class)
    }

    fn take(&mut self) -> Option<QueuedRecord> {
        let class = self.busy().min_by_key(|class| (self.shares.get(class).copied(), *class))?;
        let queue = self.queues.get_mut(&class)?;
        let ((tag, _), record) = queue.ready.pop_first()?;
        queue.reached = tag;
        self.places.remove(&record.key);
        let share = self.shares.entry(class).or_default();
        self.reached = *share;
        *share += TYPICAL / class.weight();
        Some(record)
    }

    /// Undoes a [`Lane::take`]. Several calls have to be undone in reverse order.
    fn put_back(&mut self, record: QueuedRecord) {
        let class = record.class();
        let queue = self.queues.entry(class).or_default();
        self.put_back += 1;
        let (tag, serial) = (queue.reached, BEHIND.saturating_sub(self.put_back));
        self.places.insert(record.key.clone(), Place::Ready(class, tag, serial));
        queue.ready.insert((tag, serial), record);
        let share = self.shares.entry(class).or_default();
        *share = share.saturating_sub(TYPICAL / class.weight());
        self.reached = *share;
    }

    fn next(&self) -> Option<Duration> {
        match self.busy().next() {
            Some(_) => Some(Duration::ZERO),
            None => self.later.first_key_value().map(|((due, _), _)| *due),
        }
    }
}

/// A pause of a channel whose budget is used up.
#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Duration,
    /// Whether the budget is kept for something else than records. Then no record ends the pause.
    is_reserved: bool,
}

/// The waiting records of all channels.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: BTreeMap<ChannelId, Lane>,
    /// Paused channels, and the time until which nothing is taken from them.
    resting: BTreeMap<ChannelId, Rest>,
    /// Number of records that were taken from each channel since something else was sent there in its turn.
    taken: BTreeMap<ChannelId, usize>,
    serial: u64,
}

impl Outbox {
    /// Queues a record to be sent at `due`. If it already waits on that channel, only the new time counts. Returns
    /// false if too many records wait there.
    pub(crate) fn schedule(&mut self, record: QueuedRecord, due: Duration) -> bool {
        let lane = self.lanes.entry(record.channel).or_default();
        lane.cancel(&record.key);
        if lane.places.len() >= MAX_WAITING {
            return false;
        }
        // A line with this record alone may fit into the budget earlier than the line that waits.
        if record.class() == Class::Leading
            && let Some(rest) = self.resting.get_mut(&record.channel).filter(|rest| !rest.is_reserved)
        {
            rest.until = rest.until.min(due);
        }
        self.serial += 1;
        lane.places.insert(record.key.clone(), Place::Later(due, self.serial));
        lane.later.insert((due, self.serial), record);
        true
    }

    /// Returns whether a record waits on a channel.
    pub(crate) fn has(&self, channel: ChannelId, key: &Key) -> bool {
        self.lanes.get(&channel).is_some_and(|lane| lane.places.contains_key(key))
    }

    /// Removes a record, because another node was heard sending it. Returns whether it waited.
    pub(crate) fn cancel(&mut self, channel: ChannelId, key: &Key) -> bool {
        self.lanes.get_mut(&channel).is_some_and(|lane| lane.cancel(key))
    }

    /// Returns whether a record on a channel is due and waits only for the channel's budget.
    pub(crate) fn is_behind(&self, channel: ChannelId) -> bool {
        self.lanes.get(&channel).is_some_and(|lane| lane.busy().next().is_some())
    }

    /// Returns the number of records that wait on a channel.
    pub(crate) fn waiting(&self, channel: ChannelId) -> usize {
        self.lanes.get(&channel).map_or(0, |lane| lane.places.len())
    }

    /// Forgets a channel that is gone.
    pub(crate) fn drop_channel(&mut self, channel: ChannelId) {
        self.lanes.remove(&channel);
        self.resting.remove(&channel);
        self.taken.remove(&channel);
    }

    /// Returns when the next record can be taken.
    pub(crate) fn next(&self) -> Option<Duration> {
        let of = |(channel, lane): (&ChannelId, &Lane)| {
            let rests = self.resting.get(channel).map_or(Duration::ZERO, |rest| rest.until);
            lane.next().map(|next| next.max(rests))
        };
        self.lanes.iter().filter_map(of).min()
    }

    /// Puts records back to the front, in their order, because the budget of their channel is used up. Pauses the
    /// channel until `until`.
    pub(crate) fn rest(&mut self, channel: ChannelId, records: Vec<QueuedRecord>, until: Duration) {
        self.resting.insert(channel, Rest { until, is_reserved: false });
        records.into_iter().rev().for_each(|record| self.put_back(record));
    }

    /// Puts a record back to the front.
    pub(crate) fn put_back(&mut self, record: QueuedRecord) {
        if let Some(taken) = self.taken.get_mut(&record.channel) {
            *taken = taken.saturating_sub(1);
        }
        if let Some(lane) = self.lanes.get_mut(&record.channel) {
            lane.put_back(record);
        }
    }

    /// Takes the next record of a channel that is due by `elapsed`.
    pub(crate) fn take_due_on(&mut self, channel: ChannelId, elapsed: Duration) -> Option<QueuedRecord> {
        let lane = self.lanes.get_mut(&channel)?;
        lane.ripen(elapsed, &mut self.serial);
        let record = lane.take()?;
        self.note_taken(channel);
        Some(record)
    }

    /// Returns when something else than records may next try to use a channel, if the budget is used up and it is the
    /// turn of the records that wait there. The two take turns, so that neither can starve the other. Leading records
    /// have several turns.
    pub(crate) fn claimed_until(&mut self, channel: ChannelId, elapsed: Duration) -> Option<Duration> {
        let until = self.resting.get(&channel).map(|rest| rest.until).filter(|until| *until > elapsed)?;
        let lane = self.lanes.get_mut(&channel)?;
        lane.ripen(elapsed, &mut self.serial);
        let least = match lane.busy().next() {
            None => 0,
            Some(_) if lane.is_busy(Class::Leading) => LEADING_TURN,
            Some(_) => 1,
        };
        self.taken.get(&channel).is_some_and(|taken| *taken < least).then_some(until)
    }

    /// Reserves the budget of a channel until `until` for something else than records, and takes nothing from it.
    pub(crate) fn reserve(&mut self, channel: ChannelId, until: Duration) {
        self.resting.insert(channel, Rest { until, is_reserved: true });
    }

    /// Ends the turn of something else than records, because it was sent.
    pub(crate) fn had_turn(&mut self, channel: ChannelId) {
        self.taken.insert(channel, 0);
    }

    /// Takes the next record that is due by `elapsed`, from any channel that is not paused.
    pub(crate) fn take_due(&mut self, elapsed: Duration) -> Option<QueuedRecord> {
        self.resting.retain(|_, rest| rest.until > elapsed);
        let (resting, serial) = (&self.resting, &mut self.serial);
        let awake = self.lanes.iter_mut().filter(|(channel, _)| !resting.contains_key(channel));
        let mut ripe = awake.map(|(_, lane)| {
            lane.ripen(elapsed, serial);
            lane
        });
        let record = ripe.find_map(Lane::take)?;
        self.note_taken(record.channel);
        Some(record)
    }

    fn note_taken(&mut self, channel: ChannelId) {
        if let Some(taken) = self.taken.get_mut(&channel) {
            *taken = taken.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests;
