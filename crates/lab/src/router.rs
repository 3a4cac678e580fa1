//! A router with NAT between a network and the outside, as in a home or on a campus.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::link::Link;
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
    /// Translates nothing and lets all packets in: the hosts behind it have public addresses.
    None,
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
            Nat::None => {
                router.shell("echo 1 > /proc/sys/net/ipv4/ip_forward")?;
                return Ok(router);
            }
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
  ct status dnat accept
 }}
 chain prerouting {{
  type nat hook prerouting priority -100;
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

    /// Forwards connections from outside to this TCP port to a host on the inner network.
    ///
    /// # Errors
    /// When nftables refuses the rule, for example because this router translates nothing.
    pub fn forward(&self, port: u16, to: &Host) -> Result {
        let at = to.address();
        self.shell(&format!(
            "nft add rule ip lab_router prerouting iifname eth1 tcp dport {port} dnat to {at}:{port}"
        ))
    }

    /// Returns the address of this router on the outer network.
    pub fn outer_address(&self) -> Ipv4Addr {
        self.host.links().get(1).map_or(Ipv4Addr::UNSPECIFIED, Link::address)
    }

    /// Tells a host on the outer network the route to the inner network.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn lead(&self, from: &Host) -> Result {
        let [a, b, c, _] = self.host.address().octets();
        self.route(from, &format!("{a}.{b}.{c}.0/24"))
    }

    /// Tells a host on the outer network that this router has this further address.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn lead_to(&self, from: &Host, address: Ipv4Addr) -> Result {
        self.route(from, &format!("{address}/32"))
    }

    fn route(&self, from: &Host, target: &str) -> Result {
        let mut command = from.command("ip");
        command.args(["route", "replace", target, "via", &self.outer_address().to_string()]);
        from.run(command, LIMIT)?.success("ip route").map(drop)
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
