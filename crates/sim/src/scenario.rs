//! Scenario files: what there is, what happens, and what is expected. All times are seconds from the start of the run;
//! all that is left open here (who, when exactly) is decided by the seed.

use serde::Deserialize;
use std::time::Duration;

/// A scenario.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub about: String,
    /// How long records are made and things go wrong. Then comes the calm.
    pub duration: Seconds,
    /// How long the calm may last until all hold the same. Presence is not renewed in it.
    pub calm: Seconds,
    /// From when on traffic is measured, up to the end of `duration`.
    #[serde(default)]
    pub measure_from: Seconds,
    /// Local networks, named `lan 0`, `lan 1`, ... in their order.
    pub lan: Vec<Lan>,
    /// The mesh over the internet, named `wan`.
    pub wan: Option<Wan>,
    /// Channels of chat servers, named `line 0`, `line 1`, ...
    #[serde(default)]
    pub line: Vec<LineChannel>,
    /// Nodes that go from one local network to another.
    #[serde(default)]
    pub laptop: Vec<Laptop>,
    /// What all honest nodes say of themselves.
    pub presence: Option<Presence>,
    /// Files that nodes share meanwhile.
    pub files: Option<SharedFiles>,
    /// Records that are there from the beginning.
    #[serde(default)]
    pub stock: Vec<Stock>,
    /// Records that are made meanwhile.
    #[serde(default)]
    pub records: Vec<Records>,
    /// Networks that fall into parts.
    #[serde(default)]
    pub partition: Vec<Partition>,
    /// Nodes that are killed and started again.
    pub crashes: Option<Crashes>,
    /// Nodes that are switched off for a while.
    #[serde(default)]
    pub away: Vec<Away>,
    /// Clocks that are wrong.
    pub clocks: Option<Clocks>,
    /// Nodes that mean ill.
    #[serde(default)]
    pub liar: Vec<Liars>,
}

/// One local network, or several alike.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lan {
    /// How many such networks.
    #[serde(default = "one")]
    pub count: usize,
    /// Honest nodes on each.
    pub nodes: usize,
    /// How many of these, the first, are on the mesh too.
    #[serde(default)]
    pub gateways: usize,
    /// How it treats datagrams.
    #[serde(flatten)]
    pub conditions: ConditionsText,
}

/// How a network treats what is said on it.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ConditionsText {
    /// The part that each receiver misses, from 0 to 1; on a local network, of each fragment.
    #[serde(default)]
    pub loss: f64,
    /// The part that comes twice.
    #[serde(default)]
    pub duplication: f64,
    /// The least delay.
    #[serde(default = "one_ms")]
    pub delay_ms: f64,
    /// How much longer it may take.
    #[serde(default)]
    pub jitter_ms: f64,
    /// Bytes a second on a link between two hosts of it.
    #[serde(default = "ten_megabytes")]
    pub link_rate: u32,
}

/// The mesh.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wan {
    /// Whether the nodes on it can call each other.
    #[serde(default)]
    pub dialable: bool,
    /// How it treats lines.
    #[serde(flatten)]
    pub conditions: ConditionsText,
}

/// A channel of a chat server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineChannel {
    /// Of which local networks the last node is on it.
    pub lans: Vec<String>,
    /// How it treats lines; a server loses none.
    #[serde(flatten)]
    pub conditions: ConditionsText,
}

/// A node that goes round some networks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Laptop {
    /// Where it goes, one after the other, and then again from the first.
    pub lans: Vec<String>,
    /// How long it stays at each; two seconds on the way are of that.
    pub stays: Seconds,
    /// When it goes for the last time.
    pub until: Seconds,
}

/// What each honest node says of itself, and renews at half time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// When it is renewed for the last time; the end of `duration` when not said.
    pub until: Option<Seconds>,
    /// Whether it tells its name and an address as well (for an hour).
    #[serde(default)]
    pub info: bool,
}

/// Files that honest nodes put into their shared folders at random times. All must be safe everywhere at the end of
/// `duration`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedFiles {
    /// Number of files.
    pub count: usize,
    /// The earliest time.
    pub from: Seconds,
    /// The latest time.
    pub until: Seconds,
    /// Time that a fetch takes.
    pub fetch: Seconds,
    /// Whether the nodes share one after the other, instead of by chance.
    #[serde(default)]
    pub by_turns: bool,
}

/// Records on the disks from the beginning.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// How many.
    pub count: usize,
    /// The nodes of which networks have and made them; all when empty. Nodes that are away from 0 on have none.
    #[serde(default)]
    pub lans: Vec<String>,
    /// Only nodes whose number on their network, divided by this, leaves `part`: see `Partition::alternate`.
    #[serde(default = "one")]
    pub parts: usize,
    /// See `parts`.
    #[serde(default)]
    pub part: usize,
    /// What they look like.
    #[serde(flatten)]
    pub look: Look,
}

/// Records made by honest nodes at random times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// What they are called in the figures.
    pub name: String,
    /// How many.
    pub count: usize,
    /// The earliest time.
    pub from: Seconds,
    /// The latest.
    pub until: Seconds,
    /// On which network their makers are; any when not said.
    pub by: Option<String>,
    /// In what time each has to be everywhere; a run fails where it is not.
    pub within: Option<Seconds>,
    /// What they look like.
    #[serde(flatten)]
    pub look: Look,
}

/// What records look like.
#[derive(Clone, Debug, Deserialize)]
pub struct Look {
    /// In which buckets, one after the other; `ME` stands for the maker's ID.
    pub buckets: Vec<String>,
    /// How many bytes the data have, at least and at most.
    #[serde(default = "usual_bytes")]
    pub bytes: [usize; 2],
    /// For how long they hold.
    #[serde(default = "day")]
    pub lifetime: Seconds,
}

/// A network in parts for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Which; `lan` alone for any local one, by chance.
    pub network: String,
    /// When.
    pub from: Seconds,
    /// Until when.
    pub until: Seconds,
    /// How many times, each by chance within that time and for at most `lasting`. When not said: once, all the time.
    pub times: Option<usize>,
    /// See `times`.
    #[serde(default)]
    pub lasting: Seconds,
    /// In how many parts.
    #[serde(default = "two")]
    pub parts: usize,
    /// By turns instead of by chance: the first node to part 0, the second to part 1, ...
    #[serde(default)]
    pub alternate: bool,
}

/// Honest nodes that are killed, any of them, at random times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crashes {
    /// How many times.
    pub times: usize,
    /// The earliest.
    pub from: Seconds,
    /// The latest.
    pub until: Seconds,
    /// How long it takes until the node is started again, at least and at most.
    pub off: [Seconds; 2],
}

/// Nodes that are off for a while.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Away {
    /// On which network.
    pub lan: String,
    /// How many of its last nodes.
    #[serde(default = "one")]
    pub nodes: usize,
    /// From when on; from 0 on: they are new, and have nothing.
    pub from: Seconds,
    /// Until when.
    pub until: Seconds,
}

/// Wrong clocks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clocks {
    /// Each is off by up to so much, to either side, for good.
    pub off: Seconds,
    /// And gains or loses up to so many seconds in a million.
    #[serde(default)]
    pub drift: u32,
    /// So many are off by up to `by`, for good. (Records that are over by such a clock are not compared at the end.)
    #[serde(default)]
    pub far: usize,
    /// How many times some clock is set wrong, and right again.
    #[serde(default)]
    pub steps: usize,
    /// By how much, at most, to either side.
    #[serde(default)]
    pub by: Seconds,
    /// For how long. (More than ten minutes in the future make a clock believe itself: see `dcache::Clock`.)
    #[serde(default)]
    pub lasting: Seconds,
    /// Whether `off` and `drift` are spread evenly over the nodes, in their order, instead of by chance.
    #[serde(default)]
    pub even: bool,
    /// How many of the last nodes start in 1970.
    #[serde(default)]
    pub unset: usize,
    /// By how many seconds the last node is ahead of the others, if it does not start in 1970; less than 0 for behind.
    #[serde(default)]
    pub last_ahead: i64,
}

/// Nodes that are no brains.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liars {
    /// How many.
    #[serde(default = "one")]
    pub count: usize,
    /// On which networks each is.
    pub on: Vec<String>,
    /// What they do.
    pub habits: Vec<Habit>,
    /// How often one does something.
    pub per_minute: u32,
    /// How many records of his own each may sign.
    #[serde(default = "hundred")]
    pub junk: usize,
}

/// What a liar does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Habit {
    /// Says again what was heard before.
    Replay,
    /// Ten lines of rubbish.
    Rubbish,
    /// A record that he may say, of no use to anybody.
    Junk,
    /// Answers comparisons with an empty set. (None of them ever passes a record on.)
    Withhold,
    /// A beacon of a set that nobody has.
    FalseBeacon,
    /// Somebody else's beacon as his own.
    CopiedBeacon,
    /// A record that nobody signed, or not he who may.
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
