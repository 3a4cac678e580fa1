//! Whether a fetched file is what it says it is.

use crate::info::{Description, INFO_NAME, InfoError, MAX_INFO_BYTES};
use ipfs::Cid;
use ipfs::node::Node;
use ipfs::unixfs::ReadError;

/// Why a file was not found good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// It can never be good: its CID stands for just this content.
    #[error("{0}")]
    Bad(String),
    /// It could not be read just now.
    #[error("{0}")]
    Unreadable(ReadError),
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Missing(_) | ReadError::Store(_) => Self::Unreadable(error),
            _ => Self::Bad(error.to_string()),
        }
    }
}

impl From<InfoError> for Fault {
    fn from(error: InfoError) -> Self {
        Self::Bad(error.to_string())
    }
}

/// Reads the whole of a file that is in the block store, every block against its hash, and compares it with its info
/// file: a directory of just these two, the name and the size right.
pub(crate) async fn check(node: &Node, root: Cid, max_bytes: u64) -> Result<Description, Fault> {
    let entries = node.list(root).await?;
    let payload = entries.iter().find(|entry| entry.name != INFO_NAME);
    let (Some(payload), 2) = (payload, entries.len()) else {
        return Err(Fault::Bad(format!("not a directory of one file and its {INFO_NAME}")));
    };
    let yaml = node.cat(root, INFO_NAME.to_owned(), MAX_INFO_BYTES).await?;
    let yaml = std::str::from_utf8(&yaml).map_err(|_| Fault::Bad(format!("{INFO_NAME} is not UTF-8")))?;
    let description = Description::from_yaml(yaml)?;
    if description.filename != payload.name {
        return Err(Fault::Bad(format!(
            "its info file names {:?}, not {:?}",
            description.filename, payload.name
        )));
    }
    let size = node.file_size(root, payload.name.clone(), max_bytes).await?;
    if description.size != size {
        return Err(Fault::Bad(format!("its info file says {} bytes, it has {size}", description.size)));
    }
    Ok(description)
}
