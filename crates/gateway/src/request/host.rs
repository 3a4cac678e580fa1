//! Who a browser believes to talk to.
//!
//! A page on a name of its own can have that name point to this host, and then ask us as if we were its own server. The
//! browser says so in `Host`: only addresses and names that are really ours are answered.
use std::net::IpAddr;

/// Whether an authority (`host`, `host:port`) is an address, `localhost`, or one of our names, alone or below `.local`.
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
