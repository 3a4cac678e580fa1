//! The journal of one target: what is installed, what is being installed, and what failed.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::hex;
use crate::name::{Name, Version};
use crate::request::{Kind, Permissions, Request, Requirements, Staged};
use crate::state::{Failure, State, Step, Waiting};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// First words of the file. The number is the version of the format.
const HEADER: &str = "dt-swarm install journal 1 ";
/// Maximum size of the file in bytes. A journal has about 2 KiB.
pub(crate) const MAX_JOURNAL_BYTES: u64 = 256 * 1024;
/// Maximum number of failed versions that are remembered. The oldest is forgotten first.
const MAX_FAILED: usize = 32;

/// The journal of one target. Each change is one atomic replacement of a file.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Journal {
    /// The version that was confirmed last.
    pub current: Option<Installed>,
    /// The version before it, which is kept.
    pub previous: Option<Installed>,
    pub attempt: Option<Attempt>,
    /// Versions that failed, which are not tried again. The newest is last.
    pub failed: Vec<Failed>,
    /// How the last attempt ended.
    pub last: Option<State>,
}

/// A version in a folder of its own.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Installed {
    pub version: Version,
    pub kind: Kind,
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
    pub file_name: String,
    /// Name of the Debian package.
    pub package: Option<String>,
}

/// An installation that is not complete.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Attempt {
    pub target: Installed,
    pub staged: Option<Staged>,
    pub unpacked_bytes: Option<u64>,
    pub requirements: Requirements,
    pub permissions: Permissions,
    /// The version to return to if this one fails.
    pub back_to: Option<Installed>,
    pub phase: Phase,
    /// Starts of the new version, or of this process while the new version was checked.
    pub starts: u8,
    /// Restarts of this process before the new version was in use.
    pub interruptions: u8,
    /// Space in bytes that is needed as far as failed attempts have shown.
    pub needed_bytes: u64,
    /// Number of failed attempts to return to the previous package.
    pub failed_returns: u8,
}

/// Phases of an attempt. Each begins when the journal with it is on the disk.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// The version's folder is absent or incomplete.
    Unpacking,
    /// The version's folder is complete.
    Unpacked,
    /// The hooks before have succeeded. The link `current` may have been switched.
    Switching,
    /// The link has been switched.
    Switched,
    /// The hooks after have succeeded.
    Checking,
    /// The link may have been switched back.
    RollingBack { reason: Failure },
    /// The link has been switched back.
    Returned { reason: Failure },
}

/// A version that failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Failed {
    pub version: Version,
    #[serde(with = "hex")]
    pub sha256: [u8; 32],
    pub reason: Failure,
}

/// A target for people and for other parts of the program.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Target {
    /// Name of the target.
    pub name: Name,
    /// The version in use. While a new version is checked, it is that one.
    pub current: Option<Version>,
    /// The version to which a roll-back returns.
    pub previous: Option<Version>,
    /// The version that is being installed.
    pub attempt: Option<Version>,
    /// State of the running or the last installation.
    pub state: State,
    /// Versions that failed and the causes, the newest last.
    pub failed: Vec<(Version, Failure)>,
}

impl Journal {
    /// Returns the journal as the content of its file: a line with a checksum, and JSON.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let body = serde_json::to_vec(self)?;
        let mut file = format!("{HEADER}{}\n", hex::encode(&digest(&body))).into_bytes();
        file.extend(body);
        Ok(file)
    }

    /// Reads a journal. Returns nothing if the file is damaged or of another format.
    pub(crate) fn decode(file: &[u8]) -> Option<Self> {
        let rest = file.strip_prefix(HEADER.as_bytes())?;
        let (sum, body) = rest.split_at_checked(65)?;
        let is_whole = sum == format!("{}\n", hex::encode(&digest(body))).as_bytes();
        is_whole.then(|| serde_json::from_slice(body).ok()).flatten()
    }

    /// Returns the state, with the condition for which the attempt waits as far as it is known.
    pub(crate) fn state(&self, waiting: Option<&Waiting>) -> State {
        let Some(attempt) = &self.attempt else {
            return self.last.clone().unwrap_or(State::Idle);
        };
        match (&attempt.phase, waiting) {
            (Phase::Unpacking | Phase::Unpacked, Some(reason)) => State::Waiting { reason: reason.clone() },
            (Phase::Unpacking, None) => State::Installing { step: Step::Unpacking },
            (Phase::Unpacked, None) => State::Installing { step: Step::HooksBefore },
            (Phase::Switching, _) => State::Installing { step: Step::Switching },
            (Phase::Switched, _) => State::Installing { step: Step::HooksAfter },
            (Phase::Checking, _) => State::Checking { starts: attempt.starts },
            (Phase::RollingBack { reason } | Phase::Returned { reason }, _) => {
                State::RollingBack { reason: reason.clone() }
            }
        }
    }

    /// Returns the target for others.
    pub(crate) fn target(&self, name: &Name, waiting: Option<&Waiting>) -> Target {
        let version = |installed: &Option<Installed>| Some(installed.as_ref()?.version.clone());
        let attempt = self.attempt.as_ref();
        let in_trial = attempt.filter(|attempt| matches!(attempt.phase, Phase::Switched | Phase::Checking));
        let (current, previous) = match in_trial {
            Some(attempt) => (Some(attempt.target.version.clone()), version(&attempt.back_to)),
            None => (version(&self.current), version(&self.previous)),
        };
        Target {
            name: name.clone(),
            current,
            previous,
            attempt: attempt.map(|attempt| attempt.target.version.clone()),
            state: self.state(waiting),
            failed: self
                .failed
                .iter()
                .map(|failed| (failed.version.clone(), failed.reason.clone()))
                .collect(),
        }
    }

    /// Returns the versions whose folders are kept.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Version> {
        let attempt = self.attempt.iter().flat_map(|attempt| attempt.back_to.iter().chain([&attempt.target]));
        self.current.iter().chain(&self.previous).chain(attempt).map(|installed| &installed.version)
    }

    /// Remembers that a version failed.
    pub(crate) fn remember_failure(&mut self, target: &Installed, reason: Failure) {
        self.failed.retain(|failed| failed.version != target.version);
        if self.failed.len() >= MAX_FAILED {
            self.failed.remove(0);
        }
        self.failed.push(Failed { version: target.version.clone(), sha256: target.sha256, reason });
    }
}

impl Installed {
    /// The checksum of a version whose journal was damaged.
    pub(crate) const UNKNOWN: [u8; 32] = [0; 32];

    pub(crate) fn of(request: &Request) -> Self {
        Self {
            version: request.version.clone(),
            kind: request.kind,
            sha256: request.staged.sha256,
            file_name: request.file_name.clone(),
            package: None,
        }
    }

    /// Tells whether both are the same version with the same content.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.version == other.version && self.sha256 == other.sha256
    }
}

impl Attempt {
    /// Tells whether the new version may be in use.
    pub(crate) fn is_switched(&self) -> bool {
        !matches!(self.phase, Phase::Unpacking | Phase::Unpacked)
    }

    /// Returns the free space that unpacking needs, in bytes. An archive that states no size is assumed to be three times
    /// as large once it is unpacked, as packages usually are.
    pub(crate) fn needed_bytes(&self) -> u64 {
        let staged = self.staged.as_ref().map_or(0, |staged| staged.bytes);
        let content = match self.target.kind {
            Kind::File | Kind::Deb => staged,
            Kind::Archive | Kind::Program => self.unpacked_bytes.unwrap_or(staged.saturating_mul(3)),
        };
        content.saturating_add(self.requirements.keep_free_bytes).max(self.needed_bytes)
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_journal_is_recognised() {
        let mut journal = Journal::default();
        let target = Installed {
            version: "1.0".parse().unwrap(),
            kind: Kind::File,
            sha256: [7; 32],
            file_name: "model.onnx".to_owned(),
            package: None,
        };
        journal.remember_failure(&target, Failure::NoHealthInTime);
        journal.current = Some(target);
        let file = journal.encode().unwrap();
        assert_eq!(Journal::decode(&file), Some(journal));
        for index in 0..file.len() {
            assert_eq!(Journal::decode(&file[..index]), None, "cut at {index}");
            let mut damaged = file.clone();
            damaged[index] ^= 1;
            assert_eq!(Journal::decode(&damaged), None, "damaged at {index}");
        }
    }

    #[test]
    fn the_number_of_failed_versions_is_limited() {
        let mut journal = Journal::default();
        for number in 0..100 {
            let target = Installed {
                version: format!("{number}").parse().unwrap(),
                kind: Kind::File,
                sha256: [0; 32],
                file_name: String::new(),
                package: None,
            };
            journal.remember_failure(&target, Failure::NoHealthInTime);
            journal.remember_failure(&target, Failure::NoHealthInTime);
        }
        assert_eq!(journal.failed.len(), MAX_FAILED);
        assert_eq!(journal.failed.last().unwrap().version.as_str(), "99");
    }
}
