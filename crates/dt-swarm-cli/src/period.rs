//! Reads waiting times from the command line: `20`, `0.5`, `20s`, `5min` or `1h30m`.

use jiff::{Span, SpanRelativeTo};
use std::time::Duration;

/// Maximum length of the text in bytes. A longer text is refused before it is parsed.
const MAX_BYTES: usize = 64;

/// Reads a duration. A number without a unit is in seconds.
pub(crate) fn period(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is a number of seconds, or has a unit, such as 20s, 5min or 1h30m".to_owned();
    if text.len() > MAX_BYTES {
        return Err(wrong());
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    let span: Span = text.parse().map_err(|_| wrong())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    Duration::try_from(duration).map_err(|_| wrong())
}

/// Reads an age, such as `2h` or `7d`. A number without a unit is refused, because it could mean seconds or days.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(number) if number != 0.0 => Err("the unit is missing: write 30min, 2h or 7d".to_owned()),
        _ => period(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_needs_a_unit() {
        assert_eq!(age("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(age("0"), Ok(Duration::ZERO));
        assert!(age("7").is_err() && age("0.5").is_err() && age("soon").is_err());
    }

    #[test]
    fn durations_with_and_without_a_unit_are_read() {
        for (text, millis) in [
            ("20", 20_000),
            ("0.5", 500),
            ("0", 0),
            ("20s", 20_000),
            ("500ms", 500),
            ("5min", 300_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(period(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "nan", "inf", "-1", "-1s", "soon", "1e300", "1y"] {
            assert!(period(text).is_err(), "{text}");
        }
    }
}
