//! `keys`: shows the keys of this computer, which are the robot's own key and the key files.

use super::Command;
use crate::ask;
use crate::context::Context;
use crate::error::CliError;
use crate::key_files;
use crate::output::Output;
use crate::output::fields::PeerRef;
use crate::output::names::{HOSTNAMES, Names};
use crate::tables::table;
use crate::text::clean;
use clap::{Args, Subcommand};
use control::{KeyFile, KeyName};
use dcache::{PeerId, Policy, Role, Set, Time, buckets};
use serde::Serialize;

/// Shows the key of this robot and the key files, with their roles; or makes a new key file.
///
/// Example: `dt-swarm-cli localhost keys new root` makes a key file with the name root.
#[derive(Debug, Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: Option<KeysCommand>,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Makes a new key file. With it, a person can hold a role without a robot.
    New {
        /// The name of the key, such as root, or the path of the file, with a / in it.
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
}

/// The output of `keys` and `keys new`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum KeysOutput {
    List(KeyList),
    New(NewKey),
}

/// The keys of this computer.
#[derive(Debug, Serialize)]
pub(crate) struct KeyList {
    /// The robot's own key, then the key files by name.
    keys: Vec<Key>,
}

/// A key of this computer.
#[derive(Debug, Serialize)]
struct Key {
    /// The name of the key file; `(this robot)` is the robot's own key.
    name: String,
    /// The path of the key file; `null` for the robot's own key.
    path: Option<String>,
    /// The peer ID that belongs to the key; `null` when the key cannot be read.
    peer: Option<PeerId>,
    /// The host name of this peer; `null` if it is not known.
    hostname: Option<String>,
    /// The role that this peer has; `null` when it has none.
    role: Option<&'static str>,
    /// Why the key cannot be read; `null` when it can.
    reason: Option<String>,
}

/// A key file that was created.
#[derive(Debug, Serialize)]
pub(crate) struct NewKey {
    /// The peer ID that belongs to the key.
    #[serde(flatten)]
    peer: PeerRef,
    /// The path of the key file.
    path: String,
}

impl Command for Keys {
    type Output = KeysOutput;

    fn run(&self, context: &Context) -> Result<KeysOutput, CliError> {
        context.require_here()?;
        match &self.command {
            None => list(context).map(KeysOutput::List),
            Some(KeysCommand::New { name }) => {
                let key = KeyFile::make(&key_files::path(name)?)?;
                let path = key.path().display().to_string();
                Ok(KeysOutput::New(NewKey { peer: PeerRef::unnamed(key.peer_id()), path }))
            }
        }
    }
}

fn list(context: &Context) -> Result<KeyList, CliError> {
    let robot = match context.status()? {
        Some(status) => Ok(status.peer),
        None => Err("no daemon answers here".to_owned()),
    };
    let peers = Peers::ask(context)?;
    let mut keys = vec![peers.key("(this robot)".to_owned(), None, robot)];
    let folder = key_files::folder()?;
    for name in KeyName::list(&folder).map_err(CliError::Keys)? {
        let path = name.file(&folder);
        let peer = KeyFile::open(&path).map(|key| key.peer_id()).map_err(|error| error.to_string());
        keys.push(peers.key(name.to_string(), Some(path.display().to_string()), peer));
    }
    Ok(KeyList { keys })
}

/// The roles and names of peers, from the daemon. If the daemon does not answer, only the roots are known, because the
/// swarm file names them.
struct Peers {
    policy: Policy,
    told: Option<(Set, Names, Time)>,
}

impl Peers {
    fn ask(context: &Context) -> Result<Self, CliError> {
        let (policy, key) = context.policy_and_key()?;
        let told = || {
            let mut connection = context.connect_with(key.as_ref())?;
            let answer = ask::records(&mut connection, &[buckets::PEER.pattern(), HOSTNAMES], &policy)?;
            let names = Names::read(&answer.set, answer.now)?;
            Ok::<_, CliError>((answer.set, names, answer.now))
        };
        let told = told().ok();
        Ok(Self { policy, told })
    }

    fn role(&self, peer: PeerId) -> Option<Role> {
        match &self.told {
            Some((set, _, now)) => set.role(peer, *now),
            None => self.policy.roots().contains(&peer).then_some(Role::Root),
        }
    }

    fn key(&self, name: String, path: Option<String>, peer: Result<PeerId, String>) -> Key {
        let (peer, reason) = match peer {
            Ok(peer) => (Some(peer), None),
            Err(reason) => (None, Some(reason)),
        };
        let hostname = |peer| self.told.as_ref().and_then(|(_, names, _)| names.of(peer).hostname);
        Key {
            name,
            path,
            peer,
            hostname: peer.and_then(hostname),
            role: peer.and_then(|peer| self.role(peer)).map(Role::name),
            reason,
        }
    }
}

impl Output for KeysOutput {
    fn show(&self) -> String {
        match self {
            Self::List(list) => list.show(),
            Self::New(NewKey { peer, path }) => format!(
                "{}\nThe key is in {path}. Keep it secret, and keep a copy in a safe place.\n",
                peer.peer
            ),
        }
    }
}

impl KeyList {
    fn show(&self) -> String {
        let mut table = table(&["key", "role", "peer ID", "file"]);
        for Key { name, path, peer, role, reason, .. } in &self.keys {
            let role = peer.map_or("?", |_| role.unwrap_or("none"));
            let peer = peer.map_or_else(String::new, |peer| peer.to_string());
            let reason = reason.as_ref().map_or_else(String::new, |reason| clean(reason, 200));
            table.add_row([name.as_str(), role, &(peer + &reason), path.as_deref().unwrap_or_default()]);
        }
        format!("{}\n", table.trim_fmt())
    }
}
