//! `limit`: shows or sets the rate limits for files.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::tables::table;
use crate::text::size;
use clap::Args;
use control::Client;
use serde::Serialize;
use transfers::{Answer, Limits, Request, Transfers};

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost limit                                    shows the present limits
  dt-swarm-cli localhost limit --wan-up 500kB --wan-down 16Mbit   sets two limits; rates are per second
  dt-swarm-cli localhost limit --lan-up none --wan-up default     removes one limit; resets another to its default

LAN is all hosts on the networks of this host. WAN is all other hosts.";

/// Shows or sets the rate limits for files. A limit that is set stays after a restart.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Limit {
    /// Maximum rate to hosts on the networks of this host.
    #[arg(long, value_name = "RATE")]
    lan_up: Option<transfers::Limit>,
    /// Maximum rate from hosts on the networks of this host.
    #[arg(long, value_name = "RATE")]
    lan_down: Option<transfers::Limit>,
    /// Maximum rate to all other hosts.
    #[arg(long, value_name = "RATE")]
    wan_up: Option<transfers::Limit>,
    /// Maximum rate from all other hosts.
    #[arg(long, value_name = "RATE")]
    wan_down: Option<transfers::Limit>,
}

/// The present limits, for hosts on the networks of this host (LAN) and for all other hosts (WAN).
#[derive(Debug, Serialize)]
pub(crate) struct RateLimits {
    lan_up: RateLimit,
    lan_down: RateLimit,
    wan_up: RateLimit,
    wan_down: RateLimit,
}

/// The limit for one direction and network.
#[derive(Clone, Copy, Debug, Serialize)]
struct RateLimit {
    /// The maximum rate; `null` is no limit.
    bytes_per_second: Option<u64>,
    /// Whether this command set the limit. Otherwise it comes from the configuration.
    is_set: bool,
}

impl Command for Limit {
    type Output = RateLimits;

    /// Sets the limits that the command line names, and returns all limits.
    fn run(&self, context: &Context) -> Result<RateLimits, CliError> {
        let mut client = context.client()?;
        let (_, set) = ask(&mut client, &Request::Limits {})?;
        let changed = Limits {
            lan_up: self.lan_up.unwrap_or(set.lan_up),
            lan_down: self.lan_down.unwrap_or(set.lan_down),
            wan_up: self.wan_up.unwrap_or(set.wan_up),
            wan_down: self.wan_down.unwrap_or(set.wan_down),
        };
        let request = if changed == set { Request::Limits {} } else { Request::SetLimits(changed) };
        let (now, set) = ask(&mut client, &request)?;
        Ok(RateLimits {
            lan_up: RateLimit::new(now.lan_up, set.lan_up),
            lan_down: RateLimit::new(now.lan_down, set.lan_down),
            wan_up: RateLimit::new(now.wan_up, set.wan_up),
            wan_down: RateLimit::new(now.wan_down, set.wan_down),
        })
    }
}

/// Sends the request. Returns the present limits, and the limits that were set by this command.
fn ask(client: &mut Client, request: &Request) -> Result<(Limits, Limits), CliError> {
    match client.call::<Transfers>(request)? {
        Answer::Limits { now, set } => Ok((now, set)),
        other => Err(client.unexpected(&other).into()),
    }
}

impl RateLimit {
    fn new(now: transfers::Limit, set: transfers::Limit) -> Self {
        let bytes_per_second = match now {
            transfers::Limit::Rate(rate) => Some(rate),
            transfers::Limit::None | transfers::Limit::Default => None,
        };
        Self { bytes_per_second, is_set: set != transfers::Limit::Default }
    }

    fn show(self) -> String {
        let rate = self.bytes_per_second.map_or("no limit".to_owned(), |rate| format!("{}/s", size(rate)));
        if self.is_set { format!("{rate} (set)") } else { rate }
    }
}

impl Output for RateLimits {
    fn show(&self) -> String {
        let mut shown = table(&["", "up", "down"]);
        shown.add_row(["LAN, this host's networks".to_owned(), self.lan_up.show(), self.lan_down.show()]);
        shown.add_row(["WAN, all other hosts".to_owned(), self.wan_up.show(), self.wan_down.show()]);
        format!("{}\n", shown.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use transfers::Limit::{Default, None, Rate};

    #[test]
    fn programs_get_rates_in_bytes_and_whether_they_were_set() {
        let of = |now, set| {
            let limit = RateLimit::new(now, set);
            (limit.show(), vocabulary::checked(&limit).to_string())
        };
        let expected = |shown: &str, json: &str| (shown.to_owned(), json.to_owned());
        assert_eq!(
            of(Rate(500_000), Rate(500_000)),
            expected("500 kB/s (set)", r#"{"bytes_per_second":500000,"is_set":true}"#)
        );
        assert_eq!(of(None, None), expected("no limit (set)", r#"{"bytes_per_second":null,"is_set":true}"#));
        assert_eq!(of(None, Default), expected("no limit", r#"{"bytes_per_second":null,"is_set":false}"#));
    }
}
