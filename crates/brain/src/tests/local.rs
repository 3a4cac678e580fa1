//! Tests of programs on the same computer.

use super::*;

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
