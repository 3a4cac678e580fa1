//! The definition of the command line.

use crate::commands::AnyCommand;
use crate::context::Context;
use clap::Parser;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost online            shows the robots that are present
  dt-swarm-cli duckie7 report              asks the robot duckie7, which the daemon on this computer knows by its name
  dt-swarm-cli localhost report            lists the files that are shared in the swarm
  dt-swarm-cli duckie.local summary        shows all buckets and items that the daemon on duckie.local holds
  dt-swarm-cli 10.0.0.7 summary 'share/*'  shows only the buckets below share
  dt-swarm-cli localhost report --json     prints one JSON document, for programs
  dt-swarm-cli '[::1]:8000' ping -c 10     checks that the daemon answers, and measures how fast
  dt-swarm-cli duckie.local stats          shows the traffic of each channel, and how far the daemon is behind its peers
  dt-swarm-cli duckie.local channels       shows the channels to other peers, and their faults
  dt-swarm-cli duckie.local watch 'share/*'            prints the changes below share as they happen
  dt-swarm-cli localhost discard example.bag           removes a log from the swarm
  dt-swarm-cli localhost storage           shows disk usage, pins, and files that are served in place
  dt-swarm-cli localhost propose share/notes 'hello' --for 2h
  dt-swarm-cli localhost swarm init class.toml --name 'class of 2027'
  dt-swarm-cli localhost swarm join class.toml         run this on each robot, with a copy of the file
  dt-swarm-cli localhost grant admin 12D3KooW… --key class-of-2027-root

Commands that change something run on the robot itself, through the control socket of its daemon.
Exit codes: 0 success; 1 no daemon answers, its answer is unusable, or it refused; 2 wrong usage.";

/// Asks a dt-swarm daemon on this host or another, and shows the answer.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) context: Context,
    /// The command to run.
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
    fn command_lines_of_all_commands_are_parsed() {
        for line in [
            "x h online",
            "x h online --watch --all --json",
            "x entebot208~JnuCcN report",
            "x h report --sort changed --reverse --limit 20 --offset 40 --wide",
            "x h report --watch --state kept --json",
            "x h report --html f --force --sort size",
            "x h find duckie7",
            "x h addresses duckie7.local",
            "x h network --json",
            "x h network --html f --force",
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
            "x h identity",
            "x h identity renew --json",
            "x h identity keep",
            "x h ssh duckie@duckie7 -- uptime -p",
            "x duckie7 ssh -p 2222",
            "x h forward duckie7 8080",
            "x duckie7 forward 22 --stdio",
            "x h forward duckie7 22 --listen 2222 --json",
            "x h access allow 22 8080 --peer 12D3KooW --role admin --for 2h",
            "x h access revoke 22",
            "x h access revoke --all --json",
            "x h access list",
            "x h access log --json",
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
            "x h doctor",
            "x h doctor duckie7 --json",
            "x h health --watch --json",
            "x h fleet --watch",
            "x h metrics",
            "x h metrics hw.temperature --since 2h --csv",
            "x h metrics temperature --svg f --force",
            "x h metrics --push camera",
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
    fn invalid_command_lines_are_refused() {
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
            "x h find",
            "x h addresses",
            "x h network --force",
            "x h ping -c 0",
            "x h forward",
            "x h forward duckie7 22 80",
            "x h forward duckie7 22 --stdio --json",
            "x h access",
            "x h access allow --peer 12D3KooW",
            "x h access allow 0 --peer 12D3KooW",
            "x h access allow 22 --role peer",
            "x h access revoke 22 --all",
            "x h get",
            "x h get -o g",
            "x h get a.bag --wait -1",
            "x h limit --lan-up fast",
            "x h transfers cancel",
            "x h report --timeout nan",
            "x h report --sort colour",
            "x h report --force",
            "x h report --html f --watch",
            "x h report --timeout -1",
            "x h:0 report",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    /// The examples in the help of a command and of its subcommands.
    fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().map(str::trim).filter(|line| line.starts_with("dt-swarm-cli "));
        // Two spaces separate the example from its explanation.
        let own = lines.map(|line| line.split("  ").next().unwrap_or(line).to_owned());
        own.chain(command.get_subcommands().flat_map(examples)).collect()
    }

    /// Splits a line into words as a shell does. Only single quotes are supported: the examples need no more.
    fn words(line: &str) -> Vec<String> {
        let parts = line.split('\'').enumerate();
        let word = |(number, part): (usize, &str)| match number % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        };
        parts.flat_map(word).collect()
    }

    #[test]
    fn examples_of_statements_parse_and_without_a_role_are_short_enough() {
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
