//! Two addresses, a line each: one that comes, and the queue that it is held against.

use crate::samples::peer;
use routing::{Address, MAX_ADDRESS_BYTES};

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        format!("/ip4/10.0.0.7/tcp/8000/dswarm-line/dswarm/{}/brain\n/ip4/10.0.0.7", peer()).into(),
        format!("{}\n{}", Address::every_brain(), Address::brain(peer())).into(),
        b"/ip6/::1/tcp/8000/dswarm-line\n/*".to_vec(),
    ]
}

/// What must hold of any bytes.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, of_queue) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(address) = text.parse::<Address>() else { return };
    check_one(&address, text);
    if let Ok(queue) = of_queue.parse::<Address>() {
        check_pair(&address, &queue);
    }
}

fn check_one(address: &Address, text: &str) {
    assert_eq!(address.as_str(), text);
    assert!(text.len() <= MAX_ADDRESS_BYTES);
    let joined: String = address.segments().map(|segment| format!("/{segment}")).collect();
    assert_eq!(joined, text);
    assert_eq!(address.strip_queue(address).as_deref(), Some(""));
    if let Some(at) = address.tcp() {
        assert_eq!(Address::tcp_line(at).tcp(), Some(at));
    }
    if let Some(peer) = address.brain_of() {
        assert!(text.ends_with(Address::brain(peer).as_str()), "a peer has two names: {text}");
    }
}

fn check_pair(address: &Address, queue: &Address) {
    if let Some(rest) = address.strip_queue(queue) {
        assert!(rest.is_empty() || rest.parse::<Address>().is_ok());
        let of_rest = rest.split('/').count() - 1;
        assert_eq!(queue.segments().count() + of_rest, address.segments().count());
        assert!(address.as_str().ends_with(&rest));
    }
    if let Ok(both) = queue.then(address) {
        assert_eq!(both.strip_queue(queue).as_deref(), Some(address.as_str()));
    }
}
