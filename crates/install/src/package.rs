//! Debian packages: dpkg installs them, with limits on time and output.

use crate::process::{Command, Ended, Runner};
use crate::state::Failure;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Maximum length of a package's name, in characters.
const MAX_NAME: usize = 128;

/// The programs that handle packages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PackageTools {
    /// The program `dpkg`.
    pub dpkg: PathBuf,
    /// The program `dpkg-deb`.
    pub dpkg_deb: PathBuf,
    /// The program `dpkg-query`.
    pub dpkg_query: PathBuf,
    /// Arguments before those of an installation, such as another root folder.
    pub arguments: Vec<OsString>,
    /// Time after which an installation is killed.
    pub limit: Duration,
}

impl Default for PackageTools {
    fn default() -> Self {
        Self {
            dpkg: "dpkg".into(),
            dpkg_deb: "dpkg-deb".into(),
            dpkg_query: "dpkg-query".into(),
            arguments: Vec::new(),
            limit: Duration::from_secs(900),
        }
    }
}

/// Runs the programs that handle packages.
pub(crate) struct Packages<'a> {
    pub tools: &'a PackageTools,
    pub runner: &'a dyn Runner,
}

impl Packages<'_> {
    /// Returns the name of the package in a file.
    pub(crate) fn name(&self, file: &Path) -> Result<String, Failure> {
        let arguments = [OsStr::new("--field"), file.as_os_str(), OsStr::new("Package")];
        let (program, no_more) = (&self.tools.dpkg_deb, &[]);
        let ended = self.run(program, no_more, &arguments).map_err(not_started)?;
        // Warnings come before it.
        let name = ended.output.lines().last().unwrap_or_default().trim();
        let is_name = (1..=MAX_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !name.starts_with('-');
        if !ended.is_success() || !is_name {
            return Err(Failure::Package { reason: format!("it is no package: {}", ended.sentence()) });
        }
        Ok(name.to_owned())
    }

    /// Tells whether a package is installed.
    pub(crate) fn is_installed(&self, name: &str) -> Result<bool, Failure> {
        let arguments = ["--show", "--showformat=${db:Status-Status}", name].map(OsStr::new);
        let program = &self.tools.dpkg_query;
        let ended = self.run(program, &self.tools.arguments, &arguments).map_err(not_started)?;
        // The exit status 1 means that the package is unknown.
        Ok(ended.is_success() && !["not-installed", "config-files"].contains(&ended.output.trim()))
    }

    /// Installs a package file, also over a newer version. Files of the configuration that were changed are kept.
    pub(crate) fn install(&self, file: &Path) -> Result<(), Failure> {
        let options = ["--force-confdef", "--force-confold", "--force-downgrade", "--install"];
        let mut arguments: Vec<_> = options.iter().map(OsStr::new).collect();
        arguments.push(file.as_os_str());
        self.change(&arguments)
    }

    /// Removes a package. Its configuration is kept.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Failure> {
        self.change(&[OsStr::new("--remove"), OsStr::new(name)])
    }

    fn change(&self, arguments: &[&OsStr]) -> Result<(), Failure> {
        let ended = self.run(&self.tools.dpkg, &self.tools.arguments, arguments).map_err(not_started)?;
        if ended.is_success() { Ok(()) } else { Err(Failure::Package { reason: ended.sentence() }) }
    }

    fn run(&self, program: &Path, first: &[OsString], arguments: &[&OsStr]) -> io::Result<Ended> {
        let arguments = first.iter().cloned().chain(arguments.iter().map(|argument| (*argument).to_owned()));
        self.runner.run(&Command {
            program: program.to_path_buf(),
            arguments: arguments.collect(),
            environment: vec![("DEBIAN_FRONTEND", "noninteractive".to_owned()), ("LC_ALL", "C".to_owned())],
            limit: self.tools.limit,
        })
    }
}

fn not_started(error: io::Error) -> Failure {
    Failure::Package { reason: format!("dpkg cannot be started: {error}") }
}
