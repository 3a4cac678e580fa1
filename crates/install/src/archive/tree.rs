//! The entries so far, so that nothing is replaced and no path leads through a link.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::path::refused;
use super::{ArchiveError, Limits, Sink, Totals};
use std::collections::BTreeMap;

/// Extensions per entry, on average, above which an archive is refused. Usual archives have at most three.
const EXTENSIONS_PER_ENTRY: u32 = 4;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Node {
    Folder,
    File,
    Link,
}

/// The entries of an archive so far.
pub(super) struct Tree<'a> {
    nodes: BTreeMap<String, Node>,
    limits: &'a Limits,
    totals: Totals,
    names_bytes: usize,
    extensions: u32,
}

impl<'a> Tree<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self { nodes: BTreeMap::new(), limits, totals: Totals::default(), names_bytes: 0, extensions: 0 }
    }

    pub(super) fn limits(&self) -> &'a Limits {
        self.limits
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn is_file(&self, path: &str) -> bool {
        self.nodes.get(path) == Some(&Node::File)
    }

    /// Counts an extension. Without a limit, an archive of extensions alone would keep the reader busy.
    pub(super) fn count_extension(&mut self) -> Result<(), ArchiveError> {
        self.extensions += 1;
        let limit = self.limits.entries.saturating_mul(EXTENSIONS_PER_ENTRY);
        if self.extensions > limit {
            return Err(ArchiveError::TooLarge { limit: u64::from(limit), unit: "extensions" });
        }
        Ok(())
    }

    /// Adds a folder with its parents. A folder may be mentioned again.
    pub(super) fn add_folder(&mut self, path: &str, sink: &mut dyn Sink) -> Result<(), ArchiveError> {
        if path.is_empty() {
            return Ok(());
        }
        match self.nodes.get(path) {
            Some(Node::Folder) => Ok(()),
            Some(_) => Err(refused(path, "it replaces an earlier entry")),
            None => {
                self.add_parents(path, sink)?;
                self.add(path, Node::Folder, 0)?;
                sink.folder(path).map_err(ArchiveError::Sink)
            }
        }
    }

    pub(super) fn add_file(
        &mut self,
        path: &str,
        bytes: u64,
        sink: &mut dyn Sink,
    ) -> Result<(), ArchiveError> {
        self.totals.bytes = self.totals.bytes.saturating_add(bytes);
        if self.totals.bytes > self.limits.bytes {
            return Err(ArchiveError::TooLarge { limit: self.limits.bytes, unit: "bytes" });
        }
        self.add_leaf(path, Node::File, 0, sink)
    }

    pub(super) fn add_link(
        &mut self,
        path: &str,
        target_bytes: usize,
        sink: &mut dyn Sink,
    ) -> Result<(), ArchiveError> {
        self.add_leaf(path, Node::Link, target_bytes, sink)
    }

    fn add_leaf(
        &mut self,
        path: &str,
        node: Node,
        more_bytes: usize,
        sink: &mut dyn Sink,
    ) -> Result<(), ArchiveError> {
        if self.nodes.contains_key(path) {
            return Err(refused(path, "it replaces an earlier entry"));
        }
        self.add_parents(path, sink)?;
        self.add(path, node, more_bytes)
    }

    fn add_parents(&mut self, path: &str, sink: &mut dyn Sink) -> Result<(), ArchiveError> {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match self.nodes.get(parent) {
                Some(Node::Folder) => {}
                Some(_) => return Err(refused(path, "its path leads through a file or a link")),
                None => {
                    self.add(parent, Node::Folder, 0)?;
                    sink.folder(parent).map_err(ArchiveError::Sink)?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, node: Node, more_bytes: usize) -> Result<(), ArchiveError> {
        self.totals.entries += 1;
        self.names_bytes = self.names_bytes.saturating_add(path.len()).saturating_add(more_bytes);
        if self.totals.entries > self.limits.entries {
            return Err(ArchiveError::TooLarge { limit: u64::from(self.limits.entries), unit: "entries" });
        }
        if self.names_bytes > self.limits.names_bytes {
            return Err(ArchiveError::TooLarge {
                limit: self.limits.names_bytes as u64,
                unit: "bytes of names",
            });
        }
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }
}
