//! `query`: shows items with all statements about them, and whether each statement counts.

use super::Command;
use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::output::Output;
use crate::output::answered::Answered;
use crate::output::fields::{PeerRef, TimeRange, Timestamp};
use crate::output::names::HOSTNAMES;
use crate::pattern;
use crate::tables::table;
use crate::text::{clean, count, date};
use crate::validity;
use clap::Args;
use dcache::{Kind, Pattern, Record, Time};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Maximum number of characters of an item's text that a table shows.
const MAX_DATA_SHOWN: usize = 64;
/// Maximum number of characters of a bucket's path that are shown.
const MAX_BUCKET_SHOWN: usize = 160;
/// Maximum number of reasons below the tables.
const MAX_REASONS: usize = 8;

/// Shows all statements about items: who signed them, when they are valid, and whether they count.
///
/// Below the tables are the reasons why statements do not count. Example: `dt-swarm-cli localhost query 'share/*'`
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// Pattern of the buckets to show, as in `summary`.
    pattern: String,
    /// Shows the state at this time. For a time in the past, expired records that were dropped since then are missing
    /// [default: now]
    #[arg(long, value_name = "TIME", value_parser = validity::time)]
    at: Option<Time>,
}

/// Items, and the statements about them.
#[derive(Debug, Serialize)]
pub(crate) struct Items {
    #[serde(flatten)]
    answered: Answered,
    /// The items with statements that end after `time`, sorted by bucket and data.
    items: Vec<Item>,
    #[serde(skip)]
    pattern: Pattern,
}

/// An item and the statements about it.
#[derive(Debug, Serialize)]
struct Item {
    /// The path of its bucket.
    bucket: String,
    /// The text of the item.
    data: String,
    /// Whether it is in its bucket at `time`.
    is_in_bucket: bool,
    /// All statements about it.
    statements: Vec<Statement>,
}

/// A statement about an item, by a peer.
#[derive(Debug, Serialize)]
struct Statement {
    /// `propose` or `dismiss`.
    kind: Kind,
    /// The peer that signed it.
    #[serde(flatten)]
    signer: PeerRef,
    #[serde(flatten)]
    range: TimeRange,
    /// Whether it counts at `time`.
    is_counted: bool,
    /// Why it does not count; `null` when it does.
    reason: Option<String>,
}

impl Command for Query {
    type Output = Items;

    fn run(&self, context: &Context) -> Result<Items, CliError> {
        let pattern = pattern::parse(&self.pattern)?;
        let reading = context.read(&[pattern.as_str(), HOSTNAMES])?;
        let at = self.at.unwrap_or(reading.answer.now);
        let answered = Answered { time: Timestamp(at), ..Answered::new(&reading.answer, &reading.names) };
        Ok(Items { answered, items: items(&reading, &pattern, at), pattern })
    }
}

fn items(reading: &Reading, pattern: &Pattern, at: Time) -> Vec<Item> {
    let set = &reading.answer.set;
    let mut items: BTreeMap<&dcache::Item, Vec<&Record>> = BTreeMap::new();
    for record in set.records() {
        if pattern.matches(&record.item().bucket) && !record.validity().is_over(at) {
            items.entry(record.item()).or_default().push(record);
        }
    }
    let item = |(item, records): (&dcache::Item, Vec<&Record>)| Item {
        bucket: item.bucket.as_str().to_owned(),
        data: item.data.as_str().to_owned(),
        is_in_bucket: set.item(item, at).is_some(),
        statements: records.into_iter().map(|record| Statement::new(record, reading, at)).collect(),
    };
    items.into_iter().map(item).collect()
}

impl Statement {
    fn new(record: &Record, Reading { answer, names, .. }: &Reading, at: Time) -> Self {
        let reason = match record.validity().contains(at) {
            false => Some("its validity has not begun yet".to_owned()),
            true => {
                let may = answer.set.may(record.kind(), record.item(), record.signer(), at);
                may.err().map(|reason| reason.to_string())
            }
        };
        Self {
            kind: record.kind(),
            signer: names.of(record.signer()),
            range: TimeRange::from(record.validity()),
            is_counted: reason.is_none(),
            reason,
        }
    }

    fn row(&self, item: &Item) -> [String; 6] {
        let yes_or_no = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
        let kind = match self.kind {
            Kind::Propose => "proposed",
            Kind::Dismiss => "dismissed",
        };
        [
            clean(&item.data, MAX_DATA_SHOWN),
            yes_or_no(item.is_in_bucket),
            kind.to_owned(),
            self.signer.show(),
            when(&self.range),
            yes_or_no(self.is_counted),
        ]
    }
}

fn when(range: &TimeRange) -> String {
    let date = |end: Timestamp| date(end.0);
    match (range.from.map(date), range.until.map(date)) {
        (Some(from), Some(until)) => format!("{from} to {until}"),
        (Some(from), None) => format!("from {from} on"),
        (None, Some(until)) => format!("until {until}"),
        (None, None) => "always".to_owned(),
    }
}

impl Output for Items {
    /// Returns one table for each bucket.
    fn show(&self) -> String {
        let mut shown = String::new();
        let mut reasons = BTreeSet::new();
        for of_bucket in self.items.chunk_by(|one, other| one.bucket == other.bucket) {
            let mut table = table(&["item", "in bucket", "statement", "signer", "valid", "counts"]);
            for item in of_bucket {
                for statement in &item.statements {
                    reasons.extend(statement.reason.as_deref());
                    table.add_row(statement.row(item));
                }
            }
            let bucket = clean(&of_bucket[0].bucket, MAX_BUCKET_SHOWN);
            // Writing to a String does not fail.
            let _ = writeln!(shown, "{bucket}: {}\n{}\n", count(of_bucket.len(), "item"), table.trim_fmt());
        }
        if self.items.is_empty() {
            let pattern = clean(self.pattern.as_str(), 64);
            let _ = writeln!(shown, "There are no statements about buckets that match {pattern}.");
        }
        for reason in reasons.into_iter().take(MAX_REASONS) {
            let _ = writeln!(shown, "Does not count: {}.", clean(reason, 300));
        }
        shown
    }
}
