//! Properties of the codec, and the messages that it refuses.
use multihash_codetable::{Code, MultihashDigest};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;

fn cid_v1(data: &[u8]) -> Cid {
    Cid::new_v1(RAW, Code::Sha2_256.digest(data))
}

fn any_cid() -> impl Strategy<Value = (Cid, Bytes)> {
    (vec(any::<u8>(), 0..40), 0..4).prop_map(|(data, kind)| {
        let cid = match kind {
            0 => Cid::new_v0(Code::Sha2_256.digest(&data)).unwrap(),
            1 => Cid::new_v1(DAG_PB, Code::Sha2_512.digest(&data)),
            2 => Cid::new_v1(RAW, Multihash::wrap(prefix::IDENTITY, &data).unwrap()),
            _ => cid_v1(&data),
        };
        (cid, data.into())
    })
}

fn any_entry() -> impl Strategy<Value = Entry> {
    (any_cid(), any::<i32>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |((cid, _), priority, cancel, have, send_dont_have)| {
            let want_type = if have { WantType::Have } else { WantType::Block };
            Entry { cid, priority, cancel, want_type, send_dont_have }
        },
    )
}

prop_compose! {
    fn any_message()(
        full in any::<bool>(),
        wantlist in vec(any_entry(), 0..8),
        blocks in vec(any_cid(), 0..8),
        presences in vec((any_cid(), any::<bool>()), 0..8),
        pending_bytes in 0..=i32::MAX as u32,
    ) -> Message {
        let blocks = blocks.into_iter().map(|(cid, data)| Block { cid, data }).collect();
        let presences = presences.into_iter().map(|((cid, _), have)| Presence { cid, have }).collect();
        Message { full, wantlist, blocks, presences, pending_bytes, skipped: 0 }
    }
}

proptest! {
    #[test]
    fn an_encoded_message_decodes_to_itself(message in any_message()) {
        prop_assert_eq!(decode(&encode(&message)), Ok(message));
    }

    #[test]
    fn the_delimited_form_has_its_length_before_it(message in any_message()) {
        let framed = encode_delimited(&message);
        let mut rest = framed.as_ref();
        let length = decode_varint(&mut rest).unwrap();
        prop_assert_eq!(length as usize, rest.len());
        prop_assert_eq!(decode(rest), Ok(message));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(message) = decode(&bytes) {
            let items = message.wantlist.len() + message.blocks.len() + message.presences.len();
            prop_assert!(items + message.skipped <= bytes.len() / 2);
        }
    }

    #[test]
    fn a_block_of_a_damaged_message_never_has_a_wrong_cid(
        message in any_message(), place in any::<prop::sample::Index>(), bit in 0..8,
    ) {
        let mut bytes = encode(&message).to_vec();
        prop_assume!(!bytes.is_empty());
        let place = place.index(bytes.len());
        bytes[place] ^= 1u8 << bit;
        for block in decode(&bytes).map(|message| message.blocks).unwrap_or_default() {
            prop_assert!(verify(block.cid.hash(), &block.data));
        }
    }
}

#[test]
fn reads_a_message_as_kubo_writes_it() {
    // A wantlist with one WANT-HAVE of a v0 CID that requests a DONT_HAVE. Field numbers are those of the specification.
    let cid = Cid::new_v0(Code::Sha2_256.digest(b"x")).unwrap();
    let mut bytes = vec![0x0a, 44, 0x0a, 42, 0x0a, 34];
    bytes.extend(cid.to_bytes());
    bytes.extend([0x10, 1, 0x20, 1, 0x28, 1]);
    let entry = Entry { cid, priority: 1, cancel: false, want_type: WantType::Have, send_dont_have: true };
    assert_eq!(decode(&bytes), Ok(Message { wantlist: vec![entry], ..Message::default() }));
}

#[test]
fn a_block_with_a_v0_cid_is_sent_with_a_v0_prefix() {
    let cid = Cid::new_v0(Code::Sha2_256.digest(b"x")).unwrap();
    let bytes = encode(&Message { blocks: vec![Block { cid, data: "x".into() }], ..Message::default() });
    let prefix = [0x0a, 4, 0, 0x70, 0x12, 0x20];
    assert!(bytes.windows(prefix.len()).any(|window| window == prefix));
}

#[test]
fn blocks_with_a_malformed_prefix_are_skipped_and_counted() {
    let with_prefix = |prefix: &[u8]| {
        let block = wire::Block { prefix: prefix.to_vec().into(), data: "x".into() };
        decode(&wire::Message { payload: vec![block], ..Default::default() }.encode_to_vec()).unwrap()
    };
    // In turn: empty, cut off, version 2, version 0 with codec raw, an unknown hash function, a shortened digest, a
    // digest length near 2^64.
    let longest = [1, 0x55, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let broken: [&[u8]; 7] = [
        &[],
        &[1, 0x55],
        &[2, 0x55, 0x12, 32],
        &[0, 0x55, 0x12, 32],
        &[1, 0x55, 0x7f, 32],
        &[1, 0x55, 0x12, 20],
        &longest,
    ];
    for prefix in broken {
        let message = with_prefix(prefix);
        assert_eq!((message.blocks.len(), message.skipped), (0, 1), "{prefix:?}");
    }
    assert_eq!(with_prefix(&[1, 0x55, 0x12, 32]).blocks, [Block { cid: cid_v1(b"x"), data: "x".into() }]);
}

#[test]
fn too_large_blocks_and_messages_are_refused() {
    let block = |length| wire::Block { prefix: prefix::encode(&cid_v1(b"")), data: vec![0; length].into() };
    let with = |payload| wire::Message { payload, ..Default::default() }.encode_to_vec();
    assert_eq!(decode(&with(vec![block(MAX_BLOCK_BYTES)])).map(|message| message.blocks.len()), Ok(1));
    let too_large = MAX_BLOCK_BYTES + 1;
    assert_eq!(decode(&with(vec![block(too_large)])), Err(DecodeError::BlockTooLarge(too_large)));
    assert_eq!(decode(&vec![0; MAX_MESSAGE_BYTES + 1]), Err(DecodeError::TooLong(MAX_MESSAGE_BYTES + 1)));
}

#[test]
fn too_many_empty_items_are_refused_before_memory_is_allocated() {
    // `tag` is the field number; each item is its key byte and the length 0.
    let empty_items = |tag: u8, count: usize| [(tag << 3) | 2, 0].repeat(count);
    for (tag, what) in [(3, "blocks"), (4, "presences")] {
        assert_eq!(decode(&empty_items(tag, MAX_ITEMS)).map(|message| message.skipped), Ok(MAX_ITEMS));
        assert_eq!(decode(&empty_items(tag, MAX_ITEMS + 1)), Err(DecodeError::TooMany(what)));
    }
    // Protobuf merges two wantlists in one message into one, so their entries are counted together.
    let half = empty_items(1, MAX_ITEMS / 2 + 1);
    let mut list = vec![0x0a];
    prost::encoding::encode_varint(half.len() as u64, &mut list);
    list.extend(half);
    assert_eq!(decode(&list.repeat(2)), Err(DecodeError::TooMany("wantlist entries")));
}

#[test]
fn a_field_longer_than_the_message_is_refused() {
    assert_eq!(
        decode(&[0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        Err(DecodeError::Truncated)
    );
}
