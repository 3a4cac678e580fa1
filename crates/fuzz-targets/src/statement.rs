//! Target: the untrusted payload of a statement.

use crate::samples::record;
use dcache::{BucketPath, Digest, MAX_DATA_BYTES, MAX_PAYLOAD_BYTES, Statement, StatementError};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![
        record().statement().payload().into_owned().into(),
        br#"{"mtype":"dismiss","bucket":["a","b"],"data":"\u00e9\n\"","validity":[null,9]}"#.to_vec(),
    ]
}

/// Checks the limits of a statement, and that it is the same after encoding and parsing.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = Statement::parse(text) else { return };
    assert_eq!(read.payload(), text);
    assert_eq!(read.digest(), Digest::of(text.as_bytes()));
    assert!(text.len() <= MAX_PAYLOAD_BYTES && read.item().data.as_str().len() <= MAX_DATA_BYTES);
    let bucket = &read.item().bucket;
    assert_eq!(bucket.to_string().parse::<BucketPath>().as_ref(), Ok(bucket));
    match Statement::new(read.kind(), read.item().clone(), *read.validity()) {
        Ok(written) => {
            let again = Statement::parse(&written.payload());
            assert_eq!(again.as_ref(), Ok(&written));
            assert_eq!(
                (written.kind(), written.item(), written.validity()),
                (read.kind(), read.item(), read.validity())
            );
        }
        // An escape sequence may be longer when it is encoded again.
        Err(error) => assert!(matches!(error, StatementError::Length(_)), "{error}"),
    }
}
