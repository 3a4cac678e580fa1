//! The plan of one upload: from its state on the disk, and what happened, to the next action. This module is pure.
//!
//! An upload is interrupted at any moment, and any answer of the storage can be lost. So the plan follows these rules:
//!
//! - A part counts as stored only when its identifier is on the disk. Any other part is sent again.
//! - After a lost answer the plan *looks*: the object in the storage is the right one if its size and the SHA-256 in its
//!   metadata are right. An object of S3 is whole when it is visible, because *complete* is atomic.
//! - S3 chooses the identifier of a multipart upload, so the identifier cannot be on the disk before the upload exists. If
//!   the answer to *create* is lost, the storage may hold an upload that the plan does not know. Therefore the plan counts
//!   on the disk, before each *create*, that an answer is missing. It ends with a *sweep*: it asks the storage for all
//!   multipart uploads of the key that are in progress, and aborts them. This is safe once the object is whole: another
//!   node that uploads the same content then looks, finds the object, and is done.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod checks;
#[cfg(test)]
mod model;

pub(crate) use checks::hex;
pub use checks::{Checked, Part, Seen};

use crate::object::{Object, SHA256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Number of times that an upload begins anew because the storage lost its parts or shows another object. More would
/// only send the same bytes again and again.
const MAX_RESTARTS: u32 = 8;
/// Number of times that the plan looks for an object that the storage has just confirmed.
const MAX_LOOKS: u32 = 5;
/// Number of times that the storage may deny a sweep before the plan does without it. A denial can be a fault that passes.
const MAX_DENIALS: u32 = 5;
/// Wait after the first failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Maximum wait after a failure.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// State of an upload, as it is on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// The object to upload.
    pub object: Object,
    /// Destination of the recorded parts. They mean nothing in another one.
    pub destination: String,
    /// The stage that the upload has reached.
    pub stage: Stage,
    /// Parts of the multipart upload that the storage has. Each has a row of its own on the disk.
    #[serde(skip)]
    pub parts: BTreeMap<u32, Part>,
    /// Number of multipart uploads whose creation was not answered. The storage may hold them, and the plan does not know
    /// their identifiers.
    pub unanswered: u32,
    /// Number of times that the upload began anew.
    pub restarts: u32,
    /// Number of failures since the last success. It determines the wait before the next action.
    #[serde(skip)]
    pub failures: u32,
}

/// Stage of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The digest of the content is not known yet.
    Hashing,
    /// The plan does not know whether the storage has the object already.
    Looking,
    /// The object has one part, and is sent in one request.
    Putting,
    /// A multipart upload is to be created.
    Creating,
    /// Parts are sent to the multipart upload with this identifier.
    Sending {
        /// The identifier that the storage chose.
        id: String,
    },
    /// The answer to *complete* was lost, or the storage does not know the multipart upload.
    Unsure {
        /// The identifier of the multipart upload.
        id: String,
        /// Whether the storage said that it does not know the multipart upload.
        is_gone: bool,
    },
    /// The storage confirmed the object, and the plan verifies it.
    Confirming {
        /// Number of times that the plan has looked.
        looks: u32,
        /// Proof by the answers to the parts.
        parts: PartProof,
    },
    /// The multipart upload is of no use any more, and is aborted before a new one is created.
    Dropping {
        /// The identifier of the multipart upload.
        id: String,
    },
    /// The object is whole. Multipart uploads of its key are aborted.
    Sweeping {
        /// Result of the verification.
        checked: Checked,
    },
    /// The upload is given up. Its parts in the storage are removed.
    GivingUp {
        /// The multipart upload to abort.
        id: Option<String>,
        /// The reason, as a sentence.
        reason: String,
        /// Whether the storage may have the whole object, because the answer to the last request is not known. Then the
        /// plan looks first: an object that is whole is not given up.
        #[serde(default)]
        is_perhaps_whole: bool,
    },
    /// The object is whole in the storage.
    Done {
        /// Result of the verification.
        checked: Checked,
        /// Reason why multipart uploads whose creation was not answered could not be listed. The storage may hold parts of
        /// them, which only a lifecycle rule of the bucket removes.
        unswept: Option<String>,
    },
    /// The upload was given up.
    Failed {
        /// The reason, as a sentence.
        reason: String,
        /// As in [`Stage::Done`].
        unswept: Option<String>,
    },
}

/// Proof by the answers of the storage that it has the parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartProof {
    /// Whether the identifier of each part was the MD5 of its content.
    pub are_md5: bool,
    /// The identifier of the whole object that follows from these MD5.
    pub tag: Option<String>,
}

/// Next action of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Compute the SHA-256 of the content.
    Hash,
    /// Look whether the storage has the object.
    Look,
    /// Send the whole object in one request.
    Put,
    /// Create a multipart upload.
    Create,
    /// Send a part, counted from 0.
    PutPart {
        /// Identifier of the multipart upload.
        id: String,
        /// Number of the part.
        part: u32,
    },
    /// Complete the multipart upload.
    Complete {
        /// Identifier of the multipart upload.
        id: String,
    },
    /// Abort the multipart upload.
    Abort {
        /// Identifier of the multipart upload.
        id: String,
    },
    /// Abort all multipart uploads of the key that are in progress.
    Sweep,
    /// The upload has ended.
    End,
}

/// Result of an action, or a wish of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The SHA-256 of the content, in hexadecimal.
    Hashed(String),
    /// The object that the storage has under the key, if any.
    Looked(Option<Seen>),
    /// The object was stored in one request.
    Stored(Part),
    /// A multipart upload was created, with this identifier.
    Created(String),
    /// A part was stored.
    PartStored(u32, Part),
    /// The multipart upload was completed.
    Completed,
    /// The multipart upload was aborted.
    Aborted,
    /// No multipart upload of the key is in progress any more.
    Swept,
    /// The action failed.
    Failed(Failure),
    /// The upload is not wanted any more, or is impossible: the reason, as a sentence.
    GaveUp(String),
}

/// Kind of a failure, as far as the plan depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The action may succeed later. Whether the storage performed it is unknown.
    Temporary,
    /// The storage does not know the multipart upload.
    NoUpload,
    /// The storage refuses to complete the multipart upload with the recorded parts.
    PartsRefused,
    /// The storage does not permit the action: the reason, as a sentence.
    Denied(String),
    /// The storage does not support the action: the reason, as a sentence.
    NotSupported(String),
}

/// Change of the recorded parts by an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartChange {
    /// No part changed.
    None,
    /// This part was added or replaced.
    Added(u32),
    /// These parts were removed.
    Removed(Vec<u32>),
}

impl Upload {
    /// Creates the state of a new upload.
    pub fn new(object: Object, destination: String) -> Self {
        Self {
            object,
            destination,
            stage: Stage::Hashing,
            parts: BTreeMap::new(),
            unanswered: 0,
            restarts: 0,
            failures: 0,
        }
    }

    /// Returns a copy without the recorded parts.
    #[must_use]
    pub fn clone_without_parts(&self) -> Self {
        Self {
            object: self.object.clone(),
            destination: self.destination.clone(),
            stage: self.stage.clone(),
            parts: BTreeMap::new(),
            ..*self
        }
    }

    /// Returns whether the destination may hold parts of the upload.
    pub fn leaves_parts(&self) -> bool {
        let is_known = matches!(
            self.stage,
            Stage::Sending { .. }
                | Stage::Unsure { .. }
                | Stage::Dropping { .. }
                | Stage::GivingUp { id: Some(_), .. }
        );
        is_known || self.unanswered > 0
    }

    /// Begins anew at another destination. The digest of the content stays known.
    pub fn move_to(&mut self, destination: String) -> PartChange {
        self.destination = destination;
        (self.unanswered, self.restarts, self.failures) = (0, 0, 0);
        self.stage = if self.object.sha256().is_some() { Stage::Looking } else { Stage::Hashing };
        self.clear_parts()
    }

    /// Returns whether the upload has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Done { .. } | Stage::Failed { .. })
    }

    /// Returns whether the destination has the object, or the upload was given up: the remaining actions only verify and
    /// remove, and an upload that is not wanted any more performs them as well.
    pub fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Confirming { .. } | Stage::Sweeping { .. } | Stage::GivingUp { .. })
    }

    /// Returns the number of bytes that the storage has confirmed.
    pub fn bytes_stored(&self) -> u64 {
        match self.stage {
            Stage::Confirming { .. } | Stage::Sweeping { .. } | Stage::Done { .. } => self.object.size,
            _ => self
                .parts
                .keys()
                .map(|part| self.object.range(*part))
                .map(|range| range.end - range.start)
                .sum(),
        }
    }

    /// Returns the time to wait before the next action. `spread`, from 0 to 1, keeps many uploads from retrying at the
    /// same moment.
    pub fn wait(&self, spread: f64) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else { return Duration::ZERO };
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(doublings)).min(MAX_WAIT);
        wait.mul_f64(0.75 + 0.5 * spread.clamp(0.0, 1.0))
    }

    /// Returns the next action.
    pub fn next(&self) -> Action {
        match &self.stage {
            Stage::Hashing => Action::Hash,
            Stage::Looking
            | Stage::Unsure { .. }
            | Stage::Confirming { .. }
            | Stage::GivingUp { is_perhaps_whole: true, .. } => Action::Look,
            Stage::Putting => Action::Put,
            Stage::Creating => Action::Create,
            Stage::Sending { id } => match self.missing_part() {
                Some(part) => Action::PutPart { id: id.clone(), part },
                None => Action::Complete { id: id.clone() },
            },
            Stage::Dropping { id } | Stage::GivingUp { id: Some(id), .. } => Action::Abort { id: id.clone() },
            Stage::Sweeping { .. } => Action::Sweep,
            Stage::GivingUp { id: None, .. } => Action::Sweep,
            Stage::Done { .. } | Stage::Failed { .. } => Action::End,
        }
    }

    /// Prepares the state for an action. When this returns true, the state has to be on the disk before the action begins.
    #[must_use]
    pub fn begin(&mut self, action: &Action) -> bool {
        let is_create = *action == Action::Create;
        self.unanswered = self.unanswered.saturating_add(u32::from(is_create));
        is_create
    }

    /// Changes the state after an event, and returns the change of the recorded parts. The state has to be on the disk
    /// before the next action begins.
    pub fn on(&mut self, event: Event) -> PartChange {
        match event {
            Event::GaveUp(_) if self.is_ending() => return PartChange::None,
            Event::GaveUp(reason) => return self.give_up(reason),
            Event::Failed(failure) => return self.on_failure(failure),
            Event::Looked(seen) => return self.on_look(seen),
            _ => self.failures = 0,
        }
        match (self.stage.clone(), event) {
            (Stage::Hashing, Event::Hashed(sha256)) => {
                self.object.metadata.insert(SHA256.to_owned(), sha256);
                self.stage = Stage::Looking;
            }
            (Stage::Putting, Event::Stored(part)) => {
                let parts = PartProof { are_md5: part.is_md5(), tag: Some(part.md5) };
                self.stage = Stage::Confirming { looks: 0, parts };
            }
            (Stage::Creating, Event::Created(id)) => {
                self.unanswered = self.unanswered.saturating_sub(1);
                self.stage = Stage::Sending { id };
            }
            (Stage::Sending { .. }, Event::PartStored(number, part)) => {
                // A part that the storage confirmed with another MD5 than its other parts arrived damaged.
                self.failures = u32::from(self.is_damaged(&part));
                self.parts.insert(number, part);
                return PartChange::Added(number);
            }
            (Stage::Sending { .. }, Event::Completed) => return self.confirm(),
            (Stage::Dropping { .. }, Event::Aborted) => return self.restart(),
            (Stage::GivingUp { reason, .. }, Event::Aborted) => {
                self.stage = Stage::GivingUp { id: None, reason, is_perhaps_whole: false }
            }
            (Stage::Sweeping { checked }, Event::Swept) => self.end_sweep(checked, None),
            (Stage::GivingUp { reason, .. }, Event::Swept) => self.fail(reason, None),
            // An event of an earlier action means nothing in this stage.
            _ => {}
        }
        PartChange::None
    }

    /// Returns the first part that the storage does not have, or that arrived there damaged.
    fn missing_part(&self) -> Option<u32> {
        let is_missing = |number: &u32| self.parts.get(number).is_none_or(|part| self.is_damaged(part));
        (0..self.object.parts()).find(is_missing)
    }

    /// Returns whether the storage answers with the MD5 of parts, but answered with another identifier for this one.
    fn is_damaged(&self, part: &Part) -> bool {
        !part.is_md5() && self.parts.values().any(Part::is_md5)
    }

    fn confirm(&mut self) -> PartChange {
        self.stage = Stage::Confirming { looks: 0, parts: self.proof() };
        self.clear_parts()
    }

    fn proof(&self) -> PartProof {
        let parts = || self.parts.values();
        PartProof { are_md5: parts().all(Part::is_md5), tag: checks::tag_of(parts()) }
    }

    fn on_look(&mut self, seen: Option<Seen>) -> PartChange {
        let right = seen.filter(|seen| seen.is(&self.object));
        match (self.stage.clone(), right) {
            (Stage::Looking, Some(seen)) => self.found(Checked::found(&seen)),
            (Stage::Looking, None) => self.begin_sending(),
            (Stage::Unsure { .. } | Stage::GivingUp { is_perhaps_whole: true, .. }, Some(seen)) => {
                self.found(Checked::sent(&seen, &self.proof()));
                return self.clear_parts();
            }
            (Stage::GivingUp { id, reason, is_perhaps_whole: true }, None) => {
                self.failures = 0;
                self.stage = Stage::GivingUp { id, reason, is_perhaps_whole: false };
                return self.clear_parts();
            }
            (Stage::Unsure { is_gone: true, .. }, None) => return self.restart(),
            // The storage did not complete it, so it is completed again, after the wait that the failure demands.
            (Stage::Unsure { id, is_gone: false }, None) => self.stage = Stage::Sending { id },
            (Stage::Confirming { parts, .. }, Some(seen)) => self.found(Checked::sent(&seen, &parts)),
            (Stage::Confirming { looks, .. }, None) if looks + 1 >= MAX_LOOKS => return self.restart(),
            (Stage::Confirming { looks, parts }, None) => {
                (self.stage, self.failures) = (Stage::Confirming { looks: looks + 1, parts }, looks + 1);
            }
            _ => {}
        }
        PartChange::None
    }

    fn begin_sending(&mut self) {
        self.failures = 0;
        self.stage = if self.object.parts() == 1 { Stage::Putting } else { Stage::Creating };
    }

    fn found(&mut self, checked: Checked) {
        self.failures = 0;
        // An object of one part leaves nothing behind.
        match self.object.parts() == 1 && self.unanswered == 0 {
            true => self.stage = Stage::Done { checked, unswept: None },
            false => self.stage = Stage::Sweeping { checked },
        }
    }

    fn end_sweep(&mut self, checked: Checked, unswept: Option<String>) {
        self.stage = Stage::Done { checked, unswept: unswept.filter(|_| self.unanswered > 0) };
    }

    fn fail(&mut self, reason: String, unswept: Option<String>) {
        self.stage = Stage::Failed { reason, unswept: unswept.filter(|_| self.unanswered > 0) };
    }

    /// Begins anew after the storage lost the multipart upload or the object.
    fn restart(&mut self) -> PartChange {
        self.restarts = self.restarts.saturating_add(1);
        if self.restarts > MAX_RESTARTS {
            return self.give_up(format!(
                "the storage lost the object or its parts {MAX_RESTARTS} times: check its log and its rules for the \
                 deletion of objects"
            ));
        }
        self.begin_sending();
        self.failures = self.restarts;
        self.clear_parts()
    }

    fn give_up(&mut self, reason: String) -> PartChange {
        let id = match &self.stage {
            Stage::Sending { id } | Stage::Unsure { id, .. } | Stage::Dropping { id } => Some(id.clone()),
            Stage::GivingUp { .. } | Stage::Sweeping { .. } | Stage::Done { .. } | Stage::Failed { .. } => {
                return PartChange::None;
            }
            _ => None,
        };
        self.failures = 0;
        // A request that stores the object may have been sent, also by a process that was killed since.
        let is_perhaps_whole = match self.stage {
            Stage::Sending { .. } => self.missing_part().is_none(),
            Stage::Unsure { .. } | Stage::Putting => true,
            _ => false,
        };
        // A folder may have a part of an object that was to be stored at once.
        match id.is_some() || self.unanswered > 0 || is_perhaps_whole {
            true => self.stage = Stage::GivingUp { id, reason, is_perhaps_whole },
            false => self.fail(reason, None),
        }
        if is_perhaps_whole { PartChange::None } else { self.clear_parts() }
    }

    fn on_failure(&mut self, failure: Failure) -> PartChange {
        self.failures = self.failures.saturating_add(1);
        match (self.stage.clone(), failure) {
            (Stage::Sending { id }, Failure::NoUpload) => self.stage = Stage::Unsure { id, is_gone: true },
            (Stage::Sending { id }, Failure::PartsRefused) => self.stage = Stage::Dropping { id },
            (Stage::Sending { id }, Failure::Temporary) if self.missing_part().is_none() => {
                self.stage = Stage::Unsure { id, is_gone: false };
            }
            (Stage::Dropping { .. }, Failure::NoUpload) => return self.restart(),
            (Stage::GivingUp { reason, is_perhaps_whole, .. }, Failure::NoUpload) => {
                self.stage = Stage::GivingUp { id: None, reason, is_perhaps_whole }
            }
            (_, Failure::NotSupported(why)) => return self.on_no_sweep(why),
            (_, Failure::Denied(why)) if self.failures >= MAX_DENIALS => return self.on_no_sweep(why),
            // The same action is tried again.
            _ => {}
        }
        PartChange::None
    }

    /// Ends the upload without a sweep, which the storage does not support or permit.
    fn on_no_sweep(&mut self, why: String) -> PartChange {
        match self.stage.clone() {
            Stage::Sweeping { checked } => self.end_sweep(checked, Some(why)),
            Stage::GivingUp { reason, id, .. } => {
                self.unanswered = self.unanswered.saturating_add(u32::from(id.is_some()));
                self.fail(reason, Some(why));
            }
            _ => return PartChange::None,
        }
        self.clear_parts()
    }

    fn clear_parts(&mut self) -> PartChange {
        let removed: Vec<u32> = std::mem::take(&mut self.parts).into_keys().collect();
        if removed.is_empty() { PartChange::None } else { PartChange::Removed(removed) }
    }
}
