//! Settings of the whole machine that many hosts need. An unprivileged namespace cannot reach them.

use std::fs;
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use crate::{Unavailable, process};

const NEIGHBOURS: &str = "/proc/sys/net/ipv4/neigh/default";
const CONGESTION_CONTROLS: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// The neighbour tables of all namespaces share one limit, 1024 by default: a full mesh of more than 32 hosts would
/// break in silence. These hold a mesh of 254.
const NEIGHBOUR_LIMITS: [(&str, u32); 3] =
    [("gc_thresh1", 16_384), ("gc_thresh2", 65_536), ("gc_thresh3", 131_072)];

/// What shapes the network, how each tells its version, and the Debian package that has it.
const TOOLS: [(&str, &str, &str); 3] =
    [("ip", "-Version", "iproute2"), ("tc", "-Version", "iproute2"), ("nft", "--version", "nftables")];

static PREPARED: Once = Once::new();

/// Whether the programs are there that the lab calls.
pub(crate) fn check_tools() -> Result<(), Unavailable> {
    for (program, version, package) in TOOLS {
        process::run(command(program, version), Duration::from_secs(10)).map_err(|error| {
            let way_out = format!("install the package {package}, and have /usr/sbin in PATH");
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

/// Raises the limits where this process may, and says once where it may not.
pub(crate) fn prepare() {
    PREPARED.call_once(|| {
        if !NEIGHBOUR_LIMITS.iter().all(|(name, wanted)| raise(&format!("{NEIGHBOURS}/{name}"), *wanted)) {
            eprintln!(
                "lab: note: cannot raise the neighbour tables' limit here; keep to 32 hosts that all talk"
            );
        }
        allow_cubic();
    });
}

/// Never lowers: the machine's owner may have chosen more.
fn raise(path: &str, wanted: u32) -> bool {
    let current = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    current.is_some_and(|current| current >= wanted || fs::write(path, wanted.to_string()).is_ok())
}

/// Robots run TCP with cubic; a namespace may choose it only if the machine lists it as allowed.
fn allow_cubic() {
    let Ok(allowed) = fs::read_to_string(CONGESTION_CONTROLS) else {
        return;
    };
    if !allowed.split_whitespace().any(|name| name == "cubic") {
        let _ = fs::write(CONGESTION_CONTROLS, format!("{} cubic", allowed.trim()));
    }
}
