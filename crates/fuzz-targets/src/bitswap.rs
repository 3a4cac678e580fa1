//! Target: an untrusted Bitswap message.

use ::bitswap::message::{Block, Entry, MAX_ITEMS, Message, Presence, WantType, decode, encode, verify};
use ::bitswap::{MAX_BLOCK_BYTES, MAX_MESSAGE_BYTES};
use ::cid::Cid;
use ::cid::multihash::Multihash;

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![encode(&message()).into(), hashed()]
}

/// Checks the limits of a message, the hashes of its blocks, and that it is the same after encoding and decoding.
pub fn check(bytes: &[u8]) {
    let Ok(read) = decode(bytes) else { return };
    assert!(bytes.len() <= MAX_MESSAGE_BYTES);
    let counts = [read.wantlist.len(), read.blocks.len(), read.presences.len()];
    assert!(counts.into_iter().all(|count| count <= MAX_ITEMS));
    for Block { cid, data } in &read.blocks {
        assert!(data.len() <= MAX_BLOCK_BYTES && verify(cid.hash(), data));
    }
    let expected = Message { skipped: 0, ..read };
    assert_eq!(decode(&encode(&expected)).as_ref(), Ok(&expected));
}

#[expect(clippy::expect_used, reason = "32 bytes are a possible digest")]
fn cid() -> Cid {
    Cid::new_v1(0x55, Multihash::wrap(0x12, &[7; 32]).expect("a possible digest"))
}

#[expect(clippy::expect_used, reason = "three bytes are a possible digest")]
fn message() -> Message {
    let inline = Cid::new_v1(0x55, Multihash::wrap(0, b"abc").expect("a possible digest"));
    Message {
        full: true,
        wantlist: vec![Entry::want(cid(), WantType::Have), Entry::cancel(inline)],
        blocks: vec![Block { cid: inline, data: b"abc".as_slice().into() }],
        presences: vec![Presence { cid: cid(), have: true }],
        pending_bytes: 300,
        skipped: 0,
    }
}

/// Returns a message with a block that is hashed with SHA-256. The message contains only the hash
/// function; the receiver computes the digest.
fn hashed() -> Vec<u8> {
    let prefix = [1, 0x55, 0x12, 32];
    [&[0x1a, 11, 0x0a, 4], &prefix[..], &[0x12, 3], b"abc"].concat()
}
