//! The sources of descriptions of recordings: a file on the disk, and a file or folder in the block store.

use ipfs::Cid;
use ipfs::store::Store;
use ipfs::unixfs::{Cursor, FileNode, Listed};
use recordings::Source;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Number of bytes that are read at once: the usual size of a block.
const WINDOW: u64 = 256 << 10;

/// Maximum number of blocks that are read for one window. Blocks of honest files have some 100 KiB. In a file of one-byte
/// blocks, which may all be the same, each window would cost seconds.
const MAX_BLOCKS: usize = 128;

/// A file on the disk.
pub(crate) struct FileSource {
    file: File,
    size: u64,
}

impl FileSource {
    /// Opens the file at `path`.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl Source for FileSource {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }
}

/// A file of IPFS whose blocks are in the store of this node. Each block is checked against its hash when it is read.
pub(crate) struct ContentSource {
    store: Store,
    root: FileNode,
    /// The last bytes that were read, and their place in the file.
    window: (u64, Vec<u8>),
}

impl ContentSource {
    /// Reads the root block of a file.
    ///
    /// # Errors
    /// When the root block is not in the store, or is not one of a file.
    pub(crate) fn open(store: Store, file: &Cid) -> io::Result<Self> {
        let root = FileNode::read(file, &block(&store, file)?).map_err(io::Error::other)?;
        Ok(Self { store, root, window: (0, Vec::new()) })
    }

    fn fill(&mut self, start: u64) -> io::Result<()> {
        let end = start.saturating_add(WINDOW).min(self.root.size);
        let (mut cursor, first) = Cursor::new(self.root.clone(), start..end);
        let (mut content, mut blocks) = (first.to_vec(), 0);
        while let Some(part) = cursor.next_part() {
            blocks += 1;
            if blocks > MAX_BLOCKS {
                let message = format!("it has more than {MAX_BLOCKS} blocks in {} KiB", WINDOW >> 10);
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            let block = block(&self.store, &part.cid)?;
            content.extend_from_slice(&cursor.feed(&block).map_err(io::Error::other)?);
        }
        self.window = (start, content);
        Ok(())
    }
}

impl Source for ContentSource {
    fn size(&self) -> u64 {
        self.root.size
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if offset >= self.root.size {
            return Ok(0);
        }
        let start = offset / WINDOW * WINDOW;
        if self.window.0 != start || self.window.1.is_empty() {
            self.fill(start)?;
        }
        let within = usize::try_from(offset - start).map_err(io::Error::other)?;
        let rest = self.window.1.get(within..).unwrap_or_default();
        if rest.is_empty() {
            return Err(io::Error::other("its blocks have fewer bytes than they claim"));
        }
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A folder of IPFS whose blocks are in the store of this node.
pub(crate) struct ContentFolder {
    store: Store,
    members: Vec<Listed>,
}

impl ContentFolder {
    /// Creates the source of a folder with these files.
    pub(crate) fn new(store: Store, members: Vec<Listed>) -> Self {
        Self { store, members }
    }
}

impl recordings::Folder for ContentFolder {
    fn names(&self) -> Vec<String> {
        self.members.iter().map(|member| member.name.clone()).collect()
    }

    fn open(&mut self, name: &str) -> io::Result<Box<dyn Source + '_>> {
        let member = self.members.iter().find(|member| member.name == name);
        let member = member.ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(ContentSource::open(self.store.clone(), &member.cid)?))
    }
}

fn block(store: &Store, cid: &Cid) -> io::Result<bytes::Bytes> {
    let found = store.get(cid).map_err(io::Error::other)?;
    found.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("its block {cid} is missing on this host"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs::store::StoreConfig;
    use ipfs::unixfs::{Content, Format, add_file, add_pieces};

    #[test]
    fn a_file_of_tiny_blocks_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let config =
            StoreConfig { directory: folder.path().join("blocks"), max_bytes: 64 << 20, min_free_bytes: 0 };
        let store = Store::open(config).unwrap().0;
        let pieces = vec![bytes::Bytes::from_static(b"x"); 5000];
        let added = add_pieces(&store, &pieces, &mut |_, _, _| true).unwrap();
        let error = ContentSource::open(store, &added.root).unwrap().read_at(0, &mut [0; 10]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn every_place_of_a_file_is_read_and_a_missing_block_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let config =
            StoreConfig { directory: folder.path().join("blocks"), max_bytes: 64 << 20, min_free_bytes: 0 };
        let store = Store::open(config).unwrap().0;
        let content: Vec<u8> = (0..3_000_000u32).map(|number| (number / 7) as u8).collect();
        let added =
            add_file(&store, &Content::Bytes(content.clone().into()), Format::V1, &mut |_, _, _| true)
                .unwrap();
        let mut source = ContentSource::open(store.clone(), &added.root).unwrap();
        assert_eq!(source.size(), 3_000_000);
        for offset in [0, 1, (256 << 10) - 1, 256 << 10, 2_999_999, 5] {
            let mut into = [0; 4096];
            let count = source.read_at(offset, &mut into).unwrap();
            assert!(count > 0);
            assert_eq!(into[..count], content[offset as usize..][..count]);
        }
        assert_eq!(source.read_at(3_000_000, &mut [0; 10]).unwrap(), 0);
        assert!(ContentSource::open(store, &crate::index::tests::cid()).is_err());
    }
}
