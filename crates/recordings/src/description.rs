//! The description of a recording.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::Fault;
use crate::text::{MAX_LINE_CHARS, MAX_LINES};

/// Maximum number of topics in a description. A robot with hundreds of nodes has fewer.
pub const MAX_TOPICS: usize = 1024;
/// Maximum length, in characters, of the name of a topic and of a message type. ROS 2 limits the name of a topic to 255
/// characters.
pub const MAX_NAME_CHARS: usize = 255;
/// Maximum length of all these names together, in bytes: 256 KiB. Names of 100 bytes suffice for 1,000 topics. So a
/// description fits into a block.
pub const MAX_NAMES_BYTES: usize = 256 << 10;
/// Begin of the plausible dates: 2020-01-01. A computer without a clock begins in 1970, or on the day on which its
/// system was built. For the first Jetsons and Raspberry Pis of Duckietown, that day was in 2018 or 2019.
pub const EARLIEST_PLAUSIBLE: Timestamp = Timestamp(1_577_836_800 * Timestamp::SECOND);
/// End of the plausible dates: 2100-01-01.
pub const LATEST_PLAUSIBLE: Timestamp = Timestamp(4_102_444_800 * Timestamp::SECOND);

/// A time in a recording, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Number of nanoseconds in a second.
    pub(crate) const SECOND: u64 = 1_000_000_000;
}

/// Kind of a file, decided by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Bag of ROS 1, version 2.0.
    Ros1Bag,
    /// File in the format MCAP.
    Mcap,
    /// Folder that ROS 2 recorded.
    Ros2Folder,
    /// SQLite database, such as one part of a folder of ROS 2. Its content is not read.
    Database,
    /// Text in UTF-8.
    Text,
    /// Any other content.
    Other,
}

impl Kind {
    /// Returns the kind that the end of a file's name promises, if it promises one.
    pub fn promised(name: &str) -> Option<Self> {
        let name = name.strip_suffix(".active").unwrap_or(name);
        let (_, end) = name.rsplit_once('.')?;
        match end.to_ascii_lowercase().as_str() {
            "bag" => Some(Self::Ros1Bag),
            "mcap" => Some(Self::Mcap),
            "db3" => Some(Self::Database),
            _ => None,
        }
    }
}

/// A topic of a recording. Connections of several publishers to one topic are one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topic {
    /// Name of the topic. Dangerous characters are escaped, see [`telemetry::clean`].
    pub name: String,
    /// Type of its messages, escaped likewise. It is empty when the recording does not tell it.
    pub message_type: String,
    /// Number of its messages that were counted.
    pub messages: u64,
}

/// Everything that the bytes of a recording tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Kind of the content.
    pub kind: Kind,
    /// Time of the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Time of the last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Number of messages that were counted, including those of topics whose names are not known.
    #[serde(default)]
    pub messages: u64,
    /// The topics, sorted by name and type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<Topic>,
    /// Whether the recording was not closed, or its end is missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_cut: bool,
    /// Whether there is more than is described: a limit was reached, or compressed parts have no index.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_partial: bool,
    /// Whether the recording begins before [`EARLIEST_PLAUSIBLE`] or ends after [`LATEST_PLAUSIBLE`], as on a robot whose
    /// clock was never set.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_date_doubtful: bool,
    /// Reason why the file is not what it says. The other fields then have what could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Name of the recording robot, from the names of its topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle: Option<String>,
    /// First lines of a text, escaped like the names of topics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub head: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Description {
    /// Returns a description of which only the kind is known.
    pub(crate) fn of(kind: Kind) -> Self {
        Self {
            kind,
            from: None,
            until: None,
            messages: 0,
            topics: Vec::new(),
            is_cut: false,
            is_partial: false,
            is_date_doubtful: false,
            fault: None,
            vehicle: None,
            head: Vec::new(),
        }
    }

    /// Returns whether the texts and their number are within the limits, and no text has dangerous characters. Descriptions
    /// of this crate are; that of another peer may have anything.
    pub fn is_within_limits(&self) -> bool {
        let names = || self.topics.iter().flat_map(|topic| [&topic.name, &topic.message_type]);
        // A text that was shortened has one more character.
        let is_safe = |text: &String, most: usize| {
            text.chars().count() <= most + 1 && !text.contains(telemetry::is_dangerous)
        };
        self.topics.len() <= MAX_TOPICS
            && names().map(String::len).sum::<usize>() <= MAX_NAMES_BYTES
            && names().chain(&self.vehicle).all(|name| is_safe(name, MAX_NAME_CHARS))
            && self.head.len() <= MAX_LINES
            && self.head.iter().all(|line| is_safe(line, MAX_LINE_CHARS))
    }

    /// Returns the time between the first and the last message.
    pub fn duration(&self) -> Option<Duration> {
        let (from, until) = self.from.zip(self.until)?;
        until.0.checked_sub(from.0).map(Duration::from_nanos)
    }
}

/// Returns whether these times cannot be those of a recording.
pub(crate) fn is_doubtful(from: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    from.is_some_and(|from| from < EARLIEST_PLAUSIBLE) || until.is_some_and(|until| until >= LATEST_PLAUSIBLE)
}

/// Returns the name of the recording robot. The nodes of Duckietown publish at `/VEHICLE/NODE_node/TOPIC`. The vehicle
/// of the camera counts, otherwise the vehicle of all nodes if they agree.
pub(crate) fn vehicle(topics: &[Topic]) -> Option<String> {
    let of_nodes = || topics.iter().filter_map(|topic| node(&topic.name));
    let camera = of_nodes().find(|(_, path)| *path == "camera_node/image/compressed");
    let (first, _) = camera.or_else(|| of_nodes().next())?;
    let agree = of_nodes().all(|(vehicle, _)| vehicle == first);
    (camera.is_some() || agree).then(|| first.to_owned())
}

/// Splits the topic of a node into the name of the vehicle and the rest.
fn node(topic: &str) -> Option<(&str, &str)> {
    let (vehicle, path) = topic.strip_prefix('/')?.split_once('/')?;
    let (node, _) = path.split_once('/')?;
    let is_host = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (node.ends_with("_node") && !vehicle.is_empty() && is_host(vehicle)).then_some((vehicle, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(names: &[&str]) -> Vec<Topic> {
        let topic =
            |name: &&str| Topic { name: (*name).to_owned(), message_type: String::new(), messages: 1 };
        names.iter().map(topic).collect()
    }

    #[test]
    fn the_vehicle_is_that_of_the_camera_or_of_all_nodes() {
        let camera = ["/a/wheels_driver_node/x", "/b/camera_node/image/compressed", "/rosout"];
        assert_eq!(vehicle(&topics(&camera)).as_deref(), Some("b"));
        assert_eq!(vehicle(&topics(&["/a/fsm_node/mode", "/a/joy_node/x", "/tf"])).as_deref(), Some("a"));
        assert_eq!(vehicle(&topics(&["/a/fsm_node/mode", "/b/joy_node/x"])), None);
        assert_eq!(vehicle(&topics(&["/turtle1/pose", "/rosout", "//x_node/y", "/a b/x_node/y"])), None);
    }

    #[test]
    fn a_name_promises_a_kind() {
        for (name, kind) in [
            ("a.bag", Some(Kind::Ros1Bag)),
            ("a.BAG", Some(Kind::Ros1Bag)),
            ("a.bag.active", Some(Kind::Ros1Bag)),
            ("a.b.mcap", Some(Kind::Mcap)),
            ("a_0.db3", Some(Kind::Database)),
            ("bag", None),
            ("a.log", None),
        ] {
            assert_eq!(Kind::promised(name), kind, "{name}");
        }
    }

    #[test]
    fn a_date_is_doubtful_before_2020_and_from_2100() {
        let day = Timestamp(86_400 * Timestamp::SECOND);
        let later = |time: Timestamp| Timestamp(time.0 + day.0);
        let earlier = |time: Timestamp| Timestamp(time.0 - day.0);
        assert!(!is_doubtful(None, None));
        assert!(is_doubtful(Some(Timestamp(0)), Some(Timestamp(0))));
        assert!(is_doubtful(Some(earlier(EARLIEST_PLAUSIBLE)), Some(later(EARLIEST_PLAUSIBLE))));
        assert!(!is_doubtful(Some(EARLIEST_PLAUSIBLE), Some(earlier(LATEST_PLAUSIBLE))));
        assert!(is_doubtful(Some(EARLIEST_PLAUSIBLE), Some(LATEST_PLAUSIBLE)));
    }

    #[test]
    fn a_description_of_a_hostile_peer_is_recognised() {
        let with = |change: fn(&mut Description)| {
            let mut description = Description::of(Kind::Text);
            description.topics = topics(&["/a", "/b"]);
            description.head = vec!["line".to_owned()];
            change(&mut description);
            description.is_within_limits()
        };
        assert!(with(|_| ()));
        assert!(with(|this| this.topics[1].name = "ä".repeat(MAX_NAME_CHARS + 1)));
        assert!(!with(|this| this.topics[1].name = "a".repeat(MAX_NAME_CHARS + 2)));
        assert!(!with(|this| this.topics[1].message_type = "\u{1b}[2J".to_owned()));
        assert!(!with(|this| this.topics = topics(&["a"; MAX_TOPICS + 1])));
        assert!(!with(|this| this.topics = topics(&["€".repeat(200).as_str(); 500])));
        assert!(!with(|this| this.vehicle = Some("\n".to_owned())));
        assert!(!with(|this| this.head.push("a".repeat(MAX_LINE_CHARS + 2))));
        assert!(!with(|this| this.head = vec![String::new(); MAX_LINES + 1]));
    }

    #[test]
    fn a_duration_is_that_from_the_first_to_the_last_message() {
        let mut description = Description::of(Kind::Mcap);
        assert_eq!(description.duration(), None);
        description.from = Some(Timestamp(5));
        description.until = Some(Timestamp(7));
        assert_eq!(description.duration(), Some(Duration::from_nanos(2)));
    }
}
