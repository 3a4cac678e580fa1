//! The keys of this computer: the robot's own, and key files.

use crate::arguments::{Arguments, KeysCommand};
use crate::connection::Connection;
use crate::error::CliError;
use crate::text::clean;
use crate::{ask, local, swarm_files, tables};
use control::{KeyFile, KeyName, Places};
use dcache::{PeerId, Role};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The folder of key files.
pub(crate) fn folder() -> Result<PathBuf, CliError> {
    Places::current().keys().ok_or(CliError::NoKeys)
}

/// The path of a key file that a person named: a path when it has a slash in it, else a name.
fn path(text: &str) -> Result<PathBuf, CliError> {
    match text.contains('/') {
        true => Ok(text.into()),
        false => Ok(text.parse::<KeyName>()?.file(&folder()?)),
    }
}

/// The key file that a person named.
pub(crate) fn open(text: &str) -> Result<KeyFile, CliError> {
    let path = path(text)?;
    if !text.contains('/') && !path.exists() {
        return Err(CliError::NoSuchKey { name: text.parse()? });
    }
    Ok(KeyFile::open(&path)?)
}

/// Does what `keys …` says.
pub(crate) fn run(arguments: &Arguments, command: Option<&KeysCommand>) -> Result<(String, Value), CliError> {
    local::check(arguments)?;
    match command {
        Some(KeysCommand::New { name }) => make(&path(name)?),
        None => list(arguments),
    }
}

fn make(path: &Path) -> Result<(String, Value), CliError> {
    let key = KeyFile::make(path)?;
    let (peer, path) = (key.peer_id(), key.path().display().to_string());
    let shown = format!("{peer}\nThe key is in {path}. Keep it secret, and a copy of it in a safe place.\n");
    Ok((shown, json!({ "peer": peer, "file": path })))
}

/// A key of this computer, or why a file that looks like one is none.
struct Found {
    name: String,
    file: Option<PathBuf>,
    peer: Result<PeerId, String>,
}

fn list(arguments: &Arguments) -> Result<(String, Value), CliError> {
    let found = find(arguments)?;
    let role = roles(arguments)?;
    let mut table = tables::table(&["key", "role", "peer ID", "file"]);
    let mut keys = Vec::new();
    for Found { name, file, peer } in &found {
        let role = peer.as_ref().ok().map(|peer| role(*peer));
        let shown = role.map_or("?", |role| role.map_or("none", Role::name));
        let peer_shown = peer.as_ref().map_or_else(|why| clean(why, 200), PeerId::to_string);
        let file_shown = file.as_ref().map_or_else(String::new, |file| file.display().to_string());
        table.add_row([name.as_str(), shown, &peer_shown, &file_shown]);
        keys.push(json!({
            "name": name,
            "file": file,
            "peer": peer.as_ref().ok(),
            "role": role.flatten().map(Role::name),
            "problem": peer.as_ref().err(),
        }));
    }
    Ok((format!("{}\n", table.trim_fmt()), json!({ "keys": keys })))
}

fn find(arguments: &Arguments) -> Result<Vec<Found>, CliError> {
    let robot = match local::status(arguments)? {
        Some(status) => Ok(status.peer),
        None => Err("no daemon answers here".to_owned()),
    };
    let mut found = vec![Found { name: "(this robot)".to_owned(), file: None, peer: robot }];
    let folder = folder()?;
    for name in KeyName::list(&folder).map_err(CliError::Keys)? {
        let file = name.file(&folder);
        let peer = KeyFile::open(&file).map(|key| key.peer_id()).map_err(|error| error.to_string());
        found.push(Found { name: name.to_string(), file: Some(file), peer });
    }
    Ok(found)
}

/// Who has which role; when no daemon tells, as far as the swarm file does.
fn roles(arguments: &Arguments) -> Result<impl Fn(PeerId) -> Option<Role>, CliError> {
    let (policy, key) = swarm_files::policy_and_key(arguments)?;
    let connected = Connection::open(&arguments.host, arguments.timeout, key.as_ref());
    let answer = connected.and_then(|mut connection| ask::records(&mut connection, &["/peer"], &policy));
    Ok(move |peer| match &answer {
        Ok(answer) => answer.set.role(peer, answer.now),
        Err(_) => policy.roots().contains(&peer).then_some(Role::Root),
    })
}
