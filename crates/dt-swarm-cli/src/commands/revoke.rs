//! `revoke`: takes a role away from a peer.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::roles::RoleArguments;
use crate::signing::Signed;
use clap::Args;
use dcache::Kind;

/// Take a role away from a peer; for ever, unless told otherwise. It works backwards: what only that role made count
/// does not count any more.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    role: RoleArguments,
}

impl Command for Revoke {
    type Output = Signed;

    fn run(&self, context: &Context) -> Result<Signed, CliError> {
        self.role.sign(context, Kind::Dismiss)
    }
}
