//! The page docs/configuration.md.

use crate::source::{self, Field};
use crate::{Error, markdown, programs};
use dt_swarm::reference;
use serde_json::Value;
use service::SettingsType;
use std::fmt::Write as _;

const INTRODUCTION: &str = "\
# Configuration of the daemon

The daemon needs no configuration: every key has a default. The daemon reads `dt-swarm/config.toml` in `$XDG_CONFIG_HOME` \
or `~/.config`. The option `--config FILE` names another file. The file has the format TOML:

```toml
hostname = \"robot1\"

[logs]
keep_others = false

[transfers]
wan_up = \"500kB\"
```

- [Command line options of the daemon](cli.md#dt-swarm) have precedence over environment variables. Environment variables \
have precedence over the file. The file has precedence over the defaults.
- A key that does not exist is an error. The message names the most similar key.
- A leading `~` in a path stands for the home folder.
- The daemon reads the file when it starts.

";

/// Text before the default of a key that the daemon computes.
const DEFAULT: &str = "Default: ";

/// Returns the text of the page.
pub(crate) fn page() -> Result<String, Error> {
    let mut page = markdown::header() + INTRODUCTION;
    page += &environment();
    page += "## Keys at the top of the file\n\n";
    add_keys(&mut page, &read(&reference::settings())?);
    for service in dt_swarm::SERVICES {
        let settings = service.settings();
        let _ = write!(page, "## Section `[{}]`\n\n{}\n\n", service.name, source::read(settings.path)?.text);
        let keys = read(&settings)?;
        page += &places(service.name, &keys);
        add_keys(&mut page, &keys);
    }
    Ok(page.trim_end().to_owned() + "\n")
}

/// Returns the environment variables that replace a key of the file.
fn environment() -> String {
    let [_, daemon] = programs();
    let mut text = "## Environment variables\n\n".to_owned();
    for option in daemon.get_arguments() {
        if let (Some(variable), Some(name)) = (option.get_env(), option.get_long()) {
            let _ = writeln!(
                text,
                "- `{}` has the meaning of the option `--{name}`.",
                variable.to_string_lossy()
            );
        }
    }
    text + "- `RUST_LOG` selects the messages of the log, for example `RUST_LOG=debug` or `RUST_LOG=logs=debug,info`.\n\n"
}

/// Returns the note about keys of a section that are also accepted at the top of the file.
fn places(section: &str, keys: &[Key]) -> String {
    let is_moved = |key: &&Key| reference::is_also_at_the_top(section, &key.name);
    match keys.iter().filter(is_moved).count() {
        0 => String::new(),
        all if all == keys.len() => {
            "These keys are also accepted at the top of the file, where earlier versions had them.\n\n"
                .to_owned()
        }
        _ => {
            let names: Vec<String> =
                keys.iter().filter(is_moved).map(|key| markdown::code(&key.name)).collect();
            format!("The following keys are also accepted at the top of the file: {}.\n\n", names.join(", "))
        }
    }
}

/// A key of the configuration.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    text: String,
    kind: String,
    default: String,
}

/// Returns the keys of a section, in the order of the source code.
pub(crate) fn read(settings: &SettingsType) -> Result<Vec<Key>, Error> {
    let documented = source::read(settings.path)?;
    let mut fields: Vec<String> = documented.fields.iter().map(|field| field.name.clone()).collect();
    let mut keys: Vec<String> = settings.defaults.keys().cloned().collect();
    fields.sort();
    keys.sort();
    if fields != keys {
        return Err(Error::OtherKeys { path: settings.path, fields, keys });
    }
    let key = |field: Field| {
        let default = settings.defaults.get(&field.name).unwrap_or(&Value::Null);
        let (text, default) = split_default(&field, default)?;
        Ok(Key { name: field.name, text, kind: field.kind, default })
    };
    documented.fields.into_iter().map(key).collect()
}

/// Returns the text about a key and the text about its default.
pub(crate) fn split_default(field: &Field, default: &Value) -> Result<(String, String), Error> {
    match (default, field.text.rsplit_once(DEFAULT)) {
        (Value::Null, Some((text, default))) => Ok((text.trim_end().to_owned(), default.to_owned())),
        (Value::Null, None) | (_, Some(_)) => Err(Error::DefaultPlace(field.name.clone())),
        // All values in use are written the same in JSON and in TOML.
        (value, None) => Ok((field.text.clone(), markdown::code(&value.to_string()))),
    }
}

fn add_keys(page: &mut String, keys: &[Key]) {
    for Key { name, text, kind, default } in keys {
        let default = markdown::sentence(default);
        let _ = write!(page, "### `{name}`\n\n{text}\n\n- Type: {kind}.\n- Default: {default}\n\n");
    }
}
