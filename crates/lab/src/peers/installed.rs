//! The folder into which `check` installs programs of other projects.

use std::env;
use std::path::PathBuf;

use crate::error::Unavailable;

/// Returns `$XDG_CACHE_HOME/dt-swarm`, the folder into which `check` installs the programs that tests need.
pub(super) fn cache_folder() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/".into())).join(".cache");
    let base = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    base.map_or_else(home, PathBuf::from).join("dt-swarm")
}

/// Returns the path of a file that `check` installs, if it exists.
pub(super) fn installed(what: &str, path: &str) -> Result<PathBuf, Unavailable> {
    let path = cache_folder().join(path);
    if path.exists() {
        return Ok(path);
    }
    Err(Unavailable::new(format!("{what} is not installed ({}): `./check` installs it", path.display())))
}
