//! Writes the generated files into a folder.

use crate::cli_page::visible;
use crate::{Error, pages, programs, robots};
use clap::Command;
use clap_complete::{Generator, Shell, generate};
use clap_mangen::Man;
use std::path::Path;

/// Shells for which completions are written.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];
/// Section of the manual for daemons.
const DAEMONS: &str = "8";
/// Separator of command names in the labels of the script for bash.
const BASH_SEPARATOR: &str = "__subcmd__";
/// First line of the code in clap's script for fish that interprets the first argument as the command.
const FISH_COMMAND: &str = "    if set -q argv[1]\n";
/// Code that skips the first argument, the name of a host. While the host is missing, nothing is completed.
const FISH_SKIP: &str = "    # The first argument is HOST; the command follows it.\n    set -q argv[1]\n    or return\n    set -e argv[1]\n";

/// Writes the reference pages.
///
/// # Errors
/// When a page cannot be generated or written.
pub fn write_pages(folder: &Path) -> Result<(), Error> {
    create(folder)?;
    pages()?.iter().try_for_each(|(name, text)| write(&folder.join(name), text.as_bytes()))
}

/// Writes one man page for each program and for each command.
///
/// # Errors
/// When a page cannot be written.
pub fn write_man_pages(folder: &Path) -> Result<(), Error> {
    create(folder)?;
    let [cli, daemon] = programs();
    write_man_pages_of(&cli, folder)?;
    write_man_page(Man::new(daemon).section(DAEMONS), folder)
}

fn write_man_pages_of(command: &Command, folder: &Path) -> Result<(), Error> {
    for below in visible(command) {
        write_man_pages_of(below, folder)?;
    }
    write_man_page(Man::new(command.clone()), folder)
}

fn write_man_page(page: Man, folder: &Path) -> Result<(), Error> {
    let path = folder.join(page.get_filename());
    let page = page.source(concat!("dt-swarm ", env!("CARGO_PKG_VERSION"))).manual("dt-swarm");
    let mut bytes = Vec::new();
    page.render(&mut bytes).map_err(|source| Error::Io { path: path.clone(), source })?;
    // The line breaks of examples are kept.
    let text = String::from_utf8_lossy(&bytes).replace(".SH EXTRA\n", ".SH EXAMPLES AND NOTES\n.nf\n");
    write(&path, text.as_bytes())
}

/// Writes the completions of both programs for each shell, under the names that the shells look for.
///
/// # Errors
/// When a file cannot be written.
pub fn write_completions(folder: &Path) -> Result<(), Error> {
    create(folder)?;
    for program in [dt_swarm_cli::command(), dt_swarm::reference::command()] {
        for shell in SHELLS {
            let path = folder.join(shell.file_name(program.get_name()));
            write(&path, completions(&program, shell)?.as_bytes())?;
        }
    }
    Ok(())
}

/// Returns the script that completes the arguments of a program.
pub(crate) fn completions(program: &Command, shell: Shell) -> Result<String, Error> {
    let mut bytes = Vec::new();
    generate(shell, &mut program.clone(), program.get_name(), &mut bytes);
    let script = String::from_utf8_lossy(&bytes).into_owned();
    match shell {
        Shell::Bash if program.has_subcommands() => {
            Ok(robots::in_bash(&with_one_label(&script, program.get_name())))
        }
        Shell::Bash => Ok(with_one_label(&script, program.get_name())),
        Shell::Zsh if program.has_subcommands() => robots::in_zsh(&script),
        Shell::Fish if program.has_subcommands() => skip_host(&script).map(|script| robots::in_fish(&script)),
        _ => Ok(script),
    }
}

/// Makes the two parts of the script for bash use the same labels for commands. In version 4.6 of clap_complete they
/// differ when the name of the program has a hyphen, and nothing after a command is completed.
/// See <https://github.com/clap-rs/clap/issues/6421>.
fn with_one_label(script: &str, name: &str) -> String {
    let label = |hyphen| name.replace('-', hyphen) + BASH_SEPARATOR;
    script.replace(&label(BASH_SEPARATOR), &label("__"))
}

/// Makes the script for fish look for the command after HOST. The scripts for bash and zsh need no change.
fn skip_host(script: &str) -> Result<String, Error> {
    match script.matches(FISH_COMMAND).count() {
        1 => Ok(script.replace(FISH_COMMAND, &format!("{FISH_SKIP}{FISH_COMMAND}"))),
        _ => Err(Error::Fish),
    }
}

fn create(folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })
}

fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    std::fs::write(path, content).map_err(|source| Error::Io { path: path.to_owned(), source })
}
