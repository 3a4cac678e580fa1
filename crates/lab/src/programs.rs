//! Paths of the programs under test.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::tool::run;
use crate::{Error, Result};

/// Environment variable that names a folder with the built programs. Without it the lab builds them.
const FOLDER: &str = "DT_SWARM_BIN_DIR";

/// Paths of the programs under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The path of `dt-swarm`.
    pub daemon: PathBuf,
    /// The path of `dt-swarm-cli`.
    pub cli: PathBuf,
}

/// Returns the daemon and the CLI. They are taken from `DT_SWARM_BIN_DIR` if it is set. Otherwise cargo builds them,
/// once per process, in the profile and the target folder of the running program.
///
/// # Errors
/// When the programs cannot be built or are missing.
pub fn programs() -> Result<Programs> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = match (env::var_os(FOLDER), BUILT.get()) {
        (Some(folder), _) => PathBuf::from(folder),
        (None, Some(folder)) => folder.clone(),
        (None, None) => {
            let folder = build()?;
            BUILT.get_or_init(|| folder).clone()
        }
    };
    let programs = Programs { daemon: folder.join("dt-swarm"), cli: folder.join("dt-swarm-cli") };
    for path in [&programs.daemon, &programs.cli] {
        path.metadata().map_err(Error::io(format!("the program {}", path.display())))?;
    }
    Ok(programs)
}

/// Returns the path of an example of a package. It is taken from `DT_SWARM_BIN_DIR` if it is set; otherwise cargo
/// builds it.
///
/// # Errors
/// When it cannot be built or is missing.
pub fn example(package: &str, name: &str) -> Result<PathBuf> {
    let folder = match env::var_os(FOLDER) {
        Some(folder) => PathBuf::from(folder),
        None => build_by(&["--package", package, "--example", name])?,
    };
    let path = folder.join("examples").join(name);
    path.metadata().map_err(Error::io(format!("the example {}", path.display())))?;
    Ok(path)
}

fn build() -> Result<PathBuf> {
    build_by(&["--package", "dt-swarm", "--package", "dt-swarm-cli"])
}

/// Builds the packages that `selection` names and returns the folder of the profile.
fn build_by(selection: &[&str]) -> Result<PathBuf> {
    let running = env::current_exe().map_err(Error::io("finding the running program"))?;
    let strange = || Error::answer("the place of the running program", running.display().to_string());
    let (target, profile) = target_and_profile(&running).ok_or_else(strange)?;
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--manifest-path", manifest]).args(selection);
    // The folder of cargo's profile `dev` is called `debug`.
    cargo.args(["--profile", if profile == "debug" { "dev" } else { &profile }]);
    cargo.arg("--target-dir").arg(&target);
    run(cargo, "")?;
    Ok(target.join(profile))
}

/// Returns the target folder and the profile of a program. Cargo puts a program in TARGET/PROFILE and a test in
/// TARGET/PROFILE/deps.
fn target_and_profile(program: &Path) -> Option<(PathBuf, String)> {
    let folder = program.parent()?;
    let folder = if folder.ends_with("deps") { folder.parent()? } else { folder };
    Some((folder.parent()?.to_owned(), folder.file_name()?.to_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_and_a_program_lie_in_one_profile() {
        let expected = Some((PathBuf::from("/t"), "debug".to_owned()));
        assert_eq!(target_and_profile(Path::new("/t/debug/deps/network-0a1b")), expected);
        assert_eq!(target_and_profile(Path::new("/t/debug/lab")), expected);
    }
}
