//! TCP on the loopback interface: links of honest and of hostile peers.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test with a message")]

use channels::{Switchboard, TcpSettings, run_tcp};
use routing::{Address, ChannelCommand, ChannelEvent, Envelope, Medium, Message, Target};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const DEADLINE: Duration = Duration::from_secs(20);

/// Returns a port that was free a moment ago.
async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

async fn next_of_all(events: &mut mpsc::Receiver<ChannelEvent>) -> ChannelEvent {
    tokio::time::timeout(DEADLINE, events.recv()).await.expect("an event in time").unwrap()
}

/// Waits for the next event. Skips `Local`, which only one test examines.
async fn next(events: &mut mpsc::Receiver<ChannelEvent>) -> ChannelEvent {
    loop {
        match next_of_all(events).await {
            ChannelEvent::Local { .. } => {}
            event => return event,
        }
    }
}

/// Connects as soon as the listener is there.
async fn connect(port: u16) -> TcpStream {
    let attempt = async {
        loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => return stream,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(DEADLINE, attempt).await.expect("a listener in time")
}

fn ping() -> Envelope {
    Envelope::new(Address::command_line(), Address::every_brain(), Message::ping(dcache::Validity::ALWAYS))
}

struct Server {
    switchboard: Switchboard,
    events: mpsc::Receiver<ChannelEvent>,
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

async fn serve(settings: TcpSettings) -> Server {
    let (reports, events) = mpsc::channel(1024);
    let switchboard = Switchboard::new(reports);
    let port = free_port().await;
    let run = run_tcp(TcpSettings { port, ..settings }, switchboard.clone());
    let task = tokio::spawn(async move { run.await.unwrap() });
    Server { switchboard, events, port, task }
}

#[tokio::test]
async fn lines_go_both_ways_on_a_link() {
    let mut server = serve(TcpSettings::default()).await;
    let mut client = serve(TcpSettings::default()).await;
    let address = SocketAddr::from(([127, 0, 0, 1], server.port));
    connect(server.port).await;
    client.switchboard.carry_out(ChannelCommand::Connect { address });
    let ChannelEvent::Up { channel, medium } = next(&mut client.events).await else { panic!() };
    assert_eq!(medium, Medium::Link { dialled: Some(address), is_kept: false });
    client.switchboard.carry_out(ChannelCommand::Send {
        channel,
        target: Target::All,
        line: ping().encode(),
    });
    assert_eq!(next(&mut client.events).await, ChannelEvent::Drained { channel });
    let received = loop {
        if let ChannelEvent::Received { envelope, channel, .. } = next(&mut server.events).await {
            break (envelope, channel);
        }
    };
    assert_eq!(received.0, ping());
    client.switchboard.carry_out(ChannelCommand::Close { channel });
    assert_eq!(next(&mut client.events).await, ChannelEvent::Down { channel });
    // The server learns that the client has finished, and closes its side.
    while next(&mut server.events).await != (ChannelEvent::Ended { channel: received.1 }) {}
    server.switchboard.carry_out(ChannelCommand::Close { channel: received.1 });
    while next(&mut server.events).await != (ChannelEvent::Down { channel: received.1 }) {}
}

#[tokio::test]
async fn a_link_from_this_computer_is_reported_as_local() {
    let mut server = serve(TcpSettings::default()).await;
    let _client = connect(server.port).await;
    let ChannelEvent::Up { channel, .. } = next_of_all(&mut server.events).await else { panic!() };
    assert_eq!(next_of_all(&mut server.events).await, ChannelEvent::Local { channel });
}

#[tokio::test]
async fn a_refused_connection_is_reported() {
    let mut client = serve(TcpSettings::default()).await;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port().await));
    client.switchboard.carry_out(ChannelCommand::Connect { address });
    assert_eq!(next(&mut client.events).await, ChannelEvent::ConnectFailed { address });
}

/// Reads until the other side closes.
async fn read_to_end(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("closed in time");
}

#[tokio::test]
async fn the_cost_of_hostile_lines_is_bounded() {
    let mut server = serve(TcpSettings::default()).await;
    // A megabyte without a line end: the link is closed long before all of it is read.
    let mut endless = connect(server.port).await;
    let ChannelEvent::Up { channel, .. } = next(&mut server.events).await else { panic!() };
    let _ = endless.write_all(&vec![b'x'; 1 << 20]).await;
    assert_eq!(next(&mut server.events).await, ChannelEvent::Malformed { channel });
    assert_eq!(next(&mut server.events).await, ChannelEvent::Down { channel });
    read_to_end(&mut endless).await;
    // Malformed JSON and malformed UTF-8, followed by a valid line, which is still received.
    let mut broken = connect(server.port).await;
    let ChannelEvent::Up { channel, .. } = next(&mut server.events).await else { panic!() };
    broken.write_all(b"{\"from\":\n\xff\xfe\n\r\n").await.unwrap();
    broken.write_all(format!("{}\r\n", ping().encode()).as_bytes()).await.unwrap();
    assert_eq!(next(&mut server.events).await, ChannelEvent::Malformed { channel });
    assert_eq!(next(&mut server.events).await, ChannelEvent::Malformed { channel });
    assert_eq!(
        next(&mut server.events).await,
        ChannelEvent::Received {
            channel,
            source: None,
            envelope: ping(),
            bytes: ping().encode().len(),
            reaches_all: true
        }
    );
    assert!(!server.task.is_finished());
}

#[tokio::test]
async fn a_peer_that_closes_its_sending_side_is_answered_first() {
    let mut server = serve(TcpSettings::default()).await;
    let mut client = connect(server.port).await;
    let ChannelEvent::Up { channel, .. } = next(&mut server.events).await else { panic!() };
    client.shutdown().await.unwrap();
    assert_eq!(next(&mut server.events).await, ChannelEvent::Ended { channel });
    server.switchboard.carry_out(ChannelCommand::Send {
        channel,
        target: Target::All,
        line: ping().encode(),
    });
    server.switchboard.carry_out(ChannelCommand::Close { channel });
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, client.read_to_string(&mut answer))
        .await
        .expect("an end in time")
        .unwrap();
    assert_eq!(answer, ping().encode() + "\n");
    while next(&mut server.events).await != (ChannelEvent::Down { channel }) {}
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let settings = TcpSettings { silent: Duration::from_millis(100), ..TcpSettings::default() };
    let mut server = serve(settings).await;
    let mut silent = connect(server.port).await;
    let ChannelEvent::Up { channel, .. } = next(&mut server.events).await else { panic!() };
    assert_eq!(next(&mut server.events).await, ChannelEvent::Down { channel });
    read_to_end(&mut silent).await;
}

#[tokio::test]
async fn one_host_cannot_take_all_links() {
    let mut server = serve(TcpSettings { links_per_host: 2, ..TcpSettings::default() }).await;
    let _first = connect(server.port).await;
    let _second = connect(server.port).await;
    assert!(matches!(next(&mut server.events).await, ChannelEvent::Up { .. }));
    assert!(matches!(next(&mut server.events).await, ChannelEvent::Up { .. }));
    read_to_end(&mut connect(server.port).await).await;
}
