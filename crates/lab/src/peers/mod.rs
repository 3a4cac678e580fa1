//! Real peers that others wrote, to check ourselves against. `check` installs them into the cache folder.

mod content_node;
mod curl;
mod driven;
mod helia;
mod javascript;
mod kubo;
mod ngircd;
mod serf;
mod torrent;

use std::env;
use std::path::PathBuf;

use crate::Unavailable;

pub(crate) use content_node::content_node;
pub use curl::curl_available;
pub(crate) use driven::Driven;
pub use helia::{car_reader_available, helia_available, helia_fetch, read_car};
pub use javascript::{CidVersion, javascript_available, javascript_cid, javascript_cid_in_folder};
pub use kubo::{Kubo, kubo_available};
pub use ngircd::{Ngircd, NgircdOptions, ngircd_available};
pub use serf::{Serf, serf_available};
pub use torrent::{TorrentMode, torrent_available};
pub(crate) use torrent::{torrent, torrent_address};

/// `$XDG_CACHE_HOME/dt-swarm`, where `check` installs what tests need.
pub fn cache_folder() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".cache");
    let base = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    base.map_or_else(home, PathBuf::from).join("dt-swarm")
}

/// A file that `check` installs, if it is there.
fn installed(what: &str, path: &str) -> Result<PathBuf, Unavailable> {
    let path = cache_folder().join(path);
    if path.exists() {
        return Ok(path);
    }
    Err(Unavailable::new(format!("{what} is not installed ({}): `./check` installs it", path.display())))
}
