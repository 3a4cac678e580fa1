//! The options for the validity of a statement: `--for 7d`, `--from`, `--until 2027-01-01`, `--forever`.

use crate::error::CliError;
use clap::Args;
use dcache::{MAX_TIME, Time, Validity};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp};

/// Maximum length, in bytes, of the text of a duration or a time. A longer text is refused before it is parsed.
const MAX_BYTES: usize = 64;

/// The validity options of all commands that sign statements.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ValidityOptions {
    /// Length of the validity: a number with s, min (or m), h, d or w, such as 90min, 7d or 1h30m
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds, conflicts_with_all = ["until", "forever"])]
    seconds: Option<u64>,
    /// Start of the validity: 2027-01-01, 2027-01-01T12:30 (UTC, unless it has an offset) or @SECONDS since 1970
    /// [default: 25 minutes ago, so that robots whose clocks are behind accept the statement at once; later if the
    /// whole validity would otherwise exceed the limit for a signer without a role]
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<Time>,
    /// End of the validity, written like --from
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "forever")]
    until: Option<Time>,
    /// The statement never ends. Other robots accept this only from a signer with a role
    #[arg(long)]
    forever: bool,
}

/// Length of the validity of a statement if no option sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultLength {
    Seconds(u64),
    /// The validity ends at this time, or an hour after its start if that is later.
    Until(Time),
    Forever,
}

/// One hour in seconds: the minimum of [`DefaultLength::Until`], and the default for proposals.
pub(crate) const HOUR: u64 = 3600;

impl ValidityOptions {
    /// Returns the validity of a statement that is signed at the time `now`. `default` sets the length if no option
    /// does.
    ///
    /// # Errors
    /// When the validity ends before it starts, or has ended already.
    pub(crate) fn decide(&self, now: Time, default: DefaultLength) -> Result<Validity, CliError> {
        let from = self.from.unwrap_or(now);
        let until = match (self.seconds, self.until, self.forever) {
            (Some(seconds), ..) => Some(from.plus(seconds)),
            (_, Some(until), _) => Some(until),
            (.., true) => None,
            _ => match default {
                DefaultLength::Seconds(seconds) => Some(from.plus(seconds)),
                DefaultLength::Until(until) => Some(until.max(from.plus(HOUR))),
                DefaultLength::Forever => None,
            },
        };
        if until.is_some_and(|until| until <= from || until <= now) {
            return Err(CliError::Over);
        }
        match (self.from, until.is_none_or(|until| until <= MAX_TIME)) {
            // The validity starts earlier, so that it has already begun for a robot whose clock is behind.
            (None, true) => Ok(Validity::stated_until(now, until)),
            _ => Validity::new(Some(from), until).map_err(|_| CliError::Over),
        }
    }
}

/// Reads a duration in whole seconds. Days have 24 hours and weeks 7 days.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let wrong =
        || "a duration is a number with s, min (or m), h, d or w, such as 90min, 7d or 1h30m".to_owned();
    if text.len() > MAX_BYTES {
        return Err(wrong());
    }
    let span: Span = text.parse().map_err(|_| wrong())?;
    // Months and years have no fixed length, so they are refused here.
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    match u64::try_from(duration.as_secs()) {
        Ok(seconds) if (1..=MAX_TIME.0).contains(&seconds) => Ok(seconds),
        _ => Err("a duration is at least one second, and at most some 34,000 years".to_owned()),
    }
}

/// Reads a time: a date, a date with a time of day, or `@` and seconds since 1970. Without an offset it is UTC.
pub(crate) fn time(text: &str) -> Result<Time, String> {
    let wrong = || {
        "write a time like 2027-01-01, 2027-01-01T12:30, 2027-01-01T12:30:00+02:00 or @1800000000 (seconds since 1970)"
            .to_owned()
    };
    let seconds = match text.strip_prefix('@') {
        _ if text.len() > MAX_BYTES => return Err(wrong()),
        Some(seconds) => seconds.parse().map_err(|_| wrong())?,
        None => u64::try_from(seconds_of_date(text).ok_or_else(wrong)?).map_err(|_| wrong())?,
    };
    if Time(seconds) > MAX_TIME { Err(wrong()) } else { Ok(Time(seconds)) }
}

fn seconds_of_date(text: &str) -> Option<i64> {
    // Parses the text with its offset first: parsing it as a plain date and time would ignore the offset.
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(timestamp.as_second());
    }
    // Parsing it as a plain date and time would also ignore a time zone in brackets.
    let plain: DateTime = text.parse().ok().filter(|_| !text.contains('['))?;
    Some(plain.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::date;
    use clap::Parser;
    use dcache::CLOCK_LEEWAY;
    use proptest::prelude::*;

    const DAY: u64 = 86_400;
    const NOW: Time = Time(1_800_000_000);
    /// The time 2027-01-01T00:00:00Z, in seconds since 1970.
    const NEW_YEAR: u64 = 1_798_761_600;

    #[test]
    fn durations_with_units_are_read() {
        for (text, expected) in [
            ("30s", 30),
            ("90min", 5400),
            ("90m", 5400),
            ("2h", 7200),
            ("7d", 7 * DAY),
            ("2w", 14 * DAY),
            ("1h30m", 5400),
            ("1w2d", 9 * DAY),
            ("1 day", DAY),
            ("1.5h", 5400),
            ("PT90M", 5400),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_refused() {
        let long = "1s ".repeat(40);
        for text in [
            "",
            "7",
            "d",
            "-7d",
            "7d ago",
            "0s",
            "500ms",
            "1mo",
            "1y",
            "1 fortnight",
            "99999999w",
            "∞",
            &long,
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_with_and_without_offsets_are_read() {
        for (text, expected) in [
            ("2027-01-01", NEW_YEAR),
            ("2027-01-01T00:00", NEW_YEAR),
            ("2027-01-01 00:00:07", NEW_YEAR + 7),
            ("2027-01-01T12:30:00Z", NEW_YEAR + 45_000),
            ("2027-01-01T02:00:00+02:00", NEW_YEAR),
            ("2027-01-01T02:00+02:00", NEW_YEAR),
            ("2028-02-29", NEW_YEAR + 424 * DAY),
            ("@1800000000", 1_800_000_000),
            ("1970-01-01", 0),
        ] {
            assert_eq!(time(text), Ok(Time(expected)), "{text}");
        }
    }

    #[test]
    fn invalid_times_are_refused() {
        let long = "2027-01-01".to_owned() + &" ".repeat(100);
        for text in [
            "",
            "tomorrow",
            "2027",
            "2027-13-01",
            "2027-02-29",
            "01.02.2027",
            "1969-12-31",
            "2027-01-01T00:00[Europe/Berlin]",
            "@",
            "@-1",
            "@1.5",
            "@99999999999999",
            "1800000000",
            &long,
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_shown_time_has_the_form_that_the_parser_reads() {
        assert_eq!(date(Time(NEW_YEAR)), "2027-01-01T00:00:00Z");
        assert_eq!(date(MAX_TIME), format!("@{MAX_TIME}"));
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        validity: ValidityOptions,
    }

    fn decide(line: &str, default: DefaultLength) -> Result<(u64, Option<u64>), ()> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let options = Line::try_parse_from(words).map_err(|_| ())?.validity;
        let validity = options.decide(NOW, default).map_err(|_| ())?;
        Ok((validity.from().unwrap().0, validity.until().map(|until| until.0)))
    }

    #[test]
    fn the_options_and_the_default_give_the_validity() {
        let hour = DefaultLength::Seconds(HOUR);
        let early = NOW.0 - CLOCK_LEEWAY;
        assert_eq!(decide("", hour), Ok((early, Some(NOW.0 + HOUR))));
        assert_eq!(decide("", DefaultLength::Forever), Ok((early, None)));
        assert_eq!(
            decide("", DefaultLength::Until(Time(5))),
            Ok((early, Some(NOW.0 + HOUR))),
            "a dismissal is valid for at least an hour"
        );
        assert_eq!(decide("", DefaultLength::Until(NOW.plus(DAY))), Ok((early, Some(NOW.0 + DAY))));
        assert_eq!(decide("--for 2d", DefaultLength::Forever), Ok((early, Some(NOW.0 + 2 * DAY))));
        assert_eq!(
            decide("--for 8d", hour),
            Ok((NOW.0, Some(NOW.0 + 8 * DAY))),
            "the start is not earlier, because 8 days is the longest accepted validity"
        );
        assert_eq!(decide("--forever", hour), Ok((early, None)));
        assert_eq!(decide("--from @1900000000 --for 1m", hour), Ok((1_900_000_000, Some(1_900_000_060))));
        let both = decide("--from @1700000000 --until @1900000000", hour);
        assert_eq!(both, Ok((1_700_000_000, Some(1_900_000_000))));
    }

    #[test]
    fn empty_and_contradictory_validities_are_refused() {
        for line in [
            "--for 1h --forever",
            "--until 2030-01-01 --forever",
            "--for 1h --until 2030-01-01",
            "--until 2020-01-01",
            "--from 2031-01-01 --until 2030-01-01",
            "--from @5 --for 1h",
        ] {
            assert_eq!(decide(line, DefaultLength::Forever), Err(()), "{line}");
        }
    }

    proptest! {
        #[test]
        fn the_time_parser_never_panics(text in "[-0-9a-zT:.@+ ]{0,40}|\\PC{0,70}") {
            if let Ok(time) = time(&text) {
                prop_assert!(time <= MAX_TIME);
            }
            if let Ok(seconds) = seconds(&text) {
                prop_assert!((1..=MAX_TIME.0).contains(&seconds));
            }
        }

        #[test]
        fn a_shown_time_is_parsed_to_the_same_time(seconds in 0..200_000_000_000u64) {
            prop_assert_eq!(time(&date(Time(seconds))), Ok(Time(seconds)));
        }
    }
}
