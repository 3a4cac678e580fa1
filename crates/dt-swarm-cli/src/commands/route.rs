//! `route`: shows and changes the rules that rewrite addresses, shows the channels on which peers were heard, and
//! explains on which channel a line would be sent.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::fields::PeerRef;
use crate::output::{Done, Output};
use crate::tables::table;
use crate::text::{clean, clean_lines, duration};
use clap::{Args, Subcommand};
use control::ClientError;
use routing::{Address, Rule};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use swarm::route_protocol::{RouteAnswer, RouteProtocol, RouteRequest};

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost route list
  dt-swarm-cli localhost route add '/dswarm/12D3KooW…/brain => /ip4/10.0.0.7/udp/1240/dswarm-line/$0'
  dt-swarm-cli localhost route explain /dswarm/12D3KooW…/brain";

/// Maximum number of characters of an address, or of a line of an explanation, that are shown.
const MAX_SHOWN: usize = 1200;

/// Shows or changes the routes of lines to other peers: rules that rewrite addresses, and routes that were learned.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Route {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// Shows the rules in the order in which they are tried, the paths, and the channels on which peers were heard.
    List,
    /// Adds a rule that rewrites addresses. The rule stays after a restart.
    Add {
        /// The rule: PATTERN => TEMPLATE. A * in the pattern matches one segment; $0 in the template is the address that
        /// matched.
        rule: Rule,
    },
    /// Removes a rule.
    Del {
        /// The rule, as `route list` shows it.
        rule: Rule,
    },
    /// Explains how a line to an address would be sent: each rewriting step, and the channel.
    Explain {
        /// The address to explain, such as /dswarm/12D3KooW…/brain
        address: Address,
    },
}

/// The output of the subcommands.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum RouteOutput {
    List(Routes),
    Changed(Done),
    Explained(Explained),
}

/// The routes of lines to other peers.
#[derive(Debug, Serialize)]
pub(crate) struct Routes {
    /// The rules, in the order in which they are tried.
    rules: Vec<Rule>,
    /// Chains of channels that are used as one channel.
    paths: Vec<Address>,
    /// The channels on which peers were heard.
    learned: Vec<LearnedRoute>,
    /// Whether this node forwards lines for other peers.
    is_forwarding: bool,
}

/// A channel on which a peer was heard.
#[derive(Debug, Deserialize, Serialize)]
struct LearnedRoute {
    #[serde(flatten)]
    peer: PeerRef,
    /// The address of the channel.
    via: Address,
    /// Cost of a byte, relative to other channels.
    cost: u8,
    /// Seconds since the peer was last heard on the channel.
    #[serde(alias = "age")]
    age_seconds: u64,
}

/// An explanation of the channel on which a line would be sent.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    #[serde(flatten)]
    explanation: Explanation,
    /// The channel on which the line would be sent, in a sentence.
    message: String,
    #[serde(skip)]
    text: String,
}

/// The steps that resolve an address, in the JSON form of the daemon's answer.
#[derive(Debug, Deserialize, Serialize)]
struct Explanation {
    /// The address to explain.
    address: Address,
    /// The rewriting steps, in order.
    steps: Vec<Step>,
    /// The result of the last step.
    end: End,
}

/// One step that rewrites the address.
#[derive(Debug, Deserialize, Serialize)]
struct Step {
    /// The reason for the step.
    by: Rewriter,
    /// The address before the step.
    before: Address,
    /// The address after the step.
    after: Address,
}

/// The reason why an address is rewritten.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Rewriter {
    /// A configured rule.
    Rule(Rule),
    /// The peer was heard on a channel.
    Learned(LearnedRoute),
    /// The address begins with this node's own brain, which is removed from the address.
    Here,
}

/// The result of resolving an address.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
enum End {
    /// The line is sent on the channel with which this address begins.
    Channel { address: Address },
    /// The line is for this node.
    Here,
    /// No rule and no learned route applies to this address.
    NoRoute { address: Address },
    /// The rules cannot be applied, for example because they form a loop.
    Failed {
        #[serde(alias = "error")]
        reason: String,
    },
}

impl Command for Route {
    type Output = RouteOutput;

    fn run(&self, context: &Context) -> Result<RouteOutput, CliError> {
        match &self.command {
            RouteCommand::List => list(context).map(RouteOutput::List),
            RouteCommand::Explain { address } => explain(context, address).map(RouteOutput::Explained),
            RouteCommand::Add { rule } => {
                let request = RouteRequest::Add { rule: rule.clone() };
                context.order::<RouteProtocol>(&request, RouteAnswer::Done {})?;
                Ok(RouteOutput::Changed(Done::new("Added.")))
            }
            RouteCommand::Del { rule } => {
                let request = RouteRequest::Remove { rule: rule.clone() };
                context.order::<RouteProtocol>(&request, RouteAnswer::Done {})?;
                Ok(RouteOutput::Changed(Done::new("Removed.")))
            }
        }
    }
}

fn list(context: &Context) -> Result<Routes, CliError> {
    let mut client = context.client()?;
    match client.call::<RouteProtocol>(&RouteRequest::List {})? {
        RouteAnswer::Routes { rules, learned, paths, forwards } => {
            let names = context.names();
            let learned = learned.into_iter().map(|route| LearnedRoute {
                peer: names.of(route.peer),
                via: route.via,
                cost: route.cost,
                age_seconds: route.seconds,
            });
            Ok(Routes { rules, paths, learned: learned.collect(), is_forwarding: forwards })
        }
        other => Err(client.unexpected(&other).into()),
    }
}

fn explain(context: &Context, address: &Address) -> Result<Explained, CliError> {
    let mut client = context.client()?;
    let (text, steps, message) =
        match client.call::<RouteProtocol>(&RouteRequest::Explain { address: address.clone() })? {
            RouteAnswer::Explained { text, steps, last } => (text, steps, last),
            other => return Err(client.unexpected(&other).into()),
        };
    let strange =
        |error: serde_json::Error| ClientError::Strange(client.path().to_owned(), error.to_string());
    let mut explanation: Explanation = serde_json::from_value(steps).map_err(strange)?;
    let names = context.names();
    for step in &mut explanation.steps {
        if let Rewriter::Learned(route) = &mut step.by {
            route.peer = names.of(route.peer.peer);
        }
    }
    Ok(Explained { explanation, message, text })
}

impl Output for RouteOutput {
    fn show(&self) -> String {
        match self {
            Self::List(routes) => routes.show(),
            Self::Changed(done) => done.show(),
            Self::Explained(explained) => clean_lines(&explained.text, MAX_SHOWN) + "\n",
        }
    }
}

impl Routes {
    fn show(&self) -> String {
        let mut shown = String::new();
        // Writing to a String does not fail.
        for rule in &self.rules {
            let _ = writeln!(shown, "{}", clean(&rule.to_string(), MAX_SHOWN));
        }
        for path in &self.paths {
            let _ = writeln!(shown, "path {}", clean(path.as_str(), MAX_SHOWN));
        }
        if !self.learned.is_empty() {
            let mut heard = table(&["PEER", "HEARD ON", "COST", "AGO"]);
            for LearnedRoute { peer, via, cost, age_seconds } in &self.learned {
                let via = clean(via.as_str(), MAX_SHOWN);
                heard.add_row([peer.peer.to_string(), via, cost.to_string(), duration(*age_seconds)]);
            }
            let _ = writeln!(shown, "{heard}");
        }
        if shown.is_empty() {
            shown += "No rules, and no peer was heard lately.\n";
        }
        if !self.is_forwarding {
            shown += "This node does not forward lines for other peers (`forward = false`).\n";
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::PeerId;
    use serde_json::Value;

    #[test]
    fn an_explanation_of_the_daemon_follows_the_vocabulary() {
        let peer = PeerId::from_public_key([0; 32]).to_string();
        let told = r#"{
            "address": "/dswarm/PEER/brain",
            "steps": [{
                "by": {"learned": {"peer": "PEER", "via": "/ip4/10.0.0.7/udp/1240/dswarm-line", "cost": 1, "age": 5}},
                "before": "/dswarm/PEER/brain",
                "after": "/ip4/10.0.0.7/udp/1240/dswarm-line/dswarm/PEER/brain"
            }],
            "end": {"end": "failed", "error": "a loop"}
        }"#;
        let explanation: Explanation = serde_json::from_str(&told.replace("PEER", &peer)).unwrap();
        let explained = Explained { explanation, message: "nowhere".into(), text: String::new() };
        let json = vocabulary::checked(&RouteOutput::Explained(explained));
        let learned = &json["steps"][0]["by"]["learned"];
        assert_eq!((&learned["age_seconds"], &learned["hostname"]), (&5.into(), &Value::Null));
        assert_eq!((&json["end"]["end"], &json["end"]["reason"]), (&"failed".into(), &"a loop".into()));
    }
}
