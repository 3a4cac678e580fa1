//! The pure decider: which files this node uploads, and which files of other robots it keeps until they are uploaded.
//!
//! - A file is uploaded when its uploader permits it ([`Terms`]), and when no peer with the role *trusted* states that it
//!   is in a storage ([`logs::Receipt`]).
//! - Files are found in records and in the catalogues of robots, and so are receipts.
//! - Several nodes may upload. For each file they are ranked by rendezvous hashing over the CID and the peer ID. The first
//!   one uploads the file at once, each further one [`TURN`] later. So a file is usually uploaded once. A second upload of
//!   the same content does no harm.
//! - A node with a destination keeps the files that it is going to upload. A *mule* has no destination, and keeps the
//!   files that are not uploaded yet, so that a node with a destination can fetch them from it. Both let go of a file
//!   when it is uploaded.
//! - In the open swarm nobody holds a role, so nothing is uploaded or carried.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod receipts;
mod search;
#[cfg(test)]
pub(crate) mod tests;

use crate::priority::{Priority, rank as priority_of};
use crate::stated::{state_terms, uploaders};
use dcache::{Data, Digest, Item, Kind, Moment, PeerId, Set, Time, buckets};
use ipfs::Cid;
use logs::{
    Catalogs, Counting, ReceiptMap, SharedFile, State, Terms, choose_files, index_counting, is_uploaded,
    is_withdrawn,
};
use receipts::ListedLooks;
use search::{PATIENCE, Search};
use serde::{Deserialize, Serialize};
use service::{Decide, Decision};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Time, in seconds, by which each further uploader of a file lets the earlier ones go first.
const TURN: u64 = 900;
/// Maximum time, in seconds, that counts between two decisions. A longer time means that the clock was set or that the
/// host was suspended. The daemon decides at least once a minute.
const LONGEST_STEP: u64 = 90;
/// Number of records, as a multiple of the number of files, that one decision examines to find files to upload. Most
/// files of a swarm are uploaded already.
const EXAMINED: usize = 16;
/// Maximum number of files of other robots that this node keeps until they are uploaded. Each decision considers all of them.
const MAX_CARRIED: usize = 4096;
/// Mean number of bytes that a fetch brings in a second at least. After an hour, and the time that a slower fetch needs, a
/// file that is not here gives its place to one that waits for room.
const SLOW_FETCH: u64 = 100_000;

/// A file of another robot that this node keeps until it is uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedFile {
    /// Name of the file.
    pub name: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Robot that shared the file.
    pub uploader: PeerId,
    /// Whether the file is not needed any more, and waits to be unpinned.
    #[serde(default)]
    pub is_released: bool,
}

/// The settings on which the decisions depend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadRules {
    /// Name of the destination of this node, if it has one.
    pub destination: Option<String>,
    /// Whether the logs of this node may be uploaded.
    pub is_allowed: bool,
    /// Whether the logs of this node may not even leave its own networks.
    pub is_denied: bool,
    /// Whether this node carries files that it does not upload itself.
    pub carries: bool,
    /// Maximum size, in bytes, of all files of other robots that this node keeps until they are uploaded.
    pub max_carried: u64,
    /// Files that go first, in this order.
    pub priorities: Vec<Priority>,
}

/// Decides about uploads.
#[derive(Clone, Debug)]
pub struct Uploading {
    me: PeerId,
    rules: UploadRules,
    kept: Arc<BTreeSet<Cid>>,
    begun: BTreeSet<Cid>,
    done: ReceiptMap,
    carried: BTreeMap<Cid, CarriedFile>,
    /// The catalogues that this node has read, with its own one.
    catalogs: Arc<Catalogs>,
    stopwatch: Stopwatch,
    search: Search,
    listed_looks: ListedLooks,
    waiting: BTreeMap<Cid, WaitingUpload>,
    /// Whether files waited for room at the last decision.
    is_crowded: bool,
    has_role: bool,
}

/// Work for the I/O shell. Each decision names all files to upload and to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Upload a file that this node keeps, or continue. The files come in the order of their priorities and turns.
    Upload(Box<SharedFile>),
    /// Give up an upload that was begun, and remove what it left in the destination.
    Cancel(Cid, CancelReason),
    /// Keep a file of another robot until it is uploaded; fetch it if it is not here.
    Carry(Cid, CarriedFile),
    /// Do not keep the file any more for its upload.
    Release(Cid),
    /// Forget the receipt of an upload.
    Forget(Cid),
}

/// Reason why an upload is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// The uploader of the file denies uploads.
    Denied,
    /// The file was discarded or withdrawn, or no peer shares it any more.
    Gone,
    /// Another node has uploaded the file.
    Uploaded,
}

impl CancelReason {
    /// Returns the reason as a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Denied => "its robot does not permit the upload of its logs any more",
            Self::Gone => "the file is not shared any more",
            Self::Uploaded => "another robot has uploaded it",
        }
    }
}

/// A file that is not uploaded yet, and not being uploaded here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingUpload {
    /// Name of the file.
    pub name: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Robot that shared the file.
    pub uploader: PeerId,
    /// Reason for the wait.
    pub reason: WaitReason,
}

/// Reason why a file is not uploaded yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// The uploader of the file has not permitted uploads.
    NotPermitted,
    /// Another uploader has the first turn.
    NotFirst,
    /// This node does not have the file yet.
    NotHere,
    /// The files that this node keeps for uploads use up their limit.
    LimitReached,
    /// This node has no destination and carries the file to one that has.
    OnBoard,
    /// Several peers claim to be the uploader, or none signed the description.
    Unsure,
}

impl WaitReason {
    /// Returns the reason as a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotPermitted => {
                "its robot has not permitted the upload of its logs, by its permission file or by `allow` in its section [uploads]"
            }
            Self::NotFirst => "another robot has the first turn to upload it",
            Self::NotHere => "this robot does not have the file yet",
            Self::LimitReached => "the files kept here until they are uploaded use up `carry_max_mib`",
            Self::OnBoard => "this robot carries it to one that uploads",
            Self::Unsure => "it is not certain which robot recorded the file",
        }
    }
}

/// Measures the time between decisions in seconds, without the jumps of a clock that is set.
#[derive(Clone, Copy, Debug, Default)]
struct Stopwatch {
    last: Option<Time>,
    elapsed: u64,
}

impl Stopwatch {
    fn read(&mut self, now: Time) -> u64 {
        let step = self.last.map_or(0, |last| now.since(last)).min(LONGEST_STEP);
        self.last = Some(now);
        self.elapsed += step;
        self.elapsed
    }
}

/// The parts of a decision that are the same for all files.
struct View<'a> {
    set: &'a Set,
    now: Time,
    elapsed: u64,
    /// The nodes that upload; empty if this node does not.
    uploaders: BTreeSet<PeerId>,
    /// The catalogues that count.
    counting: Counting<'a>,
}

/// Place of a file in the queue: its priority, and the time since when it needs an upload.
type Place = (usize, u64);

/// The files of one decision, by what happens to them.
#[derive(Default)]
struct Choice {
    uploads: Vec<(Place, Box<SharedFile>)>,
    actions: Vec<Action>,
    waiting: BTreeMap<Cid, WaitingUpload>,
    /// Size, in bytes, of the files of other robots that stay here until they are uploaded.
    carried_bytes: u64,
    /// Number of these files.
    carried_files: usize,
    /// Files of other robots that could be kept as well.
    candidates: Vec<(Place, Cid, CarriedFile)>,
}

impl Uploading {
    /// Creates the decider of the node `me`.
    pub fn new(me: PeerId, rules: UploadRules) -> Self {
        Self {
            me,
            rules,
            kept: Arc::default(),
            begun: BTreeSet::new(),
            done: ReceiptMap::default(),
            carried: BTreeMap::new(),
            catalogs: Arc::default(),
            stopwatch: Stopwatch::default(),
            search: Search::default(),
            listed_looks: ListedLooks::default(),
            waiting: BTreeMap::new(),
            is_crowded: false,
            has_role: false,
        }
    }

    /// Sets whether the logs of this node may be uploaded, and whether they may not even leave its own networks.
    pub fn set_permission(&mut self, is_allowed: bool, is_denied: bool) {
        (self.rules.is_allowed, self.rules.is_denied) = (is_allowed, is_denied);
    }

    /// Replaces the list of files that are pinned on this node.
    pub fn set_kept(&mut self, kept: Arc<BTreeSet<Cid>>) {
        self.kept = kept;
    }

    /// Replaces the list of uploads that were begun and have not ended.
    pub fn set_begun(&mut self, begun: BTreeSet<Cid>) {
        self.begun = begun;
    }

    /// Replaces the receipts of the uploads that have ended.
    pub fn set_done(&mut self, done: ReceiptMap) {
        self.done = done;
    }

    /// Replaces the list of files that this node keeps until they are uploaded.
    pub fn set_carried(&mut self, carried: BTreeMap<Cid, CarriedFile>) {
        self.carried = carried;
    }

    /// Replaces the catalogues that this node has read, with its own one.
    pub fn set_catalogs(&mut self, catalogs: Arc<Catalogs>) {
        self.catalogs = catalogs;
    }

    /// Returns the files that were not uploaded yet at the last decision, and that this node does not upload now.
    pub fn waiting(&self) -> &BTreeMap<Cid, WaitingUpload> {
        &self.waiting
    }

    /// Returns whether this node held the role at the last decision that makes its receipts count.
    pub fn has_role(&self) -> bool {
        self.has_role
    }

    fn uploads(&self) -> bool {
        self.rules.destination.is_some() && self.has_role
    }
}

impl Decide for Uploading {
    type Action = Action;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Action> {
        let elapsed = self.stopwatch.read(now.time);
        self.has_role = may_state_receipts(set, self.me, now.time);
        let terms = Terms { is_allowed: self.rules.is_allowed, destination: self.rules.destination.clone() };
        let terms = state_terms(&terms, self.rules.is_denied, (set, self.me), now.time);
        let mut decision = Decision::state(terms, None);
        // Only the order among uploaders depends on the other ones.
        let uploaders = if self.uploads() { uploaders(set, self.me, now.time) } else { BTreeSet::new() };
        let catalogs = self.catalogs.clone();
        let counting = Counting::new(set, &catalogs, None, now.time);
        let view = View { set, now: now.time, elapsed, uploaders, counting };
        self.state_receipts(&view, &mut decision);
        let files = self.outlook(&view, &mut decision);
        self.search.retain(|cid| files.contains_key(cid));
        let mut choice = Choice::default();
        self.judge_begun(&files, &view, &mut choice);
        for file in files.values() {
            self.judge(file, &view, &mut choice);
        }
        self.judge_missing(&files, &mut choice);
        self.fill(&mut choice, elapsed);
        choice.uploads.sort_by_key(|(place, file)| (*place, changed(file), file.cid));
        decision.actions.append(&mut choice.actions);
        decision.actions.extend(choice.uploads.into_iter().map(|(_, file)| Action::Upload(file)));
        self.is_crowded = choice.waiting.values().any(|file| file.reason == WaitReason::LimitReached);
        self.waiting = choice.waiting;
        decision
    }
}

impl Uploading {
    /// Returns the files that this decision considers: those that this node uploads or carries already, those that it found
    /// to need an upload, and a bounded number of others that are not uploaded yet.
    fn outlook(&mut self, view: &View<'_>, decision: &mut Decision<Action>) -> BTreeMap<Cid, SharedFile> {
        let View { set, now, counting, .. } = view;
        let known = self.begun.iter().chain(self.carried.keys()).chain(self.search.needs());
        let mut cids: BTreeSet<Cid> = known.copied().collect();
        let is_active = !set.policy().roots().is_empty() && (self.uploads() || self.rules.carries);
        if is_active {
            let is_meant = |cid: &Cid| !self.done.contains(cid) && !is_uploaded(counting, cid);
            cids.append(&mut choose_files(set, self.me, (EXAMINED, &is_meant), *now));
            cids.append(&mut self.search(view));
            decision.wake = self.search.wake(*now);
        }
        index_counting(set, counting, &cids, *now)
    }

    /// Cancels the uploads that are not wanted any more.
    fn judge_begun(&self, files: &BTreeMap<Cid, SharedFile>, view: &View<'_>, choice: &mut Choice) {
        for cid in &self.begun {
            let file = files.get(cid);
            let is_denied = || {
                let terms = file.and_then(uploader).and_then(|peer| Terms::of(view.set, peer, view.now));
                terms.is_some_and(|terms| !terms.is_allowed)
            };
            let is_gone = file.map_or(!self.kept.contains(cid), |file| is_gone(file, view));
            let reason = match () {
                () if is_gone => CancelReason::Gone,
                () if is_uploaded(&view.counting, cid) => CancelReason::Uploaded,
                () if is_denied() => CancelReason::Denied,
                () => continue,
            };
            choice.actions.push(Action::Cancel(*cid, reason));
        }
    }

    /// Decides about one file that a peer lists.
    fn judge(&mut self, file: &SharedFile, view: &View<'_>, choice: &mut Choice) {
        let is_over =
            is_gone(file, view) || self.done.contains(&file.cid) || is_uploaded(&view.counting, &file.cid);
        if is_over {
            self.search.remove(&file.cid);
            return self.release(file.cid, choice);
        }
        let Some(description) = &file.description else { return };
        let is_certain = (file.is_described_by_uploader || file.is_described_by_role) && !file.is_contested;
        let carried = CarriedFile {
            name: description.filename.clone(),
            bytes: description.size,
            uploader: description.uploader,
            is_released: false,
        };
        let terms = Terms::of(view.set, description.uploader, view.now);
        let is_mine = description.uploader == self.me;
        let is_allowed =
            if is_mine { Some(self.rules.is_allowed) } else { terms.map(|terms| terms.is_allowed) };
        match is_allowed {
            _ if !is_certain => choice.wait(file.cid, &carried, WaitReason::Unsure),
            Some(true) => self.serve(file, carried, view, choice),
            // The terms of a robot that is away for long expire. The node keeps the file, since the robot permitted it.
            None if self.is_carried(&file.cid) => {
                choice.wait(file.cid, &carried, WaitReason::NotPermitted);
                choice.carry(file.cid, carried);
            }
            Some(false) | None => {
                self.search.remove(&file.cid);
                choice.wait(file.cid, &carried, WaitReason::NotPermitted);
                self.release(file.cid, choice);
            }
        }
    }

    /// Decides about a file that may be uploaded and is not.
    fn serve(&mut self, file: &SharedFile, carried: CarriedFile, view: &View<'_>, choice: &mut Choice) {
        let cid = file.cid;
        let since = self.search.note(cid, carried.uploader, (view.elapsed, self.carried.len()));
        let place = (priority_of(&self.rules.priorities, file.description.as_ref()), since);
        let is_due = || {
            let turn = rank(self.me, &view.uploaders, &cid) * TURN;
            self.begun.contains(&cid) || view.elapsed >= since.saturating_add(turn)
        };
        let (is_here, is_mine) = (self.kept.contains(&cid), carried.uploader == self.me);
        let uploads = self.uploads() && is_due();
        if uploads && is_here {
            choice.uploads.push((place, Box::new(file.clone())));
        } else if !uploads {
            let reason = if self.uploads() { WaitReason::NotFirst } else { WaitReason::OnBoard };
            choice.wait(cid, &carried, reason);
        }
        if is_mine || !(uploads || self.rules.carries) {
            // The shared folder holds own files.
        } else if self.is_carried(&cid) && !is_here && self.is_overdue(&cid, &carried, view) {
            self.search.remove(&cid);
            self.release(cid, choice);
        } else if self.is_carried(&cid) {
            if uploads && !is_here {
                choice.wait(cid, &carried, WaitReason::NotHere);
            }
            choice.carry(cid, carried);
        } else {
            choice.candidates.push((place, cid, carried));
        }
    }

    /// Returns whether a carried file could not be fetched for long while others wait for room.
    fn is_overdue(&self, cid: &Cid, file: &CarriedFile, view: &View<'_>) -> bool {
        let patience = PATIENCE + file.bytes / SLOW_FETCH;
        self.is_crowded && self.search.is_overdue(cid, patience, view.elapsed)
    }

    /// Lets go of carried files that no peer lists any more and that are not here.
    fn judge_missing(&self, files: &BTreeMap<Cid, SharedFile>, choice: &mut Choice) {
        for (cid, carried) in self.carried.iter().filter(|(cid, _)| !files.contains_key(*cid)) {
            match self.kept.contains(cid) && !carried.is_released {
                true => choice.carry(*cid, carried.clone()),
                false => self.release(*cid, choice),
            }
        }
    }

    /// Adds further files of other robots while the limit permits: by priority, and then those that wait longest first.
    fn fill(&mut self, choice: &mut Choice, elapsed: u64) {
        let mut candidates = std::mem::take(&mut choice.candidates);
        candidates.sort_by_key(|(place, cid, _)| (*place, *cid));
        for (_, cid, carried) in candidates {
            let is_here = self.kept.contains(&cid);
            let has_room = choice.carried_files < MAX_CARRIED
                && choice.carried_bytes.saturating_add(carried.bytes) <= self.rules.max_carried;
            if has_room {
                if !is_here {
                    choice.wait(cid, &carried, WaitReason::NotHere);
                }
                self.search.note_asked(&cid, elapsed);
                choice.carry(cid, carried);
            } else if !is_here {
                choice.wait(cid, &carried, WaitReason::LimitReached);
            }
        }
    }

    fn is_carried(&self, cid: &Cid) -> bool {
        self.carried.get(cid).is_some_and(|carried| !carried.is_released)
    }

    fn release(&self, cid: Cid, choice: &mut Choice) {
        if self.carried.contains_key(&cid) {
            choice.actions.push(Action::Release(cid));
        }
    }
}

impl Choice {
    /// Notes why a file is not uploaded. The last reason of a file counts.
    fn wait(&mut self, cid: Cid, file: &CarriedFile, reason: WaitReason) {
        let CarriedFile { name, bytes, uploader, .. } = file.clone();
        self.waiting.insert(cid, WaitingUpload { name, bytes, uploader, reason });
    }

    fn carry(&mut self, cid: Cid, file: CarriedFile) {
        self.carried_bytes = self.carried_bytes.saturating_add(file.bytes);
        self.carried_files += 1;
        self.actions.push(Action::Carry(cid, file));
    }
}

fn uploader(file: &SharedFile) -> Option<PeerId> {
    file.description.as_ref().map(|description| description.uploader)
}

/// Returns whether a file was discarded, or withdrawn by its uploader.
fn is_gone(file: &SharedFile, view: &View<'_>) -> bool {
    let is_withdrawn = |description| is_withdrawn(view.set, &file.cid, description, view.now);
    file.state == State::Discarded || file.description.as_ref().is_some_and(is_withdrawn)
}

fn changed(file: &SharedFile) -> Option<Time> {
    file.description.as_ref().map(|description| description.changed)
}

/// Returns whether a statement of `me` that it uploaded a file would count.
fn may_state_receipts(set: &Set, me: PeerId, now: Time) -> bool {
    let may = |bucket| set.may(Kind::Propose, &Item { bucket, data: Data::default() }, me, now).is_ok();
    buckets::UPLOADS.of("any").is_ok_and(may)
}

/// Returns the number of uploaders whose turn to upload the file comes before that of `me`.
fn rank(me: PeerId, uploaders: &BTreeSet<PeerId>, cid: &Cid) -> u64 {
    let score = |peer: PeerId| *Digest::of(format!("{cid} {peer}").as_bytes()).as_bytes();
    let own = score(me);
    uploaders.iter().filter(|peer| score(**peer) > own).count() as u64
}
