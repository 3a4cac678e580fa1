//! The decider of a robot: notes each week, makes its report, and decides when it is sent and to which collector.
//!
//! Without consent it notes nothing, makes nothing and sends nothing, except requests to delete what was sent before.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::consent::{Consent, ConsentRow, OwnerAnswer};
use crate::fields::LIST_VERSION;
use crate::hex::Hex32;
use crate::observed::{LocalPart, Observed};
use crate::payload::Payload;
use crate::report::{Errand, KeptReport, Outcome, ReportState};
use crate::tally::Tally;
use crate::week::{HOUR, Week};
use crate::wire::Message;
use dcache::{Data, Digest, Item, Moment, PeerId, Set, Time, buckets};
use service::{Decide, Decision, PermissionFile};
use std::collections::{BTreeMap, BTreeSet};

/// Age, in weeks, up to which a report is sent. A robot that was off during the holidays sends the last weeks.
pub(crate) const MAX_AGE_WEEKS: u32 = 4;
/// Age, in weeks, up to which a report that left the robot is kept, so that it can be deleted. Collectors keep no report longer.
pub(crate) const KEEP_WEEKS: u32 = 53;
/// Time, in seconds, from the first look at the facts of the robot to the second one. At its start, the daemon does not know the robot's
/// properties and the other robots yet.
const FIRST_LOOK: u64 = 120;
/// Time, in seconds, between two further looks.
const LOOK_EVERY: u64 = 600;
/// Number of collectors that are read. A swarm has one or two.
const MAX_COLLECTORS: usize = 16;

/// The decider of a robot.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    me: PeerId,
    /// Time, in seconds, over which the robots spread their reports after the end of a week.
    spread: u64,
    consent: ConsentRow,
    file: PermissionFile,
    tally: Option<Tally>,
    /// Time of the next look at the facts of the robot.
    next_look: Option<Time>,
    reports: BTreeMap<Week, KeptReport>,
    local: LocalPart,
    /// Random bytes for the next secret.
    fresh: Option<Hex32>,
    /// The collectors at the last decision.
    collectors: Vec<PeerId>,
    is_busy: bool,
    changed: Changed,
}

/// Rows that differ from the disk.
#[derive(Clone, Debug, Default)]
struct Changed {
    consent: bool,
    tally: bool,
    reports: BTreeSet<Week>,
}

/// Rows to write. An inner `None` removes a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) consent: Option<ConsentRow>,
    pub(crate) tally: Option<Option<Tally>>,
    pub(crate) reports: Vec<(Week, Option<KeptReport>)>,
}

impl Reporter {
    /// Creates the decider from the rows on the disk.
    pub(crate) fn new(
        (me, spread): (PeerId, u64),
        consent: ConsentRow,
        tally: Option<Tally>,
        reports: impl IntoIterator<Item = KeptReport>,
    ) -> Self {
        let reports = reports.into_iter().map(|report| (report.payload.week(), report)).collect();
        Self {
            me,
            spread,
            consent,
            file: PermissionFile::default(),
            tally,
            next_look: None,
            reports,
            local: LocalPart::default(),
            fresh: None,
            collectors: Vec::new(),
            is_busy: false,
            changed: Changed::default(),
        }
    }

    /// Sets the inputs of the next decision: the permission file, facts that are not in the set, and random bytes.
    pub(crate) fn set_inputs(&mut self, file: PermissionFile, local: LocalPart, fresh: Hex32) {
        (self.file, self.local, self.fresh) = (file, local, Some(fresh));
    }

    /// Notes that the errand under way was interrupted, because the service was started again.
    pub(crate) fn interrupted(&mut self) {
        self.is_busy = false;
    }

    /// Returns whether statistics may be sent.
    pub(crate) fn consent(&self) -> Consent {
        self.consent.consent(&self.file)
    }

    /// Returns the answer of the owner.
    pub(crate) fn answer(&self) -> Option<OwnerAnswer> {
        self.consent.answer
    }

    /// Returns the permission file, as it was read last.
    pub(crate) fn file(&self) -> &PermissionFile {
        &self.file
    }

    /// Returns the reports, oldest first.
    pub(crate) fn reports(&self) -> impl Iterator<Item = &KeptReport> {
        self.reports.values()
    }

    /// Returns the notes about the present week.
    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    /// Returns the peer ID of this robot.
    pub(crate) fn me(&self) -> PeerId {
        self.me
    }

    /// Returns the time over which the reports are spread, in seconds.
    pub(crate) fn spread(&self) -> u64 {
        self.spread
    }

    /// Returns facts that are not in the set.
    pub(crate) fn local(&self) -> &LocalPart {
        &self.local
    }

    /// Takes the answer of the owner.
    pub(crate) fn answered(&mut self, is_allowed: bool, now: Time) {
        self.consent.answer = Some(OwnerAnswer { is_allowed, list: LIST_VERSION, time: now });
        self.changed.consent = true;
        self.drop_without_consent();
    }

    /// Denies, and lets the collectors delete all reports that may have reached them. Returns their number.
    pub(crate) fn forget(&mut self, now: Time) -> usize {
        self.answered(false, now);
        let asked = self.reports.iter_mut().filter_map(|(week, report)| report.forget(now).then_some(*week));
        let asked: Vec<Week> = asked.collect();
        self.changed.reports.extend(&asked);
        asked.len()
    }

    /// Takes the end of an errand.
    pub(crate) fn ended(&mut self, week: Week, outcome: Outcome, now: Time) {
        self.is_busy = false;
        let Some(report) = self.reports.get_mut(&week) else { return };
        self.changed.reports.insert(week);
        let waits_for = match report.state {
            ReportState::Unconfirmed { collector } => Some(collector),
            _ => None,
        };
        match (outcome, waits_for) {
            (Outcome::Counted, Some(collector)) => {
                (report.state, report.reason) = (ReportState::Counted { collector, time: now }, None);
            }
            (Outcome::Forgotten, None) => {
                self.reports.remove(&week);
            }
            // The owner let it be forgotten meanwhile. The collector is asked next.
            (Outcome::Counted | Outcome::Forgotten, _) => {}
            (Outcome::Refused(code), Some(_)) => {
                report.reason = Some(format!("the collector refused: {code}"));
                report.state = ReportState::Waiting {};
            }
            (Outcome::Unreached(reason), Some(_)) => {
                (report.state, report.reason) = (ReportState::Waiting {}, Some(reason));
            }
            (Outcome::Refused(code), None) => report.reason = Some(format!("the collector refused: {code}")),
            (Outcome::Unreached(reason) | Outcome::Unanswered(reason), _) => report.reason = Some(reason),
        }
        self.drop_without_consent();
    }

    /// Returns the rows to write. They have to be on the disk before the errand of the same decision begins.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let Changed { consent, tally, reports } = std::mem::take(&mut self.changed);
        let report = |week: Week| (week, self.reports.get(&week).cloned());
        Changes {
            consent: consent.then_some(self.consent),
            tally: tally.then(|| self.tally.clone()),
            reports: reports.into_iter().map(report).collect(),
        }
    }

    /// Notes again that everything differs from the disk, after a failed write.
    pub(crate) fn not_written(&mut self, changes: &Changes) {
        self.changed.consent |= changes.consent.is_some();
        self.changed.tally |= changes.tally.is_some();
        self.changed.reports.extend(changes.reports.iter().map(|(week, _)| *week));
        self.is_busy = false;
    }

    /// Removes what is prepared and was not sent, as far as there is no consent for it.
    fn drop_without_consent(&mut self) {
        let list = self.consent().list;
        if list.is_none() && self.tally.take().is_some() {
            self.changed.tally = true;
        }
        let is_waiting = |report: &KeptReport| matches!(report.state, ReportState::Waiting {});
        let is_covered = |report: &KeptReport| list.is_some_and(|list| report.payload.list() <= list);
        self.retain(|_, report| !is_waiting(report) || is_covered(report));
    }

    /// Removes reports that are too old to be sent or deleted.
    fn drop_old(&mut self, now: Week) {
        self.retain(|week, report| match report.state {
            ReportState::Waiting {} => now.since(*week) <= MAX_AGE_WEEKS,
            _ => now.since(*week) <= KEEP_WEEKS,
        });
    }

    fn retain(&mut self, keep: impl Fn(&Week, &KeptReport) -> bool) {
        let dropped = self.reports.extract_if(.., |week, report| !keep(week, report));
        self.changed.reports.extend(dropped.map(|(week, _)| week));
    }

    /// Notes the present hour and facts, and makes the report of a week that is over.
    fn note(&mut self, list: u16, set: &Set, now: Time) {
        let week = Week::of(now);
        if let Some(over) = self.tally.take_if(|tally| tally.week != week) {
            self.changed.tally = true;
            self.close(&over, list, week);
        }
        let Some(tally) = self.tally.take().or_else(|| Some(Tally::new(week, self.fresh.take()?))) else {
            return;
        };
        let tally = self.tally.insert(tally);
        // After the clock was set back, the next look can seem to be far away.
        let is_due = self.next_look.is_none_or(|next| now >= next || next > now.plus(LOOK_EVERY));
        if is_due || !tally.has_hour(now) {
            let wait = if self.next_look.is_none() { FIRST_LOOK } else { LOOK_EVERY };
            self.next_look = Some(now.plus(wait));
            self.changed.tally |= tally.note(now, &Observed::of(set, self.me, now, &self.local));
        }
    }

    /// Makes the report of a week that is over. Notes from a clock that was ahead are dropped, and so are old ones.
    fn close(&mut self, over: &Tally, list: u16, now: Week) {
        let is_fit = (1..=MAX_AGE_WEEKS).contains(&now.since(over.week));
        if is_fit && !self.reports.contains_key(&over.week) {
            let payload = over.payload(list);
            let due = over.week.end().plus(delay(&payload, self.spread));
            self.reports.insert(over.week, KeptReport::new(payload, over.secret, due));
            self.changed.reports.insert(over.week);
        }
    }

    /// Begins the next errand that is due.
    fn next_errand(&mut self, set: &Set, now: Time) -> Option<Errand> {
        let is_allowed = self.consent().list.is_some();
        let (collectors, week) = (self.reachable(set, now), Week::of(now));
        for (about, report) in self.reports.iter_mut().filter(|(_, report)| report.due <= now) {
            let may_send =
                is_allowed && report.has_attempts() && (1..=MAX_AGE_WEEKS).contains(&week.since(*about));
            let (collector, message) = match report.state {
                ReportState::Waiting {} if may_send => {
                    let Some(collector) = choose(&collectors, report) else { continue };
                    (collector, Message::Report(report.payload.clone()))
                }
                ReportState::Unconfirmed { collector } if may_send => {
                    (collector, Message::Report(report.payload.clone()))
                }
                ReportState::Forgetting { collector } => {
                    (collector, Message::Forget(report.secret, report.payload.clone()))
                }
                _ => continue,
            };
            if matches!(report.state, ReportState::Waiting {}) {
                report.state = ReportState::Unconfirmed { collector };
            }
            report.begin_attempt(now);
            self.changed.reports.insert(*about);
            self.is_busy = true;
            return Some(Errand { week: *about, collector, message });
        }
        None
    }

    /// Returns the collectors that publish addresses.
    fn reachable(&self, set: &Set, now: Time) -> Vec<PeerId> {
        let is_reachable =
            |peer: &&PeerId| set.bucket(&buckets::IPFS_ADDRESSES.of(**peer), now).next().is_some();
        self.collectors.iter().filter(is_reachable).copied().collect()
    }
}

/// Returns the collectors of a robot: the peers that admins name. A collector does not report about itself.
pub(crate) fn collectors(set: &Set, me: PeerId, now: Time) -> Vec<PeerId> {
    let named = set.bucket(&buckets::COLLECTORS.path(), now).take(MAX_COLLECTORS);
    let peers = named.filter_map(|view| view.item.data.as_str().parse::<PeerId>().ok());
    peers.filter(|peer| *peer != me && !set.is_denied(*peer, now)).collect()
}

/// Returns whether admins name a peer as a collector.
pub(crate) fn is_collector(set: &Set, peer: PeerId, now: Time) -> bool {
    set.item(&Item { bucket: buckets::COLLECTORS.path(), data: Data::from(peer) }, now).is_some()
}

/// Chooses a collector at random, by the ID of the report.
fn choose(collectors: &[PeerId], report: &KeptReport) -> Option<PeerId> {
    let id = report.payload.id();
    collectors.iter().copied().min_by_key(|peer| Digest::of(format!("{id} {peer}").as_bytes()))
}

/// Returns the delay of a report after the end of its week: a random part of `spread`, by the ID of the report.
fn delay(payload: &Payload, spread: u64) -> u64 {
    let [a, b, c, d, ..] = payload.id().0;
    (u64::from(u32::from_be_bytes([a, b, c, d])) * spread) >> 32
}

impl Decide for Reporter {
    type Action = Errand;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Errand> {
        self.changed.consent |= self.consent.note_file(&self.file);
        self.collectors = collectors(set, self.me, now.time);
        self.drop_without_consent();
        // With a wrong clock, a report would be about the wrong week.
        if !now.is_certain {
            return Decision::default();
        }
        self.drop_old(Week::of(now.time));
        if let Some(list) = self.consent().list {
            self.note(list, set, now.time);
        }
        let errand = if self.is_busy { None } else { self.next_errand(set, now.time) };
        let dues = self.reports.values().map(|report| report.due).filter(|due| *due > now.time);
        let hour = Time((now.time.0 / HOUR + 1).saturating_mul(HOUR));
        Decision {
            actions: errand.into_iter().collect(),
            wake: dues.chain([hour]).min(),
            ..Decision::default()
        }
    }
}

#[cfg(test)]
mod tests;
