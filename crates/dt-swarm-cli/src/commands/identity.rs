//! `identity`: shows the identity of this robot, and gives it a new one.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::PeerRef;
use crate::text::clean;
use clap::{Args, Subcommand};
use control::Client;
use dcache::PeerId;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};
use swarm::identity_protocol::{IdentityAnswer, IdentityProtocol, IdentityRequest};

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost identity          shows the peer ID of this robot
  dt-swarm-cli localhost identity renew    after an SD card was copied to this robot
  dt-swarm-cli localhost identity keep     after the SD card of this robot was moved here

The daemon must be running. If it does not run, start dt-swarm first.";

/// Maximum time for the daemon to start again with its new identity. It stops within 5 s, and starts within 10 s even
/// from a slow SD card.
const RESTART: Duration = Duration::from_secs(30);
/// Time between two attempts to reach the daemon while it starts again.
const AGAIN: Duration = Duration::from_millis(100);
/// Maximum number of characters of a sentence that are shown.
const MAX_SHOWN: usize = 600;

/// Shows the identity of this robot; or gives it a new one, for example after its SD card was copied from another robot.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Identity {
    #[command(subcommand)]
    command: Option<IdentityCommand>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum IdentityCommand {
    /// Gives this robot a new key, and so a new peer ID. It keeps its files, records, pins and jobs.
    ///
    /// Run this on one of two robots that use the same identity. The daemon starts again, and shares its own files under
    /// the new peer ID. The former key is kept in a file. Roles of the former peer ID do not hold for the new one.
    Renew,
    /// Confirms that the present identity belongs to this machine, after the SD card or the data folder was moved here.
    Keep,
}

/// The output of `identity` and its subcommands.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum IdentityOutput {
    Shown(IdentityFacts),
    Renewed(NewIdentity),
    Kept(IdentityFacts),
}

/// The identity of this robot.
#[derive(Debug, Serialize)]
pub(crate) struct IdentityFacts {
    /// The peer ID of this robot.
    #[serde(flatten)]
    peer: PeerRef,
    /// Whether another host uses the same identity.
    is_copied: bool,
    /// Why the identity may belong to another machine, and the way to mend it; `null` if there is no doubt.
    reason: Option<String>,
}

/// The new identity of this robot.
#[derive(Debug, Serialize)]
pub(crate) struct NewIdentity {
    /// The new peer ID.
    #[serde(flatten)]
    peer: PeerRef,
    /// The former peer ID.
    former: PeerRef,
    /// The path of the file that keeps the former key.
    path: String,
    /// Whether the robot belongs to a swarm with roles.
    has_swarm: bool,
}

impl Command for Identity {
    type Output = IdentityOutput;

    fn run(&self, context: &Context) -> Result<IdentityOutput, CliError> {
        match self.command {
            None => show(context).map(IdentityOutput::Shown),
            Some(IdentityCommand::Renew) => renew(context).map(IdentityOutput::Renewed),
            Some(IdentityCommand::Keep) => {
                context.order::<IdentityProtocol>(&IdentityRequest::Keep {}, IdentityAnswer::Kept {})?;
                show(context).map(IdentityOutput::Kept)
            }
        }
    }
}

fn show(context: &Context) -> Result<IdentityFacts, CliError> {
    let mut client = context.client()?;
    match client.call::<IdentityProtocol>(&IdentityRequest::Show {})? {
        IdentityAnswer::Identity { peer, is_copied, doubt } => {
            Ok(IdentityFacts { peer: PeerRef::unnamed(peer), is_copied, reason: doubt })
        }
        other => Err(client.unexpected(&other).into()),
    }
}

fn renew(context: &Context) -> Result<NewIdentity, CliError> {
    let mut client = context.client()?;
    match client.call::<IdentityProtocol>(&IdentityRequest::Renew {})? {
        IdentityAnswer::Renewed { former, peer, former_key, has_swarm } => {
            wait_for(client.path(), context.timeout, peer)?;
            let (peer, former) = (PeerRef::unnamed(peer), PeerRef::unnamed(former));
            Ok(NewIdentity { peer, former, path: former_key, has_swarm })
        }
        other => Err(client.unexpected(&other).into()),
    }
}

/// Waits until the daemon at this socket has this peer ID.
fn wait_for(socket: &Path, timeout: Duration, peer: PeerId) -> Result<(), CliError> {
    let deadline = Instant::now() + RESTART;
    loop {
        let answer = Client::connect(socket, timeout)
            .and_then(|mut client| client.call::<IdentityProtocol>(&IdentityRequest::Show {}));
        match answer {
            Ok(IdentityAnswer::Identity { peer: now, .. }) if now == peer => return Ok(()),
            _ if Instant::now() >= deadline => return Err(CliError::NotStartedAgain(RESTART)),
            _ => std::thread::sleep(AGAIN),
        }
    }
}

impl IdentityFacts {
    fn show(&self) -> String {
        let mut text = format!("{}\n", self.peer.peer);
        if self.is_copied {
            text += "Another host uses the same identity: run `identity renew` on one of the two.\n";
        }
        if let Some(reason) = &self.reason {
            text += &format!("{}\n", clean(reason, MAX_SHOWN));
        }
        text
    }
}

impl NewIdentity {
    fn show(&self) -> String {
        let Self { peer, former, path, has_swarm } = self;
        let mut text = format!(
            "This robot now has the peer ID {}. Before, it had {}.\nThe former key is kept in {}.\n",
            peer.peer,
            former.peer,
            clean(path, MAX_SHOWN)
        );
        if *has_swarm {
            text += &format!(
                "Roles of the former peer ID do not hold for the new one: an admin can grant them with `grant ROLE {}`.\n",
                peer.peer
            );
        }
        text
    }
}

impl Output for IdentityOutput {
    fn show(&self) -> String {
        match self {
            Self::Shown(facts) => facts.show(),
            Self::Renewed(new) => new.show(),
            Self::Kept(facts) => format!("{}The identity belongs to this machine.\n", facts.show()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::Keypair;

    fn peer(seed: u8) -> PeerRef {
        PeerRef::unnamed(Keypair::from_seed([seed; 32]).peer_id())
    }

    #[test]
    fn a_new_identity_is_shown_with_the_former_key_and_the_lost_roles() {
        let new = |has_swarm| {
            let path = "/data/identity.former-x.key".to_owned();
            IdentityOutput::Renewed(NewIdentity { peer: peer(2), former: peer(1), path, has_swarm })
        };
        let text = new(true).show();
        let parts = [peer(1).peer.to_string(), peer(2).peer.to_string(), "/data/identity.former".to_owned()];
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(text.contains("grant") && !new(false).show().contains("grant"), "{text}");
        vocabulary::checked(&new(false));
    }

    #[test]
    fn a_doubt_about_the_identity_is_shown() {
        let facts =
            |is_copied, reason| IdentityOutput::Shown(IdentityFacts { peer: peer(1), is_copied, reason });
        assert_eq!(facts(false, None).show().lines().count(), 1);
        assert!(facts(true, None).show().contains("identity renew"));
        assert!(facts(false, Some("another machine".to_owned())).show().contains("another machine"));
        vocabulary::checked(&facts(true, None));
    }
}
