//! Programs of other projects, to test ours against. `check` installs them into the cache folder.

mod avahi;
mod content_node;
mod curl;
mod driven;
mod duckietown;
mod helia;
mod installed;
mod javascript;
mod kubo;
mod miniupnpd;
mod network_manager;
mod ngircd;
mod recordings;
mod seaweedfs;
mod serf;
mod sshd;
mod syncthing;
mod torrent;

pub use avahi::{Avahi, avahi_available};
pub(crate) use content_node::content_node;
pub use curl::curl_available;
pub(crate) use driven::Driven;
pub use duckietown::{Duckietown, duckietown_available};
pub use helia::{car_reader_available, helia_available, helia_fetch, read_car};
pub use javascript::{CidVersion, javascript_available, javascript_cid, javascript_cid_in_folder};
pub use kubo::{Kubo, kubo_available};
pub use miniupnpd::{Miniupnpd, miniupnpd_available};
pub use network_manager::{NetworkManager, network_manager_available};
pub use ngircd::{Ngircd, NgircdOptions, ngircd_available};
pub use recordings::{recordings_available, write_recordings};
pub use seaweedfs::{Seaweedfs, SeaweedfsOptions, StorageList, seaweedfs_available};
pub use serf::{Serf, serf_available};
pub use sshd::{Sshd, sshd_available};
pub use syncthing::{Syncthing, syncthing_available};
pub use torrent::{TorrentMode, torrent_available};
pub(crate) use torrent::{torrent, torrent_address};
