//! Target: a message of AutoNAT v2, without its length.

use ipfs::Multiaddr;
use ipfs::node::{DialResult, MAX_PROBE_ADDRESSES, MAX_PROBE_BYTES, ProbeMessage, ProbeResponse};

/// Checks that a decoded message has few addresses, and is the same after encoding and decoding it again.
pub fn check(bytes: &[u8]) {
    if bytes.len() > MAX_PROBE_BYTES {
        return;
    }
    let Ok(message) = ProbeMessage::decode(bytes) else { return };
    if let ProbeMessage::Request { addresses, .. } = &message {
        assert!(addresses.len() <= MAX_PROBE_ADDRESSES);
    }
    let encoded = message.encode();
    // The length is an unsigned varint: seven bits in each byte.
    let prefix = encoded.iter().position(|byte| *byte < 0x80).map_or(0, |end| end + 1);
    assert_eq!(ProbeMessage::decode(&encoded[prefix..]).ok().as_ref(), Some(&message));
}

/// Returns all kinds of messages, a message with an invalid address, and an unknown kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = ["/ip4/203.0.113.7/tcp/6002", "/ip6/2001:db8::1/udp/6002/quic-v1"];
    let addresses: Vec<Option<Multiaddr>> = texts.iter().map(|text| text.parse().ok()).collect();
    let messages = [
        ProbeMessage::Request { addresses, nonce: 7 },
        ProbeMessage::Response(ProbeResponse::Refused),
        ProbeMessage::Response(ProbeResponse::Dialled(1, DialResult::Reached)),
        ProbeMessage::PaddingRequest(30_000),
        ProbeMessage::Padding(9),
    ];
    let mut seeds: Vec<Vec<u8>> = messages.iter().map(|message| message.encode().split_off(1)).collect();
    seeds.push(vec![10, 4, 10, 2, 0xff, 0xff]);
    seeds.push(vec![42, 0]);
    seeds
}
