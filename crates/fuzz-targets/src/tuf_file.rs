//! Target: metadata of a release repository, which mirrors send.

use dcache::Time;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use tuf::edit::{KeySet, Repository, SecretKey, Signer as _, TopRole};
use tuf::{Now, Refresh, Row, Saved};

/// Files of a repository, by their names.
type Files = BTreeMap<String, Vec<u8>>;

/// Checks that the editor writes each file as it was parsed. Then offers the input as each file that a client requests, and
/// as each row of its store. The client must refuse it, unless its signatures are those of the seed.
pub fn check(bytes: &[u8]) {
    tuf::edit::reread_document(bytes);
    let files = files();
    for replaced in files.keys().map(String::as_str).chain(["2.root.json"]) {
        let Some(accepted) =
            refresh(Saved::new(), |name| if name == replaced { Some(bytes) } else { get(name) })
        else {
            continue;
        };
        let is_same = |file: &[u8]| signed(file) == signed(bytes);
        // The client is set up with the first root, and requests no other file with that name.
        assert!(replaced == "1.root.json" || files.values().any(|file| is_same(file)), "{accepted:?}");
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let rows = [Row::Root(2), Row::Timestamp, Row::Snapshot, Row::SnapshotTimestamp, Row::Targets];
        let saved = rows.map(|row| (row, text.to_owned())).into();
        // A damaged store does not keep the client from the mirror's files, unless they are older.
        let _ = refresh(saved, get);
    }
}

/// Returns all files of a small repository.
pub fn seeds() -> Vec<Vec<u8>> {
    files().values().cloned().collect()
}

fn get(name: &str) -> Option<&'static [u8]> {
    files().get(name).map(Vec::as_slice)
}

fn refresh<'a>(saved: Saved, get: impl Fn(&str) -> Option<&'a [u8]>) -> Option<tuf::Provenance> {
    let mut refresh = Refresh::begin(&files()["1.root.json"], saved, Now::from(None)).ok()?;
    while let Some(request) = refresh.request() {
        refresh.supply(get(request.name.as_ref())).ok()?;
    }
    Some(refresh.finish().ok()?.versions())
}

fn signed(file: &[u8]) -> Option<serde_json::Value> {
    let mut value: serde_json::Value = serde_json::from_slice(file).ok()?;
    Some(value.get_mut("signed")?.take())
}

fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| make().unwrap_or_default())
}

fn make() -> Result<Files, tuf::edit::EditError> {
    let expires = Time(4_000_000_000);
    let roles = [TopRole::Root, TopRole::Timestamp, TopRole::Snapshot, TopRole::Targets];
    let key = |number: usize| SecretKey::from_seed(&[u8::try_from(number).unwrap_or(0); 32]);
    let set = |number| KeySet::new([key(number).public_key()], 1);
    let sets = roles.iter().enumerate().map(|(number, role)| Ok((*role, set(number)?)));
    let mut repository = Repository::create(&sets.collect::<Result<_, tuf::edit::EditError>>()?, expires)?;
    let sign = |repository: &mut Repository| {
        (0..roles.len()).try_for_each(|number| repository.sign(&key(number)).map(drop))
    };
    sign(&mut repository)?;
    repository.make_snapshot(expires)?;
    sign(&mut repository)?;
    repository.make_timestamp(expires)?;
    sign(&mut repository)?;
    Ok(repository.publish()?.into_iter().map(|file| (file.name.to_string(), file.content)).collect())
}
