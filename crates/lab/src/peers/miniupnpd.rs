//! miniupnpd, the UPnP server of many routers.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use crate::{Error, Host, Process, Result, Router, Unavailable, process};

const LIMIT: Duration = Duration::from_secs(20);

/// A running UPnP server on a router. Dropping it kills it.
#[derive(Debug)]
pub struct Miniupnpd {
    _process: Process,
    router: Host,
}

/// Checks that miniupnpd is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn miniupnpd_available() -> Result<(), Unavailable> {
    let mut command = Command::new("miniupnpd");
    command.arg("--version");
    process::run(command, LIMIT).map(drop).map_err(|error| {
        Unavailable::new(format!(
            "miniupnpd does not run ({error}): install the Debian package miniupnpd-nftables, and put /usr/sbin into PATH"
        ))
    })
}

impl Miniupnpd {
    /// Starts the server on a router with NAT. The router gets `outer` as a further address outside, and uses it for all
    /// new connections, because the server serves only routers with a public address. Other hosts need a route to it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(router: &Router, outer: Ipv4Addr) -> Result<Self> {
        let host = router.host().clone();
        let configuration = host.folder().join("miniupnpd.conf");
        let text = format!(
            "ext_ifname=eth1\next_ip={outer}\nlistening_ip=eth0\nenable_natpmp=no\nenable_upnp=yes\nsecure_mode=yes\n\
             upnp_table_name=upnp\nupnp_nat_table_name=upnp\nupnp_forward_chain=allowed\nupnp_nat_chain=mapped\n\
             upnp_nat_postrouting_chain=masked\nsystem_uptime=yes\nuuid=00000000-0000-0000-0000-000000000007\n\
             allow 1024-65535 0.0.0.0/0 1024-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"
        );
        fs::write(&configuration, text).map_err(Error::io(configuration.display().to_string()))?;
        shell(
            &host,
            &format!(
                "ip address add {outer}/32 dev eth1
                nft insert rule ip lab_router postrouting oifname eth1 snat to {outer} fully-random
                nft -f - <<'END'
table inet upnp {{
 chain allowed {{ }}
 chain mapped {{ }}
 chain masked {{ }}
 chain forward {{ type filter hook forward priority 0; policy accept; jump allowed; }}
 chain prerouting {{ type nat hook prerouting priority -100; policy accept; jump mapped; }}
 chain postrouting {{ type nat hook postrouting priority 100; policy accept; jump masked; }}
}}
END"
            ),
        )?;
        let mut command = host.command("miniupnpd");
        command.args(["-d", "-f"]).arg(&configuration);
        command.arg("-P").arg(host.folder().join("miniupnpd.pid"));
        let process = host.spawn("miniupnpd", command)?;
        process.wait_for_line(|line| line.contains("HTTP listening on port"), LIMIT)?;
        Ok(Self { _process: process, router: host })
    }

    /// Returns the rules with which the router forwards ports.
    ///
    /// # Errors
    /// When nftables fails.
    pub fn rules(&self) -> Result<String> {
        let mut command = self.router.command("nft");
        command.args(["list", "chain", "inet", "upnp", "mapped"]);
        self.router.run(command, LIMIT)?.success("nft list")
    }
}

fn shell(host: &Host, script: &str) -> Result {
    let mut command = host.command("sh");
    command.args(["-e", "-c", script]);
    host.run(command, LIMIT)?.success("the preparation of miniupnpd").map(drop)
}
