//! Uploads to a real S3-compatible storage, which fails in all ways that a proxy can make it fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use lab::Unavailable;
use lab::peers::{Seaweedfs, SeaweedfsOptions, StorageList, seaweedfs_available};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::proxy::{Fault, Proxy};
use support::{Bench, NAME, Numbers, PART, bucket, digest_of};
use tokio_util::sync::CancellationToken;
use uploads::{Destination as _, Pace, Patience, Stage, Storage, Upload};

/// A storage with the bucket `logs`.
struct Cloud {
    storage: Seaweedfs,
    credentials: PathBuf,
    folder: tempfile::TempDir,
}

impl Cloud {
    /// Starts the storage; `None` if it is not installed.
    fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &SeaweedfsOptions::default())
    }

    fn start_with(test: &str, options: &SeaweedfsOptions) -> Option<Self> {
        lab::or_skip(test, seaweedfs_available())?;
        let folder = tempfile::tempdir().unwrap();
        let storage = Seaweedfs::start(folder.path(), options).unwrap();
        storage.create_bucket("logs").unwrap();
        Some(Self { credentials: storage.credentials_file().unwrap(), storage, folder })
    }

    fn direct(&self, pace: Pace) -> Storage {
        bucket(&self.storage.endpoint(), &self.credentials, pace, Patience::default())
    }

    fn behind(&self, proxy: &Proxy, patience: Patience) -> Storage {
        bucket(&proxy.endpoint(), &self.credentials, Pace::default(), patience)
    }

    fn assert_exactly_one_whole_object(&self, bench: &Bench) {
        let key = format!("swarm/logs/{NAME}");
        let expected = StorageList { objects: vec![key.clone()], uploads: Vec::new() };
        assert_eq!(self.storage.list("logs").unwrap(), expected);
        let copy = self.folder.path().join("copy");
        let headers = self.storage.fetch(&format!("/logs/{key}"), &copy).unwrap().to_ascii_lowercase();
        assert_eq!(digest_of(&copy), bench.sha256);
        assert!(headers.contains(&format!("x-amz-meta-sha256: {}", bench.sha256)), "{headers}");
        assert!(headers.contains("x-amz-meta-name: my log.bag"), "{headers}");
    }

    fn assert_empty(&self) {
        assert_eq!(self.storage.list("logs").unwrap(), StorageList::default());
    }

    fn delete(&self) {
        let (status, text) = self.storage.request("DELETE", &format!("/logs/swarm/logs/{NAME}")).unwrap();
        assert_eq!(status, 204, "{text}");
    }
}

fn assert_done(upload: &Upload) {
    assert!(matches!(upload.stage, Stage::Done { unswept: None, .. }), "{:?}", upload.stage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_all_sizes_are_uploaded_once_and_read_again() {
    let Some(cloud) = Cloud::start("objects_of_all_sizes_are_uploaded_once_and_read_again") else { return };
    let storage = cloud.direct(Pace::default());
    for size in [0, 1, PART, PART + 1, 3 * PART, 4 * PART + 4711] {
        let bench = Bench::new(size, size);
        let upload = bench.run(&storage).await;
        let Stage::Done { checked, unswept: None } = upload.stage else { panic!("{:?}", upload.stage) };
        assert!(checked.was_sent && checked.by_digest, "{size}: {checked:?}");
        cloud.assert_exactly_one_whole_object(&bench);
        // Another node has the same content, and finds it.
        std::fs::remove_file(bench.state()).unwrap();
        let Stage::Done { checked, .. } = bench.run(&storage).await.stage else { panic!("not done") };
        assert!(!checked.was_sent);
        if size > 10 {
            let piece = storage.read(&format!("logs/{NAME}"), 1..9).await.unwrap();
            assert_eq!(piece, std::fs::read(&bench.file).unwrap()[1..9]);
        }
        cloud.delete();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_dropped_at_random_moments_ends_in_one_whole_object() {
    let Some(cloud) = Cloud::start("an_upload_that_is_dropped_at_random_moments_ends_in_one_whole_object")
    else {
        return;
    };
    let mut numbers = Numbers(7);
    for round in 0..20 {
        let bench = Bench::new(3 * PART + 4711, round);
        let (begun, mut drops) = (Instant::now(), 0);
        // The first rounds are slowed down, so that each drop hits another moment.
        let upload = loop {
            let storage = cloud.direct(Pace::new(Some(20_000_000)));
            let moment = Duration::from_millis(numbers.next(1200));
            match tokio::time::timeout(moment, bench.run(&storage)).await {
                Ok(upload) => break upload,
                Err(_) => drops += 1,
            }
        };
        println!("round {round}: {drops} drops, {:?}", begun.elapsed());
        assert_done(&upload);
        cloud.assert_exactly_one_whole_object(&bench);
        cloud.delete();
    }
    cloud.assert_empty();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_at_twenty_random_moments_leaves_one_whole_object() {
    let test = "a_process_that_is_killed_at_twenty_random_moments_leaves_one_whole_object";
    let Some(cloud) = Cloud::start(test) else { return };
    let program = lab::example("uploads", "upload").unwrap();
    let bench = Bench::new(8 * PART + 4711, 1);
    let mut numbers = Numbers(11);
    let mut kills = 0;
    loop {
        let mut command = tokio::process::Command::new(&program);
        command.arg(bench.state()).args(["s3://logs/swarm", &cloud.storage.endpoint()]);
        command.arg(&cloud.credentials).arg(&bench.file).args([NAME, "12000000"]).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let moment = Duration::from_millis(50 + numbers.next(600));
        let ended = if kills < 20 {
            tokio::time::timeout(moment, child.wait()).await
        } else {
            Ok(child.wait().await)
        };
        match ended {
            Ok(status) => {
                assert!(status.unwrap().success());
                break;
            }
            Err(_) => {
                child.start_kill().unwrap();
                child.wait().await.unwrap();
                kills += 1;
            }
        }
    }
    println!("{kills} kills");
    assert!(kills >= 10, "the upload ended after {kills} kills: it has to be slower");
    let key = format!("swarm/logs/{NAME}");
    let expected = StorageList { objects: vec![key.clone()], uploads: Vec::new() };
    assert_eq!(cloud.storage.list("logs").unwrap(), expected);
    let copy = cloud.folder.path().join("copy");
    cloud.storage.fetch(&format!("/logs/{key}"), &copy).unwrap();
    assert_eq!(digest_of(&copy), bench.sha256);
}

const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
const FULL: &str = "<Error><Code>InsufficientStorage</Code><Message>no room</Message></Error>";
const NO_BUCKET: &str = "<Error><Code>NoSuchBucket</Code></Error>";
const BUSY: &str = "<Error><Code>SlowDown</Code></Error>";

/// Returns a fault for about half of all requests, and none after many requests.
fn random_fault(number: usize, seed: u64) -> Fault {
    let mut numbers = Numbers(seed.wrapping_mul(1000) + number as u64);
    numbers.next(2);
    match numbers.next(16) {
        _ if number > 60 => Fault::None,
        0 => Fault::Answer(403, DENIED),
        1 => Fault::Answer(507, FULL),
        2 => Fault::Answer(503, BUSY),
        3 => Fault::Answer(500, ""),
        4 | 5 => Fault::AnswerLost,
        6 => Fault::NotForwarded,
        7 => Fault::Slow(Duration::from_millis(100)),
        8 => Fault::Damaged,
        _ => Fault::None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storage_that_refuses_is_full_and_loses_answers_gets_one_whole_object() {
    let test = "a_storage_that_refuses_is_full_and_loses_answers_gets_one_whole_object";
    let Some(cloud) = Cloud::start(test) else { return };
    // With other seeds, the waits after faults take up to two minutes.
    for seed in [0, 1, 4] {
        let bench = Bench::new(2 * PART + 4711, seed);
        let proxy = Proxy::start(cloud.storage.port(), move |asked| random_fault(asked.number, seed)).await;
        let begun = Instant::now();
        let upload = bench.run(&cloud.behind(&proxy, Patience::default())).await;
        let asked = proxy.asked();
        let faults = asked.iter().filter(|(_, fault)| *fault != Fault::None).count();
        println!("seed {seed}: {} requests, {faults} faults, {:?}", asked.len(), begun.elapsed());
        assert_done(&upload);
        cloud.assert_exactly_one_whole_object(&bench);
        cloud.delete();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_to_create_leaves_no_multipart_upload() {
    let Some(cloud) = Cloud::start("a_lost_answer_to_create_leaves_no_multipart_upload") else { return };
    let bench = Bench::new(PART + 4711, 1);
    let proxy = Proxy::start(cloud.storage.port(), |asked| match asked.query.starts_with("uploads") {
        true if asked.number < 6 && asked.method == http::Method::POST => Fault::AnswerLost,
        _ => Fault::None,
    });
    let proxy = proxy.await;
    let storage = cloud.behind(&proxy, Patience::default());
    let first = tokio::time::timeout(Duration::from_secs(2), bench.run(&storage)).await;
    assert!(first.is_err());
    let strays = cloud.storage.list("logs").unwrap().uploads;
    assert!(!strays.is_empty(), "the test makes strays");
    assert_done(&bench.run(&storage).await);
    cloud.assert_exactly_one_whole_object(&bench);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_cancelled_at_random_moments_leaves_nothing_or_a_whole_object() {
    let test = "an_upload_that_is_cancelled_at_random_moments_leaves_nothing_or_a_whole_object";
    let Some(cloud) = Cloud::start(test) else { return };
    let (mut numbers, mut objects) = (Numbers(3), 0);
    for round in 0..20 {
        let bench = Bench::new(2 * PART + 4711, round);
        let storage = cloud.direct(Pace::new(Some(20_000_000)));
        let cancelled = CancellationToken::new();
        let moment = Duration::from_millis(numbers.next(900));
        let cancel = async {
            tokio::time::sleep(moment).await;
            cancelled.cancel();
        };
        let (upload, ()) = tokio::join!(bench.run_until_cancelled(&storage, &cancelled), cancel);
        match upload.stage {
            Stage::Done { unswept: None, .. } => {
                cloud.assert_exactly_one_whole_object(&bench);
                cloud.delete();
                objects += 1;
            }
            Stage::Failed { unswept: None, .. } => cloud.assert_empty(),
            stage => panic!("{stage:?}"),
        }
    }
    println!("{objects} of 20 were done before");
    assert!(objects < 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_storage_is_left_after_the_patience_and_the_upload_goes_on() {
    let Some(cloud) = Cloud::start("a_silent_storage_is_left_after_the_patience_and_the_upload_goes_on")
    else {
        return;
    };
    let bench = Bench::new(2 * PART, 5);
    let proxy = Proxy::start(cloud.storage.port(), |asked| match asked.number {
        1 | 3 | 6 => Fault::Silent,
        _ => Fault::None,
    });
    let proxy = proxy.await;
    let second = Duration::from_secs(1);
    let patience = Patience { connect: second, stall: second, answer: second };
    assert_done(&bench.run(&cloud.behind(&proxy, patience)).await);
    let silent = proxy.asked().iter().filter(|(_, fault)| *fault == Fault::Silent).count();
    assert_eq!(silent, 3);
    cloud.assert_exactly_one_whole_object(&bench);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trouble_is_told_with_the_way_out() {
    let Some(cloud) = Cloud::start("each_trouble_is_told_with_the_way_out") else { return };
    let key = format!("logs/{NAME}");
    let object = uploads::Object::new(&key, 10, PART, uploads::Metadata::default()).unwrap();
    let told = async |storage: &Storage| storage.create(&object).await.unwrap_err().to_string();
    let endpoint = cloud.storage.endpoint();

    let wrong = cloud.folder.path().join("wrong");
    std::fs::copy(&cloud.credentials, &wrong).unwrap();
    let text = std::fs::read_to_string(&wrong).unwrap();
    std::fs::write(&wrong, text.replace("lab-secret", "other")).unwrap();
    let storage = bucket(&endpoint, &wrong, Pace::default(), Patience::default());
    let message = told(&storage).await;
    assert!(message.contains("does not accept the credentials (SignatureDoesNotMatch"), "{message}");
    assert!(!message.contains("other"), "{message}");
    // The corrected file takes effect at the next attempt.
    std::fs::write(&wrong, text).unwrap();
    storage.abort(&object, &storage.create(&object).await.unwrap()).await.unwrap();

    // SeaweedFS makes a missing bucket itself. So a proxy answers in its place, as S3 does.
    let proxy = Proxy::start(cloud.storage.port(), |_| Fault::Answer(404, NO_BUCKET)).await;
    let message = told(&cloud.behind(&proxy, Patience::default())).await;
    assert!(message.contains("has no bucket of this name"), "{message}");

    let closed = bucket("http://127.0.0.1:1", &cloud.credentials, Pace::default(), Patience::default());
    let message = told(&closed).await;
    assert!(message.contains("127.0.0.1:1 cannot be reached"), "{message}");
    let unknown = bucket("http://storage.invalid", &cloud.credentials, Pace::default(), Patience::default());
    let message = told(&unknown).await;
    assert!(message.contains("the name storage.invalid has no address"), "{message}");
}

/// Creates a self-signed certificate for 127.0.0.1 with the program openssl.
fn certificate(folder: &Path) -> Result<(PathBuf, PathBuf), Unavailable> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", "2", "-subj", "/CN=storage.lab", "-addext", "subjectAltName=IP:127.0.0.1"]);
    // By default openssl creates a certificate that may sign others, which clients refuse as a server certificate.
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.arg("-keyout").arg(&key).arg("-out").arg(&certificate);
    let made = command
        .output()
        .map_err(|error| Unavailable { reason: format!("openssl cannot be run: {error}") })?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok((certificate, key))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_connects_only_to_a_trusted_storage() {
    let test = "tls_connects_only_to_a_trusted_storage";
    let files = tempfile::tempdir().unwrap();
    let Some(pair) = lab::or_skip(test, certificate(files.path())) else { return };
    let options = SeaweedfsOptions { certificate: Some(pair.clone()), ..SeaweedfsOptions::default() };
    let Some(cloud) = Cloud::start_with(test, &options) else { return };
    let settings = uploads::Settings {
        destination: Some("s3://logs/swarm".parse().unwrap()),
        endpoint: Some(cloud.storage.endpoint()),
        credentials_file: Some(cloud.credentials.clone()),
        ca_file: Some(pair.0),
        ..uploads::Settings::default()
    };
    let open = |settings: &uploads::Settings| {
        settings.open(|path| path, "test", Pace::default(), Patience::default()).unwrap().unwrap()
    };
    let bench = Bench::new(2 * PART + 1, 1);
    assert_done(&bench.run(&open(&settings)).await);
    cloud.assert_exactly_one_whole_object(&bench);
    // The system does not trust that certificate.
    let stranger = open(&uploads::Settings { ca_file: None, ..settings.clone() });
    let message = stranger.look("logs/a").await.unwrap_err().to_string();
    assert!(message.starts_with("the encrypted connection failed"), "{message}");
    // Without TLS nothing is sent.
    let plain = settings.endpoint.as_ref().unwrap().replace("https:", "http:");
    let plain = open(&uploads::Settings { endpoint: Some(plain), ca_file: None, ..settings.clone() });
    assert!(plain.look("logs/a").await.is_err());
}
