//! Inputs of an installation: the request, the conditions before it, and the health after it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::hex;
use crate::name::{Name, Version};
use crate::state::Waiting;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Kinds of targets, which are installed in different ways.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One file, kept as it is.
    File,
    /// A tar archive, plain or compressed with gzip or zstd, which is unpacked.
    Archive,
    /// A Debian package, which dpkg installs.
    Deb,
    /// An archive with the programs of dt-swarm itself. They are started again by the starter.
    Program,
}

/// A verified target that is on the disk of this robot, to be installed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Request {
    /// Name of the target, the same in all versions.
    pub name: Name,
    /// Version to install.
    pub version: Version,
    /// The way in which it is installed.
    pub kind: Kind,
    /// The file to install.
    pub staged: Staged,
    /// Name that the file gets inside the folder of its version. Only used for the kinds `file` and `deb`.
    pub file_name: String,
    /// Size of the unpacked content in bytes, if the release states it. More is refused.
    pub unpacked_bytes: Option<u64>,
    /// Conditions that must hold before anything is changed.
    #[serde(default)]
    pub requirements: Requirements,
    /// Explicit permissions, which a plan or a person gives.
    #[serde(default)]
    pub permissions: Permissions,
}

/// A file that the caller has fetched and verified.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Staged {
    /// Its place. It is only read.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256. It is checked again while the file is copied or unpacked, because a power cut can damage the file.
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
}

/// Exceptions that a publisher or a person permits.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Permissions {
    /// Permits a version that is older than the installed one.
    pub downgrade: bool,
    /// Permits a version that was rolled back or refused before.
    pub retry: bool,
    /// Permits a Debian package for which there is no earlier package to return to, although the package is installed.
    pub no_way_back: bool,
}

/// Conditions that must hold before anything is changed.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Requirements {
    /// Minimum charge of the battery, in percent. Not needed while the robot has external power.
    pub min_battery_percent: Option<u8>,
    /// The robot must have external power.
    pub external_power: bool,
    /// The robot must not be driving. If it is unknown whether it drives, it has to wait.
    pub not_driving: bool,
    /// Free space that must be left after unpacking, in bytes.
    pub keep_free_bytes: u64,
}

/// The conditions now, as far as they are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Conditions {
    /// Charge of the battery, in percent.
    pub battery_percent: Option<u8>,
    /// Whether the robot has external power.
    pub external_power: Option<bool>,
    /// Whether the robot drives.
    pub driving: Option<bool>,
    /// A reason of the caller to wait, such as maintenance hours or a paused plan.
    pub held: Option<String>,
}

/// Health of the robot after a switch, as the caller knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Health {
    /// All is well.
    Good,
    /// Nothing can be said yet.
    Unknown,
    /// The new version does harm, for this reason. It is rolled back at once.
    Bad(String),
}

/// Inputs of one step.
pub struct Inputs<'a> {
    /// The conditions now.
    pub conditions: Conditions,
    /// Time since this process started. It must not depend on the clock, which can be set at any time.
    pub uptime: Duration,
    /// Returns the health. Called only while a new version is checked. It must not need the network to be reachable.
    pub health: &'a mut dyn FnMut() -> Health,
}

impl Requirements {
    /// Returns why the robot has to wait, or nothing if all conditions hold. An unknown quantity does not stop it, because
    /// many robots have no battery gauge.
    pub fn unmet(&self, now: &Conditions) -> Option<Waiting> {
        let is_powered = now.external_power == Some(true);
        if let Some(reason) = &now.held {
            return Some(Waiting::Held { reason: reason.clone() });
        }
        if self.not_driving && now.driving != Some(false) {
            return Some(Waiting::Driving);
        }
        if self.external_power && now.external_power == Some(false) {
            return Some(Waiting::ExternalPower);
        }
        let (needed, percent) = (self.min_battery_percent?, now.battery_percent?);
        (percent < needed && !is_powered).then_some(Waiting::Battery { percent, needed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_robot_waits_while_a_condition_does_not_hold() {
        let all = Requirements {
            min_battery_percent: Some(50),
            external_power: true,
            not_driving: true,
            keep_free_bytes: 0,
        };
        let fine = Conditions { driving: Some(false), ..Conditions::default() };
        assert_eq!(all.unmet(&fine), None, "what is unknown does not stop a robot");
        assert_eq!(all.unmet(&Conditions::default()), Some(Waiting::Driving), "unless it may be driving");
        let low = Conditions { battery_percent: Some(49), ..fine.clone() };
        assert_eq!(all.unmet(&low), Some(Waiting::Battery { percent: 49, needed: 50 }));
        assert_eq!(all.unmet(&Conditions { external_power: Some(true), ..low.clone() }), None);
        assert_eq!(
            all.unmet(&Conditions { external_power: Some(false), ..low }),
            Some(Waiting::ExternalPower)
        );
        let held = Conditions { held: Some("outside maintenance hours".to_owned()), ..fine };
        assert!(matches!(all.unmet(&held), Some(Waiting::Held { .. })));
        assert_eq!(Requirements::default().unmet(&Conditions::default()), None);
    }
}
