//! UDP on networks that are filtered, wrongly configured, or that come and go.

#[path = "udp/node.rs"]
mod node;

use channels::{UdpPeer, UdpSettings};
use lab::{Fleet, Host, Lab, Result, ask, or_skip, wait_until};
use node::{Node, SOON, counts, filter, is_link_local};
use routing::Target;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const NO_BROADCAST: (&str, &str) = ("input", "ip daddr 10.77.0.255 drop");
const NO_MULTICAST: (&str, &str) = ("input", "ip daddr 224.0.0.0/4 drop");
const NO_MULTICAST6: (&str, &str) = ("input", "ip6 daddr ff12::/16 drop");

fn node(lab: &Lab, number: u8) -> Result<Node> {
    Ok(Node::start(lab.host(&format!("h{number}"))?, number, UdpSettings::default()))
}

/// Starts two nodes that both have these firewall rules.
fn filtered(lab: &Lab, rules: &[(&str, &str)]) -> Result<[Node; 2]> {
    let nodes = [node(lab, 1)?, node(lab, 2)?];
    nodes.iter().try_for_each(|node| filter(&node.host, rules))?;
    Ok(nodes)
}

#[test]
fn only_one_cast_mode_is_used_where_all_work() -> Result {
    let Some(lab) = or_skip("directions", Lab::new("directions")) else { return Ok(()) };
    let [a, b] = filtered(
        &lab,
        &[
            ("output", "ip daddr 10.77.0.255 udp dport 1240 counter"),
            ("output", "ip daddr 239.192.4.216 udp dport 1240 counter"),
            ("output", "ip6 daddr ff12::8000:4d8 udp dport 1240 counter"),
        ],
    )?;
    let channel = a.wait_for_channel("eth0")?;
    // IPv6 is ready a moment later.
    wait_until(SOON, "IPv6", || {
        a.say(channel, Target::All, "anybody?");
        counts(&a.host).ok().filter(|counts| counts[2] > 0)
    })?;
    b.reach("eth0", &a, "b is here")?;
    let before = counts(&a.host)?;
    for number in 0..100 {
        a.reach("eth0", &b, &format!("line {number}"))?;
    }
    let after = counts(&a.host)?;
    let sent: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    println!("100 lines by broadcast, multicast, IPv6: {sent:?}");
    // All modes are used once a minute, and again when nothing was received for half a minute.
    assert!(sent[0] >= 100 && sent[1] <= 4 && sent[2] <= 4, "{sent:?}");
    Ok(())
}

#[test]
fn where_broadcasts_are_filtered_multicast_is_used() -> Result {
    let Some(lab) = or_skip("no broadcast", Lab::new("nobroadcast")) else { return Ok(()) };
    let [a, b] = filtered(&lab, &[NO_BROADCAST])?;
    let (_, source) = a.reach("eth0", &b, "by multicast")?;
    println!("heard from {source}");
    let (channel, _) = b.reach("eth0", &a, "and back")?;
    // Only IPv6 remains.
    for node in [&a, &b] {
        filter(&node.host, &[NO_BROADCAST, NO_MULTICAST])?;
    }
    let began = Instant::now();
    let (_, source) = a.reach("eth0", &b, "by IPv6")?;
    println!("heard from {source}, {:?} after IPv4 was filtered", began.elapsed());
    assert!(is_link_local(source));
    let (_, source) = b.reach("eth0", &a, "and back by IPv6")?;
    // A unicast answer is sent over the right interface.
    a.say(channel, Target::Host(source), "to you");
    b.wait("the answer", |_| b.heard("to you"))?;
    Ok(())
}

#[test]
fn where_all_is_filtered_a_configured_peer_is_reached() -> Result {
    let Some(lab) = or_skip("unicast", Lab::new("unicast")) else { return Ok(()) };
    let rules = [NO_BROADCAST, NO_MULTICAST, NO_MULTICAST6];
    let (there, here) = (node(&lab, 1)?, lab.host("h2")?);
    filter(&there.host, &rules)?;
    filter(&here, &rules)?;
    let peer = UdpPeer { host: there.host.address().to_string(), port: 1240 };
    let (_keep, peers) = tokio::sync::watch::channel(vec![peer]);
    let here = Node::start(here, 2, UdpSettings { peers, ..UdpSettings::default() });
    let name = |node: &Node| format!("udp {}:1240", node.host.address());
    let (channel, _) = here.reach(&name(&there), &there, "hello")?;
    assert_eq!(there.seen().channel(&name(&here)).map(|(channel, _)| channel), Some(channel));
    for number in 0..20 {
        there.reach(&name(&here), &here, &format!("answer {number}"))?;
    }
    assert!(here.seen().lines.len() >= 20);
    Ok(())
}

/// Gives a host another address.
fn readdress(host: &Host, address: &str) -> Result {
    for arguments in
        ["address flush dev eth0 scope global", &format!("address add {address} broadcast + dev eth0")]
    {
        let mut command = host.command("ip");
        command.args(arguments.split(' '));
        host.run(command, SOON)?.success(arguments)?;
    }
    Ok(())
}

#[test]
fn a_wrong_netmask_separates_no_hosts_and_is_named() -> Result {
    let Some(lab) = or_skip("netmask", Lab::new("netmask")) else { return Ok(()) };
    let [wrong, right] = [lab.host("wrong")?, lab.host("right")?];
    readdress(&wrong, "10.77.0.5/25")?;
    readdress(&right, "10.77.0.200/24")?;
    let [wrong, right] =
        [(wrong, 1), (right, 2)].map(|(host, number)| Node::start(host, number, UdpSettings::default()));
    let (channel, source) = right.reach("eth0", &wrong, "do you hear me?")?;
    println!("heard from {source}");
    wrong.reach("eth0", &right, "yes")?;
    // A unicast arrives although its destination is outside the network of the wrong netmask.
    let source = SocketAddr::from(([10, 77, 0, 200], 1240));
    wrong.say(channel, Target::Host(source), "only to you");
    right.wait("the answer", |_| right.heard("only to you"))?;
    let (fault, after) = wrong.wait("the fault", |seen| seen.troubles.get("eth0").cloned())?;
    println!("after {after:?}: {fault}");
    assert_eq!(fault.code(), "udp.netmask-wrong");
    let message = fault.message();
    assert!(message.contains("eth0 (10.77.0.5/25)") && message.contains("10.77.0.200"), "{message}");
    assert_eq!(right.seen().troubles, [].into());
    // The fault ends when the netmask is right again.
    readdress(&wrong.host, "10.77.0.5/24")?;
    wrong.wait("no trouble", |seen| seen.troubles.is_empty().then_some(()))?;
    wrong.reach("eth0", &right, "better").map(drop)
}

#[test]
fn channels_follow_the_addresses_of_their_interface() -> Result {
    let Some(lab) = or_skip("follow", Lab::new("follow")) else { return Ok(()) };
    let [a, b] = [node(&lab, 1)?, node(&lab, 2)?];
    b.reach("eth0", &a, "hello")?;
    let at = |line: &'static str| {
        move |seen: &node::Seen| seen.channel("eth0").filter(|(_, [_, own])| own == line).map(drop)
    };
    readdress(&a.host, "10.77.0.99/24")?;
    let ((), after) = a.wait("the new address", at("/ip4/10.77.0.99/tcp/8000/dswarm-line"))?;
    println!("another address is used after {after:?}");
    let (_, source) = a.reach("eth0", &b, "from my new address")?;
    println!("heard from {source}");
    // The cable is pulled, and plugged in again.
    a.host.disconnect()?;
    let ((), after) = a.wait("the end of the channel", |seen| seen.up.is_empty().then_some(()))?;
    println!("a pulled cable is noticed after {after:?}");
    let fault = a.wait("the fault", |seen| seen.troubles.get("udp").cloned())?.0;
    assert_eq!(fault.code(), "udp.no-interface");
    assert!(fault.message().contains("connect"), "{fault}");
    a.host.reconnect()?;
    let ((), after) = a.wait("the channel", at("/ip4/10.77.0.99/tcp/8000/dswarm-line"))?;
    println!("a cable that is plugged in is noticed after {after:?}");
    assert_eq!(a.wait("no trouble", |seen| seen.troubles.is_empty().then_some(()))?.0, ());
    b.reach("eth0", &a, "welcome back")?;
    // The interface is deleted.
    a.ip("link delete eth0")?;
    a.wait("the end of the channel", |seen| seen.up.is_empty().then_some(()))?;
    Ok(())
}

#[test]
fn an_interface_without_ipv4_is_used() -> Result {
    let Some(lab) = or_skip("ipv6", Lab::new("ipv6")) else { return Ok(()) };
    let hosts = [lab.host("a")?, lab.host("b")?];
    for host in &hosts {
        let mut command = host.command("ip");
        command.args(["-4", "address", "flush", "dev", "eth0"]);
        host.run(command, SOON)?.success("flush")?;
    }
    let [a, b] = hosts.map(|host| {
        let number = host.name().as_bytes()[0];
        Node::start(host, number, UdpSettings::default())
    });
    let (_, source) = a.reach("eth0", &b, "hello")?;
    assert!(is_link_local(source));
    let at = b.seen().channel("eth0").map(|(_, addresses)| addresses);
    assert_eq!(at, Some(["/ip6/ff12::8000:4d8/udp/1240/dswarm-line".to_owned(), String::new()]));
    Ok(())
}

#[test]
fn a_firewall_that_drops_all_outgoing_lines_is_named() -> Result {
    let Some(lab) = or_skip("firewall", Lab::new("firewall")) else { return Ok(()) };
    let a = node(&lab, 1)?;
    filter(&a.host, &[("output", "udp dport 1240 drop")])?;
    let channel = a.wait_for_channel("eth0")?;
    let fault = wait_until(Duration::from_secs(40), "the fault", || {
        a.say(channel, Target::All, "hello");
        a.seen().troubles.get("eth0").cloned()
    })?;
    println!("{fault}");
    assert_eq!(fault.code(), "udp.sending-forbidden");
    let message = fault.message();
    assert!(message.contains("nothing can be sent") && message.contains("firewall"), "{message}");
    filter(&a.host, &[])?;
    wait_until(SOON, "no trouble", || {
        a.say(channel, Target::All, "hello");
        a.seen().troubles.is_empty().then_some(())
    })
}

#[test]
fn records_spread_without_broadcasts_and_in_spite_of_a_wrong_netmask() -> Result {
    let Some(lab) = or_skip("daemons", Lab::new("daemons")) else { return Ok(()) };
    let hosts = [lab.host("a")?, lab.host("b")?, lab.host("wrong")?];
    hosts.iter().try_for_each(|host| filter(host, &[NO_BROADCAST]))?;
    // With this netmask, all other hosts are in a remote network.
    readdress(&hosts[2], "10.77.0.200/25")?;
    let mut fleet = Fleet::on(hosts.into())?;
    fleet.start()?;
    fleet.wait_until_acquainted(3, SOON)?;
    for (number, robot) in fleet.robots().iter().enumerate() {
        let (told, what) = robot.say(&format!("from-{number}"))?;
        let last = fleet.sightings().wait_for(std::slice::from_ref(&what), told + SOON);
        println!("{what} is on all robots after {:?}", last.map(|last| last - told));
        assert!(last.is_some(), "{what}");
    }
    for robot in fleet.robots() {
        println!("{}", robot.cli_text(&["stats"])?);
        let heard = ask(robot.host(), [127, 0, 0, 1].into())?.status.channels;
        assert!(
            heard.iter().any(|channel| channel.name == "eth0" && channel.received_lines > 0),
            "{heard:?}"
        );
    }
    Ok(())
}

/// Runs a shell script on a host.
fn on(host: &Host, script: &str) -> Result {
    let mut command = host.command("sh");
    command.args(["-c", script]);
    host.run(command, SOON)?.success(script).map(drop)
}

#[test]
fn a_server_answers_a_robot_behind_a_router_that_hides_it() -> Result {
    let Some(lab) = or_skip("nat", Lab::new("nat")) else { return Ok(()) };
    let wide = lab.network("wan")?;
    let (mut router, mut server, robot) = (lab.host("router")?, lab.lone_host("server")?, lab.host("robot")?);
    let (outside, there) = (router.attach(&wide)?, server.attach(&wide)?);
    on(&router, "echo 1 > /proc/sys/net/ipv4/ip_forward")?;
    let rule = "type nat hook postrouting priority 100; oifname eth1 masquerade random";
    on(&router, &format!("nft 'table ip nat {{ chain out {{ {rule}; }}; }}'"))?;
    on(&robot, &format!("ip route add default via {}", router.address()))?;
    let peer = UdpPeer { host: there.address().to_string(), port: 1240 };
    let (_keep, peers) = tokio::sync::watch::channel(vec![peer]);
    let server = Node::start(server, 1, UdpSettings::default());
    let robot = Node::start(robot, 2, UdpSettings { peers, ..UdpSettings::default() });
    let (_, source) = robot.reach(&format!("udp {}:1240", there.address()), &server, "hello")?;
    println!("heard from {source}");
    assert_eq!(source.ip(), outside.address());
    // Lines of the server return through the router's NAT mapping, and many of them do.
    for number in 0..20 {
        server.reach(&format!("udp {source}"), &robot, &format!("answer {number}"))?;
    }
    Ok(())
}
