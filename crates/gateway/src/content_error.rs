//! Reasons why a request for content is answered without it.
use http::StatusCode;
use http_server::Refusal;
use ipfs::Cid;
use ipfs::dag::DagError;
use ipfs::node::BlockError;
use ipfs::unixfs::SeekError;

/// An error of following a path or of reading content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    /// A block cannot be had.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A block is not what its place in the DAG needs.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// A file does not fit together.
    #[error(transparent)]
    Seek(#[from] SeekError),
    /// The head of the answer is malformed, which is a fault of the gateway.
    #[error(transparent)]
    Head(#[from] http::Error),
    /// The request was refused before any content was looked at.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Only content that is here is wanted.
    #[error("the block {0} is not here")]
    NotCached(Cid),
    /// There is no IPFS node now.
    #[error("the IPFS node does not run at the moment; ask again")]
    NoNode,
    /// Another codec is wanted than the one that the content has.
    #[error("content is not converted from one codec to another here")]
    NoConversion,
    /// A DAG is beyond the limits of a CAR.
    #[error("the DAG is too deep, too wide, or has too many blocks to tell which were sent already")]
    TooLarge,
}

impl From<ContentError> for Refusal {
    fn from(error: ContentError) -> Self {
        let message = error.to_string();
        match error {
            ContentError::Block(error) => of_block(error),
            ContentError::Dag(error) => of_dag(&error),
            ContentError::Seek(SeekError::Dag(error)) => of_dag(&error),
            ContentError::Seek(_) => Self::not_found(message),
            ContentError::Head(error) => error.into(),
            ContentError::Refused(refusal) => refusal,
            ContentError::NotCached(_) => Self::new(StatusCode::PRECONDITION_FAILED, message),
            ContentError::NoNode => Self::new(StatusCode::SERVICE_UNAVAILABLE, message),
            ContentError::NoConversion => Self::not_acceptable(message),
            ContentError::TooLarge => Self::internal(message),
        }
    }
}

fn of_block(error: BlockError) -> Refusal {
    match error {
        BlockError::TimedOut { .. } => Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!(
                "{error}: nobody who can be reached has it, or the way to it is too slow; ask again later"
            ),
        ),
        BlockError::UnknownHash(_) => Refusal::not_implemented(error.to_string()),
        BlockError::Store(_) | BlockError::Fetch(_) => Refusal::internal(error.to_string()),
        BlockError::Stopped => ContentError::NoNode.into(),
    }
}

fn of_dag(error: &DagError) -> Refusal {
    match error {
        DagError::Unsupported(..) => Refusal::not_implemented(error.to_string()),
        DagError::Codec(..) => Refusal::bad_request(format!("{error}; ?format=raw gives the block itself")),
        // By the specification, a path that ends at an invalid node does not exist.
        DagError::Malformed(_) | DagError::TooManyLinks(_) => Refusal::not_found(error.to_string()),
    }
}
