//! The queues by which lines reach the tasks of channels.

use routing::{ChannelId, Target};
use tokio::sync::mpsc;

/// A line to send on a channel of a task that has several, or that has no order to keep.
#[derive(Debug)]
pub(crate) struct OutgoingLine {
    pub(crate) channel: ChannelId,
    pub(crate) target: Target,
    pub(crate) line: String,
}

/// The queue of a channel. A line that is sent to a full queue is lost; repair makes up for that.
#[derive(Debug)]
pub(crate) enum Route {
    /// Leads to a task that sends lines on a network.
    Network(mpsc::Sender<OutgoingLine>),
    /// Leads to a task that writes lines to a link; dropping it closes the link once all is written.
    Link(mpsc::Sender<String>),
}
