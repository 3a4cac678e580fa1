//! Target: the first line of a sealed link (its hello), and the text of a swarm key.

use seal::{LinkHandshake, MAX_HELLO_BYTES, SALT_BYTES, SwarmKey, is_hello};

fn side(salt: u8) -> LinkHandshake {
    LinkHandshake::new(&SwarmKey::from_bytes([1; 32]), [salt; SALT_BYTES], true)
}

/// Checks that after a valid hello, the link accepts neither the hello itself nor a line that this side sealed.
pub fn check(bytes: &[u8]) {
    if let Ok((mut sealer, mut opener)) = side(1).finish(bytes) {
        assert!(is_hello(bytes) && bytes.len() <= MAX_HELLO_BYTES);
        assert!(opener.open(bytes).is_err() && opener.open(sealer.seal(b"").as_bytes()).is_err());
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = text.parse::<SwarmKey>() {
        assert_eq!(key.reveal(), text);
    }
}

/// Returns the hello of another node, the hello of this node, the hello of a later version, and a key.
pub fn seeds() -> Vec<Vec<u8>> {
    let later = side(2).hello().replace(":1,", ":2,");
    let key = SwarmKey::from_bytes([1; 32]).reveal();
    [side(2).hello(), side(1).hello(), later, key].map(String::into_bytes).to_vec()
}
