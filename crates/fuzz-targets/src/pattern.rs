//! Target: an untrusted glob pattern, and on a second line the bucket to match it against.

use dcache::{BucketPath, Pattern};

/// The limit of dcache, which is private there.
const MAX_PATTERN_BYTES: usize = 256;

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let nested = "{".repeat(128) + &"}".repeat(128);
    ["*", "*/summaries\npri/ID/summaries", "/share/{a,b}*\nshare/a", "/[!a-c]?**\nx/y", "/\\*\n*", &nested]
        .map(Into::into)
        .to_vec()
}

/// Checks that a pattern has a bounded size and can be matched.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, of_bucket) = text.split_once('\n').unwrap_or((text, "share/files"));
    let bucket = of_bucket.parse::<BucketPath>();
    if let Ok(pattern) = Pattern::new(text) {
        assert_eq!(pattern.as_str(), text);
        assert!(text.len() <= MAX_PATTERN_BYTES);
        if let Ok(bucket) = &bucket {
            // The result is not checked. The call only has to return soon, and without a panic.
            let _ = pattern.matches(bucket);
        }
    }
    if let Ok(bucket) = &bucket {
        check_exact(bucket);
    }
}

/// Checks that the escaped path of a bucket, if it is not too long, is a pattern that matches the bucket.
fn check_exact(bucket: &BucketPath) {
    let escaped: String = format!("/{bucket}").chars().flat_map(|c| ['\\', c]).collect();
    if let Ok(pattern) = Pattern::new(&escaped) {
        assert!(pattern.matches(bucket), "{escaped}");
    }
}
