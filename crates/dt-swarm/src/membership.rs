//! The swarm to which this node belongs. Reads the swarm file at the start, and changes it when the node joins or
//! leaves a swarm.

use crate::config::Config;
use dcache::{MAX_SWARM_FILE_BYTES, Policy, SwarmFile, SwarmFileError};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The swarm to which this node belongs. Without a swarm file, this is the open swarm.
#[derive(Debug)]
pub(crate) struct Membership {
    path: PathBuf,
    is_named: bool,
    /// The text of the swarm file and its parsed form; `None` in the open swarm.
    current: Option<(String, SwarmFile)>,
}

/// Reason why the swarm file cannot be loaded, or why the swarm is not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MembershipError {
    /// The daemon does not start in this case. In the open swarm it would accept statements that the rules of the file
    /// exclude.
    #[error(
        "the swarm file {0} cannot be read: {1}; copy the file to this path, or remove the path from the configuration"
    )]
    Read(PathBuf, #[source] io::Error),
    #[error("the swarm file {0} is wrong: {1}; correct it, or remove it to use the open swarm")]
    Wrong(PathBuf, #[source] SwarmFileError),
    #[error("this is no swarm file: {0}")]
    NoSwarm(#[source] SwarmFileError),
    #[error("this node is in the open swarm already")]
    Open,
    #[error(
        "the configuration of this daemon names the swarm file {0}: remove `swarm_file` (or `--swarm`) from it and start \
         the daemon again"
    )]
    Named(PathBuf),
    #[error("the swarm file {0} cannot be written: {1}")]
    Write(PathBuf, #[source] io::Error),
}

impl Membership {
    /// Reads the swarm file. The file at the default path may be missing, but a file that the configuration names must
    /// exist.
    pub(crate) fn load(config: &Config) -> Result<Self, MembershipError> {
        let (path, is_named) = (config.swarm_file.clone(), config.is_swarm_file_named);
        let current = match read(&path) {
            Ok(text) => {
                let file = SwarmFile::parse(&text);
                let file = file.map_err(|error| MembershipError::Wrong(path.clone(), error))?;
                Some((text, file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => None,
            Err(error) => return Err(MembershipError::Read(path, error)),
        };
        Ok(Self { path, is_named, current })
    }

    /// Returns the policy of the swarm.
    pub(crate) fn policy(&self) -> Policy {
        self.current.as_ref().map_or_else(Policy::default, |(_, file)| file.policy())
    }

    /// Returns the parsed swarm file; `None` for the open swarm.
    pub(crate) fn file(&self) -> Option<&SwarmFile> {
        self.current.as_ref().map(|(_, file)| file)
    }

    /// Returns the name of the swarm; `None` for the open swarm.
    pub(crate) fn name(&self) -> Option<&str> {
        self.current.as_ref().map(|(_, file)| file.name())
    }

    /// Returns the text of the swarm file; `None` for the open swarm.
    pub(crate) fn text(&self) -> Option<&str> {
        self.current.as_ref().map(|(text, _)| text.as_str())
    }

    /// Joins the swarm whose swarm file has this text. The file is on the disk when this returns.
    pub(crate) fn join(&mut self, text: String) -> Result<(), MembershipError> {
        let file = SwarmFile::parse(&text).map_err(MembershipError::NoSwarm)?;
        self.write(&text, &file).map_err(|error| MembershipError::Write(self.path.clone(), error))?;
        self.current = Some((text, file));
        Ok(())
    }

    fn write(&self, text: &str, file: &SwarmFile) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        // A file with a key is secret.
        let mode = if file.key().is_some() { 0o600 } else { 0o644 };
        control::replace(&self.path, text.as_bytes(), mode)
    }

    /// Leaves the swarm and returns to the open swarm. Deletes the swarm file.
    pub(crate) fn leave(&mut self) -> Result<(), MembershipError> {
        if self.current.is_none() {
            return Err(MembershipError::Open);
        }
        if self.is_named {
            return Err(MembershipError::Named(self.path.clone()));
        }
        control::remove(&self.path).map_err(|error| MembershipError::Write(self.path.clone(), error))?;
        self.current = None;
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    // Reads one byte more than allowed, so that a file that is too long is refused.
    File::open(path)?.take(MAX_SWARM_FILE_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Arguments;
    use clap::Parser as _;
    use dcache::Keypair;
    use service::Environment;

    struct Bench {
        folder: tempfile::TempDir,
        config: Config,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut environment = Environment::default();
            environment.places.home = Some(folder.path().to_owned());
            let config = Config::load(&Arguments::parse_from(["dt-swarm"]), &environment, &[]).unwrap();
            Self { folder, config }
        }

        fn named(mut self) -> Self {
            self.config.is_swarm_file_named = true;
            self
        }

        fn load(&self) -> Result<Membership, MembershipError> {
            Membership::load(&self.config)
        }
    }

    fn text(name: &str) -> String {
        let roots = [Keypair::from_seed([1; 32]).peer_id()].into();
        SwarmFile::new(name, roots).unwrap().to_toml()
    }

    #[test]
    fn a_node_stays_in_the_swarm_that_it_joined_until_it_leaves() {
        let bench = Bench::new();
        let mut membership = bench.load().unwrap();
        assert_eq!((membership.text(), membership.policy()), (None, Policy::default()));
        assert!(matches!(membership.leave(), Err(MembershipError::Open)));
        membership.join(text("class")).unwrap();
        let mut again = bench.load().unwrap();
        assert_eq!((again.text(), again.name()), (Some(text("class").as_str()), Some("class")));
        assert_eq!(again.policy().roots().len(), 1);
        again.join(text("other")).unwrap();
        assert_eq!(bench.load().unwrap().name(), Some("other"));
        again.leave().unwrap();
        assert_eq!((again.name(), bench.load().unwrap().name()), (None, None));
    }

    #[test]
    fn only_the_owner_can_read_a_swarm_file_with_a_key() {
        use std::os::unix::fs::PermissionsExt as _;
        let bench = Bench::new();
        let mut membership = bench.load().unwrap();
        let mode = || fs::metadata(&bench.config.swarm_file).unwrap().permissions().mode() & 0o777;
        let keyed = format!("key = 'BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc'\n{}", text("class"));
        membership.join(text("class")).unwrap();
        assert_eq!(mode(), 0o644);
        membership.join(keyed).unwrap();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn joining_an_invalid_swarm_file_changes_nothing() {
        let bench = Bench::new();
        let mut membership = bench.load().unwrap();
        membership.join(text("class")).unwrap();
        assert!(matches!(membership.join("name = 1".into()), Err(MembershipError::NoSwarm(_))));
        assert_eq!((membership.name(), bench.load().unwrap().name()), (Some("class"), Some("class")));
    }

    #[test]
    fn a_broken_swarm_file_does_not_lead_to_the_open_swarm() {
        let bench = Bench::new();
        bench.load().unwrap().join(text("class")).unwrap();
        for broken in ["", "name = 'class'", &"#".repeat(MAX_SWARM_FILE_BYTES + 1)] {
            fs::write(&bench.config.swarm_file, broken).unwrap();
            let error = bench.load().unwrap_err().to_string();
            assert!(error.contains("swarm.toml") && error.contains("remove it"), "{error}");
        }
        fs::write(&bench.config.swarm_file, [0xff]).unwrap();
        assert!(matches!(bench.load(), Err(MembershipError::Read(..))));
        assert!(bench.folder.path().exists());
    }

    #[test]
    fn a_named_swarm_file_has_to_exist_and_is_not_deleted() {
        let bench = Bench::new().named();
        assert!(matches!(bench.load(), Err(MembershipError::Read(..))));
        fs::create_dir_all(bench.config.swarm_file.parent().unwrap()).unwrap();
        fs::write(&bench.config.swarm_file, text("class")).unwrap();
        let mut membership = bench.load().unwrap();
        assert!(matches!(membership.leave(), Err(MembershipError::Named(_))));
        assert_eq!(membership.name(), Some("class"));
    }
}
