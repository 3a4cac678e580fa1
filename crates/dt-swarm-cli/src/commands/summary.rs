//! `summary`: shows buckets and their items.

use super::Command;
use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::output::Output;
use crate::output::answered::Answered;
use crate::output::fields::{PeerRef, TimeRange, Timestamp};
use crate::output::names::HOSTNAMES;
use crate::pattern;
use crate::tables::table;
use crate::text::{clean, count, duration, until};
use clap::Args;
use dcache::{Pattern, Time, View};
use serde::Serialize;
use std::fmt::Write as _;

/// Maximum number of characters of an item's text that a table shows.
const MAX_DATA_SHOWN: usize = 64;
/// Maximum number of characters of a bucket's path that are shown. A path with a CID and a peer ID fits.
const MAX_BUCKET_SHOWN: usize = 160;
/// Maximum number of signers of an item that a table names.
const MAX_SIGNERS_SHOWN: usize = 3;

/// Shows buckets and their items, with the peers that propose each item, the end of the proposals, and the age of the
/// item.
///
/// Example: `dt-swarm-cli duckie.local summary 'share/*'`
#[derive(Debug, Args)]
pub(crate) struct Summary {
    /// Pattern of the buckets to show, such as share/files, share/* or */info/*; a * also matches slashes.
    #[arg(default_value = "*")]
    pattern: String,
}

/// Buckets and their items.
#[derive(Debug, Serialize)]
pub(crate) struct Buckets {
    #[serde(flatten)]
    answered: Answered,
    /// The buckets that match and are not empty, sorted by path.
    buckets: Vec<Bucket>,
    #[serde(skip)]
    pattern: Pattern,
}

/// A bucket and its items.
#[derive(Debug, Serialize)]
struct Bucket {
    /// The path of the bucket.
    bucket: String,
    /// The items in the bucket.
    items: Vec<Item>,
}

/// An item in its bucket.
#[derive(Debug, Serialize)]
struct Item {
    /// The text of the item.
    data: String,
    /// The peers that propose the item.
    signers: Vec<Signer>,
}

/// A peer that proposes an item.
#[derive(Debug, Serialize)]
struct Signer {
    #[serde(flatten)]
    peer: PeerRef,
    /// The validity of the proposal.
    #[serde(flatten)]
    range: TimeRange,
    /// Seconds since the validity began; `null` when it has no start.
    age_seconds: Option<u64>,
    /// Seconds until the validity ends; `null` when it has no end.
    left_seconds: Option<u64>,
}

impl Command for Summary {
    type Output = Buckets;

    fn run(&self, context: &Context) -> Result<Buckets, CliError> {
        let pattern = pattern::parse(&self.pattern)?;
        let reading = context.read(&[pattern.as_str(), HOSTNAMES])?;
        let views: Vec<View<'_>> = reading.answer.set.matching(&pattern, reading.answer.now).collect();
        let buckets = views.chunk_by(|one, other| one.item.bucket == other.item.bucket);
        let buckets = buckets.map(|views| Bucket::new(views, &reading)).collect();
        Ok(Buckets { answered: Answered::new(&reading.answer, &reading.names), buckets, pattern })
    }
}

impl Bucket {
    /// Describes the bucket of these items.
    ///
    /// # Panics
    /// When `views` is empty.
    fn new(views: &[View<'_>], reading: &Reading) -> Self {
        Self {
            bucket: views[0].item.bucket.as_str().to_owned(),
            items: views.iter().map(|view| Item::new(view, reading)).collect(),
        }
    }
}

impl Item {
    fn new(view: &View<'_>, Reading { answer, names, .. }: &Reading) -> Self {
        let signers = view.proposals.iter().map(|record| Signer {
            peer: names.of(record.signer()),
            range: TimeRange::from(record.validity()),
            age_seconds: record.validity().from().map(|from| answer.now.since(from)),
            left_seconds: record.validity().until().map(|until| until.since(answer.now)),
        });
        Self { data: view.item.data.as_str().to_owned(), signers: signers.collect() }
    }

    fn row(&self, now: Time) -> [String; 4] {
        let signers = &self.signers;
        let mut who: Vec<String> =
            signers.iter().take(MAX_SIGNERS_SHOWN).map(|signer| signer.peer.show()).collect();
        if signers.len() > MAX_SIGNERS_SHOWN {
            who.push(format!("and {} more", signers.len() - MAX_SIGNERS_SHOWN));
        }
        // An item stays until its last proposal ends, and is as old as its first proposal. A missing end counts as the
        // latest of all ends, and a missing start as the earliest of all starts.
        let ends = signers.iter().map(|signer| signer.range.until);
        let end = ends.max_by_key(|end| end.unwrap_or(Timestamp(Time(u64::MAX)))).flatten();
        let start = signers.iter().map(|signer| signer.range.from).min().flatten();
        let age = start.map_or("always".to_owned(), |start| duration(now.since(start.0)));
        let end = until(end.map(|end| end.0), now);
        [clean(&self.data, MAX_DATA_SHOWN), who.join(", "), end, age]
    }
}

impl Output for Buckets {
    /// Returns one table for each bucket.
    fn show(&self) -> String {
        let mut shown = String::new();
        for Bucket { bucket, items } in &self.buckets {
            let bucket = clean(bucket, MAX_BUCKET_SHOWN);
            let mut table = table(&["item", "proposed by", "ends", "age"]);
            for item in items {
                table.add_row(item.row(self.answered.time.0));
            }
            // Writing to a String does not fail.
            let _ = writeln!(shown, "{bucket}: {}\n{}\n", count(items.len(), "item"), table.trim_fmt());
        }
        if self.buckets.is_empty() {
            let pattern = clean(self.pattern.as_str(), 64);
            let _ = writeln!(shown, "No bucket that matches {pattern} has items.\n");
        }
        shown + &self.answered.footer()
    }
}
