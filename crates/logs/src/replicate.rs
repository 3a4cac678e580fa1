//! The pure decider of the verifier and the replicator. It decides which files to fetch, and what to state about the
//! kept files.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod begin;
mod copies;
mod hidden;
mod holders;
mod leaving;
mod letting_go;
mod outlook;
mod private;
mod rules;

use crate::buckets::{self, LIFETIME, Station};
use crate::catalog::known::Catalogs;
use crate::choose::Shortage;
use crate::index::{SharedFile, Signers, State};
use crate::info::Description;
use crate::let_go::LetGoFiles;
use crate::propose::is_fresh;
use crate::reasons::give as give_reason;
use crate::shares::Shares;
use crate::unlisted::UnlistedLooks;
use crate::versions::{Replaced, take_back};
use copies::Copies;
pub(crate) use copies::USUAL_HEAL;
pub use copies::{CopyRules, Pressure, ReleaseReason, USUAL_COPIES};
use dcache::{Item, Moment, PeerId, Set, Statements, Time, Validity};
pub use holders::Holders;
use ipfs::Cid;
pub use outlook::choose_files;
pub(crate) use outlook::start;
use rules::Rules;
use service::{Decide, Decision};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Maximum validity of a statement, in seconds.
const LONGEST: u64 = dcache::buckets::LONGEST_LIFETIME;

/// Decides which files this node fetches and keeps, and which statements it makes about them.
#[derive(Clone, Debug)]
pub struct Replication {
    me: PeerId,
    kept: BTreeMap<Cid, Description>,
    /// Files about which this node must retract its statements. A file leaves the set when that is done.
    lost: BTreeSet<Cid>,
    /// Files that the check found bad, with the reasons.
    bad: BTreeMap<Cid, String>,
    /// Files that this node does not keep and whose claims it has retracted. Such claims were made before the node lost
    /// its data, or by a copy of its SD card.
    retracted: BTreeSet<Cid>,
    let_go: LetGoFiles,
    /// Descriptions, as found in the content, of files that were dropped because their uploaders withdrew them.
    dropped: BTreeMap<Cid, Description>,
    /// Whether this decider has made its first decision.
    is_begun: bool,
    replaced: BTreeMap<Cid, Replaced>,
    changing: BTreeSet<Cid>,
    /// Own files that cannot be read now, since their disk is missing.
    away: BTreeSet<Cid>,
    is_short: bool,
    shortage: Shortage,
    /// Number of statements of the last decision for which there are no records. The catalogue makes them.
    unsaid: usize,
    /// The catalogues that this node has read.
    catalogs: Arc<Catalogs>,
    /// Files that the catalogue of this node lists.
    catalogued: Arc<BTreeSet<Cid>>,
    shares: Shares,
    unlisted: UnlistedLooks,
    /// Files whose fetch was tried and has not succeeded yet.
    tried: BTreeSet<Cid>,
    /// Files that were private at the last decision.
    private: BTreeSet<Cid>,
    copies: Copies,
}

/// Work for the I/O shell of the replicator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fetch, check and pin a file, or continue a fetch that is under way.
    Take {
        /// The file to fetch, from the statements about it.
        file: Box<SharedFile>,
        /// Peers that most likely hold the file.
        providers: Holders,
    },
    /// Unpin a file of another node that was discarded.
    Drop(Cid),
    /// Unpin a file of which other nodes keep enough copies, unless a person pinned it. In that case call
    /// [`Replication::stay`].
    Release(Cid, ReleaseReason),
    /// Stop sharing a file of this node's own folder that was discarded.
    Withdraw(Cid),
    /// Remove these files from the list of let-go files, so that they may be kept again.
    TakeBack(Vec<Cid>),
}

impl Replication {
    /// Creates the decider of the node `me`.
    pub fn new(me: PeerId) -> Self {
        let (kept, lost, bad) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let retracted = BTreeSet::new();
        let (let_go, is_begun, replaced, changing) =
            (LetGoFiles::new(), false, BTreeMap::new(), BTreeSet::new());
        let (is_short, shortage, tried) = (false, Shortage::default(), BTreeSet::new());
        let (shares, unlisted) = (Shares::default(), UnlistedLooks::default());
        Self {
            me,
            kept,
            lost,
            bad,
            retracted,
            let_go,
            dropped: BTreeMap::new(),
            is_begun,
            replaced,
            changing,
            away: BTreeSet::new(),
            is_short,
            shortage,
            unsaid: 0,
            catalogs: Arc::default(),
            catalogued: Arc::default(),
            shares,
            unlisted,
            tried,
            private: BTreeSet::new(),
            copies: Copies::default(),
        }
    }

    /// Sets the number of copies that the swarm should have of each file. Without rules, every node keeps every file.
    pub fn set_copy_rules(&mut self, rules: CopyRules) {
        self.copies.rules = rules;
    }

    /// Sets the room, in bytes, that this node has for files of other nodes. With 0, it keeps none.
    pub fn set_room(&mut self, room: u64) {
        self.copies.room = room;
    }

    /// Sets the space on the disk that this node lacks, so that it lets go of copies.
    pub fn set_pressure(&mut self, pressure: Pressure) {
        self.copies.pressure = pressure;
    }

    /// Replaces the list of files that a person pinned on this node. It always keeps these.
    pub fn set_pinned(&mut self, pinned: BTreeSet<Cid>) {
        self.copies.pinned = pinned;
    }

    /// Replaces the list of files of which another service of this node needs a copy. This node keeps them meanwhile.
    pub fn set_wanted(&mut self, wanted: BTreeSet<Cid>) {
        self.copies.wanted = wanted;
    }

    /// Notes that this node does not unpin a file although the decision was to release it.
    pub fn stay(&mut self, cid: Cid) {
        self.copies.stay(cid);
    }

    /// Returns whether this node should fetch a file that it does not keep.
    pub(crate) fn is_assigned(&self, cid: &Cid) -> bool {
        self.copies.is_assigned(cid)
    }

    /// Replaces the list of files that this node has checked and pinned, including its own files.
    pub fn set_kept(&mut self, kept: BTreeMap<Cid, Description>) {
        self.kept = kept;
    }

    /// Notes files that this node does not hold completely any more. The next decision retracts the statements of this
    /// node about them.
    pub fn lose(&mut self, lost: BTreeSet<Cid>) {
        self.lost.extend(lost);
    }

    /// Notes a file that the check found bad for this reason. The next decision discards it.
    pub fn reject(&mut self, cid: Cid, reason: String) {
        self.bad.insert(cid, reason);
    }

    /// Replaces the list of older versions of own files, and the set of own files that are being changed. None of them
    /// are fetched back.
    pub(crate) fn set_replaced(&mut self, replaced: BTreeMap<Cid, Replaced>, changing: BTreeSet<Cid>) {
        (self.replaced, self.changing) = (replaced, changing);
    }

    /// Replaces the set of own files that cannot be read now. The statements about them are not renewed.
    pub(crate) fn set_away(&mut self, away: BTreeSet<Cid>) {
        self.away = away;
    }

    /// Replaces the catalogues that this node has read, and the list of files that its own catalogue lists.
    pub(crate) fn set_catalogs(&mut self, catalogs: Arc<Catalogs>, catalogued: Arc<BTreeSet<Cid>>) {
        (self.catalogs, self.catalogued) = (catalogs, catalogued);
    }

    /// Returns the kept files of other peers that this node neither lets go of nor is about to. Its catalogue lists them.
    pub(crate) fn listed_of_others(&self) -> BTreeSet<Cid> {
        let is_listed = |(cid, description): &(&Cid, &Description)| {
            description.uploader != self.me
                && !self.copies.leaving.is_leaving(cid)
                && !self.is_let_go(cid)
                && !self.lost.contains(*cid)
        };
        self.kept.iter().filter(is_listed).map(|(cid, _)| *cid).collect()
    }

    /// Returns the number of statements of the last decision that only the catalogue of this node makes.
    pub(crate) fn unsaid(&self) -> usize {
        self.unsaid
    }

    /// Notes whether own files are left out because the record quota of this node is used up.
    pub(crate) fn set_short(&mut self, is_short: bool) {
        self.is_short = is_short;
    }

    /// Replaces the list of files whose fetch was tried and has not succeeded yet.
    pub(crate) fn set_tried(&mut self, tried: BTreeSet<Cid>) {
        self.tried = tried;
    }

    /// Returns the tracker of unlisted files: kept files that no peer lists any more.
    pub(crate) fn unlisted(&mut self) -> &mut UnlistedLooks {
        &mut self.unlisted
    }

    /// Returns the disk usage of each uploader at the last decision.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Returns the files of this node, at the last decision, whose uploaders deny that their logs leave their own networks.
    pub(crate) fn private(&self) -> &BTreeSet<Cid> {
        &self.private
    }

    /// Returns the number of files that the last decision left out because the record quota of this node is used up.
    pub(crate) fn left_out(&self) -> usize {
        self.shortage.left_out
    }
}

impl Decide for Replication {
    type Action = Action;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Action> {
        let time = now.time;
        let (mut files, edge) = self.outlook(set, time);
        files.extend(self.hidden(set, &files, time));
        self.shares = Shares::new(&self.kept, &files, (set, self.me, time));
        // A catalogue that was not read yet may list any file.
        if self.has_all_catalogs(set, time) {
            self.unlisted.look((&self.kept, self.me), &files, now);
        }
        self.private = self.find_private(set, time);
        let (lost, bad) = (self.lost.clone(), std::mem::take(&mut self.bad));
        let has_quota = self.shortage.left_out == 0;
        let lists = (&files, &self.kept, &*self.catalogued);
        let copies = self.copies.look(set, lists, (self.me, now, has_quota));
        let mut decision = self.let_go(set, &files, now);
        decision.wake = decision.wake.into_iter().chain(edge).chain(copies.wake).min();
        decision.statements.append(copies.statements);
        decision
            .actions
            .extend(copies.released.into_iter().map(|(cid, reason)| Action::Release(cid, reason)));
        for (file, reason) in bad.iter().filter_map(|(cid, reason)| Some((files.get(cid)?, reason))) {
            decision.statements.append(discard(file, time));
            give_reason(&mut decision.statements, (set, self.me), &file.cid, Some(reason), time);
        }
        let withdrawn = self.withdrawn(set, time);
        for cid in &withdrawn {
            decision.statements.append(take_back(cid, (set, self.me, time)));
            decision.actions.push(Action::Drop(*cid));
        }
        decision.statements.append(self.withdraw(&files, set, time));
        let is_short = self.is_short || self.shortage.is_short || self.unsaid > 0;
        if is_short {
            decision.statements.append(self.forsake(set, time));
        }
        let rules = Rules::new(set, self.me, (is_short, self.has_many_own()), time);
        let mut steps = plan(&files, &self.kept, &rules);
        let is_done = |cid: &Cid| lost.contains(cid) || bad.contains_key(cid) || withdrawn.contains(cid);
        steps.retain(|(cid, _)| !is_done(cid) && !self.is_replaced(cid) && !self.is_let_go(cid));
        steps.retain(|(cid, step)| !self.away.contains(cid) || matches!(step, Step::Drop | Step::Withdraw));
        steps.retain(|(cid, step)| self.fits_copies(cid, *step));
        let unsaid = self.leave_to_catalog(&mut steps, &files, set, time);
        self.follow(steps, &files, (set, &rules), &mut decision);
        self.unsaid += unsaid;
        decision
    }
}

impl Replication {
    /// Returns whether a step agrees with the decision about the number of copies.
    fn fits_copies(&self, cid: &Cid, step: Step) -> bool {
        match step {
            Step::Take => self.copies.is_assigned(cid),
            Step::Keep => !self.copies.leaving.is_leaving(cid),
            Step::Drop | Step::Withdraw | Step::Describe | Step::Verify => true,
        }
    }
}

/// The next step for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Fetch, check and pin it.
    Take,
    /// Unpin it: it was discarded.
    Drop,
    /// Stop sharing it although it is in this node's own folder: it was discarded.
    Withdraw,
    /// State its description.
    Describe,
    /// State that it is good.
    Verify,
    /// State that this node keeps it.
    Keep,
}

/// Returns the next steps, file by file. `kept` holds the files that this node has checked and pinned, including its
/// own.
fn plan(
    files: &BTreeMap<Cid, SharedFile>,
    kept: &BTreeMap<Cid, Description>,
    rules: &Rules,
) -> Vec<(Cid, Step)> {
    let steps = files.values().flat_map(|file| match kept.get(&file.cid) {
        Some(description) => with_kept(file, description, rules),
        None if file.state == State::Discarded => Vec::new(),
        None => vec![(file.cid, Step::Take)],
    });
    steps.collect()
}

fn with_kept(file: &SharedFile, description: &Description, rules: &Rules) -> Vec<(Cid, Step)> {
    let is_own = description.uploader == rules.me;
    let mut steps = Vec::new();
    match file.state_with(description.uploader) {
        // The verifier must not be the uploader, and the uploader must have proposed the file.
        State::Shared if !is_own && file.proposers.contains_key(&description.uploader) => {
            steps.push(if rules.may_keep { Step::Keep } else { Step::Verify });
        }
        State::Shared => {}
        State::Verified | State::Safe if is_fresh(file.holders.get(&rules.me), rules.edge(is_own)) => {}
        State::Verified | State::Safe => steps.push(Step::Keep),
        // Without roles, any stranger can discard a file. This node found the file good itself, and continues to state
        // that it keeps the file. A statement is not repeated before half of its lifetime is over, so this costs few
        // records. A discard by the uploader is handled as a withdrawal instead.
        State::Discarded if !rules.has_roles => steps.push(Step::Keep),
        State::Discarded if is_own => steps.push(Step::Withdraw),
        State::Discarded => steps.push(Step::Drop),
    }
    let is_let_go = matches!(steps[..], [Step::Withdraw | Step::Drop]);
    // Other peers accept the description of a file only from its uploader and from peers that verified or keep it.
    let is_believed = is_own || file.has_looked(rules.me) || !steps.is_empty();
    if !is_let_go && is_believed && !is_described(file, description, rules) {
        steps.insert(0, Step::Describe);
    }
    steps.into_iter().map(|step| (file.cid, step)).collect()
}

/// Returns whether a fetch of the file can begin. A record about a file may arrive before the addresses of its holders.
/// A fetch that began then would block a fetch slot. Files that this node itself has held may still be on its disk.
pub(crate) fn is_in_reach(file: &SharedFile, me: PeerId, has_address: bool) -> bool {
    has_address || file.likely_holders().any(|peer| peer == me)
}

/// Returns whether the file's description is valid for long enough. The uploader renews it after half its lifetime;
/// other peers only when the uploader does not. A peer with a role also corrects a description that differs from the
/// file that it found. The uploader describes its file itself also when others do: only then can it withdraw the file. Its
/// own description is gone after a denial that was taken back.
fn is_described(file: &SharedFile, description: &Description, rules: &Rules) -> bool {
    let is_own = description.uploader == rules.me;
    let edge = if is_own { rules.edge(is_own) } else { rules.now.plus(LIFETIME / 4) };
    let is_signed = !is_own || file.is_described_by_uploader;
    let lasts = is_signed && file.described_until.is_some_and(|until| until > edge);
    let corrects = is_own || rules.has_roles && rules.may_keep;
    lasts && (!corrects || file.description.as_ref() == Some(description))
}

/// Returns the statements of a step. A node dismisses a file from the earlier bucket only if it proposed the file there.
/// The dismissal then replaces its own record, so it needs no further one. Other peers dismiss the file in the same way.
fn statements(step: Step, file: &SharedFile, description: &Description, rules: &Rules) -> Statements {
    let mut statements = Statements::new();
    let lasting = Validity::stated(rules.now, rules.lifetime(description.uploader == rules.me));
    match step {
        Step::Take | Step::Drop | Step::Withdraw => {}
        Step::Describe => {
            // A description that is too long for a record is in the info file only.
            if let Ok(data) = description.to_data() {
                statements.propose(Item { bucket: buckets::info(&file.cid), data }, lasting);
            }
        }
        Step::Verify => {
            statements.propose(Station::Verified.item(&file.cid), lasting);
        }
        Step::Keep => {
            statements.propose(Station::Safe.item(&file.cid), lasting);
            if file.verifiers.contains_key(&rules.me) {
                leave(&mut statements, Station::Verified, file, &file.verifiers, rules.now);
            }
        }
    }
    statements
}

/// Returns the statements that discard a bad file.
fn discard(file: &SharedFile, now: Time) -> Statements {
    let mut statements = Statements::new();
    statements.propose(Station::Discard.item(&file.cid), Validity::stated(now, LIFETIME));
    leave(&mut statements, Station::Files, file, &file.proposers, now);
    statements
}

/// Dismisses a file from a bucket until the last proposal by any peer expires.
fn leave(statements: &mut Statements, station: Station, file: &SharedFile, signers: &Signers, now: Time) {
    let until = signers.values().map(|until| until.unwrap_or(now.plus(LONGEST))).max();
    if let Some(until) = until {
        let seconds = until.since(now).min(LONGEST);
        statements.dismiss(station.item(&file.cid), Validity::stated(now, seconds));
    }
}

#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod tests;
