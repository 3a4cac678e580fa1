//! Generates the reference documentation of the command lines and the configuration: man pages, shell completions,
//! docs/cli.md and docs/configuration.md.
//!
//! The command lines come from clap, the keys and their defaults from the types of the settings, and the text about a key
//! from the comment on its field. Nothing is written by hand, so the pages cannot differ from the programs. The tests
//! compare the committed pages with the generated text.
//!
//! The generator is a separate crate because the programs on robots must stay small. For the same reason, the
//! completions are files and not the output of a subcommand. A subcommand of `dt-swarm-cli` would also need a host as
//! its first argument.
//!
//! # In short
//! - **Inputs**: the definitions of the command lines in clap, the default settings, and the source code of their types.
//! - **Outputs**: pages of docs/, man pages, and scripts for bash, zsh and fish.
//! - **Invariants**: each command, option and key is on a page; a key without a comment is an error.
//! - **Start reading** at `configuration_page.rs`, then `source.rs`.

mod cli_page;
mod configuration_page;
mod kinds;
mod markdown;
mod robots;
mod source;

pub mod files;

use clap::Command;
use std::path::PathBuf;

/// Command that writes the committed pages anew.
pub const COMMAND: &str = "cargo run -p reference -- pages docs";

/// Reason why the pages or the completions cannot be generated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason for it.
        source: std::io::Error,
    },
    /// A source file is not valid Rust.
    #[error("{}: {source}", .path.display())]
    Syntax {
        /// The source file.
        path: PathBuf,
        /// The reason for it.
        source: syn::Error,
    },
    /// A type of settings is not a struct at the top of its module.
    #[error("{}: there is no `struct {name}` with named fields; settings must be such a struct", .path.display())]
    NoStruct {
        /// The source file of the module.
        path: PathBuf,
        /// Name of the type.
        name: String,
    },
    /// A key or a section has no text for the page.
    #[error("{0} has no doc comment; the comment becomes the text in docs/configuration.md")]
    Undocumented(String),
    /// The keys of the default value are not the fields of the struct.
    #[error("{path}: the fields {fields:?} are not the keys {keys:?} of the default value")]
    OtherKeys {
        /// Path of the type.
        path: &'static str,
        /// The documented fields in the source code.
        fields: Vec<String>,
        /// The keys of the serialised default value.
        keys: Vec<String>,
    },
    /// Both the comment on a key and the code give its default, or neither does.
    #[error(
        "{0}: a comment names the default (`Default: ...` at its end) if and only if the default value is `None`; the code \
         gives all other defaults"
    )]
    DefaultPlace(String),
    /// The table of types has no row for the type of a key.
    #[error("the type `{0}` of a key has no description: add a row to crates/reference/src/kinds.rs")]
    UnknownKind(String),
    /// The script of clap for fish does not have the expected form.
    #[error(
        "the fish script of this version of clap_complete has another form: adapt crates/reference/src/files.rs"
    )]
    Fish,
    /// The script of clap for zsh does not have the expected form.
    #[error(
        "the zsh script of this version of clap_complete has another form: adapt crates/reference/src/robots.rs"
    )]
    Zsh,
}

/// Returns the command lines of both programs, complete with the options that clap adds.
pub(crate) fn programs() -> [Command; 2] {
    [dt_swarm_cli::command(), dt_swarm::reference::command()].map(|program| {
        let mut program = with_arguments_in_names(program);
        program.build();
        program
    })
}

/// Puts the required arguments of a program between its name and the names of its commands. Clap itself leaves them out
/// in the usage of commands two levels below.
fn with_arguments_in_names(program: Command) -> Command {
    let mut name = program.get_name().to_owned();
    for argument in program.get_positionals().filter(|argument| argument.is_required_set()) {
        name += &format!(" <{}>", argument.get_value_names().unwrap_or_default().join(" "));
    }
    program.mut_subcommands(|command| {
        let name = format!("{name} {}", command.get_name());
        command.bin_name(name)
    })
}

/// Returns the reference pages: the name of each file in docs/, and its text.
///
/// # Errors
/// When the source code cannot be read, or a key is not documented.
pub fn pages() -> Result<[(&'static str, String); 2], Error> {
    Ok([("cli.md", cli_page::page()), ("configuration.md", configuration_page::page()?)])
}

#[cfg(test)]
mod tests;
