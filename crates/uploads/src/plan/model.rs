//! Property tests of the plan: a model of a storage that loses answers, refuses, forgets and damages, and of a process that
//! crashes between any two steps.

use super::*;
use crate::object::{MIN_PART_BYTES, Metadata};
use crate::rows::{self, Row};
use md5::{Digest as _, Md5};
use proptest::prelude::*;

const NAME: &str = "bafy";

/// The fate of one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The storage performs the action, and the answer is lost.
    AnswerLost,
    /// The storage does not perform the action.
    NotPerformed,
    /// The storage denies the action.
    Denied,
    /// The storage forgets all multipart uploads before the action, as its lifecycle rule demands.
    Forgets,
    /// A part arrives damaged, and the storage does not notice.
    Damages,
    /// The storage performs the action only after the plan has gone on.
    Late,
    /// Another node with the same content completes its own upload, and aborts all others.
    Rival,
}

/// Moment at which the process crashes during an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    No,
    BeforeIntent,
    AfterIntent,
    BeforeResult,
    AfterResult,
}

#[derive(Clone, Debug, Default)]
struct Stored {
    seen: Option<Seen>,
    is_damaged: bool,
}

#[derive(Clone, Debug, Default)]
struct Storage {
    object: Stored,
    uploads: BTreeMap<String, BTreeMap<u32, (Part, bool)>>,
    created: u32,
    completed: u32,
}

fn part(number: u32) -> Part {
    let md5 = checks::hex(&Md5::digest(number.to_be_bytes()));
    Part { tag: format!("\"{md5}\""), md5 }
}

impl Storage {
    fn seen(object: &Object, tag: Option<String>) -> Option<Seen> {
        Some(Seen { size: object.size, sha256: object.sha256().map(str::to_owned), tag, is_hashed: false })
    }

    fn perform(&mut self, action: &Action, upload: &Upload, is_damaged: bool) -> Event {
        let object = &upload.object;
        match action {
            Action::Hash => Event::Hashed("00ff".to_owned()),
            Action::Look => Event::Looked(self.object.seen.clone()),
            Action::Put => {
                self.object = Stored { seen: Self::seen(object, None), is_damaged: false };
                Event::Stored(part(0))
            }
            Action::Create => {
                self.created += 1;
                self.uploads.insert(self.created.to_string(), BTreeMap::new());
                Event::Created(self.created.to_string())
            }
            Action::PutPart { id, part: number } => {
                let Some(parts) = self.uploads.get_mut(id) else { return Event::Failed(Failure::NoUpload) };
                let mut stored = part(*number);
                if is_damaged {
                    stored.tag = "\"ffffffffffffffffffffffffffffffff\"".to_owned();
                }
                parts.insert(*number, (stored.clone(), is_damaged));
                Event::PartStored(*number, stored)
            }
            Action::Complete { id } => self.complete(id, upload),
            Action::Abort { id } => match self.uploads.remove(id) {
                Some(_) => Event::Aborted,
                None => Event::Failed(Failure::NoUpload),
            },
            Action::Sweep => {
                self.uploads.clear();
                Event::Swept
            }
            Action::End => unreachable!("the upload has ended"),
        }
    }

    fn complete(&mut self, id: &str, upload: &Upload) -> Event {
        let Some(parts) = self.uploads.get(id) else { return Event::Failed(Failure::NoUpload) };
        let is_stored =
            |(number, part): (&u32, &Part)| parts.get(number).is_some_and(|(own, _)| own.tag == part.tag);
        assert_eq!(upload.parts.len() as u32, upload.object.parts(), "*complete* names all parts");
        if !upload.parts.iter().all(is_stored) {
            return Event::Failed(Failure::PartsRefused);
        }
        let is_damaged = parts.values().any(|(_, is_damaged)| *is_damaged);
        let tag = checks::tag_of(parts.values().map(|(part, _)| part));
        self.object = Stored { seen: Self::seen(&upload.object, tag), is_damaged };
        self.uploads.remove(id);
        self.completed += 1;
        Event::Completed
    }
}

/// The process, with its disk.
struct Node {
    upload: Upload,
    disk: BTreeMap<String, String>,
    storage: Storage,
    /// Actions that the storage will still perform.
    late: Vec<(Action, Upload)>,
}

impl Node {
    fn new(size: u64) -> Self {
        let object = Object::new("logs/bafy", size, MIN_PART_BYTES, Metadata::default()).unwrap();
        let upload = Upload::new(object, "s3://bucket".to_owned());
        let mut node = Self { upload, disk: BTreeMap::new(), storage: Storage::default(), late: Vec::new() };
        node.write(&PartChange::None);
        node
    }

    fn write(&mut self, change: &PartChange) {
        for (key, row) in rows::after(NAME, &self.upload, change) {
            match row {
                Some(row) => self.disk.insert(key, serde_json::to_string(&row).unwrap()),
                None => self.disk.remove(&key),
            };
        }
    }

    fn crash(&mut self) {
        let read = |(key, row): (&String, &String)| (key.clone(), serde_json::from_str::<Row>(row).unwrap());
        self.upload = rows::uploads(self.disk.iter().map(read).collect()).remove(NAME).unwrap();
    }

    fn step(&mut self, fault: Fault, crash: Crash) {
        let action = self.upload.next();
        if action == Action::End {
            return;
        }
        if crash == Crash::BeforeIntent {
            return self.crash();
        }
        if self.upload.begin(&action) {
            self.write(&PartChange::None);
        }
        if crash == Crash::AfterIntent {
            return self.crash();
        }
        let event = self.perform(&action, fault);
        if crash == Crash::BeforeResult {
            return self.crash();
        }
        let change = self.upload.on(event);
        self.write(&change);
        if crash == Crash::AfterResult {
            self.crash();
        }
    }

    fn perform(&mut self, action: &Action, fault: Fault) -> Event {
        let is_damaged = fault == Fault::Damages && !matches!(action, Action::PutPart { part: 0, .. });
        match fault {
            Fault::Denied if *action != Action::Hash => {
                return Event::Failed(Failure::Denied("no".to_owned()));
            }
            Fault::NotPerformed | Fault::Denied => return Event::Failed(Failure::Temporary),
            Fault::Late => {
                self.late.push((action.clone(), self.upload.clone()));
                return Event::Failed(Failure::Temporary);
            }
            Fault::Forgets => self.storage.uploads.clear(),
            Fault::Rival if self.upload.object.sha256().is_some() => {
                self.storage.object = Stored {
                    seen: Storage::seen(&self.upload.object, Some("rival".to_owned())),
                    is_damaged: false,
                };
                self.storage.uploads.clear();
            }
            _ => {}
        }
        let event = self.storage.perform(action, &self.upload, is_damaged);
        if fault == Fault::AnswerLost { Event::Failed(Failure::Temporary) } else { event }
    }

    fn perform_late(&mut self) {
        for (action, upload) in std::mem::take(&mut self.late) {
            let _ = self.storage.perform(&action, &upload, false);
        }
    }

    /// Runs to the end without faults, and returns the number of steps.
    fn finish(&mut self) -> u32 {
        let limit = self.upload.object.parts() * 3 + 40;
        for step in 0..limit {
            if self.upload.is_ended() {
                return step;
            }
            self.step(Fault::None, Crash::No);
        }
        panic!("the upload does not end: {:?}", self.upload);
    }

    fn assert_whole(&self) {
        let seen = self.storage.object.seen.as_ref().expect("there is an object");
        assert!(seen.is(&self.upload.object));
        assert!(!self.storage.object.is_damaged, "a damaged part was not sent again");
    }

    fn assert_nothing_else(&self) {
        assert!(self.storage.uploads.is_empty(), "orphans: {:?} {:?}", self.storage.uploads, self.upload);
    }
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::None),
        3 => Just(Fault::AnswerLost),
        1 => Just(Fault::NotPerformed),
        1 => Just(Fault::Forgets),
        1 => Just(Fault::Damages),
    ]
}

fn crashes() -> impl Strategy<Value = Crash> {
    prop_oneof![
        6 => Just(Crash::No),
        1 => Just(Crash::BeforeIntent),
        1 => Just(Crash::AfterIntent),
        2 => Just(Crash::BeforeResult),
        1 => Just(Crash::AfterResult),
    ]
}

fn histories(faults: impl Strategy<Value = Fault>) -> impl Strategy<Value = Vec<(Fault, Crash)>> {
    prop::collection::vec((faults, crashes()), 0..40)
}

fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(MIN_PART_BYTES), MIN_PART_BYTES + 1..MIN_PART_BYTES * 6]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn after_crashes_and_lost_answers_there_is_one_whole_object_and_nothing_else(
        size in sizes(), history in histories(faults())
    ) {
        let mut node = Node::new(size);
        for (fault, crash) in history {
            node.step(fault, crash);
        }
        node.finish();
        match &node.upload.stage {
            Stage::Done { unswept, .. } => {
                prop_assert_eq!(unswept, &None);
                node.assert_whole();
            }
            // Only a storage that forgot all parts again and again makes the plan give up.
            Stage::Failed { unswept, .. } => {
                prop_assert_eq!(unswept, &None);
                prop_assert!(node.upload.restarts > MAX_RESTARTS);
            }
            other => prop_assert!(false, "{:?}", other),
        }
        node.assert_nothing_else();
    }

    #[test]
    fn an_upload_that_is_given_up_ends_with_a_whole_object_or_leaves_nothing(
        size in sizes(), before in histories(faults()), after in histories(faults())
    ) {
        let mut node = Node::new(size);
        for (fault, crash) in before {
            node.step(fault, crash);
        }
        let change = node.upload.on(Event::GaveUp("not wanted".to_owned()));
        node.write(&change);
        for (fault, crash) in after {
            node.step(fault, crash);
        }
        node.finish();
        match &node.upload.stage {
            Stage::Done { .. } => node.assert_whole(),
            _ => prop_assert!(node.storage.object.seen.is_none(), "{:?}", node.upload),
        }
        node.assert_nothing_else();
    }

    #[test]
    fn late_requests_leave_at_most_what_arrived_after_the_sweep(
        size in sizes(),
        history in histories(prop_oneof![3 => faults(), 1 => Just(Fault::Late)]),
        lateness in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut node = Node::new(size);
        for ((fault, crash), performs_late) in history.into_iter().zip(lateness) {
            node.step(fault, crash);
            // Requests that arrive after the end are counted below.
            if performs_late && !node.upload.is_ended() {
                node.perform_late();
            }
        }
        node.finish();
        node.assert_nothing_else();
        let creates = node.late.iter().filter(|(action, _)| *action == Action::Create).count();
        node.perform_late();
        prop_assert!(node.storage.uploads.len() <= creates);
        if matches!(node.upload.stage, Stage::Done { .. }) {
            node.assert_whole();
        }
    }

    #[test]
    fn two_nodes_that_upload_the_same_content_do_not_hinder_each_other(
        size in sizes(), history in histories(prop_oneof![5 => faults(), 1 => Just(Fault::Rival)])
    ) {
        let mut node = Node::new(size);
        for (fault, crash) in history {
            node.step(fault, crash);
        }
        node.finish();
        if matches!(node.upload.stage, Stage::Done { .. }) {
            node.assert_whole();
        }
        node.assert_nothing_else();
    }

    #[test]
    fn a_denial_never_ends_an_upload_and_a_denied_sweep_is_reported(
        size in sizes(), denials in 0_usize..40
    ) {
        let mut node = Node::new(size);
        node.step(Fault::None, Crash::No);
        for _ in 0..denials {
            node.step(Fault::Denied, Crash::No);
            prop_assert!(!node.upload.is_ended());
        }
        while !matches!(node.upload.stage, Stage::Sweeping { .. } | Stage::Done { .. }) {
            let fault = if node.upload.next() == Action::Create && node.upload.unanswered == 0 {
                Fault::AnswerLost
            } else {
                Fault::None
            };
            node.step(fault, Crash::No);
        }
        while !node.upload.is_ended() {
            node.step(Fault::Denied, Crash::No);
        }
        let Stage::Done { unswept, .. } = &node.upload.stage else { panic!("{:?}", node.upload) };
        prop_assert_eq!(unswept.is_some(), node.upload.object.parts() > 1);
        node.assert_whole();
    }
}

#[test]
fn the_wait_grows_to_five_minutes_and_a_success_resets_it() {
    let mut node = Node::new(1);
    let mut waits = Vec::new();
    for _ in 0..12 {
        node.step(Fault::NotPerformed, Crash::No);
        waits.push(node.upload.wait(0.5).as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert!(node.upload.wait(0.0) < node.upload.wait(1.0));
    node.step(Fault::None, Crash::No);
    assert_eq!(node.upload.wait(0.5), Duration::ZERO);
}

#[test]
fn a_completion_that_fails_again_and_again_is_tried_at_growing_intervals() {
    let mut node = Node::new(MIN_PART_BYTES + 1);
    while !matches!(node.upload.next(), Action::Complete { .. }) {
        node.step(Fault::None, Crash::No);
    }
    let mut last = Duration::ZERO;
    for _ in 0..6 {
        node.step(Fault::NotPerformed, Crash::No);
        let wait = node.upload.wait(0.5);
        assert!(wait > last, "{wait:?}");
        last = wait;
        // The look shows no object.
        node.step(Fault::None, Crash::No);
        assert_eq!(node.upload.wait(0.5), wait);
    }
    assert_eq!(node.storage.created, 1, "no part is sent again");
    node.finish();
    node.assert_whole();
}

#[test]
fn without_faults_each_part_is_sent_once() {
    let mut node = Node::new(MIN_PART_BYTES * 3);
    // Hash, look, create, three parts, complete, look, sweep.
    assert_eq!(node.finish(), 9);
    assert_eq!(
        node.upload.stage,
        Stage::Done { checked: Checked { was_sent: true, by_digest: true }, unswept: None }
    );
    assert_eq!(node.disk.len(), 1, "the rows of the parts are removed");
}
