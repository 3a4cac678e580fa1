//! The daemon's start message.

use crate::config::Config;
use dcache::PeerId;
use routing::Address;
use service::{Banner, LocalFacts};
use std::io::Write as _;

/// Prints the identity and the addresses of this node, and commands to try next.
pub(crate) fn print(config: &Config, me: PeerId, swarm: Option<&str>, facts: &LocalFacts, services: &Banner) {
    // Standard output may be closed. Errors are ignored, because the daemon also works without the start message.
    let _ = std::io::stdout().lock().write_all(text(config, me, swarm, facts, services).as_bytes());
}

fn text(config: &Config, me: PeerId, swarm: Option<&str>, facts: &LocalFacts, services: &Banner) -> String {
    let swarm = swarm.unwrap_or("the open swarm, in which no peer has a role");
    let lines = facts.lines.iter().map(|at| Address::tcp_line(*at).to_string());
    let addresses: Vec<String> = lines.chain(facts.ipfs.iter().flatten().cloned()).collect();
    let addresses = match addresses.is_empty() {
        true => "none: no network is up; the daemon uses a network as soon as one comes up".to_owned(),
        false => addresses.join("\n                 "),
    };
    let gateway = config.gateway.map_or_else(|| "off".to_owned(), |at| format!("http://{at}/ipfs/CID"));
    let mut rows = vec![("peer ID", me.to_string()), ("swarm", swarm.to_owned())];
    rows.extend(services.lines.iter().cloned());
    rows.extend([
        ("data folder", config.data_dir.display().to_string()),
        ("gateway", gateway),
        ("addresses", addresses),
    ]);
    let rows: String = rows.iter().map(|(label, value)| format!("  {label:<13}  {value}\n")).collect();
    let port = if config.tcp_port == 8000 { String::new() } else { format!(":{}", config.tcp_port) };
    let hint = |(hint, command): &(String, &str)| {
        format!("Try next: {hint}:\n  dt-swarm-cli localhost{port} {command}\n")
    };
    let hints: String = services.hints.iter().map(hint).collect();
    let (version, hostname) = (&facts.version, &facts.hostname);
    format!("dt-swarm {version} on {hostname}\n\n{rows}\n{hints}Stop with Ctrl-C.\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Arguments, Config};
    use clap::Parser as _;
    use service::Environment;

    #[test]
    fn ipv4_and_ipv6_addresses_are_shown() {
        let arguments = Arguments::parse_from(["dt-swarm", "--data-dir", "/d", "--shared", "/s"]);
        let config = Config::load(&arguments, &Environment::default(), &[]).unwrap();
        let lines = vec!["10.0.0.1:8000".parse().unwrap(), "[2001:db8::1]:8000".parse().unwrap()];
        let facts = LocalFacts { lines, ..LocalFacts::default() };
        let shown = text(&config, PeerId::from_public_key([1; 32]), None, &facts, &Banner::default());
        assert!(shown.contains("/ip4/10.0.0.1/tcp/8000/dswarm-line\n"), "{shown}");
        assert!(shown.contains("/ip6/2001:db8::1/tcp/8000/dswarm-line\n"), "{shown}");
    }
}
