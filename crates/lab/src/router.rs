//! A router with NAT between a network and the outside, as in a home or on a campus.

use std::time::Duration;

use crate::{Host, Lab, Network, Result};

const LIMIT: Duration = Duration::from_secs(20);

/// How a router translates the source of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// Keeps the source port if it is free. So all destinations see the same address, and two hosts behind such routers
    /// can open a direct connection.
    PortPreserving,
    /// Takes a random source port for each destination (symmetric NAT). The address that one destination sees is of no
    /// use for others.
    Symmetric,
}

/// A host that forwards packets of one network to another, with NAT. It lets in only answers, as home routers do.
#[derive(Debug, Clone)]
pub struct Router {
    host: Host,
}

impl Router {
    /// Makes a router with a link to each network.
    ///
    /// # Errors
    /// When the host cannot be made, or nftables refuses the rules.
    pub fn new(lab: &Lab, name: &str, inside: &Network, outside: &Network, nat: Nat) -> Result<Self> {
        let mut host = lab.lone_host(name)?;
        host.attach(inside)?;
        host.attach(outside)?;
        let router = Self { host };
        let ports = match nat {
            Nat::PortPreserving => "",
            Nat::Symmetric => " random,fully-random",
        };
        router.shell(&format!(
            "echo 1 > /proc/sys/net/ipv4/ip_forward
            nft -f - <<'END'
table ip lab_router {{
 chain input {{
  type filter hook input priority 0; policy drop;
  iif lo accept
  iifname eth0 accept
  ct state established,related accept
 }}
 chain forward {{
  type filter hook forward priority 0; policy drop;
  iifname eth0 accept
  ct state established,related accept
 }}
 chain postrouting {{
  type nat hook postrouting priority 100;
  oifname eth1 masquerade{ports}
 }}
}}
END"
        ))?;
        Ok(router)
    }

    /// Makes this router the default route of a host on the inner network.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn serve(&self, host: &Host) -> Result {
        let mut command = host.command("ip");
        command.args(["route", "replace", "default", "via", &self.host.address().to_string()]);
        host.run(command, LIMIT)?.success("ip route").map(drop)
    }

    /// Returns the host on which the router runs.
    pub fn host(&self) -> &Host {
        &self.host
    }

    fn shell(&self, script: &str) -> Result {
        let mut command = self.host.command("sh");
        command.args(["-e", "-c", script]);
        self.host.run(command, LIMIT)?.success("the rules of a router").map(drop)
    }
}
