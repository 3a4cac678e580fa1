use super::*;
use crate::samples::{bag, mcap};

fn described(name: &str, bytes: &[u8]) -> Description {
    describe(name, &mut &bytes[..]).unwrap()
}

#[test]
fn the_content_decides_the_kind() {
    for (bytes, kind) in [
        (bag::whole(1, "none"), Kind::Ros1Bag),
        (mcap::whole(1, ""), Kind::Mcap),
        (b"SQLite format 3\0...".to_vec(), Kind::Database),
        (b"[INFO] started\n".to_vec(), Kind::Text),
        (b"\x7fELF\x02\x01\x01\0".to_vec(), Kind::Other),
        (vec![0; 5000], Kind::Other),
    ] {
        let description = described("a", &bytes);
        assert_eq!((description.kind, description.fault), (kind, None));
    }
}

#[test]
fn a_renamed_file_is_marked() {
    let fault = |name: &str, bytes: &[u8]| described(name, bytes).fault;
    assert_eq!(fault("a.bag", b"text\n"), Some(Fault::NotAsNamed));
    assert_eq!(fault("a.bag", &mcap::whole(1, "")), Some(Fault::NotAsNamed));
    assert_eq!(fault("a.mcap", &[0; 100]), Some(Fault::NotAsNamed));
    assert_eq!(fault("a.bag.active", &bag::open(1, "none")), None);
    assert_eq!(fault("a.log", &bag::open(1, "none")), None);
}

#[test]
fn an_empty_file_is_marked() {
    let description = described("a.bag", b"");
    assert_eq!((description.kind, description.fault), (Kind::Other, Some(Fault::Empty)));
}

#[test]
fn another_version_is_marked() {
    for begin in [&b"#ROSBAG V1.2\n#"[..], b"#ROSBAG V", b"\x89MCAP1\r\n", b"\x89MCAP"] {
        assert_eq!(described("a", begin).fault, Some(Fault::Version), "{begin:?}");
    }
}

#[test]
fn a_text_shows_its_first_lines() {
    let description = described("boot.log", b"one\ntwo\x1b[0m\n");
    assert_eq!(description.head, ["one", "two\\u{1b}[0m"]);
    assert!(described("boot.log", "ä".repeat(9000).as_bytes()).head[0].starts_with("ää"));
}
