//! Tests of the engine with a folder, a source and a journal that fail.

use super::*;
use crate::folder::Folder;
use crate::journal::JournalError;
use crate::object::{MIN_PART_BYTES, Metadata};
use crate::pace::Pace;
use crate::plan::{Part, Seen};
use crate::rows::Changes;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const SIZE: u64 = MIN_PART_BYTES + 100;

/// Zeros that cannot be read the first times.
struct Failing {
    times: AtomicU32,
    is_permanent: bool,
}

impl Source for Failing {
    fn size(&self) -> u64 {
        SIZE
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, SourceError> {
        let left =
            self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_sub(1));
        match left {
            Ok(_) => {
                Err(SourceError { message: "a block is missing".to_owned(), is_permanent: self.is_permanent })
            }
            Err(_) => Ok(vec![0; (range.end - range.start) as usize].into()),
        }
    }
}

/// A disk that cannot be written the first times.
#[derive(Default)]
struct Disk {
    times: AtomicU32,
    written: AtomicU32,
}

impl Journal for Disk {
    async fn write(&self, _: Changes) -> Result<(), JournalError> {
        let left =
            self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_sub(1));
        self.written.fetch_add(1, Ordering::Relaxed);
        left.map_or(Ok(()), |_| Err(JournalError("the disk is full".into())))
    }
}

struct Bench {
    root: tempfile::TempDir,
    destination: Folder,
    disk: Disk,
    progress: watch::Sender<Progress>,
    cancelled: CancellationToken,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let destination = Folder::open(root.path().to_owned(), "me", Pace::default()).unwrap();
        Self {
            root,
            destination,
            disk: Disk::default(),
            progress: watch::Sender::default(),
            cancelled: CancellationToken::new(),
        }
    }

    fn upload(&self) -> Upload {
        let object = Object::new("logs/a", SIZE, MIN_PART_BYTES, Metadata::default()).unwrap();
        Upload::new(object, self.destination.name().to_owned())
    }

    async fn run(&self, source: &Failing, upload: Upload) -> Upload {
        let Self { destination, disk, progress, cancelled, .. } = self;
        let engine = Engine { name: "a", destination, source, journal: disk, progress, cancelled };
        engine.run(upload).await
    }
}

/// A folder that takes a second to create or to complete, and counts its multipart uploads.
struct Slow<'a> {
    folder: &'a Folder,
    left: AtomicU32,
}

impl Slow<'_> {
    async fn work<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::time::sleep(Duration::from_secs(1)).await;
        work.await
    }
}

impl Destination for Slow<'_> {
    fn name(&self) -> &str {
        self.folder.name()
    }

    async fn look(&self, key: &str) -> Result<Option<Seen>, Trouble> {
        self.folder.look(key).await
    }

    async fn put(&self, object: &Object, content: Bytes) -> Result<Part, Trouble> {
        self.folder.put(object, content).await
    }

    async fn create(&self, object: &Object) -> Result<String, Trouble> {
        // The request has arrived, only the answer is slow.
        self.left.fetch_add(1, Ordering::Relaxed);
        self.work(self.folder.create(object)).await
    }

    async fn put_part(&self, object: &Object, id: &str, part: u32, content: Bytes) -> Result<Part, Trouble> {
        self.folder.put_part(object, id, part, content).await
    }

    async fn complete(&self, object: &Object, id: &str, parts: &BTreeMap<u32, Part>) -> Result<(), Trouble> {
        self.work(self.folder.complete(object, id, parts)).await?;
        self.left.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    async fn abort(&self, object: &Object, id: &str) -> Result<(), Trouble> {
        self.folder.abort(object, id).await?;
        self.left.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    async fn sweep(&self, object: &Object) -> Result<(), Trouble> {
        self.folder.sweep(object).await
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Trouble> {
        self.folder.read(key, range).await
    }
}

/// Runs an upload that is cancelled after this time, and returns its last stage.
async fn cancelled_after(moment: Duration) -> Stage {
    let bench = Bench::new();
    let slow = Slow { folder: &bench.destination, left: AtomicU32::new(0) };
    let (content, upload) = (source(0, false), bench.upload());
    let Bench { disk, progress, cancelled, .. } = &bench;
    let engine =
        Engine { name: "a", destination: &slow, source: &content, journal: disk, progress, cancelled };
    let cancelling = async {
        tokio::time::sleep(moment).await;
        bench.cancelled.cancel();
    };
    let (ended, ()) = tokio::join!(engine.run(upload), cancelling);
    assert_eq!(slow.left.load(Ordering::Relaxed), 0, "the folder holds a multipart upload");
    let is_stored = slow.look("logs/a").await.unwrap().is_some();
    assert_eq!(is_stored, matches!(ended.stage, Stage::Done { .. }), "{:?}", ended.stage);
    ended.stage
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_upload_waits_for_the_answer_to_create_and_complete() {
    let during_create = cancelled_after(Duration::from_millis(500)).await;
    assert_eq!(during_create, Stage::Failed { reason: "it was cancelled".to_owned(), unswept: None });
    let during_complete = cancelled_after(Duration::from_millis(1500)).await;
    assert!(matches!(during_complete, Stage::Done { unswept: None, .. }), "{during_complete:?}");
}

fn source(times: u32, is_permanent: bool) -> Failing {
    Failing { times: AtomicU32::new(times), is_permanent }
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_missing_for_a_while_makes_the_upload_wait() {
    let bench = Arc::new(Bench::new());
    let mut shown = bench.progress.subscribe();
    let running = bench.clone();
    // The future of an upload can run on any thread.
    let running = tokio::spawn(async move { running.run(&source(3, false), running.upload()).await });
    let waits = shown.wait_for(|progress| progress.waits.is_some()).await.unwrap().waits.clone();
    assert_eq!(waits.as_deref(), Some("a block is missing"));
    assert!(matches!(running.await.unwrap().stage, Stage::Done { .. }));
    let last = bench.progress.borrow().clone();
    assert_eq!(last, Progress { bytes: SIZE, size: SIZE, step: Step::Ended, waits: None });
}

#[tokio::test(start_paused = true)]
async fn content_that_cannot_be_read_ever_ends_the_upload_with_the_reason() {
    let bench = Bench::new();
    let ended = bench.run(&source(1, true), bench.upload()).await;
    assert_eq!(ended.stage, Stage::Failed { reason: "a block is missing".to_owned(), unswept: None });
    let mut larger = bench.upload();
    larger.object.size += 1;
    let Stage::Failed { reason, .. } = bench.run(&source(0, false), larger).await.stage else {
        panic!("not failed")
    };
    assert!(reason.starts_with("its size changed from"), "{reason}");
    assert!(!bench.root.path().join("logs").exists());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_state_cannot_be_written() {
    let bench = Bench::new();
    bench.disk.times.store(1000, Ordering::Relaxed);
    let waiting =
        tokio::time::timeout(Duration::from_secs(60), bench.run(&source(0, false), bench.upload())).await;
    assert!(waiting.is_err() && !bench.root.path().join("logs").exists());
    assert_eq!(
        bench.progress.borrow().waits.as_deref(),
        Some("the state of the upload cannot be written: the disk is full")
    );
    bench.disk.times.store(2, Ordering::Relaxed);
    assert!(matches!(bench.run(&source(0, false), bench.upload()).await.stage, Stage::Done { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_upload_begins_anew_at_another_destination() {
    let (bench, other) = (Bench::new(), Bench::new());
    let mut upload = bench.upload();
    for event in [Event::Hashed("00".to_owned()), Event::Looked(None), Event::Created("file".to_owned())] {
        let _ = upload.on(event);
    }
    let part = Part { tag: String::new(), md5: String::new() };
    let _ = upload.on(Event::PartStored(0, part));
    assert_eq!(upload.next(), Action::PutPart { id: "file".to_owned(), part: 1 });
    // The digest is not the right one here, so the folder refuses the file until the upload is given up.
    let content = source(0, false);
    let running = other.run(&content, upload);
    let cancelling = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        other.cancelled.cancel();
    };
    let (ended, ()) = tokio::join!(running, cancelling);
    assert_eq!(ended.stage, Stage::Failed { reason: "it was cancelled".to_owned(), unswept: None });
    assert_eq!(ended.destination, other.destination.name());
    assert_eq!(std::fs::read_dir(other.root.path().join("logs")).unwrap().count(), 0);
}
