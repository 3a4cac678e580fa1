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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::description;
    use crate::info::Summary;
    use ipfs::node::NodeConfig;
    use ipfs::store::StoreConfig;
    use ipfs::unixfs::{Content, DirectoryEntry, Format};
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_true_description_of_a_recording_is_good_and_a_false_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let blocks =
            StoreConfig { directory: folder.path().join("blocks"), max_bytes: 1 << 30, min_free_bytes: 0 };
        let key = ipfs::Keypair::ed25519_from_bytes([1; 32]).unwrap();
        let (node, driver, _) = Node::start(NodeConfig::new(key, blocks)).await.unwrap();
        tokio::spawn(driver.run(CancellationToken::new()));
        let bag = recordings::samples::bag::whole(2, "none");
        let check_with = async |content: recordings::Description| {
            let known = Description { size: bag.len() as u64, ..description(1, "a.bag") };
            let yaml = known.to_yaml(Some(&Whole::new(content))).unwrap();
            let entry = |path: &str, bytes: Vec<u8>| DirectoryEntry {
                path: path.to_owned(),
                content: Content::Bytes(bytes.into()),
            };
            let entries = vec![entry("a.bag", bag.clone()), entry(INFO_NAME, yaml.into_bytes())];
            let added = node.add_directory(entries, Format::V1, watch::Sender::default()).await.unwrap();
            check(&node, added.root, 1 << 20).await
        };
        let content = recordings::describe("a.bag", &mut &bag[..]).unwrap();
        let good = check_with(content.clone()).await.unwrap();
        assert_eq!(good.recording, Some(Summary::of(&content)));
        let false_content = recordings::Description { messages: content.messages + 1, ..content };
        let found = check_with(false_content).await.unwrap_err();
        assert!(matches!(&found, Fault::Bad(reason) if reason.contains("another content")), "{found}");
    }
}
