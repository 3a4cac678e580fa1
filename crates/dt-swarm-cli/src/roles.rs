//! The code that `grant` and `revoke` share. Roles are buckets, so both commands sign a statement about an item.

use crate::ask;
use crate::context::Context;
use crate::error::CliError;
use crate::output::names::{HOSTNAMES, Names};
use crate::signing::{self, Signed, SigningOptions, Unsigned};
use crate::validity::{DefaultLength, ValidityOptions};
use clap::Args;
use dcache::{Data, Item, Kind, PeerId, Role, buckets};

/// A role and a peer.
#[derive(Debug, Args)]
pub(crate) struct RoleArguments {
    /// The role: admin, trusted or peer. `grant peer` takes back `revoke peer`.
    role: Role,
    /// The peer ID of the robot, as `ping` on that robot shows it.
    #[arg(value_name = "PEER_ID")]
    peer: String,
    #[command(flatten)]
    validity: ValidityOptions,
    #[command(flatten)]
    signing: SigningOptions,
}

impl RoleArguments {
    /// Returns the role of the command line.
    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Returns the options that choose the signer.
    pub(crate) fn signing(&self) -> &SigningOptions {
        &self.signing
    }

    /// Returns the peer that gets or loses the role. Fails if the argument is not a peer ID.
    pub(crate) fn peer(&self, context: &Context) -> Result<PeerId, CliError> {
        self.peer.parse::<PeerId>().map_err(|_| not_an_id(context, &self.peer))
    }

    /// Signs the statement that gives the role, or takes it away.
    pub(crate) fn sign(&self, context: &Context, kind: Kind) -> Result<Signed, CliError> {
        context.require_here()?;
        let bucket = match (self.role, kind) {
            (Role::Root, _) | (Role::Peer, Kind::Propose) => return Err(CliError::NotGiven(self.role)),
            (Role::Admin, _) => buckets::ADMIN.path(),
            (Role::Trusted, _) => buckets::TRUSTED.path(),
            (Role::Peer, Kind::Dismiss) => buckets::PEER.path(),
        };
        let peer = self.peer(context)?;
        if (self.role, kind) == (Role::Peer, Kind::Dismiss) && peer == self.signing.signer(context)? {
            return Err(CliError::RevokesItself(peer));
        }
        let item = Item { bucket, data: Data::from(peer) };
        let default_length = DefaultLength::Forever;
        let statement = Unsigned { kind, item, validity: &self.validity, default_length };
        signing::sign(context, vec![statement], &self.signing)
    }
}

/// Makes the error for an argument that is not a peer ID. Its message has the IDs of the peers with that host name.
pub(crate) fn not_an_id(context: &Context, name: &str) -> CliError {
    let ask = || {
        let answer = ask::records(&mut context.connect()?, &[HOSTNAMES], &context.own_words_policy())?;
        Names::read(&answer.set, answer.now).map_err(CliError::from)
    };
    // Without an answer, the error names no IDs, but is still correct.
    let peers = ask().map(|names| names.peers(name)).unwrap_or_default();
    CliError::NotAnId { name: name.to_owned(), peers }
}
