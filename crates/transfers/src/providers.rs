//! Who is said to have what is fetched.

use ipfs::Cid;
use ipfs::node::Provider;
use std::collections::BTreeMap;
use swarm::{Stopped, Swarm};

/// Those who hold, verified or proposed each of these, with the addresses that they sign themselves.
pub(crate) async fn of(swarm: &Swarm, roots: Vec<Cid>) -> Result<BTreeMap<Cid, Vec<Provider>>, Stopped> {
    if roots.is_empty() {
        return Ok(BTreeMap::new());
    }
    let me = swarm.me();
    let read = move |set: &dcache::Set, now| {
        let files = logs::index(set, now);
        let known = |root: &Cid| Some((*root, logs::providers(set, files.get(root)?, me, now)));
        roots.iter().filter_map(known).collect()
    };
    swarm.read(read).await
}
