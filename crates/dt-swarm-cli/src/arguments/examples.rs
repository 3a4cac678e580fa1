//! Examples of how commands are used, as their help shows them.

pub(super) const PROGRAM: &str = "\
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

pub(super) const ADD: &str = "\
Examples:
  dt-swarm-cli localhost add run7.bag
  dt-swarm-cli localhost add /media/stick/run7.bag --copy

Files in the shared folder need not be added: they are shared by themselves.";

pub(super) const PROPOSE: &str = "\
Examples:
  dt-swarm-cli localhost propose share/notes 'battery swapped'      for an hour
  dt-swarm-cli localhost propose share/notes 'lab closed' --from 2027-01-01 --until 2027-01-07
  dt-swarm-cli localhost propose networks /ip4/10.0.0.7/tcp/8000/dswarm-line --forever --key root";

pub(super) const DISMISS: &str = "\
Examples:
  dt-swarm-cli localhost dismiss share/notes 'battery swapped'      for as long as anybody proposes it
  dt-swarm-cli localhost dismiss share/files bafy… --for 30d

Your own proposal is taken back by this, too. Those of others it denies, if your role allows that.";

pub(super) const GRANT: &str = "\
Examples:
  dt-swarm-cli localhost grant admin 12D3KooW… --key root           signed by a root's key file
  dt-swarm-cli localhost grant trusted 12D3KooW… --for 30d          by this robot, if it is admin";

pub(super) const ROUTE: &str = "\
Examples:
  dt-swarm-cli localhost route list
  dt-swarm-cli localhost route add '/dswarm/12D3KooW…/brain => /ip4/10.0.0.7/udp/1240/dswarm-line/$0'
  dt-swarm-cli localhost route explain /dswarm/12D3KooW…/brain";

pub(super) const GET: &str = "\
Examples:
  dt-swarm-cli localhost get example.bag               into this folder, however long it takes
  dt-swarm-cli localhost get bafy… -o /data/run7.bag --priority 5
  dt-swarm-cli localhost get example.bag --wait 0      only order it; `transfers` shows how far it is
  dt-swarm-cli localhost get example.bag --pin         into the daemon's store, to be kept and given to others
  dt-swarm-cli duckie.local get example.bag            from that host's copy";

pub(super) const LIMIT: &str = "\
Examples:
  dt-swarm-cli localhost limit                                  the limits that hold
  dt-swarm-cli localhost limit --wan-up 500kB --wan-down 16Mbit in a second
  dt-swarm-cli localhost limit --lan-up none --wan-up default   none at all; what the configuration says

LAN are those on this host's own networks, WAN all others.";

pub(super) const WATCH: &str = "\
Examples:
  dt-swarm-cli localhost watch                     everything
  dt-swarm-cli duckie.local watch 'share/*' --json one JSON object a line: change, bucket, data, signers

+ appeared, - is gone, ~ others say so than before. First comes all that is there. Ctrl-C ends it.";
