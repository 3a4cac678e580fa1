//! Tests of single addresses. Generated addresses are tested in `tests/addresses.rs`.
use super::*;
use dcache::Keypair;
use multiaddr::Multiaddr;
use std::net::SocketAddr;

const PEER: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
const RSA: &str = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn segments(text: &str) -> Segments {
    text.parse().unwrap()
}

fn error(text: &str) -> String {
    text.parse::<Address>().unwrap_err().to_string()
}

/// Returns all forms of addresses in IPSD, and some that dt-swarm accepts besides.
fn forms() -> Vec<String> {
    let hosts =
        ["/ip4/10.0.0.7", "/ip6/fe80::1", "/dns/duckie.local", "/dns4/a", "/dns6/a-1.example", "/ip4/*"];
    let ends = [
        "/tcp/8000/dswarm-line".to_owned(),
        "/udp/1240/dswarm-line".to_owned(),
        "/tcp/6667/irc/#duckiebots/dswarm-line".to_owned(),
        "/tcp/6697/tls/irc/#duckiebots/dswarm-line".to_owned(),
        format!("/tcp/6002/p2p/{PEER}"),
        format!("/udp/6002/quic-v1/p2p/{RSA}"),
    ];
    let on_hosts = hosts.iter().flat_map(|host| ends.iter().map(move |end| format!("{host}{end}")));
    let others = [
        "/ipfs-pubsub/duckiebots/dswarm-line".to_owned(),
        format!("/ipfs/{CID}"),
        format!("/ipfs/{RSA}/logs/a b.bag"),
        format!("/dswarm/{PEER}/brain"),
        format!("/dswarm/{PEER}/pinner"),
        "/dswarm/*/brain".to_owned(),
        "/cli".to_owned(),
        "/later/x/*".to_owned(),
    ];
    on_hosts.chain(others).collect()
}

#[test]
fn peers_of_the_original_are_read() {
    let address: Address = format!("/dswarm/{RSA}/brain").parse().unwrap();
    assert_eq!(address.parts().count(), 1);
    assert_eq!(address.brain_of(), None);
    assert!("/dswarm/QmNoPeer/brain".parse::<Address>().is_err());
}

#[test]
fn every_form_is_displayed_exactly_alone_and_in_chains() {
    for first in forms() {
        assert_eq!(address(&first).parts().count(), 1, "{first}");
        for second in forms() {
            let chain = address(&(first.clone() + &second));
            assert_eq!(Address::from_parts(chain.parts()).as_ref(), Ok(&chain));
            assert_eq!(address(&first).then(&address(&second)), Ok(chain));
        }
    }
}

#[test]
fn whole_segments_are_matched_as_ipsd_specifies() {
    let rest = segments("/irc/*/chan/b").strip_queue(&segments("/irc/host/chan"));
    assert_eq!(rest.as_deref(), Some("/b"));
    assert_eq!(segments("/dswarm/X/brain").strip_queue(&segments("/dswarm/X/pinner")), None);
    assert_eq!(segments("/dswarm/X").strip_queue(&segments("/dswarm/X/brain")), None);
    assert_eq!(segments("/dswarm/X/brains").strip_queue(&segments("/dswarm/X/brain")), None);
    // The same holds for texts that are addresses.
    assert_eq!(address("/irc/*/chan/b").strip_queue(&address("/irc/host/chan")).as_deref(), Some("/b"));
    let (brain, pinner) = (address("/dswarm/*/brain"), address(&format!("/dswarm/{PEER}/pinner")));
    assert_eq!(brain.strip_queue(&pinner), None);
}

#[test]
fn the_peer_of_a_brain_and_the_socket_are_found() {
    let peer = Keypair::from_seed([1; 32]).peer_id();
    let other = Keypair::from_seed([2; 32]).peer_id();
    let at: SocketAddr = "10.77.0.1:8000".parse().unwrap();
    let chain = Address::tcp_line(at).then(&Address::brain(peer)).unwrap();
    assert_eq!(chain.as_str(), format!("/ip4/10.77.0.1/tcp/8000/dswarm-line/dswarm/{peer}/brain"));
    assert_eq!(address(chain.as_str()), chain);
    assert_eq!((chain.tcp(), chain.brain_of()), (Some(at), Some(peer)));
    let here = Address::brain(peer);
    assert!(Address::every_brain().leads_to(&here) && here.leads_to(&here));
    assert!(!Address::brain(other).leads_to(&here) && !Address::command_line().leads_to(&here));
    assert_eq!(Address::every_brain().brain_of(), None);
    assert_eq!(address(&format!("/ipfs/{CID}/dswarm/{peer}/brain")).brain_of(), None);
    assert_eq!(address("/ip4/10.77.0.1/udp/1240/dswarm-line").tcp(), None);
    assert_eq!(address("/ip6/::1/tcp/8000/dswarm-line").tcp(), Some("[::1]:8000".parse().unwrap()));
}

#[test]
fn a_chain_is_split_hop_by_hop() {
    let end = format!("/dswarm/{PEER}/brain");
    let udp = Address::udp_line("10.0.0.7:1240".parse().unwrap());
    let chain = address(&format!("/ipfs-pubsub/duckiebots/dswarm-line{udp}{end}"));
    assert_eq!(chain.hops(), 2);
    let (hop, rest) = chain.first_hop().unwrap();
    assert_eq!(Address::hop(hop), Address::pubsub_line("duckiebots"));
    let rest = rest.unwrap();
    assert_eq!((rest.clone(), rest.hops()), (address(&format!("{udp}{end}")), 1));
    let (hop, rest) = rest.first_hop().unwrap();
    assert_eq!((Address::hop(hop), rest.clone()), (Ok(udp.clone()), Some(address(&end))));
    assert_eq!(rest.unwrap().first_hop(), None);
    assert_eq!(udp.first_hop().unwrap().1, None);
    let server = Socket::from("[::1]:6697".parse::<SocketAddr>().unwrap());
    let irc = Address::irc_line(server, true, "#a").unwrap();
    assert_eq!(irc.as_str(), "/ip6/::1/tcp/6697/tls/irc/#a/dswarm-line");
    assert!(Address::irc_line(server, true, "a").is_err() && Address::pubsub_line("a/b").is_err());
    for smuggled in ["a/dswarm-line/ipfs-pubsub/b", "*"] {
        assert!(matches!(Address::pubsub_line(smuggled), Err(AddressError::Parts(_))));
    }
    assert!(Address::from_parts([]).is_err());
}

#[test]
fn errors_name_the_segment_and_the_expected_one() {
    let nobody = "expected the peer ID of an Ed25519 key (12D3Koo...) or `*`";
    for (text, told) in [
        ("/ip4/10.0.0.7", "the address ends after segment 2; expected `tcp` or `udp`".to_owned()),
        (
            "/ip4/10.0.0.256/tcp/1/dswarm-line",
            "segment 2 is \"10.0.0.256\"; expected an IPv4 address".to_owned(),
        ),
        ("/ip6/FE80::1/tcp/1/dswarm-line", "segment 2 is \"FE80::1\"; write it \"fe80::1\"".to_owned()),
        (
            "/dns/Duckie.Local/tcp/1/dswarm-line",
            "segment 2 is \"Duckie.Local\"; write it \"duckie.local\"".to_owned(),
        ),
        ("/dns/10.0.0.7/tcp/1/dswarm-line", "segment 2 is \"10.0.0.7\"; expected a host name".to_owned()),
        ("/ip4/1.2.3.4/tcp/080/dswarm-line", "segment 4 is \"080\"; write it \"80\"".to_owned()),
        (
            "/ip4/1.2.3.4/tcp/70000/dswarm-line",
            "segment 4 is \"70000\"; expected a port from 0 to 65535".to_owned(),
        ),
        (
            "/ip4/1.2.3.4/udp/1/irc/#a/dswarm-line",
            "segment 5 is \"irc\"; expected `dswarm-line` or `quic-v1`".to_owned(),
        ),
        ("/cli/ipfs-pubsub/a/line", "segment 4 is \"line\"; expected dswarm-line".to_owned()),
        ("/dswarm/X/brain", format!("segment 2 is \"X\"; {nobody}")),
        ("/ipfs/abc", "segment 2 is \"abc\"; expected a CID".to_owned()),
        (
            &format!("/ipfs/{}", CID.to_uppercase()),
            format!("segment 2 is {:?}; write it {CID:?}", CID.to_uppercase()),
        ),
        (
            &"/ipfs-pubsub/a/dswarm-line".repeat(9),
            "an address leads over at most 8 channels, not 9".to_owned(),
        ),
    ] {
        assert_eq!(error(text), told);
    }
    let channel = Address::pubsub_line("a").unwrap();
    let most = address(&channel.as_str().repeat(MAX_HOPS.into()));
    assert_eq!(most.then(&channel), Err(AddressError::Hops(9)));
}

#[test]
fn invalid_addresses_are_refused() {
    for text in ["", "/", "a/b", "/a//b", "/a/", "/a\n", &"/a".repeat(300)] {
        assert!(text.parse::<Address>().is_err(), "{text:?}");
        assert!(text.parse::<Segments>().is_err(), "{text:?}");
    }
}

#[test]
fn addresses_known_to_libp2p_become_multiaddresses_and_back() {
    for host in ["/ip4/10.0.0.7", "/ip6/::1", "/dns/a", "/dns4/a.example", "/dns6/a"] {
        for node in [format!("{host}/tcp/6002/p2p/{RSA}"), format!("{host}/udp/1/quic-v1/p2p/{PEER}")] {
            let multiaddr = address(&node).to_multiaddr().unwrap();
            assert_eq!(multiaddr.to_string(), node);
            assert_eq!(Address::node_at(&multiaddr), Ok(address(&node)));
        }
        let brain = address(&format!("{host}/tcp/8000/dswarm-line/dswarm/{PEER}/brain"));
        let multiaddr = brain.to_multiaddr().unwrap();
        assert_eq!(multiaddr.to_string(), format!("{host}/tcp/8000/p2p/{PEER}"));
        assert_eq!(Address::brain_at(&multiaddr), Ok(brain));
    }
}

#[test]
fn the_reason_for_a_missing_multiaddress_is_given() {
    let none = |text: String| address(&text).to_multiaddr().unwrap_err();
    let host = "/ip4/1.2.3.4";
    assert_eq!(none(format!("{host}/tcp/1/dswarm-line")), MultiaddressError::Form);
    assert_eq!(none(format!("{host}/tcp/1/dswarm-line/dswarm/{PEER}/pinner")), MultiaddressError::Form);
    assert_eq!(none("/cli".to_owned()), MultiaddressError::Form);
    assert_eq!(none(format!("{host}/tcp/1/dswarm-line/dswarm/*/brain")), MultiaddressError::Wildcard);
    assert_eq!(none(format!("{host}/tcp/*/p2p/{PEER}")), MultiaddressError::Wildcard);
    assert_eq!(none(format!("/ipfs/{CID}")), MultiaddressError::Content);
    for channel in ["/udp/1/dswarm-line", "/tcp/1/irc/#a/dswarm-line"] {
        assert!(matches!(none(format!("{host}{channel}")), MultiaddressError::Channel(_)));
    }
    assert!(matches!(none("/ipfs-pubsub/a/dswarm-line".to_owned()), MultiaddressError::Channel(_)));
    let multiaddr = |text: String| text.parse::<Multiaddr>().unwrap();
    let relayed = multiaddr(format!("{host}/tcp/1/p2p/{PEER}/p2p-circuit/p2p/{PEER}"));
    assert!(matches!(Address::node_at(&relayed), Err(MultiaddressError::Multiaddress(_))));
    let quic = multiaddr(format!("{host}/udp/1/quic-v1/p2p/{PEER}"));
    assert!(matches!(Address::brain_at(&quic), Err(MultiaddressError::Multiaddress(_))));
    let rsa = multiaddr(format!("{host}/tcp/1/p2p/{RSA}"));
    assert_eq!(Address::brain_at(&rsa), Err(MultiaddressError::Peer(RSA.to_owned())));
}
