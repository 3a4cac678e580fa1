//! Target: a ping or an answer on UDP port 11411.

use discovery::foreign::Profile;
use discovery::foreign::ping::{MAX_PING_BYTES, MAX_PONG_BYTES, Ping, Pong};

/// Checks that a ping and an answer are the same after writing and reading them.
pub fn check(bytes: &[u8]) {
    if let Ok(ping) = Ping::decode(bytes) {
        let written = ping.encode();
        assert!(written.len() <= 2 * MAX_PING_BYTES);
        // An escape sequence may be longer when it is written again.
        if written.len() <= MAX_PING_BYTES {
            assert_eq!(Ping::decode(&written).ok(), Some(ping));
        }
    }
    if let Ok(pong) = Pong::decode(bytes) {
        let written = pong.encode();
        assert!(written.len() <= MAX_PONG_BYTES);
        assert_eq!(Pong::decode(&written).ok(), Some(pong));
    }
}

/// Returns a ping and an answer.
pub fn seeds() -> Vec<Vec<u8>> {
    let profile = Profile {
        name: "duckie7".to_owned(),
        robot_type: Some("duckiebot".to_owned()),
        configuration: Some("DB21J".to_owned()),
        hardware: None,
        own: None,
    };
    let pong = Pong::of(&profile).map(|pong| pong.encode());
    [Ping::new(40_123).encode()].into_iter().chain(pong).collect()
}
