//! Target: archives of releases, which `install` unpacks.

use install::archive::{Limits, Sink, Totals, read};
use std::collections::BTreeMap;
use std::io::{self, Read, Write as _};

/// Limits of the target. They are low, so that an input reaches them.
const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 50, path_bytes: 200, depth: 8, names_bytes: 2000 };

/// Reads the input as an archive. Whatever the reader gives must be safe to write into an empty folder, and within the
/// limits.
pub fn check(bytes: &[u8]) {
    let mut tree = Tree::default();
    let result = read(bytes, &LIMITS, &mut tree);
    assert!(tree.totals.entries <= LIMITS.entries && tree.totals.bytes <= LIMITS.bytes);
    if let Ok(totals) = result {
        assert_eq!(totals, tree.totals);
    }
}

/// Returns archives in each compression, with each kind of entry.
pub fn seeds() -> Vec<Vec<u8>> {
    let plain = samples().unwrap_or_default();
    let mut seeds = vec![gzip(&plain).unwrap_or_default(), zstd(&plain)];
    seeds.push(plain);
    seeds
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Node {
    Folder,
    File,
    Link,
}

/// The entries that the reader gave.
#[derive(Default)]
struct Tree {
    nodes: BTreeMap<String, Node>,
    totals: Totals,
}

impl Tree {
    fn add(&mut self, path: &str, node: Node) {
        assert!(!path.is_empty() && path.len() <= LIMITS.path_bytes, "{path:?}");
        for name in path.split('/') {
            assert!(!["", ".", ".."].contains(&name) && !name.contains('\0'), "{path:?}");
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            assert_eq!(self.nodes.get(parent), Some(&Node::Folder), "{path:?}");
        }
        assert_eq!(self.nodes.insert(path.to_owned(), node), None, "{path:?}");
        self.totals.entries += 1;
    }
}

impl Sink for Tree {
    fn folder(&mut self, path: &str) -> io::Result<()> {
        self.add(path, Node::Folder);
        Ok(())
    }

    fn file(&mut self, path: &str, _: bool, content: &mut dyn Read) -> io::Result<()> {
        self.add(path, Node::File);
        self.totals.bytes += io::copy(content, &mut io::sink())?;
        Ok(())
    }

    fn symbolic_link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.add(path, Node::Link);
        assert!(!target.starts_with('/'), "{target:?}");
        // Names after the first ones that are `..` lead to entries, which are checked as well.
        let up = target.split('/').filter(|name| *name == "..").count();
        assert!(up < path.split('/').count(), "{path:?} to {target:?}");
        Ok(())
    }

    fn hard_link(&mut self, path: &str, existing: &str) -> io::Result<()> {
        assert_eq!(self.nodes.get(existing), Some(&Node::File), "{existing:?}");
        self.add(path, Node::File);
        Ok(())
    }
}

/// Returns a small archive with each kind of entry, and with long names.
fn samples() -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    let header = |kind, size| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o755);
        header
    };
    builder.append_data(&mut header(tar::EntryType::Directory, 0), "bin", io::empty())?;
    builder.append_data(&mut header(tar::EntryType::Regular, 4), "bin/tool", &b"tool"[..])?;
    builder.append_link(&mut header(tar::EntryType::Symlink, 0), "bin/link", "../bin/tool")?;
    builder.append_link(&mut header(tar::EntryType::Link, 0), "same", "bin/tool")?;
    let long = format!("{}/file", "name".repeat(30));
    builder.append_data(&mut header(tar::EntryType::Regular, 1), &long, &b"x"[..])?;
    builder.append_pax_extensions([("path", &b"renamed"[..]), ("mtime", b"1.5")])?;
    builder.append_data(&mut header(tar::EntryType::Regular, 1), "short", &b"y"[..])?;
    builder.into_inner()
}

fn gzip(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain)?;
    encoder.finish()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(plain, ruzstd::encoding::CompressionLevel::Fastest)
}
