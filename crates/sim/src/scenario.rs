//! Scenario files: networks, nodes, events and expectations. All times are seconds from the start of the run. The seed
//! decides everything that the file leaves open, such as nodes and exact times.

mod copies;

pub(crate) use copies::LOOK_EVERY;
pub use copies::{Copies, Full, Killed};
use serde::Deserialize;
use std::time::Duration;

/// A scenario, as its file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Purpose of the scenario, in a sentence.
    pub about: String,
    /// Duration of the time in which records are made and faults occur. The calm follows.
    pub duration: Seconds,
    /// Maximum duration of the calm, in which all nodes have to reach the same records. Presence is not renewed in it.
    pub calm: Seconds,
    /// Time over which the local networks are switched on, one after the other. All nodes of a network start within a
    /// second. By default all networks are switched on at once.
    #[serde(default)]
    pub starting: Seconds,
    /// Start of the measurement of traffic, which lasts until the end of `duration`.
    #[serde(default)]
    pub measure_from: Seconds,
    /// Local networks, named `lan 0`, `lan 1`, ... in their order.
    pub lan: Vec<Lan>,
    /// The mesh over the internet, named `wan`.
    pub wan: Option<Wan>,
    /// Channels of chat servers, named `line 0`, `line 1`, ...
    #[serde(default)]
    pub line: Vec<LineChannel>,
    /// Nodes that move between local networks.
    #[serde(default)]
    pub laptop: Vec<Laptop>,
    /// Statements that all honest nodes make about themselves.
    pub presence: Option<Presence>,
    /// Faults of nodes, and checks of the health that others see.
    pub health: Option<Health>,
    /// Files that nodes share during the run.
    pub files: Option<SharedFiles>,
    /// Records that nodes have from the beginning.
    #[serde(default)]
    pub stock: Vec<Stock>,
    /// Records that are made during the run.
    #[serde(default)]
    pub records: Vec<Records>,
    /// Networks that are split into parts.
    #[serde(default)]
    pub partition: Vec<Partition>,
    /// Nodes that are killed and started again.
    pub crashes: Option<Crashes>,
    /// Nodes that are shut down cleanly and started again. They withdraw their presence first.
    pub departures: Option<Crashes>,
    /// Nodes that are switched off for a while.
    #[serde(default)]
    pub away: Vec<Away>,
    /// Clocks that are wrong.
    pub clocks: Option<Clocks>,
    /// Malicious nodes without a brain.
    #[serde(default)]
    pub liar: Vec<Liars>,
}

/// One local network, or several of the same kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lan {
    /// Number of such networks.
    #[serde(default = "one")]
    pub count: usize,
    /// Number of honest nodes on each.
    pub nodes: usize,
    /// Number of these nodes, counted from the first, that are also on the mesh.
    #[serde(default)]
    pub gateways: usize,
    /// Losses and delays of its datagrams.
    #[serde(flatten)]
    pub conditions: ConditionsText,
}

/// Losses and delays of a network.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ConditionsText {
    /// Fraction of the lines that each receiver misses, from 0 to 1. On a local network, fraction of the fragments.
    #[serde(default)]
    pub loss: f64,
    /// Fraction of the lines that arrive twice.
    #[serde(default)]
    pub duplication: f64,
    /// Minimum delay in milliseconds.
    #[serde(default = "one_ms")]
    pub delay_ms: f64,
    /// Maximum additional delay in milliseconds.
    #[serde(default)]
    pub jitter_ms: f64,
    /// Rate of a link between two of its hosts, in bytes per second.
    #[serde(default = "ten_megabytes")]
    pub link_rate: u32,
}

/// The mesh over the internet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wan {
    /// Whether the nodes on it can open links to each other.
    #[serde(default)]
    pub dialable: bool,
    /// Losses and delays of its lines.
    #[serde(flatten)]
    pub conditions: ConditionsText,
}

/// A channel of a chat server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineChannel {
    /// Local networks. The last node of each is on the channel.
    pub lans: Vec<String>,
    /// Delays of its lines. A server loses no lines, so `loss` has no effect.
    #[serde(flatten)]
    pub conditions: ConditionsText,
}

/// One node that moves around some local networks, or several of the same kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Laptop {
    /// Number of such nodes. Each begins at another of the networks.
    #[serde(default = "one")]
    pub count: usize,
    /// Local networks that it visits in order, beginning again after the last.
    pub lans: Vec<String>,
    /// Duration of a visit. It includes the two seconds in which the node moves to the next network.
    pub stays: Seconds,
    /// Latest time of a move.
    pub until: Seconds,
}

/// Statements that each honest node makes about itself, and renews after half of their validity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// Time until which it is renewed; by default the end of `duration`.
    pub until: Option<Seconds>,
    /// Whether each node also states its host name, its version and an address.
    #[serde(default)]
    pub info: bool,
    /// Whether the report names the time after which each node lists all others, counted from the start of the last
    /// node. All nodes have to hold their own presence by then, so this is for scenarios without crashes and moves.
    #[serde(default)]
    pub is_timed: bool,
    /// Maximum of that time. If one node needs longer, the run fails.
    pub within: Option<Seconds>,
    /// Checks of the tables of robots; none by default.
    pub tables: Option<Tables>,
}

/// Checks of the tables of robots. A table must not show a node as present that ended longer ago than the lifetime of a
/// presence. The report says for how long a running node was missing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// Time of the first check.
    pub from: Seconds,
    /// Interval between two checks.
    pub every: Seconds,
    /// Number of nodes whose tables are read in each check.
    pub readers: usize,
}

/// Faults of random honest nodes at random times. Each other node must see the level of a node, and that a node does not run
/// any more.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Number of faults.
    pub faults: usize,
    /// Time of the earliest fault, and of the first check.
    pub from: Seconds,
    /// Time of the latest fault.
    pub until: Seconds,
    /// Minimum and maximum duration of a fault.
    pub lasting: [Seconds; 2],
    /// Interval between two checks.
    pub every: Seconds,
    /// Number of nodes whose sets are read in each check.
    pub readers: usize,
    /// Maximum time until each node sees a new level, also after a partition. If one needs longer, the run fails.
    pub within: Seconds,
}

/// Files that honest nodes put into their shared folders at random times. At the end of `duration`, each must be kept
/// by all nodes, or by as many as `copies` wants.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedFiles {
    /// Number of files.
    pub count: usize,
    /// Earliest time of sharing.
    pub from: Seconds,
    /// Latest time of sharing.
    pub until: Seconds,
    /// Duration of a fetch.
    pub fetch: Seconds,
    /// Whether the nodes share in turn, instead of at random.
    #[serde(default)]
    pub by_turns: bool,
    /// The number of copies of each file; by default every node keeps every file.
    pub copies: Option<Copies>,
}

/// Records that are on disks from the beginning.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// Number of records.
    pub count: usize,
    /// Local networks whose nodes made and hold the records; all if empty. Nodes that are off from the beginning hold
    /// none.
    #[serde(default)]
    pub lans: Vec<String>,
    /// Number of parts into which the nodes of each network are divided, in turn. Only the nodes of one part hold the
    /// records: those whose number on their network has the remainder `part` modulo `parts`. See
    /// `Partition::alternate`.
    #[serde(default = "one")]
    pub parts: usize,
    /// Number of the part that holds the records, from 0; see `parts`.
    #[serde(default)]
    pub part: usize,
    /// Buckets, sizes and lifetimes of the records.
    #[serde(flatten)]
    pub look: Look,
}

/// Records that honest nodes make at random times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// Name of these records in the report.
    pub name: String,
    /// Number of records.
    pub count: usize,
    /// Earliest time at which one is made.
    pub from: Seconds,
    /// Latest time at which one is made.
    pub until: Seconds,
    /// Local network of the nodes that make them; by default any network.
    pub by: Option<String>,
    /// Maximum time for each of them to reach all nodes. If one takes longer, the run fails.
    pub within: Option<Seconds>,
    /// Buckets, sizes and lifetimes of the records.
    #[serde(flatten)]
    pub look: Look,
}

/// Buckets, sizes and lifetimes of records.
#[derive(Clone, Debug, Deserialize)]
pub struct Look {
    /// Buckets, used in turn. `ME` stands for the ID of the maker.
    pub buckets: Vec<String>,
    /// Minimum and maximum size of the data, in bytes.
    #[serde(default = "usual_bytes")]
    pub bytes: [usize; 2],
    /// Duration of the validity.
    #[serde(default = "day")]
    pub lifetime: Seconds,
}

/// A network that is split into parts for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Name of the network; just `lan` means any local network, chosen at random.
    pub network: String,
    /// Start of the split.
    pub from: Seconds,
    /// End of the split.
    pub until: Seconds,
    /// Number of splits, each at a random time between `from` and `until` and no longer than `lasting`. By default one
    /// split, from `from` until `until`.
    pub times: Option<usize>,
    /// Maximum duration of each of the `times` splits.
    #[serde(default)]
    pub lasting: Seconds,
    /// Number of parts.
    #[serde(default = "two")]
    pub parts: usize,
    /// Whether nodes are distributed in turn instead of at random: the first node to part 0, the second to part 1, and
    /// so on.
    #[serde(default)]
    pub alternate: bool,
}

/// Crashes or departures of random honest nodes at random times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crashes {
    /// Number of crashes or departures.
    pub times: usize,
    /// Earliest time of one.
    pub from: Seconds,
    /// Latest time of one.
    pub until: Seconds,
    /// Minimum and maximum time until the node is started again.
    pub off: [Seconds; 2],
}

/// Nodes that are off for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Away {
    /// Name of the local network.
    pub lan: String,
    /// Number of these nodes, counted from the last node of the network.
    #[serde(default = "one")]
    pub nodes: usize,
    /// Time at which they stop. With 0, they are new and hold no records.
    pub from: Seconds,
    /// Time at which they start again.
    pub until: Seconds,
}

/// Errors of the clocks: some apply to every clock, the others to some clocks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clocks {
    /// Maximum offset of each clock, in either direction, for the whole run.
    pub off: Seconds,
    /// Maximum drift of each clock, in seconds per million seconds, in either direction.
    #[serde(default)]
    pub drift: u32,
    /// Number of clocks that are off by up to `by` for the whole run. (Records that are expired according to such a clock
    /// are not compared at the end.)
    #[serde(default)]
    pub far: usize,
    /// Number of times that a clock is set wrong, and right again.
    #[serde(default)]
    pub steps: usize,
    /// Maximum offset of such a clock, in either direction.
    #[serde(default)]
    pub by: Seconds,
    /// Time until such a clock is set right. (After a clock was ahead for ten minutes, its node regards that time as
    /// settled: see `dcache::Clock`.)
    #[serde(default)]
    pub lasting: Seconds,
    /// Whether `off` and `drift` are spread evenly over the nodes, in order, instead of at random.
    #[serde(default)]
    pub even: bool,
    /// Number of nodes, counted from the last, that start in 1970.
    #[serde(default)]
    pub unset: usize,
    /// Offset of the last node's clock in seconds, if it does not start in 1970. Negative if it is behind.
    #[serde(default)]
    pub last_ahead: i64,
}

/// Malicious nodes without a brain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liars {
    /// Number of such nodes.
    #[serde(default = "one")]
    pub count: usize,
    /// Networks that each of them is on.
    pub on: Vec<String>,
    /// Kinds of misbehaviour, from which one is chosen at random each time.
    pub habits: Vec<Habit>,
    /// Average number of actions per node and minute.
    pub per_minute: u32,
    /// Maximum number of records that each node may sign.
    #[serde(default = "hundred")]
    pub junk: usize,
}

/// A kind of misbehaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Habit {
    /// Repeats a line that was heard before.
    Replay,
    /// Sends ten lines of rubbish.
    Rubbish,
    /// Publishes a useless record that it may sign.
    Junk,
    /// Answers comparisons with an empty set. (No liar ever passes a record on.)
    Withhold,
    /// Sends a beacon of a set that no node has.
    FalseBeacon,
    /// Sends the beacon of another node as its own.
    CopiedBeacon,
    /// Sends a record that no node signed, or whose signer had no right to it.
    Forge,
}

/// A time in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(pub Duration);

impl TryFrom<f64> for Seconds {
    type Error = std::time::TryFromFloatSecsError;
    fn try_from(seconds: f64) -> Result<Self, Self::Error> {
        Duration::try_from_secs_f64(seconds).map(Self)
    }
}

fn one() -> usize {
    1
}
fn two() -> usize {
    2
}
fn hundred() -> usize {
    100
}
fn one_ms() -> f64 {
    1.0
}
fn ten_megabytes() -> u32 {
    10_000_000
}
fn day() -> Seconds {
    Seconds(Duration::from_secs(24 * 3600))
}
fn usual_bytes() -> [usize; 2] {
    [46, 120]
}
