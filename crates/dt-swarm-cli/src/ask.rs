//! Sends a question and reads the complete answer: the records, which are all verified here, and the pong that ends the
//! answer.

use crate::connection::Connection;
use crate::error::CliError;
use crate::random;
use crate::text;
use dcache::{
    Challenge, Limits, Moment, PeerId, Policy, Proof, Refusal, Set, Signature, Statement, Time, Validity,
    buckets,
};
use routing::{Address, Envelope, Message, Status};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// Maximum number of records of one answer.
pub(crate) const MAX_RECORDS: usize = 200_000;
/// Difference of the clocks, in seconds, above which the time of the daemon's clock decides which records count.
const CLOCK_TOLERANCE: u64 = 60;

/// The line that ends an answer. It has the peer ID and the status of the daemon.
pub(crate) struct Pong {
    pub(crate) peer: PeerId,
    pub(crate) status: Option<Status>,
    /// The time of this computer's clock when the pong was received.
    pub(crate) arrived: Time,
    /// Signature of the challenge in the ping.
    pub(crate) proof: Option<Proof>,
}

/// A complete and verified answer of a daemon.
pub(crate) struct Answer {
    pub(crate) pong: Pong,
    pub(crate) set: Set,
    /// The time at which to judge the records of the set.
    pub(crate) now: Time,
    /// Number of received records that were refused here, by reason.
    pub(crate) refused: BTreeMap<String, u64>,
}

impl Pong {
    /// Returns the seconds by which the daemon's clock is ahead of this computer's. Returns `None` when the pong has no
    /// time.
    pub(crate) fn clock_ahead(&self) -> Option<i64> {
        let theirs = self.status.as_ref().map(|status| status.time.0).filter(|time| *time > 0)?;
        let (theirs, ours) = (i64::try_from(theirs).ok()?, i64::try_from(self.arrived.0).ok()?);
        Some(theirs - ours)
    }

    /// Returns the time at which to judge the records. This is the time of this computer's clock, or that of the
    /// daemon's clock if they differ by more than [`CLOCK_TOLERANCE`]: the daemon drops expired records by its own
    /// clock.
    pub(crate) fn reading_time(&self) -> Time {
        match (&self.status, self.clock_ahead()) {
            (Some(status), Some(ahead)) if ahead.unsigned_abs() > CLOCK_TOLERANCE => status.time,
            _ => self.arrived,
        }
    }

    /// Returns a warning when the clocks of the daemon and of this computer differ by more than [`CLOCK_TOLERANCE`].
    pub(crate) fn clock_warning(&self, host: &str) -> Option<String> {
        let ahead = self.clock_ahead()?;
        let far = ahead.unsigned_abs();
        (far > CLOCK_TOLERANCE).then(|| {
            let (direction, far) = (if ahead > 0 { "ahead of" } else { "behind" }, text::duration(far));
            format!("the clock of {host} is {far} {direction} this computer's; one of them is wrong. The times shown are those of {host}.")
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

/// The buckets whose records decide which peer has which role.
const ROLES: [&str; 3] = [buckets::ADMIN.pattern(), buckets::TRUSTED.pattern(), buckets::PEER.pattern()];

/// Adds the buckets of roles to the patterns if the policy has roots.
pub(crate) fn with_roles<'a>(patterns: &[&'a str], policy: &Policy) -> Vec<&'a str> {
    let roles: &[&str] = if policy.roots().is_empty() { &[] } else { &ROLES };
    [patterns, roles].concat()
}

/// Pings the daemon.
pub(crate) fn ping(connection: &mut Connection) -> Result<Pong, CliError> {
    // The question has no end of validity. If it had one, a daemon with a different clock could take it for an old
    // question.
    connection.send(&envelope(Message::ping(Validity::ALWAYS)))?;
    await_pong(connection, &mut Vec::new())
}

/// Pings the daemon, and returns whether it proves that it has the key of its peer ID. Without a proof, any host can send
/// a pong with any peer ID.
pub(crate) fn identify(connection: &mut Connection) -> Result<(Pong, bool), CliError> {
    let challenge = Challenge::new(random::bytes()?);
    let question = envelope(Message::ping(Validity::ALWAYS));
    connection.send(&Envelope { challenge: Some(challenge), ..question })?;
    let pong = await_pong(connection, &mut Vec::new())?;
    let is_proven = pong.proof.is_some_and(|proof| proof.is_of(pong.peer, challenge));
    Ok((pong, is_proven))
}

/// Asks for all records whose bucket matches one of the patterns. The policy decides which of them count.
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

/// Asks as [`records`] does, but for one pattern after the other, so that the limits apply to each answer separately.
/// Statements that are longer than any honest item of their bucket are dropped before they are verified, so that a
/// flood of them takes little time.
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

/// Returns whether the item is not longer than an honest item of its bucket.
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

/// A received record that is not verified yet. The signature is `None` when the envelope had no signature.
pub(crate) type Unverified = (Statement, Option<Signature>);

/// Reads lines up to the pong, and adds the records among them to `came`.
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

/// Handles a line. Returns the pong if it is one, and adds its records to `came`.
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
        // Messages that a daemon sends to all its neighbours are ignored.
        _ => {}
    }
    Ok(None)
}

fn pong(connection: &Connection, envelope: Envelope) -> Result<Pong, CliError> {
    let peer = envelope.from.brain_of();
    Ok(Pong {
        peer: peer.ok_or_else(|| connection.not_ours("its pong does not name its sender"))?,
        status: envelope.status,
        arrived: clock(),
        proof: envelope.proof,
    })
}

/// Verifies all records. No quotas apply here: the daemon has enforced its own.
fn admit(came: Vec<Unverified>, policy: &Policy, now: Time) -> (Set, BTreeMap<String, u64>) {
    let mut set = Set::new(policy.clone(), Limits::NONE);
    let mut refused = BTreeMap::new();
    for (statement, signature) in came {
        let reason = match signature.map(|signature| set.admit(statement, signature, now)) {
            // A record may expire on its way here. This is not an error.
            Some(Ok(_) | Err(Refusal::Expired)) => continue,
            Some(Err(reason)) => reason.to_string(),
            None => "it has no signature".to_owned(),
        };
        *refused.entry(reason).or_insert(0) += 1;
    }
    // Computes the roles once, before the set is read.
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
            proof: None,
        }
    }

    #[test]
    fn small_differences_of_clocks_are_ignored() {
        for theirs in [1_000_060, 999_940] {
            let pong = pong(theirs, 1_000_000);
            assert_eq!((pong.reading_time(), pong.clock_warning("h")), (Time(1_000_000), None));
        }
    }

    #[test]
    fn records_of_a_daemon_whose_clock_is_far_off_are_judged_by_its_clock() {
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
