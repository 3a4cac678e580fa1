//! The client as a program that the conformance suite of TUF can test.
//!
//! The suite is `theupdateframework/tuf-conformance`; its file `CLIENT-CLI.md` describes the command line:
//!
//! ```text
//! conformance --metadata-dir DIR init TRUSTED_ROOT
//! conformance --metadata-dir DIR --metadata-url URL refresh
//! conformance --metadata-dir DIR --metadata-url URL --target-name PATH... --target-base-url URL --target-dir DIR download
//! ```
//!
//! The metadata store is in `DIR/store.redb`. The suite reads the trusted files from `DIR/ROLE.json`, so they are copied
//! there after each command.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store::Store;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tuf::{
    Client, FileName, Hashes, MetadataStore, Mirror, MirrorError, Now, Role, Row, Target, TargetPath,
    TargetsRole, Verified,
};

type Failure = Box<dyn Error + Send + Sync>;

/// Options by their names, and the command with its argument.
struct Arguments {
    options: BTreeMap<String, Vec<String>>,
    command: Vec<String>,
}

struct Http {
    base: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let folder = PathBuf::from(arguments.one("--metadata-dir")?);
    match arguments.command.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["init", root] => {
            fs::copy(root, folder.join("bootstrap"))?;
            fs::copy(root, folder.join("root.json"))?;
            Ok(())
        }
        ["refresh"] => with_client(&arguments, &folder, &[]).await,
        ["download"] => with_client(&arguments, &folder, arguments.all("--target-name")).await,
        _ => Err("the command must be init ROOT, refresh or download".into()),
    }
}

async fn with_client(arguments: &Arguments, folder: &Path, targets: &[String]) -> Result<(), Failure> {
    let store = MetadataStore::new(&Arc::new(Store::open(&folder.join("store.redb"))?.0), "conformance");
    let mirror = Http { base: arguments.one("--metadata-url")?.to_owned() };
    let client = Client::new(mirror, store.clone(), fs::read(folder.join("bootstrap"))?);
    let done = work(arguments, &client, targets).await;
    show(folder, &store)?;
    done
}

async fn work(arguments: &Arguments, client: &Client<Http>, targets: &[String]) -> Result<(), Failure> {
    let now = Now::Known(dcache::Time(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()));
    let mut verified = client.refresh(now).await?;
    for name in targets {
        let path: TargetPath = name.parse()?;
        let found = client.find(&mut verified, path, now).await?;
        download(arguments, &verified, &found.ok_or_else(|| format!("no role lists {name}"))?).await?;
    }
    Ok(())
}

/// Copies the trusted files to the names that the suite reads.
fn show(folder: &Path, store: &MetadataStore) -> Result<(), Failure> {
    for (row, content) in store.load()? {
        let role = match row {
            // Rows are sorted, so the newest root is the last one.
            Row::Root(_) => Role::Root,
            Row::Timestamp => Role::Timestamp,
            Row::Snapshot => Role::Snapshot,
            Row::SnapshotTimestamp => continue,
            Row::Targets => Role::Targets(TargetsRole::Top),
            Row::Delegated(name) => Role::Targets(TargetsRole::Delegated(name)),
        };
        fs::write(folder.join(FileName::of(&role).as_ref()), content)?;
    }
    Ok(())
}

async fn download(arguments: &Arguments, verified: &Verified, target: &Target) -> Result<(), Failure> {
    let file = Path::new(arguments.one("--target-dir")?).join(target.path.as_ref().replace('/', "%2F"));
    if fs::read(&file).is_ok_and(|content| check(target, &content).is_ok()) {
        return Ok(());
    }
    let place = place(verified, target)?;
    let base = Http { base: arguments.one("--target-base-url")?.to_owned() };
    let content =
        base.get(&place, target.length).await?.ok_or_else(|| format!("the server has no {place}"))?;
    check(target, &content)?;
    fs::write(file, content)?;
    Ok(())
}

fn check(target: &Target, content: &[u8]) -> Result<(), tuf::ContentError> {
    let mut check = target.check();
    check.update(content)?;
    check.finish()
}

/// Returns the path of a target on the server: with consistent snapshots, its name begins with a hash.
fn place(verified: &Verified, target: &Target) -> Result<String, Failure> {
    let root: serde_json::Value = serde_json::from_slice(verified.root())?;
    let path = target.path.as_ref();
    if root["signed"]["consistent_snapshot"] != true {
        return Ok(path.to_owned());
    }
    let hash: &[u8] = match &target.hashes {
        Hashes::Sha256(hash) | Hashes::Both(hash, _) => hash,
        Hashes::Sha512(hash) => hash,
    };
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    Ok(if folder.is_empty() { format!("{hash}.{name}") } else { format!("{folder}/{hash}.{name}") })
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = Self { options: BTreeMap::new(), command: Vec::new() };
        while let Some(word) = words.next() {
            if word.starts_with("--") {
                let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                arguments.options.entry(word).or_default().push(value);
            } else {
                arguments.command.push(word);
            }
        }
        Ok(arguments)
    }

    fn all(&self, name: &str) -> &[String] {
        self.options.get(name).map_or(&[], Vec::as_slice)
    }

    fn one(&self, name: &str) -> Result<&str, Failure> {
        Ok(self.all(name).first().ok_or_else(|| format!("{name} is missing"))?)
    }
}

impl Mirror for Http {
    async fn fetch(&self, name: &FileName, max_bytes: u64) -> Result<Option<Vec<u8>>, MirrorError> {
        self.get(name.as_ref(), max_bytes).await.map_err(MirrorError)
    }
}

impl Http {
    /// Fetches a file. Returns `None` if the server does not have it.
    async fn get(&self, path: &str, max_bytes: u64) -> Result<Option<Vec<u8>>, Failure> {
        let (host, folder) =
            self.base.strip_prefix("http://").and_then(|url| url.split_once('/')).ok_or("no URL")?;
        let mut connection = tokio::net::TcpStream::connect(host).await?;
        let folder = folder.trim_end_matches('/');
        let request = format!("GET /{folder}/{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Room for the head, and one byte more, which shows that the file is too long.
        connection.take(max_bytes + 65_536).read_to_end(&mut answer).await?;
        let end = answer
            .windows(4)
            .position(|part| part == b"\r\n\r\n")
            .ok_or("the answer has no end of its head")?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        match head.split(' ').nth(1) {
            Some("200") => Ok(Some(answer.split_off(end + 4))),
            Some("403" | "404") => Ok(None),
            _ => Err(format!("the server answered {head:?}").into()),
        }
    }
}
