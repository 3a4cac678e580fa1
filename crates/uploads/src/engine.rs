//! Runs one upload: performs the actions of the plan, and records each step before the next one.

use crate::destination::Destination;
use crate::journal::Journal;
use crate::object::Object;
use crate::plan::{Action, Event, Failure, PartChange, Stage, Upload, hex};
use crate::rows;
use crate::source::{Source, SourceError};
use crate::trouble::Trouble;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Time after which the state is written again when the disk refuses it.
const DISK_RETRY: Duration = Duration::from_secs(5);

/// Progress of an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that the destination has confirmed.
    pub bytes: u64,
    /// Size of the object in bytes.
    pub size: u64,
    /// The current step.
    pub step: Step,
    /// Reason why the upload waits, as a sentence; `None` while it does not wait.
    pub waits: Option<String>,
}

/// Step of an upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The digest of the content is computed.
    #[default]
    Hashing,
    /// The destination is asked whether it has the object.
    Looking,
    /// The content is sent.
    Sending,
    /// The destination makes the object of its parts, and the object is verified.
    Completing,
    /// Unfinished parts are removed from the destination.
    CleaningUp,
    /// The upload has ended.
    Ended,
}

impl Step {
    /// Returns the name of the step, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hashing => "hashing",
            Self::Looking => "looking",
            Self::Sending => "sending",
            Self::Completing => "completing",
            Self::CleaningUp => "cleaning up",
            Self::Ended => "ended",
        }
    }

    fn of(upload: &Upload) -> Self {
        match &upload.stage {
            Stage::Hashing => Self::Hashing,
            Stage::Looking => Self::Looking,
            Stage::Sending { .. } if matches!(upload.next(), Action::Complete { .. }) => Self::Completing,
            Stage::Putting | Stage::Creating | Stage::Sending { .. } | Stage::Dropping { .. } => {
                Self::Sending
            }
            Stage::Unsure { .. } | Stage::Confirming { .. } => Self::Completing,
            Stage::Sweeping { .. } | Stage::GivingUp { .. } => Self::CleaningUp,
            Stage::Done { .. } | Stage::Failed { .. } => Self::Ended,
        }
    }
}

/// The parts that one upload works with.
pub struct Engine<'a, D, S, J> {
    /// Name of the upload on the disk, without `#`.
    pub name: &'a str,
    /// Destination of the upload.
    pub destination: &'a D,
    /// Content to upload.
    pub source: &'a S,
    /// Disk for the state.
    pub journal: &'a J,
    /// Receives the progress.
    pub progress: &'a watch::Sender<Progress>,
    /// Gives the upload up: what it left in the destination is removed.
    pub cancelled: &'a CancellationToken,
}

/// Reason why an action failed.
enum Obstacle {
    Trouble(Trouble),
    Source(SourceError),
}

impl From<Trouble> for Obstacle {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<SourceError> for Obstacle {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl<D: Destination, S: Source, J: Journal> Engine<'_, D, S, J> {
    /// Runs an upload to its end, and returns its last state. The upload waits while the destination is in trouble, without a
    /// limit. When the future is dropped, the upload goes on with the state on the disk.
    pub async fn run(&self, mut upload: Upload) -> Upload {
        self.begin(&mut upload).await;
        loop {
            if self.cancelled.is_cancelled() {
                let change = upload.on(Event::GaveUp("it was cancelled".to_owned()));
                self.save(&upload, &change).await;
            }
            let action = upload.next();
            self.report(|progress| {
                (progress.bytes, progress.step) = (upload.bytes_stored(), Step::of(&upload))
            });
            if action == Action::End {
                return upload;
            }
            if upload.begin(&action) {
                self.save(&upload, &PartChange::None).await;
            }
            // Without the answer, nobody knows whether the destination has a multipart upload, or an object, that is to be
            // removed.
            let must_end = upload.is_ending() || matches!(action, Action::Create | Action::Complete { .. });
            let Some(event) = self.until_cancelled(must_end, self.perform(&action, &upload)).await else {
                continue;
            };
            let change = upload.on(event);
            self.save(&upload, &change).await;
            let wait = upload.wait(spread());
            let waiting = tokio::time::sleep(wait);
            if !wait.is_zero() && self.until_cancelled(upload.is_ending(), waiting).await.is_none() {
                continue;
            }
            self.report(|progress| progress.waits = None);
        }
    }

    /// Begins anew if the recorded state is that of another destination.
    async fn begin(&self, upload: &mut Upload) {
        let size = upload.object.size;
        self.report(|progress| (progress.bytes, progress.size) = (upload.bytes_stored(), size));
        if !upload.is_ended() && upload.destination != self.destination.name() {
            if upload.leaves_parts() {
                tracing::warn!(
                    upload = self.name,
                    left = upload.destination,
                    "an upload begins anew at another destination; a lifecycle rule has to remove its parts at the old one"
                );
            }
            let change = upload.move_to(self.destination.name().to_owned());
            self.save(upload, &change).await;
        }
        if size != self.source.size() {
            let message = format!("its size changed from {size} to {} bytes", self.source.size());
            let change = upload.on(Event::GaveUp(message));
            self.save(upload, &change).await;
        }
    }

    /// Waits for `work`; returns `None` if the upload is cancelled before, unless the work must end.
    async fn until_cancelled<T>(&self, must_end: bool, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            () = self.cancelled.cancelled(), if !must_end => None,
            done = work => Some(done),
        }
    }

    async fn perform(&self, action: &Action, upload: &Upload) -> Event {
        match self.attempt(action, upload).await {
            Ok(event) => event,
            Err(Obstacle::Source(error)) if error.is_permanent => Event::GaveUp(error.message),
            Err(Obstacle::Source(error)) => {
                tracing::debug!(upload = self.name, %error, "the content of an upload cannot be read");
                self.report(|progress| progress.waits = Some(error.message));
                Event::Failed(Failure::Temporary)
            }
            Err(Obstacle::Trouble(trouble)) => {
                tracing::debug!(upload = self.name, ?action, %trouble, "a step of an upload failed");
                self.report(|progress| progress.waits = Some(trouble.to_string()));
                Event::Failed(trouble.failure())
            }
        }
    }

    async fn attempt(&self, action: &Action, upload: &Upload) -> Result<Event, Obstacle> {
        let (to, object) = (self.destination, &upload.object);
        Ok(match action {
            Action::Hash => Event::Hashed(self.hash(object).await?),
            Action::Look => Event::Looked(to.look(&object.key).await?),
            Action::Put => Event::Stored(to.put(object, self.source.read(0..object.size).await?).await?),
            Action::Create => Event::Created(to.create(object).await?),
            Action::PutPart { id, part } => {
                let content = self.source.read(object.range(*part)).await?;
                Event::PartStored(*part, to.put_part(object, id, *part, content).await?)
            }
            Action::Complete { id } => {
                to.complete(object, id, &upload.parts).await?;
                Event::Completed
            }
            Action::Abort { id } => {
                to.abort(object, id).await?;
                Event::Aborted
            }
            Action::Sweep => {
                to.sweep(object).await?;
                Event::Swept
            }
            Action::End => return Ok(Event::Failed(Failure::Temporary)),
        })
    }

    /// Reads the whole content once, and returns its SHA-256. So the metadata can name it, and content that is not complete
    /// on this host is noticed before anything is sent.
    async fn hash(&self, object: &Object) -> Result<String, SourceError> {
        let mut hash = Sha256::new();
        for part in 0..object.parts() {
            let content = self.source.read(object.range(part)).await?;
            let hashing = tokio::task::spawn_blocking(move || hash.chain_update(content));
            let failed =
                |_| SourceError { message: "its digest cannot be computed".to_owned(), is_permanent: false };
            hash = hashing.await.map_err(failed)?;
        }
        Ok(hex(&hash.finalize()))
    }

    /// Writes the state to the disk. A disk that refuses it stops the upload, because it could not be resumed.
    async fn save(&self, upload: &Upload, change: &PartChange) {
        let changes = rows::after(self.name, upload, change);
        while let Err(error) = self.journal.write(changes.clone()).await {
            tracing::warn!(upload = self.name, %error, "an upload waits for the disk");
            self.report(|progress| progress.waits = Some(error.to_string()));
            tokio::time::sleep(DISK_RETRY).await;
        }
    }

    fn report(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_if_modified(|progress| {
            let before = progress.clone();
            change(progress);
            *progress != before
        });
    }
}

/// Returns a random number from 0 to 1.
fn spread() -> f64 {
    RandomState::new().hash_one(()) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests;
