//! The command line.

use crate::commands::AnyCommand;
use crate::context::Context;
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost report            the files that are shared in the swarm
  dt-swarm-cli duckie.local summary        everything that the daemon on duckie.local knows
  dt-swarm-cli 10.0.0.7 summary 'share/*'  only the buckets below share
  dt-swarm-cli localhost report --json     the same for programs: one JSON document
  dt-swarm-cli '[::1]:8000' ping -c 10     is it there, and how fast?
  dt-swarm-cli duckie.local stats          what passed its channels, and how far behind it is
  dt-swarm-cli duckie.local channels       by which ways it reaches others, and what is wrong
  dt-swarm-cli duckie.local watch 'share/*'            what appears there and goes, as it happens
  dt-swarm-cli localhost discard example.bag           removes a log from the swarm
  dt-swarm-cli localhost storage           how full the store is, what is pinned, what is served in place
  dt-swarm-cli localhost propose share/notes 'hello' --for 2h
  dt-swarm-cli localhost swarm init class.toml --name 'class of 2027'
  dt-swarm-cli localhost swarm join class.toml         on each robot, with a copy of the file
  dt-swarm-cli localhost grant admin 12D3KooW… --key class-of-2027-root

What changes something works on the robot itself, through the daemon's control socket.
Exit code: 0 all went well, 1 no daemon answers, its answer is of no use or it said no, 2 wrong usage.";

/// Asks a dt-swarm daemon, on this host or another, and shows the answer.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) context: Context,
    /// What to ask.
    #[command(subcommand)]
    pub(crate) command: AnyCommand,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Form;
    use clap::CommandFactory as _;
    use std::time::Duration;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_may_stand_anywhere() {
        for line in ["x h report --json", "x --json h report", "x h --json report"] {
            assert_eq!(Arguments::parse_from(line.split(' ')).context.form(), Form::Json);
        }
        let arguments = Arguments::parse_from("x h ping -c 5 --timeout 0.5".split(' '));
        assert_eq!(arguments.context.timeout, Duration::from_millis(500));
        assert!(matches!(arguments.command, AnyCommand::Ping(ping) if ping.count == 5));
    }

    #[test]
    fn what_changes_something_is_read() {
        for line in [
            "x h propose share/notes hello --for 7d --key root",
            "x h propose /share/notes -- -hello",
            "x h dismiss share/notes hello",
            "x h replace share/notes old new --until 2030-01-01 --anyway",
            "x h grant admin 12D3KooW --for 1w",
            "x h revoke peer 12D3KooW --socket /s",
            "x h query share/* --at @5 --swarm f",
            "x h watch",
            "x h keys",
            "x h keys new root",
            "x h swarm init f --name n --root a --root b",
            "x h swarm init f --name n --with-key",
            "x h swarm show",
            "x h swarm show f --show-key",
            "x h swarm leave --json",
            "x h revoke peer 12D3KooW --discard-files --key root",
            "x h grant peer 12D3KooW",
            "x h discard a.bag",
            "x h discard bafy --key root",
            "x h undiscard a.bag",
            "x h channels",
            "x h add f --copy",
            "x h pin bafy --json",
            "x h unpin bafy",
            "x h gc",
            "x h storage",
            "x h route list",
            "x h route explain /dswarm/*/brain",
            "x h get a.bag -o f --priority -3 --wait 0",
            "x h get a.bag b.bag --pin --force",
            "x h get a.bag -o - --wait 20s",
            "x h transfers",
            "x h transfers cancel 7",
            "x h limit --lan-up 2MB --wan-down none",
        ] {
            Arguments::try_parse_from(line.split(' ')).unwrap();
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "x h propose share/notes",
            "x h propose share//notes hello",
            "x h propose share/notes hello --for never",
            "x h propose share/notes hello --for 1h --forever",
            "x h grant boss 12D3KooW",
            "x h query share/* --at noon",
            "x h swarm",
            "x h swarm init f",
            "x",
            "x h",
            "x h fly",
            "x h ping -c 0",
            "x h get",
            "x h get -o g",
            "x h get a.bag --wait -1",
            "x h limit --lan-up fast",
            "x h transfers cancel",
            "x h report --timeout nan",
            "x h report --timeout -1",
            "x h:0 report",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    /// The examples in the help of a command and of those below it.
    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().map(str::trim).filter(|line| line.starts_with("dt-swarm-cli "));
        // What follows two spaces is an explanation.
        let own = lines.map(|line| line.split("  ").next().unwrap_or(line).to_owned());
        own.chain(command.get_subcommands().flat_map(examples)).collect()
    }

    /// Splits a line as a shell does, as far as the examples need it.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('\'').enumerate();
        let word = |(number, part): (usize, &str)| match number % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        };
        parts.flat_map(word).collect()
    }

    #[test]
    fn every_example_of_a_statement_is_understood_and_allowed_without_a_role() {
        let verbs = ["propose", "dismiss", "replace", "discard", "grant", "revoke"];
        let examples = examples(&Arguments::command());
        let examples: Vec<Vec<String>> = examples.iter().map(|example| words(example)).collect();
        let examples = examples.iter().filter(|words| verbs.contains(&words[2].as_str()));
        assert!(examples.clone().count() >= 12, "{examples:#?}");
        for words in examples {
            if let Err(error) = Arguments::try_parse_from(words) {
                panic!("{words:?}: {error}");
            }
            let has_role = words[2] == "grant" || words.iter().any(|word| word == "--key");
            let length = words.iter().skip_while(|word| *word != "--for").nth(1);
            if let (false, Some(length)) = (has_role, length) {
                let seconds = crate::validity::seconds(length).unwrap();
                assert!(seconds <= dcache::buckets::LONGEST_LIFETIME, "{words:?}");
            }
        }
    }
}
