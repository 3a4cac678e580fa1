//! Target: the path of a bucket, as users write it and in the JSON of a payload.

use dcache::{BucketPath, MAX_NAME_BYTES, MAX_NAMES};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    [r"share/files", r"/pri/ID/summaries", r#"["share","files"]"#, r#"["\u00e9"]"#].map(Into::into).to_vec()
}

/// Checks the limits of a path, and that it is the same after formatting and parsing.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(read) = text.parse::<BucketPath>() {
        check_one(&read);
        assert_eq!(read.as_str(), text.strip_prefix('/').unwrap_or(text));
    }
    if let Ok(read) = serde_json::from_str::<BucketPath>(text) {
        check_one(&read);
    }
}

fn check_one(read: &BucketPath) {
    let names: Vec<&str> = read.names().collect();
    assert!((1..=MAX_NAMES).contains(&names.len()));
    assert!(names.iter().all(|name| (1..=MAX_NAME_BYTES).contains(&name.len())));
    assert!(!read.as_str().contains(char::is_control));
    assert_eq!(BucketPath::new(&names).as_ref(), Ok(read));
    assert_eq!(read.to_string().parse().as_ref(), Ok(read));
    let json = serde_json::to_string(read).unwrap_or_default();
    assert_eq!(serde_json::from_str::<BucketPath>(&json).ok().as_ref(), Some(read), "{json}");
}
