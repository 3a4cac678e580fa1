//! A real libtorrent session, controlled by `peers/torrent.py`.

use std::process::Command;

use super::driven::Driven;
use crate::{Host, Result, Unavailable};

const DRIVER: &str = include_str!("../../peers/torrent.py");
/// The interpreter for which Debian's package `python3-libtorrent` is made.
const PYTHON: &str = "/usr/bin/python3";
const PORT: u16 = 6881;

/// Transport and seeding mode of libtorrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TorrentMode {
    /// libtorrent's defaults: uTP, and TCP where uTP fails.
    Default,
    /// TCP only, and the seeder gives each piece to one peer first (super-seeding).
    SuperSeeding,
}

/// Checks that libtorrent is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn torrent_available() -> Result<(), Unavailable> {
    let tried = Command::new(PYTHON).args(["-c", "import libtorrent"]).output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Unavailable::new(
            "libtorrent is not installed: install the Debian package python3-libtorrent".to_owned(),
        )),
    }
}

/// Starts a session on a host with the role `seed` or `fetch`; `peers/torrent.py` documents the commands.
pub(crate) fn torrent(host: &Host, role: &str, mode: TorrentMode) -> Result<Driven> {
    torrent_available()?;
    let mut command = host.command(PYTHON);
    command.args(["-c", DRIVER, role, "--listen", &torrent_address(host), "--folder"]);
    command.arg(host.folder().join("torrent"));
    if mode == TorrentMode::SuperSeeding {
        command.args(["--tcp", "--super"]);
    }
    Driven::start(host, "torrent", command)
}

/// Returns the address on which the session of a host listens.
pub(crate) fn torrent_address(host: &Host) -> String {
    format!("{}:{PORT}", host.address())
}
