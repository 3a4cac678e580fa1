//! UDP on the loopback interface: broadcasts, unicast hosts, and the limits for strangers.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test with a message")]

use channels::{InterfaceFilter, Switchboard, UdpPeer, UdpSettings, run_udp};
use routing::{
    Address, Capacity, ChannelCommand, ChannelEvent, ChannelId, Envelope, MAX_LINE_BYTES, Medium, Message,
    Target,
};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

const DEADLINE: Duration = Duration::from_secs(20);

fn ping() -> Envelope {
    Envelope::new(Address::command_line(), Address::every_brain(), Message::ping(dcache::Validity::ALWAYS))
}

/// UDP of one node, on its own port.
struct Node {
    switchboard: Switchboard,
    events: mpsc::Receiver<ChannelEvent>,
    port: u16,
    settings: UdpSettings,
    task: tokio::task::JoinHandle<Result<(), channels::BindError>>,
}

impl Node {
    fn start(port: u16, settings: UdpSettings) -> Self {
        let (reports, events) = mpsc::channel(1024);
        let switchboard = Switchboard::new(reports);
        let settings = UdpSettings { port, ..settings };
        let task = tokio::spawn(run_udp(settings.clone(), switchboard.clone()));
        Self { switchboard, events, port, settings, task }
    }

    /// Starts a node on the loopback interface. Returns its channel, too.
    async fn on_loopback(settings: UdpSettings) -> (Self, ChannelId) {
        let interfaces = InterfaceFilter::new(&["lo".to_owned()]).unwrap();
        let mut node = Self::start(free_port().await, UdpSettings { interfaces, ..settings });
        let ChannelEvent::Up { channel, medium } = node.next().await else { panic!() };
        let Medium::Broadcast { name, at, line, capacity } = medium else { panic!() };
        let text = |address: Option<Address>| address.unwrap().to_string();
        assert_eq!((name.as_str(), capacity), ("lo", Capacity::LAN));
        assert_eq!(text(at), format!("/ip4/127.255.255.255/udp/{}/dswarm-line", node.port));
        assert_eq!(text(line), "/ip4/127.0.0.1/tcp/8000/dswarm-line");
        (node, channel)
    }

    async fn next(&mut self) -> ChannelEvent {
        tokio::time::timeout(DEADLINE, self.events.recv()).await.expect("an event in time").unwrap()
    }

    /// Waits until the channel to a host is up, and returns it.
    async fn alone(&mut self, host: SocketAddr) -> ChannelId {
        let ChannelEvent::Up { channel, medium } = self.next().await else { panic!() };
        let at = format!("/ip4/{}/udp/{}/dswarm-line", host.ip(), host.port()).parse().ok();
        let (name, capacity) = (format!("udp {host}"), Capacity::UNICAST);
        assert_eq!(medium, Medium::Broadcast { name, at, line: None, capacity });
        channel
    }

    /// Waits until it hears the other node, which repeats a line until then.
    async fn hear_from(&mut self, other: &Self, channel: ChannelId) {
        let heard = async {
            loop {
                other.say(channel, Target::All, ping().encode());
                let next = tokio::time::timeout(Duration::from_millis(50), self.events.recv()).await;
                if matches!(next, Ok(Some(ChannelEvent::Received { .. }))) {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, heard).await.expect("a line in time");
    }

    async fn expect(&mut self, channel: ChannelId, source: SocketAddr) {
        let ChannelEvent::Received { channel: by, source: from, envelope, bytes, .. } = self.next().await
        else {
            panic!()
        };
        assert_eq!((by, from, &envelope), (channel, Some(source), &ping()));
        assert_eq!(bytes, ping().encode().len());
    }

    fn say(&self, channel: ChannelId, target: Target, line: String) {
        self.switchboard.carry_out(ChannelCommand::Send { channel, target, line });
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }
}

async fn free_port() -> u16 {
    stranger().await.1.port()
}

async fn stranger() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.set_broadcast(true).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn hear(socket: &UdpSocket) -> String {
    let mut buffer = vec![0; 2 * MAX_LINE_BYTES];
    let heard = tokio::time::timeout(DEADLINE, socket.recv(&mut buffer)).await.expect("a datagram in time");
    buffer.truncate(heard.unwrap());
    String::from_utf8(buffer).unwrap()
}

#[tokio::test]
async fn a_broadcast_is_heard_on_its_network_and_malformed_ones_are_counted() {
    let (mut node, channel) = Node::on_loopback(UdpSettings::default()).await;
    let (stranger, source) = stranger().await;
    let to_all = ("127.255.255.255", node.port);
    stranger.send_to(ping().encode().as_bytes(), to_all).await.unwrap();
    node.expect(channel, source).await;
    // An answer to the stranger alone.
    node.say(channel, Target::Host(source), "{\"answer\":1}".to_owned());
    assert_eq!(hear(&stranger).await, "{\"answer\":1}");
    // Oversized and broken datagrams are counted, and the next good one is heard.
    for to in [to_all, ("127.0.0.1", node.port)] {
        for bytes in
            [vec![b' '; MAX_LINE_BYTES + 1], b"{".to_vec(), vec![0xff; 10], vec![b' '; 60_000], vec![]]
        {
            stranger.send_to(&bytes, to).await.unwrap();
            assert_eq!(node.next().await, ChannelEvent::Malformed { channel });
        }
    }
    stranger.send_to(ping().encode().as_bytes(), to_all).await.unwrap();
    node.expect(channel, source).await;
    assert!(!node.task.is_finished());
}

#[tokio::test]
async fn own_broadcasts_are_ignored_and_a_taken_port_is_named() {
    let (mut node, channel) = Node::on_loopback(UdpSettings::default()).await;
    node.say(channel, Target::All, ping().encode());
    let (stranger, source) = stranger().await;
    stranger.send_to(ping().encode().as_bytes(), ("127.255.255.255", node.port)).await.unwrap();
    node.expect(channel, source).await;
    let error = run_udp(node.settings.clone(), node.switchboard.clone()).await.unwrap_err();
    assert_eq!(error.report().code(), "udp.port-taken");
    let message = error.to_string();
    assert!(message.contains("taken") && message.contains("`udp_port`"), "{message}");
}

#[tokio::test]
async fn a_host_that_sends_by_unicast_gets_a_channel_and_no_flood() {
    let (mut node, lan) = Node::on_loopback(UdpSettings::default()).await;
    let (stranger, source) = stranger().await;
    let line = ping().encode();
    stranger.send_to(line.as_bytes(), node.address()).await.unwrap();
    let channel = node.alone(source).await;
    node.expect(channel, source).await;
    // The stranger is challenged. Until it answers, it gets no more bytes than it has sent.
    let challenge = hear(&stranger).await;
    assert!(challenge.starts_with("{\"path_challenge\":\"") && challenge.len() < line.len(), "{challenge}");
    node.say(channel, Target::All, "x".repeat(line.len()));
    node.say(channel, Target::All, "y".repeat(line.len() - challenge.len()));
    assert_eq!(hear(&stranger).await, "y".repeat(line.len() - challenge.len()));
    // A wrong answer proves nothing; the right one does.
    for (answer, expected) in [
        ("{\"path_response\":\"0000000000000000\"}".to_owned(), false),
        (challenge.replace("challenge", "response"), true),
    ] {
        stranger.send_to(answer.as_bytes(), node.address()).await.unwrap();
        // Datagrams are handled in order, so this one is reported after the answer was handled.
        stranger.send_to(b"{", node.address()).await.unwrap();
        assert_eq!(node.next().await, ChannelEvent::Malformed { channel });
        node.say(channel, Target::All, "z".repeat(10_000));
        node.say(lan, Target::Host(source), "next".to_owned());
        assert_eq!(hear(&stranger).await.len() == 10_000, expected);
    }
    assert_eq!(hear(&stranger).await, "next");
}

#[tokio::test]
async fn the_number_of_unicast_strangers_is_limited() {
    let (mut node, _) = Node::on_loopback(UdpSettings::default()).await;
    let mut strangers = Vec::new();
    for _ in 0..5 {
        let (socket, source) = stranger().await;
        socket.send_to(ping().encode().as_bytes(), node.address()).await.unwrap();
        if strangers.len() == 4 {
            // The fifth stranger of one host evicts the one that has been silent for longest.
            assert!(matches!(node.next().await, ChannelEvent::Down { .. }));
        }
        let channel = node.alone(source).await;
        node.expect(channel, source).await;
        strangers.push(socket);
    }
}

#[tokio::test]
async fn a_configured_peer_gets_lines_and_answers() {
    let (mut server, _) = Node::on_loopback(UdpSettings::default()).await;
    let (want, peers) = watch::channel(Vec::new());
    let (mut robot, _) = Node::on_loopback(UdpSettings { peers, ..UdpSettings::default() }).await;
    // All nodes have the same configuration, and none sends to itself.
    let peer = |port| UdpPeer { host: "127.0.0.1".to_owned(), port };
    want.send(vec![peer(robot.port), peer(server.port)]).unwrap();
    let to_server = robot.alone(server.address()).await;
    robot.say(to_server, Target::All, ping().encode());
    let to_robot = server.alone(robot.address()).await;
    server.expect(to_robot, robot.address()).await;
    // After the robot has proven its address, it hears all lines of the server.
    for _ in 0..10 {
        robot.hear_from(&server, to_robot).await;
    }
    want.send(vec![]).unwrap();
    while robot.next().await != (ChannelEvent::Down { channel: to_server }) {}
}

#[tokio::test]
async fn without_a_network_the_fault_names_the_way_out() {
    let interfaces = InterfaceFilter::new(&["nosuch*".to_owned()]).unwrap();
    let mut node = Node::start(free_port().await, UdpSettings { interfaces, ..UdpSettings::default() });
    let ChannelEvent::Trouble { name, fault: Some(fault) } = node.next().await else { panic!() };
    assert_eq!((name.as_str(), fault.code()), ("udp", "udp.no-interface-chosen"));
    let message = fault.message();
    assert!(message.contains("nosuch*") && message.contains("`interfaces`"), "{message}");
}

#[tokio::test]
async fn a_broadcast_on_an_unused_network_is_not_taken_for_unicast() {
    let interfaces = InterfaceFilter::new(&["nosuch*".to_owned()]).unwrap();
    let mut node = Node::start(free_port().await, UdpSettings { interfaces, ..UdpSettings::default() });
    assert!(matches!(node.next().await, ChannelEvent::Trouble { .. }));
    let [(to_all, _), (to_us, source)] = [stranger().await, stranger().await];
    to_all.send_to(ping().encode().as_bytes(), ("127.255.255.255", node.port)).await.unwrap();
    to_us.send_to(ping().encode().as_bytes(), node.address()).await.unwrap();
    // Datagrams are handled in order, so the first one opened no channel.
    let channel = node.alone(source).await;
    node.expect(channel, source).await;
}
