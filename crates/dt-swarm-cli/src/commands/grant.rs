//! `grant`: gives a role to a peer.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::PeerRef;
use crate::readmission::readmit;
use crate::roles::RoleArguments;
use crate::signing::Signed;
use clap::Args;
use dcache::{Kind, PeerId, Role};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost grant admin 12D3KooW… --key root           signs with the key file of a root
  dt-swarm-cli localhost grant trusted 12D3KooW… --for 30d          signs with the key of this robot, which has to be admin
  dt-swarm-cli localhost grant peer 12D3KooW…                       takes back `revoke peer` of the same signer";

/// Gives a role to a peer, forever unless an option says otherwise.
///
/// `grant peer` takes back `revoke peer`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Grant {
    #[command(flatten)]
    role: RoleArguments,
}

/// The statement that gives the role.
#[derive(Debug, Serialize)]
pub(crate) struct Granted {
    #[serde(flatten)]
    signed: Signed,
    /// Other peers that still deny this one.
    opponents: Vec<PeerRef>,
    #[serde(skip)]
    readmitted: Option<PeerId>,
}

impl Command for Grant {
    type Output = Granted;

    fn run(&self, context: &Context) -> Result<Granted, CliError> {
        if self.role.role() != Role::Peer {
            let signed = self.role.sign(context, Kind::Propose)?;
            return Ok(Granted { signed, opponents: Vec::new(), readmitted: None });
        }
        context.require_here()?;
        let peer = self.role.peer(context)?;
        let (signed, opponents) = readmit(context, peer, self.role.signing())?;
        let opponents = opponents.into_iter().map(PeerRef::unnamed).collect();
        Ok(Granted { signed, opponents, readmitted: Some(peer) })
    }
}

impl Output for Granted {
    fn show(&self) -> String {
        let Some(peer) = self.readmitted else { return self.signed.show() };
        let signer = self.signed.signer();
        let others: Vec<String> = self.opponents.iter().map(|one| one.peer.to_string()).collect();
        let state = match others.is_empty() {
            true => {
                format!(
                    "{peer} is no longer denied. It is a peer again as long as its daemon states its presence.\n"
                )
            }
            false => format!("{peer} is still denied by {}.\n", others.join(" and ")),
        };
        format!("{state}Signed by {signer}.\n")
    }
}
