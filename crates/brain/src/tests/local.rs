//! Tests of programs on the same computer.

use super::*;
use dcache::{Challenge, Proof, Prover};

/// Returns the pongs of a node to pings with this challenge, on a new channel.
fn pongs(medium: Medium, number: usize, challenge: Challenge) -> Vec<Envelope> {
    let mut world = class(1, 0.0);
    world.nodes[0].brain.set_prover(Prover::new(Keypair::from_seed([77; 32])));
    let (channel, is_link) = (ChannelId(77), matches!(medium, Medium::Link { .. }));
    world.input(0, Input::Channel(ChannelEvent::Up { channel, medium }));
    let source = (!is_link).then(|| SocketAddr::from(([10, 1, 0, 9], 1240)));
    let ping = routing::Message::ping(Validity::ALWAYS);
    let ping = Envelope::new(Address::command_line(), Address::every_brain(), ping);
    for _ in 0..number {
        let envelope = Envelope { challenge: Some(challenge), ..ping.clone() };
        let event = ChannelEvent::Received { channel, source, envelope, bytes: 0, reaches_all: true };
        world.input(0, Input::Channel(event));
    }
    let sent = world.nodes[0].outputs.iter().filter_map(|output| match output {
        Output::Channel(ChannelCommand::Send { channel: ChannelId(77), line, .. }) => {
            Envelope::decode(line.as_bytes()).ok()
        }
        _ => None,
    });
    sent.filter(|envelope| envelope.beacon.is_none() && envelope.payload.contains("pong")).collect()
}

#[test]
fn a_node_proves_its_identity_on_a_link_a_few_times() {
    let challenge = Challenge::new([5; 32]);
    let link = Medium::Link { dialled: None, is_kept: false };
    let pongs = pongs(link, 100, challenge);
    let proofs: Vec<Proof> = pongs.iter().filter_map(|pong| pong.proof).collect();
    assert_eq!((pongs.len(), proofs.len()), (100, 4), "a link costs few signatures");
    let peer = Keypair::from_seed([77; 32]).peer_id();
    assert!(proofs.iter().all(|proof| proof.is_of(peer, challenge)));
}

#[test]
fn a_node_signs_nothing_for_the_sender_of_a_datagram() {
    let challenge = Challenge::new([5; 32]);
    let network = Medium::Broadcast { name: "udp".into(), at: None, line: None, capacity: Capacity::LAN };
    let pongs = pongs(network, 3, challenge);
    assert!(!pongs.is_empty() && pongs.iter().all(|pong| pong.proof.is_none()), "{pongs:?}");
}

#[test]
fn only_a_program_on_this_computer_is_told_the_control_socket() {
    let told = |is_local: bool, hops: u8| {
        let mut world = class(1, 0.0);
        world.nodes[0].brain.set_control_socket(Some("/run/dt-swarm/control.sock".to_owned()));
        let (channel, medium) = (ChannelId(77), Medium::Link { dialled: None, is_kept: false });
        world.input(0, Input::Channel(ChannelEvent::Up { channel, medium }));
        if is_local {
            world.input(0, Input::Channel(ChannelEvent::Local { channel }));
        }
        let ping = routing::Message::ping(Validity::ALWAYS);
        let ping = Envelope { hops, ..Envelope::new(Address::command_line(), Address::every_brain(), ping) };
        world.input(
            0,
            Input::Channel(ChannelEvent::Received {
                channel,
                source: None,
                envelope: ping,
                bytes: 0,
                reaches_all: true,
            }),
        );
        match world.nodes[0].outputs.last() {
            Some(Output::Channel(ChannelCommand::Send { channel: ChannelId(77), line, .. })) => {
                Envelope::decode(line.as_bytes()).unwrap().status.unwrap().control_socket
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(true, 0).as_deref(), Some("/run/dt-swarm/control.sock"));
    assert_eq!(told(false, 0), None, "a stranger");
    assert_eq!(told(true, 1), None, "a stranger, through a program on this computer");
}
