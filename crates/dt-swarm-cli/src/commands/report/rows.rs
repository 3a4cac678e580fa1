//! The table of files, in the widest layout that fits.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::file::File;
use crate::output::fields::PeerRef;
use crate::shared_files::cid_end;
use crate::tables::{self, table};
use crate::terminal::{middle, width};
use crate::text::{clean, duration, size};
use dcache::{PeerId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of characters of a file's name.
const MAX_NAME: usize = 300;
/// Maximum number of holders that are named for each file.
const MAX_HOLDERS: usize = 4;
/// Maximum number of columns of an uploader without its ID.
const MAX_UPLOADER: usize = 12;
/// Number of spaces between two columns of a usual table, and of a dense one.
const GAPS: [usize; 2] = [3, 2];

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Name,
    Size,
    Age,
    Uploader,
    /// The uploader, with the end of its peer ID.
    FullUploader,
    State,
    Copies,
    Holders,
    Cid,
    FullCid,
}

/// The columns that are shown, and the space between them.
#[derive(Debug)]
struct Layout {
    columns: &'static [Column],
    /// Minimum width of the names, unless all of them are shorter.
    min_name: usize,
    is_dense: bool,
}

use Column::{Age, Cid, Copies, FullCid, FullUploader, Holders, Name, Size, State, Uploader};

/// Width, in columns, up to which names are whole in all but the narrow layouts: names tell more than IDs.
const WHOLE: usize = 60;

/// The layouts, from the widest to the narrowest.
const LAYOUTS: [Layout; 7] = [
    layout(&[Name, Size, Age, FullUploader, State, Copies, Holders, FullCid], WHOLE, false),
    layout(&[Name, Size, Age, FullUploader, State, Copies, FullCid], WHOLE, false),
    layout(&[Name, Size, Age, FullUploader, State, Copies, Cid], WHOLE, false),
    layout(&[Name, Size, Age, Uploader, State, Copies, Cid], WHOLE, false),
    layout(&[Name, Size, Age, Uploader, State, Copies, Cid], 12, true),
    layout(&[Name, Size, Uploader, State, Copies], 12, true),
    layout(&[Name, Size, State], 8, true),
];

const fn layout(columns: &'static [Column], min_name: usize, is_dense: bool) -> Layout {
    Layout { columns, min_name, is_dense }
}

/// The texts of one file.
struct Row {
    name: String,
    size: String,
    age: String,
    uploader: String,
    full_uploader: String,
    state: &'static str,
    copies: String,
    holders: String,
    cid: String,
    full_cid: String,
}

/// Makes the texts of files.
pub(super) struct Rows<'a> {
    now: Time,
    wanted_copies: usize,
    /// Host names that several uploaders have.
    ambiguous: BTreeSet<&'a str>,
}

impl<'a> Rows<'a> {
    /// Makes the texts at `now`. Names that several uploaders of these files have are shown with the end of the peer ID.
    pub(super) fn new(files: &'a [File], wanted_copies: usize, now: Time) -> Self {
        let mut owners: BTreeMap<&str, PeerId> = BTreeMap::new();
        let uploaders = files.iter().filter_map(|file| file.uploader.as_ref());
        let ambiguous = uploaders.filter_map(|PeerRef { peer, hostname }| {
            let name = hostname.as_deref()?;
            (owners.entry(name).or_insert(*peer) != peer).then_some(name)
        });
        let ambiguous = ambiguous.collect();
        Self { now, wanted_copies, ambiguous }
    }

    /// Returns the table in the widest layout that needs at most `columns`. `None` is no limit.
    pub(super) fn table(&self, files: &[&File], columns: Option<usize>) -> String {
        let rows: Vec<Row> = files.iter().map(|file| self.row(file)).collect();
        let of = |column| rows.iter().map(|row| width(row.text(column))).max().unwrap_or_default();
        let needs = |column: Column| of(column).max(width(column.header()));
        let needs = |layout: &Layout| -> usize {
            let others: usize =
                layout.columns.iter().filter(|column| **column != Name).map(|c| needs(*c)).sum();
            others + GAPS[usize::from(layout.is_dense)] * layout.columns.len() - 1
        };
        let longest = of(Name).max(Name.header().len());
        let fits = |layout: &&Layout| {
            columns.is_none_or(|columns| needs(layout) + longest.min(layout.min_name) <= columns)
        };
        let layout = LAYOUTS.iter().find(fits).unwrap_or(&LAYOUTS[LAYOUTS.len() - 1]);
        let name =
            columns.map_or(longest, |columns| columns.saturating_sub(needs(layout)).max(layout.min_name));
        render(&rows, layout, name)
    }

    fn row(&self, file: &File) -> Row {
        let unknown = || "?".to_owned();
        let known = |text: Option<String>| text.unwrap_or_else(unknown);
        let age = |time: Time| duration(self.now.since(time));
        Row {
            name: known(file.label().map(|name| clean(name, MAX_NAME))),
            size: known(file.file.bytes.map(size)),
            age: known(file.latest().map(age)),
            uploader: known(file.uploader.as_ref().map(|peer| self.uploader(peer) + doubt(file))),
            full_uploader: known(file.uploader.as_ref().map(|peer| peer.show() + doubt(file))),
            state: file.state,
            copies: format!("{} of {}", file.holders.len(), self.wanted_copies),
            holders: holders(&file.holders),
            cid: cid_end(&file.file.cid),
            full_cid: file.file.cid.clone(),
        }
    }

    /// Returns a short text for an uploader: its name, and the end of its ID only if the name alone is not enough.
    fn uploader(&self, peer: &PeerRef) -> String {
        let Some(name) = &peer.hostname else { return peer.show() };
        let shown = clean(name, MAX_NAME);
        match self.ambiguous.contains(name.as_str()) {
            false => middle(&shown, MAX_UPLOADER),
            true => {
                let end = format!("~{}", peer.end());
                middle(&shown, MAX_UPLOADER - end.len()) + &end
            }
        }
    }
}

/// Returns the mark of a file whose uploader did not sign its description.
fn doubt(file: &File) -> &'static str {
    if file.is_signed_by_uploader == Some(false) { " ?" } else { "" }
}

fn holders(holders: &[PeerRef]) -> String {
    let names: Vec<String> = holders.iter().take(MAX_HOLDERS).map(PeerRef::show).collect();
    match holders.len() {
        0 => "nobody".to_owned(),
        1..=MAX_HOLDERS => names.join(", "),
        _ => names.join(", ") + ", …",
    }
}

fn render(rows: &[Row], layout: &Layout, name: usize) -> String {
    let header: Vec<&str> = layout.columns.iter().map(|column| column.header()).collect();
    let mut shown = table(&header);
    for row in rows {
        let cell = |column: &Column| match column {
            Name => middle(&row.name, name),
            _ => row.text(*column).to_owned(),
        };
        shown.add_row(layout.columns.iter().map(cell));
    }
    if layout.is_dense {
        tables::make_dense(&mut shown);
    }
    shown.trim_fmt()
}

impl Column {
    const fn header(self) -> &'static str {
        match self {
            Name => "name",
            Size => "size",
            Age => "age",
            Uploader | FullUploader => "uploader",
            State => "state",
            Copies => "copies",
            Holders => "holders",
            Cid | FullCid => "CID",
        }
    }
}

impl Row {
    fn text(&self, column: Column) -> &str {
        match column {
            Name => &self.name,
            Size => &self.size,
            Age => &self.age,
            Uploader => &self.uploader,
            FullUploader => &self.full_uploader,
            State => self.state,
            Copies => &self.copies,
            Holders => &self.holders,
            Cid => &self.cid,
            FullCid => &self.full_cid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::report::file::fixture::{file, peer};
    use crate::output::fields::Timestamp;
    use proptest::prelude::*;

    const NOW: Time = Time(1_000_000);
    const CID: &str = "bafybeiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa5k7wzha";

    fn log(name: &str, robot: &str) -> File {
        let mut log = file(name);
        (log.file.cid, log.file.bytes) = (CID.into(), Some(70_100_000));
        (log.uploader, log.is_signed_by_uploader) = (Some(peer(1, Some(robot))), Some(true));
        log.modified_time = Some(Timestamp(Time(NOW.0 - 7200)));
        (log.state, log.holders) = ("kept", vec![peer(1, Some(robot)), peer(2, None)]);
        log
    }

    fn shown(files: &[File], columns: Option<usize>) -> String {
        Rows::new(files, 3, NOW).table(&files.iter().collect::<Vec<_>>(), columns)
    }

    #[test]
    fn a_wide_table_has_everything() {
        let text = shown(&[log("run.bag", "duckie7")], None);
        let (header, row) = (text.lines().next().unwrap(), text.lines().last().unwrap());
        let words: Vec<&str> = header.split_whitespace().collect();
        assert_eq!(words, ["name", "size", "age", "uploader", "state", "copies", "holders", "CID"]);
        let id = peer(2, None).show();
        for part in ["run.bag ", " 70.1 MB ", " 2 h ", " duckie7 (…", " kept ", " 2 of 3 ", &id, CID] {
            assert!(row.contains(part), "{part} in {row}");
        }
    }

    #[test]
    fn eighty_columns_have_the_name_and_the_end_of_the_cid() {
        let files =
            [log("2027-01-01_10-30-00_lane_following_duckie7.bag", "duckie7"), log("a.bag", "duckie8")];
        let text = shown(&files, Some(80));
        assert!(text.lines().all(|line| width(line) <= 80), "{text}");
        let row = text.lines().nth(2).unwrap();
        assert!(row.starts_with("2027-01-01_10-30") && row.contains("_duckie7.bag "), "{row}");
        assert!(row.ends_with(&format!(" 2 of 3  {}", cid_end(CID))) && row.contains(" duckie7 "), "{row}");
        let narrow = shown(&files, Some(40));
        assert!(narrow.lines().all(|line| width(line) <= 40), "{narrow}");
        assert!(narrow.contains("MB") && narrow.contains("kept"), "{narrow}");
    }

    #[test]
    fn robots_of_one_name_are_told_apart_by_their_ids() {
        let mut files = [log("a.bag", "entebot208"), log("b.bag", "entebot208"), log("c.bag", "duckie7")];
        files[1].uploader = Some(peer(2, Some("entebot208")));
        files[1].is_signed_by_uploader = Some(false);
        let text = shown(&files, Some(70));
        for number in [1, 2] {
            let end = peer(number, None).end();
            assert!(text.contains(&format!("~{end}")), "{end} in {text}");
        }
        assert!(text.contains(" duckie7 ") && text.matches(" ? ").count() == 1, "{text}");
    }

    #[test]
    fn what_is_not_known_is_a_question_mark() {
        let mut nameless = file("");
        nameless.file.name = None;
        let row = shown(&[nameless], Some(80));
        let words: Vec<&str> = row.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(words, ["?", "?", "?", "?", "shared", "0", "of", "3", "nobody", "bafy"]);
    }

    proptest! {
        #[test]
        fn hostile_texts_never_make_the_table_wider(
            name in any::<String>(), robot in any::<String>(), columns in 60usize..200, bytes in any::<u64>()
        ) {
            let mut file = log(&name, &robot);
            file.file.bytes = Some(bytes);
            let text = shown(&[file], Some(columns));
            prop_assert_eq!(text.lines().count(), 3);
            prop_assert!(text.lines().all(|line| width(line) <= columns), "{}", text);
        }
    }
}
