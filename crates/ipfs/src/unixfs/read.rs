//! Reads files and directories from the store.
use bytes::Bytes;
use cid::Cid;

use super::{MAX_DEPTH, is_safe_name};
use crate::dag::{self, DagError, Link, Node};
use crate::store::{Store, StoreError};

/// Error that occurs when content is read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A block is not in the store.
    #[error("the block {0} is missing")]
    Missing(Cid),
    /// A block cannot be read as a node.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The DAG is deeper than [`MAX_DEPTH`].
    #[error("the DAG is deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The content is larger than the caller allows.
    #[error("the content has more than {0} bytes")]
    TooLarge(u64),
    /// The content consists of far more blocks than its size needs.
    #[error("the content is made of too many blocks")]
    TooManyBlocks,
    /// The CID names a directory where a file was expected, or the reverse.
    #[error("{0} is not a {1}")]
    WrongKind(Cid, &'static str),
    /// The directory has no such entry.
    #[error("there is no {0:?} in the directory")]
    NoSuchEntry(String),
    /// The directory has a name that must not be used on a disk.
    #[error("the directory has an entry with the forbidden name {0:?}")]
    ForbiddenName(String),
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Name of the entry, safe to be used as a file name.
    pub name: String,
    /// CID of the entry.
    pub cid: Cid,
    /// Size of all blocks below it in bytes, as claimed by the author of the directory.
    pub total_size: u64,
}

/// Limit of the cost of reading. The same block can be linked many times, so a small DAG can have a huge content.
pub(super) struct Budget {
    max_bytes: u64,
    bytes_left: u64,
    nodes_left: u64,
}

impl Budget {
    pub(super) fn new(max_bytes: u64) -> Self {
        // Honest files have far more than one kilobyte per block. The constant number allows for small directories.
        Self { max_bytes, bytes_left: max_bytes, nodes_left: 10_000 + max_bytes / 1024 }
    }

    fn node(&mut self) -> Result<(), ReadError> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or(ReadError::TooManyBlocks)?;
        Ok(())
    }

    fn bytes(&mut self, count: usize) -> Result<(), ReadError> {
        self.bytes_left =
            self.bytes_left.checked_sub(count as u64).ok_or(ReadError::TooLarge(self.max_bytes))?;
        Ok(())
    }
}

/// Reads one node and charges it to the budget.
pub(super) fn load(store: &Store, cid: &Cid, budget: &mut Budget) -> Result<Node, ReadError> {
    budget.node()?;
    let block = store.get(cid)?.ok_or(ReadError::Missing(*cid))?;
    Ok(dag::node(cid, &block)?)
}

/// Passes the content of a file to `sink`, piece by piece. `node` is the root of the file.
pub(super) fn stream<E: From<ReadError>>(
    store: &Store,
    node: Node,
    budget: &mut Budget,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    // At most depth times MAX_LINKS links wait, because the deepest node is always read first.
    let mut todo: Vec<(std::vec::IntoIter<Link>, usize)> = Vec::new();
    let mut next = Some(node);
    loop {
        if let Some(node) = next.take() {
            let (data, links) = file_parts(node)?;
            budget.bytes(data.len())?;
            sink(&data)?;
            todo.push((links.into_iter(), todo.len()));
        }
        let Some((links, depth)) = todo.last_mut() else {
            return Ok(());
        };
        if *depth > MAX_DEPTH {
            return Err(ReadError::TooDeep.into());
        }
        match links.next() {
            Some(link) => next = Some(load(store, &link.cid, budget)?),
            None => drop(todo.pop()),
        }
    }
}

fn file_parts(node: Node) -> Result<(Bytes, Vec<Link>), ReadError> {
    match node {
        Node::File { data, links, .. } => Ok((data, links)),
        // Only a malicious author makes a file whose parts are directories.
        Node::Directory { links } => Err(links
            .first()
            .map_or(ReadError::TooManyBlocks, |link| ReadError::WrongKind(link.cid, "part of a file"))),
    }
}

/// Checks the names of links and returns them as entries.
pub(super) fn entries(links: Vec<Link>) -> Result<Vec<Listed>, ReadError> {
    links
        .into_iter()
        .map(|Link { name, cid, total_size }| match is_safe_name(&name) {
            true => Ok(Listed { name, cid, total_size }),
            false => Err(ReadError::ForbiddenName(name)),
        })
        .collect()
}

/// Lists a directory that is in the store.
///
/// # Errors
/// When it is not a directory, is sharded, has forbidden names, or is missing.
pub fn list(store: &Store, cid: &Cid) -> Result<Vec<Listed>, ReadError> {
    match load(store, cid, &mut Budget::new(0))? {
        Node::Directory { links } => entries(links),
        Node::File { .. } => Err(ReadError::WrongKind(*cid, "directory")),
    }
}

/// Returns the size of a file. Reads the whole file, which checks that every block exists and matches its hash. `path`
/// is as for [`cat`].
///
/// # Errors
/// As [`cat`].
pub fn file_size(store: &Store, root: &Cid, path: &str, max_bytes: u64) -> Result<u64, ReadError> {
    let mut size = 0;
    read_through(store, root, path, max_bytes, &mut |piece| -> Result<(), ReadError> {
        size += piece.len() as u64;
        Ok(())
    })?;
    Ok(size)
}

/// Reads a small file completely. `path` names it below the directory `root`, and is empty when `root` is the file.
///
/// # Errors
/// When there is no such file, when it is larger than `max_bytes`, or when a block is missing or broken.
pub fn cat(store: &Store, root: &Cid, path: &str, max_bytes: u64) -> Result<Bytes, ReadError> {
    let mut content = Vec::new();
    read_through(store, root, path, max_bytes, &mut |piece| -> Result<(), ReadError> {
        content.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(content.into())
}

/// Passes the content of a file to `sink`, piece by piece, until `sink` returns an error. `path` is as for [`cat`].
///
/// # Errors
/// As [`cat`], and the errors of `sink`.
pub fn read_through<E: From<ReadError>>(
    store: &Store,
    root: &Cid,
    path: &str,
    max_bytes: u64,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut budget = Budget::new(max_bytes);
    let mut cid = *root;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        budget.node()?;
        let entries = list(store, &cid)?;
        let entry = entries.into_iter().find(|entry| entry.name == name);
        cid = entry.ok_or_else(|| ReadError::NoSuchEntry(name.to_owned()))?.cid;
    }
    let node = load(store, &cid, &mut budget)?;
    if matches!(node, Node::Directory { .. }) {
        return Err(ReadError::WrongKind(cid, "file").into());
    }
    stream(store, node, &mut budget, sink)
}
