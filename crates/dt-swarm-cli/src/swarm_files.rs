//! Swarm files: by which to judge, and the commands `swarm init`, `show`, `join` and `leave`.

use crate::arguments::{Arguments, SwarmCommand};
use crate::error::CliError;
use crate::keys;
use crate::local;
use crate::text::{clean, clean_lines};
use control::{KeyFile, KeyName, Places, Request};
use dcache::{MAX_SWARM_FILE_BYTES, PeerId, Policy, SwarmFile};
use rand::TryRng as _;
use seal::{KEY_BYTES, SwarmKey};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The most characters of a line of a swarm file that are shown.
const MAX_LINE_SHOWN: usize = 400;

/// What is shown in the place of a swarm's key.
const HIDDEN: &str = "(hidden; --show-key shows it)";

/// By what policy to judge and with what key to speak: those of `--swarm`, else of the daemon on this computer, else of the
/// swarm file of this user; and else those of the open swarm.
pub(crate) fn policy_and_key(arguments: &Arguments) -> Result<(Policy, Option<SwarmKey>), CliError> {
    let file = current(arguments)?.map(|swarm| swarm.file);
    Ok(file.map_or_else(Default::default, |file| (file.policy(), file.key().cloned())))
}

/// With what key to speak where nothing is judged: a swarm that cannot be found out has none, unless its file was named.
pub(crate) fn key(arguments: &Arguments) -> Result<Option<SwarmKey>, CliError> {
    match policy_and_key(arguments) {
        Err(error) if arguments.swarm.is_some() => Err(error),
        other => Ok(other.ok().and_then(|(_, key)| key)),
    }
}

/// A swarm, and where it is written down; `None` when the daemon told it.
struct Swarm {
    text: String,
    file: SwarmFile,
    path: Option<PathBuf>,
}

fn current(arguments: &Arguments) -> Result<Option<Swarm>, CliError> {
    if let Some(path) = &arguments.swarm {
        return read(path).map(Some);
    }
    if let Some(status) = local::status(arguments)? {
        let Some(text) = status.swarm else { return Ok(None) };
        let file = SwarmFile::parse(&text).map_err(CliError::SwarmStrange)?;
        return Ok(Some(Swarm { text, file, path: None }));
    }
    match Places::current().swarm_file() {
        Some(path) if path.exists() => read(&path).map(Some),
        _ => Ok(None),
    }
}

fn read(path: &Path) -> Result<Swarm, CliError> {
    let mut text = String::new();
    // One byte more than allowed, so that a longer file shows.
    let most = MAX_SWARM_FILE_BYTES as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
    read.map_err(|error| CliError::SwarmUnread(path.to_owned(), error))?;
    let file = SwarmFile::parse(&text).map_err(|error| CliError::SwarmWrong(path.to_owned(), error))?;
    Ok(Swarm { text, file, path: Some(path.to_owned()) })
}

/// Does what `swarm …` says.
pub(crate) fn run(arguments: &Arguments, command: &SwarmCommand) -> Result<(String, Value), CliError> {
    local::check(arguments)?;
    match command {
        SwarmCommand::Init { file, name, root, with_key } => init(file, name, root, *with_key),
        SwarmCommand::Show { file: Some(path), show_key } => read(path).map(|swarm| show(&swarm, *show_key)),
        SwarmCommand::Show { file: None, show_key } => {
            Ok(current(arguments)?.map_or_else(show_open, |swarm| show(&swarm, *show_key)))
        }
        SwarmCommand::Join { file } => join(arguments, file),
        SwarmCommand::Leave => leave(arguments),
    }
}

fn show(swarm: &Swarm, is_key_shown: bool) -> (String, Value) {
    let text = if is_key_shown { swarm.text.clone() } else { without_key(swarm) };
    let roots: Vec<String> = swarm.file.policy().roots().iter().map(PeerId::to_string).collect();
    let place = match &swarm.path {
        Some(path) => path.display().to_string(),
        None => "the swarm to which this robot belongs".to_owned(),
    };
    let shown = format!("# {}\n{}\n", clean(&place, MAX_LINE_SHOWN), clean_lines(&text, MAX_LINE_SHOWN));
    let json = json!({
        "name": swarm.file.name(),
        "roots": roots,
        "bootstrap": swarm.file.bootstrap(),
        "has_key": swarm.file.key().is_some(),
        "text": text,
    });
    (shown, json)
}

/// The text of a swarm file without its secret.
fn without_key(swarm: &Swarm) -> String {
    let Some(key) = swarm.file.key() else { return swarm.text.clone() };
    let secret = key.reveal();
    // Written in another way, with escapes, it is not found; then the file is shown as we would write it.
    let text = if swarm.text.contains(&secret) { swarm.text.clone() } else { swarm.file.to_toml() };
    text.replace(&secret, HIDDEN)
}

fn show_open() -> (String, Value) {
    let shown = "This robot belongs to the open swarm, in which nobody has a role and everybody may share.\n\
                 `swarm init` makes a swarm with roles, `swarm join` joins one.\n";
    (shown.to_owned(), json!({ "name": null, "roots": [], "bootstrap": [], "has_key": false, "text": null }))
}

fn init(path: &Path, name: &str, roots: &[String], with_key: bool) -> Result<(String, Value), CliError> {
    // Before a key is made for nothing.
    if path.exists() {
        return Err(CliError::SwarmExists(path.to_owned()));
    }
    // What cannot be a name is said before a key is made for it as well.
    SwarmFile::new(name, [PeerId::from_public_key([0; 32])].into()).map_err(CliError::Swarm)?;
    let (roots, key) = match roots {
        [] => new_root(name)?,
        named => (named.iter().map(|root| peer_or_key(root)).collect::<Result<_, _>>()?, None),
    };
    let open = SwarmFile::new(name, roots).map_err(CliError::Swarm)?;
    let (file, mode) = if with_key { (open.with_key(new_key()?), 0o600) } else { (open, 0o644) };
    let created = control::create(path, file.to_toml().as_bytes(), mode);
    created.map_err(|error| CliError::SwarmUnwritten(path.to_owned(), error))?;
    let mut shown = format!("Wrote {}.\n", path.display());
    if with_key {
        shown += "It holds the swarm's key: whoever has this file can listen and speak in the swarm, and nobody else can. Keep \
                  it secret, and give it to each robot by a way that nobody else sees, such as scp.\n";
    }
    if let Some(key) = &key {
        shown += &format!(
            "Its root is the new key {}: keep that file secret, and a copy of it in a safe place.\n",
            key.path().display()
        );
    }
    let roots: Vec<String> = file.policy().roots().iter().map(PeerId::to_string).collect();
    shown += &format!("Next: `dt-swarm-cli localhost swarm join {}` on each robot.\n", path.display());
    Ok((
        shown,
        json!({
            "name": name,
            "roots": roots,
            "file": path,
            "key": key.map(|key| key.path().to_owned()),
            "has_key": with_key,
        }),
    ))
}

fn new_key() -> Result<SwarmKey, CliError> {
    let mut bytes = [0; KEY_BYTES];
    let filled = rand::rngs::SysRng.try_fill_bytes(&mut bytes);
    filled.map_err(|error| CliError::Random(io::Error::other(error)))?;
    Ok(SwarmKey::from_bytes(bytes))
}

type Roots = (BTreeSet<PeerId>, Option<KeyFile>);

fn new_root(swarm: &str) -> Result<Roots, CliError> {
    let name = key_name(swarm)?;
    let key = KeyFile::make(&name.file(&keys::folder()?))?;
    Ok(([key.peer_id()].into(), Some(key)))
}

/// The name of the root's key of a new swarm: the swarm's, as far as it can stand in the name of a file.
fn key_name(swarm: &str) -> Result<KeyName, CliError> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = swarm.chars().map(plain).take(40).collect();
    match name.trim_matches('-') {
        "" => Ok("root".parse()?),
        name => Ok(format!("{name}-root").parse()?),
    }
}

fn peer_or_key(root: &str) -> Result<PeerId, CliError> {
    match root.parse() {
        Ok(peer) => Ok(peer),
        Err(_) => Ok(keys::open(root)?.peer_id()),
    }
}

fn join(arguments: &Arguments, path: &Path) -> Result<(String, Value), CliError> {
    let swarm = read(path)?;
    let mut client = local::open(arguments)?;
    client.order(&Request::Join { swarm: swarm.text })?;
    let name = swarm.file.name();
    Ok((format!("This robot belongs to the swarm {} now.\n", clean(name, 64)), json!({ "name": name })))
}

fn leave(arguments: &Arguments) -> Result<(String, Value), CliError> {
    local::open(arguments)?.order(&Request::Leave {})?;
    let shown = "This robot belongs to the open swarm now, in which nobody has a role.\n";
    Ok((shown.to_owned(), json!({ "name": null })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_only_when_asked_for() {
        let key = SwarmKey::from_bytes([7; KEY_BYTES]);
        let roots = [PeerId::from_public_key([0; 32])].into();
        let file = SwarmFile::new("class", roots).unwrap().with_key(key.clone());
        let plain = format!("# mine\n{}", file.to_toml());
        // The same with its first letter as an escape.
        let escaped = plain.replacen(&key.reveal(), &format!("\\u0042{}", &key.reveal()[1..]), 1);
        for (text, is_kept) in [(plain, true), (escaped, false)] {
            assert_eq!(SwarmFile::parse(&text).as_ref(), Ok(&file));
            let swarm = Swarm { text: text.clone(), file: file.clone(), path: None };
            let (shown, json) = show(&swarm, false);
            for told in [&shown, &json.to_string()] {
                assert!(told.contains(HIDDEN) && !told.contains(&key.reveal()[1..]), "{told}");
            }
            assert_eq!((shown.contains("# mine"), &json["has_key"]), (is_kept, &true.into()));
            assert!(show(&swarm, true).0.contains(&text));
        }
    }

    #[test]
    fn a_swarms_key_is_called_after_it() {
        for (swarm, key) in [("Class of 2027", "class-of-2027-root"), ("é!", "root"), ("../x", "x-root")] {
            assert_eq!(key_name(swarm).unwrap().to_string(), key);
        }
        assert!(key_name(&"long ".repeat(100)).is_ok());
    }
}
