//! Reads patterns of buckets from the command line.

use dcache::{Pattern, PatternError};

/// Reads a pattern. Adds the leading slash if it is missing.
pub(crate) fn parse(text: &str) -> Result<Pattern, PatternError> {
    Pattern::new(&with_slash(text))
}

fn with_slash(text: &str) -> String {
    match text.starts_with(['/', '*', '[', '{', '?']) {
        true => text.to_owned(),
        false => format!("/{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_slash_may_be_left_out() {
        for (written, meant) in
            [("share/files", "/share/files"), ("/share/*", "/share/*"), ("*", "*"), ("*/info/*", "*/info/*")]
        {
            assert_eq!(with_slash(written), meant);
        }
    }
}
