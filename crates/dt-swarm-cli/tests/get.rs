//! Runs `get` against a daemon without a control socket for this user, so that the program fetches the files itself.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod served;

use dcache::{SwarmFile, Validity, buckets};
use ipfs::node::{Node, NodeConfig};
use ipfs::store::StoreConfig;
use ipfs::unixfs::{Content, DirectoryEntry, Format};
use logs::{Description, INFO_NAME};
use seal::SwarmKey;
use served::{DAEMON, Daemon, clock, peer, run_with};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(30);

/// A daemon whose IPFS node holds shared files.
struct Holder {
    host: String,
    /// The runtime of the node.
    _runtime: Runtime,
    _folder: TempDir,
}

/// Makes bytes that differ from chunk to chunk.
fn noise(length: usize) -> Vec<u8> {
    let word = |n: u32| n.wrapping_mul(2_654_435_761).rotate_left(7).to_le_bytes();
    (0..=length as u32 / 4).flat_map(word).take(length).collect()
}

impl Holder {
    fn new(files: &[(&str, Vec<u8>)], key: Option<&SwarmKey>) -> Self {
        let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let mut daemon = Daemon::new();
        daemon.swarm_key = key.cloned();
        let node = runtime.block_on(start(folder.path(), key));
        for (name, content) in files {
            let file = folder.path().join("file");
            std::fs::write(&file, content).unwrap();
            let size = content.len() as u64;
            let description = Description {
                filename: (*name).to_owned(),
                path: None,
                recording: None,
                size,
                changed: clock(),
                uploader: peer(DAEMON),
            };
            let info = folder.path().join("info");
            std::fs::write(&info, description.to_yaml(None).unwrap()).unwrap();
            let entry =
                |path: &str, file| DirectoryEntry { path: path.to_owned(), content: Content::File(file) };
            let entries = vec![entry(name, file), entry(INFO_NAME, info)];
            let added = node.add_directory(entries, Format::V1, watch::Sender::default());
            let root = runtime.block_on(added).unwrap().root;
            runtime.block_on(node.pin(root)).unwrap();
            share(&mut daemon, &root.to_string(), &description);
        }
        let addresses = node.listen_addresses().borrow().clone();
        announce(&mut daemon, &addresses[0].to_string());
        Self { host: daemon.serve(), _runtime: runtime, _folder: folder }
    }
}

async fn start(folder: &Path, key: Option<&SwarmKey>) -> Node {
    let store = StoreConfig { directory: folder.join("store"), max_bytes: 1 << 30, min_free_bytes: 0 };
    // The node has the same peer ID as the daemon.
    let keypair = ipfs::Keypair::ed25519_from_bytes([DAEMON; 32]).unwrap();
    let config = NodeConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        network_key: key.map(|key| key.libp2p().into()),
        allow_loopback: true,
        ..NodeConfig::new(keypair, store)
    };
    let (node, driver, _) = Node::start(config).await.unwrap();
    tokio::spawn(driver.run(CancellationToken::new()));
    node.listen_addresses().wait_for(|addresses| !addresses.is_empty()).await.unwrap();
    node
}

fn share(daemon: &mut Daemon, cid: &str, description: &Description) {
    let hour = Validity::starting(clock(), 3600);
    daemon.propose(DAEMON, "share/files", cid, hour);
    let info = description.to_data().unwrap();
    daemon.propose(DAEMON, &format!("share/info/{cid}"), info.as_str(), hour);
}

fn announce(daemon: &mut Daemon, address: &str) {
    let bucket = buckets::IPFS_ADDRESSES.of(peer(DAEMON)).to_string();
    daemon.propose(DAEMON, &bucket, address, Validity::starting(clock(), 3600));
}

/// Makes the command `get` with these arguments, in this folder.
fn get(host: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = run_with(&[&[host, "get"], arguments].concat());
    command.current_dir(folder);
    command
}

fn ok(mut command: Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(1), Vec::new()));
    String::from_utf8(output.stderr).unwrap()
}

/// Returns the sorted names of the files in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_of_all_sizes_are_fetched_from_another_daemon() {
    let sizes = [0, 1, 6, 5000, 60_000, 66_000, 700_000];
    let files: Vec<(String, Vec<u8>)> = sizes.iter().map(|size| (size.to_string(), noise(*size))).collect();
    let files: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, content)| (name.as_str(), content.clone())).collect();
    let holder = Holder::new(&files, None);
    let here = tempfile::tempdir().unwrap();
    for (name, content) in &files {
        ok(get(&holder.host, here.path(), &[name]));
        assert!(std::fs::read(here.path().join(name)).unwrap() == *content, "{name} bytes");
    }
    assert_eq!(names(here.path()).len(), files.len(), "{:?}", names(here.path()));
}

#[test]
fn files_are_fetched_in_a_swarm_with_a_key() {
    let key = SwarmKey::from_bytes([7; 32]);
    let holder = Holder::new(&[("a", noise(300_000))], Some(&key));
    let here = tempfile::tempdir().unwrap();
    let swarm = SwarmFile::new("class", [peer(DAEMON)].into()).unwrap().with_key(key);
    std::fs::write(here.path().join("class.toml"), swarm.to_toml()).unwrap();
    let refused = refusal(get(&holder.host, here.path(), &["a"]));
    assert!(refused.contains("belongs to a swarm with a key"), "{refused}");
    ok(get(&holder.host, here.path(), &["a", "--swarm", "class.toml"]));
    assert!(std::fs::read(here.path().join("a")).unwrap() == noise(300_000));
}

#[test]
fn several_files_go_into_a_new_folder_or_to_standard_output() {
    let (a, b) = (noise(300_000), b"hello\n".to_vec());
    let long = format!("{}.bag", "L".repeat(251));
    let holder = Holder::new(&[("a.bag", a.clone()), ("b.txt", b.clone()), (&long, b.clone())], None);
    let here = tempfile::tempdir().unwrap();
    ok(get(&holder.host, here.path(), &["a.bag", "b.txt", &long, "-o", "runs/today"]));
    let folder = here.path().join("runs/today");
    assert_eq!(names(&folder), [long.as_str(), "a.bag", "b.txt"]);
    assert!(
        std::fs::read(folder.join("a.bag")).unwrap() == a
            && std::fs::read(folder.join("b.txt")).unwrap() == b
    );

    let printed = ok(get(&holder.host, here.path(), &["b.txt", "a.bag", "-o", "-"])).stdout;
    assert!(printed == [b, a].concat());
    let document = ok(get(&holder.host, here.path(), &["a.bag", "b.txt", "-o", "more", "--json"])).stdout;
    let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["files"][0]["bytes"], 300_000);
    assert_eq!(document["files"][1]["path"], "more/b.txt");
    assert_eq!(names(here.path()), ["more", "runs"]);
}

#[test]
fn invalid_destinations_are_refused_before_fetching() {
    let holder = Holder::new(&[("a.bag", noise(10)), ("b.bag", noise(20))], None);
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("b.bag"), "mine").unwrap();
    for (arguments, words) in [
        // In earlier versions the last argument was the destination.
        (&["a.bag", "c.bag"][..], "knows no file called \"c.bag\""),
        (&["a.bag", "c.bag"], "-o"),
        (&["a.bag", "b.bag"], "b.bag already exists"),
        (&["a.bag", "a.bag"], "two of these files"),
        (&["a.bag", "-o", "/proc/there/"], "/proc/there/ cannot be written"),
        (&["a.bag", "-o", "b.bag/c"], "cannot be written"),
        (&["a.bag", "-o", "-", "--json"], "writes the file to standard output"),
    ] {
        let said = refusal(get(&holder.host, here.path(), arguments));
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(names(here.path()), ["b.bag"]);
    }
    assert_eq!(std::fs::read(here.path().join("b.bag")).unwrap(), b"mine");
}

#[test]
fn a_socket_that_only_the_environment_names_need_not_exist() {
    let holder = Holder::new(&[("a.bag", noise(10))], None);
    let here = tempfile::tempdir().unwrap();
    let mut command = get(&holder.host, here.path(), &["a.bag"]);
    command.env("DT_SWARM_SOCKET", "/nowhere/control.sock");
    ok(command);
    assert_eq!(names(here.path()), ["a.bag"]);
}

#[test]
fn ctrl_c_leaves_no_partial_file() {
    // A port that accepts connections and sends nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut daemon = Daemon::new();
    let description = Description {
        filename: "a.bag".to_owned(),
        path: None,
        recording: None,
        size: 10,
        changed: clock(),
        uploader: peer(DAEMON),
    };
    share(&mut daemon, "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", &description);
    announce(&mut daemon, &format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port()));
    let (host, here) = (daemon.serve(), tempfile::tempdir().unwrap());
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM] {
        let mut command = get(&host, here.path(), &["a.bag", "-o", "new/", "--timeout", "60"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The connection shows that the program has started to fetch.
        let taken = silent.accept().unwrap();
        let begun = Instant::now();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains("interrupted"), "{said}");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        assert_eq!(names(here.path()), Vec::<String>::new());
        drop(taken);
    }
}
