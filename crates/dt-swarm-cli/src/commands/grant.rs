//! `grant`: gives a role to a peer.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::roles::RoleArguments;
use crate::signing::Signed;
use clap::Args;
use dcache::Kind;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost grant admin 12D3KooW… --key root           signed by a root's key file
  dt-swarm-cli localhost grant trusted 12D3KooW… --for 30d          by this robot, if it is admin";

/// Give a role to a peer; for ever, unless told otherwise.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Grant {
    #[command(flatten)]
    role: RoleArguments,
}

impl Command for Grant {
    type Output = Signed;

    fn run(&self, context: &Context) -> Result<Signed, CliError> {
        self.role.sign(context, Kind::Propose)
    }
}
