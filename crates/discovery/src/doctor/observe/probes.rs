//! Probes of other hosts: TCP connections to robots, and one question to each configured name server.

use crate::doctor::observed::{NameServer, Reply};
use crate::foreign::dns::{self, Data, Name, Question};
use crate::page::{MAX_ANSWER_BYTES, PageAnswer, PageUrl, is_complete, read_answer};
use dcache::{CHALLENGE_BYTES, Challenge, PeerId, Validity};
use rand::TryRng as _;
use routing::{Address, Envelope, MAX_LINE_BYTES, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Maximum number of connections that are tried.
const MAX_CONNECTIONS: usize = 16;
/// Timeout of a connection.
const CONNECTING: Duration = Duration::from_millis(1500);
/// Timeout of the proof of an identity.
const PROVING: Duration = Duration::from_millis(1500);
/// Maximum number of bytes that are read for a proof. The daemon may send beacons before its pong.
const MAX_REPLY_BYTES: u64 = 4 * MAX_LINE_BYTES as u64;
/// Time that a name server has for its answer. The question is then repeated once.
const ANSWERING: Duration = Duration::from_millis(1200);
const DNS_PORT: u16 = 53;
/// Timeout of the page by which captive portals are found, with the look-up of its name.
const PAGE: Duration = Duration::from_secs(4);
/// A question for the name servers of the root, without its ID: one question, recursion desired.
const QUESTION: [u8; 15] = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
/// Bit of the third byte of a message that marks an answer.
const IS_ANSWER: u8 = 0x80;
/// Bit of the third byte of a message that asks for recursion.
const RECURSION: u8 = 0x01;
/// A name that no name server may know (RFC 6761, section 6.4).
const NO_NAME: [&str; 2] = ["dt-swarm-doctor", "invalid"];
/// Type of the records with IPv4 addresses.
const A: u16 = 1;

/// Returns what answers at each of these addresses, which peers stated to accept lines there. In a swarm with a key, lines
/// are sealed, so only the connection is tried.
pub(super) async fn replies(
    stated: BTreeSet<(SocketAddr, PeerId)>,
    has_key: bool,
) -> BTreeMap<(SocketAddr, PeerId), Reply> {
    let mut tries = JoinSet::new();
    for (address, peer) in stated.into_iter().take(MAX_CONNECTIONS) {
        tries.spawn(async move { ((address, peer), reply(address, peer, has_key).await) });
    }
    let mut replies = BTreeMap::new();
    while let Some(tried) = tries.join_next().await {
        replies.extend(tried.ok());
    }
    replies
}

async fn reply(address: SocketAddr, peer: PeerId, has_key: bool) -> Reply {
    let connected = timeout(CONNECTING, TcpStream::connect(address)).await;
    let Ok(Ok(stream)) = connected else { return Reply::None };
    match !has_key && matches!(timeout(PROVING, proves(stream, peer)).await, Ok(Some(true))) {
        true => Reply::Proven,
        false => Reply::Unproven,
    }
}

/// Returns whether the daemon at the other end of a connection proves that it has the key of a peer. Returns `None` if it
/// does not answer with a pong.
async fn proves(stream: TcpStream, peer: PeerId) -> Option<bool> {
    let mut random = [0; CHALLENGE_BYTES];
    rand::rngs::SysRng.try_fill_bytes(&mut random).ok()?;
    let challenge = Challenge::new(random);
    let ping = Message::ping(Validity::ALWAYS);
    let ping = Envelope::new(Address::command_line(), Address::every_brain(), ping);
    let ping = Envelope { challenge: Some(challenge), ..ping }.encode() + "\n";
    let (reader, mut writer) = stream.into_split();
    writer.write_all(ping.as_bytes()).await.ok()?;
    let mut lines = BufReader::new(reader.take(MAX_REPLY_BYTES)).lines();
    while let Some(line) = lines.next_line().await.ok()? {
        let Some(proof) = Envelope::decode(line.as_bytes()).ok().and_then(|pong| pong.proof) else {
            continue;
        };
        return Some(proof.is_of(peer, challenge));
    }
    None
}

/// Returns the addresses at which a connection was accepted.
pub(super) async fn accepting(addresses: Vec<SocketAddr>) -> BTreeSet<SocketAddr> {
    let mut tries = JoinSet::new();
    let addresses: BTreeSet<SocketAddr> = addresses.into_iter().collect();
    for address in addresses.into_iter().take(MAX_CONNECTIONS) {
        tries.spawn(async move {
            let connected = timeout(CONNECTING, TcpStream::connect(address)).await;
            matches!(connected, Ok(Ok(_))).then_some(address)
        });
    }
    let mut accepting = BTreeSet::new();
    while let Some(tried) = tries.join_next().await {
        accepting.extend(tried.ok().flatten());
    }
    accepting
}

/// Asks for the page by which captive portals are found. Returns `None` if no page is configured.
pub(in crate::doctor) async fn page(url: &str) -> Option<Result<PageAnswer, String>> {
    if url.is_empty() {
        return None;
    }
    let Some(url) = PageUrl::parse(url) else {
        return Some(Err(format!("{url} is not an address of a page")));
    };
    let answer = timeout(PAGE, ask_for(&url)).await;
    let late = || Err(format!("no answer within {} s", PAGE.as_secs()));
    Some(answer.map_or_else(|_| late(), |answer| answer.map_err(|error| error.to_string())))
}

async fn ask_for(url: &PageUrl) -> io::Result<PageAnswer> {
    let mut stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
    stream.write_all(url.request().as_bytes()).await?;
    let mut answer = Vec::new();
    let mut reader = stream.take(MAX_ANSWER_BYTES as u64);
    while reader.read_buf(&mut answer).await? > 0 && !is_complete(&answer) {}
    read_answer(&answer).ok_or_else(|| io::Error::other("no web server answers there"))
}

/// Asks each name server one question.
pub(super) async fn name_servers(addresses: Vec<IpAddr>) -> Vec<NameServer> {
    let mut questions = JoinSet::new();
    for (place, address) in addresses.into_iter().enumerate() {
        questions.spawn(async move {
            let server = (address, DNS_PORT).into();
            let (answers, invented) = tokio::join!(answers(server), invented(server));
            (place, NameServer { address, answers, invented })
        });
    }
    let mut asked = Vec::new();
    while let Some(server) = questions.join_next().await {
        asked.extend(server.ok());
    }
    asked.sort_by_key(|(place, _)| *place);
    asked.into_iter().map(|(_, server)| server).collect()
}

/// Returns a socket that exchanges datagrams with a server; `None` if no route leads to it.
async fn socket_to(server: SocketAddr) -> Option<UdpSocket> {
    let unspecified: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((unspecified, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    Some(socket)
}

/// Returns whether a name server answers; `None` if no route leads to it.
async fn answers(server: SocketAddr) -> Option<bool> {
    let socket = socket_to(server).await?;
    let id = std::process::id().to_be_bytes();
    let id = [id[2], id[3]];
    for _ in 0..2 {
        if matches!(timeout(ANSWERING, question(&socket, id)).await, Ok(Ok(()))) {
            return Some(true);
        }
    }
    Some(false)
}

/// Asks a name server for the address of a name that cannot exist. Returns the address that it gives. The question is
/// asked once, because a lost answer only hides a fault.
async fn invented(server: SocketAddr) -> Option<Ipv4Addr> {
    let socket = socket_to(server).await?;
    let [.., high, low] = std::process::id().to_be_bytes();
    let id = u16::from_be_bytes([high, low]).wrapping_add(1);
    let name = Name::new(NO_NAME)?;
    let question = Question { name: name.clone(), kind: A, wants_unicast: false };
    let mut message = dns::write(&dns::Message { id, questions: vec![question], ..dns::Message::default() });
    // A recursive answer is wanted.
    *message.get_mut(2)? |= RECURSION;
    socket.send(&message).await.ok()?;
    let mut buffer = [0; 512];
    let answer = async {
        loop {
            let length = socket.recv(&mut buffer).await.ok()?;
            let answer =
                dns::read(buffer.get(..length)?).ok().filter(|answer| answer.id == id && answer.is_response);
            if let Some(answer) = answer {
                return answer.records.into_iter().find_map(|record| match record.data {
                    Data::A(address) if record.name == name => Some(address),
                    _ => None,
                });
            }
        }
    };
    timeout(ANSWERING, answer).await.ok().flatten()
}

/// Sends the question, and waits for an answer of any kind: a name server that refuses the question is there, too.
async fn question(socket: &UdpSocket, id: [u8; 2]) -> io::Result<()> {
    let mut message = id.to_vec();
    message.extend(QUESTION);
    socket.send(&message).await?;
    let mut buffer = [0; 512];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if length >= 12 && buffer[..2] == id && buffer[2] & IS_ANSWER != 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Keypair, Prover};
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_name_server_that_answers_is_recognised() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let asked = tokio::spawn(answers(address));
        let mut buffer = [0; 512];
        let (length, from) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!(buffer[2..length], QUESTION, "a header of 12 bytes, the root, NS and IN");
        server.send_to(&[0xff; 20], from).await.unwrap();
        buffer[2] |= IS_ANSWER;
        server.send_to(&buffer[..length], from).await.unwrap();
        assert_eq!(asked.await.unwrap(), Some(true));
    }

    #[tokio::test]
    async fn only_the_owner_of_a_peer_id_proves_it() {
        let seeds = [Some(1), Some(2), None];
        let mut stated = BTreeSet::new();
        let peer = Keypair::from_seed([1; 32]).peer_id();
        let mut at = Vec::new();
        for seed in seeds {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            at.push(listener.local_addr().unwrap());
            stated.insert((listener.local_addr().unwrap(), peer));
            tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let (reader, mut writer) = stream.into_split();
                let line = BufReader::new(reader).lines().next_line().await.unwrap().unwrap();
                let ping = Envelope::decode(line.as_bytes()).unwrap();
                let message = Message::pong(Validity::ALWAYS);
                let pong = Envelope::new(Address::brain(peer), ping.from, message);
                let prover = seed.map(|seed| Prover::new(Keypair::from_seed([seed; 32])));
                let proof = prover.map(|prover| prover.prove(ping.challenge.unwrap()));
                writer.write_all((Envelope { proof, ..pong }.encode() + "\n").as_bytes()).await.unwrap();
            });
        }
        let replies = replies(stated, false).await;
        let found: Vec<Reply> = at.iter().map(|address| replies[&(*address, peer)]).collect();
        assert_eq!(found, [Reply::Proven, Reply::Unproven, Reply::Unproven]);
        assert_eq!(reply(at[0], peer, false).await, Reply::None, "nobody listens any more");
    }

    #[tokio::test]
    async fn only_addresses_that_accept_are_returned() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(accepting(vec![open, closed, open]).await, [open].into());
    }
}
