//! States of a target, and the sentences that explain them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::name::Version;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// State of a target on this robot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Nothing was begun.
    Idle,
    /// An installation waits for a condition.
    Waiting {
        /// The unmet condition.
        reason: Waiting,
    },
    /// An installation is going on.
    Installing {
        /// Its current step.
        step: Step,
    },
    /// The new version is in use, and its health is watched.
    Checking {
        /// How often the new version was started, or the robot was started with it.
        starts: u8,
    },
    /// The previous version is being restored.
    RollingBack {
        /// The cause of the failure.
        reason: Failure,
    },
    /// The last installation is complete.
    Done,
    /// The last installation was undone.
    RolledBack {
        /// The version that failed.
        version: Version,
        /// The cause of the failure.
        reason: Failure,
    },
    /// The last installation ended before anything was switched.
    Refused {
        /// The version that was refused.
        version: Version,
        /// The cause of the failure.
        reason: Failure,
    },
    /// The last installation was given up by order.
    Aborted {
        /// Version that was given up.
        version: Version,
    },
    /// Neither the new package nor the previous one could be installed. A person must help.
    Broken {
        /// The version that failed.
        version: Version,
        /// The cause of the failure.
        reason: Failure,
    },
}

/// Steps of an installation, in their order.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The content is written beside the version in use.
    Unpacking,
    /// The hooks before the switch run.
    HooksBefore,
    /// The new version takes the place of the old one.
    Switching,
    /// The hooks after the switch run.
    HooksAfter,
}

/// Conditions for which an installation waits.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(tag = "for", rename_all = "kebab-case")]
pub enum Waiting {
    /// The battery is too low.
    #[error("the battery has {percent} %, and the update needs {needed} % or external power")]
    Battery {
        /// Charge in percent.
        percent: u8,
        /// Needed charge in percent.
        needed: u8,
    },
    /// There is no external power.
    #[error("the update needs external power: connect the charger")]
    ExternalPower,
    /// The robot drives, or it is unknown whether it drives.
    #[error("the robot is driving, or it is unknown whether it is")]
    Driving,
    /// There is not enough free space.
    #[error("{free_bytes} bytes are free on the disk, and {needed_bytes} are needed: delete something")]
    Space {
        /// Free space in bytes.
        free_bytes: u64,
        /// Needed space in bytes.
        needed_bytes: u64,
    },
    /// The caller has a reason to wait.
    #[error("{reason}")]
    Held {
        /// The reason, as the caller gave it.
        reason: String,
    },
    /// The staged file is gone or damaged: it must be fetched again.
    #[error("the file must be fetched again")]
    StagedFile,
    /// A hook before the switch asked for more time, by its exit status 75.
    #[error("the hook {hook:?} is not ready yet")]
    Hook {
        /// Name of the hook.
        hook: String,
    },
}

/// Causes for which an installation fails.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Failure {
    /// The content cannot be unpacked, or is dangerous.
    #[error("the content is refused: {reason}")]
    Content {
        /// The reason as a text.
        reason: String,
    },
    /// A hook failed.
    #[error("the hook {hook:?} failed: {reason}")]
    Hook {
        /// Name of the hook.
        hook: String,
        /// How it ended.
        reason: String,
    },
    /// The health became bad.
    #[error("the health check failed: {reason}")]
    Health {
        /// The reason as a text.
        reason: String,
    },
    /// The health was not good for long enough.
    #[error("the health check did not succeed in time")]
    NoHealthInTime,
    /// The new version ended, or did not confirm that it works, in each of its starts.
    #[error("the new version did not work in {starts} starts")]
    Starts {
        /// Number of starts.
        starts: u8,
    },
    /// The program dpkg failed.
    #[error("the package could not be installed: {reason}")]
    Package {
        /// The reason as a text.
        reason: String,
    },
    /// The package is installed, but there is no earlier package file to return to.
    #[error(
        "the package {package:?} is installed, and its file is not kept here, so there would be no way back"
    )]
    NoWayBack {
        /// Name of the package.
        package: String,
    },
    /// The installation was interrupted too often.
    #[error("the installation was interrupted {times} times")]
    Interrupted {
        /// Number of interruptions.
        times: u8,
    },
    /// A plan or a person ordered it.
    #[error("by order: {reason}")]
    Order {
        /// The reason as a text.
        reason: String,
    },
}

/// Reasons for which a request is not accepted. Nothing has changed then.
#[derive(Clone, Debug, Deserialize, Eq, Error, PartialEq, Serialize)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    /// The version is older than the installed one.
    #[error("version {installed} is installed, which is newer, and a downgrade is not permitted")]
    Downgrade {
        /// The installed version.
        installed: Version,
    },
    /// The version failed before.
    #[error("this version failed on this robot before: {reason}")]
    FailedBefore {
        /// The cause of that failure.
        reason: Failure,
    },
    /// The same version is installed with other content.
    #[error("this version is installed with other content: publish the new content with a new version")]
    OtherContent,
    /// Another version is being installed.
    #[error("version {version} is being installed: wait, or abort it")]
    Busy {
        /// Version of the other installation.
        version: Version,
    },
    /// The installed target has another kind.
    #[error("the installed version is of another kind, and a target cannot change its kind")]
    OtherKind,
    /// The file's name is not usable.
    #[error("the file name {file_name:?} is empty, too long, or a path")]
    FileName {
        /// The name as requested.
        file_name: String,
    },
    /// This daemon was not started by the starter, so nothing would start the new version or return to the old one.
    #[error("dt-swarm was not started by dt-swarm-start, so it cannot update itself")]
    NoStarter,
}
