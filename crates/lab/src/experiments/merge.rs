//! What it costs when two large swarms meet that know nearly the same.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use dcache::{End, Keypair, Record, Statement, Time};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::{Address, Envelope};
use serde_json::{Value, json};
use store::{Batch, Store};

use super::figures::print_table;
use super::fraction::fraction;
use crate::clock::now;
use crate::daemon::Robot;
use crate::fleet::experiments;
use crate::proposal::proposal;
use crate::sightings::item_name;
use crate::{Conditions, DelayNetwork, Error, Fleet, Host, Lab, Result, ask, hosts};

const ACQUAINTED: Duration = Duration::from_secs(120);
/// Records of the age of a few days, as after a week of logs; a stranger's record is valid for at most 8.
const DAY: u64 = 24 * 3600;
const OLDEST: u64 = 3 * DAY;
const LIFETIME: u64 = 7 * DAY;
/// So few that the open swarm's quota of 4096 records a signer is kept.
const RECORDS_PER_SIGNER: u32 = 2500;

/// Print what it costs when two swarms meet that know nearly the same
///
/// Fills the stores of two swarms, cut off from each other, with the same records but for a few, lets them meet, and prints
/// the bytes on the wire until all is at all, beside the bytes of what was missing. Of `--different` records each swarm has one
/// half; all others both have, so that each has `--records` in all.
#[derive(Debug, Clone, clap::Args)]
pub struct Merge {
    /// How many daemons each of the two swarms has
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub nodes: u16,
    /// How many records each swarm has
    #[arg(long, default_value_t = 20_000)]
    pub records: u32,
    /// How many records one swarm has and the other lacks, both ways together
    #[arg(long, default_value_t = 200)]
    pub different: u32,
    /// The different ones are the newest, as after a short separation; otherwise they are of any age
    #[arg(long)]
    pub recent: bool,
    /// How long each packet takes, one way, in milliseconds
    #[arg(long, default_value_t = 2)]
    pub delay_ms: u64,
    /// The fraction of packets that a host does not hear, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = fraction)]
    pub loss: f64,
    /// How long they have to come to rest before they meet, in seconds
    #[arg(long, default_value_t = 20)]
    pub settle_seconds: u64,
    /// When to give up waiting after they met, in seconds
    #[arg(long, default_value_t = 300)]
    pub within_seconds: u64,
    /// For how long bytes are counted on after all is at all, in seconds: what they still say to each other
    #[arg(long, default_value_t = 30)]
    pub after_seconds: u64,
    /// What chance grows from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What was seen. Bytes of a record are those of its line in the line protocol.
#[derive(Debug, Clone)]
pub struct Merged {
    /// From their meeting until all was at all; `None` when that was not so in time.
    pub all_on_all: Option<Duration>,
    /// Records that were on one side only when they met, each counted once: the different ones, and what daemons say of
    /// themselves.
    pub missing: usize,
    /// The bytes of these, each counted once.
    pub missing_bytes: u64,
    /// The same, each counted as often as there were daemons that lacked it.
    pub missing_copies_bytes: u64,
    /// The bytes of all that one side has.
    pub whole_bytes: u64,
    /// Bytes that the interfaces of all hosts sent until all was at all, all headers counted.
    pub wire_bytes: u64,
    /// Bytes that they sent in the time after that.
    pub after_bytes: u64,
    /// How many of the different records lacked at how many daemons in the end, each place counted.
    pub absent: usize,
}

/// Does the experiment.
///
/// # Errors
/// When the lab or a program fails.
pub fn merge(lab: &Lab, options: &Merge) -> Result<Merged> {
    let conditions = Conditions { delay: Duration::from_millis(options.delay_ms), loss: options.loss };
    let network = lab.delay_network(conditions, options.seed)?;
    let plan = Plan::new(options)?;
    let fleet = start_apart(&network, hosts(lab, &network, "h", 2 * usize::from(options.nodes))?, &plan)?;
    fleet.wait_until_acquainted(options.nodes.into(), ACQUAINTED)?;
    // That time passes is part of the experiment here and below, so these are no guesses.
    thread::sleep(Duration::from_secs(options.settle_seconds));
    note_own(&fleet, &plan);
    meet(options, &network, &fleet, &plan.names_of_different())
}

/// What daemons have had on their disks no observer is told.
fn note_own(fleet: &Fleet, plan: &Plan) {
    let (nodes, now) = (fleet.robots().len(), Instant::now());
    for (place, side) in &plan.different {
        let of_side = nodes / 2 * side..nodes / 2 * (side + 1);
        of_side.for_each(|node| fleet.sightings().note(node, plan.name(*place), now));
    }
}

/// Two swarms, the first half of the hosts and the second, that do not hear each other.
fn start_apart(network: &DelayNetwork, hosts: Vec<Host>, plan: &Plan) -> Result<Fleet> {
    let mut fleet = Fleet::on(hosts)?;
    let (ours, theirs) = fleet.robots().split_at(fleet.robots().len() / 2);
    let others: Vec<_> = theirs.iter().map(|robot| robot.host().address()).collect();
    network.set_groups(|host| u32::from(others.contains(&host)));
    ours.iter().try_for_each(|robot| fill(robot, &plan.of_side(0)))?;
    theirs.iter().try_for_each(|robot| fill(robot, &plan.of_side(1)))?;
    eprintln!("lab: the stores are filled");
    fleet.start()?;
    Ok(fleet)
}

fn meet(options: &Merge, network: &DelayNetwork, fleet: &Fleet, different: &[String]) -> Result<Merged> {
    let (ours, theirs) = (known(&fleet.robots()[0])?, known(&fleet.robots()[usize::from(options.nodes)])?);
    let mut merged = Merged::before(options, &ours, &theirs);
    let (before, met) = (sent(fleet)?, Instant::now());
    network.heal();
    let done = fleet.sightings().wait_for(different, met + Duration::from_secs(options.within_seconds));
    merged.all_on_all = done.map(|done| done.saturating_duration_since(met));
    let until_then = sent(fleet)?;
    merged.wire_bytes = until_then - before;
    thread::sleep(Duration::from_secs(options.after_seconds));
    merged.after_bytes = sent(fleet)? - until_then;
    merged.absent = fleet.count_absent(different)?;
    Ok(merged)
}

fn sent(fleet: &Fleet) -> Result<u64> {
    fleet.robots().iter().map(|robot| Ok(robot.host().traffic()?.sent)).sum()
}

/// Which records there are, and which side lacks which.
struct Plan {
    records: Vec<Record>,
    /// Numbers of records of one side only, with the side.
    different: BTreeMap<usize, usize>,
}

impl Plan {
    fn new(options: &Merge) -> Result<Self> {
        let number = options.records + options.different / 2;
        let records = (0..number).map(|place| record(place, number)).collect::<Result<_>>()?;
        Ok(Self { different: different(options, number), records })
    }

    fn of_side(&self, side: usize) -> Vec<Record> {
        let has =
            |(place, _): &(usize, &Record)| self.different.get(place).is_none_or(|owner| *owner == side);
        self.records.iter().enumerate().filter(has).map(|(_, record)| record.clone()).collect()
    }

    fn names_of_different(&self) -> Vec<String> {
        self.different.keys().map(|place| self.name(*place)).collect()
    }

    /// The name under which observers note a record.
    fn name(&self, place: usize) -> String {
        item_name(self.records[place].item())
    }
}

/// Which of so many records one side lacks, in turn the one and the other.
fn different(options: &Merge, number: u32) -> BTreeMap<usize, usize> {
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let mut different = BTreeMap::new();
    let wanted = options.different.min(number);
    while different.len() < wanted as usize {
        let place = match options.recent {
            true => number - 1 - different.len() as u32,
            false => random.random_range(0..number),
        };
        let side = different.len() % 2;
        different.entry(place as usize).or_insert(side);
    }
    different
}

/// One record of so many, from the oldest to the newest, as long as one that names a file.
fn record(place: u32, number: u32) -> Result<Record> {
    let key = Keypair::from_seed([(place / RECORDS_PER_SIGNER) as u8; 32]);
    let age = OLDEST * u64::from(number - place) / u64::from(number);
    let from = Time(now().0.saturating_sub(age));
    let statement = proposal(experiments()?.as_str(), &format!("record-{place:052}"), from, LIFETIME)?;
    let sequence = u64::from(place % RECORDS_PER_SIGNER) + 1;
    Ok(Record::sign(statement, &key, sequence, End::default()))
}

/// Puts the records onto the disk of a daemon that does not run.
fn fill(robot: &Robot, records: &[Record]) -> Result {
    let file = robot.data_folder().join("records.redb");
    let failed = |problem: String| Error::answer(format!("filling {}", file.display()), problem);
    let (store, _) = Store::open(&file).map_err(|error| failed(error.to_string()))?;
    let batch = Batch { put: records.to_vec(), ..Batch::default() };
    store.write(&batch).map_err(|error| failed(error.to_string()))
}

/// The lengths of the lines of all that a daemon holds.
type Known = BTreeMap<Vec<u8>, u64>;

fn known(robot: &Robot) -> Result<Known> {
    let host: &Host = robot.host();
    let answer = ask(host, host.address())?;
    let (from, to) = (Address::brain(Keypair::from_seed([0; 32]).peer_id()), Address::every_brain());
    let line = |(statement, signature): (Statement, dcache::Signature)| {
        let record = Record::from_own_disk(statement, signature);
        let length = Envelope::record(from.clone(), to.clone(), &record).encode().len() + 1;
        (signature.bytes.to_vec(), length as u64)
    };
    Ok(answer.records.into_iter().map(line).collect())
}

impl Merged {
    /// As they are before they meet.
    fn before(options: &Merge, ours: &Known, theirs: &Known) -> Self {
        let lacking = |one: &Known, other: &Known| -> Vec<u64> {
            one.iter().filter(|(name, _)| !other.contains_key(*name)).map(|(_, length)| *length).collect()
        };
        let missing = [lacking(ours, theirs), lacking(theirs, ours)].concat();
        let missing_bytes = missing.iter().sum();
        Self {
            all_on_all: None,
            missing: missing.len(),
            missing_bytes,
            missing_copies_bytes: missing_bytes * u64::from(options.nodes),
            whole_bytes: ours.values().sum(),
            wire_bytes: 0,
            after_bytes: 0,
            absent: 0,
        }
    }

    /// Bytes on the wire for each byte of what was missing, each record counted once.
    pub fn ratio(&self) -> f64 {
        self.wire_bytes as f64 / self.missing_bytes.max(1) as f64
    }

    /// The same, each record counted as often as there were daemons that lacked it.
    pub fn ratio_of_copies(&self) -> f64 {
        self.wire_bytes as f64 / self.missing_copies_bytes.max(1) as f64
    }

    fn rows(&self) -> [(&'static str, Option<f64>); 10] {
        let number = |number: u64| Some(number as f64);
        [
            ("all on all (s after they met)", self.all_on_all.map(|time| time.as_secs_f64())),
            ("records that one side lacked", Some(self.missing as f64)),
            ("their bytes as lines", number(self.missing_bytes)),
            ("the same for each daemon that lacked them", number(self.missing_copies_bytes)),
            ("bytes of all that one side had", number(self.whole_bytes)),
            ("bytes on the wire until all on all", number(self.wire_bytes)),
            ("bytes on the wire afterwards", number(self.after_bytes)),
            ("wire / missing", Some(self.ratio())),
            ("wire / missing of each daemon", Some(self.ratio_of_copies())),
            ("lacking in the end", Some(self.absent as f64)),
        ]
    }

    /// Prints the figures.
    pub fn print(&self) {
        let rows = self.rows().map(|(what, figure)| (what.to_owned(), vec![figure]));
        print_table(&["merge"], &rows);
    }

    /// The figures, by name.
    pub fn json(&self) -> Value {
        json!({
            "all_on_all_seconds": self.all_on_all.map(|time| time.as_secs_f64()),
            "missing_records": self.missing,
            "missing_bytes": self.missing_bytes,
            "missing_copies_bytes": self.missing_copies_bytes,
            "whole_bytes": self.whole_bytes,
            "wire_bytes": self.wire_bytes,
            "wire_bytes_afterwards": self.after_bytes,
            "wire_per_missing": self.ratio(),
            "wire_per_missing_copy": self.ratio_of_copies(),
            "lacking": self.absent,
        })
    }
}
