//! A stranger's glob and, on a second line, the bucket that it is held against.

use dcache::{BucketPath, Pattern};

/// The bound that dcache keeps to itself.
const MAX_PATTERN_BYTES: usize = 256;

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let nested = "{".repeat(128) + &"}".repeat(128);
    ["*", "*/summaries\npri/ID/summaries", "/share/{a,b}*\nshare/a", "/[!a-c]?**\nx/y", "/\\*\n*", &nested]
        .map(Into::into)
        .to_vec()
}

/// What must hold of any bytes.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, of_bucket) = text.split_once('\n').unwrap_or((text, "share/files"));
    let bucket = of_bucket.parse::<BucketPath>();
    if let Ok(pattern) = Pattern::new(text) {
        assert_eq!(pattern.as_str(), text);
        assert!(text.len() <= MAX_PATTERN_BYTES);
        if let Ok(bucket) = &bucket {
            // Either answer may be right; it must be given, and soon.
            let _ = pattern.matches(bucket);
        }
    }
    if let Ok(bucket) = &bucket {
        check_exact(bucket);
    }
}

/// Every bucket has a pattern that is just its path, as long as that is not too long for a pattern.
fn check_exact(bucket: &BucketPath) {
    let escaped: String = format!("/{bucket}").chars().flat_map(|c| ['\\', c]).collect();
    if let Ok(pattern) = Pattern::new(&escaped) {
        assert!(pattern.matches(bucket), "{escaped}");
    }
}
