//! Links on the loopback interface: sealed links, persistent links, and links that cannot be established.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test with a message")]

mod link_node;

use channels::{TcpPeer, TcpSettings, run_tcp};
use link_node::*;
use routing::{ChannelCommand, ChannelEvent, Medium};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_sealed_link_carries_unreadable_lines_both_ways() {
    let mut server = node(settings(key(1))).await;
    let (at, said) = tap(server.address()).await;
    let (mut client, list) = linked(vec![at], settings(key(1))).await;
    let ours = client.persistent().await;
    client.say(ours);
    let (theirs, heard) = server.received().await;
    assert_eq!(heard, ping());
    server.say(theirs);
    assert_eq!(client.received().await, (ours, ping()));
    list.send(Vec::new()).unwrap();
    let said = String::from_utf8(said.await.unwrap()).unwrap();
    let (hellos, sealed): (Vec<_>, Vec<_>) = said.lines().partition(|line| line.starts_with('{'));
    assert_eq!((hellos.len(), sealed.len()), (2, 4), "two hellos, two proofs, two lines: {said}");
    assert!(!sealed.concat().contains("ping") && !sealed.concat().contains('{'), "{said}");
}

#[tokio::test]
async fn a_link_that_the_brain_asked_for_is_sealed_too() {
    let (mut server, mut client) = (node(settings(key(1))).await, node(settings(key(1))).await);
    let address = server.address();
    client.switchboard.carry_out(ChannelCommand::Connect { address });
    let channel = client
        .until(|event| match event {
            ChannelEvent::Up { channel, medium } => {
                (medium == Medium::Link { dialled: Some(address), is_kept: false }).then_some(channel)
            }
            _ => None,
        })
        .await;
    client.say(channel);
    assert_eq!(server.received().await.1, ping());
    // A second listener on the same port fails, and the failure is reported.
    let again = TcpSettings { port: address.port(), ..settings(key(1)) };
    let mut is_open = again.is_open.subscribe();
    run_tcp(again, client.switchboard.clone()).await.unwrap_err();
    assert_eq!(*is_open.borrow_and_update(), Some(false));
    // With another key, or without one, no link is established.
    let fast = TcpSettings { dial: Duration::from_millis(200), ..settings(key(2)) };
    let mut other = node(fast).await;
    let plain = node(settings(None)).await;
    for address in [address, plain.address()] {
        other.switchboard.carry_out(ChannelCommand::Connect { address });
        other.until(|event| (event == ChannelEvent::ConnectFailed { address }).then_some(())).await;
    }
}

#[tokio::test]
async fn without_the_key_a_peer_gets_a_hello_and_no_more() {
    let mut server = node(TcpSettings { dial: Duration::from_millis(200), ..settings(key(1)) }).await;
    // A peer that sends nothing is closed after the timeout; a peer that sends plain lines is closed at once.
    let mut silent = server.connect().await;
    assert!(rest(&mut silent).await.starts_with("{\"dt-swarm-sealed\":1,"));
    let mut plain = server.connect().await;
    plain.write_all((ping().encode() + "\n").as_bytes()).await.unwrap();
    assert_eq!(rest(&mut plain).await.lines().count(), 1);
    // A peer that claims to have the key and replays the server's hello gets no further.
    let mut mirror = BufReader::new(server.connect().await);
    let mut hello = String::new();
    mirror.read_line(&mut hello).await.unwrap();
    mirror.get_mut().write_all(hello.as_bytes()).await.unwrap();
    assert_eq!(rest(mirror.get_mut()).await, "");
    let mut liar = BufReader::new(server.connect().await);
    liar.read_line(&mut hello).await.unwrap();
    let salt = "A".repeat(43);
    let lies = format!("{{\"dt-swarm-sealed\":1,\"salt\":\"{salt}\"}}\n{}\n", ping().encode());
    liar.get_mut().write_all(lies.as_bytes()).await.unwrap();
    assert_eq!(
        rest(liar.get_mut()).await.lines().count(),
        1,
        "only the server's proof, which is useless to a peer without the key"
    );
    let mut endless = server.connect().await;
    let _ = endless.write_all(&[b'x'; 100_000]).await;
    drop(endless);
    assert!(is_quiet(&mut server, Duration::from_millis(300)).await, "none of them was a link");
}

#[tokio::test]
async fn the_reason_for_a_missing_persistent_link_is_reported() {
    let fast = |key| TcpSettings { dial: Duration::from_millis(300), ..settings(key) };
    let (keyed, plain) = (node(settings(key(1))).await, node(settings(None)).await);
    let nobody = TcpPeer { host: "::1".to_owned(), port: free_port().await };
    // The name is longer than a DNS label may be, so no name server is asked.
    let unknown = TcpPeer { host: "x".repeat(64), port: 8000 };
    for (peer, ours, codes, why) in [
        (
            &keyed.peer(),
            key(2),
            &["tcp.key-differs"][..],
            "the peer belongs to another swarm (its key differs)",
        ),
        // The plain peer hangs up when it reads the hello. Its own first line may arrive before that.
        (
            &plain.peer(),
            key(2),
            &["tcp.key-missing", "tcp.hung-up"],
            "belongs to another swarm (it has no key)",
        ),
        (&keyed.peer(), None, &["tcp.key-unexpected"], "the peer belongs to another swarm (it has a key)"),
        (&nobody, None, &["tcp.refused"], "the connection was refused: no program listens at this port"),
        (&unknown, None, &["tcp.name-unresolved"], "the name of the peer cannot be resolved"),
    ] {
        let (mut node, list) = linked(vec![peer.clone()], fast(ours)).await;
        let (name, fault) = node.trouble().await;
        let fault = fault.unwrap();
        assert_eq!(name, format!("tcp {peer}"));
        assert!(codes.contains(&fault.code()), "{fault:?}");
        assert!(fault.message().contains(why), "{fault}");
        // A peer that was taken off the list has no fault.
        list.send(Vec::new()).unwrap();
        node.until(|event| {
            (event == ChannelEvent::Trouble { name: name.clone(), fault: None }).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_persistent_link_comes_back_after_the_other_side_was_away() {
    for key in [None, key(1)] {
        let server = node(settings(key.clone())).await;
        let (port, peer) = (server.port, server.peer());
        let (mut client, list) = linked(vec![peer], settings(key.clone())).await;
        let channel = client.persistent().await;
        drop(server);
        client.until(|event| (event == ChannelEvent::Down { channel }).then_some(())).await;
        assert_eq!(client.trouble().await.1.unwrap().code(), "tcp.refused");
        let mut server = node_at(port, settings(key)).await;
        assert_eq!(client.trouble().await.1, None, "it works again");
        let again = client.persistent().await;
        client.say(again);
        assert_eq!(server.received().await.1, ping());
        // The link with a peer that is taken off the list is closed.
        list.send(Vec::new()).unwrap();
        client.until(|event| (event == ChannelEvent::Down { channel: again }).then_some(())).await;
        server.until(|event| matches!(event, ChannelEvent::Ended { .. }).then_some(())).await;
    }
}

#[tokio::test]
async fn a_peer_that_is_chosen_later_gets_a_link_and_the_node_itself_gets_none() {
    let server = node(settings(None)).await;
    let (mut client, list) = linked(Vec::new(), settings(None)).await;
    list.send(vec![client.peer(), server.peer()]).unwrap();
    let channel = client.persistent().await;
    // Setting the same list again changes nothing.
    list.send(vec![server.peer(), client.peer()]).unwrap();
    client.say(channel);
    client.until(|event| (event == ChannelEvent::Drained { channel }).then_some(())).await;
    let of_others = |event: &ChannelEvent| {
        matches!(event, ChannelEvent::Up { medium: Medium::Link { dialled: None, .. }, .. })
    };
    let mut seen = 0;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(300), client.events.recv()).await {
        seen += usize::from(of_others(&event));
        assert!(
            !matches!(event, ChannelEvent::Up { medium: Medium::Link { is_kept: true, .. }, .. }),
            "{event:?}"
        );
    }
    assert_eq!(seen, 0, "the node has no link with itself");
}

#[tokio::test]
async fn a_quiet_persistent_link_stays() {
    for key in [None, key(1)] {
        let silent = Duration::from_millis(400);
        let impatient = TcpSettings { silent, sign: Duration::from_millis(100), ..settings(key) };
        let mut server = node(impatient.clone()).await;
        let (mut client, _list) = linked(vec![server.peer()], impatient.clone()).await;
        let channel = client.persistent().await;
        // A beacon of the brain shows that the link is to last.
        client.send(channel, &beacon());
        for node in [&mut server, &mut client] {
            while !is_quiet(node, Duration::from_millis(50)).await {}
        }
        let began = Instant::now();
        while began.elapsed() < silent * 5 {
            assert!(is_quiet(&mut client, Duration::from_millis(100)).await);
        }
        assert!(is_quiet(&mut server, Duration::ZERO).await, "nothing happened on the server either");
        client.say(channel);
        assert_eq!(server.received().await.1, ping());
        // The link to a peer that accepts it and then sends nothing, not even an empty line, is closed.
        let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpPeer { host: "127.0.0.1".to_owned(), port: deaf.local_addr().unwrap().port() };
        let (mut client, _list) = linked(vec![peer], TcpSettings { key: None, ..impatient }).await;
        let channel = client.persistent().await;
        client.until(|event| (event == ChannelEvent::Down { channel }).then_some(())).await;
    }
}

#[tokio::test]
async fn links_end_with_their_task_and_are_reported_down() {
    let mut server = node(settings(None)).await;
    let (mut client, _list) = linked(vec![server.peer()], settings(None)).await;
    let channel = client.persistent().await;
    client.task.abort();
    client.until(|event| (event == ChannelEvent::Down { channel }).then_some(())).await;
    server.until(|event| matches!(event, ChannelEvent::Ended { .. }).then_some(())).await;
}

#[tokio::test]
async fn empty_lines_alone_do_not_keep_an_accepted_link_open() {
    let silent = Duration::from_millis(400);
    let mut server = node(TcpSettings { silent, ..settings(None) }).await;
    let mut idler = server.connect().await;
    let channel = server
        .until(|event| match event {
            ChannelEvent::Up { channel, .. } => Some(channel),
            _ => None,
        })
        .await;
    let began = Instant::now();
    let down = server.until(|event| (event == ChannelEvent::Down { channel }).then_some(()));
    let says_nothing = async {
        while idler.write_all(b"\n").await.is_ok() {
            tokio::time::sleep(silent / 8).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = down => assert!(began.elapsed() >= silent / 2),
        () = says_nothing => {}
    }
}

#[tokio::test]
async fn idle_links_are_evicted_for_one_that_asks() {
    let few = TcpSettings { links_per_host: 4, ..settings(None) };
    let mut server = node(few).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(connect_from([127, 0, 0, 9], server.address()).await);
        server.until(|event| matches!(event, ChannelEvent::Up { .. }).then_some(())).await;
    }
    // A link that was just opened keeps its place for some seconds.
    let asks = async {
        loop {
            let mut asker = connect_from([127, 0, 0, 8], server.address()).await;
            // A link that is refused is closed at once.
            let _ = asker.write_all((ping().encode() + "\n").as_bytes()).await;
            match tokio::time::timeout(Duration::from_millis(500), server.received()).await {
                Ok((_, envelope)) => return envelope,
                Err(_) => continue,
            }
        }
    };
    assert_eq!(tokio::time::timeout(DEADLINE, asks).await.unwrap(), ping());
    assert_eq!(rest(&mut idle[0]).await, "", "the first one was closed");
}
