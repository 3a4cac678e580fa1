use super::*;
use crate::source::{Field, parse, root};
use clap::Arg;
use clap_complete::Shell;
use serde_json::Value;
use std::path::Path;
use std::process::Command as Process;

/// Returns the part of a page from this heading to the next heading of the same or a higher level.
fn part<'a>(page: &'a str, heading: &str) -> &'a str {
    let begin = page.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading:?}"));
    let rest = &page[begin + 1 + heading.len()..];
    let level = heading.split(' ').next().unwrap().len();
    let ends = (2..=level).filter_map(|level| rest.find(&format!("\n{} ", "#".repeat(level))));
    &rest[..ends.min().unwrap_or(rest.len())]
}

fn page(name: &str) -> String {
    let pages = pages().unwrap_or_else(|error| panic!("{error}"));
    pages.into_iter().find(|(page, _)| *page == name).unwrap().1
}

#[test]
fn the_committed_pages_equal_the_generated_pages() {
    for (name, text) in pages().unwrap_or_else(|error| panic!("{error}")) {
        let path = root().join("docs").join(name);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let differs = committed.lines().zip(text.lines()).find(|(is, should)| is != should);
        let is_equal = committed == text;
        assert!(is_equal, "docs/{name} differs from the source code, first at {differs:#?}. Run: {COMMAND}");
    }
}

fn assert_arguments_are_in(text: &str, command: &Command, is_program: bool) {
    let is_own = |argument: &&Arg| is_program || !cli_page::is_common(argument);
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()).filter(is_own) {
        let name = match (argument.get_long(), argument.get_short()) {
            (Some(long), _) => format!("`--{long}"),
            (None, Some(short)) => format!("`-{short}"),
            (None, None) => {
                let names = argument.get_value_names().unwrap().iter();
                format!("- `{}`", names.map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" "))
            }
        };
        assert!(text.contains(&name), "{}: {name} is not in: {text}", command.get_name());
    }
}

fn assert_commands_are_in(page: &str, command: &Command, parent: &str) -> usize {
    let below = cli_page::visible(command).map(|below| {
        let name = format!("{parent} {}", below.get_name()).trim().to_owned();
        let level = if parent.is_empty() { "###" } else { "####" };
        assert_arguments_are_in(part(page, &format!("{level} `{name}`")), below, false);
        1 + assert_commands_are_in(page, below, &name)
    });
    below.sum()
}

#[test]
fn each_command_and_each_option_is_on_the_page() {
    let page = page("cli.md");
    let [cli, daemon] = programs();
    for program in [&cli, &daemon] {
        assert_arguments_are_in(part(&page, &format!("## {}", program.get_name())), program, true);
    }
    assert!(assert_commands_are_in(&page, &cli, "") > 30);
}

#[test]
fn the_usage_of_each_command_names_the_host() {
    let page = page("cli.md");
    let usages: Vec<&str> = page.lines().filter(|line| line.starts_with("Usage: dt-swarm-cli ")).collect();
    assert!(usages.len() > 30);
    for usage in usages {
        assert_eq!(usage.matches("<HOST>").count(), 1, "{usage}");
    }
}

#[test]
fn each_key_is_on_the_page_with_its_default() {
    let page = page("configuration.md");
    let top = ("## Keys at the top of the file".to_owned(), dt_swarm::reference::settings());
    let services =
        dt_swarm::SERVICES.iter().map(|row| (format!("## Section `[{}]`", row.name), row.settings()));
    let mut keys = 0;
    for (section, settings) in services.chain([top]) {
        let section = part(&page, &section).to_owned() + "\n";
        for (key, default) in settings.defaults {
            let key = part(&section, &format!("### `{key}`"));
            let default = if default.is_null() { String::new() } else { format!("`{default}`.") };
            assert!(key.contains(&format!("- Default: {default}")), "{key}");
            keys += 1;
        }
    }
    assert!(keys > 20);
}

#[test]
fn a_comment_names_the_default_only_if_the_daemon_computes_it() {
    let field =
        |text: &str| Field { name: "key".to_owned(), text: text.to_owned(), kind: "string".to_owned() };
    let split = |text, default| configuration_page::split_default(&field(text), &default).ok();
    let pair = |text: &str, default: &str| Some((text.to_owned(), default.to_owned()));
    assert_eq!(split("A port.", Value::from(7)), pair("A port.", "`7`"));
    assert_eq!(split("A folder. Default: that of `$X`.", Value::Null), pair("A folder.", "that of `$X`."));
    assert_eq!(split("A port. Default: 7.", Value::from(7)), None);
    assert_eq!(split("A folder.", Value::Null), None);
}

#[test]
fn a_key_without_a_comment_or_with_an_unknown_type_is_an_error() {
    let read = |text: &str| parse(text, "a.rs".into(), "Settings");
    let documented =
        read("/// A section.\nstruct Settings {\n/// One\n/// two\n///\n/// [`three`].\nkey: Option<u16> }");
    let documented = documented.unwrap();
    assert_eq!(documented.text, "A section.");
    assert_eq!(documented.fields[0].text, "One two\n\n`three`.");
    assert_eq!(documented.fields[0].kind, "integer from 0 to 65535");
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert!(error("/// S.\nstruct Settings { key: u16 }").contains("key has no doc comment"));
    assert!(error("struct Settings {}").contains("Settings has no doc comment"));
    assert!(error("/// S.\nstruct Settings { /** K. */ key: Duration }").contains("`Duration`"));
    assert!(error("/// S.\nstruct Other {}").contains("no `struct Settings`"));
    assert!(error("struct").starts_with("a.rs: "));
}

#[test]
fn code_in_backticks_is_not_escaped() {
    assert_eq!(markdown::escaped("a `share/*` and <b> [c]"), "a `share/*` and \\<b> \\[c]");
}

/// Returns the full names of all commands: each name begins with the names of the parent commands.
fn names(command: &Command, parent: &str) -> Vec<String> {
    let name = format!("{parent}{}", command.get_name());
    let below = cli_page::visible(command).flat_map(|below| names(below, &format!("{name}-")));
    below.chain([name.clone()]).collect()
}

#[test]
fn each_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    files::write_man_pages(folder.path()).unwrap();
    let [cli, _] = programs();
    for name in names(&cli, "") {
        let page = std::fs::read_to_string(folder.path().join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
        let host = page.find("HOST").unwrap_or(page.len());
        assert!(host < page.find(".SH DESCRIPTION").unwrap(), "the synopsis has no HOST: {page}");
    }
    assert!(folder.path().join("dt-swarm.8").exists());
}

#[test]
fn each_shell_completes_each_command() {
    let (cli, daemon) = (dt_swarm_cli::command(), dt_swarm::reference::command());
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = files::completions(&cli, shell).unwrap();
        for command in cli_page::visible(&cli).flat_map(|command| names(command, "")) {
            let name = command.rsplit('-').next().unwrap();
            assert!(script.contains(name), "{shell}: {command}");
        }
        assert!(files::completions(&daemon, shell).unwrap().contains("data-dir"));
    }
    assert!(files::completions(&cli, Shell::Fish).unwrap().contains("the command follows it"));
}

/// Returns the completions that bash offers for the last of these words.
fn offered(script: &Path, words: &[&str]) -> Vec<String> {
    // The function is the one that bash would call.
    let line = "source \"$0\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
         function=$(complete -p dt-swarm-cli | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
         \"$function\" \"$1\" \"${@: -1}\" \"${@: -2:1}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", script.parent().unwrap().display());
    let mut bash = Process::new("bash");
    let bash = bash.args(["-c", line]).arg(script).args(words).env("PATH", path).output().unwrap();
    assert!(bash.status.success(), "{}", String::from_utf8_lossy(&bash.stderr));
    String::from_utf8(bash.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Writes a program in place of the CLI, which knows these robots.
fn write_cli_that_knows(folder: &Path, robots: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let program = folder.join("dt-swarm-cli");
    let text = format!("#!/bin/sh\n[ \"$*\" = --robot-names ] && cat <<'END'\n{robots}\nEND\n");
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn bash_completes_names_of_robots_and_takes_them_literally() {
    let folder = tempfile::tempdir().unwrap();
    files::write_completions(folder.path()).unwrap();
    let script = folder.path().join("dt-swarm-cli.bash");
    let offered = |line: &str| offered(&script, &line.split(' ').collect::<Vec<_>>());
    let trap = folder.path().join("trap");
    let hostile = format!("duckie$(touch {})", trap.display());
    write_cli_that_knows(
        folder.path(),
        &format!("localhost\nduckie7\nduckie8\nentebot208~JnuCcN\n{hostile}"),
    );
    assert_eq!(offered("dt-swarm-cli duckie"), ["duckie7", "duckie8", &hostile]);
    assert!(!trap.exists(), "the shell runs nothing that a robot says");
    assert_eq!(offered("dt-swarm-cli --json ente"), ["entebot208~JnuCcN"]);
    assert_eq!(offered("dt-swarm-cli --timeout 5 local"), ["localhost"]);
    assert_eq!(offered("dt-swarm-cli localhost find duckie7"), ["duckie7"]);
    assert_eq!(offered("dt-swarm-cli --js"), ["--json"]);
    assert_eq!(offered("dt-swarm-cli duckie7 sto"), ["storage"]);
    write_cli_that_knows(folder.path(), "localhost");
    assert_eq!(offered("dt-swarm-cli duckie"), [""], "no robot is known");
}

#[test]
fn zsh_and_fish_ask_for_the_names_of_robots() {
    let cli = dt_swarm_cli::command();
    let zsh = files::completions(&cli, Shell::Zsh).unwrap();
    assert!(zsh.contains("compadd -a robots") && !zsh.contains("_hosts'"), "{zsh}");
    assert!(zsh.matches("_dt-swarm-cli_robots").count() > 3, "HOST, and the robots of commands");
    let fish = files::completions(&cli, Shell::Fish).unwrap();
    assert!(fish.contains("__fish_is_nth_token 1"), "{fish}");
}

#[test]
fn bash_completes_commands_after_the_host_and_options_after_commands() {
    let folder = tempfile::tempdir().unwrap();
    files::write_completions(folder.path()).unwrap();
    let script = folder.path().join("dt-swarm-cli.bash");
    let offered = |line: &str| offered(&script, &line.split(' ').collect::<Vec<_>>());
    assert_eq!(offered("dt-swarm-cli localhost sto"), ["storage"]);
    assert_eq!(offered("dt-swarm-cli localhost swarm i"), ["init"]);
    assert_eq!(offered("dt-swarm-cli localhost swarm init --with"), ["--with-key"]);
    assert!(offered("dt-swarm-cli localhost keys ").contains(&"new".to_owned()));
}
