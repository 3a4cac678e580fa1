//! The actions that change a version or the link to it.

use crate::archive::Limits;
use crate::disk::Disk;
use crate::folder::TargetFolder;
use crate::journal::{Attempt, Installed};
use crate::machine::Outcome;
use crate::package::{PackageTools, Packages};
use crate::process::{Command, Runner};
use crate::request::Kind;
use crate::settings::PROGRAM_NAME;
use crate::state::Failure;
use crate::unpack::{UnpackError, unpack};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time for a new program to tell its version. It shows that the program is made for this computer.
const VERSION_LIMIT: Duration = Duration::from_secs(30);

/// The actions on one target.
pub(crate) struct Actions<'a> {
    pub disk: &'a dyn Disk,
    pub runner: &'a dyn Runner,
    pub tools: &'a PackageTools,
    pub folder: &'a TargetFolder<'a>,
    pub attempt: &'a Attempt,
}

impl Actions<'_> {
    /// Writes the content into the folder of its version, and looks at what it is.
    pub(crate) fn unpack(&self, limits: &Limits) -> io::Result<Outcome> {
        let fill = |path: &Path| unpack(self.disk, self.attempt, path, limits);
        match self.folder.fill(&self.attempt.target.version, fill) {
            Ok(()) => self.inspect(),
            Err(UnpackError::StagedFile) => Ok(Outcome::StagedFileLost),
            Err(UnpackError::NoSpace) => Ok(Outcome::NoSpace),
            Err(UnpackError::Content(reason)) => Ok(Outcome::Failed(Failure::Content { reason })),
            Err(UnpackError::Disk(error)) => Err(error),
        }
    }

    fn inspect(&self) -> io::Result<Outcome> {
        match self.attempt.target.kind {
            Kind::File | Kind::Archive => Ok(Outcome::Unpacked { package: None }),
            Kind::Deb => Ok(self.inspect_package()),
            Kind::Program => self.inspect_program(),
        }
    }

    fn inspect_package(&self) -> Outcome {
        match self.package_to_replace() {
            Ok(package) => Outcome::Unpacked { package: Some(package) },
            Err(reason) => Outcome::Failed(reason),
        }
    }

    /// Returns the name of the package, if there is a way back from its installation.
    fn package_to_replace(&self) -> Result<String, Failure> {
        let package = self.packages().name(&self.package_file(&self.attempt.target))?;
        let has_file = self.attempt.back_to.is_some() || self.attempt.permissions.no_way_back;
        if !has_file && self.packages().is_installed(&package)? {
            return Err(Failure::NoWayBack { package });
        }
        Ok(package)
    }

    /// Checks that the program is there and can run on this computer.
    fn inspect_program(&self) -> io::Result<Outcome> {
        let program = self.folder.version(&self.attempt.target.version).join(PROGRAM_NAME);
        let refuse = |reason: String| Ok(Outcome::Failed(Failure::Content { reason }));
        if !self.disk.file(&program)?.is_some_and(|(_, is_executable)| is_executable) {
            return refuse(format!("the archive has no executable {PROGRAM_NAME:?} at its top"));
        }
        let ended = self.runner.run(&Command {
            program,
            arguments: vec!["--version".into()],
            environment: Vec::new(),
            limit: VERSION_LIMIT,
        });
        match ended {
            Ok(ended) if ended.is_success() => Ok(Outcome::Unpacked { package: None }),
            Ok(ended) => refuse(format!("{PROGRAM_NAME} --version fails: {}", ended.sentence())),
            Err(error) => refuse(format!("{PROGRAM_NAME} does not run on this computer: {error}")),
        }
    }

    /// Puts the new version in the place of the old one.
    pub(crate) fn switch(&self) -> io::Result<Outcome> {
        let target = &self.attempt.target;
        if target.kind == Kind::Deb
            && let Err(reason) = self.packages().install(&self.package_file(target))
        {
            return Ok(Outcome::Failed(reason));
        }
        self.folder.switch(Some(&target.version))?;
        Ok(Outcome::Succeeded)
    }

    /// Puts the old version in the place of the new one.
    pub(crate) fn switch_back(&self) -> io::Result<Outcome> {
        if self.attempt.target.kind == Kind::Deb
            && let Err(reason) = self.restore_package()
        {
            return Ok(Outcome::Failed(reason));
        }
        self.folder.switch(self.attempt.back_to.as_ref().map(|back_to| &back_to.version))?;
        Ok(Outcome::Succeeded)
    }

    fn restore_package(&self) -> Result<(), Failure> {
        let packages = self.packages();
        match (&self.attempt.back_to, &self.attempt.target.package) {
            (Some(back_to), _) => packages.install(&self.package_file(back_to)),
            // A package that was there before, whose file nobody has, stays as it is.
            (None, _) if self.attempt.permissions.no_way_back => Ok(()),
            (None, Some(package)) if packages.is_installed(package)? => packages.remove(package),
            (None, _) => Ok(()),
        }
    }

    fn package_file(&self, installed: &Installed) -> PathBuf {
        self.folder.version(&installed.version).join(&installed.file_name)
    }

    fn packages(&self) -> Packages<'_> {
        Packages { tools: self.tools, runner: self.runner }
    }
}
