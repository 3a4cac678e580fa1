//! One cable between a host and a network, and the conditions on it.

use std::net::Ipv4Addr;

use crate::tool::{inside, ip, run};
use crate::{Error, Result};

/// Longest time that a packet waits in the queue of the rate limit before packets are dropped. The queue is short, as in
/// a router without bufferbloat.
const QUEUE: &str = "50ms";

/// Smallest burst, in bytes, of the rate limit. The limit passes no packet larger than the burst, and a packet has 1500
/// bytes.
const LEAST_BURST_BYTES: u64 = 16 * 1024;

/// A pair of interfaces: `ethN` in the host, `portM` on the network's bridge. On a delay network there is only `ethN`,
/// and both fields name it.
#[derive(Debug, Clone)]
pub struct Link {
    pub(crate) namespace: String,
    pub(crate) interface: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) switch: String,
    pub(crate) port: String,
}

/// Counters of an interface since the host was made; bytes include all headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes received by the host.
    pub received: u64,
    /// Bytes sent by the host, after any rate limit.
    pub sent: u64,
    /// Outgoing packets that the interface dropped. On a delay network this means that the lab was too slow.
    pub dropped: u64,
}

impl Link {
    /// Returns the interface's name in the host.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Returns the host's address on this network.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Limits the rate at which the host sends, in bits per second. A new limit replaces the old one.
    ///
    /// # Errors
    /// When `tc` fails.
    pub fn limit_rate(&self, bits_per_second: u64) -> Result {
        // The bytes of two milliseconds, so that a fast link does not wait for the kernel's timer.
        let burst = LEAST_BURST_BYTES.max(bits_per_second / 8 / 500);
        let (rate, burst) = (format!("{bits_per_second}bit"), format!("{burst}b"));
        let arguments = ["tbf", "rate", &rate, "burst", &burst, "latency", QUEUE];
        self.root_queue(&[&["replace"], arguments.as_slice()].concat())
    }

    /// Removes the rate limit.
    ///
    /// # Errors
    /// When there was none, or `tc` fails.
    pub fn unlimit_rate(&self) -> Result {
        self.root_queue(&["delete"])
    }

    fn root_queue(&self, arguments: &[&str]) -> Result {
        let mut command = std::process::Command::new("tc");
        command.args(["-n", &self.namespace, "qdisc"]);
        let (verb, rest) = arguments.split_first().map_or(("show", arguments), |(verb, rest)| (*verb, rest));
        command.args([verb, "dev", &self.interface, "root"]).args(rest);
        run(command, "").map(drop)
    }

    /// Drops this fraction (0 to 1, in steps of a thousandth) of all packets that arrive at the host, at random.
    ///
    /// # Errors
    /// When `nft` fails.
    pub fn set_loss(&self, fraction: f64) -> Result {
        let mut command = inside(&self.namespace, "nft");
        command.args(["-f", "-"]);
        run(command, &loss_rules(&self.interface, fraction)).map(drop)
    }

    /// Pulls the cable. The host also loses its carrier.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn disconnect(&self) -> Result {
        self.set_port("down")
    }

    /// Plugs the cable in again.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn reconnect(&self) -> Result {
        self.set_port("up")
    }

    fn set_port(&self, state: &str) -> Result {
        ip(&["-n", &self.switch, "link", "set", &self.port, state]).map(drop)
    }

    /// Returns the traffic on this link so far.
    ///
    /// # Errors
    /// When `ip` fails or its answer cannot be read.
    pub fn traffic(&self) -> Result<Traffic> {
        let text = ip(&["-n", &self.namespace, "-json", "-stats", "link", "show", &self.interface])?;
        parse_traffic(&text).ok_or_else(|| Error::answer("ip link show", text))
    }

    /// Returns the bytes sent through the rate limit so far, as a cable carries them. The interface's own counter (see
    /// [`Link::traffic`]) counts a batch of packets that the kernel has not split yet as one packet with one header.
    ///
    /// # Errors
    /// When there is no limit, or `tc` fails.
    pub fn sent_through_limit(&self) -> Result<u64> {
        let mut command = std::process::Command::new("tc");
        command.args(["-n", &self.namespace, "-statistics", "-json", "qdisc", "show"]);
        command.args(["dev", &self.interface]);
        let text = run(command, "")?;
        parse_limited(&text).ok_or_else(|| Error::answer("tc qdisc show", text))
    }
}

fn parse_limited(text: &str) -> Option<u64> {
    let queues: serde_json::Value = serde_json::from_str(text).ok()?;
    queues.as_array()?.iter().find(|queue| queue["kind"] == "tbf")?.get("bytes")?.as_u64()
}

fn parse_traffic(text: &str) -> Option<Traffic> {
    let links: serde_json::Value = serde_json::from_str(text).ok()?;
    let count = |of: &str| links.pointer(&format!("/0/stats64/{of}"))?.as_u64();
    Some(Traffic { received: count("rx/bytes")?, sent: count("tx/bytes")?, dropped: count("tx/dropped")? })
}

/// Returns an nftables script that replaces the loss rule of one interface. The ingress hook comes before all others,
/// so packets of address resolution are lost too, as on a radio link.
fn loss_rules(interface: &str, fraction: f64) -> String {
    let table = format!("table netdev loss-{interface}");
    // Deleting a table that does not exist is an error, so the script declares it first.
    let clear = format!("{table}\ndelete {table}\n");
    let thousandths = (fraction.clamp(0.0, 1.0) * 1000.0).round() as u32;
    if thousandths == 0 {
        return clear;
    }
    format!(
        "{clear}{table} {{\n chain arriving {{\n type filter hook ingress device {interface} priority 0;\n \
         numgen random mod 1000 < {thousandths} drop\n }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_counted_in_thousandths() {
        assert!(loss_rules("eth0", 0.3).contains("numgen random mod 1000 < 300 drop"));
        assert!(loss_rules("eth0", 2.0).contains("< 1000 drop"));
        assert!(!loss_rules("eth0", 0.0).contains("drop"));
    }

    #[test]
    fn counters_are_read_from_the_answer_of_ip() {
        let text = r#"[{"ifname":"eth0","stats64":{"rx":{"bytes":446},"tx":{"bytes":90,"dropped":2}}}]"#;
        assert_eq!(parse_traffic(text), Some(Traffic { received: 446, sent: 90, dropped: 2 }));
        assert_eq!(parse_traffic("[]"), None);
    }

    #[test]
    fn bytes_sent_through_a_limit_are_read_from_the_answer_of_tc() {
        let text = r#"[{"kind":"noqueue","bytes":1},{"kind":"tbf","root":true,"bytes":1514,"packets":1}]"#;
        assert_eq!(parse_limited(text), Some(1514));
        assert_eq!(parse_limited(r#"[{"kind":"noqueue","bytes":1}]"#), None);
    }
}
