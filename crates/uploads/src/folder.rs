//! A folder as a destination, such as a mounted network disk.
//!
//! The object `logs/CID` is the file of this path below the folder, and `logs/CID.json` has its metadata. Parts are written
//! into a hidden file beside it, whose name is always the same, so no crash leaves files that nobody knows. The file is
//! synced and renamed when its SHA-256 is right.
//!
//! `object_store` has folders as well. It has no metadata for them, sends a file from the beginning after a crash, and leaves
//! its temporary file behind.

use crate::destination::Destination;
use crate::object::{Object, SHA256, is_key};
use crate::pace::Pace;
use crate::plan::{Part, Seen, hex};
use crate::trouble::Trouble;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Maximum size of a file with metadata, in bytes.
const MAX_METADATA_FILE: u64 = 64 << 10;
/// Bytes that are read at a time to compute a digest.
const CHUNK_BYTES: usize = 1 << 20;

/// A folder. Several nodes may use the same one.
#[derive(Clone, Debug)]
pub struct Folder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    root: PathBuf,
    owner: String,
    pace: Pace,
}

/// The name of this node cannot be part of a file name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be part of a file name")]
pub struct OwnerError(String);

/// The file with the metadata of an object.
#[derive(Serialize, Deserialize)]
struct MetadataFile {
    size: u64,
    #[serde(flatten)]
    metadata: BTreeMap<String, String>,
}

impl Folder {
    /// Prepares the use of a folder. `owner` names this node, such as its peer ID, and is part of the names of unfinished
    /// files.
    ///
    /// # Errors
    /// When the name of this node cannot be part of a file name.
    pub fn open(root: PathBuf, owner: &str, pace: Pace) -> Result<Self, OwnerError> {
        if !is_key(owner) || owner.contains('/') {
            return Err(OwnerError(owner.to_owned()));
        }
        let name = format!("file://{}", root.display());
        Ok(Self(Arc::new(Inner { name, root, owner: owner.to_owned(), pace })))
    }

    /// Runs work that blocks.
    async fn blocking<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Paths) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let (inner, key) = (self.0.clone(), key.to_owned());
        let done = tokio::task::spawn_blocking(move || {
            // The folder itself is never created: while its disk is not mounted, the files would fill another one.
            match inner.root.is_dir() {
                true => work(&Paths::new(&inner, &key)),
                false => Err(Trouble::FolderMissing(inner.root.clone())),
            }
        });
        done.await.unwrap_or_else(|error| Err(Trouble::Broken(error.to_string())))
    }
}

/// Paths of an object.
struct Paths {
    folder: PathBuf,
    object: PathBuf,
    metadata: PathBuf,
    /// The unfinished file.
    part: PathBuf,
    /// The unfinished file with the metadata.
    new_metadata: PathBuf,
}

impl Paths {
    fn new(inner: &Inner, key: &str) -> Self {
        let object = inner.root.join(key);
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        let folder = inner.root.join(folder);
        let part = folder.join(format!(".{name}.{}.part", inner.owner));
        let new_metadata = folder.join(format!(".{name}.{}.json", inner.owner));
        Self { metadata: folder.join(format!("{name}.json")), folder, object, part, new_metadata }
    }

    fn look(&self) -> Result<Option<Seen>, Trouble> {
        let size = match fs::metadata(&self.object) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) => return Err(Trouble::disk(&self.object)(io::Error::other("it is not a file"))),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Trouble::disk(&self.object)(error)),
        };
        let metadata = self.read_metadata().map_err(Trouble::disk(&self.metadata))?;
        // The object was renamed only after its digest was right.
        let sha256 =
            metadata.filter(|file| file.size == size).and_then(|mut file| file.metadata.remove(SHA256));
        Ok(Some(Seen { size, sha256, tag: None, is_hashed: true }))
    }

    fn read_metadata(&self) -> io::Result<Option<MetadataFile>> {
        let file = match File::open(&self.metadata) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut text = Vec::new();
        file.take(MAX_METADATA_FILE).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Creates the unfinished file, empty. An earlier one of this node is replaced.
    fn create(&self, size: u64) -> Result<(), Trouble> {
        fs::create_dir_all(&self.folder).map_err(Trouble::disk(&self.folder))?;
        let room =
            rustix::fs::statvfs(&self.folder).map_err(|error| Trouble::disk(&self.folder)(error.into()))?;
        // Some network file systems state no room at all.
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if room.f_blocks > 0 && free < size {
            return Err(Trouble::Full(format!("{free} of {size} bytes are free")));
        }
        File::create(&self.part).and_then(|file| file.sync_all()).map_err(Trouble::disk(&self.part))?;
        self.sync_folder()
    }

    fn write(&self, offset: u64, content: &[u8]) -> Result<(), Trouble> {
        let file = self.open_part()?;
        file.write_all_at(content, offset).and_then(|()| file.sync_data()).map_err(Trouble::disk(&self.part))
    }

    fn open_part(&self) -> Result<File, Trouble> {
        match OpenOptions::new().read(true).write(true).open(&self.part) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Trouble::NoUpload),
            opened => opened.map_err(Trouble::disk(&self.part)),
        }
    }

    /// Makes the object of the unfinished file, if the file has the right size and digest.
    fn complete(&self, object: &Object) -> Result<(), Trouble> {
        let file = self.open_part()?;
        let failed = || Trouble::disk(&self.part);
        if file.metadata().map_err(failed())?.len() != object.size {
            return Err(Trouble::PartsRefused("the unfinished file has another size".to_owned()));
        }
        let found = digest(&file).map_err(failed())?;
        if object.sha256() != Some(found.as_str()) {
            return Err(Trouble::PartsRefused("the unfinished file has another digest".to_owned()));
        }
        file.sync_all().map_err(failed())?;
        let stated = MetadataFile { size: object.size, metadata: object.metadata.clone() };
        self.write_metadata(&stated).map_err(Trouble::disk(&self.metadata))?;
        // A file without its metadata is never visible.
        fs::rename(&self.part, &self.object).map_err(Trouble::disk(&self.object))?;
        self.sync_folder()
    }

    fn write_metadata(&self, stated: &MetadataFile) -> io::Result<()> {
        let mut file = File::create(&self.new_metadata)?;
        file.write_all(&serde_json::to_vec_pretty(stated)?)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&self.new_metadata, &self.metadata)
    }

    fn sync_folder(&self) -> Result<(), Trouble> {
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(Trouble::disk(&self.folder))
    }

    /// Removes everything that is unfinished.
    fn sweep(&self) -> Result<(), Trouble> {
        if !self.folder.is_dir() {
            return Ok(());
        }
        remove(&self.part)?;
        remove(&self.new_metadata)?;
        if !self.object.exists() {
            remove(&self.metadata)?;
        }
        self.sync_folder()
    }

    fn read(&self, range: &Range<u64>) -> io::Result<Bytes> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        let mut content = vec![0; length];
        File::open(&self.object)?.read_exact_at(&mut content, range.start)?;
        Ok(content.into())
    }
}

fn remove(path: &Path) -> Result<(), Trouble> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Trouble::disk(path)(error)),
        _ => Ok(()),
    }
}

fn digest(file: &File) -> io::Result<String> {
    let (mut hash, mut chunk, mut offset) = (Sha256::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        match file.read_at(&mut chunk, offset) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(length) => {
                hash.update(chunk.get(..length).unwrap_or_default());
                offset += length as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Identifier of every unfinished file: there is one for each object and node.
const ID: &str = "file";

/// A part on the disk needs no identifier and no digest of its own: the whole file is checked before it is renamed.
fn stored() -> Part {
    Part { tag: ID.to_owned(), md5: String::new() }
}

impl Destination for Folder {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn look(&self, key: &str) -> Result<Option<Seen>, Trouble> {
        self.blocking(key, Paths::look).await
    }

    async fn put(&self, object: &Object, content: Bytes) -> Result<Part, Trouble> {
        self.0.pace.wait(content.len()).await;
        let described = object.clone();
        let put = move |paths: &Paths| {
            paths.create(described.size)?;
            paths.write(0, &content)?;
            paths.complete(&described)
        };
        self.blocking(&object.key, put).await.map(|()| stored())
    }

    async fn create(&self, object: &Object) -> Result<String, Trouble> {
        let size = object.size;
        self.blocking(&object.key, move |paths| paths.create(size)).await.map(|()| ID.to_owned())
    }

    async fn put_part(&self, object: &Object, _: &str, number: u32, content: Bytes) -> Result<Part, Trouble> {
        self.0.pace.wait(content.len()).await;
        let offset = object.range(number).start;
        self.blocking(&object.key, move |paths| paths.write(offset, &content)).await.map(|()| stored())
    }

    async fn complete(&self, object: &Object, _: &str, _: &BTreeMap<u32, Part>) -> Result<(), Trouble> {
        let described = object.clone();
        self.blocking(&object.key, move |paths| paths.complete(&described)).await
    }

    async fn abort(&self, object: &Object, _: &str) -> Result<(), Trouble> {
        self.blocking(&object.key, Paths::sweep).await
    }

    async fn sweep(&self, object: &Object) -> Result<(), Trouble> {
        self.blocking(&object.key, Paths::sweep).await
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Trouble> {
        self.blocking(key, move |paths| paths.read(&range).map_err(Trouble::disk(&paths.object))).await
    }
}
