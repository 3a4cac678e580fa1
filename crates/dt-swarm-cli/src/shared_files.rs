//! The files that are shared in the swarm, as [`logs::index()`] finds them in the records.

use dcache::{Set, Time};
use logs::SharedFile;

/// Lists the files that are known at `now`, by name and CID, those without a name last.
pub(crate) fn list(set: &Set, now: Time) -> Vec<SharedFile> {
    let mut files: Vec<SharedFile> = logs::index(set, now).into_values().collect();
    files.sort_by_cached_key(|file| {
        let name = file.description.as_ref().map(|known| known.filename.clone());
        (name.is_none(), name, file.cid.to_string())
    });
    files
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
        let order: Vec<String> = list(&set, NOW).iter().map(|file| file.cid.to_string()).collect();
        assert_eq!(order, [CIDS[1], CIDS[2], CIDS[0], CIDS[3]]);
    }
}
