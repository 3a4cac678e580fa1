//! Generates addresses part by part as IPSD describes them, without the code under test.

use dcache::PeerId;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use routing::MAX_ADDRESS_BYTES;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Returns a configuration with the number of cases for each property: 2,000, or the value of `DT_SWARM_CASES`.
pub(crate) fn cases() -> ProptestConfig {
    let told = std::env::var("DT_SWARM_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: told.unwrap_or(2_000), failure_persistence: None, ..ProptestConfig::default() }
}

/// A generated address and its properties.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) text: String,
    pub(crate) parts: usize,
    pub(crate) hops: u8,
    pub(crate) brain: Option<PeerId>,
}

impl Made {
    fn part(text: String, is_hop: bool, brain: Option<PeerId>) -> Self {
        Self { text, parts: 1, hops: u8::from(is_hop), brain }
    }

    /// Appends an address, unless the result would be too long.
    fn then(self, next: &Self) -> Self {
        let (text, hops) = (self.text.clone() + &next.text, self.hops + next.hops);
        match text.len() <= MAX_ADDRESS_BYTES && hops <= 8 {
            true => Self { text, hops, parts: self.parts + next.parts, brain: next.brain },
            false => self,
        }
    }
}

fn wild(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (value, 0..16u8).prop_map(|(value, dice)| if dice == 0 { "*".to_owned() } else { value })
}

fn any_host() -> impl Strategy<Value = String> {
    let ip4 = wild(any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).to_string()));
    let ip6 =
        (any::<u128>(), 0..128u32).prop_map(|(bits, shift)| Ipv6Addr::from_bits(bits >> shift).to_string());
    let label = || text(b"abcxyz0189-_", 1..20);
    let name = wild((label(), label(), any::<bool>()).prop_map(|(first, second, is_short)| match is_short {
        true => format!("{first}a"),
        false => format!("{first}.{second}z"),
    }));
    prop_oneof![
        ip4.prop_map(|ip| format!("/ip4/{ip}")),
        wild(ip6).prop_map(|ip| format!("/ip6/{ip}")),
        (select(&["dns", "dns4", "dns6"][..]), name).prop_map(|(head, name)| format!("/{head}/{name}")),
    ]
}

fn text(of: &'static [u8], length: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    prop::collection::vec(select(of).prop_map(char::from), length).prop_map(String::from_iter)
}

fn any_peer() -> impl Strategy<Value = PeerId> {
    any::<[u8; 32]>().prop_map(PeerId::from_public_key)
}

/// Generates the ID of a peer with a key of either type.
fn any_libp2p_peer() -> impl Strategy<Value = String> {
    let of_rsa = any::<[u8; 32]>().prop_map(|hash| {
        let bytes = [&[0x12, 0x20], &hash[..]].concat();
        multiaddr::PeerId::from_bytes(&bytes).unwrap().to_base58()
    });
    prop_oneof![any_peer().prop_map(|peer| peer.to_string()), of_rsa]
}

fn any_cid() -> impl Strategy<Value = String> {
    (any::<[u8; 32]>(), select(&[None, Some(0x55), Some(0x70)][..])).prop_map(|(hash, codec)| {
        let hash = cid::multihash::Multihash::wrap(0x12, &hash).unwrap();
        match codec {
            Some(codec) => cid::Cid::new_v1(codec, hash).to_string(),
            None => cid::Cid::new_v0(hash).unwrap().to_string(),
        }
    })
}

/// Generates a channel on a host, or an IPFS node there.
fn on_host() -> impl Strategy<Value = Made> {
    let channel = wild(text(b"abz09-[]`#", 1..20).prop_map(|name| format!("#{name}")));
    let port = wild(any::<u16>().prop_map(|port| port.to_string()));
    (any_host(), port, channel, wild(any_libp2p_peer()), 0..6u8).prop_map(
        |(host, port, channel, peer, form)| {
            let end = match form {
                0 => format!("/tcp/{port}/dswarm-line"),
                1 => format!("/udp/{port}/dswarm-line"),
                2 => format!("/tcp/{port}/irc/{channel}/dswarm-line"),
                3 => format!("/tcp/{port}/tls/irc/{channel}/dswarm-line"),
                4 => format!("/tcp/{port}/p2p/{peer}"),
                _ => format!("/udp/{port}/quic-v1/p2p/{peer}"),
            };
            Made::part(host + &end, form < 4, None)
        },
    )
}

fn member() -> impl Strategy<Value = Made> {
    (any_peer(), select(&["brain", "brain", "pinner", "a-1", "*"][..]), 0..8u8).prop_map(
        |(peer, name, dice)| match dice {
            0 => Made::part(format!("/dswarm/*/{name}"), false, None),
            _ => Made::part(format!("/dswarm/{peer}/{name}"), false, (name == "brain").then_some(peer)),
        },
    )
}

/// Generates a part that other parts can follow.
fn any_part() -> impl Strategy<Value = Made> {
    let topic = wild(text(b"abz09-. :#$,", 1..20));
    let pubsub = topic.prop_map(|topic| Made::part(format!("/ipfs-pubsub/{topic}/dswarm-line"), true, None));
    prop_oneof![
        5 => on_host(),
        2 => member(),
        1 => pubsub,
        1 => Just(Made::part("/cli".to_owned(), false, None)),
    ]
}

/// Generates a part that ends every address.
fn any_last() -> impl Strategy<Value = Made> {
    let path = || prop::collection::vec(text(b"abz09 .*$", 1..8), 0..4);
    let path =
        move || path().prop_map(|names| names.iter().map(|name| format!("/{name}")).collect::<String>());
    prop_oneof![
        (wild(any_cid()), path()).prop_map(|(cid, path)| format!("/ipfs/{cid}{path}")),
        path().prop_map(|path| format!("/later{path}")),
    ]
    .prop_map(|text| Made::part(text, false, None))
}

/// Generates an address of any form, alone or as a chain.
pub(crate) fn any_address() -> impl Strategy<Value = Made> {
    let chain = || {
        prop::collection::vec(any_part(), 1..6)
            .prop_map(|parts| parts.iter().fold(Made::default(), Made::then))
    };
    prop_oneof![
        3 => chain(),
        1 => (chain(), any_last()).prop_map(|(chain, last)| chain.then(&last)),
        1 => any_last(),
    ]
}

/// Generates addresses with a random change, and other texts.
pub(crate) fn mutated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(
            &["", "/", "*", "0", "A", "é", "\n", "/ip4", "/dswarm-line", "/tls", "/irc", "/p2p", "/brain"][..]
        )
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
    ];
    let changed = (any_address(), any::<Index>(), 0..4usize, piece).prop_map(|(made, place, cut, piece)| {
        // All generated text is ASCII, except for the change itself.
        let from = place.index(made.text.len());
        let until = (from + cut).min(made.text.len());
        [&made.text[..from], &piece, &made.text[until..]].concat()
    });
    prop_oneof![15 => changed, 1 => "\\PC{0,60}"]
}
