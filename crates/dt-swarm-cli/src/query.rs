//! `query`: items with everything that was said about them, and whether it counts.

use crate::ask::Answer;
use crate::names::Names;
use crate::tables;
use crate::text::{clean, count};
use crate::validity::date;
use dcache::{Item, Kind, Pattern, Record, Time, Validity};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The most characters of an item's data and of a bucket's path in a table.
const MAX_SHOWN: (usize, usize) = (64, 160);
/// The most reasons below the tables.
const MAX_REASONS: usize = 8;

/// A word about an item.
struct Word<'a> {
    record: &'a Record,
    /// Why it does not count; `None` when it does.
    reason: Option<String>,
}

/// An item and what is said about it.
struct About<'a> {
    item: &'a Item,
    is_in_bucket: bool,
    words: Vec<Word<'a>>,
}

/// All items in buckets that match of which anything is said that is not over at `at`.
fn about<'a>(answer: &'a Answer, pattern: &Pattern, at: Time) -> Vec<About<'a>> {
    let mut items: BTreeMap<&Item, Vec<&Record>> = BTreeMap::new();
    for record in answer.set.records() {
        if pattern.matches(&record.item().bucket) && !record.validity().is_over(at) {
            items.entry(record.item()).or_default().push(record);
        }
    }
    let about = |(item, records): (&'a Item, Vec<&'a Record>)| About {
        item,
        is_in_bucket: answer.set.item(item, at).is_some(),
        words: records
            .into_iter()
            .map(|record| Word { record, reason: reason(answer, record, at) })
            .collect(),
    };
    items.into_iter().map(about).collect()
}

fn reason(answer: &Answer, record: &Record, at: Time) -> Option<String> {
    if !record.validity().contains(at) {
        return Some("it is about a later time".to_owned());
    }
    let may = answer.set.may(record.kind(), record.item(), record.signer(), at);
    may.err().map(|reason| reason.to_string())
}

/// One table for each bucket.
pub(crate) fn show(answer: &Answer, pattern: &Pattern, at: Time, names: &Names) -> String {
    let all = about(answer, pattern, at);
    let mut shown = String::new();
    let mut reasons = BTreeSet::new();
    for of_bucket in all.chunk_by(|one, other| one.item.bucket == other.item.bucket) {
        let mut table = tables::table(&["item", "there", "says", "who", "for when", "counts"]);
        for about in of_bucket {
            for word in &about.words {
                reasons.extend(word.reason.as_deref());
                table.add_row(row(about, word, names));
            }
        }
        let bucket = clean(of_bucket[0].item.bucket.as_str(), MAX_SHOWN.1);
        // Writing to a String does not fail.
        let _ = writeln!(shown, "{bucket}: {}\n{}\n", count(of_bucket.len(), "item"), table.trim_fmt());
    }
    if all.is_empty() {
        let _ = writeln!(shown, "Nothing is said about buckets that match {}.", clean(pattern.as_str(), 64));
    }
    for reason in reasons.into_iter().take(MAX_REASONS) {
        let _ = writeln!(shown, "Does not count: {}.", clean(reason, 300));
    }
    shown
}

fn row(about: &About<'_>, word: &Word<'_>, names: &Names) -> [String; 6] {
    let yes_or_no = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    [
        clean(about.item.data.as_str(), MAX_SHOWN.0),
        yes_or_no(about.is_in_bucket),
        says(word.record.kind()).to_owned(),
        names.show(word.record.signer()),
        when(word.record.validity()),
        yes_or_no(word.reason.is_none()),
    ]
}

fn says(kind: Kind) -> &'static str {
    match kind {
        Kind::Propose => "proposed",
        Kind::Dismiss => "dismissed",
    }
}

fn when(validity: &Validity) -> String {
    match (validity.from().map(date), validity.until().map(date)) {
        (Some(from), Some(until)) => format!("{from} to {until}"),
        (Some(from), None) => format!("from {from} on"),
        (None, Some(until)) => format!("until {until}"),
        (None, None) => "always".to_owned(),
    }
}

/// The same for programs: nothing shortened, times in seconds.
pub(crate) fn json(answer: &Answer, pattern: &Pattern, at: Time, names: &Names) -> Value {
    let word = |word: &Word<'_>| {
        let record = word.record;
        json!({
            "says": record.kind(),
            "peer": record.signer(),
            "hostname": names.raw(record.signer()),
            "from": record.validity().from(),
            "until": record.validity().until(),
            "counts": word.reason.is_none(),
            "because": word.reason,
        })
    };
    let item = |about: &About<'_>| {
        json!({
            "bucket": about.item.bucket.as_str(),
            "data": about.item.data.as_str(),
            "is_in_bucket": about.is_in_bucket,
            "words": about.words.iter().map(word).collect::<Vec<_>>(),
        })
    };
    json!({ "at": at, "items": about(answer, pattern, at).iter().map(item).collect::<Vec<_>>() })
}
