//! The command line.

use crate::host::Host;
use crate::validity::{self, ValidityOptions};
use clap::{Args, Parser, Subcommand};
use control::Limit;
use dcache::{BucketPath, Data, Role, Time};
use routing::{Address, Rule};
use std::path::PathBuf;
use std::time::Duration;

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
  dt-swarm-cli localhost storage           how full the store is, what is pinned, what is served in place
  dt-swarm-cli localhost propose share/notes 'hello' --for 2h
  dt-swarm-cli localhost swarm init class.toml --name 'class of 2027'
  dt-swarm-cli localhost swarm join class.toml         on each robot, with a copy of the file
  dt-swarm-cli localhost grant admin 12D3KooW… --key class-of-2027-root

What changes something works on the robot itself, through the daemon's control socket.
Exit code: 0 all went well, 1 no daemon answers, its answer is of no use or it said no, 2 wrong usage.";

const ADD_EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost add run7.bag
  dt-swarm-cli localhost add /media/stick/run7.bag --copy

Files in the shared folder need not be added: they are shared by themselves.";

const PROPOSE_EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost propose share/notes 'battery swapped'      for an hour
  dt-swarm-cli localhost propose share/notes 'lab closed' --from 2027-01-01 --until 2027-01-07
  dt-swarm-cli localhost propose networks /ip4/10.0.0.7/tcp/8000/dswarm-line --forever --key root";

const DISMISS_EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost dismiss share/notes 'battery swapped'      for as long as anybody proposes it
  dt-swarm-cli localhost dismiss share/files bafy… --for 30d

Your own proposal is taken back by this, too. Those of others it denies, if your role allows that.";

const GRANT_EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost grant admin 12D3KooW… --key root           signed by a root's key file
  dt-swarm-cli localhost grant trusted 12D3KooW… --for 30d          by this robot, if it is admin";

const ROUTE_EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost route list
  dt-swarm-cli localhost route add '/dswarm/12D3KooW…/brain => /ip4/10.0.0.7/udp/1240/dswarm-line/$0'
  dt-swarm-cli localhost route explain /dswarm/12D3KooW…/brain";

const GET_EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost get example.bag               into this folder, however long it takes
  dt-swarm-cli localhost get bafy… -o /data/run7.bag --priority 5
  dt-swarm-cli localhost get example.bag --wait 0      only order it; `transfers` shows how far it is
  dt-swarm-cli localhost get example.bag --pin         into the daemon's store, to be kept and given to others
  dt-swarm-cli duckie.local get example.bag            from that host's copy";

const LIMIT_EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost limit                                  the limits that hold
  dt-swarm-cli localhost limit --wan-up 500kB --wan-down 16Mbit in a second
  dt-swarm-cli localhost limit --lan-up none --wan-up default   none at all; what the configuration says

LAN are those on this host's own networks, WAN all others.";

const WATCH_EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost watch                     everything
  dt-swarm-cli duckie.local watch 'share/*' --json one JSON object a line: change, bucket, data, signers

+ appeared, - is gone, ~ others say so than before. First comes all that is there. Ctrl-C ends it.";

/// Asks a dt-swarm daemon, on this host or another, and shows the answer.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, disable_help_subcommand = true, arg_required_else_help = true)]
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
    #[command(after_help = GET_EXAMPLES)]
    Get(GetArguments),
    /// Show what comes and goes: how far, how fast, from whom and to whom; live on a terminal, until Ctrl-C.
    ///
    /// Into a pipe goes a line for each change, once a second at most, until nothing is under way.
    Transfers {
        #[command(subcommand)]
        command: Option<TransfersCommand>,
    },
    /// Show or set how fast files may come and go; what is set holds after a restart, too.
    #[command(after_help = LIMIT_EXAMPLES)]
    Limit(LimitArguments),
    /// Add a file to what this robot keeps and gives to others, and show its CID. It is not copied, but served where it
    /// is, until somebody changes it; the daemon has to be able to read it there.
    #[command(after_help = ADD_EXAMPLES)]
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
    #[command(after_help = WATCH_EXAMPLES)]
    Watch {
        /// Only buckets that match, as in `summary`.
        #[arg(default_value = "*")]
        pattern: String,
    },
    /// Say that an item is in a bucket; for an hour, unless told otherwise.
    #[command(after_help = PROPOSE_EXAMPLES)]
    Propose(ItemArguments),
    /// Say that an item is not in a bucket; for as long as anybody proposes it (an hour at least), unless told otherwise.
    #[command(after_help = DISMISS_EXAMPLES)]
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
    #[command(after_help = GRANT_EXAMPLES)]
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
    #[command(after_help = ROUTE_EXAMPLES)]
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

/// What to fetch, and where to.
#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// The file's name, or its CID as `report` shows it.
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// Where to put it: a folder, or the new file's name [default: this folder]
    #[arg(value_name = "DESTINATION")]
    destination: Option<PathBuf>,
    /// Where to put it, too.
    #[arg(short, long, value_name = "DESTINATION", conflicts_with = "destination")]
    output: Option<PathBuf>,
    /// Overwrite what is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Wait so long for it at most; it goes on nevertheless [default: until it is here]
    #[arg(long, value_name = "SECONDS", value_parser = wait)]
    pub(crate) wait: Option<Duration>,
    /// What has a higher priority is fetched first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i32,
    /// Keep it in the daemon's store, pinned; then it is written only where DESTINATION says.
    #[arg(long)]
    pub(crate) pin: bool,
}

impl GetArguments {
    /// Where to put it, if that was said.
    pub(crate) fn place(&self) -> Option<&std::path::Path> {
        self.output.as_deref().or(self.destination.as_deref())
    }

    /// Whether only a daemon that takes orders can do it.
    pub(crate) fn is_for_daemon(&self) -> bool {
        self.wait.is_some() || self.pin || self.priority != 0
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TransfersCommand {
    /// Do not fetch this any more, or forget that it was fetched.
    Cancel {
        /// The number of a download as `transfers` shows it, or a CID.
        #[arg(value_name = "NUMBER|CID")]
        download: String,
    },
}

/// How fast, in a second: 500kB, 2MB, 16Mbit, none or default.
#[derive(Debug, Args)]
pub(crate) struct LimitArguments {
    /// To hosts on this host's own networks.
    #[arg(long, value_name = "RATE")]
    pub(crate) lan_up: Option<Limit>,
    /// From them.
    #[arg(long, value_name = "RATE")]
    pub(crate) lan_down: Option<Limit>,
    /// To all others.
    #[arg(long, value_name = "RATE")]
    pub(crate) wan_up: Option<Limit>,
    /// From them.
    #[arg(long, value_name = "RATE")]
    pub(crate) wan_down: Option<Limit>,
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

fn wait(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.0..=31_536_000.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("from 0 seconds to a year".to_owned())
    }
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
