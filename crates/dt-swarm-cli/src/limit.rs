//! `limit`: how fast files may come and go.

use crate::arguments::{Arguments, LimitArguments};
use crate::error::CliError;
use crate::local;
use crate::tables::table;
use crate::text::size;
use control::{Answer, Client, Limit, Limits, Request};
use serde_json::{Value, json};

/// Sets the limits that are named, and shows all.
pub(crate) fn run(arguments: &Arguments, wanted: &LimitArguments) -> Result<(String, Value), CliError> {
    let mut client = local::open(arguments)?;
    let (_, set) = ask(&mut client, &Request::Limits {})?;
    let changed = Limits {
        lan_up: wanted.lan_up.unwrap_or(set.lan_up),
        lan_down: wanted.lan_down.unwrap_or(set.lan_down),
        wan_up: wanted.wan_up.unwrap_or(set.wan_up),
        wan_down: wanted.wan_down.unwrap_or(set.wan_down),
    };
    let request = if changed == set { Request::Limits {} } else { Request::SetLimits(changed) };
    let (now, set) = ask(&mut client, &request)?;
    Ok((show(&now, &set), json!({ "now": now, "set": set })))
}

fn ask(client: &mut Client, request: &Request) -> Result<(Limits, Limits), CliError> {
    match client.ask(request)? {
        Answer::Limits { now, set } => Ok((now, set)),
        other => Err(client.unexpected(&other).into()),
    }
}

fn show(now: &Limits, set: &Limits) -> String {
    let mut shown = table(&["", "up", "down"]);
    shown.add_row([
        "LAN, this host's own networks".to_owned(),
        words(now.lan_up, set.lan_up),
        words(now.lan_down, set.lan_down),
    ]);
    shown.add_row([
        "WAN, all others".to_owned(),
        words(now.wan_up, set.wan_up),
        words(now.wan_down, set.wan_down),
    ]);
    format!("{}\n", shown.trim_fmt())
}

fn words(now: Limit, set: Limit) -> String {
    let rate = match now {
        Limit::Rate(rate) => format!("{}/s", size(rate)),
        Limit::None | Limit::Default => "no limit".to_owned(),
    };
    match set {
        Limit::Default => rate,
        Limit::None | Limit::Rate(_) => format!("{rate} (set)"),
    }
}
