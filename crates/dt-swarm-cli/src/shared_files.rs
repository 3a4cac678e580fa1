//! The files that are shared in the swarm, as [`logs::index()`] finds them in the records.

use crate::error::CliError;
use crate::output::fields::FileRef;
use dcache::{PeerId, Set, Time};
use logs::{SharedFile, State};

/// Lists the files that are known at `now`, by name and CID, those without a name last.
pub(crate) fn list(set: &Set, now: Time) -> Vec<SharedFile> {
    let mut files: Vec<SharedFile> = logs::index(set, now).into_values().collect();
    files.sort_by_cached_key(|file| {
        let name = file.description.as_ref().map(|known| known.filename.clone());
        (name.is_none(), name, file.cid.to_string())
    });
    files
}

/// Finds the one file that has this name or CID.
pub(crate) fn find<'a>(files: &'a [SharedFile], name: &str) -> Result<&'a SharedFile, CliError> {
    let is_it = |file: &&SharedFile| {
        file.cid.to_string() == name || file.description.as_ref().is_some_and(|known| known.filename == name)
    };
    let found: Vec<&SharedFile> = files.iter().filter(is_it).collect();
    match found[..] {
        [] => Err(CliError::NoSuchFile(name.to_owned())),
        [one] => Ok(one),
        [..] => {
            let cids: Vec<String> = found.iter().map(|file| file.cid.to_string()).collect();
            Err(CliError::Ambiguous { name: name.to_owned(), cids: cids.join(", ") })
        }
    }
}

/// Returns the files that a peer shared and that are not discarded. Others cannot put a file to its account: the peer signed
/// the description or the declaration.
pub(crate) fn of(files: &[SharedFile], peer: PeerId) -> impl Iterator<Item = &SharedFile> {
    files.iter().filter(move |file| {
        let is_described = file.description.as_ref().is_some_and(|known| known.uploader == peer);
        let is_its = is_described && file.is_described_by_uploader || file.proposers.contains_key(&peer);
        is_its && file.state != State::Discarded
    })
}

/// Returns a file as documents name it.
pub(crate) fn reference(file: &SharedFile) -> FileRef {
    let known = file.description.as_ref();
    FileRef {
        cid: file.cid.to_string(),
        name: known.map(|known| known.filename.clone()),
        bytes: known.map(|known| known.size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Item, Keypair, Kind, Record, Statement, Validity};
    use logs::Description;
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
    fn sorted_by_name_then_cid_the_nameless_last() {
        let mut set = Set::default();
        let names = [Some("b"), Some("a"), Some("a"), None];
        for (cid, name) in CIDS.iter().zip(names) {
            let cid = buckets::parse(cid).unwrap_or_else(|| panic!("{cid}"));
            propose(&mut set, Station::Files.item(&cid));
            if let Some(name) = name {
                let uploader = Keypair::from_seed([1; 32]).peer_id();
                let description = Description { filename: name.into(), size: 7, changed: NOW, uploader };
                propose(&mut set, Item { bucket: buckets::info(&cid), data: description.to_data().unwrap() });
            }
        }
        let mut rubbish = Station::Files.item(&buckets::parse(CIDS[0]).unwrap());
        rubbish.data = Data::new("cid\u{1b}[2J").unwrap();
        propose(&mut set, rubbish);
        assert_eq!(find(&list(&set, NOW), "b").unwrap().cid.to_string(), CIDS[0]);
        assert_eq!(find(&list(&set, NOW), CIDS[3]).unwrap().description, None);
        assert!(matches!(find(&list(&set, NOW), "a"), Err(CliError::Ambiguous { .. })));
        assert!(matches!(find(&list(&set, NOW), "c"), Err(CliError::NoSuchFile(_))));
        let [uploader, other] = [1, 2].map(|seed| Keypair::from_seed([seed; 32]).peer_id());
        assert_eq!((of(&list(&set, NOW), uploader).count(), of(&list(&set, NOW), other).count()), (4, 0));
        let order: Vec<String> = list(&set, NOW).iter().map(|file| file.cid.to_string()).collect();
        assert_eq!(order, [CIDS[1], CIDS[2], CIDS[0], CIDS[3]]);
    }
}
