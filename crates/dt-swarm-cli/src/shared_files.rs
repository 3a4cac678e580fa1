//! The files that are shared in the swarm. [`logs::index()`] finds them in the records.

use crate::error::CliError;
use crate::output::fields::FileRef;
use crate::text::clean;
use control::Client;
use dcache::{PeerId, Set, Time, buckets};
use ipfs::Cid;
use logs::{
    Answer, Catalogs, Description, FilePath, Logs, Offer, Pages, Request, SharedFile, State, USUAL_COPIES,
};
use std::collections::BTreeMap;

/// Patterns of the buckets that [`list`] reads.
pub(crate) const BUCKETS: [&str; 7] = [
    buckets::CATALOG.pattern(),
    buckets::SHARE_FILES.pattern(),
    buckets::SHARE_INFO.pattern(),
    buckets::SHARE_VERIFIED.pattern(),
    buckets::SHARE_SAFE.pattern(),
    buckets::SHARE_DISCARD.pattern(),
    buckets::SHARE_REASONS.pattern(),
];

/// State of a file of which there are fewer copies than the swarm should have.
pub(crate) const KEPT: &str = "kept";
/// State of a file that is in a storage.
pub(crate) const UPLOADED: &str = "uploaded";

/// Minimum number of characters of a CID that name a file. They are also the number of characters that tables show. The
/// end of a CID has 37 random bits, its beginning is the same for all files.
const CID_PART: usize = 8;
/// Maximum number of characters of a path that an error names.
const MAX_PATH_SHOWN: usize = 200;
/// Character in place of the rest of a CID.
const ELLIPSIS: char = '…';

/// Returns the end of a CID, as tables show it. It names the file on the command line.
pub(crate) fn cid_end(cid: &str) -> String {
    let begin = cid.len().saturating_sub(CID_PART);
    format!("{ELLIPSIS}{}", cid.get(begin..).unwrap_or(cid))
}

/// Returns the number of copies of each file that the daemon wants in the swarm.
pub(crate) fn wanted_copies(set: &Set, daemon: PeerId, now: Time) -> usize {
    Offer::of(set, daemon, now).map_or(USUAL_COPIES, |offer| offer.copies.max(1))
}

/// Returns the state of a file, for people and programs.
pub(crate) fn state(file: &SharedFile, wanted_copies: usize, is_uploaded: bool) -> &'static str {
    match file.state {
        State::Discarded => State::Discarded.name(),
        _ if is_uploaded => UPLOADED,
        State::Safe if file.holders.len() < wanted_copies => KEPT,
        state => state.name(),
    }
}

/// Returns whether a record names a catalogue.
pub(crate) fn has_catalogs(set: &Set, now: Time) -> bool {
    set.matching(&buckets::CATALOG.matcher(), now).next().is_some()
}

/// Asks a daemon for the catalogues that it has read.
pub(crate) fn catalogs(client: &mut Client) -> Result<Catalogs, CliError> {
    let (mut pages, mut after) = (Pages::default(), None);
    loop {
        let page = match client.call::<Logs>(&Request::Catalog { after: after.take() }) {
            Ok(Answer::Catalog(page)) => page,
            Ok(other) => return Err(client.unexpected(&other).into()),
            // An earlier version of the daemon does not know the question, and reads no catalogues.
            Err(_) => return Ok(Catalogs::default()),
        };
        after = pages.add(page);
        if after.is_none() {
            return Ok(pages.finish());
        }
    }
}

/// Lists the files that are known at `now`, sorted by name and CID. Files without a name are last.
pub(crate) fn list(set: &Set, catalogs: &Catalogs, now: Time) -> Vec<SharedFile> {
    let mut files: Vec<SharedFile> = logs::index_with(set, catalogs, now).into_values().collect();
    files.sort_by_cached_key(|file| {
        let name = file.description.as_ref().map(|known| known.filename.clone());
        (name.is_none(), name, file.cid.to_string())
    });
    files
}

/// Finds the one file that has this name or CID. If the file has several versions, finds the version that its uploader
/// holds, or else the newest version. Discarded files are considered only when no other file has the name.
pub(crate) fn find<'a>(files: &'a [SharedFile], name: &str) -> Result<&'a SharedFile, CliError> {
    let named = named(files, name);
    the_one(newest(preferred(named, |file| file.state != State::Discarded)), name)
}

/// Finds the one discarded file that has this name or CID. Without such a file, finds one as [`find`] does.
pub(crate) fn find_discarded<'a>(files: &'a [SharedFile], name: &str) -> Result<&'a SharedFile, CliError> {
    let is_discarded = |file: &SharedFile| file.state == State::Discarded;
    let discarded: Vec<&SharedFile> =
        named(files, name).into_iter().filter(|file| is_discarded(file)).collect();
    // If several discarded files have the name, the newest is not chosen: a user discarded each of them, and may mean
    // any.
    if discarded.is_empty() { find(files, name) } else { the_one(discarded, name) }
}

/// Returns the file with this CID. Without one, returns the files with this name, or whose path below the shared folder
/// ends with it, and those whose CID begins or ends with it. A robot chooses the names of its files, so a name that is
/// also a part of the CID of another file has to be ambiguous.
fn named<'a>(files: &'a [SharedFile], name: &str) -> Vec<&'a SharedFile> {
    let part = CidPart::new(name);
    let (mut named, mut of_cid) = (Vec::new(), Vec::new());
    for file in files {
        let cid = file.cid.to_string();
        if cid == name {
            return vec![file];
        }
        let is_named = file.description.as_ref().is_some_and(|known| is_named(known, name));
        if part.as_ref().is_some_and(|part| part.is_of(&cid)) {
            of_cid.push(file);
        } else if is_named {
            named.push(file);
        }
    }
    named.extend(of_cid);
    named
}

/// A part of a CID on the command line: its beginning or its end, such as `bafybeib…` or `…k5wz3zha`.
struct CidPart<'a> {
    text: &'a str,
    may_begin: bool,
    may_end: bool,
}

impl<'a> CidPart<'a> {
    /// Reads a part; `None` if the text is too short, or has characters that are in no CID.
    fn new(text: &'a str) -> Option<Self> {
        let (end, begin) = (text.strip_prefix(ELLIPSIS), text.strip_suffix(ELLIPSIS));
        let part = end.or(begin).unwrap_or(text);
        let is_part = part.len() >= CID_PART && part.chars().all(|c| c.is_ascii_alphanumeric());
        is_part.then_some(Self { text: part, may_begin: end.is_none(), may_end: begin.is_none() })
    }

    fn is_of(&self, cid: &str) -> bool {
        self.may_begin && cid.starts_with(self.text) || self.may_end && cid.ends_with(self.text)
    }
}

/// Returns whether a name is that of a file, or the end of its path.
fn is_named(known: &Description, name: &str) -> bool {
    let path = known.path.as_ref().map_or(known.filename.as_str(), FilePath::as_str);
    let before = path.strip_suffix(name).filter(|_| !name.is_empty());
    before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// Returns the files for which `fits` is true. If there are none, returns all files.
fn preferred(files: Vec<&SharedFile>, fits: impl Fn(&SharedFile) -> bool) -> Vec<&SharedFile> {
    let chosen: Vec<_> = files.iter().copied().filter(|file| fits(file)).collect();
    if chosen.is_empty() { files } else { chosen }
}

fn the_one<'a>(found: Vec<&'a SharedFile>, name: &str) -> Result<&'a SharedFile, CliError> {
    match found[..] {
        [] => Err(CliError::NoSuchFile(name.to_owned())),
        [one] => Ok(one),
        [..] => {
            let path = |file: &SharedFile| Some(file.description.as_ref()?.path.as_ref()?.to_string());
            let label = |file: &&SharedFile| match path(file) {
                Some(path) => format!("{} ({})", clean(&path, MAX_PATH_SHOWN), file.cid),
                None => file.cid.to_string(),
            };
            let files: Vec<String> = found.iter().map(label).collect();
            Err(CliError::Ambiguous { name: name.to_owned(), cids: files.join(", ") })
        }
    }
}

/// Returns the files that this peer shared and that are not discarded.
///
/// Other peers cannot attribute a file to this peer. The peer itself signed the description or proposed the file, or a
/// peer with a role checked the file and signed the description.
pub(crate) fn of(files: &[SharedFile], peer: PeerId) -> impl Iterator<Item = &SharedFile> {
    files.iter().filter(move |file| {
        let is_described = file.description.as_ref().is_some_and(|known| known.uploader == peer);
        let is_certain = file.is_described_by_uploader || file.is_described_by_role;
        let is_its = is_described && is_certain || file.proposers.contains_key(&peer);
        is_its && file.state != State::Discarded
    })
}

/// Describes a file for the output of a command.
pub(crate) fn reference(file: &SharedFile) -> FileRef {
    let known = file.description.as_ref();
    FileRef {
        cid: file.cid.to_string(),
        name: known.map(|known| known.filename.clone()),
        bytes: known.map(|known| known.size),
    }
}

/// Removes older versions of files from the list.
///
/// Files that one uploader signed under one path are versions of each other. All versions that the uploader holds stay.
/// An uploader holds only the newest version of each path, so these versions are different files with the same name. If
/// the uploader holds none, only the newest version stays.
fn newest(files: Vec<&SharedFile>) -> Vec<&SharedFile> {
    let version = |file: &SharedFile| {
        let known = file.description.as_ref().filter(|_| file.is_described_by_uploader)?;
        let is_held = [&file.holders, &file.proposers].iter().any(|all| all.contains_key(&known.uploader));
        let path = known.path.as_ref().map_or(known.filename.clone(), FilePath::to_string);
        Some(((known.uploader, path), (is_held, known.changed, file.cid)))
    };
    let mut newest: BTreeMap<(PeerId, String), (bool, Time, Cid)> = BTreeMap::new();
    for (name, age) in files.iter().filter_map(|file| version(file)) {
        let before = newest.entry(name).or_insert(age);
        *before = age.max(*before);
    }
    let is_meant = |file: &&SharedFile| {
        version(file).is_none_or(|(name, age @ (is_held, ..))| is_held || newest.get(&name) == Some(&age))
    };
    files.into_iter().filter(is_meant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Item, Keypair, Kind, Record, Statement, Validity};
    use logs::buckets::{self, Station};

    const NOW: Time = Time(1000);
    const CIDS: [&str; 4] = [
        "bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "bafkreibbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbba",
        "bafkreiccccccccccccccccccccccccccccccccccccccccccccccccccca",
        "bafkreidddddddddddddddddddddddddddddddddddddddddddddddddddi",
    ];

    fn propose(set: &mut Set, item: Item) {
        let key = Keypair::from_seed([1; 32]);
        let sequence = set.latest_sequence(key.peer_id()) + 1;
        let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(900), 200)).unwrap();
        set.admit_verified(Record::sign(statement, &key, sequence, dcache::End::default()), NOW).unwrap();
    }

    #[test]
    fn files_are_sorted_by_name_then_cid_and_nameless_ones_are_last() {
        let mut set = Set::default();
        let names = [Some("b"), Some("a"), Some("a"), None];
        for (cid, name) in CIDS.iter().zip(names) {
            let cid = buckets::parse(cid).unwrap_or_else(|| panic!("{cid}"));
            propose(&mut set, Station::Files.item(&cid));
            if let Some(name) = name {
                // The third file belongs to another robot, so that two different files have the same name.
                let seed = if cid.to_string() == CIDS[2] { 3 } else { 1 };
                let uploader = Keypair::from_seed([seed; 32]).peer_id();
                let description = Description {
                    filename: name.into(),
                    path: None,
                    size: 7,
                    changed: NOW,
                    uploader,
                    recording: None,
                };
                propose(&mut set, Item { bucket: buckets::info(&cid), data: description.to_data().unwrap() });
            }
        }
        let mut rubbish = Station::Files.item(&buckets::parse(CIDS[0]).unwrap());
        rubbish.data = Data::new("cid\u{1b}[2J").unwrap();
        propose(&mut set, rubbish);
        assert_eq!(find(&list(&set, &Catalogs::default(), NOW), "b").unwrap().cid.to_string(), CIDS[0]);
        assert_eq!(find(&list(&set, &Catalogs::default(), NOW), CIDS[3]).unwrap().description, None);
        assert!(matches!(find(&list(&set, &Catalogs::default(), NOW), "a"), Err(CliError::Ambiguous { .. })));
        assert!(matches!(find(&list(&set, &Catalogs::default(), NOW), "c"), Err(CliError::NoSuchFile(_))));
        let [uploader, other] = [1, 2].map(|seed| Keypair::from_seed([seed; 32]).peer_id());
        let number = |peer| super::of(&list(&set, &Catalogs::default(), NOW), peer).count();
        assert_eq!((number(uploader), number(other)), (4, 0));
        let order: Vec<String> =
            list(&set, &Catalogs::default(), NOW).iter().map(|file| file.cid.to_string()).collect();
        assert_eq!(order, [CIDS[1], CIDS[2], CIDS[0], CIDS[3]]);
    }

    /// Makes a version of `run.mcap` that no peer holds.
    fn of(cid: &str, seed: u8, changed: u64, is_signed: bool) -> SharedFile {
        let (mut set, cid) = (Set::default(), buckets::parse(cid).unwrap());
        propose(&mut set, Station::Files.item(&cid));
        let uploader = Keypair::from_seed([seed; 32]).peer_id();
        let description = Description {
            filename: "run.mcap".into(),
            path: None,
            recording: None,
            size: 7,
            changed: Time(changed),
            uploader,
        };
        let mut file = list(&set, &Catalogs::default(), NOW).remove(0);
        (file.description, file.is_described_by_uploader) = (Some(description), is_signed);
        file.proposers.clear();
        file
    }

    /// The CIDs of the files that were found.
    fn meant(found: Result<&SharedFile, CliError>) -> String {
        match found {
            Ok(file) => file.cid.to_string(),
            Err(CliError::Ambiguous { cids, .. }) => cids,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn versions_that_the_uploader_holds_are_separate_files_and_precede_newer_ones() {
        let mut files = [of(CIDS[0], 1, 5, true), of(CIDS[1], 1, 9, true), of(CIDS[2], 1, 7, true)];
        let uploader = Keypair::from_seed([1; 32]).peer_id();
        let held = logs::Signers::from([(uploader, None)]);
        assert_eq!(meant(find(&files, "run.mcap")), CIDS[1], "no peer holds any of the versions");
        files[0].holders.clone_from(&held);
        assert_eq!(meant(find(&files, "run.mcap")), CIDS[0], "the uploader deleted the newer ones");
        files[2].proposers = held;
        assert_eq!(meant(find(&files, "run.mcap")), [CIDS[0], CIDS[2]].join(", "));
        assert_eq!(meant(find(&files, CIDS[2])), CIDS[2]);
    }

    #[test]
    fn a_file_is_found_by_the_end_of_its_path() {
        let mut files = [of(CIDS[0], 1, 5, true), of(CIDS[1], 1, 9, true)];
        for (file, path) in files.iter_mut().zip(["one/run.mcap", "deep/two/run.mcap"]) {
            file.description.as_mut().unwrap().path = Some(path.parse().unwrap());
        }
        assert_eq!(meant(find(&files, "one/run.mcap")), CIDS[0]);
        assert_eq!(meant(find(&files, "two/run.mcap")), CIDS[1]);
        let both = format!("one/run.mcap ({}), deep/two/run.mcap ({})", CIDS[0], CIDS[1]);
        assert_eq!(meant(find(&files, "run.mcap")), both, "they are no versions");
        for name in ["o/run.mcap", "/one/run.mcap", "mcap", ""] {
            assert!(matches!(find(&files, name), Err(CliError::NoSuchFile(_))), "{name}");
        }
    }

    #[test]
    fn a_file_is_found_by_a_part_of_its_cid_that_no_other_file_has() {
        let mut files = [of(CIDS[0], 1, 5, true), of(CIDS[1], 2, 9, true)];
        files[0].description.as_mut().unwrap().filename = "one.bag".into();
        for part in
            [cid_end(CIDS[1]), CIDS[1][51..].into(), CIDS[1][..9].into(), format!("{}…", &CIDS[1][..9])]
        {
            assert_eq!(meant(find(&files, &part)), CIDS[1], "{part}");
        }
        assert_eq!(meant(find(&files, "bafkreiaaaaa…")), CIDS[0]);
        for part in ["bbbbbba", "…bbbbbba", "…", "bbbbbb…", "…bafkreib", "bbbbbbba…", "bbb/bbbba"] {
            assert!(matches!(find(&files, part), Err(CliError::NoSuchFile(_))), "{part}");
        }
        let all = [of(CIDS[0], 1, 5, false), of(CIDS[1], 2, 9, false), of(CIDS[2], 3, 9, false)];
        assert_eq!(meant(find(&all, "bafkreic")), CIDS[2]);
        // The name of one file is a part of the CID of another one.
        files[0].description.as_mut().unwrap().filename = "bbbbbbba".into();
        assert_eq!(meant(find(&files, "bbbbbbba")), [CIDS[0], CIDS[1]].join(", "));
        assert_eq!(meant(find(&files, CIDS[1])), CIDS[1]);
    }

    #[test]
    fn only_undiscard_prefers_discarded_files() {
        let mut files = [of(CIDS[0], 1, 5, true), of(CIDS[1], 1, 9, true), of(CIDS[2], 1, 2, true)];
        files[1].state = State::Discarded;
        assert_eq!(meant(find(&files, "run.mcap")), CIDS[0]);
        assert_eq!(meant(find_discarded(&files, "run.mcap")), CIDS[1]);
        files[2].state = State::Discarded;
        assert_eq!(meant(find_discarded(&files, "run.mcap")), [CIDS[1], CIDS[2]].join(", "));
        files.iter_mut().for_each(|file| file.state = State::Discarded);
        assert_eq!(meant(find(&files, "run.mcap")), CIDS[1], "if all are discarded, the newest is found");
        files.iter_mut().for_each(|file| file.state = State::Safe);
        assert_eq!(
            meant(find_discarded(&files, "run.mcap")),
            CIDS[1],
            "if none is discarded, the result equals that of `find`"
        );
    }

    #[test]
    fn the_newest_of_several_versions_by_one_uploader_is_found() {
        let files = [
            of(CIDS[0], 1, 5, true),
            of(CIDS[1], 1, 9, true),
            of(CIDS[2], 2, 7, true),
            of(CIDS[3], 1, 99, false),
        ];
        let cids = |files: Vec<&SharedFile>| -> Vec<String> {
            newest(files).iter().map(|file| file.cid.to_string()).collect()
        };
        assert_eq!(
            cids(files.iter().collect()),
            [CIDS[1], CIDS[2], CIDS[3]],
            "a file of another robot is not a version of this file"
        );
        assert_eq!(cids(files[..2].iter().collect()), [CIDS[1]]);
    }
}
