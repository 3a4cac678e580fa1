//! Target: a message of the hole punching protocol, without its length.

use ipfs::Multiaddr;
use ipfs::node::{MAX_PUNCH_BYTES, PunchMessage};

/// Checks that a decoded message has few addresses, and is the same after encoding and decoding it again.
pub fn check(bytes: &[u8]) {
    if bytes.len() > MAX_PUNCH_BYTES {
        return;
    }
    let Ok(message) = PunchMessage::decode(bytes) else { return };
    if let PunchMessage::Connect(addresses) = &message {
        assert!(addresses.len() <= 8);
    }
    let encoded = message.encode();
    // The length is an unsigned varint: seven bits in each byte.
    let prefix = encoded.iter().position(|byte| *byte < 0x80).map_or(0, |end| end + 1);
    assert_eq!(PunchMessage::decode(&encoded[prefix..]).ok().as_ref(), Some(&message));
}

/// Returns both kinds of messages, a message with an invalid address, and an unknown kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = ["/ip4/203.0.113.7/tcp/6002", "/ip6/2001:db8::1/udp/6002/quic-v1"];
    let addresses: Vec<Multiaddr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
    let messages = [PunchMessage::Connect(addresses), PunchMessage::Sync];
    let mut seeds: Vec<Vec<u8>> = messages.iter().map(|message| message.encode().split_off(1)).collect();
    seeds.push(vec![8, 100, 18, 2, 0xff, 0xff]);
    seeds.push(vec![8, 1]);
    seeds
}
