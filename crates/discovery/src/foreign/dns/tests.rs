use super::*;
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name::new(text.split('.')).unwrap()
}

/// Returns a response with this number of answers, and with these bytes after its header.
fn response(answers: u16, body: &[u8]) -> Vec<u8> {
    let header = [0, RESPONSE, 0, answers, 0, 0];
    header.iter().flat_map(|field| field.to_be_bytes()).chain(body.iter().copied()).collect()
}

#[test]
fn the_question_is_written_as_the_standard_says() {
    let question = Question { name: name("_duckietown._tcp.local"), kind: kind::PTR, wants_unicast: true };
    let message = Message { questions: vec![question], ..Message::default() };
    let mut expected = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    expected.extend(b"\x0b_duckietown\x04_tcp\x05local\x00\x00\x0c\x80\x01");
    assert_eq!(write(&message), expected);
    assert_eq!(read(&expected), Ok(message));
}

#[test]
fn compressed_names_are_read() {
    // The name at byte 12, a PTR record whose content is the label "a" and a pointer to that name.
    let body = b"\x04_tcp\x05local\x00\x00\x0c\x00\x01\x00\x00\x00\x0a\x00\x04\x01a\xc0\x0c\
                 \xc0\x0c\x00\x01\x80\x01\x00\x00\x00\x0a\x00\x04\x0a\x00\x00\x01";
    let read = read(&response(2, body)).unwrap();
    assert_eq!(read.records[0].data, Data::Ptr(name("a._tcp.local")));
    assert_eq!((&read.records[1].name, read.records[1].replaces), (&name("_tcp.local"), true));
    assert_eq!(read.records[1].data, Data::A([10, 0, 0, 1].into()));
}

#[test]
fn pointers_that_do_not_lead_backwards_end_the_message() {
    for pointer in [b"\xc0\x0c", b"\xc0\x0d", b"\xc0\x0e", b"\xff\xff"] {
        let read = read(&response(1, &[pointer.as_slice(), b"\x00\x01\x00\x01"].concat())).unwrap();
        assert!(read.records.is_empty());
    }
    // Two pointers, each at the other.
    assert_eq!(Name::read(b"\xc0\x02\xc0\x00", 2), None);
}

#[test]
fn a_long_chain_of_pointers_is_not_followed() {
    let chain = |length: u16| -> Vec<u8> {
        let pointers = (0..length).flat_map(|n| (0xc000 | if n == 0 { 0 } else { 2 * n - 1 }).to_be_bytes());
        std::iter::once(0).chain(pointers).collect()
    };
    let last = |bytes: &[u8]| Name::read(bytes, bytes.len() - 2);
    assert!(last(&chain(127)).is_some());
    assert_eq!(last(&chain(128)), None);
}

#[test]
fn unknown_types_and_classes_are_left_out() {
    let body = b"\x01a\x00\x00\x63\x00\x01\x00\x00\x00\x0a\x00\x02xx\
                 \x01a\x00\x00\x01\x00\x03\x00\x00\x00\x0a\x00\x04\x0a\x00\x00\x01\
                 \x01a\x00\x00\x01\x00\x01\x00\x00\x00\x0a\x00\x03\x0a\x00\x00\
                 \x01a\x00\x00\x01\x00\x01\x00\x00\x00\x0a\x00\x04\x0a\x00\x00\x02";
    let read = read(&response(4, body)).unwrap();
    let [record] = read.records.as_slice() else { panic!("{read:?}") };
    assert_eq!(record.data, Data::A([10, 0, 0, 2].into()));
}

#[test]
fn what_stands_before_the_damage_is_kept() {
    let good = b"\x01a\x00\x00\x01\x00\x01\x00\x00\x00\x0a\x00\x04\x0a\x00\x00\x01";
    let read = read(&response(900, &[good.as_slice(), b"\x01b\x00\x00\x01\x00\x01\x00"].concat())).unwrap();
    assert_eq!(read.records.len(), 1);
}

#[test]
fn the_size_and_the_number_of_entries_are_limited() {
    assert_eq!(read(&[0; 9001]), Err(DnsError::TooLong(9001)));
    assert_eq!(read(&[0; 11]), Err(DnsError::TooShort(11)));
    let record = b"\x00\x00\x01\x00\x01\x00\x00\x00\x0a\x00\x04\x0a\x00\x00\x01";
    let read = read(&response(500, &record.repeat(500))).unwrap();
    assert_eq!(read.records.len(), MAX_ENTRIES);
}

#[test]
fn a_length_beyond_the_end_of_a_txt_record_gives_the_rest() {
    assert_eq!(strings(b"\x02ab\x01c"), [b"ab".as_slice(), b"c"]);
    assert_eq!(strings(b" {\"port\": 80}"), [b"{\"port\": 80}".as_slice()]);
    assert_eq!(strings(b"\x00"), [b"".as_slice()]);
    assert!(strings(b"").is_empty());
    assert_eq!(strings(&[0; 500]).len(), MAX_STRINGS);
}

#[test]
fn names_are_equal_in_any_case() {
    assert_eq!(name("_Duckietown._TCP.local"), name("_duckietown._tcp.local"));
    assert_eq!(name("A.local").key(), name("a.LOCAL").key());
    assert_eq!(name("Bot.local").before(&name("LOCAL")), Some([b"Bot".to_vec()].as_slice()));
    assert_eq!(name("local").before(&name("a.local")), None);
}

#[test]
fn names_that_are_too_long_are_refused() {
    assert!(Name::new(["a".repeat(63)]).is_some() && Name::new(["a".repeat(64)]).is_none());
    assert!(Name::new(vec!["a"; 127]).is_some() && Name::new(vec!["a"; 128]).is_none());
    assert!(Name::new(["a", ""]).is_none());
    let long = [b"\x3f".as_slice(), &[b'a'; 63]].concat().repeat(4);
    assert_eq!(Name::read(&[long.as_slice(), b"\x00"].concat(), 0), None);
}

fn any_name() -> impl Strategy<Value = Name> {
    let label = proptest::collection::vec(any::<u8>(), 1..20);
    proptest::collection::vec(label, 0..6).prop_map(|labels| Name::new(labels).unwrap())
}

fn any_data() -> impl Strategy<Value = Data> {
    prop_oneof![
        any_name().prop_map(Data::Ptr),
        (any::<u16>(), any_name()).prop_map(|(port, target)| Data::Srv { port, target }),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Data::Txt),
        any::<[u8; 4]>().prop_map(|ip| Data::A(ip.into())),
        any::<[u8; 16]>().prop_map(|ip| Data::Aaaa(ip.into())),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let question = (any_name(), any::<u16>(), any::<bool>());
    let question = question.prop_map(|(name, kind, wants_unicast)| Question { name, kind, wants_unicast });
    let record = (any_name(), any::<u32>(), any::<bool>(), any_data());
    let record = record.prop_map(|(name, ttl, replaces, data)| Record { name, ttl, replaces, data });
    let entries = (proptest::collection::vec(question, 0..4), proptest::collection::vec(record, 0..12));
    (any::<u16>(), any::<bool>(), entries).prop_map(|(id, is_response, (questions, records))| Message {
        id,
        is_response,
        questions,
        records,
    })
}

proptest! {
    #[test]
    fn a_written_message_is_read_again(message in any_message()) {
        prop_assert_eq!(read(&write(&message)), Ok(message));
    }

    #[test]
    fn a_message_that_was_cut_gives_a_part_of_its_entries(message in any_message(), cut in 12usize..600) {
        let bytes = write(&message);
        let read = read(&bytes[..cut.min(bytes.len())]).unwrap();
        prop_assert!(message.records.starts_with(&read.records));
        prop_assert!(message.questions.starts_with(&read.questions));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&bytes);
        let _ = strings(&bytes);
    }
}
