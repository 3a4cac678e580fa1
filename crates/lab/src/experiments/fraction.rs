//! Fractions as command-line arguments.

/// Parses a fraction from 0 to 1.
///
/// Refuses percentages: a loss of 20 would silently become a network on which no host hears anything.
///
/// # Errors
/// Returns a message for the command line when the text is not a number from 0 to 1.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    let percent = (1.0..=100.0).contains(&value).then(|| format!("; for {value} % write {}", value / 100.0));
    Err(format!("expected a fraction from 0 to 1{}", percent.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::fraction;

    #[test]
    fn fractions_are_parsed() {
        assert_eq!(fraction("0"), Ok(0.0));
        assert_eq!(fraction("0.2"), Ok(0.2));
        assert_eq!(fraction("1"), Ok(1.0));
    }

    #[test]
    fn percentages_are_refused_with_the_right_spelling() {
        let refused = fraction("20").unwrap_err();
        assert!(refused.ends_with("for 20 % write 0.2"), "{refused}");
        for text in ["-0.1", "NaN", "much", "1000"] {
            assert!(fraction(text).is_err(), "{text}");
        }
    }
}
