//! Describes the command line and the configuration, for the program that writes the reference pages.

use crate::config::{Arguments, File, MOVED};
use clap::CommandFactory as _;
use service::SettingsType;

/// Returns the definition of the daemon's command line.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Returns the type of the keys at the top of the configuration file.
pub fn settings() -> SettingsType {
    SettingsType::of::<File>()
}

/// Returns whether this key of a section is also accepted at the top of the configuration file.
pub fn is_also_at_the_top(section: &str, key: &str) -> bool {
    MOVED.contains(&(key, section))
}
