//! What is said to the person who started the daemon.

use crate::config::Config;
use dcache::PeerId;
use discovery::Facts;
use std::io::Write as _;

/// Prints who and where this node is, and what to try next.
pub(crate) fn print(config: &Config, me: PeerId, swarm: Option<&str>, facts: &Facts) {
    // Nobody has to be there to read it.
    let _ = std::io::stdout().lock().write_all(text(config, me, swarm, facts).as_bytes());
}

fn text(config: &Config, me: PeerId, swarm: Option<&str>, facts: &Facts) -> String {
    let shared = config.shared_folder.display();
    let swarm = swarm.unwrap_or("the open one, in which nobody has a role");
    let lines = facts.lines.iter().map(|at| format!("/ip4/{}/tcp/{}/dswarm-line", at.ip(), at.port()));
    let addresses: Vec<String> = lines.chain(facts.ipfs.iter().flatten().cloned()).collect();
    let addresses = match addresses.is_empty() {
        true => "none: no network is up yet; it is noticed when one comes".to_owned(),
        false => addresses.join("\n                 "),
    };
    let gateway = config.gateway.map_or_else(|| "off".to_owned(), |at| format!("http://{at}/ipfs/CID"));
    format!(
        "dt-swarm {version} on {hostname}\n\
         \n  peer ID        {me}\
         \n  swarm          {swarm}\
         \n  shared folder  {shared}\
         \n  data folder    {data}\
         \n  gateway        {gateway}\
         \n  addresses      {addresses}\
         \n\
         \nTry next: put a file into {shared}, and see who keeps it:\
         \n  dt-swarm-cli localhost{port} report\
         \nStop with Ctrl-C.\n",
        version = facts.version,
        hostname = facts.hostname,
        data = config.data_dir.display(),
        port = if config.tcp_port == 8000 { String::new() } else { format!(":{}", config.tcp_port) },
    )
}
