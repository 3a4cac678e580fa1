//! `report`: the shared files, as [`logs::index()`] finds them in the records.

use crate::ask::Answer;
use crate::names::Names;
use crate::text::{clean, count, size};
use crate::{summary, tables};
use dcache::{PeerId, Set, Time};
use logs::SharedFile;
use serde_json::{Value, json};

/// The most characters of a file's name in a table.
const MAX_NAME_SHOWN: usize = 48;
/// The most holders that a table names.
const MAX_HOLDERS_SHOWN: usize = 4;

/// The files that are known at `now`, by name and CID, those without a name last.
pub(crate) fn files(set: &Set, now: Time) -> Vec<SharedFile> {
    let mut files: Vec<SharedFile> = logs::index(set, now).into_values().collect();
    files.sort_by_cached_key(|file| {
        let name = file.description.as_ref().map(|known| known.filename.clone());
        (name.is_none(), name, file.cid.to_string())
    });
    files
}

/// A table for people.
pub(crate) fn show(answer: &Answer, names: &Names) -> String {
    let files = files(&answer.set, answer.now);
    let mut table = tables::table(&["name", "size", "uploader", "state", "holders", "CID"]);
    for file in &files {
        table.add_row(row(file, names));
    }
    let shown = match files.is_empty() {
        true => "No files are shared. Put one into the shared folder of any host of the swarm.".to_owned(),
        false => format!("{}\n\n{}", table.trim_fmt(), count(files.len(), "file")),
    };
    format!("{shown}\n{}", summary::footer(answer))
}

/// The same for programs.
pub(crate) fn json(answer: &Answer, names: &Names) -> Value {
    let files = files(&answer.set, answer.now);
    let files: Vec<Value> = files.iter().map(|file| file_json(file, names)).collect();
    json!({ "daemon": summary::about(answer), "files": files })
}

fn row(file: &SharedFile, names: &Names) -> [String; 6] {
    let unknown = || "?".to_owned();
    let known = file.description.as_ref();
    let uploader = known.map(|known| {
        let doubt = if file.is_described_by_uploader { "" } else { " ?" };
        names.show(known.uploader) + doubt
    });
    [
        known.map_or_else(unknown, |known| clean(&known.filename, MAX_NAME_SHOWN)),
        known.map_or_else(unknown, |known| size(known.size)),
        uploader.unwrap_or_else(unknown),
        file.state.name().to_owned(),
        holders(file, names),
        file.cid.to_string(),
    ]
}

fn holders(file: &SharedFile, names: &Names) -> String {
    let shown = file.holders.keys().take(MAX_HOLDERS_SHOWN);
    let list: Vec<String> = shown.map(|peer| names.show(*peer)).collect();
    match file.holders.len() {
        0 => "nobody".to_owned(),
        number @ 0..=MAX_HOLDERS_SHOWN => format!("{number}: {}", list.join(", ")),
        number => format!("{number}: {}, …", list.join(", ")),
    }
}

fn file_json(file: &SharedFile, names: &Names) -> Value {
    let known = file.description.as_ref();
    let holder = |peer: &PeerId| json!({ "peer": peer, "hostname": names.raw(*peer) });
    json!({
        "cid": file.cid.to_string(),
        "name": known.map(|known| &known.filename),
        "size": known.map(|known| known.size),
        "changed": known.map(|known| known.changed),
        "uploader": known.map(|known| known.uploader),
        "uploader_hostname": known.and_then(|known| names.raw(known.uploader)),
        "signed_by_uploader": known.map(|_| file.is_described_by_uploader),
        "state": file.state.name(),
        "holders": file.holders.keys().map(holder).collect::<Vec<_>>(),
    })
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
        let order: Vec<String> = files(&set, NOW).iter().map(|file| file.cid.to_string()).collect();
        assert_eq!(order, [CIDS[1], CIDS[2], CIDS[0], CIDS[3]]);
    }
}
