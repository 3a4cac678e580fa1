//! Reasons why a request is answered without content, and their HTTP statuses.
use http::StatusCode;
use http_server::Refusal;
use ipfs::Cid;
use ipfs::dag::DagError;
use ipfs::node::BlockError;
use ipfs::unixfs::SeekError;

/// An error while resolving a path or reading content.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    /// A block is not available.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A block cannot be decoded, or is not supported.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// The blocks of a file contradict each other.
    #[error(transparent)]
    Seek(#[from] SeekError),
    /// The head of the answer is malformed. This is a bug of the gateway.
    #[error(transparent)]
    Head(#[from] http::Error),
    /// The request is malformed, not supported, or names an entry that does not exist.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The client accepts only stored content, and this block is not stored.
    #[error("the block {0} is not stored on this node")]
    NotCached(Cid),
    /// The IPFS node is not running.
    #[error("the IPFS node is not running at the moment; try again later")]
    NoNode,
    /// The client wants another codec than that of the content.
    #[error("this gateway does not convert content to another codec")]
    NoConversion,
    /// The DAG exceeds the limits of a CAR.
    #[error("the DAG is too deep or too wide, or has too many blocks to avoid duplicates")]
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
            format!("{error}: no reachable peer has it, or the connection is too slow; try again later"),
        ),
        BlockError::UnknownHash(_) => Refusal::not_implemented(error.to_string()),
        BlockError::Store(_) | BlockError::Fetch(_) => Refusal::internal(error.to_string()),
        BlockError::Stopped => ContentError::NoNode.into(),
    }
}

fn of_dag(error: &DagError) -> Refusal {
    match error {
        DagError::Unsupported(..) => Refusal::not_implemented(error.to_string()),
        DagError::Codec(..) => Refusal::bad_request(format!("{error}; ?format=raw returns the block itself")),
        // The specification treats a path that ends at an invalid node as a path that does not exist.
        DagError::Malformed(_) | DagError::TooManyLinks(_) => Refusal::not_found(error.to_string()),
    }
}
