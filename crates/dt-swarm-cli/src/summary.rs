//! Buckets and their items, for people and for programs.

use crate::ask::Answer;
use crate::names::Names;
use crate::tables;
use crate::text::{clean, count, duration, until};
use dcache::{Pattern, Record, Time, View};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The most characters of an item's data in a table.
const MAX_DATA_SHOWN: usize = 64;
/// The most characters of a bucket's path: room for one with a CID and a peer ID.
const MAX_BUCKET_SHOWN: usize = 160;
/// The most signers of an item that a table names.
const MAX_WHO_SHOWN: usize = 3;

/// The pattern as a person may write it: a path without its leading slash is meant with it.
pub(crate) fn pattern(text: &str) -> String {
    match text.starts_with(['/', '*', '[', '{', '?']) {
        true => text.to_owned(),
        false => format!("/{text}"),
    }
}

/// One table for each bucket that matches.
pub(crate) fn show(answer: &Answer, pattern: &Pattern, names: &Names) -> String {
    let mut shown = String::new();
    let views: Vec<View<'_>> = answer.set.matching(pattern, answer.now).collect();
    for of_bucket in views.chunk_by(|one, other| one.item.bucket == other.item.bucket) {
        let bucket = clean(of_bucket[0].item.bucket.as_str(), MAX_BUCKET_SHOWN);
        let mut table = tables::table(&["item", "who", "until", "since"]);
        for view in of_bucket {
            table.add_row(row(view, names, answer.now));
        }
        let items = count(of_bucket.len(), "item");
        // Writing to a String does not fail.
        let _ = writeln!(shown, "{bucket}: {items}\n{}\n", table.trim_fmt());
    }
    if views.is_empty() {
        let _ = writeln!(shown, "No bucket that matches {} has an item.\n", clean(pattern.as_str(), 64));
    }
    shown + &footer(answer)
}

fn row(view: &View<'_>, names: &Names, now: Time) -> [String; 4] {
    let proposals = &view.proposals;
    let mut who: Vec<String> =
        proposals.iter().take(MAX_WHO_SHOWN).map(|record| names.show(record.signer())).collect();
    if proposals.len() > MAX_WHO_SHOWN {
        who.push(format!("and {} more", proposals.len() - MAX_WHO_SHOWN));
    }
    // An item stays as long as anybody says so, and is as old as the first that says so. No end is the latest of ends,
    // and no start the first of starts.
    let ends = proposals.iter().map(|record| record.validity().until());
    let end = ends.max_by_key(|end| end.unwrap_or(Time(u64::MAX))).flatten();
    let starts = proposals.iter().map(|record| record.validity().from());
    let age = starts.min().flatten().map_or("always".to_owned(), |start| duration(now.since(start)));
    [clean(view.item.data.as_str(), MAX_DATA_SHOWN), who.join(", "), until(end, now), age]
}

/// How much it was, and what was refused, by the daemon and here.
pub(crate) fn footer(answer: &Answer) -> String {
    let mut shown = format!("{} read", count(answer.set.len(), "record"));
    if let Some(status) = &answer.pong.status {
        let _ = write!(shown, ", {} held by the daemon", status.records);
    }
    shown.push_str(".\n");
    for (name, number) in refused_there(answer) {
        let what = telemetry::metrics::find(name).map_or(name, |metric| metric.help.trim_end_matches('.'));
        let _ = writeln!(shown, "The daemon counts: {}: {number}.", clean(what, 120));
    }
    for (reason, number) in &answer.refused {
        let _ = writeln!(shown, "Left out here: {number}, because: {reason}.");
    }
    shown
}

/// Those of the daemon's counters that tell of something refused.
fn refused_there(answer: &Answer) -> impl Iterator<Item = (&str, u64)> {
    let counters = answer.pong.status.iter().flat_map(|status| &status.counters);
    counters
        .filter(|(name, number)| **number > 0 && is_refusal(name))
        .map(|(name, number)| (name.as_str(), *number))
}

/// Whether a metric counts something that was refused, or that followed from it.
fn is_refusal(name: &str) -> bool {
    name.contains(".refused.") || name == telemetry::metrics::BRAIN_LINKS_CLOSED_MISBEHAVIOUR.name
}

/// What the footer says, for programs.
pub(crate) fn about(answer: &Answer) -> Value {
    json!({
        "peer": answer.pong.peer,
        "time": answer.now,
        "clock_ahead_seconds": answer.pong.clock_ahead(),
        "records_read": answer.set.len(),
        "records_held": answer.pong.status.as_ref().map(|status| status.records),
        "refused_by_daemon": refused_there(answer).collect::<std::collections::BTreeMap<_, _>>(),
        "refused_here": answer.refused,
    })
}

/// The same for programs: nothing shortened, times in seconds.
pub(crate) fn json(answer: &Answer, pattern: &Pattern, names: &Names) -> Value {
    let views: Vec<View<'_>> = answer.set.matching(pattern, answer.now).collect();
    let buckets: Vec<Value> = views
        .chunk_by(|one, other| one.item.bucket == other.item.bucket)
        .map(|of_bucket| {
            let items: Vec<Value> = of_bucket.iter().map(|view| item(view, names, answer.now)).collect();
            json!({ "bucket": of_bucket[0].item.bucket.as_str(), "items": items })
        })
        .collect();
    json!({ "daemon": about(answer), "buckets": buckets })
}

fn item(view: &View<'_>, names: &Names, now: Time) -> Value {
    let word = |record: &&Record| {
        let (from, end) = (record.validity().from(), record.validity().until());
        json!({
            "peer": record.signer(),
            "hostname": names.raw(record.signer()),
            "from": from,
            "until": end,
            "seconds_since": from.map(|from| now.since(from)),
            "seconds_left": end.map(|end| end.since(now)),
        })
    };
    json!({ "data": view.item.data.as_str(), "who": view.proposals.iter().map(word).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_slash_may_be_left_out() {
        for (written, meant) in
            [("share/files", "/share/files"), ("/share/*", "/share/*"), ("*", "*"), ("*/info/*", "*/info/*")]
        {
            assert_eq!(pattern(written), meant);
        }
    }
}
