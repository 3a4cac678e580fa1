//! The content of a recording, as documents and people get it.

use crate::output::fields::Timestamp;
use crate::text::{clean, count, date, duration};
use dcache::Time;
use logs::Summary;
use recordings::Kind;
use serde::Serialize;

/// Maximum number of characters of the name of a robot.
const MAX_NAME_SHOWN: usize = 24;

/// Kind of a shared file, as options and documents name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FileKind {
    /// Bag of ROS 1
    Bag,
    /// File in the format MCAP
    Mcap,
    /// Folder of ROS 2
    Ros2,
    /// Database of SQLite
    Database,
    /// File with plain text
    Text,
    /// Any other file
    Other,
}

impl From<Kind> for FileKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Ros1Bag => Self::Bag,
            Kind::Mcap => Self::Mcap,
            Kind::Ros2Folder => Self::Ros2,
            Kind::Database => Self::Database,
            Kind::Text => Self::Text,
            Kind::Other => Self::Other,
        }
    }
}

impl FileKind {
    /// Returns the kind in words.
    fn words(self) -> &'static str {
        match self {
            Self::Bag => "ROS 1 bag",
            Self::Mcap => "MCAP file",
            Self::Ros2 => "ROS 2 folder",
            Self::Database => "SQLite database",
            Self::Text => "text",
            Self::Other => "other file",
        }
    }
}

/// The content of a recording in short.
#[derive(Debug, Serialize)]
pub(crate) struct Recording {
    /// The kind of the content.
    pub(crate) kind: FileKind,
    /// When the first message was recorded; `null` if there is none or it is not known.
    from_time: Option<Timestamp>,
    /// When the last message was recorded; `null` as for `from_time`.
    until_time: Option<Timestamp>,
    /// The time between these messages; `null` as for `from_time`.
    duration_seconds: Option<u64>,
    /// The number of messages.
    messages: u64,
    /// The number of topics.
    topics: u64,
    /// Whether the recording was not closed, or its end is missing.
    is_cut: bool,
    /// Whether there is more than is described.
    is_partial: bool,
    /// Whether the times are not plausible, as on a robot whose clock was never set.
    is_date_doubtful: bool,
    /// Why the file is not what it says; `null` if nothing is wrong.
    fault: Option<String>,
    /// The name of the recording robot, from the names of the topics; `null` if they have none.
    vehicle: Option<String>,
}

impl From<&Summary> for Recording {
    fn from(summary: &Summary) -> Self {
        Self {
            kind: summary.kind.into(),
            from_time: summary.from.map(Timestamp),
            until_time: summary.until.map(Timestamp),
            duration_seconds: summary.duration().map(|duration| duration.as_secs()),
            messages: summary.messages,
            topics: summary.topics,
            is_cut: summary.cut,
            is_partial: summary.partial,
            is_date_doubtful: summary.date_doubtful,
            fault: summary.fault.map(|fault| fault.to_string()),
            vehicle: summary.vehicle.clone(),
        }
    }
}

impl Recording {
    /// Describes the content in one line.
    pub(crate) fn show(&self) -> String {
        let mut parts = vec![self.kind.words().to_owned()];
        if let Some(seconds) = self.duration_seconds {
            parts.push(duration(seconds));
        }
        if self.messages > 0 {
            let topics = count(usize::try_from(self.topics).unwrap_or(usize::MAX), "topic");
            let messages = count(usize::try_from(self.messages).unwrap_or(usize::MAX), "message");
            parts.push(format!("{messages} in {topics}"));
        }
        if let Some(vehicle) = &self.vehicle {
            parts.push(format!("recorded by {}", clean(vehicle, MAX_NAME_SHOWN)));
        }
        parts.join(", ")
    }

    /// Returns the times of the first and the last message.
    pub(crate) fn times(&self) -> Option<String> {
        let (from, until) = self.from_time.zip(self.until_time)?;
        Some(format!("{} to {}", date(from.0), date(until.0)))
    }

    /// Returns when the recording ended, if the time is plausible.
    pub(crate) fn end(&self) -> Option<Time> {
        self.until_time.filter(|_| !self.is_date_doubtful).map(|time| time.0)
    }

    /// Returns whether the recording has topics.
    pub(crate) fn has_topics(&self) -> bool {
        self.topics > 0
    }

    /// Returns what a reader must know about the content, one sentence each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let cut = "The recording was cut off; it is described as far as it goes.".to_owned();
        let doubtful = "The times are doubtful: probably the clock of the robot was not set.".to_owned();
        let partial = "There is more in the file than is described.".to_owned();
        let marks = [(self.is_cut, cut), (self.is_date_doubtful, doubtful), (self.is_partial, partial)];
        let marks = marks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, remark)| remark);
        let fault = self.fault.iter().map(|fault| format!("The file is not what it says: {fault}."));
        fault.chain(marks).collect()
    }
}
