//! Hosts that share only one channel: one record is sent over it in each direction. The daemons' own counters show which
//! channel was used. The CLI counts only valid records, so it shows that the signature is intact.

mod channel_tools;

use channel_tools::{both_ways, channels, counter, wait_for_channel};
use lab::daemon::Robot;
use lab::peers::{Kubo, Ngircd, kubo_available, ngircd_available};
use lab::{Host, Lab, Result, TestSigner, or_skip, wait_until};
use routing::Envelope;
use std::net::Ipv4Addr;
use std::time::Duration;
use telemetry::metrics;

const SOON: Duration = Duration::from_secs(60);

fn only_from(host: Ipv4Addr, rule: &str) -> String {
    format!("ip saddr {host} {rule}")
}

/// Makes two hosts that accept only packets from each other that match this rule.
fn pair(lab: &Lab, rule: &str) -> Result<[Host; 2]> {
    let hosts = [lab.host("a")?, lab.host("b")?];
    for (host, other) in [(&hosts[0], &hosts[1]), (&hosts[1], &hosts[0])] {
        host.let_in_only(&[&only_from(other.address(), rule)])?;
    }
    Ok(hosts)
}

#[test]
fn a_by_broadcast_alone() -> Result {
    let Some(lab) = or_skip("broadcast", Lab::new("waya")) else { return Ok(()) };
    let [a, b] = pair(&lab, "udp dport 1240 ip daddr 10.77.0.255")?;
    let (a, b) = (Robot::start_on(a, "")?, Robot::start_on(b, "")?);
    both_ways(&a, &b, "eth0")
}

#[test]
fn b_by_unicast_udp_alone() -> Result {
    let Some(lab) = or_skip("unicast", Lab::new("wayb")) else { return Ok(()) };
    let [a, b] = pair(&lab, "udp dport 1240 ip daddr != 10.77.0.255 ip daddr != 224.0.0.0/4")?;
    let peers = format!("peers = ['/ip4/{}/udp/1240/dswarm-line']", b.address());
    let (a, b) = (Robot::start_on(a, &peers)?, Robot::start_on(b, "")?);
    both_ways(&a, &b, "udp ")
}

#[test]
fn c_by_tcp_alone() -> Result {
    let Some(lab) = or_skip("tcp", Lab::new("wayc")) else { return Ok(()) };
    let [a, b] = pair(&lab, "tcp dport 8000")?;
    a.let_in_only(&[&only_from(b.address(), "tcp sport 8000")])?;
    let peers = format!("peers = ['/ip4/{}/tcp/8000/dswarm-line']", b.address());
    let (a, b) = (Robot::start_on(a, &peers)?, Robot::start_on(b, "")?);
    both_ways(&a, &b, "tcp ")
}

#[test]
fn d_by_irc_alone() -> Result {
    let Some(()) = or_skip("irc", ngircd_available()) else { return Ok(()) };
    let Some(lab) = or_skip("irc", Lab::new("wayd")) else { return Ok(()) };
    let server = lab.host("server")?;
    let ircd = Ngircd::on_host(&server)?;
    let port = ircd.address().port();
    let hosts = [lab.host("a")?, lab.host("b")?];
    let rule = only_from(server.address(), &format!("tcp sport {port}"));
    hosts.iter().try_for_each(|host| host.let_in_only(&[&rule]))?;
    let peers = format!("peers = ['/ip4/{}/tcp/{port}/irc/#duckiebots/dswarm-line']", server.address());
    let [a, b] = hosts.map(|host| Robot::start_on(host, &peers));
    both_ways(&a?, &b?, "irc ")
}

#[test]
fn e_by_pubsub_through_a_third_host_alone() -> Result {
    let Some(()) = or_skip("pubsub", kubo_available()) else { return Ok(()) };
    let Some(lab) = or_skip("pubsub", Lab::new("waye")) else { return Ok(()) };
    let middle = lab.host("middle")?;
    let mut kubo = Kubo::on_host(&middle)?;
    kubo.subscribe("duckiebots")?;
    let hosts = [lab.host("a")?, lab.host("b")?];
    let rule = only_from(middle.address(), "tcp sport 4001");
    hosts.iter().try_for_each(|host| host.let_in_only(&[&rule]))?;
    let peers = format!("peers = ['{}']", kubo.address());
    let [a, b] = hosts.map(|host| Robot::start_on(host, &peers));
    let (a, b) = (a?, b?);
    both_ways(&a, &b, "pubsub ")?;
    // Kubo receives our lines.
    let seen = kubo.next_message("duckiebots", SOON)?;
    let line = Envelope::decode(&seen).unwrap();
    println!("Kubo sees {} from {}", line.payload, line.from);
    // A record that Kubo publishes arrives too.
    let mut signer = TestSigner::new([9; 32]);
    let record = signer.propose("share/notes", "published by hand")?;
    kubo.publish("duckiebots", signer.envelope(&record).encode().as_bytes())?;
    wait_until(SOON, "the record published by hand", || {
        let known = b.cli_text(&["query", "share/notes", "--json"]).ok()?;
        (known.contains("published by hand") && known.contains(&signer.peer_id().to_string())).then_some(())
    })
}

#[test]
fn f_by_a_neighbour_that_forwards_it() -> Result {
    let Some(lab) = or_skip("relay", Lab::new("wayf")) else { return Ok(()) };
    let [a, relay, b] = [lab.host("a")?, lab.host("relay")?, lab.host("b")?];
    let unicast = "udp dport 1240 ip daddr != 10.77.0.255 ip daddr != 224.0.0.0/4";
    for host in [&a, &b] {
        host.let_in_only(&[&only_from(relay.address(), unicast)])?;
    }
    let from = |host: &Host| only_from(host.address(), unicast);
    relay.let_in_only(&[&from(&a), &from(&b)])?;
    let [first, last] = [&relay, &b].map(|host| format!("/ip4/{}/udp/1240/dswarm-line", host.address()));
    let relay = Robot::start_on(relay, "")?;
    let (a, b) = (Robot::start_on(a, &format!("peers = ['{first}{last}']"))?, Robot::start_on(b, "")?);
    both_ways(&a, &b, "path ")?;
    let passed_on = counter(&relay, &metrics::BRAIN_LINES_FORWARDED)?;
    let known = counter(&relay, &metrics::BRAIN_RECORDS_TAKEN)?;
    println!("the relay forwarded {passed_on} lines, and took {known} records itself");
    assert!(passed_on > 0 && known == 0);
    Ok(())
}

#[test]
fn a_lan_without_internet_shares_with_a_server_through_a_neighbour_that_has_it() -> Result {
    let Some(lab) = or_skip("neighbour", Lab::new("wan")) else { return Ok(()) };
    let wan = lab.network("wan")?;
    let mut neighbour = lab.host("neighbour")?;
    neighbour.attach(&wan)?;
    let mut server = lab.lone_host("server")?;
    let at = server.attach(&wan)?.address();
    let root = dcache::Keypair::from_seed([7; 32]).peer_id();
    let swarm =
        format!("name = 'class'\nroots = ['{root}']\nbootstrap = ['/ip4/{at}/tcp/8000/dswarm-line']\n");
    // The server receives no broadcasts of the class.
    server.let_in_only(&["tcp dport 8000", "tcp sport 8000"])?;
    let file = lab.folder().join("swarm.toml");
    std::fs::write(&file, swarm).unwrap();
    let configuration = format!("swarm_file = {file:?}");
    let [server, neighbour, inside] =
        [server, neighbour, lab.host("inside")?].map(|host| Robot::start_on(host, &configuration));
    let (server, _neighbour, inside) = (server?, neighbour?, inside?);
    channel_tools::reaches(&inside, &server, "from inside")?;
    channel_tools::reaches(&server, &inside, "from the server")?;
    wait_for_channel(&server, "tcp from ")?;
    let by: Vec<String> = channels(&inside)?.into_iter().map(|channel| channel.name).collect();
    assert!(!by.iter().any(|name| name.starts_with("tcp ")), "{by:?}");
    Ok(())
}

#[test]
fn faults_of_channels_are_named() -> Result {
    let Some(lab) = or_skip("troubles", Lab::new("troubles")) else { return Ok(()) };
    let blocked = lab.host("blocked")?;
    blocked.keep_out(&["tcp dport 6667"])?;
    let peers = format!(
        "peers = ['/ip4/{0}/tcp/6667/irc/#duckiebots/dswarm-line', '/dns4/swarm.invalid/tcp/8000/dswarm-line', \
         '/ip4/{0}/tcp/8001/dswarm-line', \
         '/ip4/{0}/tcp/6003/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp']",
        blocked.address()
    );
    let robot = Robot::start_on(lab.host("robot")?, &peers)?;
    let other = Robot::start_on(lab.host("other")?, "")?;
    channel_tools::wait_for_trouble(&robot, "irc ", "irc.no-answer", "blocks its port")?;
    channel_tools::wait_for_trouble(&robot, "swarm.invalid", "tcp.name-unresolved", "cannot be resolved")?;
    channel_tools::wait_for_trouble(&robot, ":8001", "tcp.refused", "refused")?;
    channel_tools::wait_for_trouble(&robot, "ipfs /ip4/", "ipfs.peer-unreachable", "refused")?;
    // The other channels keep working.
    channel_tools::reaches(&robot, &other, "in spite of it")?;
    println!("{}", robot.cli_text(&["channels"])?);
    Ok(())
}

/// Starts two robots that know each other.
fn two(lab: &Lab) -> Result<[Robot; 2]> {
    let robots = [Robot::start_on(lab.host("a")?, "")?, Robot::start_on(lab.host("b")?, "")?];
    channel_tools::reaches(&robots[0], &robots[1], "at first")?;
    Ok(robots)
}

fn readdress(robot: &Robot, address: &str) -> Result {
    channel_tools::ip(robot.host(), "address flush dev eth0 scope global")?;
    channel_tools::ip(robot.host(), &format!("address add {address} broadcast + dev eth0"))
}

/// Checks that each robot receives a record of the other.
fn share([a, b]: &[Robot; 2], note: &str) -> Result {
    channel_tools::reaches(a, b, note)?;
    channel_tools::reaches(b, a, &format!("{note}, and back"))
}

/// Takes the interface of the first robot down and up, and then gives it another address, as DHCP may do.
fn goes_and_comes(robots: &[Robot; 2]) -> Result {
    let a = &robots[0];
    channel_tools::ip(a.host(), "link set eth0 down")?;
    channel_tools::wait_for_trouble(a, "udp", "udp.no-interface", "network")?;
    channel_tools::ip(a.host(), "link set eth0 up")?;
    share(robots, "back again")?;
    readdress(a, "10.77.0.99/24")?;
    share(robots, "under another address")?;
    wait_for_channel(a, "eth0").map(drop)
}

/// Gives the first robot a wrong netmask, with which half of the network is remote for it.
fn has_a_wrong_netmask(robots: &[Robot; 2]) -> Result {
    readdress(&robots[0], "10.77.0.130/25")?;
    share(robots, "with a wrong netmask")?;
    channel_tools::wait_for_trouble(&robots[0], "eth0", "udp.netmask-wrong", "netmask")
}

/// Drops all broadcasts at both robots.
fn filters_broadcasts(robots: &[Robot; 2]) -> Result {
    let rules = ["ip daddr 10.77.0.255", "ip daddr 255.255.255.255"];
    robots.iter().try_for_each(|robot| robot.host().keep_out(&rules))?;
    share(robots, "without broadcasts")
}

#[test]
fn an_interface_goes_down_and_comes_up_with_another_address() -> Result {
    let Some(lab) = or_skip("interface", Lab::new("interface")) else { return Ok(()) };
    goes_and_comes(&two(&lab)?)
}

#[test]
fn a_daemon_survives_a_wrong_netmask_and_names_it() -> Result {
    let Some(lab) = or_skip("netmask", Lab::new("mask")) else { return Ok(()) };
    has_a_wrong_netmask(&two(&lab)?)
}

#[test]
fn a_daemon_survives_filtered_broadcasts() -> Result {
    let Some(lab) = or_skip("filtered", Lab::new("filtered")) else { return Ok(()) };
    filters_broadcasts(&two(&lab)?)
}

/// The state after one fault must not prevent the recovery from the next fault.
#[test]
fn a_daemon_survives_all_changes_of_its_network() -> Result {
    let Some(lab) = or_skip("all troubles", Lab::new("survives")) else { return Ok(()) };
    let robots = two(&lab)?;
    goes_and_comes(&robots)?;
    has_a_wrong_netmask(&robots)?;
    readdress(&robots[0], "10.77.0.131/24")?;
    share(&robots, "with the right one")?;
    filters_broadcasts(&robots)?;
    println!("{}", robots[0].cli_text(&["channels"])?);
    Ok(())
}
