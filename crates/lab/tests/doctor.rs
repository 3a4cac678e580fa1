//! `doctor` names each planted fault, and finds nothing wrong on a healthy network.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs::{self, Permissions};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::daemon::Robot;
use lab::{
    Error, FakeClock, Finished, Host, Lab, Process, Result, SmallDisk, Unavailable, or_skip, run, wait_until,
};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
/// Time until filtered broadcasts and multicasts are noticed: 20 s, the time between two looks of the daemon, and some time
/// for a busy machine.
const FILTERED: Duration = Duration::from_secs(60);

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

/// The answer of `doctor`.
struct Diagnosis {
    findings: Vec<Value>,
    is_success: bool,
}

impl Diagnosis {
    /// Returns the finding with this code.
    fn get(&self, code: &str) -> Option<&Value> {
        self.findings.iter().find(|finding| finding["code"] == code)
    }

    fn all(&self, state: &str) -> Vec<&Value> {
        self.findings.iter().filter(|finding| finding["state"] == state).collect()
    }
}

fn diagnose(robot: &Robot, arguments: &[&str]) -> Result<Diagnosis> {
    let socket = robot.control_socket();
    let socket = socket.to_string_lossy();
    let arguments = [&["doctor", "--json", "--socket", &socket], arguments].concat();
    let Finished { status, stdout, .. } = robot.host().run(robot.cli_command(&arguments), SOON)?;
    let json: Value = serde_json::from_str(&stdout)
        .map_err(|error| Error::Answer { what: error.to_string(), answer: stdout })?;
    let findings = json["findings"].as_array().cloned().unwrap_or_default();
    let diagnosis = Diagnosis { findings, is_success: status.success() };
    assert_eq!(diagnosis.is_success, diagnosis.all("broken").is_empty(), "{json:#}");
    assert_eq!(json["is_healthy"], diagnosis.is_success, "{json:#}");
    Ok(diagnosis)
}

/// Waits until `doctor` on a robot names a fault with this code. Returns its message.
fn wait_for(robot: &Robot, within: Duration, code: &str) -> Result<String> {
    let mut last = None;
    let found = wait_until(within, code, || {
        let diagnosis = diagnose(robot, &[]);
        let found = diagnosis.as_ref().ok().and_then(|diagnosis| diagnosis.get(code)).cloned();
        last = Some(diagnosis.map(|diagnosis| diagnosis.findings));
        found
    });
    let Ok(found) = found else { panic!("{code} is not found by {}: {last:#?}", robot.host().name()) };
    println!("{}: {found:#}", robot.host().name());
    assert!(["warning", "broken"].contains(&found["state"].as_str().unwrap()), "{found:#}");
    assert!(found["remedy"].is_string(), "{found:#}");
    Ok(found["message"].as_str().unwrap().to_owned())
}

#[test]
fn on_a_healthy_network_nothing_is_wrong_and_the_path_to_a_robot_works() -> Result {
    let Some(lab) = or_skip("healthy", Lab::new("healthy")) else { return Ok(()) };
    let robots = [Robot::start(&lab, "a")?, Robot::start(&lab, "b")?];
    for robot in &robots {
        wait_until(SOON, "robots that hear each other", || {
            let diagnosis = diagnose(robot, &[]).ok()?;
            (diagnosis.get("hearing")?["state"] == "works").then_some(())
        })?;
        let diagnosis = diagnose(robot, &[])?;
        assert!(diagnosis.is_success, "{:#?}", diagnosis.findings);
        assert!(diagnosis.all("warning").is_empty(), "{:#?}", diagnosis.findings);
        println!("{}", robot.cli_text(&["doctor"])?);
    }
    let mut last = None;
    let path = wait_until(SOON, "a path that works", || {
        let diagnosis = diagnose(&robots[0], &["b"]).ok()?;
        let codes = ["peer.present", "peer.heard", "peer.ping", "peer.line", "peer.ipfs"];
        let works = codes.iter().all(|code| diagnosis.get(code).is_some_and(|one| one["state"] == "works"));
        last = Some(diagnosis.findings);
        works.then_some(())
    });
    assert!(path.is_ok(), "{last:#?}");
    println!("{}", robots[0].cli_text(&["doctor", "b"])?);
    Ok(())
}

#[test]
fn a_wrong_clock_is_named() -> Result {
    let Some(clocks) = or_skip("wrong clock", clocks()) else { return Ok(()) };
    let Some(lab) = or_skip("wrong clock", Lab::new("clock")) else { return Ok(()) };
    let _right = [Robot::start(&lab, "b")?, Robot::start(&lab, "c")?];
    for ((clock, code), name) in
        clocks.into_iter().zip(["clock.differs", "clock.unset"]).zip(["early", "unset"])
    {
        let mut robot = Robot::new(lab.host(name)?, "")?.with_clock(Some(clock));
        robot.restart()?;
        wait_for(&robot, SOON, code)?;
    }
    Ok(())
}

fn clocks() -> Result<[FakeClock; 2], Unavailable> {
    Ok([FakeClock::ahead(3600)?, FakeClock::unset()?])
}

/// Starts a robot on whose host a port was taken before, and waits until `doctor` names it.
fn with_taken_port<T: Send>(
    name: &str,
    code: &str,
    take: impl FnOnce() -> std::io::Result<T> + Send,
) -> Result {
    let Some(lab) = or_skip(name, Lab::new(name)) else { return Ok(()) };
    let mut robot = Robot::new(lab.host("a")?, "")?;
    let _taken = robot.host().within(take)?.map_err(io("taking a port"))?;
    robot.restart()?;
    wait_for(&robot, SOON, code).map(drop)
}

#[test]
fn a_taken_udp_port_is_named() -> Result {
    with_taken_port("udp-taken", "udp.port-taken", || UdpSocket::bind("0.0.0.0:1240"))
}

#[test]
fn a_taken_tcp_port_is_named() -> Result {
    with_taken_port("tcp-taken", "tcp.port-taken", || TcpListener::bind("0.0.0.0:8000"))
}

#[test]
fn a_taken_ipfs_port_is_named() -> Result {
    with_taken_port("ipfs-taken", "ipfs.port-unavailable", || TcpListener::bind("0.0.0.0:6002"))
}

#[test]
fn filtered_broadcasts_and_multicasts_are_named() -> Result {
    let Some(lab) = or_skip("filtered", Lab::new("filtered")) else { return Ok(()) };
    let _open = Robot::start(&lab, "open")?;
    let filtered = |name: &str, rule: &str| -> Result<Robot> {
        let host = lab.host(name)?;
        host.keep_out(&[rule])?;
        Robot::start_on(host, "")
    };
    let no_broadcast = filtered("no-broadcast", "ip daddr 10.77.0.255")?;
    let no_multicast = filtered("no-multicast", "ip daddr 224.0.0.0/4")?;
    wait_for(&no_broadcast, FILTERED, "udp.broadcasts-filtered")?;
    wait_for(&no_multicast, FILTERED, "udp.multicasts-filtered")?;
    Ok(())
}

#[test]
fn client_isolation_is_named() -> Result {
    let Some(lab) = or_skip("isolation", Lab::new("isolation")) else { return Ok(()) };
    let server = Robot::start(&lab, "server")?;
    let only_server = format!("ip saddr {}", server.host().address());
    let isolated = |name: &str| -> Result<Robot> {
        let host = lab.host(name)?;
        host.let_in_only(&[&only_server])?;
        Robot::start_on(host, "")
    };
    let first = isolated("first")?;
    // A robot that states its presence later than this, and is not heard, is isolated and was not switched off.
    wait_until(SOON, "a daemon that runs for a while", || {
        let ping = first.cli(&["ping", "-c", "1", "--json"]).ok()?;
        ping["daemon"]["uptime_seconds"].as_u64().filter(|uptime| *uptime >= 25)
    })?;
    let _second = isolated("second")?;
    let message = wait_for(&first, SOON, "network.isolated")?;
    assert!(message.contains("second") && !message.contains("server"), "{message}");
    Ok(())
}

#[test]
fn a_robot_that_does_not_hear_this_one_is_named() -> Result {
    let Some(lab) = or_skip("deaf", Lab::new("deaf")) else { return Ok(()) };
    let a = Robot::start(&lab, "a")?;
    let host = lab.host("b")?;
    host.keep_out(&["udp dport 1240"])?;
    let _deaf = Robot::start_on(host, "")?;
    wait_for(&a, SOON, "network.not-heard")?;
    let found = diagnose(&a, &["b"])?;
    assert_eq!(found.get("peer.no-pong").map(|found| &found["state"]), Some(&"broken".into()));
    Ok(())
}

/// The name servers of a host, which `ip netns exec` shows to its programs. They are removed with the test.
struct NameServers(PathBuf);

impl NameServers {
    fn set(host: &Host, server: &str) -> Result<Self> {
        let folder = Path::new("/etc/netns").join(host.namespace());
        fs::create_dir_all(&folder).map_err(io("making a folder in /etc/netns"))?;
        let servers = Self(folder);
        let file = servers.0.join("resolv.conf");
        fs::write(file, format!("nameserver {server}\n")).map_err(io("writing name servers"))?;
        Ok(servers)
    }
}

impl Drop for NameServers {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_name_server_that_does_not_answer_is_named() -> Result {
    let Some(lab) = or_skip("name server", Lab::new("dns")) else { return Ok(()) };
    let host = lab.host("a")?;
    let _servers = NameServers::set(&host, "10.77.0.200")?;
    let robot = Robot::start_on(host, "")?;
    let message = wait_for(&robot, SOON, "dns.silent")?;
    assert!(message.contains("10.77.0.200"), "{message}");
    Ok(())
}

/// Answers each connection like a captive portal: with a web page that leads to its own.
const PORTAL: &str = "import socketserver, sys\n\
    class Portal(socketserver.BaseRequestHandler):\n\
    \x20   def handle(self):\n\
    \x20       self.request.recv(4096)\n\
    \x20       self.request.sendall(b'HTTP/1.1 302 Found\\r\\nLocation: http://portal.lab/sign-in\\r\\n\\r\\n')\n\
    socketserver.ThreadingTCPServer.allow_reuse_address = True\n\
    server = socketserver.ThreadingTCPServer(('', int(sys.argv[1])), Portal)\n\
    print('ready', flush=True)\n\
    server.serve_forever()\n";

fn portal(host: &Host, port: u16) -> Result<Process> {
    let mut command = host.command("python3");
    command.args(["-c", PORTAL, &port.to_string()]);
    let process = host.spawn(&format!("portal-{port}"), command)?;
    process.wait_for_line(|line| line == "ready", SOON)?;
    Ok(process)
}

#[test]
fn a_captive_portal_is_named() -> Result {
    let Some(lab) = or_skip("portal", Lab::new("portal")) else { return Ok(()) };
    let server = lab.host("server")?;
    let _portals = [portal(&server, 8000)?, portal(&server, 6667)?, portal(&server, 80)?];
    let address = server.address();
    let configuration = [
        format!("peers = [\"/ip4/{address}/tcp/8000/dswarm-line\"]\n"),
        format!("peers = [\"/ip4/{address}/tcp/6667/irc/#duckiebots/dswarm-line\"]\n"),
        format!("[discovery]\nportal_probe = \"http://{address}/empty\"\n"),
    ];
    let signs =
        ["a web server answers in place of tcp", "a web server answers in place of irc", "http://portal.lab"];
    for (number, (configuration, sign)) in configuration.iter().zip(signs).enumerate() {
        let robot = Robot::start_on(lab.host(&format!("r{number}"))?, configuration)?;
        let message = wait_for(&robot, SOON, "network.captive-portal")?;
        assert!(message.contains(sign), "{message}");
    }
    Ok(())
}

/// Answers each question for an address with 10.77.0.99, as a name server of a captive portal does.
const INVENTOR: &str = "import socket\n\
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
    s.bind(('', 53))\n\
    print('ready', flush=True)\n\
    while True:\n\
    \x20   asked, client = s.recvfrom(512)\n\
    \x20   head = asked[:2] + bytes([0x81, 0x80]) + asked[4:6] + bytes([0, 1, 0, 0, 0, 0])\n\
    \x20   answer = bytes([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 77, 0, 99])\n\
    \x20   s.sendto(head + asked[12:] + answer, client)\n";

#[test]
fn a_name_server_that_invents_addresses_is_named() -> Result {
    let Some(lab) = or_skip("inventing", Lab::new("inventing")) else { return Ok(()) };
    let (server, host) = (lab.host("server")?, lab.host("a")?);
    let mut command = server.command("python3");
    command.args(["-c", INVENTOR]);
    let inventor = server.spawn("inventor", command)?;
    inventor.wait_for_line(|line| line == "ready", SOON)?;
    let _servers = NameServers::set(&host, &server.address().to_string())?;
    let robot = Robot::start_on(host, "")?;
    let message = wait_for(&robot, SOON, "dns.invents")?;
    assert!(message.contains(&server.address().to_string()) && message.contains("10.77.0.99"), "{message}");
    Ok(())
}

#[test]
fn an_irc_server_and_a_bootstrap_peer_that_cannot_be_reached_are_named() -> Result {
    let Some(lab) = or_skip("servers", Lab::new("servers")) else { return Ok(()) };
    let nobody = lab.host("nobody")?.address();
    let peers = format!(
        "peers = [\"/ip4/{nobody}/tcp/6667/irc/#duckiebots/dswarm-line\", \"/ip4/{nobody}/tcp/8000/dswarm-line\"]\n"
    );
    let robot = Robot::start_on(lab.host("a")?, &peers)?;
    wait_for(&robot, SOON, "irc.refused")?;
    wait_for(&robot, SOON, "tcp.refused")?;
    Ok(())
}

#[test]
fn a_disk_that_is_nearly_full_is_named() -> Result {
    const MIB: u64 = 1 << 20;
    let Some(lab) = or_skip("disk", Lab::new("disk")) else { return Ok(()) };
    let mut robot = Robot::new(lab.host("a")?, "disk_free_mib = 32\n")?;
    let disk = SmallDisk::mount(&robot.data_folder(), 256 * MIB)
        .map_err(|error| Unavailable { reason: format!("no disk of a chosen size: {error}") });
    let Some(disk) = or_skip("disk", disk) else { return Ok(()) };
    robot.restart()?;
    assert!(wait_until(SOON, "a disk with room", || {
        Some(diagnose(&robot, &[]).ok()?.get("disk.room")?["state"] == "works")
    })?);
    disk.fill_to(48 * MIB)?;
    wait_for(&robot, SOON, "disk.nearly-full")?;
    disk.fill_to(24 * MIB)?;
    wait_for(&robot, SOON, "disk.full")?;
    Ok(())
}

#[test]
fn wrong_permissions_and_a_missing_shared_folder_are_named() -> Result {
    let Some(lab) = or_skip("folders", Lab::new("folders")) else { return Ok(()) };
    let robot = Robot::start(&lab, "a")?;
    let data = robot.data_folder();
    fs::set_permissions(&data, Permissions::from_mode(0o755)).map_err(io("opening the data folder"))?;
    let message = wait_for(&robot, SOON, "folder.data-open")?;
    assert!(message.contains(&*data.to_string_lossy()), "{message}");
    let shared = robot.shared_folder();
    fs::rename(&shared, shared.with_extension("gone")).map_err(io("moving the shared folder"))?;
    fs::write(&shared, "").map_err(io("writing a file instead of the shared folder"))?;
    wait_for(&robot, SOON, "folder.shared-unreadable")?;
    Ok(())
}

/// Starts a program that holds the port of multicast DNS, as each responder does.
fn responder(host: &Host, name: &str) -> Result<Process> {
    const PROGRAM: &str = "import socket, time\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n\
        s.bind(('', 5353))\n\
        print('bound', flush=True)\n\
        time.sleep(600)\n";
    let mut command = host.command("python3");
    command.args(["-c", PROGRAM]);
    let process = host.spawn(name, command)?;
    process.wait_for_line(|line| line == "bound", SOON)?;
    Ok(process)
}

#[test]
fn a_second_responder_of_multicast_dns_is_named() -> Result {
    let Some(lab) = or_skip("responders", Lab::new("mdns")) else { return Ok(()) };
    let robot = Robot::start(&lab, "a")?;
    let _first = responder(robot.host(), "first")?;
    let one = diagnose(&robot, &[])?;
    assert_eq!(one.get("mdns").map(|found| &found["state"]), Some(&"works".into()), "{:#?}", one.findings);
    let _second = responder(robot.host(), "second")?;
    wait_for(&robot, SOON, "mdns.several-responders")?;
    Ok(())
}

#[test]
fn two_robots_with_one_name_are_named() -> Result {
    let Some(lab) = or_skip("names", Lab::new("names")) else { return Ok(()) };
    let named = |host: &str| -> Result<Robot> {
        let mut robot = Robot::new(lab.host(host)?, "")?;
        let file = robot.host().folder().join("dt-swarm.toml");
        fs::write(file, "hostname = \"entebot208\"\n").map_err(io("writing the configuration"))?;
        robot.restart()?;
        Ok(robot)
    };
    let robots = [named("a")?, named("b")?];
    for robot in &robots {
        let message = wait_for(robot, SOON, "name.clash")?;
        assert!(message.contains("entebot208"), "{message}");
    }
    let refused = robots[0].cli_failure(&["doctor", "entebot208"])?;
    assert!(refused.contains("2 robots are called"), "{refused}");
    // The name with the end of the peer ID means one of them.
    let online = robots[0].cli(&["online", "--json"])?;
    let all = online["robots"].as_array().cloned().unwrap_or_default();
    let other = all.iter().find(|robot| robot["is_daemon"] == false).expect("the other robot");
    let handle = other["handle"].as_str().unwrap();
    assert!(handle.starts_with("entebot208~"), "{handle}");
    let end = handle.split('~').next_back().unwrap();
    let path = diagnose(&robots[0], &[handle])?;
    let present = path.get("peer.present").expect("the path to the other robot");
    assert!(present["message"].as_str().unwrap().contains(end), "{present:#}");
    Ok(())
}

#[test]
fn a_copied_card_is_named() -> Result {
    let Some(lab) = or_skip("copied card", Lab::new("copied")) else { return Ok(()) };
    let _other = Robot::start(&lab, "other")?;
    let mut original = Robot::start(&lab, "original")?;
    original.terminate()?;
    let mut copy = Robot::new(lab.host("copy")?, "")?;
    let mut copying = Command::new("cp");
    copying.arg("-a").arg(original.data_folder().join(".")).arg(copy.data_folder());
    run(copying, SOON)?.success("copying the card")?;
    original.restart()?;
    copy.restart()?;
    wait_for(&original, SOON, "identity.copied")?;
    wait_for(&copy, SOON, "identity.copied")?;
    Ok(())
}

fn swarm_file(lab: &Lab, name: &str, key: Option<u8>) -> Result<PathBuf> {
    let root = dcache::Keypair::from_seed([7; 32]).peer_id();
    let file = dcache::SwarmFile::new(name, [root].into()).unwrap();
    let id = dcache::SwarmId::from_bytes([key.unwrap_or_default(); dcache::SWARM_ID_BYTES]);
    let file = file.with_binding(dcache::Binding { id, from: dcache::Time(0) });
    let file = match key {
        Some(key) => file.with_key(seal::SwarmKey::from_bytes([key; 32])),
        None => file,
    };
    let path = lab.folder().join(format!("{name}.toml"));
    fs::write(&path, file.to_toml()).map_err(io("writing a swarm file"))?;
    Ok(path)
}

#[test]
fn robots_of_other_swarms_are_named() -> Result {
    let Some(lab) = or_skip("other swarms", Lab::new("others")) else { return Ok(()) };
    let member = |name: &str, key: Option<u8>| -> Result<Robot> {
        let file = swarm_file(&lab, name, key)?;
        Robot::start_on(lab.host(name)?, &format!("swarm_file = {file:?}\n"))
    };
    let (first, second) = (member("first", Some(1))?, member("second", Some(2))?);
    let message = wait_for(&first, SOON, "swarm.other-key")?;
    assert!(message.contains(&second.host().address().to_string()), "{message}");
    wait_for(&second, SOON, "swarm.other-key")?;
    // A robot without a swarm file hears lines that it cannot read, and records of another swarm.
    let open = Robot::start(&lab, "open")?;
    wait_for(&open, SOON, "swarm.other-key")?;
    let _unkeyed = member("third", None)?;
    wait_for(&open, SOON, "swarm.other-records")?;
    Ok(())
}
