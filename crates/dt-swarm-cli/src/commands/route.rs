//! `route`: how addresses are rewritten, by which channels peers were heard, and where a line would go.

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

/// The most characters of an address, and of a line of an explanation, that are shown.
const MAX_SHOWN: usize = 1200;

/// Show where lines for others go, and decide it: rules that rewrite addresses, and who was heard where.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Route {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// Show the rules, in the order in which they are tried, the paths, and by which channels peers were heard.
    List,
    /// Rewrite addresses so, from now on and after a restart.
    Add {
        /// PATTERN => TEMPLATE; a * matches one segment, $0 stands for the address that matched.
        rule: Rule,
    },
    /// Do not rewrite them so any more.
    Del {
        /// The rule, as `route list` shows it.
        rule: Rule,
    },
    /// Show each step by which an address is rewritten, and by which channel a line would leave.
    Explain {
        /// The address.
        address: Address,
    },
}

/// What the subcommands give.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum RouteOutput {
    List(Routes),
    Changed(Done),
    Explained(Explained),
}

/// How lines for others are sent.
#[derive(Debug, Serialize)]
pub(crate) struct Routes {
    /// The rules, in the order in which they are tried.
    rules: Vec<Rule>,
    /// Chains of channels that are used as one.
    paths: Vec<Address>,
    /// By which channels peers were heard.
    learned: Vec<LearnedRoute>,
    /// Whether lines are passed on for others.
    is_forwarding: bool,
}

/// A channel by which a peer was heard.
#[derive(Debug, Deserialize, Serialize)]
struct LearnedRoute {
    #[serde(flatten)]
    peer: PeerRef,
    /// The address of the channel.
    via: Address,
    /// What a byte costs there, compared with other channels.
    cost: u8,
    /// Seconds since the peer was heard there.
    #[serde(alias = "age")]
    age_seconds: u64,
}

/// Where a line would go.
#[derive(Debug, Serialize)]
pub(crate) struct Explained {
    #[serde(flatten)]
    explanation: Explanation,
    /// By which channel the line would leave, in a sentence.
    message: String,
    #[serde(skip)]
    text: String,
}

/// How an address is resolved. It is read as the daemon tells it.
#[derive(Debug, Deserialize, Serialize)]
struct Explanation {
    /// The address that was asked about.
    address: Address,
    /// What is done to it.
    steps: Vec<Step>,
    /// What comes of it.
    end: End,
}

/// One rewriting.
#[derive(Debug, Deserialize, Serialize)]
struct Step {
    /// What rewrites the address.
    by: Rewriter,
    /// The address until then.
    before: Address,
    /// The address from then on.
    after: Address,
}

/// What rewrites an address.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Rewriter {
    /// A configured rule.
    Rule(Rule),
    /// The peer was heard by a channel.
    Learned(LearnedRoute),
    /// This node's own brain comes first in the address, and something behind it.
    Here,
}

/// What comes of an address.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
enum End {
    /// The line leaves by the channel with which this address begins.
    Channel { address: Address },
    /// The line is for this node.
    Here,
    /// Nothing leads further from this address.
    NoRoute { address: Address },
    /// The rules contradict themselves.
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
                Ok(RouteOutput::Changed(Done::new("Taken away.")))
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
            let mut heard = table(&["PEER", "HEARD BY", "COST", "AGO"]);
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
            shown += "Lines are not passed on for others (`forward = false`).\n";
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
    fn what_the_daemon_explains_is_told_in_the_words_of_all_commands() {
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
