use super::*;
use crate::description::{Description, Kind};
use crate::samples::metadata;

fn parts() -> BTreeSet<String> {
    BTreeSet::from(["a_0.mcap".to_owned(), "b_0.db3.zstd".to_owned()])
}

fn described(text: &str) -> Description {
    let mut draft = Draft::default();
    Metadata::parse(text.as_bytes()).unwrap().add_to(&mut draft);
    draft.finish(Kind::Ros2Folder)
}

#[test]
fn the_topics_and_the_times_are_read() {
    let description = described(&metadata("a_0.mcap"));
    assert_eq!(description.from, Some(Timestamp(1_700_000_000_000_000_000)));
    assert_eq!(description.until, Some(Timestamp(1_700_000_012_000_000_000)));
    let topics: Vec<_> =
        description.topics.iter().map(|topic| (topic.name.as_str(), topic.messages)).collect();
    assert_eq!(topics, [("/duck/camera_node/image/compressed", 4), ("/tf", 2)]);
    assert_eq!((description.messages, description.is_partial), (6, false));
}

#[test]
fn an_empty_recording_has_no_times() {
    let text = "rosbag2_bagfile_information:
  duration: {nanoseconds: 0}
  starting_time: {nanoseconds_since_epoch: 9223372036854775807}
  message_count: 0
";
    let description = described(text);
    assert_eq!((description.from, description.until, description.messages), (None, None, 0));
}

#[test]
fn messages_without_a_topic_are_counted() {
    let text = metadata("a_0.mcap").replace("message_count: 6", "message_count: 10");
    let description = described(&text);
    assert_eq!((description.messages, description.is_partial), (10, true));
}

#[test]
fn times_before_1970_are_not_used() {
    let text = metadata("a_0.mcap").replace("epoch: 17", "epoch: -17");
    assert_eq!(described(&text).from, None);
}

#[test]
fn named_parts_have_to_be_in_the_folder() {
    let check = |part: &str| Metadata::parse(metadata(part).as_bytes()).unwrap().check_parts(&parts());
    assert_eq!(check("a_0.mcap"), Ok(()));
    // Version 3 and earlier; a compressed part whose ending is missing.
    assert_eq!(check("a/a_0.mcap"), Ok(()));
    assert_eq!(check("b_0.db3"), Ok(()));
    assert_eq!(check("a_1.mcap"), Err(Fault::PartMissing));
    for part in ["../a_0.mcap", "/data/a_0.mcap", "a/../../a_0.mcap"] {
        assert_eq!(check(part), Err(Fault::PartOutside), "{part}");
    }
}

#[test]
fn text_that_is_no_metadata_is_refused() {
    let aliases = format!("a: &a [x]\nb: [{}]", "*a,".repeat(2000));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n";
    let deep = "[".repeat(10_000);
    for text in ["", "a: b", "rosbag2_bagfile_information:", "\t", &aliases, bomb, &deep] {
        assert!(matches!(Metadata::parse(text.as_bytes()), Err(Fault::Metadata)), "{text:.40}");
    }
    assert!(matches!(Metadata::parse(b"\xff"), Err(Fault::Metadata)));
}
