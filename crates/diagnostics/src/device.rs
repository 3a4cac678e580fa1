//! Asks dt-device-health, a small web server on this robot, for the state of the board and the battery.

use crate::collect::device_health::{DeviceHealth, MAX_ANSWER_BYTES};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Maximum time for an answer. The server answers from memory.
const ANSWERING: Duration = Duration::from_secs(1);
/// Time after which a server that did not answer is asked again. Most robots that do not run it never will.
const RETRY: Duration = Duration::from_secs(60);
/// Maximum size of the head of an answer in bytes.
const MAX_HEAD_BYTES: usize = 8192;
/// End of the head of an answer.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Asks dt-device-health at an address.
#[derive(Debug)]
pub(crate) struct DeviceClient {
    address: Option<SocketAddr>,
    /// Time before which the server is not asked, because it did not answer.
    pause: Option<Instant>,
}

impl DeviceClient {
    /// Creates a client of the server at this address; without one, nobody is asked.
    pub(crate) fn new(address: Option<SocketAddr>) -> Self {
        Self { address, pause: None }
    }

    /// Returns the answer of the server, if it gives one soon.
    pub(crate) async fn ask(&mut self) -> Option<DeviceHealth> {
        let address = self.address?;
        if self.pause.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let answer = timeout(ANSWERING, get(address)).await;
        let health =
            answer.ok().and_then(Result::ok).and_then(|answer| body(&answer).and_then(DeviceHealth::parse));
        self.pause = health.is_none().then(|| Instant::now() + RETRY);
        health
    }
}

/// Returns the answer to a request for the page `/`. The server closes the connection at its end.
async fn get(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET / HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\nUser-Agent: dt-swarm\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take((MAX_HEAD_BYTES + MAX_ANSWER_BYTES) as u64).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// Returns the body of an answer with the status 200.
fn body(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(HEAD_END.len()).position(|window| window == HEAD_END)?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    (status == "200").then(|| &answer[end + HEAD_END.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn only_the_body_of_a_good_answer_is_read() {
        assert_eq!(body(b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\n{}"), Some(&b"{}"[..]));
        for wrong in [
            &b""[..],
            b"HTTP/1.0 200 OK\r\n",
            b"HTTP/1.1 404 Not Found\r\n\r\n{}",
            b"{}\r\n\r\n{}",
            b"\xff\r\n\r\n",
        ] {
            assert_eq!(body(wrong), None);
        }
    }

    #[tokio::test]
    async fn a_server_is_asked_and_one_that_is_absent_is_left_alone_for_a_while() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = DeviceClient::new(Some(address));
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(HEAD_END) {
                request.push(stream.read_u8().await.unwrap());
            }
            assert!(request.starts_with(b"GET / HTTP/1.0\r\n"));
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{\"status\": \"error\"}").await.unwrap();
        };
        let (health, ()) = tokio::join!(client.ask(), serve);
        assert!(health.unwrap().status.is_some());
        drop(listener);
        assert_eq!(client.ask().await, None);
        assert!(client.pause.is_some_and(|until| until > Instant::now()));
        assert_eq!(DeviceClient::new(None).ask().await, None);
    }
}
