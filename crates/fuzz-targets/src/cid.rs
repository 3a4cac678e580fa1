//! Target: the text of a CID in a bucket.

use logs::buckets::{Station, info, parse};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        b"QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH".to_vec(),
        b"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".to_vec(),
        b"zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA".to_vec(),
    ]
}

/// Checks that an accepted CID has only this text form.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(cid) = parse(text) else { return };
    assert_eq!(cid.to_string(), text);
    assert!(info(&cid).as_str().ends_with(text));
    for station in Station::ALL {
        assert_eq!(station.item(&cid).data.as_str(), text);
    }
}
