//! Admission of records into the set, and the consequences of each.

use super::Brain;
use crate::origin::Origin;
use crate::outbox::Cause;
use crate::signer_rates::Arrival;
use crate::{Now, Output, refusals};
use dcache::{Admission, Key, Record, Refusal, Signature, Statement, Time};
use routing::{Carried, ChannelId, Envelope};
use std::time::Duration;
use telemetry::metrics;

/// The way in which a record came.
#[derive(Clone, Copy, Debug)]
pub(super) enum RecordSource {
    /// This node made the record.
    Own,
    /// Another node pushed it as news.
    Pushed(Origin),
    /// A comparison showed that this node lacked it.
    Repaired(Origin),
}

impl Brain {
    /// Admits a record that this node made.
    pub(super) fn local(&mut self, now: Now, record: Record) {
        let former = self.node.replica.set().get(&Key::from(&record)).cloned();
        match self.node.replica.admit_verified(record, now.moment.time) {
            Ok(admission) => {
                // A record that only renews an earlier one is no reason to reset the beacon timers.
                if former.is_none() {
                    self.node.reset_timers(now);
                }
                self.settle(now, admission, former, RecordSource::Own);
            }
            Err(reason) => {
                self.node.count(refusals::of_own(reason));
                self.node.outputs.push(Output::NotSaid(reason));
            }
        }
    }

    /// Admits the record that is the message of a line.
    pub(super) fn statement(&mut self, now: Now, origin: Origin, statement: &Statement, envelope: &Envelope) {
        if envelope.signatures.is_empty() {
            return self.node.penalize(&metrics::BRAIN_RECORDS_REFUSED_UNSIGNED, origin.channel);
        }
        for signature in &envelope.signatures {
            self.admit(now, RecordSource::Pushed(origin), statement.clone(), *signature);
            self.note_payload(&envelope.payload, statement, signature);
        }
    }

    /// Notes the payload of a record, if the record is in the set now.
    fn note_payload(&mut self, payload: &str, statement: &Statement, signature: &Signature) {
        let key = Key { item: statement.item().clone(), signer: signature.signer };
        if self.is_held(&key, signature) {
            self.recent.note(payload, signature, key);
        }
    }

    fn is_held(&self, key: &Key, signature: &Signature) -> bool {
        self.node.replica.set().get(key).is_some_and(|held| held.signature() == signature)
    }

    /// Handles a copy of a record that was heard lately and is still in the set. Returns whether it is such a copy.
    pub(super) fn hears_again(&mut self, source: RecordSource, payload: &str, signature: &Signature) -> bool {
        let (RecordSource::Pushed(origin) | RecordSource::Repaired(origin)) = source else { return false };
        let Some(key) = self.recent.key_of(payload, signature).cloned() else { return false };
        if !self.is_held(&key, signature) || self.signer_rates.has(&key) {
            return false;
        }
        if let RecordSource::Pushed(_) = source {
            self.served.takes_wanted(origin.channel);
        }
        self.node.count(&metrics::BRAIN_RECORDS_KNOWN);
        self.heard_again(origin.channel, &key);
        true
    }

    /// Admits one of the further records of a line.
    pub(super) fn carried(&mut self, now: Now, source: RecordSource, carried: &Carried) {
        let (RecordSource::Pushed(origin) | RecordSource::Repaired(origin)) = source else { return };
        let Carried { payload, signature } = carried;
        if self.hears_again(source, payload, signature) {
            return;
        }
        match Statement::parse(payload) {
            Ok(statement) => {
                self.admit(now, source, statement.clone(), *signature);
                self.note_payload(payload, &statement, signature);
            }
            Err(_) => self.node.penalize(&metrics::BRAIN_RECORDS_REFUSED_MALFORMED, origin.channel),
        }
    }

    fn admit(&mut self, now: Now, source: RecordSource, statement: Statement, signature: Signature) {
        let (RecordSource::Pushed(origin) | RecordSource::Repaired(origin)) = source else { return };
        let key = Key { item: statement.item().clone(), signer: signature.signer };
        // A peer can send any record in the form of an answer. It counts as one only while a comparison is under way.
        let is_asked = match source {
            RecordSource::Pushed(_) => self.served.takes_wanted(origin.channel),
            RecordSource::Repaired(_) => self.comparisons.is_under_way(origin),
            RecordSource::Own => true,
        };
        let arrival = Arrival { source, is_pushed: !is_asked };
        if self.signer_rates.has_better(&statement, &signature) {
            // A comparison need not wait for the limit of news, even if the record was pushed before.
            let waiting = if is_asked { self.signer_rates.take_back(&key) } else { None };
            return match waiting {
                Some(record) => self.offer(now, record, arrival),
                None => {
                    self.comparisons.limited(origin);
                    self.node.count(&metrics::BRAIN_RECORDS_KNOWN);
                }
            };
        }
        if self.signer_rates.is_full(&key, arrival, self.node.replica.set(), now.elapsed) {
            return self.deferred(arrival);
        }
        match self.node.replica.verify(statement, signature, now.moment.time) {
            Ok(None) => {
                self.node.count(&metrics::BRAIN_RECORDS_KNOWN);
                if self.is_held(&key, &signature) {
                    self.heard_again(origin.channel, &key);
                }
            }
            Ok(Some(record)) => self.offer(now, record, arrival),
            Err(reason) => self.refused(now, origin, reason),
        }
    }

    /// Admits a verified record, or lets it wait for the rate limits.
    fn offer(&mut self, now: Now, record: Record, arrival: Arrival<RecordSource>) {
        match self.signer_rates.take(&record, arrival, self.node.replica.set(), now.elapsed) {
            true => self.take(now, arrival.source, record),
            false => self.deferred(arrival),
        }
    }

    /// Counts a record beyond the limits of its signer. A comparison that brings such records ends for now.
    fn deferred(&mut self, arrival: Arrival<RecordSource>) {
        self.node.count(&metrics::BRAIN_RECORDS_DEFERRED);
        if let RecordSource::Repaired(origin) = arrival.source {
            self.comparisons.limited(origin);
        }
    }

    /// Admits the deferred records whose signers are within their rate limits again.
    pub(super) fn take_deferred(&mut self, now: Now) {
        while let Some((record, source)) = self.signer_rates.due(self.node.replica.set(), now.elapsed) {
            self.take(now, source, record);
        }
    }

    /// Admits a verified record of another node.
    fn take(&mut self, now: Now, source: RecordSource, record: Record) {
        let former = self.node.replica.set().get(&Key::from(&record)).cloned();
        match (self.node.replica.admit_verified(record, now.moment.time), source) {
            (Ok(admission), _) => self.settle(now, admission, former, source),
            (Err(reason), RecordSource::Pushed(origin) | RecordSource::Repaired(origin)) => {
                self.refused(now, origin, reason);
            }
            (Err(_), RecordSource::Own) => {}
        }
    }

    /// Cancels sending a record on a channel where another node was heard sending it. The maker of a record still sends
    /// its copies, which guard against loss.
    fn heard_again(&mut self, channel: ChannelId, key: &Key) {
        if key.signer != self.node.me && self.node.channels.outbox.cancel(channel, key) {
            self.node.channels.tally(channel, |tally| tally.suppressed += 1);
        }
    }

    fn refused(&mut self, now: Now, origin: Origin, reason: Refusal) {
        let Origin { channel, source, .. } = origin;
        self.node.channels.tally(channel, |tally| tally.refused += 1);
        self.node.outputs.push(Output::Refused { channel, source, reason });
        if reason == Refusal::Forged {
            self.node.hear_other_records(now, source);
        }
        let metric = refusals::of_others(reason);
        match reason {
            // Only a malicious peer causes these. The other refusals happen among honest peers.
            Refusal::Forged | Refusal::NotOwner => self.node.penalize(metric, channel),
            _ => self.node.count(metric),
        }
    }

    /// Handles the consequences of a record that is new in the set.
    fn settle(&mut self, now: Now, admission: Admission, former: Option<Record>, source: RecordSource) {
        let Admission::New { record, evicted } = admission else {
            return;
        };
        let key = Key::from(&record);
        let is_known = former.is_some();
        let own = if is_known { Cause::Renewal } else { Cause::News };
        let is_renewal = former.as_ref().is_some_and(|former| renews(&record, former, now.moment.time));
        self.node.replica.note_change(&record, former.as_ref(), now.elapsed);
        self.node.outputs.push(Output::Admitted { record, is_renewal });
        if !evicted.is_empty() {
            self.node.outputs.push(Output::Removed(evicted));
        }
        let (cause, brought_by) = match source {
            RecordSource::Own => (own, None),
            RecordSource::Pushed(origin) => (Cause::Relay, Some(origin)),
            RecordSource::Repaired(origin) => (Cause::Found, Some(origin)),
        };
        match brought_by {
            None => self.node.count(&metrics::BRAIN_OWN_RECORDS_TAKEN),
            Some(origin) => self.took(now.elapsed, origin),
        }
        if let RecordSource::Pushed(origin) = source
            && !is_known
        {
            self.node.greet(now, origin, &key);
        }
        self.node.push(now, &key, cause, brought_by.map(|origin| origin.channel));
    }

    fn took(&mut self, elapsed: Duration, origin: Origin) {
        self.node.count(&metrics::BRAIN_RECORDS_TAKEN);
        if self.comparisons.gained(elapsed, origin) {
            self.node.channels.tally(origin.channel, |tally| tally.repaired += 1);
        }
    }
}

/// Returns whether a record merely renews `former`: it states the same at `time`, and does not end earlier.
fn renews(record: &Record, former: &Record, time: Time) -> bool {
    let (new, old) = (record.validity(), former.validity());
    record.kind() == former.kind() && new.contains(time) && old.contains(time) && new.end() >= old.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, End, Item, Keypair, Kind, Validity};

    fn record(kind: Kind, from: u64, until: u64) -> Record {
        let item = Item { bucket: "peer".parse().unwrap(), data: Data::new("robot").unwrap() };
        let validity = Validity::new(Some(Time(from)), Some(Time(until))).unwrap();
        let statement = Statement::new(kind, item, validity).unwrap();
        Record::sign(statement, &Keypair::from_seed([1; 32]), from, End::default())
    }

    #[test]
    fn a_renewal_says_the_same_for_longer() {
        let renews = |new: &Record| renews(new, &record(Kind::Propose, 10, 30), Time(20));
        assert!(renews(&record(Kind::Propose, 20, 40)));
        assert!(!renews(&record(Kind::Dismiss, 20, 40)), "it says the opposite");
        assert!(!renews(&record(Kind::Propose, 20, 29)), "it ends earlier");
        assert!(!renews(&record(Kind::Propose, 21, 40)), "it is not valid yet");
    }

    #[test]
    fn a_record_that_follows_an_expired_one_is_no_renewal() {
        assert!(!renews(&record(Kind::Propose, 30, 50), &record(Kind::Propose, 10, 30), Time(30)));
    }
}
