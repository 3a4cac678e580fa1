//! A file in the block store as the content of an upload. Each block is checked against its hash when it is read, so the
//! content cannot change.

use super::{Source, SourceError};
use bytes::{Bytes, BytesMut};
use ipfs::Cid;
use ipfs::store::Store;
use ipfs::unixfs::{Cursor, FileNode};
use std::fmt::Display;
use std::ops::Range;

/// A file of IPFS whose blocks are in the store of this node. The caller pins it for the time of the upload.
#[derive(Clone, Debug)]
pub struct ContentSource {
    store: Store,
    root: FileNode,
}

impl ContentSource {
    /// Reads the root block of a file. This call blocks.
    ///
    /// # Errors
    /// When the root block is not in the store, or is not one of a file.
    pub fn open(store: Store, file: &Cid) -> Result<Self, SourceError> {
        let root = FileNode::read(file, &block(&store, file)?).map_err(|error| failed(error, true))?;
        Ok(Self { store, root })
    }

    fn read_range(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        let length =
            usize::try_from(range.end.saturating_sub(range.start)).map_err(|error| failed(error, true))?;
        let mut content = BytesMut::with_capacity(length);
        let (mut cursor, first) = Cursor::new(self.root.clone(), range);
        content.extend_from_slice(&first);
        while let Some(part) = cursor.next_part() {
            let block = block(&self.store, &part.cid)?;
            content.extend_from_slice(&cursor.feed(&block).map_err(|error| failed(error, true))?);
        }
        match content.len() == length {
            true => Ok(content.freeze()),
            false => Err(failed("its blocks have fewer bytes than they claim", true)),
        }
    }
}

impl Source for ContentSource {
    fn size(&self) -> u64 {
        self.root.size
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        let source = self.clone();
        let read = tokio::task::spawn_blocking(move || source.read_range(range)).await;
        read.unwrap_or_else(|error| Err(failed(error, false)))
    }
}

fn block(store: &Store, cid: &Cid) -> Result<Bytes, SourceError> {
    match store.get(cid) {
        Ok(Some(block)) => Ok(block),
        Ok(None) => Err(failed(format!("its block {cid} is missing on this host: fetch it again"), false)),
        Err(error) => Err(failed(error, false)),
    }
}

fn failed(reason: impl Display, is_permanent: bool) -> SourceError {
    SourceError { message: format!("the content cannot be read: {reason}"), is_permanent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipfs::store::StoreConfig;
    use ipfs::unixfs::{Content, Format, add_file};

    #[tokio::test]
    async fn every_range_of_a_file_is_read_and_a_missing_block_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config =
            StoreConfig { directory: folder.path().join("blocks"), max_bytes: 64 << 20, min_free_bytes: 0 };
        let store = Store::open(config).unwrap().0;
        let content: Vec<u8> = (0..700_000_u32).map(|at| (at / 3) as u8).collect();
        let file = folder.path().join("a.bag");
        std::fs::write(&file, &content).unwrap();
        let added = add_file(&store, &Content::File(file), Format::V1, &mut |_, _, _| true).unwrap();
        let source = ContentSource::open(store.clone(), &added.root).unwrap();
        assert_eq!(source.size(), 700_000);
        for range in [0..0, 0..700_000, 262_143..262_145, 699_999..700_000, 100_000..600_000] {
            let expected = &content[range.start as usize..range.end as usize];
            assert_eq!(source.read(range).await.unwrap(), expected);
        }
        let other: Cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".parse().unwrap();
        let missing = ContentSource::open(store, &other).unwrap_err();
        assert!(!missing.is_permanent && missing.message.contains("is missing on this host"), "{missing}");
    }
}
