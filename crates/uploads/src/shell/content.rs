//! The content of an upload: the file in the directory of a shared file, or the archive of the folder in it, and its
//! metadata.

use crate::object::{Metadata, Object, ObjectError, key_of};
use crate::source::{ContentSource, Source, SourceError};
use bytes::{Bytes, BytesMut};
use dcache::{PeerId, buckets};
use ipfs::Cid;
use ipfs::node::Node;
use ipfs::store::Store;
use ipfs::unixfs::{Listed, ReadError};
use logs::{Description, INFO_NAME, MAX_INFO_BYTES};
use std::ops::Range;
use swarm::{Stopped, Swarm};
use transfers::{Archive, ArchivePart};

/// Content of an upload.
pub(super) enum Content {
    /// The file is on this node.
    Here(ContentSource),
    /// The folder with these files is on this node. Its archive is uploaded.
    Folder(Archive, Vec<ContentSource>),
    /// The file is not needed, since the upload is given up. The number is its size.
    Gone(u64),
}

impl Source for Content {
    fn size(&self) -> u64 {
        match self {
            Self::Here(source) => source.size(),
            Self::Folder(archive, _) => archive.size(),
            Self::Gone(size) => *size,
        }
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        match self {
            Self::Here(source) => source.read(range).await,
            Self::Folder(archive, files) => read_archive(archive, files, range).await,
            Self::Gone(_) => Err(failed("the file is not needed any more", true)),
        }
    }
}

async fn read_archive(
    archive: &Archive,
    files: &[ContentSource],
    range: Range<u64>,
) -> Result<Bytes, SourceError> {
    let mut content = BytesMut::new();
    for (part, within) in archive.within(range) {
        match part {
            ArchivePart::Bytes(bytes) => {
                let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
                content.extend_from_slice(bytes.get(at(within.start)..at(within.end)).unwrap_or_default());
            }
            ArchivePart::File(index, _) => {
                let file =
                    files.get(*index).ok_or_else(|| failed("a file of the folder is missing", true))?;
                content.extend_from_slice(&file.read(within).await?);
            }
        }
    }
    Ok(content.freeze())
}

impl Content {
    /// Returns whether the object is an archive.
    pub(super) fn is_archive(&self) -> bool {
        matches!(self, Self::Folder(..))
    }
}

fn failed(message: impl ToString, is_permanent: bool) -> SourceError {
    SourceError { message: message.to_string(), is_permanent }
}

impl From<ReadError> for SourceError {
    fn from(error: ReadError) -> Self {
        let is_permanent = !matches!(error, ReadError::Missing(_) | ReadError::Store(_));
        failed(error, is_permanent)
    }
}

impl From<ObjectError> for SourceError {
    fn from(error: ObjectError) -> Self {
        failed(error, true)
    }
}

/// Opens a shared file, after comparing its info file with the description that the swarm knows: the uploader whose
/// permission counts must be the one that the content names.
///
/// # Errors
/// When blocks are missing, or the content is not that of the description.
pub(super) async fn open(node: &Node, root: Cid, known: &Description) -> Result<Content, SourceError> {
    let yaml = node.cat(root, INFO_NAME.to_owned(), MAX_INFO_BYTES).await?;
    let yaml = std::str::from_utf8(&yaml).map_err(|_| failed("its info file is not UTF-8", true))?;
    let (found, _) = Description::from_yaml(yaml).map_err(|error| failed(error, true))?;
    if (found.uploader, &found.filename) != (known.uploader, &known.filename) {
        return Err(failed(
            "its info file names another robot or another file than the description in the swarm",
            true,
        ));
    }
    let entries = node.list(root).await?;
    let payload = entries.into_iter().find(|entry| entry.name == found.filename);
    let payload = payload.ok_or_else(|| failed("its directory does not have the file", true))?;
    let (store, folder) = (node.store().clone(), found.filename);
    let members = match node.list(payload.cid).await {
        Ok(members) => Some(members),
        Err(ReadError::WrongKind(..)) => None,
        Err(error) => return Err(error.into()),
    };
    let open = move || match members {
        None => ContentSource::open(store, &payload.cid).map(Content::Here),
        Some(members) => open_folder(&store, &folder, &members),
    };
    tokio::task::spawn_blocking(open).await.map_err(|error| failed(error, false))?
}

fn open_folder(store: &Store, folder: &str, members: &[Listed]) -> Result<Content, SourceError> {
    let files: Vec<ContentSource> = members
        .iter()
        .map(|member| ContentSource::open(store.clone(), &member.cid))
        .collect::<Result<_, _>>()?;
    let sizes = members.iter().zip(&files).map(|(member, file)| (member.name.as_str(), file.size()));
    Ok(Content::Folder(Archive::new(folder, sizes), files))
}

/// Describes the object of a shared file.
///
/// # Errors
/// When the file is too large.
pub(super) fn object(
    root: &Cid,
    content: &Content,
    part_bytes: u64,
    (known, hostname): (&Description, Option<String>),
) -> Result<Object, ObjectError> {
    let robot = hostname.unwrap_or_else(|| known.uploader.to_string());
    let path = known.path.as_ref().map_or_else(|| known.filename.clone(), ToString::to_string);
    let metadata = Metadata::default()
        .with("cid", &root.to_string())?
        .with("robot", &known.uploader.to_string())?
        .with("changed", &known.changed.to_string())?
        .with("path", &format!("{robot}/{path}"))?;
    Object::new(&key_of(root, content.is_archive()), content.size(), part_bytes, metadata)
}

/// Returns the host name that a robot states.
///
/// # Errors
/// When the daemon is stopping.
pub(super) async fn hostname(swarm: &Swarm, robot: PeerId) -> Result<Option<String>, Stopped> {
    let read = move |set: &dcache::Set, now| {
        let names = set.bucket(&buckets::HOSTNAME.of(robot), now);
        names.map(|view| view.item.data.as_str().to_owned()).next()
    };
    swarm.read(read).await
}
