//! Where the content of an upload comes from.

mod content;

pub use content::ContentSource;

use bytes::Bytes;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

/// The content of an upload. It must not change: the same range always has the same bytes, also after a restart.
pub trait Source: Send + Sync {
    /// Returns the size in bytes.
    fn size(&self) -> u64;

    /// Reads a range that lies within the size, with at most [`crate::MAX_PART_BYTES`].
    fn read(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes, SourceError>> + Send;
}

/// Reason why the content cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// The reason, as a sentence.
    pub message: String,
    /// Whether a later attempt cannot succeed. The upload is then given up.
    pub is_permanent: bool,
}

/// A file as the content of an upload.
#[derive(Clone, Debug)]
pub struct FileSource {
    file: Arc<File>,
    size: u64,
}

impl FileSource {
    /// Opens a file. This call blocks.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self { size: file.metadata()?.len(), file: Arc::new(file) })
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || {
            let length = usize::try_from(range.end - range.start).map_err(std::io::Error::other)?;
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, range.start).map(|()| Bytes::from(bytes))
        });
        let failed = |error: &dyn std::fmt::Display, is_permanent| SourceError {
            message: format!("the file cannot be read: {error}"),
            is_permanent,
        };
        match read.await {
            Ok(Ok(bytes)) => Ok(bytes),
            // The file is shorter than it was.
            Ok(Err(error)) => Err(failed(&error, error.kind() == std::io::ErrorKind::UnexpectedEof)),
            Err(error) => Err(failed(&error, false)),
        }
    }
}
