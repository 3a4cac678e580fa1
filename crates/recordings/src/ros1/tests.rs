use crate::samples::bag::*;
use crate::{Description, Fault, Kind, Timestamp, describe};

fn described(bytes: &[u8]) -> Description {
    let description = describe("a.bag", &mut &bytes[..]).unwrap();
    assert_eq!(description.kind, Kind::Ros1Bag);
    description
}

fn seconds(seconds: u32) -> Option<Timestamp> {
    Some(Timestamp(u64::from(seconds) * Timestamp::SECOND))
}

/// Returns the numbers of messages by topic.
fn counts(description: &Description) -> Vec<(&str, u64)> {
    description.topics.iter().map(|topic| (topic.name.as_str(), topic.messages)).collect()
}

/// Checks that a description has all of a bag with so many chunks.
fn check_content(description: &Description, chunks: u32) {
    let times = (seconds(BEGIN), seconds(BEGIN + 10 * (chunks - 1) + 2));
    assert_eq!((description.from, description.until), times);
    let (images, transforms) = (2 * u64::from(chunks), u64::from(chunks));
    assert_eq!(counts(description), [(TOPICS[0].0, images), (TOPICS[1].0, transforms)]);
    assert_eq!(description.messages, images + transforms);
    assert_eq!(description.topics[0].message_type, TOPICS[0].1);
    assert_eq!(description.vehicle.as_deref(), Some("duck"));
}

#[test]
fn a_closed_bag_is_described_by_its_index() {
    for compression in ["none", "bz2", "lz4"] {
        let description = described(&whole(200, compression));
        check_content(&description, 200);
        assert!(!description.is_cut && !description.is_partial && !description.is_date_doubtful);
        assert_eq!(description.fault, None);
    }
}

#[test]
fn a_bag_that_was_not_closed_is_described_by_its_chunks() {
    let description = described(&open(3, "none"));
    check_content(&description, 3);
    assert!(description.is_cut && !description.is_partial);
    assert_eq!(description.fault, None);
}

#[test]
fn messages_in_compressed_chunks_count_without_a_topic() {
    let description = described(&open(3, "lz4"));
    assert_eq!((description.messages, description.topics.len()), (9, 0));
    assert!(description.is_cut && description.is_partial);
}

#[test]
fn the_records_of_an_unfinished_chunk_count() {
    let at = BEGIN + 100;
    let messages = [message(0, at, 4), message(1, at + 1, 4), message(1, at + 2, 4)].concat();
    let bytes = [open(2, "none"), chunk("none", &[]), messages].concat();
    let description = described(&bytes);
    assert_eq!(counts(&description), [(TOPICS[0].0, 5), (TOPICS[1].0, 4)]);
    assert_eq!(description.until, seconds(at + 2));
    // The last message was not written to its end.
    let cut = &bytes[..bytes.len() - 1];
    assert_eq!(counts(&described(cut)), [(TOPICS[0].0, 5), (TOPICS[1].0, 3)]);
    // The file system had reserved more than was written.
    assert_eq!(described(&[&bytes[..], &[0; 9000]].concat()).messages, 9);
}

#[test]
fn a_chunk_that_is_cut_counts_as_far_as_it_goes() {
    let bytes = open(2, "none");
    let second = bytes.len() - index_data(1, &[0]).len() - index_data(0, &[0, 0]).len();
    // The third message of the second chunk ends before its index data.
    let description = described(&bytes[..second - 1]);
    assert_eq!(counts(&description), [(TOPICS[0].0, 3), (TOPICS[1].0, 2)]);
    assert!(description.is_cut);
    assert_eq!(description.fault, None);
}

#[test]
fn a_bag_without_messages_has_no_times() {
    let description = described(&whole(0, "none"));
    assert_eq!((description.from, description.until, description.messages), (None, None, 0));
    assert_eq!(counts(&description), [(TOPICS[0].0, 0), (TOPICS[1].0, 0)]);
    assert!(!description.is_date_doubtful);
}

#[test]
fn a_clock_that_was_never_set_is_marked() {
    let content = [connection(0, "/a", "b/C"), message(0, 0, 1), message(0, 9, 1)].concat();
    let content = [chunk("none", &content), index_data(0, &[0, 9])].concat();
    let index = (HEADER_BYTES + content.len()) as u64;
    let infos = [connection(0, "/a", "b/C"), chunk_info(HEADER_BYTES as u64, [0, 9], &[(0, 2)])].concat();
    let description = described(&[MAGIC, &header(index, 1, 1), &content, &infos].concat());
    assert_eq!((description.from, description.until), (seconds(0), seconds(9)));
    assert!(description.is_date_doubtful);
    assert_eq!(description.fault, None);
}

/// Returns a bag with one chunk and this index.
fn with_index(place: u64, connections: u32, chunks: u32, index: &[Vec<u8>]) -> Vec<u8> {
    let chunk = chunk_with_index(0, "none");
    [MAGIC, &header(place, connections, chunks), &chunk, &index.concat()].concat()
}

#[test]
fn an_index_outside_the_file_is_marked_and_the_chunks_are_described() {
    let end = with_index(0, 0, 0, &[]).len() as u64;
    for place in [1, MAGIC.len() as u64, end + 1, 10_000_000_000, u64::MAX] {
        let description = described(&with_index(place, 1, 1, &[]));
        assert_eq!(description.fault, Some(Fault::IndexOutside), "{place}");
        check_content(&description, 1);
        assert!(description.is_cut);
    }
}

#[test]
fn an_index_that_is_cut_is_marked_and_the_chunks_are_described() {
    let bytes = whole(2, "none");
    let index = open(2, "none").len();
    for length in index..bytes.len() {
        let description = described(&bytes[..length]);
        assert_eq!((description.fault, description.is_cut), (Some(Fault::Index), true), "{length}");
        check_content(&description, 2);
    }
}

#[test]
fn an_index_that_does_not_match_the_content_is_marked() {
    let place = with_index(0, 0, 0, &[]).len() as u64;
    let known = [connection(0, "/a", "b/C"), connection(1, "/b", "b/C")];
    let first = HEADER_BYTES as u64;
    let counts = [(0, 2), (1, 1)];
    let good = chunk_info(first, [BEGIN, BEGIN + 2], &counts);
    let described = |connections: u32, chunks, rest: &[Vec<u8>]| {
        let index = [&known[..known.len().min(connections as usize)], rest].concat();
        described(&with_index(place, connections, chunks, &index)).fault
    };
    assert_eq!(described(2, 1, std::slice::from_ref(&good)), None);
    for (name, fault, connections, chunks, rest) in [
        ("a chunk twice", Fault::IndexFalse, 2, 2, vec![good.clone(), good.clone()]),
        ("a chunk in the index", Fault::IndexFalse, 2, 1, vec![chunk_info(place, [1, 2], &counts)]),
        ("a chunk in the header", Fault::IndexFalse, 2, 1, vec![chunk_info(13, [1, 2], &counts)]),
        ("a chunk that is none", Fault::IndexFalse, 2, 1, vec![chunk_info(first + 1, [1, 2], &counts)]),
        ("an end before the begin", Fault::IndexFalse, 2, 1, vec![chunk_info(first, [2, 1], &counts)]),
        ("an unknown connection", Fault::IndexFalse, 1, 1, vec![good.clone()]),
        ("more messages", Fault::IndexFalse, 2, 1, vec![chunk_info(first, [1, 2], &[(0, 3), (1, 1)])]),
        ("fewer messages", Fault::IndexFalse, 2, 1, vec![chunk_info(first, [1, 2], &[(0, 2)])]),
        (
            "messages of another topic",
            Fault::IndexFalse,
            2,
            1,
            vec![chunk_info(first, [1, 2], &[(0, 1), (1, 2)])],
        ),
        ("no chunk", Fault::IndexFalse, 2, 0, vec![]),
        ("more than it says", Fault::IndexFalse, 2, 1, vec![good.clone(), b"more".to_vec()]),
        ("fewer chunks than it says", Fault::Index, 2, 7, vec![good.clone()]),
        ("fewer connections than it says", Fault::Index, 3, 1, vec![good.clone()]),
    ] {
        assert_eq!(described(connections, chunks, &rest), Some(fault), "{name}");
    }
}

#[test]
fn a_number_for_two_topics_is_marked() {
    let connections = [connection(0, "/a", "b/C"), connection(0, "/b", "b/C")].concat();
    let bytes = [MAGIC, &header(HEADER_BYTES as u64, 2, 0), &connections].concat();
    assert_eq!(described(&bytes).fault, Some(Fault::TopicTwice));
}

#[test]
fn publishers_of_one_topic_are_one_entry() {
    let connections = [connection(0, "/a", "b/C"), connection(1, "/a", "b/C"), connection(2, "/a", "b/D")];
    let messages = [message(0, 5, 1), message(1, 6, 1), message(2, 7, 1), message(1, 8, 1)].concat();
    let bytes =
        [MAGIC, &header(0, 0, 0), &chunk("none", &[connections.concat(), messages].concat())].concat();
    let topics = described(&bytes).topics;
    let found: Vec<_> = topics.iter().map(|topic| (topic.message_type.as_str(), topic.messages)).collect();
    assert_eq!(found, [("b/C", 3), ("b/D", 1)]);
}

#[test]
fn a_header_that_is_no_header_is_marked() {
    let none = [MAGIC, &connection(0, "/a", "b/C")].concat();
    let no_index = [MAGIC, &record(3, &[("index_pos", &[1; 8])], &[])].concat();
    let short = [MAGIC, &record(3, &[("index_pos", &[1; 3])], &[])].concat();
    for bytes in [none, no_index, short, [MAGIC, &[0; 50]].concat()] {
        assert_eq!(described(&bytes).fault, Some(Fault::Header));
    }
    assert!(described(MAGIC).is_cut);
}

#[test]
fn long_fields_are_skipped() {
    let definition = "# definition\n".repeat(9000);
    let data = [field("message_definition", definition.as_bytes()), field("type", b"b/C")].concat();
    let connection = record(7, &[("topic", b"/a"), ("conn", &[0; 4])], &data);
    let content = [connection.clone(), message(0, BEGIN, 90_000), message(0, BEGIN + 1, 7)].concat();
    let indexed = [MAGIC, &header(HEADER_BYTES as u64, 1, 0), &connection].concat();
    let open = [MAGIC, &header(0, 0, 0), &chunk("none", &content)].concat();
    for (bytes, messages) in [(indexed, 0), (open, 2)] {
        let description = described(&bytes);
        assert_eq!((description.messages, description.topics[0].message_type.as_str()), (messages, "b/C"));
        assert_eq!(description.fault, None);
    }
}

#[test]
fn names_of_hostile_files_are_shortened_and_escaped() {
    let topic = format!("/a\x1b[2J{}", "x".repeat(9000));
    let connection = record(7, &[("conn", &[0; 4]), ("topic", topic.as_bytes())], &field("type", b"\xff\0"));
    let description = described(&[MAGIC, &header(HEADER_BYTES as u64, 1, 0), &connection].concat());
    let topic = &description.topics[0];
    assert!(topic.name.starts_with("/a\\u{1b}[2Jxxx") && topic.name.ends_with('…'), "{topic:?}");
    assert_eq!(topic.message_type, "\u{fffd}\\u{0}");
}
