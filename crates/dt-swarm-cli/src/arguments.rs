//! The command line.

mod examples;
mod transfers;

use crate::host::Host;
use crate::validity::{self, ValidityOptions};
use clap::{Args, Parser, Subcommand};
use dcache::{BucketPath, Data, Role, Time};
use routing::{Address, Rule};
use std::path::PathBuf;
use std::time::Duration;
pub(crate) use transfers::{GetArguments, LimitArguments, TransfersCommand};

/// Asks a dt-swarm daemon, on this host or another, and shows the answer.
#[derive(Debug, Parser)]
#[command(version, after_help = examples::PROGRAM, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Where the daemon runs: localhost, a name or an IP address, with :PORT if it is not 8000.
    #[arg(value_name = "HOST")]
    pub(crate) host: Host,
    /// Print one JSON document instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Give up after so many seconds in which nothing came.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// The swarm file by which to judge, and whose key to use [default: that of the daemon on this computer]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) swarm: Option<PathBuf>,
    /// The control socket of the daemon on this computer [default: where it usually is]
    #[arg(long, global = true, value_name = "PATH", env = "DT_SWARM_SOCKET")]
    pub(crate) socket: Option<PathBuf>,
    /// What to ask.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the buckets and their items: who says so, until when, and for how long it has been so.
    Summary {
        /// Only buckets that match, such as share/files, share/* or */info/*; a * crosses slashes.
        #[arg(default_value = "*")]
        pattern: String,
    },
    /// Show the shared files: name, size, who shared it, how far it is, and who holds it.
    ///
    /// A file is `shared` by its uploader, `verified` once somebody looked at it, `safe` once somebody keeps a copy,
    /// or `discarded`. A ? after the uploader means that he did not sign this himself.
    Report,
    /// Fetch a file; every block is checked against the CID.
    ///
    /// On the robot itself the daemon does it: from whoever has the file, also when nobody has it yet, and through restarts
    /// of either. Ctrl-C leaves it going on. From another HOST it is fetched from the copy that HOST holds.
    #[command(after_help = examples::GET)]
    Get(GetArguments),
    /// Show what comes and goes: how far, how fast, from whom and to whom; live on a terminal, until Ctrl-C.
    ///
    /// Into a pipe goes a line for each change, once a second at most, until nothing is under way.
    Transfers {
        #[command(subcommand)]
        command: Option<TransfersCommand>,
    },
    /// Show or set how fast files may come and go; what is set holds after a restart, too.
    #[command(after_help = examples::LIMIT)]
    Limit(LimitArguments),
    /// Add a file to what this robot keeps and gives to others, and show its CID. It is not copied, but served where it
    /// is, until somebody changes it; the daemon has to be able to read it there.
    #[command(after_help = examples::ADD)]
    Add {
        /// The file.
        file: PathBuf,
        /// Copy it into the daemon's store, so that it is kept whatever becomes of the file.
        #[arg(long)]
        copy: bool,
    },
    /// Keep this content whatever comes, after fetching what is missing of it. Ctrl-C gives up.
    Pin {
        /// Its CID, as `report` and `add` show it.
        cid: String,
    },
    /// Do not keep this content any more; its blocks go when room is needed, or with `gc`.
    Unpin {
        /// Its CID, as `storage` shows it.
        cid: String,
    },
    /// Throw away all blocks that are not pinned, those that half a fetch left among them, and show what that freed.
    Gc,
    /// Show how full the store is, what is pinned, and which files are served where they are.
    Storage,
    /// Ask whether the daemon is there: round-trip times, peer ID, version, uptime and clock.
    Ping {
        /// How many times to ask.
        #[arg(short, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
    },
    /// Show what the daemon sent, received, suppressed, repaired and refused on each channel, and how far it is behind.
    ///
    /// Suppressed is what it did not say since others were heard saying it; repaired are records that comparing with
    /// others showed to be missing, here or there; waiting are those whose turn within the channel's budget is to come.
    Stats,
    /// Show the daemon's channels: whom they reach, who was heard there, what they bear, and what is wrong.
    Channels,
    /// Show the version of this program and of the daemon.
    Version,
    /// Show items with everything that was said about them: by whom, for when, and whether it counts.
    Query {
        /// Only buckets that match, as in `summary`.
        pattern: String,
        /// As of this time; of the past only what still has to be remembered is known [default: now]
        #[arg(long, value_name = "TIME", value_parser = validity::time)]
        at: Option<Time>,
    },
    /// Show what appears in buckets and goes, as it happens, until Ctrl-C.
    #[command(after_help = examples::WATCH)]
    Watch {
        /// Only buckets that match, as in `summary`.
        #[arg(default_value = "*")]
        pattern: String,
    },
    /// Say that an item is in a bucket; for an hour, unless told otherwise.
    #[command(after_help = examples::PROPOSE)]
    Propose(ItemArguments),
    /// Say that an item is not in a bucket; for as long as anybody proposes it (an hour at least), unless told otherwise.
    #[command(after_help = examples::DISMISS)]
    Dismiss(ItemArguments),
    /// Say that one item is in a bucket instead of another; for an hour, unless told otherwise.
    Replace {
        /// The bucket, such as share/notes.
        bucket: BucketPath,
        /// What is not to be there any more.
        #[arg(value_parser = Data::new)]
        old: Data,
        /// What is to be there.
        #[arg(value_parser = Data::new)]
        new: Data,
        #[command(flatten)]
        validity: ValidityOptions,
        #[command(flatten)]
        voice: Voice,
    },
    /// Give a role to a peer; for ever, unless told otherwise.
    #[command(after_help = examples::GRANT)]
    Grant(RoleArguments),
    /// Take a role away from a peer; for ever, unless told otherwise. It works backwards: what only that role made count
    /// does not count any more.
    Revoke(RoleArguments),
    /// Show the key of this robot and the key files, with the roles that they have; or make a new one.
    Keys {
        #[command(subcommand)]
        command: Option<KeysCommand>,
    },
    /// Show where lines for others go, and decide it: rules that rewrite addresses, and who was heard where.
    #[command(after_help = examples::ROUTE)]
    Route {
        #[command(subcommand)]
        command: RouteCommand,
    },
    /// The swarm to which this robot belongs: who is root in it, and who may say what.
    Swarm {
        #[command(subcommand)]
        command: SwarmCommand,
    },
}

/// Something about an item.
#[derive(Debug, Args)]
pub(crate) struct ItemArguments {
    /// The bucket, such as share/notes.
    pub(crate) bucket: BucketPath,
    /// The item's text; begin with -- when it begins with a dash.
    #[arg(value_parser = Data::new)]
    pub(crate) data: Data,
    #[command(flatten)]
    pub(crate) validity: ValidityOptions,
    #[command(flatten)]
    pub(crate) voice: Voice,
}

/// Something about a role.
#[derive(Debug, Args)]
pub(crate) struct RoleArguments {
    /// admin or trusted; `revoke` also takes peer.
    pub(crate) role: Role,
    /// Whose role: a peer ID, as `ping` on that robot shows it.
    #[arg(value_name = "PEER_ID")]
    pub(crate) peer: String,
    #[command(flatten)]
    pub(crate) validity: ValidityOptions,
    #[command(flatten)]
    pub(crate) voice: Voice,
}

/// Who says it, and how firmly.
#[derive(Debug, Args)]
pub(crate) struct Voice {
    /// Sign with this key file instead of the robot's key: its name, as `keys` shows it, or its path
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) key: Option<String>,
    /// Say it although it does not count: it will, once the role is there
    #[arg(long)]
    pub(crate) anyway: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Make a new key file, for a person who is to hold a role without a robot.
    New {
        /// Its name, such as root; or a path with a / in it.
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// Show the rules, in the order in which they are tried, the paths, and by which channels peers were heard.
    List,
    /// Rewrite addresses so, from now on and after a restart.
    Add {
        /// PATTERN => TEMPLATE; a * matches one segment, $0 stands for the address that matched.
        rule: Rule,
    },
    /// Do not rewrite them so any more.
    Del {
        /// The rule, as `route list` shows it.
        rule: Rule,
    },
    /// Show each step by which an address is rewritten, and by which channel a line would leave.
    Explain {
        /// The address.
        address: Address,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SwarmCommand {
    /// Write a new swarm file, to be passed around. Without --root a new key file is made, whose owner is root.
    Init {
        /// The file to write; nothing is ever overwritten.
        file: PathBuf,
        /// What people are to call the swarm.
        #[arg(long)]
        name: String,
        /// Who is root: a peer ID, or the name of a key file; may be given several times
        #[arg(long, value_name = "PEER_ID|KEY")]
        root: Vec<String>,
        /// Make a key that keeps others out: only who has the file can listen and speak in the swarm. It is a secret then
        #[arg(long)]
        with_key: bool,
    },
    /// Show a swarm file, or without one the swarm to which this robot belongs.
    Show {
        /// The file.
        file: Option<PathBuf>,
        /// Show the swarm's key, too, which keeps others out.
        #[arg(long)]
        show_key: bool,
    },
    /// Join the swarm of this file. The daemon keeps a copy.
    Join {
        /// The file.
        file: PathBuf,
    },
    /// Leave the swarm, and be in the open one again, in which nobody has a role.
    Leave,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("from 0.1 to 3600 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_may_stand_anywhere() {
        for line in ["x h report --json", "x --json h report", "x h --json report"] {
            assert!(Arguments::parse_from(line.split(' ')).json);
        }
        let arguments = Arguments::parse_from("x h ping -c 5 --timeout 0.5".split(' '));
        assert_eq!(arguments.timeout, Duration::from_millis(500));
        assert!(matches!(arguments.command, Command::Ping { count: 5 }));
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
            "x h channels",
            "x h add f --copy",
            "x h pin bafy --json",
            "x h unpin bafy",
            "x h gc",
            "x h storage",
            "x h route list",
            "x h route explain /dswarm/*/brain",
            "x h get a.bag -o f --priority -3 --wait 0",
            "x h get a.bag f --pin --force",
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
            "x h get a.bag f -o g",
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
}
