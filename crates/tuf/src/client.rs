//! The client: performs the requests of the pure workflow on a mirror, and makes its results durable.

use crate::limits::{FETCH_SECONDS, TOTAL_SECONDS};
use crate::metadata_store::MetadataStore;
use crate::mirror::{Mirror, MirrorError};
use crate::names::{FileName, TargetPath};
use crate::now::Now;
use crate::refresh::{Refresh, Request};
use crate::target::Target;
use crate::verified::Verified;
use crate::verify_error::VerifyError;
use std::time::Duration;
use store::TableError;
use tokio::time::{Instant, timeout, timeout_at};

/// Reason why a client has no verified metadata, or no answer about a target.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Metadata is refused or missing.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The mirror cannot be read.
    #[error("cannot read {file} from the mirror of the release repository: {source}; ask another mirror")]
    Mirror {
        /// Name of the file.
        file: FileName,
        /// Error of the mirror.
        source: MirrorError,
    },
    /// The mirror is too slow.
    #[error("the mirror of the release repository took too long to send {file}; ask another mirror")]
    Slow {
        /// Name of the file.
        file: FileName,
    },
    /// The metadata store cannot be read or written. Without it, older metadata could be accepted later.
    #[error(
        "cannot use the metadata of releases on the disk: {source}; free space on the disk, or replace it"
    )]
    Store {
        /// Error of the store.
        #[from]
        source: TableError,
    },
}

/// A client of one repository.
#[derive(Clone, Debug)]
pub struct Client<M> {
    mirror: M,
    store: MetadataStore,
    bootstrap: Vec<u8>,
}

impl<M: Mirror> Client<M> {
    /// Creates a client. `bootstrap` is the root file with which the node was set up. It was copied from the publisher on
    /// a safe way, for example with the image of the disk.
    pub fn new(mirror: M, store: MetadataStore, bootstrap: Vec<u8>) -> Self {
        Self { mirror, store, bootstrap }
    }

    /// Takes the newest metadata from the mirror.
    ///
    /// # Errors
    /// Returns an error if the mirror fails, or any of its files is refused. Files that were accepted before are kept.
    pub async fn refresh(&self, now: Now) -> Result<Verified, ClientError> {
        let mut refresh = self.begin(now)?;
        let deadline = deadline();
        while let Some(request) = refresh.request() {
            let content = self.fetch(&request, deadline).await?;
            let changes = refresh.supply(content.as_deref())?;
            self.store.save(changes).await?;
        }
        Ok(refresh.finish()?)
    }

    /// Returns the metadata on the disk, without asking the mirror.
    ///
    /// # Errors
    /// Returns an error if the metadata on the disk is not complete or has expired.
    pub fn offline(&self, now: Now) -> Result<Verified, ClientError> {
        Ok(self.begin(now)?.offline()?)
    }

    /// Searches for a target. Returns `None` if no role lists it.
    ///
    /// # Errors
    /// Returns an error if the metadata has expired since it was verified, or the file of a delegated role cannot be had.
    pub async fn find(
        &self,
        verified: &mut Verified,
        path: TargetPath,
        now: Now,
    ) -> Result<Option<Target>, ClientError> {
        let mut search = verified.search(path, now)?;
        let deadline = deadline();
        while let Some(request) = search.request() {
            let content = self.fetch(&request, deadline).await?;
            let changes = search.supply(content.as_deref())?;
            self.store.save(changes).await?;
        }
        Ok(search.finish())
    }

    fn begin(&self, now: Now) -> Result<Refresh, ClientError> {
        Ok(Refresh::begin(&self.bootstrap, self.store.load()?, now)?)
    }

    async fn fetch(&self, request: &Request, deadline: Instant) -> Result<Option<Vec<u8>>, ClientError> {
        let file = || request.name.clone();
        let fetch = self.mirror.fetch(&request.name, request.max_bytes);
        let fetched = timeout_at(deadline, timeout(Duration::from_secs(FETCH_SECONDS), fetch)).await;
        match fetched {
            Ok(Ok(answer)) => answer.map_err(|source| ClientError::Mirror { file: file(), source }),
            Ok(Err(_)) | Err(_) => Err(ClientError::Slow { file: file() }),
        }
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(TOTAL_SECONDS)
}
