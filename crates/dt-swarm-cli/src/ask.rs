//! A question and its whole answer: records, each verified here, and the pong that ends them.

use crate::connection::Connection;
use crate::error::CliError;
use crate::text;
use dcache::{Limits, Moment, PeerId, Policy, Refusal, Set, Signature, Statement, Time, Validity, buckets};
use routing::{Address, Envelope, Message, Status};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The most records of one answer.
pub(crate) const MAX_RECORDS: usize = 200_000;
/// Difference of the clocks, in seconds, from which on the daemon's is used for reading.
const CLOCK_TOLERANCE: u64 = 60;

/// The line that ends an answer: which daemon sent it, and how that daemon is doing.
pub(crate) struct Pong {
    pub(crate) peer: PeerId,
    pub(crate) status: Option<Status>,
    /// The time of this computer's clock when it came.
    pub(crate) arrived: Time,
}

/// All that a daemon answered.
pub(crate) struct Answer {
    pub(crate) pong: Pong,
    pub(crate) set: Set,
    /// The time at which to read the set.
    pub(crate) now: Time,
    /// Number of records that came and were not believed, by reason.
    pub(crate) refused: BTreeMap<String, u64>,
}

impl Pong {
    /// Returns the seconds by which the daemon's clock is ahead of this computer's; `None` when it did not say.
    pub(crate) fn clock_ahead(&self) -> Option<i64> {
        let theirs = self.status.as_ref().map(|status| status.time.0).filter(|time| *time > 0)?;
        let (theirs, ours) = (i64::try_from(theirs).ok()?, i64::try_from(self.arrived.0).ok()?);
        Some(theirs - ours)
    }

    /// Returns the time at which to judge the records: this computer's, or the daemon's if they are far apart, because
    /// the daemon judges how long it keeps its records.
    pub(crate) fn reading_time(&self) -> Time {
        match (&self.status, self.clock_ahead()) {
            (Some(status), Some(ahead)) if ahead.unsigned_abs() > CLOCK_TOLERANCE => status.time,
            _ => self.arrived,
        }
    }

    /// Returns the warning for a person whose clock or whose daemon's clock is off.
    pub(crate) fn clock_warning(&self, host: &str) -> Option<String> {
        let ahead = self.clock_ahead()?;
        let far = ahead.unsigned_abs();
        (far > CLOCK_TOLERANCE).then(|| {
            let (direction, far) = (if ahead > 0 { "ahead of" } else { "behind" }, text::duration(far));
            format!("the clock of {host} is {far} {direction} this computer's; one of them is wrong. Times are shown by the clock of {host}.")
        })
    }
}

/// Returns the time of this computer's clock.
pub(crate) fn clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Time(since.map_or(0, |since| since.as_secs()))
}

fn envelope(payload: String) -> Envelope {
    Envelope::new(Address::command_line(), Address::every_brain(), payload)
}

/// The buckets that say which peer has which role.
const ROLES: [&str; 3] = [buckets::ADMIN.pattern(), buckets::TRUSTED.pattern(), buckets::PEER.pattern()];

/// Adds to the patterns what is needed to judge by this policy.
pub(crate) fn with_roles<'a>(patterns: &[&'a str], policy: &Policy) -> Vec<&'a str> {
    let roles: &[&str] = if policy.roots().is_empty() { &[] } else { &ROLES };
    [patterns, roles].concat()
}

/// Asks whether the daemon is there.
pub(crate) fn ping(connection: &mut Connection) -> Result<Pong, CliError> {
    // Of use always: with a clock that is off, a time would make the question look old.
    connection.send(&envelope(Message::ping(Validity::ALWAYS)))?;
    await_pong(connection, &mut Vec::new())
}

/// Asks for all records whose bucket matches one of the patterns, to be judged by this policy.
pub(crate) fn records(
    connection: &mut Connection,
    patterns: &[&str],
    policy: &Policy,
) -> Result<Answer, CliError> {
    let patterns = with_roles(patterns, policy);
    let mut came = Vec::new();
    let pong = ask(connection, &patterns, &mut came)?;
    Ok(judge(came, pong, policy))
}

/// Asks as [`records`] does, but for one pattern after the other: each answer has the limits of a whole one. What is longer
/// than any honest item of its bucket is dropped as soon as it came, so that a flood of it costs no verification.
pub(crate) fn records_in_parts(
    connection: &mut Connection,
    patterns: &[&str],
    policy: &Policy,
) -> Result<Answer, CliError> {
    let mut all = Vec::new();
    let mut last = None;
    for pattern in with_roles(patterns, policy) {
        let mut part = Vec::new();
        connection.begin_answer();
        last = Some(ask(connection, &[pattern], &mut part)?);
        all.extend(part.into_iter().filter(|(statement, _)| is_plausible(statement)));
    }
    let pong = last.map_or_else(|| ping(connection), Ok)?;
    Ok(judge(all, pong, policy))
}

/// Whether a statement is not longer than an honest one.
fn is_plausible(statement: &Statement) -> bool {
    let item = statement.item();
    item.data.as_str().len() <= buckets::family(&item.bucket).max_data
}

fn ask(connection: &mut Connection, patterns: &[&str], came: &mut Vec<Unverified>) -> Result<Pong, CliError> {
    connection.send(&envelope(Message::req(patterns, Validity::ALWAYS)))?;
    await_pong(connection, came)
}

fn judge(came: Vec<Unverified>, pong: Pong, policy: &Policy) -> Answer {
    let now = pong.reading_time();
    let (set, refused) = admit(came, policy, now);
    Answer { pong, set, now, refused }
}

/// A record as it came, not yet verified. The signature is `None` when it had none at all.
pub(crate) type Unverified = (Statement, Option<Signature>);

pub(crate) fn await_pong(connection: &mut Connection, came: &mut Vec<Unverified>) -> Result<Pong, CliError> {
    loop {
        let envelope = connection.receive()?;
        if let Some(pong) = take(connection, envelope, came)? {
            return Ok(pong);
        }
        if came.len() > MAX_RECORDS {
            return Err(connection.endless(format!("{MAX_RECORDS} records")));
        }
    }
}

/// Takes a line: a pong, or records, which are added to those that came before.
pub(crate) fn take(
    connection: &Connection,
    envelope: Envelope,
    came: &mut Vec<Unverified>,
) -> Result<Option<Pong>, CliError> {
    let message = Message::parse(&envelope.payload);
    match message.map_err(|error| connection.not_ours(error))? {
        Message::Pong { .. } => return pong(connection, envelope).map(Some),
        Message::Statement(statement) if envelope.signatures.is_empty() => came.push((statement, None)),
        Message::Statement(statement) => {
            let signatures = envelope.signatures.iter();
            came.extend(signatures.map(|signature| (statement.clone(), Some(*signature))));
        }
        // What a daemon says to its neighbours is not for us.
        _ => {}
    }
    Ok(None)
}

fn pong(connection: &Connection, envelope: Envelope) -> Result<Pong, CliError> {
    let peer = envelope.from.brain_of();
    Ok(Pong {
        peer: peer.ok_or_else(|| connection.not_ours("its pong does not say whose it is"))?,
        status: envelope.status,
        arrived: clock(),
    })
}

/// Verifies all records. The quotas are the daemon's affair, so none are kept here.
fn admit(came: Vec<Unverified>, policy: &Policy, now: Time) -> (Set, BTreeMap<String, u64>) {
    let mut set = Set::new(policy.clone(), Limits::NONE);
    let mut refused = BTreeMap::new();
    for (statement, signature) in came {
        let reason = match signature.map(|signature| set.admit(statement, signature, now)) {
            // One that ended on its way is nobody's fault.
            Some(Ok(_) | Err(Refusal::Expired)) => continue,
            Some(Err(reason)) => reason.to_string(),
            None => "it has no signature".to_owned(),
        };
        *refused.entry(reason).or_insert(0) += 1;
    }
    // Finds out once who has which role.
    set.advance(Moment::certain(now));
    (set, refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    fn pong(theirs: u64, ours: u64) -> Pong {
        Pong {
            peer: Keypair::from_seed([1; 32]).peer_id(),
            status: Some(Status { time: Time(theirs), ..Status::default() }),
            arrived: Time(ours),
        }
    }

    #[test]
    fn small_differences_of_clocks_are_nothing() {
        for theirs in [1_000_060, 999_940] {
            let pong = pong(theirs, 1_000_000);
            assert_eq!((pong.reading_time(), pong.clock_warning("h")), (Time(1_000_000), None));
        }
    }

    #[test]
    fn a_daemon_whose_clock_is_far_off_is_read_by_its_own() {
        for (theirs, words) in [(1_007_200, "2 h ahead of"), (913_600, "24 h behind")] {
            let pong = pong(theirs, 1_000_000);
            assert_eq!(pong.reading_time(), Time(theirs));
            let warning = pong.clock_warning("h:8000").unwrap();
            assert!(
                warning.contains(&format!("the clock of h:8000 is {words} this computer's")),
                "{warning}"
            );
        }
    }

    #[test]
    fn no_status_and_absurd_times_do_no_harm() {
        let silent = Pong { status: None, ..pong(1, 5) };
        assert_eq!((silent.reading_time(), silent.clock_ahead()), (Time(5), None));
        assert_eq!(pong(0, 5).clock_ahead(), None);
        assert_eq!(pong(u64::MAX, 5).reading_time(), Time(5));
        let _ = pong(i64::MAX as u64, 0).clock_warning("h");
    }
}
