//! Why there is no content, in words.
use http::StatusCode;
use ipfs::node::BlockError;
use ipfs::unixfs::SeekError;
use ipfs::{Cid, dag::DagError};

/// An answer that is not the content: its status, and what a person reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Refusal {
    /// What a program reads.
    pub status: StatusCode,
    /// What a person reads.
    pub words: String,
}

/// After how many seconds it may be worth to ask again for what did not come.
pub(crate) const RETRY_AFTER_SECONDS: u16 = 10;

impl Refusal {
    pub(crate) fn new(status: StatusCode, words: impl Into<String>) -> Self {
        Self { status, words: words.into() }
    }

    pub(crate) fn bad_request(words: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, words)
    }

    pub(crate) fn not_found(words: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, words)
    }

    pub(crate) fn not_acceptable(words: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, words)
    }

    pub(crate) fn not_implemented(words: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, words)
    }

    pub(crate) fn not_cached(cid: &Cid) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, format!("the block {cid} is not here"))
    }

    pub(crate) fn no_node() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the IPFS node does not run at the moment; ask again")
    }

    /// Whether it can be different soon.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
    }
}

impl From<BlockError> for Refusal {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::TimedOut { .. } => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                format!(
                    "{error}: nobody who can be reached has it, or the way to it is too slow; ask again later"
                ),
            ),
            BlockError::UnknownHash(_) => Self::not_implemented(error.to_string()),
            BlockError::Store(_) | BlockError::Fetch(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
            BlockError::Stopped => Self::no_node(),
        }
    }
}

impl From<DagError> for Refusal {
    fn from(error: DagError) -> Self {
        match error {
            DagError::Unsupported(..) => Self::not_implemented(error.to_string()),
            DagError::Codec(..) => Self::bad_request(format!("{error}; ?format=raw gives the block itself")),
            // By the specification, a path that an invalid node ends is not there.
            DagError::Malformed(_) | DagError::TooManyLinks(_) => Self::not_found(error.to_string()),
        }
    }
}

impl From<SeekError> for Refusal {
    fn from(error: SeekError) -> Self {
        match error {
            SeekError::Dag(error) => error.into(),
            other => Self::not_found(other.to_string()),
        }
    }
}
