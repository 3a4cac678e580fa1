//! `swarm`: shows, joins and leaves swarms, and writes swarm files.

mod from;
mod rights;

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::{PeerRef, Timestamp};
use crate::swarm_file;
use crate::text::{clean, clean_lines, date};
use crate::{key_files, random};
use ::swarm::protocol::{Answer, Request, SwarmProtocol};
use clap::{Args, Subcommand};
use control::{KeyFile, KeyName};
use dcache::{Binding, PeerId, SwarmFile, SwarmId, Time};
use rights::BucketRights;
use seal::SwarmKey;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Maximum number of characters of a line of a swarm file that are shown.
const MAX_LINE_SHOWN: usize = 400;
/// Maximum number of characters of a swarm's name in the name of a key.
const MAX_KEY_NAME: usize = 40;

/// Shows, joins or leaves a swarm, or writes a swarm file.
///
/// A swarm file names the roots of a swarm, which give roles to other peers. Examples: `dt-swarm-cli localhost swarm
/// init class.toml --name 'class of 2027'` and, on each robot, `dt-swarm-cli localhost swarm join class.toml`
#[derive(Debug, Args)]
pub(crate) struct Swarm {
    #[command(subcommand)]
    command: SwarmCommand,
}

#[derive(Debug, Subcommand)]
enum SwarmCommand {
    /// Writes a new swarm file. Each robot then joins the swarm with this file.
    ///
    /// Without --root, also makes a new key file, whose owner is the root. Each swarm file has its own ID: a statement
    /// that is signed in one swarm does not count in another.
    Init {
        /// The file to write. An existing file is never overwritten.
        file: PathBuf,
        /// The name of the swarm, for people.
        #[arg(long, required_unless_present = "from", conflicts_with = "from")]
        name: Option<String>,
        /// Existing swarm file to start from. The new file has the same name, ID, key and rules, and also the same
        /// roots, unless --root names others. A file without an ID gets one, which takes effect a week later
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
        /// A root of the swarm: a peer ID, or the name of a key file. May be given several times
        #[arg(long, value_name = "PEER_ID|KEY")]
        root: Vec<String>,
        /// Adds a secret key to the file. Only robots and people with the file can then read and send in the swarm
        #[arg(long)]
        with_key: bool,
    },
    /// Shows a swarm file, or the swarm to which this robot belongs.
    Show {
        /// The swarm file [default: the swarm of this robot]
        file: Option<PathBuf>,
        /// Also shows the secret key of the swarm.
        #[arg(long)]
        show_key: bool,
    },
    /// Joins the swarm of a swarm file. The daemon keeps a copy of the file.
    Join {
        /// The swarm file.
        file: PathBuf,
    },
    /// Leaves the swarm and returns to the open swarm, in which no peer has a role.
    Leave,
}

/// Warning about a swarm file without an ID.
const NO_ID: &str = "This file has no ID: a statement signed in this swarm also counts in other swarms with the same roots and no \
                     ID. `swarm init NEW --from FILE` writes a copy with an ID.\n";

/// The output of the subcommands.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum SwarmOutput {
    Made(NewSwarm),
    Shown(SwarmFacts),
    Member(Membership),
}

/// A swarm file that was written.
#[derive(Debug, Serialize)]
pub(crate) struct NewSwarm {
    /// The name of the swarm.
    name: String,
    /// The ID to which signatures are bound.
    id: Option<String>,
    /// The time from which signatures are bound to the ID; `null` when they always are.
    bound_time: Option<Timestamp>,
    /// The roots of the swarm.
    roots: Vec<PeerRef>,
    /// Whether the swarm has a secret key.
    has_key: bool,
    /// The path of the swarm file.
    path: String,
    /// The path of the key file that was made for a root; `null` when roots were named.
    key_path: Option<String>,
}

/// A description of a swarm.
#[derive(Debug, Serialize)]
pub(crate) struct SwarmFacts {
    /// The name of the swarm; `null` for the open swarm.
    name: Option<String>,
    /// The ID to which signatures are bound; `null` for the open swarm, and for a swarm file without an ID.
    id: Option<String>,
    /// The roots of the swarm.
    roots: Vec<PeerRef>,
    /// Whether the swarm has a secret key.
    has_key: bool,
    /// The path of the swarm file; `null` when the daemon sent it, and for the open swarm.
    path: Option<String>,
    /// Addresses to which a robot connects to find the swarm.
    bootstrap: Vec<String>,
    /// The text of the swarm file; `null` for the open swarm. The key is hidden unless `--show-key` is given.
    text: Option<String>,
    /// The rights to propose and dismiss, for each kind of bucket.
    rights: Vec<BucketRights>,
}

/// The swarm to which this robot belongs now.
#[derive(Debug, Serialize)]
pub(crate) struct Membership {
    /// The name of the swarm; `null` for the open swarm.
    name: Option<String>,
}

impl Command for Swarm {
    type Output = SwarmOutput;

    fn run(&self, context: &Context) -> Result<SwarmOutput, CliError> {
        context.require_here()?;
        match &self.command {
            SwarmCommand::Init { file, name, from, root, with_key } => {
                let made = match (from, name) {
                    (Some(from), _) => from::init(file, from, root, *with_key),
                    (None, name) => init(file, name.as_deref().unwrap_or_default(), root, *with_key),
                };
                made.map(SwarmOutput::Made)
            }
            SwarmCommand::Show { file, show_key } => {
                let swarm = match file {
                    Some(path) => Some(swarm_file::Swarm::read(path)?),
                    None => context.swarm()?,
                };
                Ok(SwarmOutput::Shown(SwarmFacts::new(swarm, *show_key)))
            }
            SwarmCommand::Join { file } => {
                let swarm = swarm_file::Swarm::read(file)?;
                context.order::<SwarmProtocol>(&Request::Join { swarm: swarm.text }, Answer::Done {})?;
                let name = Some(swarm.file.name().to_owned());
                Ok(SwarmOutput::Member(Membership { name }))
            }
            SwarmCommand::Leave => {
                context.order::<SwarmProtocol>(&Request::Leave {}, Answer::Done {})?;
                Ok(SwarmOutput::Member(Membership { name: None }))
            }
        }
    }
}

impl SwarmFacts {
    fn new(swarm: Option<swarm_file::Swarm>, is_key_shown: bool) -> Self {
        let Some(swarm) = swarm else {
            let (roots, bootstrap, rights) = (Vec::new(), Vec::new(), rights::all(false));
            let (name, id, path, text) = (None, None, None, None);
            return Self { name, id, roots, has_key: false, path, bootstrap, text, rights };
        };
        let text = if is_key_shown { swarm.text.clone() } else { swarm.text_without_key() };
        Self {
            name: Some(swarm.file.name().to_owned()),
            id: swarm.file.binding().map(|binding| binding.id.to_string()),
            roots: roots(&swarm.file),
            has_key: swarm.file.key().is_some(),
            path: swarm.path.map(|path| path.display().to_string()),
            bootstrap: swarm.file.bootstrap().to_vec(),
            text: Some(text),
            rights: rights::all(true),
        }
    }

    fn show(&self) -> String {
        let place = self.path.as_deref().unwrap_or("the swarm to which this robot belongs");
        let swarm = match &self.text {
            Some(text) => {
                format!("# {}\n{}\n", clean(place, MAX_LINE_SHOWN), clean_lines(text, MAX_LINE_SHOWN))
            }
            None => {
                "This robot belongs to the open swarm, in which no peer has a role and all peers may share files.\n\
                     `swarm init` makes a swarm with roles, `swarm join` joins one.\n"
                    .to_owned()
            }
        };
        let doubt = if self.text.is_some() && self.id.is_none() { NO_ID } else { "" };
        format!("{swarm}{doubt}\n{}", rights::show(&self.rights))
    }
}

fn roots(file: &SwarmFile) -> Vec<PeerRef> {
    file.policy().roots().iter().map(|peer| PeerRef::unnamed(*peer)).collect()
}

fn init(path: &Path, name: &str, roots_named: &[String], with_key: bool) -> Result<NewSwarm, CliError> {
    // Checked first, so that no unused key is created.
    if path.exists() {
        return Err(CliError::SwarmExists(path.to_owned()));
    }
    // The name is also checked before a key is made. The root of this file is a placeholder.
    SwarmFile::new(name, [PeerId::from_public_key([0; 32])].into()).map_err(CliError::Swarm)?;
    let (ids, key) = match roots_named {
        [] => new_root(name)?,
        named => (named.iter().map(|root| peer_or_key(root)).collect::<Result<_, _>>()?, None),
    };
    let binding = Binding { id: SwarmId::from_bytes(random::bytes()?), from: Time::default() };
    let file = SwarmFile::new(name, ids).map_err(CliError::Swarm)?.with_binding(binding);
    write(path, file, with_key, key.as_ref())
}

/// Writes a new swarm file. With `with_key`, adds a new key if the file has none.
fn write(path: &Path, file: SwarmFile, with_key: bool, root: Option<&KeyFile>) -> Result<NewSwarm, CliError> {
    let file = match with_key && file.key().is_none() {
        true => file.with_key(SwarmKey::from_bytes(random::bytes()?)),
        false => file,
    };
    let mode = if file.key().is_some() { 0o600 } else { 0o644 };
    let created = control::create(path, file.to_toml().as_bytes(), mode);
    created.map_err(|source| CliError::SwarmUnwritten { path: path.to_owned(), source })?;
    let binding = file.binding();
    Ok(NewSwarm {
        name: file.name().to_owned(),
        id: binding.map(|binding| binding.id.to_string()),
        bound_time: binding.map(|binding| Timestamp(binding.from)).filter(|from| from.0 != Time::default()),
        roots: roots(&file),
        has_key: file.key().is_some(),
        path: path.display().to_string(),
        key_path: root.map(|key| key.path().display().to_string()),
    })
}

type Roots = (BTreeSet<PeerId>, Option<KeyFile>);

fn new_root(swarm: &str) -> Result<Roots, CliError> {
    let name = key_name(swarm)?;
    let key = KeyFile::make(&name.file(&key_files::folder()?))?;
    Ok(([key.peer_id()].into(), Some(key)))
}

/// Returns the name for the key of a new swarm's root: the name of the swarm and `-root`. Characters that are not
/// allowed in the name of a key become `-`.
fn key_name(swarm: &str) -> Result<KeyName, CliError> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = swarm.chars().map(plain).take(MAX_KEY_NAME).collect();
    match name.trim_matches('-') {
        "" => Ok("root".parse()?),
        name => Ok(format!("{name}-root").parse()?),
    }
}

fn peer_or_key(root: &str) -> Result<PeerId, CliError> {
    match root.parse() {
        Ok(peer) => Ok(peer),
        Err(_) => Ok(key_files::open(root)?.peer_id()),
    }
}

impl NewSwarm {
    fn show(&self) -> String {
        let mut shown = format!("Wrote {}.\n", self.path);
        if let Some(Timestamp(from)) = self.bound_time {
            shown += &format!(
                "Statements signed in this swarm are bound to it from {}. Let each robot join with this file before that time.\n",
                date(from)
            );
        }
        if self.has_key {
            shown += "It contains the secret key of the swarm: only robots and people with this file can read and send in the swarm. \
                      Keep it secret, and copy it to each robot over a secure connection, such as scp.\n";
        }
        if let Some(path) = &self.key_path {
            shown += &format!(
                "Its root is the new key {path}: keep that file secret, and keep a copy in a safe place.\n"
            );
        }
        shown + &format!("Next: `dt-swarm-cli localhost swarm join {}` on each robot.\n", self.path)
    }
}

impl Membership {
    fn show(&self) -> String {
        match &self.name {
            Some(name) => format!("This robot now belongs to the swarm {}.\n", clean(name, 64)),
            None => "This robot now belongs to the open swarm, in which no peer has a role.\n".to_owned(),
        }
    }
}

impl Output for SwarmOutput {
    fn show(&self) -> String {
        match self {
            Self::Made(made) => made.show(),
            Self::Shown(facts) => facts.show(),
            Self::Member(membership) => membership.show(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::buckets;
    use seal::KEY_BYTES;

    #[test]
    fn a_key_is_shown_only_when_asked_for() {
        let key = SwarmKey::from_bytes([7; KEY_BYTES]);
        let roots = [PeerId::from_public_key([0; 32])].into();
        let file = SwarmFile::new("class", roots).unwrap().with_key(key.clone());
        let swarm = || swarm_file::Swarm { text: file.to_toml(), file: file.clone(), path: None };
        let told = |is_key_shown| {
            let facts = SwarmFacts::new(Some(swarm()), is_key_shown);
            [facts.show(), vocabulary::checked(&facts).to_string()]
        };
        assert!(told(false).iter().all(|told| told.contains("--show-key") && !told.contains(&key.reveal())));
        assert!(told(true).iter().all(|told| told.contains(&key.reveal())));
    }

    #[test]
    fn the_rights_follow_from_the_table_of_buckets() {
        let row = |shown: &str| {
            let admin = buckets::ADMIN.family().path;
            let row = shown.lines().find(|line| line.split_whitespace().next() == Some(admin));
            row.unwrap_or_else(|| panic!("{shown}")).split_whitespace().take(3).collect::<Vec<_>>().join(" ")
        };
        let file = SwarmFile::new("class", [PeerId::from_public_key([0; 32])].into()).unwrap();
        let swarm = swarm_file::Swarm { text: file.to_toml(), file, path: None };
        assert_eq!(row(&SwarmFacts::new(Some(swarm), false).show()), "admin root root");
        assert_eq!(SwarmFacts::new(None, false).rights.len(), buckets::FAMILIES.len());
    }

    #[test]
    fn the_key_of_a_root_is_named_after_the_swarm() {
        for (swarm, key) in [("Class of 2027", "class-of-2027-root"), ("é!", "root"), ("../x", "x-root")] {
            assert_eq!(key_name(swarm).unwrap().to_string(), key);
        }
        assert!(key_name(&"long ".repeat(100)).is_ok());
    }
}
