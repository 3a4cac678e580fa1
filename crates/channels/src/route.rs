//! Queues that carry lines to the channel tasks.

use routing::{ChannelId, Target};
use tokio::sync::mpsc;

/// A line to send, with its channel and target, for a task that serves several of them.
#[derive(Debug)]
pub(crate) struct OutgoingLine {
    pub(crate) channel: ChannelId,
    pub(crate) target: Target,
    pub(crate) line: String,
}

/// The queue of a channel. Lines for a full queue are dropped; the repair protocol makes up for them.
#[derive(Debug)]
pub(crate) enum Route {
    /// Queue of a task that sends lines on a network.
    Network(mpsc::Sender<OutgoingLine>),
    /// Queue of a task that writes lines to a link. Dropping it closes the link after all queued lines are written.
    Link(mpsc::Sender<String>),
}
