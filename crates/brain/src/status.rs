//! The status of this node.

use crate::Now;
use crate::node::Node;
use routing::Status;

impl Node {
    /// Returns the status that a pong on a link carries.
    pub(crate) fn status(&self, now: Now) -> Status {
        let counters = self.counters.iter().map(|(metric, count)| (metric.name.to_owned(), count));
        Status {
            version: self.version.clone(),
            time: now.moment.time,
            uptime: now.elapsed.as_secs(),
            records: self.replica.set().len() as u64,
            counters: counters.collect(),
            channels: self.channels.statuses(&self.neighbours, now.elapsed),
            troubles: self.troubles.statuses(now.elapsed),
            sync: Some(self.sync_status(now)),
            control_socket: None,
        }
    }
}
