//! Target: the first message of a stream to a port of a robot, and the answer to it.

use access::wire::{MAX_MESSAGE_BYTES, Opening, RefusalCode, Reply, decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::num::NonZeroU16;

/// Checks that an opening and an answer are the same after writing and reading them.
pub fn check(bytes: &[u8]) {
    check_message::<Opening>(bytes);
    check_message::<Reply>(bytes);
}

fn check_message<M: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(message) = decode::<M>(bytes) else { return };
    let written = encode(&message);
    assert!(written.len() <= MAX_MESSAGE_BYTES);
    assert_eq!(written.iter().position(|byte| *byte == b'\n'), Some(written.len() - 1));
    assert_eq!(decode::<M>(written.trim_ascii_end()).ok(), Some(message));
}

/// Returns an opening, and each answer.
pub fn seeds() -> Vec<Vec<u8>> {
    let codes =
        [RefusalCode::NotAllowed, RefusalCode::NothingListens, RefusalCode::TooMany, RefusalCode::Unknown];
    let replies = codes.map(|reason| encode(&Reply::Refused { reason }));
    let port = NonZeroU16::MAX;
    [encode(&Opening { port }), encode(&Reply::Accepted {})].into_iter().chain(replies).collect()
}
