//! Tests of typed rows and their exact bytes on disk.

use super::*;
use crate::{Fault, Faults};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use tempfile::TempDir;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    name: String,
    #[serde(default)]
    bytes: u64,
}

fn order(name: &str) -> Order {
    Order { name: name.to_owned(), bytes: 7 }
}

fn bench() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    (folder, file)
}

fn raw(store: &Store, namespace: &str) -> Vec<(String, String)> {
    let rows = store.service_all(namespace).unwrap();
    rows.into_iter().map(|(key, value)| (key, String::from_utf8(value).unwrap())).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn rows_are_compact_json_under_the_text_of_their_key() {
    let (_folder, file) = bench();
    let store = Arc::new(Store::open(&file).unwrap().0);
    let numbered = store.table("numbered");
    numbered.write(&[(10u64, Some(order("b"))), (9, Some(order("a")))]).unwrap();
    store.table("named").write(&[("x/y".to_owned(), Some(3u8))]).unwrap();
    store.table("displayed").write(&[(Displayed(std::net::Ipv4Addr::LOCALHOST), Some(true))]).unwrap();
    let expected = [
        pair("00000000000000000009", r#"{"name":"a","bytes":7}"#),
        pair("00000000000000000010", r#"{"name":"b","bytes":7}"#),
    ];
    assert_eq!(raw(&store, "numbered"), expected);
    assert_eq!(raw(&store, "named"), [pair("x/y", "3")]);
    assert_eq!(raw(&store, "displayed"), [pair("127.0.0.1", "true")]);
    let rows = numbered.read_all().unwrap();
    assert_eq!(rows.readable, [(9, order("a")), (10, order("b"))]);
    assert_eq!(numbered.read(&10).unwrap(), Some(order("b")));
    assert_eq!(numbered.read(&11).unwrap(), None);
}

#[test]
fn changes_are_one_commit_and_survive_a_restart() {
    let (_folder, file) = bench();
    let faults = Faults::default();
    let store = Arc::new(Store::open_with_faults(&file, faults.clone()).unwrap().0);
    let table: Table<u64, Order> = store.table("orders");
    table.write(&[(1, Some(order("a"))), (2, Some(order("b")))]).unwrap();
    faults.begin(Fault::Full, 0);
    let refused = table.write(&[(1, None), (3, Some(order("c")))]).unwrap_err();
    assert!(matches!(refused, TableError::Write { source: WriteError::DiskFull, .. }), "{refused}");
    assert!(refused.to_string().starts_with("cannot write orders: "), "{refused}");
    faults.end();
    assert_eq!(table.read_all().unwrap().readable, [(1, order("a")), (2, order("b"))]);
    table.write(&[(1, None), (3, Some(order("c")))]).unwrap();
    drop((table, store));
    let store = Arc::new(Store::open(&file).unwrap().0);
    let rows = store.table("orders").read_all().unwrap();
    assert_eq!(rows, Rows { readable: vec![(2u64, order("b")), (3, order("c"))], unreadable: Vec::new() });
}

#[test]
fn unreadable_rows_are_named_and_left_unchanged() {
    let (_folder, file) = bench();
    let store = Arc::new(Store::open(&file).unwrap().0);
    let rows = [("1", &br#"{"name":"a"}"#[..]), ("2", b"{"), ("x", br#"{"name":"b"}"#)];
    let rows = rows.map(|(key, value)| (key, Some(value)));
    store.service_write("orders", &rows).unwrap();
    let table: Table<u64, Order> = store.table("orders");
    let read = table.read_all().unwrap();
    assert_eq!(read.readable, [(1, Order { name: "a".to_owned(), bytes: 0 })]);
    assert_eq!(read.unreadable, ["2", "x"]);
    let named: Table<String, Order> = store.table("orders");
    assert_eq!(named.read(&"2".to_owned()).unwrap(), None);
    assert_eq!(raw(&store, "orders").len(), 3);
}

/// A value that cannot be written as JSON.
#[derive(Debug, Deserialize)]
struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}

#[test]
fn a_value_that_cannot_be_written_as_json_is_an_error_and_nothing_is_written() {
    let (_folder, file) = bench();
    let store = Arc::new(Store::open(&file).unwrap().0);
    let table = store.table("stubborn");
    let refused = table.write(&[(1u64, None), (2, Some(Stubborn))]).unwrap_err();
    assert!(matches!(refused, TableError::Encode { .. }), "{refused}");
    assert_eq!(raw(&store, "stubborn"), []);
}

#[tokio::test]
async fn a_row_is_written_when_the_future_is_ready() {
    let (_folder, file) = bench();
    let faults = Faults::default();
    let store = Arc::new(Store::open_with_faults(&file, faults.clone()).unwrap().0);
    let table: Table<u64, Order> = store.table("orders");
    table.write_async(&[(1, Some(order("a")))]).await.unwrap();
    assert_eq!(table.clone().read_all().unwrap().readable, [(1, order("a"))]);
    faults.begin(Fault::Dead, 0);
    let refused = table.write_async(&[(1, None)]).await.unwrap_err();
    assert!(matches!(refused, TableError::Write { .. }), "{refused}");
    assert!(matches!(table.read_all(), Err(TableError::Read { .. })));
}
