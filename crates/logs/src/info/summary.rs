//! The content of a recording: in short in the record about a file, and whole in the info file beside it.

use dcache::Time;
use recordings::{Fault, Kind};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// Maximum length, in bytes, of the name of the recording robot in a summary. A longer name is left out.
const MAX_VEHICLE_BYTES: usize = 63;
const SECOND: u64 = 1_000_000_000;

/// The content of a recording in short. It is computed from the bytes of the file, so a peer that has them can check it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Kind of the content.
    pub kind: Kind,
    /// Time of the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Time of the last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Number of messages.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub messages: u64,
    /// Number of topics.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub topics: u64,
    /// Whether the recording was not closed, or its end is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Whether there is more than is described.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Whether the times are not plausible, as on a robot whose clock was never set.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub date_doubtful: bool,
    /// Reason why the file is not what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Name of the recording robot, from the names of the topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Summary {
    /// Returns the short form of a whole description.
    pub fn of(whole: &recordings::Description) -> Self {
        Self {
            kind: whole.kind,
            from: whole.from.map(|time| Time(time.0 / SECOND)),
            until: whole.until.map(|time| Time(time.0 / SECOND)),
            messages: whole.messages,
            topics: whole.topics.len() as u64,
            cut: whole.is_cut,
            partial: whole.is_partial,
            date_doubtful: whole.is_date_doubtful,
            fault: whole.fault,
            vehicle: whole.vehicle.clone().filter(|name| name.len() <= MAX_VEHICLE_BYTES),
        }
    }

    /// Returns the time between the first and the last message.
    pub fn duration(&self) -> Option<Duration> {
        let (from, until) = self.from.zip(self.until)?;
        until.0.checked_sub(from.0).map(Duration::from_secs)
    }

    /// Returns whether the texts are short and harmless.
    fn is_within_limits(&self) -> bool {
        let is_harmless =
            |name: &String| name.len() <= MAX_VEHICLE_BYTES && !name.contains(telemetry::is_dangerous);
        self.vehicle.as_ref().is_none_or(is_harmless)
    }
}

/// Reads a summary, if there is one that this version understands. A later version may know more kinds and faults, and
/// the rest of the description is true all the same.
pub(super) fn read_if_known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Summary>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok().filter(Summary::is_within_limits))
}

/// The whole content of a recording, with the version of the program part that described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// Version of the rules by which the description was made.
    version: u32,
    /// Everything that the bytes tell.
    #[serde(flatten)]
    pub content: recordings::Description,
}

impl Whole {
    /// Wraps a description that this program made.
    pub fn new(content: recordings::Description) -> Self {
        Self { version: recordings::VERSION, content }
    }

    /// Returns whether this program makes the same description from the same bytes.
    pub(crate) fn is_comparable(&self) -> bool {
        self.version == recordings::VERSION
    }

    /// Reads the description in an info file, if there is one that this version understands.
    pub(super) fn read(value: serde_json::Value) -> Option<Self> {
        let read: Self = serde_json::from_value(value).ok()?;
        read.content.is_within_limits().then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_short_and_leaves_out_what_is_not_known() {
        let mut text = &b"camera started\n"[..];
        let whole = recordings::describe("camera.log", &mut text).unwrap();
        let summary = Summary::of(&whole);
        assert_eq!(serde_json::to_string(&summary).unwrap(), r#"{"kind":"text"}"#);
        let empty = recordings::describe("a.bag", &mut &b""[..]).unwrap();
        let text = serde_json::to_string(&Summary::of(&empty)).unwrap();
        assert_eq!(text, r#"{"kind":"other","fault":"empty"}"#);
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), Summary::of(&empty));
    }

    #[test]
    fn a_whole_description_of_another_version_is_not_compared() {
        let mut text = &b"camera started\n"[..];
        let own = Whole::new(recordings::describe("camera.log", &mut text).unwrap());
        let mut value = serde_json::to_value(&own).unwrap();
        assert_eq!(Whole::read(value.clone()), Some(own));
        value["version"] = 9999.into();
        assert!(!Whole::read(value.clone()).unwrap().is_comparable());
        value["kind"] = "hologram".into();
        assert_eq!(Whole::read(value), None);
    }
}
