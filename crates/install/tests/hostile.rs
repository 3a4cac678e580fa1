//! Archives of other writers: GNU tar and Python's `tarfile` make usual and hostile ones.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use install::archive::{self, Limits, Sink, Totals};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Writes hostile archives into the folder that is its argument, one file for each.
const WRITER: &str = r#"
import io, os, sys, tarfile
os.chdir(sys.argv[1])

def make(name, *entries, mode="w", format=tarfile.PAX_FORMAT, **options):
    with tarfile.open(name + ".tar", mode, format=format, **options) as archive:
        for path, kind, value in entries:
            info = tarfile.TarInfo(path)
            info.type = kind
            content = None
            if kind == tarfile.REGTYPE:
                info.size = len(value)
                content = io.BytesIO(value)
            elif isinstance(value, str):
                info.linkname = value
            elif isinstance(value, tuple):
                info.devmajor, info.devminor = value
            archive.addfile(info, content)

file, link, hard, folder = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
make("absolute", ("/tmp/outside", file, b"x"))
make("parent", ("../outside", file, b"x"))
make("deep-parent", ("a/b/../../../outside", file, b"x"))
make("link-absolute", ("etc", link, "/etc"), ("etc/passwd", file, b"x"))
make("link-parent", ("up", link, ".."), ("up/outside", file, b"x"))
make("link-chain", ("a", link, "."), ("b", link, "a/.."), ("b/outside", file, b"x"))
make("link-then-file", ("x", link, "y"), ("x", file, b"x"))
make("through-link", ("d", folder, None), ("l", link, "d"), ("l/f", file, b"x"))
make("hard-absolute", ("shadow", hard, "/etc/shadow"))
make("hard-parent", ("shadow", hard, "../../etc/shadow"))
make("hard-to-link", ("l", link, "f"), ("h", hard, "l"))
make("character-device", ("null", tarfile.CHRTYPE, (1, 3)))
make("block-device", ("disk", tarfile.BLKTYPE, (8, 0)))
make("pipe", ("pipe", tarfile.FIFOTYPE, None))
make("twice", ("f", file, b"x"), ("f", file, b"y"))
make("long-parent-gnu", ("../" * 60 + "outside", file, b"x"), format=tarfile.GNU_FORMAT)
make("long-parent-pax", ("../" * 60 + "outside", file, b"x"))
make("long-path", ("n/" * 2000 + "f", file, b"x"))
make("many", *[(str(number), file, b"") for number in range(2000)])
make("bomb", ("zeros", file, bytes(50_000_000)), mode="w:gz")
with tarfile.open("global.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"path": "../outside"}) as archive:
    archive.addfile(tarfile.TarInfo("f"))
"#;

/// Limits of the tests: much is refused that would only take long.
const LIMITS: Limits =
    Limits { bytes: 10_000_000, entries: 1000, path_bytes: 1024, depth: 100, names_bytes: 1 << 20 };

/// Writes to a folder as simply as possible, so that each dangerous entry would do harm.
struct Folder(PathBuf);

impl Sink for Folder {
    fn folder(&mut self, path: &str) -> io::Result<()> {
        fs::create_dir(self.0.join(path))
    }

    fn file(&mut self, path: &str, _: bool, content: &mut dyn Read) -> io::Result<()> {
        io::copy(content, &mut fs::File::create(self.0.join(path))?).map(drop)
    }

    fn symbolic_link(&mut self, path: &str, target: &str) -> io::Result<()> {
        std::os::unix::fs::symlink(target, self.0.join(path))
    }

    fn hard_link(&mut self, path: &str, existing: &str) -> io::Result<()> {
        fs::hard_link(self.0.join(existing), self.0.join(path))
    }
}

fn read(file: &Path, limits: &Limits) -> (Result<Totals, String>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner/most");
    fs::create_dir_all(&inner).unwrap();
    let reader = io::BufReader::new(fs::File::open(file).unwrap());
    let result = archive::read(reader, limits, &mut Folder(inner));
    (result.map_err(|error| error.to_string()), folder)
}

fn has_program(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(found || env::var_os("CI").is_none(), "{program} is not installed");
    found
}

#[test]
fn hostile_archives_of_another_writer_are_refused() {
    if !has_program("python3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(Command::new("python3").args(["-c", WRITER]).arg(path).status().unwrap().success());
    let mut refused = 0;
    for entry in fs::read_dir(path).unwrap() {
        let file = entry.unwrap().path();
        let (result, place) = read(&file, &LIMITS);
        let message = result.expect_err(&file.display().to_string());
        println!("{}: {message}", file.file_stem().unwrap().display());
        let names = |path: &Path| {
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>()
        };
        assert_eq!(names(place.path()), ["inner"], "{}", file.display());
        assert_eq!(names(&place.path().join("inner")), ["most"], "{}", file.display());
        refused += 1;
    }
    assert_eq!(refused, 21);
    assert!(!Path::new("/tmp/outside").exists());
}

/// Makes a folder with what usual archives contain.
fn usual(folder: &Path) {
    fs::create_dir_all(folder.join("bin/deep/er")).unwrap();
    fs::write(folder.join("bin/tool"), "tool").unwrap();
    fs::write(folder.join("bin/deep/er").join("long name ".repeat(20)), "long").unwrap();
    fs::write(folder.join("large"), vec![7; 3_000_000]).unwrap();
    fs::hard_link(folder.join("bin/tool"), folder.join("same")).unwrap();
    std::os::unix::fs::symlink("../large", folder.join("bin/link")).unwrap();
}

#[test]
fn usual_archives_of_gnu_tar_are_read() {
    if !has_program("tar") {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    usual(source.path());
    let file = source.path().with_extension("tar");
    let mut compressions = vec![None, Some("--gzip")];
    compressions.extend(has_program("zstd").then_some(Some("--zstd")));
    for (format, compression) in ["gnu", "pax", "posix"]
        .into_iter()
        .flat_map(|format| compressions.iter().map(move |compression| (format, compression)))
    {
        let mut command = Command::new("tar");
        command.args(["--create", "--format", format, "--directory"]).arg(source.path());
        command.args(*compression).arg("--file").arg(&file).arg(".");
        assert!(command.status().unwrap().success(), "{command:?}");
        let (result, place) = read(&file, &LIMITS);
        assert_eq!(result, Ok(Totals { entries: 8, bytes: 3_000_008 }), "{command:?}");
        let status = Command::new("diff")
            .arg("--recursive")
            .arg("--no-dereference")
            .arg(source.path())
            .arg(place.path().join("inner/most"))
            .status();
        assert!(status.unwrap().success(), "{command:?}");
    }
    fs::remove_file(file).unwrap();
}

#[test]
fn a_zstd_file_of_several_frames_is_read() {
    if !has_program("tar") || !has_program("zstd") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    usual(&source);
    let tar = folder.path().join("whole.tar");
    let create = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&source).arg(".").status();
    assert!(create.unwrap().success());
    let whole = fs::read(&tar).unwrap();
    // A frame without content, as other tools write them, and the archive in two frames.
    let mut frames = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for (number, part) in [&whole[..whole.len() / 3], &whole[whole.len() / 3..]].into_iter().enumerate() {
        let file = folder.path().join(format!("part{number}"));
        fs::write(&file, part).unwrap();
        frames.extend(Command::new("zstd").args(["--stdout", "--quiet"]).arg(&file).output().unwrap().stdout);
        if number == 0 {
            // The first bytes decide about the compression, so the frame without content is between the others.
            frames = [frames.split_off(11), frames].concat();
        }
    }
    let file = folder.path().join("frames.tar.zst");
    fs::write(&file, frames).unwrap();
    assert_eq!(read(&file, &LIMITS).0, Ok(Totals { entries: 8, bytes: 3_000_008 }));
}

#[test]
fn a_zstd_frame_may_not_ask_for_much_memory() {
    if !has_program("zstd") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (file, packed) = (folder.path().join("zeros"), folder.path().join("zeros.zst"));
    fs::write(&file, vec![0; 1 << 20]).unwrap();
    // From a pipe, because the size of a file makes the window smaller.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("cat {} | zstd --quiet --ultra --long=30 -o {}", file.display(), packed.display()))
        .status();
    assert!(status.unwrap().success());
    assert!(read(&packed, &LIMITS).0.unwrap_err().contains("damaged"));
}
