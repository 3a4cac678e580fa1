//! The files as an HTML page, which a script in the page sorts and filters.
//!
//! The script makes the rows from a document in the page, a few hundred at a time, so that thousands of files need no
//! waiting. Every text of another host is cleaned here, and the script inserts it only as text.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Files;
use super::file::File;
use super::order::{Order, STATES, Sort};
use crate::html::{Page, data_block, escaped};
use crate::output::discarder::Discarder;
use crate::output::fields::PeerRef;
use crate::output::recording::Recording;
use crate::output::uploaded::UploadedCopy;
use crate::text::{clean, count, date, size};
use dcache::PeerId;
use serde::Serialize;
use std::collections::BTreeMap;

/// Maximum number of characters of a file's name.
const MAX_NAME: usize = 300;
/// Maximum number of holders and of discarding peers that are named for each file.
const MAX_PEERS: usize = 20;
/// Maximum number of storages that are named for each file.
const MAX_UPLOADS: usize = 5;

/// The page, but for its body.
pub(super) const PAGE: Page = Page {
    command: "report",
    title: "Shared files",
    style: include_str!("page.css"),
    script: Some(include_str!("page.js")),
};

/// The columns of the table: the word of the option `--sort` if it has one, and the heading.
const COLUMNS: [(Option<Sort>, &str); 9] = [
    (Some(Sort::Name), "Name"),
    (Some(Sort::Size), "Size"),
    (Some(Sort::Changed), "Changed (UTC)"),
    (None, "Content"),
    (Some(Sort::Robot), "Shared by"),
    (Some(Sort::State), "State"),
    (None, "Copies"),
    (None, "Kept by"),
    (None, "CID"),
];

/// The document in the page.
#[derive(Serialize)]
struct Data {
    /// The peers that the rows name by their index.
    peers: Vec<String>,
    /// The states, in the order in which they are sorted.
    states: [&'static str; STATES.len()],
    wanted_copies: usize,
    files: Vec<Row>,
}

/// A file in the page. The times and sizes are there as numbers, which are sorted, and as texts.
#[derive(Serialize)]
struct Row {
    name: Option<String>,
    bytes: Option<u64>,
    size: String,
    time: Option<u64>,
    date: String,
    content: String,
    uploader: Option<usize>,
    /// Whether another peer signed the description.
    is_doubtful: bool,
    /// Index of the state.
    state: usize,
    copies: usize,
    holders: Vec<usize>,
    cid: String,
    /// Sentences about the file.
    remarks: Vec<String>,
}

/// The peers of a page, each once.
#[derive(Default)]
struct Peers {
    indexes: BTreeMap<PeerId, usize>,
    shown: Vec<String>,
}

impl Peers {
    fn index(&mut self, peer: &PeerRef) -> usize {
        *self.indexes.entry(peer.peer).or_insert_with(|| {
            self.shown.push(peer.show());
            self.shown.len() - 1
        })
    }
}

/// Returns the page with the files in this order.
///
/// # Errors
/// When the files have no JSON form.
pub(super) fn page(files: &Files, order: Order) -> serde_json::Result<String> {
    let mut peers = Peers::default();
    let rows = files.files.iter().map(|file| row(file, &mut peers)).collect();
    let data = Data { peers: peers.shown, states: STATES, wanted_copies: files.wanted_copies, files: rows };
    let daemon = escaped(&files.answered.daemon.peer.show());
    let (time, number) = (date(files.answered.time.0), count(files.files.len(), "file"));
    let body = format!(
        "<p>As {daemon} knows it at {time}: {number}.</p>\n\
         <noscript><p>The list needs JavaScript. The page loads nothing.</p></noscript>\n\
         <p><label>Filter <input type=\"search\" id=\"filter\" autocomplete=\"off\"></label> \
         <span id=\"shown\" role=\"status\"></span></p>\n\
         <div class=\"files\"><table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">{}</tr></thead>\n\
         <tbody role=\"rowgroup\" id=\"rows\"></tbody></table></div>\n\
         <p><button type=\"button\" id=\"more\" hidden>Show more</button></p>\n{}",
        headings(order),
        data_block("data", &data)?,
    );
    Ok(PAGE.with_body(&body))
}

/// Returns the headings, which are buttons. The script sorts by them.
fn headings(order: Order) -> String {
    let heading = |(sort, heading): &(Option<Sort>, &str)| {
        let sorted = match (sort == &Some(order.sort), order.is_descending()) {
            (false, _) => "none",
            (true, false) => "ascending",
            (true, true) => "descending",
        };
        format!(
            "\n<th role=\"columnheader\" scope=\"col\" aria-sort=\"{sorted}\"><button type=\"button\">{heading}</button></th>"
        )
    };
    COLUMNS.iter().map(heading).collect()
}

fn row(file: &File, peers: &mut Peers) -> Row {
    let latest = file.latest();
    Row {
        name: file.label().map(|name| clean(name, MAX_NAME)),
        bytes: file.file.bytes,
        size: file.file.bytes.map_or_else(String::new, size),
        time: latest.map(|time| time.0),
        date: latest.map_or_else(String::new, minutes),
        content: file.recording.as_ref().map_or_else(String::new, Recording::show),
        uploader: file.uploader.as_ref().map(|peer| peers.index(peer)),
        is_doubtful: file.is_signed_by_uploader == Some(false),
        state: STATES.iter().position(|state| *state == file.state).unwrap_or_default(),
        copies: file.holders.len(),
        holders: file.holders.iter().take(MAX_PEERS).map(|peer| peers.index(peer)).collect(),
        cid: file.file.cid.clone(),
        remarks: remarks(file),
    }
}

/// Returns a time without its seconds, as `2027-01-01 10:30`.
fn minutes(time: dcache::Time) -> String {
    let date = date(time);
    match date.get(..16) {
        Some(minutes) if date.ends_with('Z') => minutes.replace('T', " "),
        _ => date,
    }
}

/// Returns what a reader should know about a file, one sentence each.
fn remarks(file: &File) -> Vec<String> {
    let recording = file.recording.as_ref();
    let mut remarks = recording.map_or_else(Vec::new, Recording::remarks);
    if let Some(times) = recording.and_then(Recording::times) {
        remarks.insert(0, format!("Recorded from {times}."));
    }
    if !file.discarders.is_empty() {
        let peers: Vec<String> = file.discarders.iter().take(MAX_PEERS).map(Discarder::show).collect();
        remarks.push(format!("Discarded by {}.", peers.join("; ")));
    }
    let uploads = file.uploads.iter().take(MAX_UPLOADS).map(UploadedCopy::show);
    remarks.extend(uploads.map(|upload| format!("Uploaded {upload}.")));
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::report::file::fixture::{discarder, file, peer};
    use crate::commands::report::fixture::files;
    use crate::output::fields::Timestamp;
    use dcache::Time;
    use logs::State;
    use serde_json::Value;

    const NAMED: Order = Order { sort: Sort::Name, is_reversed: false };

    /// Returns the document in the page.
    fn data(page: &str) -> Value {
        let block = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
        serde_json::from_str(block).unwrap()
    }

    #[test]
    fn the_page_has_all_files_and_needs_nothing_else() {
        let mut bag = file("run.bag");
        bag.file.bytes = Some(70_100_000);
        bag.modified_time = Some(Timestamp(Time(1_798_000_000)));
        (bag.uploader, bag.holders) =
            (Some(peer(1, Some("robot1"))), vec![peer(1, Some("robot1")), peer(2, None)]);
        let mut bad = file("bad.bag");
        (bad.state, bad.discarders) = (State::Discarded.name(), vec![discarder(2, Some("<b>empty</b>"))]);
        let page = page(&files(vec![bag, bad]), NAMED).unwrap();
        assert!(page.starts_with(&PAGE.start()));
        for foreign in ["http:", "https:", "src=", "href=", "url(", "@import", "innerHTML", "eval(", "fetch("]
        {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert_eq!(page.matches("<script").count(), 2);
        assert_eq!(page.matches("<th ").count(), COLUMNS.len());
        let data = data(&page);
        let row = &data["files"][0];
        assert_eq!(
            (&row["name"], &row["bytes"], &row["size"]),
            (&"run.bag".into(), &70_100_000.into(), &"70.1 MB".into())
        );
        assert_eq!((&row["time"], &row["date"]), (&1_798_000_000.into(), &"2026-12-23 04:26".into()));
        assert_eq!((&row["uploader"], &row["holders"]), (&0.into(), &serde_json::json!([0, 1])));
        assert!(data["peers"][0].as_str().unwrap().starts_with("robot1 (…"), "{data}");
        let bad = &data["files"][1];
        assert_eq!(data["states"][bad["state"].as_u64().unwrap() as usize], "discarded");
        assert_eq!(bad["remarks"][0], format!("Discarded by {}: <b>empty</b>.", peer(2, None).show()));
        assert_eq!((&bad["bytes"], &bad["date"]), (&Value::Null, &"".into()));
    }

    #[test]
    fn texts_of_other_hosts_cannot_leave_their_place() {
        let hostile = "</script><img src=x onerror=alert(1)><!--<script>\u{1b}\u{202e}\u{2028}'\"&";
        let mut bag = file(hostile);
        bag.uploader = Some(peer(1, Some(hostile)));
        let mut files = files(vec![bag]);
        files.answered.daemon.peer.hostname = Some(hostile.into());
        let page = page(&files, NAMED).unwrap();
        assert_eq!(page.matches("<script").count(), 2, "{page}");
        assert_eq!(page.matches("</script").count(), 2, "{page}");
        assert!(
            !page.contains("<img")
                && !page.contains("<!--<")
                && !page.contains(['\u{1b}', '\u{202e}', '\u{2028}'])
        );
        let shown = data(&page)["files"][0]["name"].as_str().unwrap().to_owned();
        assert!(
            shown.starts_with("</script><img src=x") && shown.contains("\\u{1b}\\u{202e}\\u{2028}"),
            "{shown}"
        );
    }

    #[test]
    fn the_heading_of_the_order_is_marked() {
        let page = |sort, is_reversed| page(&files(Vec::new()), Order { sort, is_reversed }).unwrap();
        let first = |page: &str, sorted: &str| {
            let behind =
                page.split_once(&format!("aria-sort=\"{sorted}\"><button type=\"button\">")).unwrap().1;
            behind.split_once('<').unwrap().0.to_owned()
        };
        assert_eq!(first(&page(Sort::Name, false), "ascending"), "Name");
        assert_eq!(first(&page(Sort::Size, false), "descending"), "Size");
        assert_eq!(first(&page(Sort::Robot, true), "descending"), "Shared by");
        assert_eq!(page(Sort::State, false).matches("aria-sort=\"none\"").count(), COLUMNS.len() - 1);
    }

    #[test]
    fn times_have_minutes() {
        assert_eq!(minutes(Time(0)), "1970-01-01 00:00");
        assert_eq!(minutes(Time(u64::MAX)), format!("@{}", u64::MAX));
    }
}
