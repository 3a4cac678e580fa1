//! The registry over HTTP, with images in an OCI layout: requests byte by byte, and skopeo as the engine.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use bytes::Bytes;
use http_server::{Listener, Router};
use registry::{Digest, Platform, Reader, Repository, Settings, Source, SourceError, Tag, routes};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Images in a folder with the layout of OCI.
struct Layout(PathBuf);

/// A file of the layout. A file with the name `stall` beside the layout stops it.
struct File {
    rest: Vec<u8>,
    stall: PathBuf,
}

impl Layout {
    fn blob(&self, digest: &Digest) -> PathBuf {
        self.0.join("blobs").join(digest.as_str().replace(':', "/"))
    }
}

impl Source for Layout {
    type Reader = File;

    async fn resolve(&self, _: &Repository, tag: &Tag) -> Result<Digest, SourceError> {
        let index = fs::read(self.0.join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        let images = index["manifests"].as_array().unwrap();
        let is_tagged = |image: &&serde_json::Value| {
            image["annotations"]["org.opencontainers.image.ref.name"] == tag.as_str()
        };
        let image = images.iter().find(is_tagged).ok_or(SourceError::Missing)?;
        Ok(image["digest"].as_str().unwrap().parse().unwrap())
    }

    async fn size(&self, _: &Repository, digest: &Digest) -> Result<u64, SourceError> {
        fs::metadata(self.blob(digest)).map(|file| file.len()).map_err(|_| SourceError::Missing)
    }

    async fn open(&self, _: &Repository, digest: &Digest, offset: u64) -> Result<File, SourceError> {
        let bytes = fs::read(self.blob(digest)).map_err(|_| SourceError::Missing)?;
        let rest = bytes[usize::try_from(offset).unwrap()..].to_vec();
        Ok(File { rest, stall: self.0.with_extension("stall") })
    }
}

impl Reader for File {
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        if self.stall.exists() {
            std::future::pending::<()>().await;
        }
        let chunk: Vec<u8> = self.rest.drain(..self.rest.len().min(10_000)).collect();
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }
}

async fn serve(layout: &Path) -> SocketAddr {
    let settings = Settings {
        platform: Platform { os: "linux".to_owned(), architecture: "amd64".to_owned() },
        stall_limit: Duration::from_millis(500),
    };
    let router = Router::new(vec![routes(Layout(layout.to_path_buf()), settings)]).unwrap();
    let listen = http_server::Settings::new("127.0.0.1:0".parse().unwrap(), "registry_port", Vec::new());
    let listener = Listener::bind(listen).await.unwrap();
    let address = listener.address().unwrap();
    tokio::spawn(listener.serve(router));
    address
}

/// Sends a request. Returns the head and the body of the answer.
async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that was closed in the middle of a body is an error in some cases.
    let _ = stream.read_to_end(&mut answer).await;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase(), answer[end + 4..].to_vec())
}

fn put(layout: &Path, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let folder = layout.join("blobs/sha256");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(&digest.as_str()[7..]), bytes).unwrap();
    digest
}

/// Makes a layout with one image. Returns the digests of its layer and of its manifest.
fn small_image(layout: &Path) -> (Digest, Digest) {
    let config = put(layout, b"{}");
    let layer = put(layout, &[7; 25_000]);
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":25000}}]}}"#
    );
    let manifest = put(layout, manifest.as_bytes());
    let index = format!(
        r#"{{"manifests":[{{"digest":"{manifest}","annotations":{{"org.opencontainers.image.ref.name":"v1"}}}}]}}"#
    );
    fs::write(layout.join("index.json"), index).unwrap();
    (layer, manifest)
}

#[tokio::test]
async fn manifests_and_blobs_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let (layer, manifest) = small_image(&layout);
    let address = serve(&layout).await;
    let (head, body) = ask(address, "GET", "/v2/", "").await;
    assert!(head.starts_with("http/1.1 200") && body == b"{}", "{head}");
    for reference in ["v1", manifest.as_str()] {
        let path = format!("/v2/robot/app/manifests/{reference}");
        let (head, body) = ask(address, "GET", &path, "").await;
        assert!(head.contains("content-type: application/vnd.oci.image.manifest.v1+json"), "{head}");
        assert!(head.contains(&format!("docker-content-digest: {manifest}")), "{head}");
        assert_eq!(Digest::of(&body), manifest);
        let (head, none) = ask(address, "HEAD", &path, "").await;
        assert!(head.contains(&format!("content-length: {}", body.len())) && none.is_empty(), "{head}");
    }
    let path = format!("/v2/robot/app/blobs/{layer}");
    let (head, body) = ask(address, "GET", &path, "").await;
    assert!(head.contains("content-length: 25000"), "{head}");
    assert_eq!(body, [7; 25_000]);
    let (head, body) = ask(address, "HEAD", &path, "").await;
    assert!(head.contains("content-length: 25000") && body.is_empty(), "{head}");
    let (head, body) = ask(address, "GET", &path, "Range: bytes=20000-\r\n").await;
    assert!(
        head.starts_with("http/1.1 206") && head.contains("content-range: bytes 20000-24999/25000"),
        "{head}"
    );
    assert_eq!(body.len(), 5000);
    let (head, _) = ask(address, "GET", &path, "Range: bytes=25000-\r\n").await;
    assert!(head.starts_with("http/1.1 416"), "{head}");
}

#[tokio::test]
async fn what_does_not_exist_is_told_by_the_codes_of_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    small_image(&layout);
    let address = serve(&layout).await;
    let other = Digest::of(b"other");
    for (path, status, code) in [
        ("/v2/robot/app/manifests/v2".to_owned(), 404, "MANIFEST_UNKNOWN"),
        (format!("/v2/robot/app/manifests/{other}"), 404, "MANIFEST_UNKNOWN"),
        (format!("/v2/robot/app/blobs/{other}"), 404, "BLOB_UNKNOWN"),
        ("/v2/robot/app/blobs/latest".to_owned(), 400, "DIGEST_INVALID"),
        ("/v2/../app/manifests/v1".to_owned(), 400, "NAME_INVALID"),
        ("/v2/_catalog".to_owned(), 404, "UNSUPPORTED"),
        ("/v2/robot/app/tags/list".to_owned(), 404, "UNSUPPORTED"),
    ] {
        let (head, body) = ask(address, "GET", &path, "").await;
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{path}: {head}");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["errors"][0]["code"], code, "{path}");
    }
    let (head, _) = ask(address, "PUT", "/v2/robot/app/manifests/v1", "Content-Length: 0\r\n").await;
    assert!(head.starts_with("http/1.1 405"), "{head}");
}

#[tokio::test]
async fn an_image_with_a_missing_or_damaged_part_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let (layer, manifest) = small_image(&layout);
    let address = serve(&layout).await;
    let status = async || ask(address, "HEAD", "/v2/robot/app/manifests/v1", "").await.0[9..12].to_owned();
    assert_eq!(status().await, "200");
    let blob = layout.join("blobs").join(layer.as_str().replace(':', "/"));
    fs::write(&blob, [7; 24_999]).unwrap();
    assert_eq!(status().await, "404");
    fs::remove_file(&blob).unwrap();
    assert_eq!(status().await, "404");
    let (_, body) = ask(address, "GET", "/v2/robot/app/manifests/v1", "").await;
    assert!(String::from_utf8(body).unwrap().contains(layer.as_str()), "the missing blob is named");
    fs::write(&blob, [7; 25_000]).unwrap();
    assert_eq!(status().await, "200");
    fs::write(layout.join("blobs").join(manifest.as_str().replace(':', "/")), "{}").unwrap();
    assert_eq!(status().await, "502");
}

#[tokio::test]
async fn a_source_that_stalls_is_an_error_soon() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let (layer, _) = small_image(&layout);
    let address = serve(&layout).await;
    fs::write(layout.with_extension("stall"), "").unwrap();
    let began = std::time::Instant::now();
    for path in ["/v2/robot/app/manifests/v1".to_owned(), format!("/v2/robot/app/blobs/{layer}")] {
        let (head, _) = ask(address, "GET", &path, "").await;
        assert!(head.starts_with("http/1.1 504"), "{head}");
    }
    assert!(began.elapsed() < Duration::from_secs(30));
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(text) } else { Err(text) }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pulls_an_image_of_several_layers() {
    if run("skopeo", &["--version"]).is_err() || run("umoci", &["--version"]).is_err() {
        assert!(std::env::var_os("CI").is_none(), "skopeo and umoci are not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let (layout_text, image) = (layout.display().to_string(), format!("{}:v1", layout.display()));
    run("umoci", &["init", "--layout", &layout_text]).unwrap();
    run("umoci", &["new", "--image", &image]).unwrap();
    for layer in 1..=4_u32 {
        let file = folder.path().join(format!("layer{layer}"));
        let bytes: Vec<u8> = (0..500_000_u32)
            .map(|index| index.wrapping_mul(2_654_435_761).wrapping_mul(layer).to_le_bytes()[3])
            .collect();
        fs::write(&file, bytes).unwrap();
        let target = format!("/opt/layer{layer}");
        run("umoci", &["insert", "--rootless", "--image", &image, &file.display().to_string(), &target])
            .unwrap();
    }
    let address = serve(&layout).await;
    let pulled = folder.path().join("pulled");
    let (from, to) = (format!("docker://{address}/robot/app:v1"), format!("oci:{}:v1", pulled.display()));
    let pull = ["copy", "--insecure-policy", "--src-tls-verify=false", &from, &to];
    run("skopeo", &pull).unwrap();
    let blobs = |layout: &Path| {
        let names = fs::read_dir(layout.join("blobs/sha256")).unwrap();
        names.map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
    };
    let (there, here) = (blobs(&layout), blobs(&pulled));
    println!("skopeo pulled {} blobs", here.len());
    assert!(here.len() >= 6 && here.is_subset(&there), "{here:?}");
    // Without one of its layers, the image is not offered at all.
    fs::remove_dir_all(&pulled).unwrap();
    let largest =
        there.iter().max_by_key(|name| fs::metadata(layout.join("blobs/sha256").join(name)).unwrap().len());
    fs::remove_file(layout.join("blobs/sha256").join(largest.unwrap())).unwrap();
    let error = run("skopeo", &pull).unwrap_err();
    assert!(error.contains("manifest unknown") || error.contains("cannot be had"), "{error}");
}
