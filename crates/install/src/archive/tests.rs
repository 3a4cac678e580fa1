//! Tests with archives that are written byte by byte. `tests/hostile.rs` has those of other writers.

use super::*;
use std::collections::BTreeMap;

/// Keeps the content in memory.
#[derive(Debug, Default, PartialEq)]
struct Memory(BTreeMap<String, String>);

impl Sink for Memory {
    fn folder(&mut self, path: &str) -> io::Result<()> {
        assert!(self.0.insert(path.to_owned(), "folder".to_owned()).is_none());
        Ok(())
    }

    fn file(&mut self, path: &str, is_executable: bool, content: &mut dyn Read) -> io::Result<()> {
        let mut text = String::from(if is_executable { "program " } else { "file " });
        content.read_to_string(&mut text)?;
        self.0.insert(path.to_owned(), text);
        Ok(())
    }

    fn symbolic_link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.0.insert(path.to_owned(), format!("link {target}"));
        Ok(())
    }

    fn hard_link(&mut self, path: &str, existing: &str) -> io::Result<()> {
        let content = self.0[existing].clone();
        self.0.insert(path.to_owned(), content);
        Ok(())
    }
}

/// An entry of an archive to write.
struct Entry<'a> {
    kind: EntryType,
    path: &'a str,
    target: &'a str,
    content: &'a [u8],
}

fn file<'a>(path: &'a str, content: &'a str) -> Entry<'a> {
    Entry { kind: EntryType::Regular, path, target: "", content: content.as_bytes() }
}

fn link<'a>(path: &'a str, target: &'a str) -> Entry<'a> {
    Entry { kind: EntryType::Symlink, path, target, content: &[] }
}

fn other(kind: EntryType, path: &str) -> Entry<'_> {
    Entry { kind, path, target: "", content: &[] }
}

fn write(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        // Directly, because the library refuses to write dangerous paths.
        let name = &mut header.as_old_mut().name;
        name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.as_old_mut().linkname[..entry.target.len()].copy_from_slice(entry.target.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_mode(if entry.path.ends_with(".sh") { 0o4755 } else { 0o666 });
        header.set_size(entry.content.len() as u64);
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(entry.content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn read_with(archive: &[u8], limits: &Limits) -> Result<Memory, ArchiveError> {
    let mut memory = Memory::default();
    let totals = read(archive, limits, &mut memory)?;
    assert_eq!(totals.entries as usize, memory.0.len());
    Ok(memory)
}

fn refusal(entries: &[Entry<'_>]) -> String {
    read_with(&write(entries), &Limits::default()).unwrap_err().to_string()
}

#[test]
fn files_folders_and_links_are_read() {
    let mut entries = vec![other(EntryType::Directory, "./"), other(EntryType::Directory, "model/")];
    entries.extend([file("model/a.txt", "first"), file("./model//run.sh", "second"), file("new/b", "")]);
    entries.extend([link("model/latest", "a.txt"), link("new/up", "../model/./latest")]);
    entries.push(Entry { kind: EntryType::Link, path: "same", target: "./model/a.txt", content: &[] });
    let memory = read_with(&write(&entries), &Limits::default()).unwrap();
    let expected = [
        ("model", "folder"),
        ("model/a.txt", "file first"),
        ("model/latest", "link a.txt"),
        ("model/run.sh", "program second"),
        ("new", "folder"),
        ("new/b", "file "),
        ("new/up", "link ../model/./latest"),
        ("same", "file first"),
    ];
    let expected = expected.map(|(path, content)| (path.to_owned(), content.to_owned()));
    assert_eq!(memory, Memory(expected.into()));
}

#[test]
fn dangerous_entries_are_refused() {
    let cases = [
        (vec![file("/etc/passwd", "")], "absolute"),
        (vec![file("../outside", "")], "`..`"),
        (vec![file("a/../../outside", "")], "`..`"),
        (vec![file(".", "")], "no name"),
        (vec![link("a", "/etc")], "out of the archive"),
        (vec![link("a", "..")], "out of the archive"),
        (vec![link("a/b", "../../c")], "out of the archive"),
        (vec![link("d", "a/.."), file("d/x", "")], "after a name"),
        (vec![link("a", "")], "empty"),
        (vec![link("a", "b"), file("a/c", "")], "through a file or a link"),
        (vec![file("a", ""), file("a/c", "")], "through a file or a link"),
        (vec![link("a", "b"), file("a", "")], "replaces"),
        (vec![file("a", ""), file("./a", "")], "replaces"),
        (vec![file("a", ""), other(EntryType::Directory, "a/")], "replaces"),
        (vec![other(EntryType::Char, "dev")], "device"),
        (vec![other(EntryType::Block, "dev")], "device"),
        (vec![other(EntryType::Fifo, "pipe")], "pipe"),
        (vec![other(EntryType::GNUSparse, "sparse")], "sparse"),
        (vec![other(EntryType::new(b'V'), "label")], "type"),
        (vec![Entry { kind: EntryType::Link, path: "a", target: "/etc/shadow", content: &[] }], "absolute"),
        (vec![Entry { kind: EntryType::Link, path: "a", target: "later", content: &[] }], "earlier file"),
        (vec![Entry { kind: EntryType::Symlink, path: "a", target: "b", content: b"x" }], "no content"),
        (vec![Entry { kind: EntryType::XHeader, path: "x", target: "", content: b"9 nothing" }], "damaged"),
        (
            vec![Entry {
                kind: EntryType::XHeader,
                path: "x",
                target: "",
                content: b"21 GNU.sparse.major=1\n",
            }],
            "damaged",
        ),
        (
            vec![Entry {
                kind: EntryType::XHeader,
                path: "x",
                target: "",
                content: b"22 GNU.sparse.major=1\n",
            }],
            "sparse",
        ),
        (
            vec![Entry { kind: EntryType::XGlobalHeader, path: "x", target: "", content: b"10 path=a\n" }],
            "global",
        ),
        (
            vec![
                Entry { kind: EntryType::XHeader, path: "x", target: "", content: b"10 size=9\n" },
                file("a", "1"),
            ],
            "different sizes",
        ),
    ];
    for (entries, expected) in cases {
        let message = refusal(&entries);
        assert!(message.contains(expected), "{expected:?} is not in {message:?}");
    }
}

#[test]
fn long_names_replace_the_short_ones() {
    let long = format!("{}/{}", "folder".repeat(20), "name".repeat(20));
    let gnu =
        Entry { kind: EntryType::GNULongName, path: "././@LongLink", target: "", content: long.as_bytes() };
    let memory = read_with(&write(&[gnu, file("short", "x")]), &Limits::default()).unwrap();
    assert_eq!(memory.0[&long], "file x");
    let record = format!("{} path={long}\n", long.len() + 10);
    let pax = Entry { kind: EntryType::XHeader, path: "x", target: "", content: record.as_bytes() };
    let memory =
        read_with(&write(&[pax, file("short", "x"), file("other", "y")]), &Limits::default()).unwrap();
    assert_eq!((memory.0[&long].as_str(), memory.0["other"].as_str()), ("file x", "file y"));
    let outside = Entry { kind: EntryType::GNULongName, path: "x", target: "", content: b"../../outside\0" };
    assert!(refusal(&[outside, file("short", "")]).contains("`..`"));
}

#[test]
fn the_limits_hold() {
    let limits = Limits { bytes: 100, entries: 5, path_bytes: 20, depth: 3, names_bytes: 60 };
    let check = |entries: &[Entry<'_>]| read_with(&write(entries), &limits).map(drop);
    let large = "x".repeat(101);
    assert!(matches!(check(&[file("a", &large)]), Err(ArchiveError::TooLarge { unit: "bytes", .. })));
    assert!(check(&[file("a", &large[1..])]).is_ok());
    assert!(check(&[file("a", &large[1..]), file("b", "1")]).is_err());
    assert!(check(&[file("a/b/c", "")]).is_ok());
    assert!(check(&[file("a/b/c/d", "")]).is_err());
    assert!(check(&[file(&"a".repeat(20), "")]).is_ok());
    assert!(check(&[file(&"a".repeat(21), "")]).is_err());
    let paths: Vec<_> = (0..6).map(|number| number.to_string()).collect();
    let files: Vec<_> = paths.iter().map(|path| file(path, "")).collect();
    assert!(check(&files[..5]).is_ok());
    assert!(matches!(check(&files), Err(ArchiveError::TooLarge { unit: "entries", .. })));
    let names: Vec<_> = (0..4).map(|number| format!("{number}{}", "n".repeat(16))).collect();
    let files: Vec<_> = names.iter().map(|path| file(path, "")).collect();
    assert!(matches!(check(&files), Err(ArchiveError::TooLarge { unit: "bytes of names", .. })));
    let header = |_| Entry { kind: EntryType::XHeader, path: "x", target: "", content: b"7 a=bc\n" };
    let headers: Vec<_> = (0..21).map(header).collect();
    assert!(matches!(check(&headers), Err(ArchiveError::TooLarge { unit: "extensions", .. })));
    let long = Entry { kind: EntryType::GNULongName, path: "x", target: "", content: &[b'a'; 500] };
    assert!(matches!(check(&[long]), Err(ArchiveError::TooLarge { .. })));
}

#[test]
fn a_file_that_claims_a_huge_size_takes_no_memory() {
    let mut archive = write(&[file("a", "x")]);
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(&archive[..512]);
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    archive[..512].copy_from_slice(header.as_bytes());
    assert!(matches!(read_with(&archive, &Limits::default()), Err(ArchiveError::TooLarge { .. })));
}

#[test]
fn an_archive_that_is_cut_or_damaged_is_an_error_and_no_panic() {
    let archive = write(&[file("a", "content"), link("b", "a"), file("c/d", "more")]);
    for end in 1..archive.len() - 1024 {
        // The end of an archive may be missing, as long as the entries are complete.
        if end % 512 != 0 || end == 512 || end == 2048 {
            assert!(read_with(&archive[..end], &Limits::default()).is_err(), "cut at {end}");
        }
    }
    for index in 0..archive.len() {
        let mut damaged = archive.clone();
        damaged[index] ^= 0x11;
        let _ = read_with(&damaged, &Limits::default());
    }
    assert!(read_with(b"", &Limits::default()).unwrap().0.is_empty());
}

#[test]
fn unsupported_compressions_are_named() {
    for (start, method) in [(&b"BZh9"[..], "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x04\x22\x4d\x18", "lz4")] {
        let error = read_with(start, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains(method) && error.contains("gzip or zstd"), "{error}");
    }
}

#[test]
fn an_error_of_the_sink_is_told_apart_from_damage() {
    struct Full;
    impl Sink for Full {
        fn folder(&mut self, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn file(&mut self, _: &str, _: bool, _: &mut dyn Read) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn symbolic_link(&mut self, _: &str, _: &str) -> io::Result<()> {
            Ok(())
        }
        fn hard_link(&mut self, _: &str, _: &str) -> io::Result<()> {
            Ok(())
        }
    }
    let archive = write(&[file("a", "x")]);
    let error = read(&archive[..], &Limits::default(), &mut Full).unwrap_err();
    assert!(matches!(error, ArchiveError::Sink(error) if error.kind() == io::ErrorKind::StorageFull));
}
