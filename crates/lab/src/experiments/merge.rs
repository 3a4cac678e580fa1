//! Cost of the meeting of two large swarms that have nearly the same records.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use dcache::{End, Keypair, Record, Statement, Time};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::{Address, Envelope};
use serde_json::{Value, json};

use super::figures::print_table;
use super::fraction::fraction;
use crate::clock::now;
use crate::daemon::Robot;
use crate::fleet::experiments;
use crate::proposal::proposal;
use crate::sightings::item_name;
use crate::{Conditions, DelayNetwork, Fleet, Host, Lab, Result, ask, hosts};

const ACQUAINTED: Duration = Duration::from_secs(120);
/// Ages of the records, in seconds: up to three days, as after some days of logs. A stranger's record is valid for at
/// most 8 days.
const DAY: u64 = 24 * 3600;
const OLDEST: u64 = 3 * DAY;
const LIFETIME: u64 = 7 * DAY;
/// Number of records per signer, below the open swarm's quota of 4096 records per signer.
const RECORDS_PER_SIGNER: u32 = 2500;

/// Measure the cost of the meeting of two swarms with nearly the same records
///
/// Fills the stores of two separated swarms with the same records except for a few, and connects the swarms. The result
/// is the number of bytes on the wire until all records are on all nodes, beside the bytes of the missing records. Each
/// swarm has one half of the `--different` records. Both have all others, so that each has `--records` records in
/// total.
#[derive(Debug, Clone, clap::Args)]
pub struct Merge {
    /// Number of daemons in each of the two swarms
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub nodes: u16,
    /// Number of records in each swarm
    #[arg(long, default_value_t = 20_000)]
    pub records: u32,
    /// Number of records that only one swarm has, both swarms together
    #[arg(long, default_value_t = 200)]
    pub different: u32,
    /// Make the different records the newest ones, as after a short separation; otherwise their ages are random
    #[arg(long)]
    pub recent: bool,
    /// One-way delay of each packet in milliseconds
    #[arg(long, default_value_t = 2)]
    pub delay_ms: u64,
    /// Fraction of packets that a host loses, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = fraction)]
    pub loss: f64,
    /// Time for the swarms to settle before they meet, in seconds
    #[arg(long, default_value_t = 20)]
    pub settle_seconds: u64,
    /// Maximum time to wait after they met, in seconds
    #[arg(long, default_value_t = 300)]
    pub within_seconds: u64,
    /// Time after all records are on all nodes during which bytes are still counted, in seconds
    #[arg(long, default_value_t = 30)]
    pub after_seconds: u64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Figures of the experiment. The bytes of a record are those of its line in the line protocol.
#[derive(Debug, Clone)]
pub struct Merged {
    /// Time from the meeting until all records were on all nodes; `None` if they were not in time.
    pub all_on_all: Option<Duration>,
    /// Number of records that only one side had when they met, each counted once. These are the different records, and
    /// the daemons' records about themselves.
    pub missing: usize,
    /// Bytes of these records, each counted once.
    pub missing_bytes: u64,
    /// Bytes of these records, each counted once per daemon that lacked it.
    pub missing_copies_bytes: u64,
    /// Bytes of all records of one side.
    pub whole_bytes: u64,
    /// Bytes that the interfaces of all hosts sent until all records were on all nodes, including all headers.
    pub wire_bytes: u64,
    /// Bytes sent in the time after that.
    pub after_bytes: u64,
    /// Number of different records missing at the end, summed over all daemons.
    pub absent: usize,
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails.
pub fn merge(lab: &Lab, options: &Merge) -> Result<Merged> {
    let conditions = Conditions { delay: Duration::from_millis(options.delay_ms), loss: options.loss };
    let network = lab.delay_network(conditions, options.seed)?;
    let plan = Plan::new(options)?;
    let fleet = start_apart(&network, hosts(lab, &network, "h", 2 * usize::from(options.nodes))?, &plan)?;
    fleet.wait_until_acquainted(options.nodes.into(), ACQUAINTED)?;
    // The passing of time is part of the experiment here and below, so these sleeps do not wait for an event.
    thread::sleep(Duration::from_secs(options.settle_seconds));
    note_own(&fleet, &plan);
    meet(options, &network, &fleet, &plan.names_of_different())
}

/// Notes the records that a daemon had on its disk at the start, because they are not sent to the observer.
fn note_own(fleet: &Fleet, plan: &Plan) {
    let (nodes, now) = (fleet.robots().len(), Instant::now());
    for (place, side) in &plan.different {
        let of_side = nodes / 2 * side..nodes / 2 * (side + 1);
        of_side.for_each(|node| fleet.sightings().note(node, plan.name(*place), now));
    }
}

/// Starts two swarms that do not hear each other: the first half of the hosts and the second half.
fn start_apart(network: &DelayNetwork, hosts: Vec<Host>, plan: &Plan) -> Result<Fleet> {
    let mut fleet = Fleet::on(hosts)?;
    let (ours, theirs) = fleet.robots().split_at(fleet.robots().len() / 2);
    let others: Vec<_> = theirs.iter().map(|robot| robot.host().address()).collect();
    network.set_groups(|host| u32::from(others.contains(&host)));
    ours.iter().try_for_each(|robot| robot.fill(&plan.of_side(0)))?;
    theirs.iter().try_for_each(|robot| robot.fill(&plan.of_side(1)))?;
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

/// All records, and those that one side lacks.
struct Plan {
    records: Vec<Record>,
    /// The index of each record that only one side has, with the number of that side.
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

    /// Returns the name under which observers note a record.
    fn name(&self, place: usize) -> String {
        item_name(self.records[place].item())
    }
}

/// Chooses the records that only one side has, alternately for both sides.
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

/// Returns one of `number` records, ordered from the oldest to the newest. It is as long as a record that names a file.
fn record(place: u32, number: u32) -> Result<Record> {
    let key = Keypair::from_seed([(place / RECORDS_PER_SIGNER) as u8; 32]);
    let age = OLDEST * u64::from(number - place) / u64::from(number);
    let from = Time(now().0.saturating_sub(age));
    let statement = proposal(experiments()?.as_str(), &format!("record-{place:052}"), from, LIFETIME)?;
    let sequence = u64::from(place % RECORDS_PER_SIGNER) + 1;
    Ok(Record::sign(statement, &key, sequence, End::default()))
}

/// The length of the line of each record of a daemon, by its signature.
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
    /// Returns the figures before the meeting.
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

    /// Returns the bytes on the wire per byte of missing records, each record counted once.
    pub fn ratio(&self) -> f64 {
        self.wire_bytes as f64 / self.missing_bytes.max(1) as f64
    }

    /// Returns the same ratio, with each record counted once per daemon that lacked it.
    pub fn ratio_of_copies(&self) -> f64 {
        self.wire_bytes as f64 / self.missing_copies_bytes.max(1) as f64
    }

    fn rows(&self) -> [(&'static str, Option<f64>); 10] {
        let number = |number: u64| Some(number as f64);
        [
            ("all records on all nodes (s after meeting)", self.all_on_all.map(|time| time.as_secs_f64())),
            ("records that one side lacked", Some(self.missing as f64)),
            ("bytes of these records as lines", number(self.missing_bytes)),
            ("the same, once per daemon that lacked them", number(self.missing_copies_bytes)),
            ("bytes of all records of one side", number(self.whole_bytes)),
            ("bytes on the wire until all records were on all nodes", number(self.wire_bytes)),
            ("bytes on the wire afterwards", number(self.after_bytes)),
            ("wire / missing", Some(self.ratio())),
            ("wire / missing, once per daemon", Some(self.ratio_of_copies())),
            ("missing at the end", Some(self.absent as f64)),
        ]
    }

    /// Prints the figures.
    pub fn print(&self) {
        let rows = self.rows().map(|(what, figure)| (what.to_owned(), vec![figure]));
        print_table(&["merge"], &rows);
    }

    /// Returns the figures by name.
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
