//! What is to happen, in the order of its time; of equal times in the order in which it was planned.

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

/// Something to happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A line of `from` arrives at a node, by a network.
    Arrives { node: NodeId, channel: ChannelId, from: NodeId, line: Arc<Line> },
    /// A node's brain wanted to be woken.
    Wake { node: NodeId },
    /// A call reaches the one who is called.
    Called { link: LinkId },
    /// The caller knows that it was answered.
    Connected { link: LinkId },
    /// A call came to nothing.
    Uncalled { life: Life, address: SocketAddr },
    /// A line arrives at an end of a link.
    Passed { end: EndOf, line: Arc<Line> },
    /// An end of a link may have sent all that it was given.
    Drained { end: EndOf },
    /// The other side of a link will say no more.
    Ended { end: EndOf },
    /// A link is gone, for one end.
    Gone { end: EndOf },
    /// Whether something was heard on a link of late.
    Patience { end: EndOf },
    /// A node's own record is on its disk.
    Written { life: Life, record: Box<Record> },
    /// And is told.
    Told { life: Life, record: Box<Record> },
    /// What others said goes to a node's disk.
    Flush { life: Life },
    /// The services of a node decide.
    Decide { life: Life },
    /// A node's fetch of a file ends.
    Fetched { life: Life, cid: ipfs::Cid },
    /// A liar does something.
    Lie { node: NodeId },
    /// Something that the scenario asks for.
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

/// All that is to happen.
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

    /// When the next thing happens.
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
    fn what_is_earlier_comes_first_and_what_is_equal_in_its_order() {
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
