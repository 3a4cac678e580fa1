//! Reads files and directories from the store.
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cid::Cid;

use super::{MAX_DEPTH, is_safe_name};
use crate::dag::{self, DagError, Link, Node};
use crate::store::{BlockKey, Store, StoreError};

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
    /// The blocks are linked far more often than the size of the content needs.
    #[error("the content is made of too many blocks")]
    TooManyBlocks,
    /// A part of a file has no content. Only a malicious author links such a part.
    #[error("{0} is a part of a file and has no content")]
    EmptyPart(Cid),
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

/// Limit of the cost of reading. The same block can be linked many times, so a small DAG can have a huge content, and
/// even more ways through it.
///
/// Each visit of a block is paid for by content that was delivered, or by the fetch of the block. So the cost is
/// proportional to the bytes that were fetched and delivered.
pub(super) struct Budget {
    max_bytes: u64,
    delivered: u64,
    visits: u64,
    /// Visits that are paid for by the fetch of blocks.
    fetched: u64,
    /// Blocks whose fetch has paid.
    seen: BTreeSet<PartKey>,
}

/// Key of a block as a node of a DAG: the codec decides how its bytes are read.
type PartKey = (u64, BlockKey);

fn part_key(cid: &Cid) -> PartKey {
    (cid.codec(), BlockKey::of(cid))
}

/// Number of visits that need no payment. It allows for small directories that share their files.
const FREE_VISITS: u64 = 1000;
/// Number of bytes of content that pay for a visit. Honest files have far more bytes per block.
const BYTES_PER_VISIT: u64 = 1024;

impl Budget {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self { max_bytes, delivered: 0, visits: 0, fetched: 0, seen: BTreeSet::new() }
    }

    fn visit(&mut self) -> Result<(), ReadError> {
        self.visits += 1;
        let paid = FREE_VISITS + self.fetched + self.delivered / BYTES_PER_VISIT;
        if self.visits > paid { Err(ReadError::TooManyBlocks) } else { Ok(()) }
    }

    fn bytes(&mut self, count: usize) -> Result<(), ReadError> {
        self.delivered += count as u64;
        if self.delivered > self.max_bytes { Err(ReadError::TooLarge(self.max_bytes)) } else { Ok(()) }
    }

    /// Adds the payment of a node that is read for the first time: one visit for itself and for each of its links.
    fn add_fetched(&mut self, cid: &Cid, node: &Node) {
        let links = match node {
            // Such a node pays for itself with its content.
            Node::File { data, links, .. } if links.is_empty() && data.len() as u64 >= BYTES_PER_VISIT => {
                return;
            }
            Node::File { links, .. } | Node::Directory { links } => links,
        };
        if self.seen.insert(part_key(cid)) {
            self.fetched += 1 + links.len() as u64;
        }
    }
}

/// Reads one node and charges it to the budget.
pub(super) fn load(store: &Store, cid: &Cid, budget: &mut Budget) -> Result<Node, ReadError> {
    budget.visit()?;
    let node = load_unpaid(store, cid)?;
    budget.add_fetched(cid, &node);
    Ok(node)
}

fn load_unpaid(store: &Store, cid: &Cid) -> Result<Node, ReadError> {
    let block = store.get(cid)?.ok_or(ReadError::Missing(*cid))?;
    Ok(dag::node(cid, &block)?)
}

/// A node of a file whose links are being followed.
struct Entered {
    cid: Cid,
    links: std::vec::IntoIter<Link>,
    /// Number of bytes that were delivered before this node.
    before: u64,
}

/// Passes the content of a file to `sink`, piece by piece. `node` is the root of the file.
pub(super) fn stream<E: From<ReadError>>(
    store: &Store,
    (cid, node): (Cid, Node),
    budget: &mut Budget,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    // At most depth times MAX_LINKS links wait, because the deepest node is always read first.
    let mut todo: Vec<Entered> = Vec::new();
    let mut next = Some((cid, node));
    loop {
        if let Some((cid, node)) = next.take() {
            let (data, links) = file_parts(node)?;
            let before = budget.delivered;
            budget.bytes(data.len())?;
            sink(&data)?;
            todo.push(Entered { cid, links: links.into_iter(), before });
        }
        let depth = todo.len();
        if depth > MAX_DEPTH + 1 {
            return Err(ReadError::TooDeep.into());
        }
        let Some(last) = todo.last_mut() else { return Ok(()) };
        if let Some(link) = last.links.next() {
            next = Some((link.cid, load(store, &link.cid, budget)?));
        } else if last.before == budget.delivered && depth > 1 {
            return Err(ReadError::EmptyPart(last.cid).into());
        } else {
            todo.pop();
        }
    }
}

/// Size of the content of a node in bytes, as far as it is known, and the number of levels below the node.
#[derive(Clone, Copy)]
struct Measured {
    size: u64,
    levels: usize,
}

impl Measured {
    fn add(&mut self, part: Self) {
        self.size = self.size.saturating_add(part.size);
        self.levels = self.levels.max(part.levels + 1);
    }

    /// Checks the limits of a node with `depth - 1` levels above it.
    fn check(self, depth: usize, max_bytes: u64) -> Result<(), ReadError> {
        match depth + self.levels > MAX_DEPTH + 1 {
            true => Err(ReadError::TooDeep),
            false if self.size > max_bytes => Err(ReadError::TooLarge(max_bytes)),
            false => Ok(()),
        }
    }
}

/// A node that is being measured.
struct Measuring {
    cid: Cid,
    links: std::vec::IntoIter<Link>,
    measured: Measured,
}

impl Measuring {
    fn new((cid, node): (Cid, Node)) -> Result<Self, ReadError> {
        let (data, links) = file_parts(node)?;
        Ok(Self { cid, links: links.into_iter(), measured: Measured { size: data.len() as u64, levels: 0 } })
    }
}

/// Returns the size of a file. Reads each of its blocks once, however often it is linked. `file` is the root of the
/// file.
fn measure(store: &Store, file: (Cid, Node), max_bytes: u64) -> Result<u64, ReadError> {
    let mut known: BTreeMap<PartKey, Measured> = BTreeMap::new();
    let mut above: Vec<Measuring> = Vec::new();
    let mut node = Measuring::new(file)?;
    loop {
        node.measured.check(above.len() + 1, max_bytes)?;
        if let Some(Link { cid, .. }) = node.links.next() {
            match known.get(&part_key(&cid)) {
                Some(part) => node.measured.add(*part),
                None => {
                    let part = Measuring::new((cid, load_unpaid(store, &cid)?))?;
                    above.push(std::mem::replace(&mut node, part));
                }
            }
            continue;
        }
        let Some(parent) = above.pop() else { return Ok(node.measured.size) };
        let part = std::mem::replace(&mut node, parent);
        if part.measured.size == 0 {
            return Err(ReadError::EmptyPart(part.cid));
        }
        known.insert(part_key(&part.cid), part.measured);
        node.measured.add(part.measured);
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

/// Returns the size of a file. Reads all its blocks, which checks that each exists and matches its hash. The cost is
/// proportional to the size of the blocks, even if they are linked many times. `path` is as for [`cat`].
///
/// # Errors
/// As [`cat`].
pub fn file_size(store: &Store, root: &Cid, path: &str, max_bytes: u64) -> Result<u64, ReadError> {
    measure(store, find_file(store, root, path, &mut Budget::new(max_bytes))?, max_bytes)
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
    let file = find_file(store, root, path, &mut budget)?;
    stream(store, file, &mut budget, sink)
}

/// Returns the root of a file, and its CID.
fn find_file(store: &Store, root: &Cid, path: &str, budget: &mut Budget) -> Result<(Cid, Node), ReadError> {
    let mut cid = *root;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        budget.visit()?;
        let entries = list(store, &cid)?;
        let entry = entries.into_iter().find(|entry| entry.name == name);
        cid = entry.ok_or_else(|| ReadError::NoSuchEntry(name.to_owned()))?.cid;
    }
    match load(store, &cid, budget)? {
        Node::Directory { .. } => Err(ReadError::WrongKind(cid, "file")),
        file @ Node::File { .. } => Ok((cid, file)),
    }
}
