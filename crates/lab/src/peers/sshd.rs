//! The SSH server and client of OpenSSH.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Error, Host, Process, Result, Unavailable, process};

const LIMIT: Duration = Duration::from_secs(30);
/// Folder of the server, which is often not in the PATH of a user.
const SERVER_FOLDER: &str = "/usr/sbin";

/// A running SSH server on the loopback address of a host. It accepts one key for root. Dropping it kills it.
#[derive(Debug)]
pub struct Sshd {
    _process: Process,
    port: u16,
    key: PathBuf,
    known_hosts: PathBuf,
}

/// Checks that the server is installed and can run as this user.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn sshd_available() -> Result<(), Unavailable> {
    let missing = || Unavailable::new("sshd is missing: install the Debian package openssh-server");
    server().ok_or_else(missing)?;
    // The server needs the user `sshd`, which a namespace of one user lacks.
    let users = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_whole = users.split_whitespace().last().is_some_and(|number| number != "1");
    is_whole.then_some(()).ok_or_else(|| Unavailable::new("sshd needs the users of the machine: run as root"))
}

/// Returns the absolute path of the server, without which it does not run.
fn server() -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&folders).chain([PathBuf::from(SERVER_FOLDER)]);
    folders.map(|folder| folder.join("sshd")).find(|path| path.exists())
}

impl Sshd {
    /// Starts the server on a host, and waits until it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let folder = host.folder().join("sshd");
        fs::create_dir_all(&folder).map_err(Error::io(folder.display().to_string()))?;
        let (host_key, key) = (folder.join("host-key"), folder.join("key"));
        make_key(&host_key)?;
        make_key(&key)?;
        let configuration = folder.join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}.pub\nPidFile none\nUsePAM no\n\
             StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n",
            host_key.display(),
            key.display()
        );
        fs::write(&configuration, text).map_err(Error::io(configuration.display().to_string()))?;
        let server = server().ok_or_else(|| Error::answer("the place of sshd", "it is not installed"))?;
        let mut command = host.command("sh");
        // The server drops its rights in this empty folder.
        command
            .args(["-c", "mkdir -p /run/sshd && exec \"$0\" -D -e -f \"$1\""])
            .arg(server)
            .arg(&configuration);
        let process = host.spawn("sshd", command)?;
        process.wait_for_line(|line| line.contains("Server listening"), LIMIT)?;
        let known_hosts = folder.join("known_hosts");
        Ok(Self { _process: process, port, key, known_hosts })
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the file in which a client with [`Self::options`] remembers the key of the server.
    pub fn known_hosts(&self) -> &Path {
        &self.known_hosts
    }

    /// Returns the options of the client that let it log in without a question.
    pub fn options(&self) -> Vec<String> {
        let known_hosts = format!("UserKnownHostsFile={}", self.known_hosts.display());
        let options =
            ["BatchMode=yes", "StrictHostKeyChecking=accept-new", "IdentitiesOnly=yes", &known_hosts];
        let key = ["-i".to_owned(), self.key.display().to_string(), "-F".to_owned(), "none".to_owned()];
        key.into_iter()
            .chain(options.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]))
            .collect()
    }
}

fn make_key(path: &Path) -> Result {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path);
    process::run(command, LIMIT)?.success("ssh-keygen").map(drop)
}
