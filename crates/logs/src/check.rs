//! Checks that a fetched file matches its info file.

use crate::info::{Description, INFO_NAME, InfoError, MAX_INFO_BYTES, Whole};
use crate::sources::ContentSource;
use ipfs::Cid;
use ipfs::node::Node;
use ipfs::unixfs::ReadError;

/// Reason why a file was not found good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The content is bad. This is final, since the CID always stands for the same content.
    #[error("{0}")]
    Bad(String),
    /// The file cannot be read at the moment.
    #[error("{0}")]
    Unreadable(ReadError),
    /// The blocks of the file cannot be read at the moment.
    #[error("its blocks cannot be read: {0}")]
    Unread(std::io::Error),
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

/// Reads a whole file from the block store, and compares it with its info file. The hash of each block is verified. The
/// directory must contain exactly the file and its info file. The info file must have the right name and size, and tell
/// what the recording contains.
///
/// # Errors
/// When the file is bad or cannot be read.
pub(crate) async fn check(node: &Node, root: Cid, max_bytes: u64) -> Result<Description, Fault> {
    let entries = node.list(root).await?;
    let payload = entries.iter().find(|entry| entry.name != INFO_NAME);
    let (Some(payload), 2) = (payload, entries.len()) else {
        return Err(Fault::Bad(format!("it is not a directory of one file and its {INFO_NAME}")));
    };
    let yaml = node.cat(root, INFO_NAME.to_owned(), MAX_INFO_BYTES).await?;
    let yaml = std::str::from_utf8(&yaml).map_err(|_| Fault::Bad(format!("{INFO_NAME} is not UTF-8")))?;
    let (description, whole) = Description::from_yaml(yaml)?;
    if description.filename != payload.name {
        return Err(Fault::Bad(format!(
            "its info file says the name {:?}, but the file is named {:?}",
            description.filename, payload.name
        )));
    }
    if description.size > max_bytes {
        return Err(ReadError::TooLarge(max_bytes).into());
    }
    check_size(node, root, payload.name.clone(), description.size).await?;
    if let Some(whole) = whole.filter(Whole::is_comparable) {
        check_recording(node, payload.cid, payload.name.clone(), whole).await?;
    }
    Ok(description)
}

/// Checks that a recording contains what its info file says.
async fn check_recording(node: &Node, file: Cid, name: String, whole: Whole) -> Result<(), Fault> {
    let store = node.store().clone();
    let describing = move || {
        let mut source = ContentSource::open(store, &file)?;
        recordings::describe(&name, &mut source)
    };
    let described = tokio::task::spawn_blocking(describing).await;
    let described = described.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    match described {
        Ok(found) if found == whole.content => Ok(()),
        Ok(_) => Err(Fault::Bad("its info file says another content of the recording".to_owned())),
        Err(error) => Err(Fault::Unread(error)),
    }
}

/// Checks that a file has the size that its info file says. Larger content is not read to its end.
async fn check_size(node: &Node, root: Cid, name: String, expected: u64) -> Result<(), Fault> {
    match node.file_size(root, name, expected).await {
        Ok(size) if size == expected => Ok(()),
        Ok(size) => Err(Fault::Bad(format!("its info file says {expected} bytes, but it has {size}"))),
        Err(ReadError::TooLarge(_)) => {
            Err(Fault::Bad(format!("its info file says {expected} bytes, but it has more")))
        }
        Err(error) => Err(error.into()),
    }
}
