//! Target: an address and its multiaddress, and on a second line a queue to strip from it.

use crate::samples::peer;
use routing::{Address, MAX_ADDRESS_BYTES, MAX_HOPS, Part, Segments};

/// A peer ID of another kind of key (RSA). It is also a valid CID of version 0.
const OF_RSA: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        format!("/ip4/10.0.0.7/tcp/8000/dswarm-line/dswarm/{}/brain\n/ip4/10.0.0.7", peer()).into(),
        format!("{}\n{}", Address::every_brain(), Address::brain(peer())).into(),
        b"/ip6/::1/tcp/8000/dswarm-line\n/*".to_vec(),
        format!(
            "/ipfs-pubsub/duckiebots/dswarm-line/ip4/10.0.0.7/udp/1240/dswarm-line{}",
            Address::brain(peer())
        )
        .into(),
        b"/dns4/irc.example/tcp/6697/tls/irc/#duckiebots/dswarm-line/cli\n/dns/a/tcp/*/irc/*/dswarm-line"
            .to_vec(),
        format!("/ip6/fe80::1/udp/6002/quic-v1/p2p/{}\n/dns6/a/tcp/6002/p2p/{OF_RSA}", peer()).into(),
        format!("/ipfs/{OF_RSA}/a b\n/ipfs/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
            .into(),
        b"/*/dns6/a/tcp/6002/p2p/nobody\n/a".to_vec(),
    ]
}

/// Checks that an address, its parts and its multiaddress agree, and that a queue can be stripped and put back.
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
    check_parts(address);
    check_multiaddress(address);
    assert_eq!(address.strip_queue(address).as_deref(), Some(""));
    if let Some(at) = address.tcp() {
        assert_eq!(Address::tcp_line(at).tcp(), Some(at));
    }
    if let Some(peer) = address.brain_of() {
        assert!(text.ends_with(Address::brain(peer).as_str()), "a peer has two names: {text}");
    }
}

fn check_parts(address: &Address) {
    assert_eq!(Address::from_parts(address.parts()).as_ref(), Ok(address));
    let hops = address.parts().filter(|part| matches!(part, Part::Hop(_))).count();
    assert!(hops == usize::from(address.hops()) && address.hops() <= MAX_HOPS);
    let (part, rest) = address.split_first();
    let first = Address::from_parts([part]);
    let again = rest.map_or_else(|| first.clone(), |rest| first.clone().and_then(|first| first.then(&rest)));
    assert_eq!(again.as_ref(), Ok(address));
}

fn check_multiaddress(address: &Address) {
    let Ok(multiaddr) = address.to_multiaddr() else { return };
    let again = match address.split_first().0 {
        Part::Node(_) => Address::node_at(&multiaddr),
        _ => Address::brain_at(&multiaddr),
    };
    assert_eq!(again.as_ref(), Ok(address));
}

fn check_pair(address: &Address, queue: &Address) {
    if let Some(rest) = address.strip_queue(queue) {
        // After an unknown word or content, only the syntax of the rest is known. The queue may end within that rest.
        assert!(rest.is_empty() || rest.parse::<Segments>().is_ok());
        let of_rest = rest.split('/').count() - 1;
        assert_eq!(queue.segments().count() + of_rest, address.segments().count());
        assert!(address.as_str().ends_with(&rest));
    }
    if let Ok(both) = queue.then(address) {
        assert_eq!(both.strip_queue(queue).as_deref(), Some(address.as_str()));
    }
}
