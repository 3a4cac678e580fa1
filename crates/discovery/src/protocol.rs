//! Requests to the service `discovery` on the control socket, and its answers.

use dcache::PeerId;
use serde::{Deserialize, Serialize};

/// A request to the service `discovery`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for a page of the table of robots. The answer is [`Answer::Robots`].
    Robots {
        /// Number of rows that the client has already.
        #[serde(default)]
        from: usize,
        /// Whether [`Robot::brief`] rows suffice.
        #[serde(default, skip_serializing_if = "is_no")]
        is_brief: bool,
    },
    /// Waits until the table of robots differs from the state `mark`, apart from ages. The answer is
    /// [`Answer::Changed`].
    Changes {
        /// The state that the client knows; `None` for an answer at once.
        mark: Option<u64>,
        /// Seconds after which the answer comes even if nothing changed; at most [`MAX_WAIT_SECONDS`] count.
        seconds: u64,
    },
    /// Connects with a robot, and asks for the paths to it. The answer is [`Answer::Paths`].
    Paths {
        /// The robot with which the daemon connects.
        peer: PeerId,
    },
    /// Runs the checks of `doctor`. The answer is [`Answer::Findings`].
    Doctor {
        /// A robot whose path is checked as well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<PeerId>,
    },
}

/// An answer of the service `discovery`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// Answer to [`Request::Robots`].
    Robots {
        /// The next rows of the table. An empty page is the end.
        robots: Vec<Robot>,
    },
    /// Answer to [`Request::Changes`].
    Changed {
        /// The present state of the table.
        mark: u64,
    },
    /// Answer to [`Request::Paths`].
    Paths {
        /// The open IPFS connections with the robot, the direct ones first.
        paths: Vec<RobotPath>,
        /// Why there is none; `None` if there is one.
        reason: Option<String>,
    },
    /// Answer to [`Request::Doctor`].
    Findings {
        /// One finding for each check.
        findings: Vec<Finding>,
    },
}

/// Maximum number of seconds for which the daemon waits for a change of the table. A client that was killed occupies a
/// connection of the daemon for this time.
pub const MAX_WAIT_SECONDS: u64 = 10;

/// A robot in the table of robots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Robot {
    /// The peer ID; `None` for a robot without dt-swarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// Where the robot is.
    pub place: Place,
    /// The host name that the robot states.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Fact>,
    /// The type, such as `duckiebot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub robot_type: Option<Fact>,
    /// The configuration, such as `DB21J`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Fact>,
    /// The hardware, such as `jetson_nano`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Fact>,
    /// The Duckietown distribution, such as `ente`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distro: Option<Fact>,
    /// The device ID: the MAC address of eth0 without colons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Fact>,
    /// The version of dt-swarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Fact>,
    /// The ID of the present boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<Fact>,
    /// The status that a robot without dt-swarm reports: `Ready` or `Booting`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Fact>,
    /// Seconds since the robot was last heard, or else since its newest statement. `None` if neither is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// The channels on which the robot was heard, the latest first, at most [`MAX_HEARD`].
    pub heard: Vec<Heard>,
    /// The addresses at which the robot accepts connections, at most [`MAX_SHOWN_ADDRESSES`].
    pub addresses: Vec<Fact>,
    /// Whether this is the robot that answers.
    pub is_me: bool,
    /// Whether another robot in the table has the same name.
    pub shares_name: bool,
    /// Whether two hosts use the key of this robot, as after an SD card was copied.
    pub is_copied: bool,
}

impl Robot {
    /// Returns a copy with the facts that one line about the robot shows: without its addresses, device, boot and
    /// distribution, and with only the channel on which it was heard last.
    #[must_use]
    pub fn brief(&self) -> Self {
        Self {
            peer: self.peer,
            place: self.place,
            name: self.name.clone(),
            robot_type: self.robot_type.clone(),
            configuration: self.configuration.clone(),
            hardware: self.hardware.clone(),
            version: self.version.clone(),
            status: self.status.clone(),
            age_seconds: self.age_seconds,
            heard: self.heard.first().cloned().into_iter().collect(),
            is_me: self.is_me,
            shares_name: self.shares_name,
            is_copied: self.is_copied,
            ..Self::default()
        }
    }
}

/// Returns whether a flag is not set, so that it can be left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_no(flag: &bool) -> bool {
    !flag
}

/// Maximum number of channels in [`Robot::heard`].
pub const MAX_HEARD: usize = 8;
/// Maximum number of addresses in [`Robot::addresses`].
pub const MAX_SHOWN_ADDRESSES: usize = 16;

/// Where a robot is, as far as the daemon knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// On one of the networks of this host, or this host itself.
    Here,
    /// Present, but not heard on a network of this host.
    Elsewhere,
    /// Not present any more: only older facts are known.
    #[default]
    Away,
}

/// A fact about a robot, with its age and its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The fact as the robot states it. It is the text of another host: it must be cleaned before it is shown.
    pub value: String,
    /// Seconds since the fact was stated.
    pub age_seconds: u64,
    /// How the fact was learned.
    pub source: Source,
}

/// How a fact was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// From a signed record.
    Record,
    /// From a line that the robot sent on a channel.
    Line,
    /// From a DNS-SD answer (`DT::*` facts of `_duckietown._tcp`).
    DnsSd,
    /// From an answer to a ping on UDP port 11411.
    Pong,
}

/// A channel on which a robot was heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Name of the channel, as in `dt-swarm-cli channels`; `dns-sd` or `udp 11411` for robots without dt-swarm.
    pub channel: String,
    /// Address from which the robot was heard, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Seconds since the robot was last heard there.
    pub age_seconds: u64,
}

/// An open IPFS connection with a robot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RobotPath {
    /// Whether the connection leads through a relay.
    pub is_relayed: bool,
    /// The relay; `None` for a direct connection.
    pub relay: Option<PeerId>,
    /// The transport, to the robot or to the relay: `tcp` or `quic`.
    pub transport: String,
    /// The address of the other end: of the robot, or of the relay.
    pub address: String,
}

/// The result of one check of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code of the check or fault, such as `clock.differs`.
    pub code: String,
    /// The judgement of the check.
    pub verdict: Verdict,
    /// One sentence: what works, or what is wrong.
    pub message: String,
    /// A sentence that tells the user how to mend it; `None` when nothing is wrong.
    pub remedy: Option<String>,
}

/// The judgement of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The check found nothing wrong.
    Works,
    /// The check could not be made, or does not apply here.
    Unknown,
    /// Something is worse than it should be.
    Warning,
    /// Something does not work.
    Broken,
}
