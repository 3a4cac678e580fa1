//! Parts that the tests of real destinations share.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod proxy;

use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{OpenError, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uploads::{
    Destination as _, Engine, FileSource, Metadata, Object, Pace, Patience, Progress, Settings, Source as _,
    Storage, Upload, UploadTable,
};

/// Size of the parts in bytes.
pub(crate) const PART: u64 = 5 << 20;
/// Name of the object.
pub(crate) const NAME: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

/// A generator of numbers from a seed.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        // The constants of Knuth's MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// A file to upload, and the state of its upload.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) file: PathBuf,
    pub(crate) sha256: String,
    pub(crate) size: u64,
}

impl Bench {
    /// Makes a file of this size. Its content follows from the seed.
    pub(crate) fn new(size: u64, seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("my log.bag");
        let mut numbers = Numbers(seed);
        let content: Vec<u8> = (0..size).map(|_| numbers.next(256) as u8).collect();
        std::fs::write(&file, &content).unwrap();
        Self { file, sha256: digest(&content), size, folder }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state.redb")
    }

    /// Opens the store, and returns the upload: the recorded one, or a new one.
    pub(crate) async fn open(&self, storage: &Storage) -> (UploadTable, Upload) {
        let store = Arc::new(self.open_store().await);
        let (table, mut known) = UploadTable::open(store.table("uploads/progress")).unwrap();
        if let Some(upload) = known.remove(NAME) {
            return (table, upload);
        }
        let metadata = Metadata::default().with("name", "my log.bag").unwrap().with("robot", "ente").unwrap();
        let object = Object::new(&format!("logs/{NAME}"), self.size, PART, metadata).unwrap();
        let upload = Upload::new(object, storage.name().to_owned());
        table.add(NAME, &upload).await.unwrap();
        (table, upload)
    }

    /// Opens the store. The writer of an upload that was just dropped holds the store until its last change is on the disk.
    async fn open_store(&self) -> Store {
        let begun = Instant::now();
        loop {
            match Store::open(&self.state()) {
                Err(OpenError::InUse(_)) if begun.elapsed() < Duration::from_secs(60) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                opened => return opened.unwrap().0,
            }
        }
    }

    /// Runs the upload with the state on the disk.
    pub(crate) async fn run(&self, storage: &Storage) -> Upload {
        self.run_until_cancelled(storage, &CancellationToken::new()).await
    }

    pub(crate) async fn run_until_cancelled(
        &self,
        storage: &Storage,
        cancelled: &CancellationToken,
    ) -> Upload {
        let (table, upload) = self.open(storage).await;
        let source = FileSource::open(&self.file).unwrap();
        assert_eq!(source.size(), self.size);
        let (progress, shown) = watch::channel(Progress::default());
        let engine = Engine {
            name: NAME,
            destination: storage,
            source: &source,
            journal: &table,
            progress: &progress,
            cancelled,
        };
        let ended = engine.run(upload).await;
        assert_eq!(shown.borrow().size, self.size);
        ended
    }
}

pub(crate) fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn digest_of(file: &Path) -> String {
    digest(&std::fs::read(file).unwrap())
}

/// Opens the bucket `logs` at an endpoint.
pub(crate) fn bucket(endpoint: &str, credentials: &Path, pace: Pace, patience: Patience) -> Storage {
    let settings = Settings {
        destination: Some("s3://logs/swarm".parse().unwrap()),
        endpoint: Some(endpoint.to_owned()),
        credentials_file: Some(credentials.to_owned()),
        ..Settings::default()
    };
    settings.open(|path| path, "test", pace, patience).unwrap().unwrap()
}
