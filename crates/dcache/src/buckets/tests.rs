use super::*;
use crate::{Keypair, Pattern, PeerId};

fn peer() -> PeerId {
    Keypair::from_seed([1; 32]).peer_id()
}

fn path(text: &str) -> BucketPath {
    text.parse().unwrap()
}

/// Returns a path of the family. A peer ID replaces the variable name `ID`; other variable names stay as they are.
fn example(family: &Family) -> BucketPath {
    let id = peer().to_string();
    let of = |name: &str| if name == "ID" { id.clone() } else { name.to_owned() };
    let names: Vec<String> = family.path.split('/').map(of).collect();
    BucketPath::new(&names).unwrap()
}

#[test]
fn each_row_is_found_by_its_own_paths_and_its_pattern_matches_them() {
    for row in FAMILIES {
        assert_eq!(family(&example(row)).path, row.path, "no earlier row hides it");
        assert!(Pattern::new(row.pattern).unwrap().matches(&example(row)), "{}", row.pattern);
        assert!(row.holds.ends_with('.') && !row.holds.starts_with(' '), "{:?}", row.holds);
        assert!(row.max_data <= MAX_DATA_BYTES);
        assert!(
            row.lifetime.seconds() <= LONGEST_LIFETIME,
            "{}: a signer without a role could not state it",
            row.path
        );
    }
}

#[test]
fn the_constants_construct_the_paths_that_the_table_shows() {
    let id = peer();
    assert_eq!(SHARE_FILES.path(), path("share/files"));
    assert_eq!(HOSTNAME.of(id), path(&format!("pri/{id}/info/hostname")));
    assert_eq!(PRIVATE.of(id), path(&format!("pri/{id}")));
    assert_eq!(SHARE_INFO.of("cid"), Ok(path("share/info/cid")));
    assert_eq!(SHARE.of("lab"), Ok(path("share/lab")));
    assert!(UPLOADS.of("a/b").is_err() && UPLOADS.of("").is_err());
    assert_eq!((IPFS_ADDRESSES.pattern(), SHARE.pattern()), ("/pri/*/ipfs_addresses", "/share/*"));
    assert_eq!(IPFS_ADDRESSES.peer(&IPFS_ADDRESSES.of(id)), Some(id));
    assert_eq!(IPFS_ADDRESSES.peer(&HOSTNAME.of(id)), None);
}

#[test]
fn the_lifetimes_equal_those_of_ipsd() {
    let lifetimes = [PEER.lifetime(), HOSTNAME.lifetime(), ADDRESSES.lifetime(), SHARE_SAFE.lifetime()];
    assert_eq!(lifetimes, [600, 5 * 24 * 3600, 3600, 7 * 24 * 3600]);
}

#[test]
fn a_family_contains_the_buckets_whose_first_names_are_its_names() {
    let id = peer();
    for (bucket, expected) in [
        ("peer/x", "peer"),
        ("peers", "*"),
        ("share", "share/NAME"),
        ("shared", "*"),
        ("share/filesystem", "share/NAME"),
        ("share/files/x", "share/files"),
        ("share/info", "share/info/CID"),
        ("uploads", "uploads/CID"),
        ("pri", "pri/ID"),
        ("pri/x/diagnostics", "pri/ID"),
        ("pri/x/info/other", "pri/ID/info"),
        ("pri/x/info/robot", "pri/ID/info/robot"),
        ("pri/x/uploads", "pri/ID/uploads"),
        ("pri/x/health", "pri/ID/health"),
        ("pri/x/collector", "pri/ID/collector"),
        ("pri/x/receipts/y", "pri/ID/receipts"),
        ("pri/x/carries", "pri/ID/carries"),
        ("collectors", "collectors"),
        ("pri/x/information", "pri/ID"),
        ("pri/x/info/version", "pri/ID/info"),
        ("pri/x/info/version/dswarm", "pri/ID/info/version/dswarm"),
        ("other", "*"),
    ] {
        assert_eq!(family(&path(bucket)).path, expected, "{bucket}");
    }
    assert!(SHARE.contains(&path("share/safe")) && IPFS_ADDRESSES.contains(&IPFS_ADDRESSES.of(id)));
}

#[test]
fn the_buckets_of_files_hold_cids() {
    for (row, expected) in [
        (SHARE_FILES, Form::Cid),
        (SHARE_VERIFIED, Form::Cid),
        (SHARE_SAFE, Form::Cid),
        (SHARE_DISCARD, Form::Cid),
        (PEER, Form::Peer),
        (NETWORKS, Form::Text),
        (COLLECTORS, Form::Peer),
    ] {
        assert_eq!(row.family().form, expected, "{}", row.family().path);
    }
    assert_eq!(family(&path("share/notes")).form, Form::Text, "users may write any text there");
}

#[test]
fn the_subject_is_the_name_after_the_peer_id_or_the_first_name() {
    for (bucket, expected) in [
        ("share/files", "share"),
        ("peer", "peer"),
        ("pri/x/info/hostname", "info"),
        ("pri/x", ""),
        ("pri", ""),
    ] {
        assert_eq!(subject(&path(bucket)), expected);
    }
}
