//! A proxy before a storage. It refuses, delays and drops requests and answers.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The fate of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request and its answer pass.
    None,
    /// The request is not forwarded, and this is the answer: status and body.
    Answer(u16, &'static str),
    /// The request is forwarded, and the connection is closed in place of the answer.
    AnswerLost,
    /// The connection is closed, and the request is not forwarded.
    NotForwarded,
    /// The request is forwarded after this time.
    Slow(Duration),
    /// The client gets no answer for an hour, and the request is forwarded.
    Silent,
    /// One byte of the body is changed.
    Damaged,
}

/// A request, for the choice of the fault.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) number: usize,
    pub(crate) method: Method,
    pub(crate) query: String,
}

type Choose = dyn Fn(&Asked) -> Fault + Send + Sync;

/// A running proxy. Dropping it ends it.
pub(crate) struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<(Asked, Fault)>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Starts a proxy before a port of the loopback interface.
    pub(crate) async fn start(port: u16, choose: impl Fn(&Asked) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, choose): (Arc<Mutex<_>>, Arc<Choose>) = (Arc::default(), Arc::new(choose));
        let (mut tasks, seen) = (JoinSet::new(), asked.clone());
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, port, choose.clone(), seen.clone()));
            }
        });
        Self { address, asked, _tasks: tasks }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests so far with their faults.
    pub(crate) fn asked(&self) -> Vec<(Asked, Fault)> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, port: u16, choose: Arc<Choose>, seen: Arc<Mutex<Vec<(Asked, Fault)>>>) {
    let service = service_fn(move |request| handle(request, port, choose.clone(), seen.clone()));
    // An error is the closed connection that the fault demands.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn handle(
    request: Request<Incoming>,
    port: u16,
    choose: Arc<Choose>,
    seen: Arc<Mutex<Vec<(Asked, Fault)>>>,
) -> io::Result<Response<Full<Bytes>>> {
    let (method, query) = (request.method().clone(), request.uri().query().unwrap_or_default().to_owned());
    let fault = {
        let mut seen = seen.lock().unwrap();
        let asked = Asked { number: seen.len(), method, query };
        let fault = choose(&asked);
        seen.push((asked, fault.clone()));
        fault
    };
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let forward = |body| forward(Request::from_parts(parts, Full::new(body)), port);
    match fault {
        Fault::None => forward(body).await,
        Fault::Answer(status, text) => {
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Response::builder().status(status).body(Full::new(Bytes::from(text))).unwrap())
        }
        Fault::AnswerLost => {
            forward(body).await?;
            Err(io::Error::other("the answer is dropped"))
        }
        Fault::NotForwarded => Err(io::Error::other("the request is dropped")),
        Fault::Slow(time) => {
            tokio::time::sleep(time).await;
            forward(body).await
        }
        Fault::Silent => {
            forward(body).await?;
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Err(io::Error::other("the answer is dropped"))
        }
        Fault::Damaged => {
            let mut body = body.to_vec();
            if let Some(byte) = body.first_mut() {
                *byte ^= 1;
            }
            forward(body.into()).await
        }
    }
}

async fn forward(request: Request<Full<Bytes>>, port: u16) -> io::Result<Response<Full<Bytes>>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}
