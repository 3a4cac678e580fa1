//! Planned events, ordered by time. Events at the same time are ordered as they were planned.

use crate::action::Action;
use crate::line::Line;
use crate::link::{EndOf, LinkId};
use crate::node::{Life, NodeId};
use dcache::Record;
use routing::ChannelId;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// An event that is planned.
#[derive(Debug)]
pub(crate) enum Event {
    /// A line of `from` arrives at a node on a network.
    Arrives { node: NodeId, channel: ChannelId, from: NodeId, line: Arc<Line> },
    /// A node's brain is woken, as it asked for.
    Wake { node: NodeId },
    /// An attempt to open a link reaches the dialled node.
    Called { link: LinkId },
    /// The dialling node learns that its link is up.
    Connected { link: LinkId },
    /// An attempt to open a link has failed.
    Uncalled { life: Life, address: SocketAddr },
    /// A line arrives at an end of a link.
    Passed { end: EndOf, line: Arc<Line> },
    /// An end of a link may have sent all lines that it was given.
    Drained { end: EndOf },
    /// The other side of a link will send no more lines.
    Ended { end: EndOf },
    /// One end of a link learns that the link is gone.
    Gone { end: EndOf },
    /// It is time to check whether a link was silent for too long.
    Patience { end: EndOf },
    /// A node's own record is on its disk.
    Written { life: Life, record: Box<Record> },
    /// A node's own record is given to its brain.
    Told { life: Life, record: Box<Record> },
    /// The waiting records of other signers are written to a node's disk.
    Flush { life: Life },
    /// The services of a node decide.
    Decide { life: Life },
    /// A node's fetch of a file ends.
    Fetched { life: Life, cid: ipfs::Cid },
    /// A liar sends something.
    Lie { node: NodeId },
    /// An action that the scenario asks for.
    Act(Box<Action>),
}

#[derive(Debug)]
struct Entry {
    at: Duration,
    serial: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

/// The queue of planned events.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    serial: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Duration, event: Event) {
        self.serial += 1;
        self.heap.push(Reverse(Entry { at, serial: self.serial, event }));
    }

    /// Returns the time of the next event.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Duration, Event)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_events_come_first_and_simultaneous_ones_in_their_order() {
        let mut queue = Queue::default();
        for (seconds, node) in [(3, 0), (1, 1), (3, 2), (1, 3)] {
            queue.push(Duration::from_secs(seconds), Event::Wake { node });
        }
        let mut nodes = Vec::new();
        while let Some((_, Event::Wake { node })) = queue.pop() {
            nodes.push(node);
        }
        assert_eq!(nodes, [1, 3, 0, 2]);
    }
}
