//! Settings of the whole machine that many hosts need. An unprivileged namespace cannot change them.

use std::fs;
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use crate::{Unavailable, process};

const NEIGHBOURS: &str = "/proc/sys/net/ipv4/neigh/default";
const CONGESTION_CONTROLS: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// Limits of the neighbour table (ARP). The tables of all namespaces share one limit, 1024 by default, and a full mesh
/// of more than 32 hosts would break without any message. These values are enough for a full mesh of 254 hosts.
const NEIGHBOUR_LIMITS: [(&str, u32); 3] =
    [("gc_thresh1", 16_384), ("gc_thresh2", 65_536), ("gc_thresh3", 131_072)];

/// Programs that shape the network, with the argument that prints their version and their Debian package.
const TOOLS: [(&str, &str, &str); 3] =
    [("ip", "-Version", "iproute2"), ("tc", "-Version", "iproute2"), ("nft", "--version", "nftables")];

static PREPARED: Once = Once::new();

/// Checks that all programs are installed that the lab calls.
pub(crate) fn check_tools() -> Result<(), Unavailable> {
    for (program, version, package) in TOOLS {
        process::run(command(program, version), Duration::from_secs(10)).map_err(|error| {
            let way_out = format!("install the package {package}, and put /usr/sbin into PATH");
            Unavailable::new(format!("the program {program} does not run ({error}): {way_out}"))
        })?;
    }
    Ok(())
}

fn command(program: &str, argument: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(argument);
    command
}

/// Raises the limits of the machine. If this process may not, it prints a note once.
pub(crate) fn prepare() {
    PREPARED.call_once(|| {
        if !NEIGHBOUR_LIMITS.iter().all(|(name, wanted)| raise(&format!("{NEIGHBOURS}/{name}"), *wanted)) {
            eprintln!(
                "lab: note: cannot raise the limit of the neighbour tables; a mesh of more than 32 hosts will break"
            );
        }
        allow_cubic();
    });
}

/// Raises a setting. It never lowers one, because the machine's owner may have chosen a larger value.
fn raise(path: &str, wanted: u32) -> bool {
    let current = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    current.is_some_and(|current| current >= wanted || fs::write(path, wanted.to_string()).is_ok())
}

/// Allows all namespaces to use cubic, the congestion control of the robots. A namespace may choose only an algorithm
/// that the machine lists as allowed.
fn allow_cubic() {
    let Ok(allowed) = fs::read_to_string(CONGESTION_CONTROLS) else {
        return;
    };
    if !allowed.split_whitespace().any(|name| name == "cubic") {
        let _ = fs::write(CONGESTION_CONTROLS, format!("{} cubic", allowed.trim()));
    }
}
