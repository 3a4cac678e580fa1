//! Limits what a robot states about itself where strangers can read it.
//!
//! In the open swarm, everybody on a network of the robot can read its records. There a robot states only the
//! properties that `dts fleet discover` shows to everybody anyway: type, configuration and hardware. The device ID is the
//! MAC address of the robot, by which it can be followed from network to network. The boot ID is also known to other
//! programs. Both are replaced by tags: hashes with a secret salt, which never leaves the robot. So a tag tells nothing
//! about the ID, and the tags of two boots cannot be linked.
//!
//! The salts are in the data folder, one for each identity. A copied SD card has the same salt. So two hosts with one key
//! have different tags, and other robots notice them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::profile::Profile;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};

/// Number of bytes of a salt.
pub const SALT_BYTES: usize = 32;
/// Number of bytes of a tag. They distinguish all robots of a swarm.
const TAG_BYTES: usize = 8;

/// The secret salt of the tags.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salt(pub [u8; SALT_BYTES]);

impl fmt::Debug for Salt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Salt(..)")
    }
}

impl Salt {
    /// Returns the tag of a text: the first bytes of a hash, in hex. `what` keeps tags of different properties apart.
    fn tag(&self, what: &str, text: &str) -> String {
        let hash = Sha256::new().chain_update(self.0).chain_update(what).chain_update([0]).chain_update(text);
        hash.finalize().iter().take(TAG_BYTES).fold(String::new(), |mut digits, byte| {
            // Writing to a String does not fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    }
}

/// The swarms in which a robot states its properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareProfile {
    /// In a swarm with roots, all properties. In the open swarm, those that strangers may know.
    #[default]
    Swarm,
    /// All properties in every swarm.
    Always,
    /// No property in any swarm.
    Never,
}

/// The properties of the profile that a robot states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    /// Every property of the profile.
    All,
    /// The properties that strangers may know.
    Some,
    /// No property at all.
    None,
}

impl ShareProfile {
    /// Returns which properties a robot states in its present swarm.
    pub(crate) fn shared(self, is_open_swarm: bool) -> Shared {
        match self {
            Self::Always => Shared::All,
            Self::Swarm if !is_open_swarm => Shared::All,
            Self::Swarm => Shared::Some,
            Self::Never => Shared::None,
        }
    }
}

/// Decides which properties a robot states.
#[derive(Clone, Copy, Debug, Default)]
pub struct Privacy {
    /// The setting of the owner.
    pub share: ShareProfile,
    /// The salt of the tags; without it, no tags are stated.
    pub salt: Option<Salt>,
}

impl Privacy {
    /// Returns the profile to state in the open swarm, or in a swarm with roots.
    pub(crate) fn stated(&self, profile: &Profile, is_open_swarm: bool) -> Profile {
        match self.share.shared(is_open_swarm) {
            Shared::All => profile.clone(),
            Shared::Some => self.for_strangers(profile),
            Shared::None => Profile::default(),
        }
    }

    fn for_strangers(&self, profile: &Profile) -> Profile {
        let Profile { boot, configuration, device, hardware, robot_type, .. } = profile.clone();
        let tag = |what: &str, text: Option<String>| Some(self.salt?.tag(what, &text?));
        Profile {
            boot: tag("boot", boot),
            configuration,
            device: None,
            distro: None,
            hardware,
            host: tag("host", device),
            robot_type,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(device: &str, boot: &str) -> Profile {
        let text = |text: &str| Some(text.to_owned());
        Profile {
            boot: text(boot),
            configuration: text("DB21J"),
            device: text(device),
            distro: text("ente"),
            hardware: text("jetson_nano"),
            host: None,
            robot_type: text("duckiebot"),
        }
    }

    fn privacy(share: ShareProfile) -> Privacy {
        Privacy { share, salt: Some(Salt([7; SALT_BYTES])) }
    }

    #[test]
    fn strangers_learn_neither_the_device_nor_the_boot() {
        let (device, boot) = ("00044be5a1b2", "0d3ad5b4a5e44d9c");
        let open = privacy(ShareProfile::default()).stated(&profile(device, boot), true);
        let data = open.to_data().unwrap();
        assert!(![device, boot, "ente"].iter().any(|secret| data.as_str().contains(secret)), "{data:?}");
        assert_eq!(
            (open.robot_type.as_deref(), open.hardware.as_deref()),
            (Some("duckiebot"), Some("jetson_nano"))
        );
        assert_eq!(open.host.as_ref().map(String::len), Some(2 * TAG_BYTES));
    }

    #[test]
    fn tags_differ_between_hosts_and_boots_and_robots() {
        let tags = |device: &str, boot: &str, salt: u8| {
            let privacy = Privacy { salt: Some(Salt([salt; SALT_BYTES])), ..Privacy::default() };
            let stated = privacy.stated(&profile(device, boot), true);
            (stated.host.unwrap(), stated.boot.unwrap())
        };
        let (host, boot) = tags("a", "b", 1);
        assert_eq!(tags("a", "b", 1), (host.clone(), boot.clone()));
        let other_boot = tags("a", "c", 1);
        assert!(other_boot.0 == host && other_boot.1 != boot);
        assert_ne!(tags("d", "b", 1).0, host, "another host with the same data folder");
        let other_robot = tags("a", "b", 2);
        assert!(other_robot.0 != host && other_robot.1 != boot);
        assert_ne!(tags("a", "a", 1).0, tags("a", "a", 1).1);
    }

    #[test]
    fn the_setting_and_the_swarm_decide_what_is_stated() {
        let profile = profile("00044be5a1b2", "0d3ad5b4a5e44d9c");
        for is_open in [true, false] {
            assert_eq!(privacy(ShareProfile::Always).stated(&profile, is_open), profile);
            assert!(privacy(ShareProfile::Never).stated(&profile, is_open).is_empty());
        }
        assert_eq!(privacy(ShareProfile::Swarm).stated(&profile, false), profile);
        let unsalted = Privacy::default().stated(&profile, true);
        assert_eq!((unsalted.host, unsalted.boot, unsalted.device), (None, None, None));
    }
}
