//! Guarantees of the delay network, tested with sockets on its hosts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use lab::{Conditions, DelayNetwork, Error, Host, Lab, Result, or_skip, wait_until};

const SOON: Duration = Duration::from_secs(20);
const PORT: u16 = 7000;
const CLEAN: Conditions = Conditions { delay: Duration::ZERO, loss: 0.0 };

fn hosts<const N: usize>(lab: &Lab, network: &DelayNetwork, names: [&str; N]) -> Result<Vec<Host>> {
    let attached = |name| {
        let mut host = lab.lone_host(name)?;
        host.attach_tap(network)?;
        Ok(host)
    };
    names.into_iter().map(attached).collect()
}

fn socket(host: &Host, wait: Duration) -> Result<UdpSocket> {
    let opened = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
        socket.set_broadcast(true)?;
        socket.set_read_timeout(Some(wait))?;
        Ok(socket)
    };
    host.within(opened)?.map_err(failed("a socket"))
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { what: what.to_owned(), source }
}

fn send(from: &UdpSocket, to: Ipv4Addr, word: &str) -> Result {
    from.send_to(word.as_bytes(), (to, PORT)).map(drop).map_err(failed("sending"))
}

/// Receives the next word and its sender; `None` when nothing arrives within the socket's timeout.
fn receive(at: &UdpSocket) -> Option<(String, SocketAddr)> {
    let mut buffer = [0; 2000];
    let (length, from) = at.recv_from(&mut buffer).ok()?;
    Some((String::from_utf8_lossy(&buffer[..length]).into_owned(), from))
}

/// Sends a word repeatedly until it is received, and returns the words received before it.
fn send_until_heard(from: &UdpSocket, to: Ipv4Addr, at: &UdpSocket, word: &str) -> Result<Vec<String>> {
    let mut before = Vec::new();
    wait_until(SOON, &format!("the word {word:?}"), || {
        send(from, to, word).ok()?;
        while let Some((heard, _)) = receive(at) {
            if heard == word {
                return Some(());
            }
            before.push(heard);
        }
        None
    })?;
    Ok(before)
}

#[test]
fn a_round_trip_takes_twice_the_delay_and_broadcasts_reach_all() -> Result {
    let delay = Duration::from_millis(50);
    let Some(lab) = or_skip("delay", Lab::new("delay")) else {
        return Ok(());
    };
    let network = lab.delay_network(Conditions { delay, loss: 0.0 }, 1)?;
    let hosts = hosts(&lab, &network, ["a", "b", "c"])?;
    let sockets = hosts.iter().map(|host| socket(host, SOON)).collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Some((word, from)) = receive(&sockets[1]).filter(|(word, _)| word != "end") {
                sockets[1].send_to(word.as_bytes(), from).unwrap();
            }
        });
        let mut trips = Vec::new();
        for number in 0..10 {
            let begun = Instant::now();
            send(&sockets[0], hosts[1].address(), &number.to_string()).unwrap();
            assert_eq!(receive(&sockets[0]).unwrap().0, number.to_string());
            trips.push(begun.elapsed());
        }
        send(&sockets[0], hosts[1].address(), "end").unwrap();
        println!("round trips: {trips:?}");
        // The first round trips include the resolution of addresses.
        assert!(trips.iter().all(|trip| *trip >= 2 * delay), "{trips:?}");
        assert!(*trips.iter().min().unwrap() < 3 * delay, "{trips:?}");
    });
    send(&sockets[0], Ipv4Addr::new(10, 77, 1, 255), "to all")?;
    for other in &sockets[1..] {
        assert_eq!(receive(other), Some(("to all".to_owned(), SocketAddr::from((hosts[0].address(), PORT)))));
    }
    Ok(())
}

#[test]
fn each_receiver_loses_frames_independently() -> Result {
    let Some(lab) = or_skip("loss on a delay network", Lab::new("lossy")) else {
        return Ok(());
    };
    let network = lab.delay_network(CLEAN, 7)?;
    let hosts = hosts(&lab, &network, ["a", "b", "c"])?;
    let sockets =
        hosts.iter().map(|host| socket(host, Duration::from_millis(50))).collect::<Result<Vec<_>>>()?;
    network.set_conditions(Conditions { loss: 0.2, ..CLEAN });
    let mut heard = [const { Vec::new() }; 2];
    // A batch of a hundred fits into the buffer of a socket.
    for batch in 0..10 {
        for number in 0..100 {
            send(&sockets[0], Ipv4Addr::new(10, 77, 1, 255), &format!("{batch}-{number}"))?;
        }
        for (heard, at) in heard.iter_mut().zip(&sockets[1..]) {
            let word = format!("end {batch}");
            let words = send_until_heard(&sockets[0], Ipv4Addr::new(10, 77, 1, 255), at, &word)?;
            heard.extend(words.into_iter().filter(|word| !word.starts_with("end")));
        }
    }
    println!("of 1000 broadcasts at 20 % loss: {} and {}", heard[0].len(), heard[1].len());
    for heard in &heard {
        // The standard deviation is 12.6.
        assert!((720..880).contains(&heard.len()), "{}", heard.len());
    }
    assert_ne!(heard[0], heard[1], "both receivers lost the same frames");
    Ok(())
}

#[test]
fn groups_are_cut_off_until_they_are_healed_and_no_host_loses_its_carrier() -> Result {
    let Some(lab) = or_skip("partition of a delay network", Lab::new("groups")) else {
        return Ok(());
    };
    let network = lab.delay_network(CLEAN, 1)?;
    let hosts = hosts(&lab, &network, ["a", "b", "c"])?;
    let [a, b, c] = [0, 1, 2].map(|number: usize| socket(&hosts[number], Duration::from_millis(200)));
    let (a, b, c, all) = (a?, b?, c?, Ipv4Addr::new(10, 77, 1, 255));
    let address = hosts[1].address();
    send_until_heard(&a, address, &b, "before")?;
    network.set_groups(|host| u32::from(host == address));
    for number in 0..20 {
        send(&a, all, &format!("during {number}"))?;
        send(&a, address, "during, to one")?;
    }
    assert_eq!(send_until_heard(&a, all, &c, "during 20")?.len(), 20, "a frame was lost within the group");
    network.heal();
    // Frames keep their order, so the first word received after the healing was also sent after it.
    assert!(send_until_heard(&a, address, &b, "after")?.is_empty());
    let mut command = hosts[1].command("ip");
    command.args(["link", "show", "eth0"]);
    let carrier = hosts[1].run(command, SOON)?.success("ip link show")?;
    assert!(carrier.contains("LOWER_UP"), "{carrier}");
    Ok(())
}

#[test]
fn fifty_hosts_hear_thousands_of_broadcasts_and_the_counters_see_them() -> Result {
    const BROADCASTS: usize = 2000;
    const BYTES: usize = 600;
    let Some(lab) = or_skip("fifty hosts on a delay network", Lab::new("fifty")) else {
        return Ok(());
    };
    let begun = Instant::now();
    let network = lab.delay_network(CLEAN, 1)?;
    let names: [String; 50] = std::array::from_fn(|number| format!("h{number}"));
    let hosts = hosts(&lab, &network, std::array::from_fn::<&str, 50, _>(|number| &names[number]))?;
    println!("50 hosts in {:?}", begun.elapsed());
    let sockets = hosts.iter().map(|host| socket(host, SOON)).collect::<Result<Vec<_>>>()?;
    let (before, begun) = (hosts[0].traffic()?, Instant::now());
    // The sender is no faster than the slowest receiver, because all receivers have the same work.
    for batch in 0..BROADCASTS / 50 {
        for _ in 0..50 {
            send(&sockets[0], Ipv4Addr::new(10, 77, 1, 255), &"x".repeat(BYTES))?;
        }
        for other in &sockets[1..] {
            for number in 0..50 {
                assert!(receive(other).is_some(), "number {number} of batch {batch}");
            }
        }
    }
    println!("{BROADCASTS} broadcasts at 49 hosts in {:?}", begun.elapsed());
    let sent = hosts[0].traffic()?.sent - before.sent;
    // Ethernet, IP and UDP add 42 bytes.
    assert!(sent as usize >= BROADCASTS * (BYTES + 42), "{sent}");
    assert!((sent as usize) < BROADCASTS * (BYTES + 42) + 10_000, "{sent}");
    assert_eq!((network.overflowed(), hosts[0].traffic()?.dropped), (0, 0));
    Ok(())
}
