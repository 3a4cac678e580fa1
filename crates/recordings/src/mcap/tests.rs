use crate::samples::mcap::*;
use crate::{Description, Fault, Kind, Timestamp, describe};

fn described(bytes: &[u8]) -> Description {
    let description = describe("a.mcap", &mut &bytes[..]).unwrap();
    assert_eq!(description.kind, Kind::Mcap);
    description
}

/// Returns the topics with their types and numbers of messages.
fn counts(description: &Description) -> Vec<(&str, &str, u64)> {
    let topics = description.topics.iter();
    topics.map(|topic| (topic.name.as_str(), topic.message_type.as_str(), topic.messages)).collect()
}

/// Checks that a description has all of a file with so many chunks.
fn check_content(description: &Description, chunks: u64) {
    let until = times(chunks - 1)[1];
    assert_eq!((description.from, description.until), (Some(Timestamp(BEGIN)), Some(Timestamp(until))));
    let [(image, image_type), (transform, transform_type)] = TOPICS;
    assert_eq!(counts(description), [(image, image_type, 2 * chunks), (transform, transform_type, chunks)]);
    assert_eq!(description.messages, 3 * chunks);
    assert_eq!(description.vehicle.as_deref(), Some("duck"));
}

#[test]
fn a_closed_file_is_described_by_its_summary() {
    for compression in ["", "lz4", "zstd"] {
        let description = described(&whole(300, compression));
        check_content(&description, 300);
        assert!(!description.is_cut && !description.is_partial && !description.is_date_doubtful);
        assert_eq!(description.fault, None);
    }
}

#[test]
fn a_file_that_was_not_closed_is_described_by_its_chunks() {
    let description = described(&open(3, ""));
    check_content(&description, 3);
    assert!(description.is_cut && !description.is_partial);
    // The file system had reserved more than was written.
    let description = described(&[open(3, ""), vec![0; 9000]].concat());
    check_content(&description, 3);
    assert!(description.is_cut);
    assert_eq!(description.fault, None);
}

#[test]
fn messages_in_compressed_chunks_count_without_a_topic() {
    let description = described(&open(3, "zstd"));
    assert_eq!((description.messages, description.topics.len()), (9, 0));
    assert_eq!(description.until, Some(Timestamp(times(2)[1])));
    assert!(description.is_cut && description.is_partial);
}

#[test]
fn a_closed_file_without_a_summary_is_described_by_its_chunks() {
    let description = described(&closed(open(3, ""), &[]));
    check_content(&description, 3);
    assert!(!description.is_cut);
}

#[test]
fn what_a_summary_lacks_is_read_from_the_chunks() {
    let untyped = [channel(1, 1, TOPICS[0].0), channel(2, 2, TOPICS[1].0)].concat();
    let uncounted = statistics(9, [BEGIN, times(2)[1]], &[]);
    for (name, summary) in [
        ("channels only", channels()),
        ("statistics only", statistics_of(3)),
        ("channels without schemas", [untyped.clone(), statistics_of(3)].concat()),
        ("statistics without counts", [channels(), uncounted].concat()),
        ("chunk indexes only", chunk_indexes(3, "")),
    ] {
        let description = described(&closed(open(3, ""), &summary));
        assert_eq!((description.fault, description.is_cut), (None, false), "{name}");
        check_content(&description, 3);
    }
    // The types are in compressed chunks.
    let description = described(&closed(open(3, "lz4"), &[untyped, statistics_of(3)].concat()));
    assert_eq!(counts(&description), [(TOPICS[0].0, "", 6), (TOPICS[1].0, "", 3)]);
    assert!(description.is_partial);
}

#[test]
fn messages_outside_chunks_count() {
    let long = record(3, &[&9_u16.to_le_bytes()[..], &sized(b"long/Type"), &vec![7; 90_000]].concat());
    let messages =
        [long, message(1, BEGIN, 40_000), message(2, BEGIN + 1, 1), message(1, BEGIN + 2, 1)].concat();
    let mut bytes = [MAGIC, &header(), &channels(), &messages].concat();
    let description = described(&bytes);
    assert_eq!((description.messages, description.until), (3, Some(Timestamp(BEGIN + 2))));
    bytes.pop();
    let description = described(&bytes);
    assert_eq!((description.messages, description.until), (2, Some(Timestamp(BEGIN + 1))));
    assert!(description.is_cut);
}

#[test]
fn messages_between_chunks_count() {
    let between = message(2, BEGIN + 1, 1);
    let bytes = [open(1, ""), between.clone(), chunk_of(1, ""), indexes(1), between].concat();
    assert_eq!(described(&bytes).messages, 8);
}

#[test]
fn a_chunk_without_message_indexes_counts() {
    let bytes = [MAGIC, &header(), &chunk_of(0, ""), &chunk_of(1, "")].concat();
    check_content(&described(&bytes), 2);
    // The last message is not complete.
    assert_eq!(described(&bytes[..bytes.len() - 1]).messages, 5);
    let compressed = described(&[MAGIC, &header(), &chunk_of(0, "lz4")].concat());
    assert_eq!((compressed.messages, compressed.is_partial), (0, true));
}

#[test]
fn a_file_without_messages_has_no_times() {
    let description = described(&whole(0, ""));
    assert_eq!((description.from, description.messages, description.fault), (None, 0, None));
    assert_eq!(described(MAGIC).messages, 0);
}

/// Returns the fault of a file with this summary, which has to be described by its chunks all the same.
fn fault(summary: &[u8]) -> Option<Fault> {
    let description = described(&closed(open(3, ""), summary));
    check_content(&description, 3);
    description.fault
}

#[test]
fn a_summary_that_does_not_match_the_content_is_marked() {
    let place = (MAGIC.len() + header().len()) as u64;
    let length = chunk_of(0, "").len() as u64;
    let end = open(3, "").len() as u64;
    let at = |place, length| chunk_index([1, 2], place, length);
    for (name, summary) in [
        ("other sums", statistics(8, [1, 2], &[(1, 6), (2, 3)])),
        ("statistics twice", [statistics_of(3), statistics_of(3)].concat()),
        ("an end before the begin", statistics(9, [2, 1], &[(1, 6), (2, 3)])),
        ("a chunk twice", [at(place, length), at(place, length)].concat()),
        ("a chunk that is none", at(place + 1, length)),
        ("a chunk of another length", at(place, length + 1)),
        ("a chunk after the content", at(end + 1, length)),
        ("a chunk of no end", at(place, u64::MAX)),
        ("a chunk that ends before it begins", chunk_index([2, 1], place, length)),
    ] {
        assert_eq!(fault(&[channels(), summary].concat()), Some(Fault::IndexFalse), "{name}");
    }
    assert_eq!(fault(&[channels(), statistics_of(3), at(place, length)].concat()), None);
}

#[test]
fn a_summary_that_cannot_be_read_is_marked() {
    let long = [&[11][..], &u64::MAX.to_le_bytes()].concat();
    assert_eq!(fault(&long), Some(Fault::Index));
    assert_eq!(fault(&record(3, &[1])), Some(Fault::Record));
    assert_eq!(fault(&record(0, &[])), Some(Fault::Record));
    let twice = [channels(), channel(1, 2, "/other")].concat();
    assert_eq!(fault(&twice), Some(Fault::TopicTwice));
}

#[test]
fn a_summary_outside_the_file_is_marked() {
    for place in [1, 7, 10_000_000_000, u64::MAX] {
        let description = described(&[open(3, ""), footer(place)].concat());
        assert_eq!(description.fault, Some(Fault::IndexOutside), "{place}");
        check_content(&description, 3);
    }
}

#[test]
fn a_schema_may_follow_its_channel() {
    let bytes = [MAGIC, &channel(1, 5, "/a"), &schema(5, "b/C"), &channel(1, 5, "/a")].concat();
    assert_eq!(counts(&described(&bytes)), [("/a", "b/C", 0)]);
    let bytes = [MAGIC, &channel(1, 0, "/a")].concat();
    assert_eq!(counts(&described(&bytes)), [("/a", "", 0)]);
}
