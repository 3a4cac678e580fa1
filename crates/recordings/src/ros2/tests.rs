use super::*;
use crate::samples::{mcap, metadata};
use crate::tests::Files;

const DATABASE: &[u8] = b"SQLite format 3\0...";

fn described(files: &[(&str, &[u8])]) -> Description {
    let description = describe_folder(&mut Files::new(files)).unwrap();
    assert_eq!(description.kind, Kind::Ros2Folder);
    description
}

#[test]
fn a_folder_is_a_recording_by_its_parts() {
    for name in ["a_0.mcap", "a_0.db3", "a_0.db3.zstd", "a_0.mcap.zstd"] {
        assert!(is_recording(["metadata.yaml", name]), "{name}");
    }
    for name in ["a.bag", "a.bag.zstd", "a.zstd", "metadata.yaml"] {
        assert!(!is_recording([name]), "{name}");
    }
}

#[test]
fn a_closed_recording_is_described_by_its_metadata() {
    let text = metadata("a_0.db3");
    let description = described(&[("metadata.yaml", text.as_bytes()), ("a_0.db3", DATABASE)]);
    assert_eq!((description.messages, description.topics.len()), (6, 2));
    assert_eq!((description.is_cut, description.is_partial, description.fault), (false, false, None));
    assert_eq!(description.vehicle.as_deref(), Some("duck"));
}

#[test]
fn without_metadata_the_parts_are_described_together() {
    let (first, second) = (mcap::whole(2, ""), mcap::open(3, ""));
    let description = described(&[("a_0.mcap", &first), ("a_1.mcap", &second), ("notes.txt", b"x")]);
    assert_eq!((description.messages, description.topics.len()), (15, 2));
    assert_eq!(description.until.map(|until| until.0), Some(mcap::times(2)[1]));
    assert_eq!((description.is_cut, description.is_partial, description.fault), (true, false, None));
    let description = described(&[("a_0.db3", DATABASE)]);
    assert_eq!((description.messages, description.is_cut, description.is_partial), (0, true, true));
}

#[test]
fn a_part_without_bytes_marks_the_recording_as_cut() {
    let text = metadata("a_0.mcap");
    let description = described(&[("metadata.yaml", text.as_bytes()), ("a_0.mcap", b"")]);
    assert_eq!((description.is_cut, description.fault, description.messages), (true, None, 6));
}

#[test]
fn metadata_with_a_fault_are_replaced_by_the_parts() {
    let part = mcap::whole(2, "");
    let long = vec![b' '; MAX_METADATA_BYTES as usize + 1];
    let outside = metadata("../a_0.mcap");
    for (text, fault) in [
        (&b"a: b"[..], Fault::Metadata),
        (&long, Fault::MetadataTooLong),
        (metadata("b_0.mcap").as_bytes(), Fault::PartMissing),
        (outside.as_bytes(), Fault::PartOutside),
    ] {
        let description = described(&[("metadata.yaml", text), ("a_0.mcap", &part)]);
        assert_eq!((description.fault, description.messages), (Some(fault), 6));
        assert!(!description.is_cut);
    }
}

#[test]
fn a_part_that_is_something_else_is_marked() {
    let text = metadata("a_0.mcap");
    for part in [DATABASE, b"text", &[0; 99]] {
        let description = described(&[("metadata.yaml", text.as_bytes()), ("a_0.mcap", part)]);
        assert_eq!((description.fault, description.messages), (Some(Fault::NotAsNamed), 6));
    }
}

#[test]
fn a_folder_without_a_part_is_marked() {
    assert_eq!(described(&[]).fault, Some(Fault::NoParts));
    assert_eq!(described(&[("a.txt", b"x")]).fault, Some(Fault::NoParts));
}

#[test]
fn all_parts_share_the_limits() {
    let part = mcap::whole(1, "");
    let names: Vec<String> = (0..=MAX_PARTS).map(|number| format!("a_{number}.mcap")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &part[..])).collect();
    let description = described(&files);
    assert_eq!(description.messages, 3 * MAX_PARTS as u64);
    assert!(description.is_partial);
}
