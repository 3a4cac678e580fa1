//! The file `metadata.yaml` of a folder of ROS 2.

use serde::Deserialize;
use std::collections::BTreeSet;

use super::COMPRESSED;
use crate::Fault;
use crate::description::Timestamp;
use crate::draft::Draft;

/// Content of the file. Other keys are ignored: they differ between the nine versions of the format.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    #[serde(rename = "rosbag2_bagfile_information")]
    recording: Recording,
}

#[derive(Debug, Deserialize)]
struct Recording {
    #[serde(default)]
    relative_file_paths: Vec<String>,
    starting_time: Begin,
    duration: Length,
    message_count: u64,
    #[serde(default)]
    topics_with_message_count: Vec<Count>,
}

#[derive(Debug, Deserialize)]
struct Begin {
    nanoseconds_since_epoch: i64,
}

#[derive(Debug, Deserialize)]
struct Length {
    nanoseconds: i64,
}

#[derive(Debug, Deserialize)]
struct Count {
    topic_metadata: Topic,
    message_count: u64,
}

#[derive(Debug, Deserialize)]
struct Topic {
    name: String,
    #[serde(rename = "type")]
    message_type: String,
}

impl Metadata {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| Fault::Metadata)?;
        // No recorder writes anchors, so few are permitted: their repetition takes memory.
        let budget = serde_saphyr::budget! {
            max_anchors: 1_000,
            max_aliases: 1_000,
            max_recorded_anchor_events: 10_000,
            max_recorded_anchor_bytes: 1 << 20,
            max_documents: 1,
        };
        let options = serde_saphyr::options! { budget: budget };
        serde_saphyr::from_str_with_options(text, options).map_err(|_| Fault::Metadata)
    }

    /// Checks that the named files are in the folder. Early versions wrote the folder before the name.
    pub(super) fn check_parts(&self, names: &BTreeSet<String>) -> Result<(), Fault> {
        for path in &self.recording.relative_file_paths {
            let name = path.rsplit('/').next().unwrap_or_default();
            if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                return Err(Fault::PartOutside);
            }
            if !names.contains(name) && !names.contains(&format!("{name}{COMPRESSED}")) {
                return Err(Fault::PartMissing);
            }
        }
        Ok(())
    }

    /// Adds the topics and times.
    pub(super) fn add_to(&self, draft: &mut Draft) {
        let Recording { starting_time, duration, message_count, topics_with_message_count, .. } =
            &self.recording;
        let mut named: u64 = 0;
        for Count { topic_metadata: Topic { name, message_type }, message_count } in topics_with_message_count
        {
            draft.add(name, message_type, *message_count);
            named = named.saturating_add(*message_count);
        }
        draft.add_unnamed(message_count.saturating_sub(named));
        // Without messages the times have no meaning: the recorder writes the largest possible number.
        let from = u64::try_from(starting_time.nanoseconds_since_epoch).ok().filter(|_| *message_count > 0);
        let length = u64::try_from(duration.nanoseconds).ok();
        if let Some((from, length)) = from.zip(length) {
            draft.span(Timestamp(from), Timestamp(from.saturating_add(length)));
        }
    }
}

#[cfg(test)]
mod tests;
