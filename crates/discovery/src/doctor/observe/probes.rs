//! Probes of other hosts: TCP connections to robots, and one question to each configured name server.

use crate::doctor::observed::NameServer;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Maximum number of connections that are tried.
const MAX_CONNECTIONS: usize = 16;
/// Timeout of a connection.
const CONNECTING: Duration = Duration::from_millis(1500);
/// Time that a name server has for its answer. The question is then repeated once.
const ANSWERING: Duration = Duration::from_millis(1200);
const DNS_PORT: u16 = 53;
/// A question for the name servers of the root, without its ID: one question, recursion desired.
const QUESTION: [u8; 15] = [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
/// Bit of the third byte of a message that marks an answer.
const IS_ANSWER: u8 = 0x80;

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

/// Asks each name server one question.
pub(super) async fn name_servers(addresses: Vec<IpAddr>) -> Vec<NameServer> {
    let mut questions = JoinSet::new();
    for (place, address) in addresses.into_iter().enumerate() {
        questions.spawn(async move {
            let answers = answers((address, DNS_PORT).into()).await;
            (place, NameServer { address, answers })
        });
    }
    let mut asked = Vec::new();
    while let Some(server) = questions.join_next().await {
        asked.extend(server.ok());
    }
    asked.sort_by_key(|(place, _)| *place);
    asked.into_iter().map(|(_, server)| server).collect()
}

/// Returns whether a name server answers; `None` if no route leads to it.
async fn answers(server: SocketAddr) -> Option<bool> {
    let unspecified: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((unspecified, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    let id = std::process::id().to_be_bytes();
    let id = [id[2], id[3]];
    for _ in 0..2 {
        if matches!(timeout(ANSWERING, question(&socket, id)).await, Ok(Ok(()))) {
            return Some(true);
        }
    }
    Some(false)
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
    async fn only_addresses_that_accept_are_returned() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(accepting(vec![open, closed, open]).await, [open].into());
    }
}
