//! Tests of the IRC channel with a real ngIRCd on the loopback interface. The server has its default flood limits.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic fails the test with a message")]

use channels::{IrcSettings, IrcTls, Switchboard, run_irc};
use dcache::Keypair;
use lab::or_skip;
use lab::peers::{Ngircd, NgircdOptions, ngircd_available};
use routing::{
    Address, ChannelCommand, ChannelEvent, ChannelId, Envelope, Family, Medium, Message, Reach, Target,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use telemetry::FaultReport;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);
const CHANNEL: &str = "#duckiebots";

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// Starts a server; `None` where ngIRCd is not installed.
fn server(test: &str, options: &NgircdOptions) -> Option<(Ngircd, TempDir)> {
    or_skip(test, ngircd_available())?;
    let folder = tempfile::tempdir().unwrap();
    Some((Ngircd::on_loopback(folder.path(), options).unwrap(), folder))
}

fn settings(at: SocketAddr, number: u8) -> IrcSettings {
    let peer = Keypair::from_seed([number; 32]).peer_id();
    let address = format!("/ip4/{}/tcp/{}/irc/{CHANNEL}/dswarm-line", at.ip(), at.port());
    let mut settings = IrcSettings::at(&address.parse().unwrap(), "duckie", peer).unwrap();
    settings.pace = millis(100);
    settings.waits.reconnect = (millis(100), millis(500));
    settings.waits.rejoin = (millis(300), millis(600));
    settings.waits.answer = Duration::from_secs(5);
    settings
}

/// A client and its reports. Dropping it ends the client.
struct Client {
    switchboard: Switchboard,
    events: mpsc::Receiver<ChannelEvent>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Client {
    fn start(settings: IrcSettings) -> Self {
        let (reports, events) = mpsc::channel(1024);
        let switchboard = Switchboard::new(reports);
        let run = run_irc(settings, switchboard.clone());
        let task = tokio::spawn(async move {
            let Err(error) = run.await;
            panic!("{error}");
        });
        Self { switchboard, events, _task: tokio_util::task::AbortOnDropHandle::new(task) }
    }

    async fn next(&mut self) -> ChannelEvent {
        self.find(Some).await
    }

    /// Waits for the first event that `wanted` accepts.
    async fn find<T>(&mut self, wanted: impl Fn(ChannelEvent) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let search = async {
            loop {
                let event = self.events.recv().await.unwrap();
                seen.push(format!("{event:?}"));
                if let Some(found) = wanted(event) {
                    return found;
                }
            }
        };
        timeout(DEADLINE, search)
            .await
            .unwrap_or_else(|_| panic!("the event did not come in time; other events: {seen:#?}"))
    }

    /// Waits until a channel comes up, whatever is reported before.
    async fn up(&mut self) -> ChannelId {
        let is_up = |event| match event {
            ChannelEvent::Up { channel, medium } => Some((channel, medium)),
            _ => None,
        };
        let (channel, medium) = self.find(is_up).await;
        let Medium::Broadcast { name, at, capacity, .. } = medium else { panic!("{medium:?}") };
        assert!(name == "irc 127.0.0.1 #duckiebots" && at.is_some(), "{name} {at:?}");
        assert_eq!(capacity.reach, Reach::World);
        channel
    }

    /// Waits for the next fault with this code.
    async fn trouble(&mut self, code: &str) -> FaultReport {
        let is_it = |event| match event {
            ChannelEvent::Trouble { fault: Some(fault), .. } => (fault.code() == code).then_some(fault),
            _ => None,
        };
        self.find(is_it).await
    }

    async fn wait_for(&mut self, wanted: ChannelEvent) {
        self.find(|event| (event == wanted).then_some(())).await;
    }

    /// Waits for the next line.
    async fn line(&mut self) -> (Envelope, usize) {
        let is_line = |event| match event {
            ChannelEvent::Received { envelope, bytes, .. } => Some((envelope, bytes)),
            _ => None,
        };
        self.find(is_line).await
    }

    fn say(&self, channel: ChannelId, envelope: &Envelope) {
        let line = envelope.encode();
        self.switchboard.carry_out(ChannelCommand::Send { channel, target: Target::All, line });
    }
}

fn envelope(comment: &str) -> Envelope {
    let payload = Message::ping(dcache::Validity::ALWAYS);
    let envelope = Envelope::new(Address::command_line(), Address::every_brain(), payload);
    Envelope { comment: Some(comment.to_owned()), ..envelope }
}

/// A person with a traditional IRC client.
struct Human {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Human {
    async fn join(at: SocketAddr, nick: &str) -> Self {
        let (read, write) = TcpStream::connect(at).await.unwrap().into_split();
        let mut human = Self { lines: BufReader::new(read).lines(), write };
        human.say(&format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\nJOIN {CHANNEL}")).await;
        human.wait_for(" 366 ").await;
        human
    }

    async fn say(&mut self, line: &str) {
        self.write.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }

    async fn wait_for(&mut self, part: &str) -> String {
        let search = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("the server keeps the connection");
                if line.contains(part) {
                    return line;
                }
            }
        };
        timeout(DEADLINE, search).await.unwrap_or_else(|_| panic!("{part:?} did not come in time"))
    }

    /// Waits for the next robot that joins. Returns its nick.
    async fn see_join(&mut self) -> String {
        let line = self.wait_for(&format!("JOIN :{CHANNEL}")).await;
        line.trim_start_matches(':').split('!').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn short_and_long_lines_go_both_ways() {
    let options = NgircdOptions::default();
    let Some((server, _folder)) = server("short_and_long_lines_go_both_ways", &options) else { return };
    let mut one = Client::start(settings(server.address(), 1));
    let mut other = Client::start(settings(server.address(), 2));
    let (at_one, at_other) = (one.up().await, other.up().await);
    let (short, long) = (envelope("short ünïcödé"), envelope(&"long ".repeat(200)));
    one.say(at_one, &short);
    assert_eq!(other.line().await, (short.clone(), short.encode().len()));
    other.say(at_other, &long);
    let (heard, bytes) = one.line().await;
    assert_eq!(heard, long);
    assert!(bytes > long.encode().len());
    one.say(at_one, &long);
    assert_eq!(other.line().await.0, long);
}

#[tokio::test]
async fn a_robot_whose_nick_is_taken_takes_another() {
    let options = NgircdOptions::default();
    let Some((server, _folder)) = server("a_robot_whose_nick_is_taken", &options) else { return };
    let mut human = Human::join(server.address(), "human").await;
    // The same robot connects twice, as when it reconnects before the server notices that the first connection is dead.
    let mut one = Client::start(settings(server.address(), 1));
    one.up().await;
    let first = human.see_join().await;
    let mut again = Client::start(settings(server.address(), 1));
    again.up().await;
    let second = human.see_join().await;
    assert!(first.starts_with("ducki") && second.starts_with("ducki") && first != second, "{first} {second}");
}

#[tokio::test]
async fn a_robot_that_is_kicked_reports_it_and_comes_back() {
    let options = NgircdOptions::default();
    let Some((server, _folder)) = server("a_robot_that_is_kicked_comes_back", &options) else { return };
    let mut human = Human::join(server.address(), "human").await;
    let mut robot = Client::start(settings(server.address(), 1));
    let channel = robot.up().await;
    let nick = human.see_join().await;
    human.say(&format!("KICK {CHANNEL} {nick} :too loud")).await;
    robot.wait_for(ChannelEvent::Down { channel }).await;
    let kicked = robot.trouble("irc.kicked").await.message();
    assert!(kicked.contains("human kicked") && kicked.contains("too loud"), "{kicked}");
    assert_ne!(robot.up().await, channel);
    assert!(matches!(robot.next().await, ChannelEvent::Trouble { fault: None, .. }));
    // The robot is not let in again. It reports the reason, keeps trying, and joins as soon as it may.
    human.say(&format!("MODE {CHANNEL} +i\r\nKICK {CHANNEL} {nick}")).await;
    let refused = robot.trouble("irc.channel-invite-only").await.message();
    assert!(refused.contains("cannot be joined") && refused.contains("mode -i"), "{refused}");
    human.say(&format!("MODE {CHANNEL} -i\r\nMODE {CHANNEL} +m")).await;
    let channel = robot.up().await;
    robot.say(channel, &envelope("may I?"));
    robot.trouble("irc.channel-moderated").await;
    human.say(&format!("MODE {CHANNEL} -m")).await;
    let channel = robot.up().await;
    robot.say(channel, &envelope("thank you"));
    human.wait_for("thank you").await;
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again() {
    let options = NgircdOptions::default();
    let Some((mut server, _folder)) = server("a_server_that_restarts_is_found_again", &options) else {
        return;
    };
    let mut robot = Client::start(settings(server.address(), 1));
    let channel = robot.up().await;
    server.stop().unwrap();
    robot.wait_for(ChannelEvent::Down { channel }).await;
    robot.trouble("irc.refused").await;
    server.restart().unwrap();
    robot.up().await;
    assert!(matches!(robot.next().await, ChannelEvent::Trouble { fault: None, .. }));
}

#[tokio::test]
async fn chat_is_ignored_and_malformed_lines_are_counted() {
    let options = NgircdOptions::default();
    let Some((server, _folder)) = server("chat_is_ignored", &options) else { return };
    let mut human = Human::join(server.address(), "human").await;
    let mut robot = Client::start(settings(server.address(), 1));
    let channel = robot.up().await;
    let nick = human.see_join().await;
    human.say(&format!("PRIVMSG {CHANNEL} :hello, robots \x0304 red")).await;
    human.say(&format!("PRIVMSG {CHANNEL} :\x01VERSION\x01")).await;
    // A direct message, a notice, and Latin-1. None of them is for the robot, and none of them does harm.
    human.say(&format!("PRIVMSG {nick} :{{}}\r\nNOTICE {CHANNEL} :{{}}")).await;
    human.write.write_all(b"PRIVMSG #duckiebots :gr\xfc\xdfe\r\n").await.unwrap();
    human.say(&format!("PRIVMSG {CHANNEL} :{{\"fragment\": 0, \"n\": 99999999}}")).await;
    human.say(&format!("PRIVMSG {CHANNEL} :{}", envelope("by hand").encode())).await;
    assert_eq!(robot.next().await, ChannelEvent::Malformed { channel });
    assert_eq!(robot.line().await.0, envelope("by hand"));
}

#[tokio::test]
async fn faults_are_reported_with_code_and_message() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = nobody.local_addr().unwrap();
    // The listener accepts connections in its backlog and sends nothing.
    let mut quick = settings(at, 1);
    quick.waits.answer = millis(300);
    Client::start(quick.clone()).trouble("irc.silent").await;
    let encrypted = IrcSettings { tls: IrcTls::System, ..quick.clone() };
    // The fault is another one if this system trusts no certificates.
    let failed = |event| match event {
        ChannelEvent::Trouble { fault, .. } => fault,
        _ => None,
    };
    let failed = Client::start(encrypted).find(failed).await;
    assert!(["irc.tls-failed", "irc.certificates-missing"].contains(&failed.code()), "{failed}");
    assert!(failed.message().contains("certificate"), "{failed}");
    // Nothing listens any more.
    drop(nobody);
    let refused = Client::start(quick.clone()).trouble("irc.refused").await.message();
    assert!(refused.contains("refuses connections") && refused.contains("next attempt in"), "{refused}");
    let nameless =
        IrcSettings { server: "no-such-host.invalid".to_owned(), family: Family::Any, ..quick.clone() };
    Client::start(nameless).trouble("irc.name-unresolved").await;
    let missing = IrcSettings { tls: IrcTls::Roots("/no/such/file".into()), ..quick };
    let unreadable = Client::start(missing).trouble("irc.certificates-unreadable").await.message();
    assert!(unreadable.contains("/no/such/file"), "{unreadable}");
}

/// The test itself plays a minimal server, to see how a client reacts when the server stops answering.
#[tokio::test]
async fn a_robot_disconnects_from_a_server_that_stops_answering() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(listener.local_addr().unwrap(), 1);
    settings.waits.quiet = millis(200);
    settings.waits.answer = millis(300);
    let mut robot = Client::start(settings);
    let (stream, _) = listener.accept().await.unwrap();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let nick = lines.next_line().await.unwrap().unwrap();
    let nick = nick.strip_prefix("NICK ").unwrap().to_owned();
    write.write_all(format!(":irc.lab 001 {nick} :Welcome\r\n").as_bytes()).await.unwrap();
    while !lines.next_line().await.unwrap().unwrap().starts_with("JOIN") {}
    write.write_all(format!(":{nick}!a@b JOIN {CHANNEL}\r\n").as_bytes()).await.unwrap();
    let channel = robot.up().await;
    while !lines.next_line().await.unwrap().unwrap().starts_with("PING") {}
    robot.wait_for(ChannelEvent::Down { channel }).await;
    robot.trouble("irc.ping-unanswered").await;
    // The robot connects again. Bytes without a line end violate the IRC protocol.
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(&[b'x'; 8192]).await.unwrap();
    robot.trouble("irc.not-irc").await;
}

/// A server lets the robot in and throws it out again and again. The robot obeys only its own backoff.
#[tokio::test]
async fn a_server_cannot_change_the_state_faster_than_the_backoff() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut robot = Client::start(settings(listener.local_addr().unwrap(), 1));
    let (stream, _) = listener.accept().await.unwrap();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let nick = lines.next_line().await.unwrap().unwrap();
    let nick = nick.strip_prefix("NICK ").unwrap().to_owned();
    write.write_all(format!(":irc.lab 001 {nick} :Welcome\r\n").as_bytes()).await.unwrap();
    while !lines.next_line().await.unwrap().unwrap().starts_with("JOIN") {}
    let in_and_out = format!(":{nick}!a@b JOIN {CHANNEL}\r\n:op!a@b KICK {CHANNEL} {nick} :a\u{202e}b\r\n");
    let begun = tokio::time::Instant::now();
    write.write_all((in_and_out.repeat(200) + "PING :end\r\n").as_bytes()).await.unwrap();
    let kicked = robot.trouble("irc.kicked").await.message();
    assert!(kicked.contains(r"a\u{202e}b"), "{kicked}");
    while !lines.next_line().await.unwrap().unwrap().contains("end") {}
    let events = std::iter::from_fn(|| robot.events.try_recv().ok());
    let ups = events.filter(|event| matches!(event, ChannelEvent::Up { .. })).count() as u128;
    // The first wait is at least half of the 300 ms in the settings.
    assert!(ups <= begun.elapsed().as_millis() / 150, "{ups} changes in {:?}", begun.elapsed());
    // A JOIN that comes too early counts when the wait ends.
    write.write_all(format!(":{nick}!a@b JOIN {CHANNEL}\r\n").as_bytes()).await.unwrap();
    robot.up().await;
}

/// However much the brain sends, the long-term rate is one line per interval.
#[tokio::test]
async fn the_rate_limit_holds_for_any_number_of_lines() {
    let options = NgircdOptions::default();
    let Some((server, _folder)) = server("the_rate_limit_holds", &options) else { return };
    let mut human = Human::join(server.address(), "human").await;
    let mut robot = Client::start(settings(server.address(), 1));
    let channel = robot.up().await;
    (0..200).for_each(|number| robot.say(channel, &envelope(&format!("number {number}"))));
    let begun = tokio::time::Instant::now();
    for _ in 0..15 {
        human.wait_for("PRIVMSG").await;
    }
    let taken = begun.elapsed();
    assert!(taken >= millis(100) * 13, "15 lines in {taken:?}");
}

/// Creates a self-signed certificate for 127.0.0.1 with the program openssl; `None` where it is missing.
fn certificate(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", "2", "-subj", "/CN=irc.lab", "-addext", "subjectAltName=IP:127.0.0.1"]);
    // By default openssl creates a certificate that may sign others, which clients refuse as a server certificate.
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    let made = command.output().ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some((certificate, key))
}

#[tokio::test]
async fn tls_connects_only_to_trusted_servers() {
    let files = tempfile::tempdir().unwrap();
    let Some(tls) = certificate(files.path()) else {
        return eprintln!("LEFT OUT: tls_connects_only_to_trusted_servers: the program openssl is missing");
    };
    let options = NgircdOptions { tls: Some(tls.clone()), ..NgircdOptions::default() };
    let Some((server, _folder)) = server("tls_connects_only_to_trusted_servers", &options) else { return };
    let settings = |number| settings(server.address(), number);
    let trusting = |number| IrcSettings { tls: IrcTls::Roots(tls.0.clone()), ..settings(number) };
    let (mut one, mut other) = (Client::start(trusting(1)), Client::start(trusting(2)));
    let (at_one, _) = (one.up().await, other.up().await);
    one.say(at_one, &envelope("secretly"));
    assert_eq!(other.line().await.0, envelope("secretly"));
    // Other clients do not trust that certificate, or do not encrypt.
    let stranger = IrcSettings { tls: IrcTls::System, ..settings(3) };
    let distrusted = Client::start(stranger).trouble("irc.tls-failed").await.message();
    assert!(distrusted.contains("certificate"), "{distrusted}");
    let plain =
        IrcSettings { waits: channels::IrcWaits { answer: millis(500), ..trusting(4).waits }, ..settings(4) };
    let early = Client::start(plain).trouble("irc.closed-early").await.message();
    assert!(early.contains("TLS"), "{early}");
}
