//! Checks that a fetched file matches its info file.

use crate::info::{Description, INFO_NAME, InfoError, MAX_INFO_BYTES, Whole};
use crate::log_files::MAX_MEMBERS;
use crate::sources::{ContentFolder, ContentSource};
use ipfs::Cid;
use ipfs::node::Node;
use ipfs::unixfs::{Listed, ReadError, is_plain_name};
use recordings::{METADATA_NAME, is_recording};

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

/// Reads a whole log from the block store, and compares it with its info file. The hash of each block is verified. The
/// directory must contain exactly the log and its info file. The log is a file, or a folder of ROS 2 that has only files.
/// The info file must have the right name and size, and tell what the recording contains.
///
/// # Errors
/// When the file is bad or cannot be read.
pub(crate) async fn check(node: &Node, root: Cid, max_bytes: u64) -> Result<Description, Fault> {
    let entries = node.list(root).await?;
    let payload = entries.iter().find(|entry| entry.name != INFO_NAME);
    let (Some(payload), 2) = (payload, entries.len()) else {
        return Err(Fault::Bad(format!("it is not a directory of one log and its {INFO_NAME}")));
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
    let members = members(node, payload.cid).await?;
    check_size(node, root, (&payload.name, members.as_deref()), description.size).await?;
    if let Some(whole) = whole.filter(Whole::is_comparable) {
        check_recording(node, payload, members, whole).await?;
    }
    Ok(description)
}

/// Returns the files of a folder of ROS 2; `None` for a file.
async fn members(node: &Node, payload: Cid) -> Result<Option<Vec<Listed>>, Fault> {
    let members = match node.list(payload).await {
        Ok(members) => members,
        Err(ReadError::WrongKind(..)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let names = || members.iter().map(|member| member.name.as_str());
    if !is_recording(names()) || !names().any(|name| name == METADATA_NAME) {
        return Err(Fault::Bad("its folder is not a recording of ROS 2".to_owned()));
    }
    if members.len() > MAX_MEMBERS {
        return Err(Fault::Bad(format!("its folder has more than {MAX_MEMBERS} files")));
    }
    match names().find(|name| !is_plain_name(name)) {
        Some(name) => Err(Fault::Bad(format!("its folder has a file with the forbidden name {name:?}"))),
        None => Ok(Some(members)),
    }
}

/// Checks that a recording contains what its info file says.
async fn check_recording(
    node: &Node,
    payload: &Listed,
    members: Option<Vec<Listed>>,
    whole: Whole,
) -> Result<(), Fault> {
    let (store, Listed { name, cid, .. }) = (node.store().clone(), payload.clone());
    let describing = move || match members {
        None => recordings::describe(&name, &mut ContentSource::open(store, &cid)?),
        Some(members) => recordings::describe_folder(&mut ContentFolder::new(store, members)),
    };
    let described = tokio::task::spawn_blocking(describing).await;
    let described = described.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    match described {
        Ok(found) if found == whole.content => Ok(()),
        Ok(_) => Err(Fault::Bad("its info file says another content of the recording".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(Fault::Bad(error.to_string())),
        Err(error) => Err(Fault::Unread(error)),
    }
}

/// Checks that a log has the size that its info file says: its file, or all files of its folder together. Larger content
/// is not read to its end.
async fn check_size(
    node: &Node,
    root: Cid,
    (name, members): (&str, Option<&[Listed]>),
    expected: u64,
) -> Result<(), Fault> {
    let paths: Vec<String> = match members {
        None => vec![name.to_owned()],
        Some(members) => members.iter().map(|member| format!("{name}/{}", member.name)).collect(),
    };
    let mut size: u64 = 0;
    for path in paths {
        // The rest is at most what is expected, so the sum is not larger either.
        match node.file_size(root, path, expected.saturating_sub(size)).await {
            Ok(bytes) => size = size.saturating_add(bytes),
            Err(ReadError::TooLarge(_)) => {
                return Err(Fault::Bad(format!("its info file says {expected} bytes, but it has more")));
            }
            Err(error) => return Err(error.into()),
        }
    }
    match size == expected {
        true => Ok(()),
        false => Err(Fault::Bad(format!("its info file says {expected} bytes, but it has {size}"))),
    }
}
