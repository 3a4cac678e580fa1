//! Makes the text of the page docs/cli.md from the clap definitions of the programs.

use crate::{markdown, programs};
use clap::{Arg, Command};
use std::fmt::Write as _;

const INTRODUCTION: &str = "\
# Command line

dt-swarm has two programs. The daemon [`dt-swarm`](#dt-swarm) makes a computer part of the swarm. The program \
[`dt-swarm-cli`](#dt-swarm-cli) asks a daemon and shows the answer. Both print this information with `--help`.

";

/// Returns the text of the page.
pub(crate) fn page() -> String {
    let mut page = markdown::header() + INTRODUCTION;
    for program in &programs() {
        let _ = write!(page, "## {}\n\n", program.get_name());
        add_command(&mut page, program, true);
        for command in visible(program) {
            add_subcommand(&mut page, command, "");
        }
    }
    page.trim_end().to_owned() + "\n"
}

/// Returns the subcommands that the help shows.
pub(crate) fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set())
}

/// Adds a command and its subcommands, each under a heading. `parent` is the name of the parent command, or empty.
fn add_subcommand(page: &mut String, command: &Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    let level = if parent.is_empty() { "###" } else { "####" };
    let _ = write!(page, "{level} `{}`\n\n", name.trim());
    add_command(page, command, false);
    for below in visible(command) {
        add_subcommand(page, below, name.trim());
    }
}

fn add_command(page: &mut String, command: &Command, is_program: bool) {
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "{}\n\n", markdown::sentence(&markdown::escaped(&about)));
    *page += &markdown::block(&command.clone().render_usage().to_string());
    add_arguments(page, command, is_program);
    add_list_of_commands(page, command, is_program);
    if let Some(notes) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        *page += &markdown::block(&notes.to_string());
    }
}

/// Adds the arguments and options of a command. Options that all commands have in common are described once, in the
/// section of the program.
fn add_arguments(page: &mut String, command: &Command, is_program: bool) {
    let is_own = |argument: &&Arg| is_program || !is_common(argument);
    let mut is_any = false;
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()).filter(is_own) {
        *page += &item(argument);
        is_any = true;
    }
    if is_any {
        *page += "\n";
    }
}

/// Returns whether every command has this option.
pub(crate) fn is_common(argument: &Arg) -> bool {
    argument.is_global_set() || ["help", "version"].contains(&argument.get_id().as_str())
}

/// Returns the list item, in Markdown, that describes an argument or option.
fn item(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let help = markdown::sentence(&markdown::escaped(&with_default(&help)).replace("\n\n", " "));
    let mut line = format!("- {}: {help}", names(argument));
    let values: Vec<_> = argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !values.is_empty() && argument.get_action().takes_values() {
        let _ = write!(line, " Default: `{}`.", values.join(" "));
    }
    let values = argument.get_possible_values();
    let values: Vec<_> = values.iter().map(|value| markdown::code(value.get_name())).collect();
    if !values.is_empty() && argument.get_action().takes_values() {
        let _ = write!(line, " Values: {}.", values.join(", "));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(line, " Environment variable: `{}`.", variable.to_string_lossy());
    }
    line + "\n"
}

/// Replaces `[default: TEXT]` in a help text by the sentence "Default: TEXT." A help text contains this form if the
/// program computes the default, so that clap does not know it.
fn with_default(help: &str) -> String {
    let parts = help.split_once("[default: ").and_then(|(text, rest)| Some((text, rest.split_once(']')?)));
    match parts {
        None => help.to_owned(),
        Some((text, (default, rest))) => {
            let rest = rest.trim_start_matches('.');
            format!("{} Default: {default}.{rest}", markdown::sentence(text))
        }
    }
}

/// Returns all forms of an argument on the command line, in Markdown, such as `-h` and `--help`, or `-c <N>`.
fn names(argument: &Arg) -> String {
    let value = || {
        let names = argument.get_value_names().unwrap_or_default();
        let names: Vec<String> = names.iter().map(|name| format!("<{name}>")).collect();
        names.join(" ")
    };
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let forms: Vec<String> = short.into_iter().chain(long).collect();
    let shown: Vec<String> = match (forms.is_empty(), argument.get_action().takes_values()) {
        (true, _) => vec![value()],
        (false, true) => forms.iter().map(|form| format!("{form} {}", value())).collect(),
        (false, false) => forms,
    };
    shown.iter().map(|form| markdown::code(form)).collect::<Vec<_>>().join(", ")
}

fn add_list_of_commands(page: &mut String, command: &Command, is_program: bool) {
    if visible(command).next().is_none() {
        return;
    }
    *page += "Commands:\n\n";
    for below in visible(command) {
        let (above, name) = (command.get_name(), below.get_name());
        let anchor = if is_program { name.to_owned() } else { format!("{above}-{name}") };
        let about = below.get_about().map(ToString::to_string).unwrap_or_default();
        let about = markdown::first_sentence(&markdown::escaped(&about));
        let _ = writeln!(page, "- [`{name}`](#{anchor}): {about}");
    }
    *page += "\n";
}
