//! `access`: allows other robots to reach TCP ports of this robot, takes that back, and shows who used them.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::access::{Log, PermissionEntry, Permissions};
use crate::roles::not_an_id;
use crate::text::count;
use crate::validity::seconds;
use ::access::{Access as Service, Answer, GivenRole, Grantee, Request};
use clap::{Args, Subcommand};
use control::Client;
use serde::Serialize;
use std::num::NonZeroU16;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost access allow 22 --peer 12D3KooW…           the robot with this ID may use ssh
  dt-swarm-cli localhost access allow 22 8080 --role admin --for 2h
  dt-swarm-cli localhost access list
  dt-swarm-cli localhost access log
  dt-swarm-cli localhost access revoke --peer 12D3KooW…             takes all permissions of this robot back, at once
  dt-swarm-cli localhost access revoke --all";

/// Allows other robots to reach TCP ports of this robot, takes that back, and shows who used them.
///
/// Without a permission, no other robot reaches any port through dt-swarm.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Access {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Debug, Subcommand)]
enum AccessCommand {
    /// Allows peers or roles to reach ports of this robot.
    Allow(Allow),
    /// Takes permissions back. Connections that are no longer allowed end at once.
    Revoke(Revoke),
    /// Shows the permissions, and the connections that are open.
    List,
    /// Shows who used which port, and who was refused.
    Log,
}

#[derive(Debug, Args)]
struct Allow {
    /// TCP ports of this robot, such as 22 for SSH
    #[arg(value_name = "PORT", required = true)]
    ports: Vec<NonZeroU16>,
    #[command(flatten)]
    grantees: Grantees,
    /// Time after which the permission ends, such as 2h or 7d [default: it does not end]
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    seconds: Option<u64>,
}

#[derive(Debug, Args)]
struct Revoke {
    /// TCP ports [default: all ports]
    #[arg(value_name = "PORT")]
    ports: Vec<NonZeroU16>,
    #[command(flatten)]
    grantees: Grantees,
    /// Takes all permissions back
    #[arg(long, conflicts_with_all = ["ports", "peers", "roles"])]
    all: bool,
}

/// The peers and roles of a permission.
#[derive(Debug, Args)]
struct Grantees {
    /// ID of a peer, as `find` shows it
    #[arg(long = "peer", value_name = "PEER_ID")]
    peers: Vec<String>,
    /// Role whose holders are meant, with the stronger roles: trusted, admin or root
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<GivenRole>,
}

/// The output of the subcommands.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum AccessOutput {
    Allowed(Permissions),
    TakenBack(TakenBack),
    List(Permissions),
    Log(Log),
}

/// The permissions that were taken back.
#[derive(Debug, Serialize)]
pub(crate) struct TakenBack {
    /// The permissions, as they were.
    permissions: Vec<PermissionEntry>,
    /// Number of connections that were ended.
    ended_connections: usize,
}

impl Command for Access {
    type Output = AccessOutput;

    fn run(&self, context: &Context) -> Result<AccessOutput, CliError> {
        match &self.command {
            AccessCommand::Allow(allow) => allow.run(context).map(AccessOutput::Allowed),
            AccessCommand::Revoke(revoke) => revoke.run(context).map(AccessOutput::TakenBack),
            AccessCommand::List => permissions(context, &Request::List {}).map(AccessOutput::List),
            AccessCommand::Log => log(context).map(AccessOutput::Log),
        }
    }
}

impl Allow {
    fn run(&self, context: &Context) -> Result<Permissions, CliError> {
        let grantees = self.grantees.all(context)?;
        if grantees.is_empty() {
            return Err(CliError::NobodyNamed);
        }
        let (ports, seconds) = (self.ports.clone(), self.seconds);
        permissions(context, &Request::Allow { grantees, ports, seconds })
    }
}

impl Revoke {
    fn run(&self, context: &Context) -> Result<TakenBack, CliError> {
        let (grantees, ports) = (self.grantees.all(context)?, self.ports.clone());
        if grantees.is_empty() && ports.is_empty() && !self.all {
            return Err(CliError::NothingNamed);
        }
        let mut client = context.client()?;
        match client.call::<Service>(&Request::Revoke { grantees, ports })? {
            Answer::TakenBack { permissions, streams } => {
                let (names, now) = (context.names(), crate::ask::clock());
                let entry = |permission| PermissionEntry::new(permission, &names, now);
                let permissions = permissions.into_iter().map(entry).collect();
                Ok(TakenBack { permissions, ended_connections: streams })
            }
            other => Err(client.unexpected(&other).into()),
        }
    }
}

impl Grantees {
    fn all(&self, context: &Context) -> Result<Vec<Grantee>, CliError> {
        let parse = |text: &String| text.parse().map(Grantee::Peer).map_err(|_| not_an_id(context, text));
        let roles = self.roles.iter().map(|role| Ok(Grantee::Role(*role)));
        self.peers.iter().map(parse).chain(roles).collect()
    }
}

fn permissions(context: &Context, request: &Request) -> Result<Permissions, CliError> {
    let mut client = context.client()?;
    match client.call::<Service>(request)? {
        Answer::Permissions { permissions, streams, now } => {
            let names = context.names();
            Ok(Permissions::new(permissions, streams, &names, now))
        }
        other => Err(unexpected(&client, &other)),
    }
}

fn log(context: &Context) -> Result<Log, CliError> {
    let mut client = context.client()?;
    match client.call::<Service>(&Request::Log {})? {
        Answer::Log { uses, refusals } => Ok(Log::new(uses, refusals, &context.names())),
        other => Err(unexpected(&client, &other)),
    }
}

fn unexpected(client: &Client, answer: &Answer) -> CliError {
    client.unexpected(answer).into()
}

impl Output for AccessOutput {
    fn show(&self) -> String {
        match self {
            Self::Allowed(allowed) => allowed.show_permissions(),
            Self::TakenBack(taken) => taken.show(),
            Self::List(list) => list.show(),
            Self::Log(log) => log.show(),
        }
    }
}

impl TakenBack {
    fn show(&self) -> String {
        if self.permissions.is_empty() {
            return "There is no such permission. `access list` shows the permissions.\n".to_owned();
        }
        let taken = count(self.permissions.len(), "permission");
        let ended = count(self.ended_connections, "connection");
        format!("{taken} taken back, {ended} ended.\n")
    }
}
