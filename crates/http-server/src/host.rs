//! Checks the `Host` header: the name by which the client addresses this host.
//!
//! A site can let its own domain name point to this host (DNS rebinding). Its pages can then read answers as if they came
//! from its own server. The browser sends that name in `Host`, so only addresses and names of this host are accepted.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::net::IpAddr;

/// Returns whether an authority (`host` or `host:port`) is an IP address, `localhost`, or one of `names`, with or without
/// `.local` at its end.
pub fn is_ours(authority: &str, names: &[String]) -> bool {
    let host = without_port(authority);
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<IpAddr>().is_ok());
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_name = |name: &String| {
        let name = name.to_ascii_lowercase();
        !name.is_empty() && host.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest == ".local")
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok() || names.iter().any(is_name)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}
