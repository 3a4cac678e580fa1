//! One of our IPFS nodes alone on a host: the subcommand `content-node` of the program `lab`.

use std::env;

use super::driven::Driven;
use crate::{Error, Host, Result};

const PORT: u16 = 6002;

/// Starts a node; the subcommand documents the commands that it takes. The text after READY is its address.
pub(crate) fn content_node(host: &Host) -> Result<Driven> {
    let program = env::current_exe().map_err(Error::io("finding the running program"))?;
    let mut command = host.command(program);
    let listen = format!("/ip4/{}/tcp/{PORT}", host.address());
    command.args(["content-node", "--listen", &listen, "--store"]).arg(host.folder().join("blocks"));
    Driven::start(host, "content-node", command)
}
