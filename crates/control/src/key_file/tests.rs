use super::*;
use dcache::{Data, Item, Kind, Time, Validity};
use proptest::prelude::*;

fn statement(data: &str) -> (Statement, End) {
    let item = Item { bucket: "admin".parse().unwrap(), data: Data::new(data).unwrap() };
    (Statement::new(Kind::Propose, item, Validity::starting(Time(1), 9)).unwrap(), End::default())
}

fn sequences(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.signature().sequence).collect()
}

/// A temporary folder with a key file.
struct Fixture {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/root.key");
        KeyFile::make(&path).unwrap();
        Self { folder, path }
    }

    fn open(&self) -> KeyFile {
        KeyFile::open(&self.path).unwrap()
    }
}

#[test]
fn a_key_file_is_created_once_and_only_its_owner_can_read_it() {
    let fixture = Fixture::new();
    let peer = fixture.open().peer_id();
    assert!(matches!(KeyFile::make(&fixture.path), Err(KeyFileError::Exists(_))));
    assert_eq!(fixture.open().peer_id(), peer);
    assert_eq!(fs::metadata(&fixture.path).unwrap().permissions().mode() & 0o777, 0o600);
    let other = KeyFile::make(&fixture.folder.path().join("keys/other.key")).unwrap();
    assert_ne!(other.peer_id(), peer);
}

#[test]
fn a_new_sequence_number_exceeds_all_used_and_all_received_ones() {
    let fixture = Fixture::new();
    let two = || vec![statement("a"), statement("b")];
    let first = fixture.open().sign(two(), 0, &Policy::default()).unwrap();
    assert_eq!(sequences(&first), [1, 2]);
    assert_eq!(sequences(&fixture.open().sign(two(), 1, &Policy::default()).unwrap()), [3, 4]);
    assert_eq!(sequences(&fixture.open().sign(two(), 100, &Policy::default()).unwrap()), [101, 102]);
    assert_eq!(sequences(&fixture.open().sign(two(), 50, &Policy::default()).unwrap()), [103, 104]);
    let verified = Record::verify(first[0].statement().clone(), *first[0].signature());
    assert_eq!(verified.unwrap().signer(), fixture.open().peer_id());
    assert_eq!(fs::metadata(&fixture.path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_record_is_kept_for_as_long_as_the_record_that_it_replaces() {
    let fixture = Fixture::new();
    let (statement, _) = statement("a");
    let records = fixture.open().sign(vec![(statement, End::NEVER)], 0, &Policy::default()).unwrap();
    assert_eq!(records[0].keep(), End::NEVER);
}

#[test]
fn a_crash_skips_numbers_and_never_repeats_one() {
    let fixture = Fixture::new();
    // The process died after it had increased the number on the disk, and before it signed.
    let _ = fixture.open().reserve(2, 0).unwrap();
    assert_eq!(sequences(&fixture.open().sign(vec![statement("a")], 0, &Policy::default()).unwrap()), [3]);
    // The process died while it wrote the temporary file. The old file is still valid, and nothing was signed.
    let before = fs::read(&fixture.path).unwrap();
    fs::write(fixture.path.with_extension("key.new"), &before[..before.len() / 2]).unwrap();
    assert_eq!(sequences(&fixture.open().sign(vec![statement("a")], 0, &Policy::default()).unwrap()), [4]);
}

#[test]
fn nothing_is_signed_if_the_number_cannot_be_increased_on_the_disk() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path.with_extension("key.new")).unwrap();
    assert!(matches!(
        fixture.open().sign(vec![statement("a")], 0, &Policy::default()),
        Err(KeyFileError::Io(..))
    ));
    fs::remove_dir(fixture.path.with_extension("key.new")).unwrap();
    assert_eq!(sequences(&fixture.open().sign(vec![statement("a")], 0, &Policy::default()).unwrap()), [1]);
}

#[test]
fn concurrent_signers_never_use_a_number_twice() {
    let fixture = Fixture::new();
    let sign = || {
        sequences(&fixture.open().sign(vec![statement("a"), statement("b")], 0, &Policy::default()).unwrap())
    };
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..5).flat_map(|_| sign()).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (1..=40).collect::<Vec<u64>>());
}

#[test]
fn a_key_file_that_other_users_can_read_is_not_used() {
    let fixture = Fixture::new();
    fs::set_permissions(&fixture.path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = KeyFile::open(&fixture.path).unwrap_err();
    assert!(matches!(error, KeyFileError::Open(_)) && error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn an_invalid_key_file_is_refused_without_showing_the_secret() {
    let text = KeyText { seed: [7; 32], sequence: 5 }.to_toml();
    assert_eq!(KeyText::parse(&text).unwrap().sequence, 5);
    let seed = to_hex(&[7; 32]);
    let longer = format!("{text}#{}", " ".repeat(MAX_KEY_FILE_BYTES));
    for (wrong, reason) in [
        (text.replace("version = 1", "version = 2"), KeyTextError::Version(2)),
        (text.replace("sequence = 5", "sequence = -5"), KeyTextError::Shape),
        (text.replace("sequence = 5", "sequence = 9007199254740992"), KeyTextError::Sequence),
        (text.replace("sequence", "seqence"), KeyTextError::Shape),
        (text.replace("0707", "0708"), KeyTextError::Seed),
        (text.replace(&seed, &format!("+{}", &seed[1..])), KeyTextError::Seed),
        (text.replace("\"07", "\"é"), KeyTextError::Seed),
        (String::new(), KeyTextError::Shape),
        (longer, KeyTextError::Length),
    ] {
        let error = KeyText::parse(&wrong).unwrap_err();
        assert_eq!(error, reason, "{wrong}");
        assert!(!format!("{error} {error:?}").contains("0707"), "{error}");
    }
    let shown = format!("{:?}", KeyText::parse(&text).unwrap());
    assert!(!shown.contains("0707"), "{shown}");
}

#[test]
fn after_the_last_sequence_number_nothing_is_signed() {
    let fixture = Fixture::new();
    assert_eq!(
        sequences(&fixture.open().sign(vec![statement("a")], MAX_SEQUENCE - 1, &Policy::default()).unwrap()),
        [MAX_SEQUENCE]
    );
    assert!(matches!(
        fixture.open().sign(vec![statement("a")], 0, &Policy::default()),
        Err(KeyFileError::Exhausted(_))
    ));
    assert!(matches!(
        fixture.open().sign(vec![statement("a")], u64::MAX, &Policy::default()),
        Err(KeyFileError::Exhausted(_))
    ));
}

#[test]
fn names_of_keys_are_checked_and_listed_in_order() {
    for name in ["", ".hidden", "../x", "a/b", "a b", "é", &"a".repeat(65)] {
        assert_eq!(name.parse::<KeyName>(), Err(KeyNameError), "{name:?}");
    }
    let fixture = Fixture::new();
    let keys = fixture.folder.path().join("keys");
    let class: KeyName = "class-7.b".parse().unwrap();
    KeyFile::make(&class.file(&keys)).unwrap();
    fs::write(keys.join("notes.txt"), "").unwrap();
    let names: Vec<String> = KeyName::list(&keys).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["class-7.b", "root"]);
    assert!(KeyName::list(&keys.join("none")).unwrap().is_empty());
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,300}") {
        let _ = KeyText::parse(&text);
    }

    #[test]
    fn a_key_is_the_same_after_writing_and_parsing(seed in any::<[u8; 32]>(), sequence in 0..=MAX_SEQUENCE) {
        let text = KeyText { seed, sequence };
        let again = KeyText::parse(&text.to_toml()).unwrap();
        prop_assert_eq!((again.seed, again.sequence), (seed, sequence));
    }
}
