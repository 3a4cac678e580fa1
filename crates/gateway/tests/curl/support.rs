//! Starts a node with a gateway, and sends requests with `curl`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use gateway::{Holders, routes};
use http_server::{Listener, Router, Settings};
use ipfs::node::{Node, NodeConfig, Provider};
use ipfs::store::StoreConfig;
use ipfs::unixfs::{Content, DirectoryEntry, Format};
use ipfs::{Cid, Keypair};
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Time after which a client that does not read is disconnected.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(2);
const MIB: u64 = 1024 * 1024;

/// A running node and its gateway. Both stop when it is dropped.
pub(crate) struct Served {
    pub(crate) node: Node,
    pub(crate) address: SocketAddr,
    pub(crate) folder: TempDir,
    /// The peers that are reported as holders of every CID.
    pub(crate) holders: watch::Sender<Vec<Provider>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// The answer that `curl` received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The headers by their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// The exit status of `curl`. It is not 0 if the answer is incomplete.
    pub(crate) exit: i32,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Starts a gateway with this timeout for blocks.
pub(crate) async fn serve(block_timeout: Duration) -> Served {
    let folder = TempDir::new().unwrap();
    let store =
        StoreConfig { directory: folder.path().join("store"), max_bytes: 4096 * MIB, min_free_bytes: 0 };
    let mut config = NodeConfig::new(Keypair::generate_ed25519(), store);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.allow_loopback = true;
    let (node, driver, _) = Node::start(config).await.unwrap();
    let running = tokio::spawn(driver.run(CancellationToken::new()));
    node.listen_addresses().wait_for(|all| !all.is_empty()).await.unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let settings = Settings {
        send_timeout: SEND_TIMEOUT,
        ..Settings::new(listen, "gateway", vec!["duckie".to_owned()])
    };
    let listener = Listener::bind(settings).await.unwrap();
    let address = listener.address().unwrap();
    let (_sender, receiver) = watch::channel(Some(node.clone()));
    let (holders, known) = watch::channel(Vec::new());
    let holders_of: Holders = Arc::new(move |_root| {
        let known = known.borrow().clone();
        Box::pin(async { known })
    });
    let router = Router::new(vec![routes(receiver, holders_of, block_timeout)]).unwrap();
    let serving = tokio::spawn(async move {
        listener.serve(router).await;
    });
    Served { node, address, folder, holders, tasks: [running, serving] }
}

impl Served {
    /// Adds and pins a file with this content. Returns its CID.
    pub(crate) async fn add(&self, content: &[u8], format: Format) -> Cid {
        let path = self.write(content);
        let added = self
            .node
            .add_file(ipfs::unixfs::Content::File(path), format, watch::Sender::default())
            .await
            .unwrap();
        self.node.pin(added.root).await.unwrap();
        added.root
    }

    /// Adds and pins a directory with these files. Returns its CID.
    pub(crate) async fn add_directory(&self, files: &[(&str, &[u8])]) -> Cid {
        let entry = |(name, content): &(&str, &[u8])| {
            let content = Content::Bytes(content.to_vec().into());
            DirectoryEntry { path: (*name).to_owned(), content }
        };
        let entries = files.iter().map(entry).collect();
        let added = self.node.add_directory(entries, Format::V1, watch::Sender::default()).await.unwrap();
        self.node.pin(added.root).await.unwrap();
        added.root
    }

    fn write(&self, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join("input");
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Stores one block.
    pub(crate) fn put(&self, cid: &Cid, block: &[u8]) {
        self.node.store().put(cid, block).unwrap();
    }

    /// Requests a path, with further arguments for `curl`.
    pub(crate) async fn get(&self, path: &str, arguments: &[&str]) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let (body, head) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--path-as-is", "--max-time", "60", "--output"])
            .arg(body.path());
        curl.arg("--dump-header").arg(head.path()).args(arguments).arg(url);
        let exit = tokio::task::spawn_blocking(move || curl.status().unwrap().code().unwrap()).await.unwrap();
        let text = std::fs::read_to_string(head.path()).unwrap();
        // After redirects, the last status counts.
        let status = text.lines().rfind(|line| line.starts_with("HTTP/"));
        let status = status.and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let headers = text.lines().filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        Answer { status, headers, body: std::fs::read(body.path()).unwrap(), exit }
    }

    /// Requests only the head of an answer, otherwise like [`Served::get`].
    pub(crate) async fn head(&self, path: &str, arguments: &[&str]) -> Answer {
        self.get(path, &[&["--head"], arguments].concat()).await
    }
}

/// Returns `None`, and reports that the test is skipped, if `curl` is not installed.
pub(crate) fn curl() -> Option<()> {
    lab::or_skip("the gateway with curl as the client", lab::peers::curl_available())
}

/// Returns pseudo-random bytes, the same for the same length.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand_chacha::ChaCha8Rng::seed_from_u64(length as u64).fill_bytes(&mut bytes);
    bytes
}
