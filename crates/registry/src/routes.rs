//! The routes of the registry.

use crate::error::Problem;
use crate::manifest::{self, Content, MAX_MANIFEST_BYTES, Manifest, Part};
use crate::name::{self, Digest, Repository, Wanted};
use crate::range;
use crate::source::{Reader, Source, SourceError};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_server::{BodySource, Refusal, RequestHead, Response, RouteSet, body, header_texts};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// System and architecture of the images that this robot runs, as images name them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Platform {
    /// System, such as `linux`.
    pub os: String,
    /// Architecture, such as `arm64`.
    pub architecture: String,
}

/// Settings of the registry.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The platform whose images must be complete. Of an image for several platforms, only this one is checked.
    pub platform: Platform,
    /// Time without any bytes after which an answer ends with an error.
    pub stall_limit: Duration,
}

/// Returns the routes of a registry with the images of a source.
pub fn routes<S: Source>(source: S, settings: Settings) -> RouteSet {
    let registry = Arc::new(Registry { source, settings });
    let handler = move |head: RequestHead| {
        let registry = Arc::clone(&registry);
        async move { registry.answer(&head).await.or_else(Problem::response) }
    };
    RouteSet::new("container images are at /v2/NAME/manifests/TAG").prefix("/v2/", handler)
}

struct Registry<S> {
    source: S,
    settings: Settings,
}

impl<S: Source> Registry<S> {
    async fn answer(&self, head: &RequestHead) -> Result<Response, Problem> {
        let path = head.uri.path().strip_prefix("/v2/").unwrap_or_default();
        if path.is_empty() {
            return respond(StatusCode::OK, &[("content-type", "application/json")], body::whole("{}"));
        }
        let unknown = || Problem::missing("UNSUPPORTED", "this registry has manifests and blobs only");
        let (repository, wanted) = name::parse(path).ok_or_else(unknown)??;
        match wanted {
            Wanted::Blob(digest) => self.answer_blob(head, &repository, &digest).await,
            Wanted::Manifest(digest) => self.answer_manifest(&repository, &digest).await,
            Wanted::Tag(tag) => {
                let digest = self.limited(self.source.resolve(&repository, &tag)).await;
                let digest = digest.map_err(|error| Problem::of_source(&error, "MANIFEST_UNKNOWN"))?;
                self.answer_manifest(&repository, &digest).await
            }
        }
    }

    /// Ends a call of the source that takes too long.
    async fn limited<T>(&self, call: impl Future<Output = Result<T, SourceError>>) -> Result<T, SourceError> {
        let limit = self.settings.stall_limit;
        timeout(limit, call).await.unwrap_or(Err(SourceError::Stalled { limit }))
    }

    async fn answer_manifest(&self, repository: &Repository, digest: &Digest) -> Result<Response, Problem> {
        let unknown = |error| Problem::of_source(&error, "MANIFEST_UNKNOWN");
        let (bytes, manifest) = self.manifest(repository, digest).await.map_err(unknown)?;
        self.check_complete(repository, &manifest).await?;
        let headers = [("content-type", manifest.media_type), ("docker-content-digest", digest.as_str())];
        respond(StatusCode::OK, &headers, body::whole(bytes))
    }

    /// Reads a manifest and checks its digest.
    async fn manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(Vec<u8>, Manifest), SourceError> {
        let failed = |message: &str| SourceError::Failed(message.to_owned());
        let mut reader = self.limited(self.source.open(repository, digest, 0)).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = self.limited(reader.next()).await? {
            if (bytes.len() + chunk.len()) as u64 > MAX_MANIFEST_BYTES {
                return Err(failed("the manifest is too large"));
            }
            bytes.extend_from_slice(&chunk);
        }
        if Digest::of(&bytes) != *digest {
            return Err(failed("the manifest is damaged"));
        }
        let manifest = manifest::parse(&bytes).ok_or_else(|| failed("the manifest is of an unknown kind"))?;
        Ok((bytes, manifest))
    }

    /// Checks that everything can be had that an engine of this platform will ask for.
    async fn check_complete(&self, repository: &Repository, manifest: &Manifest) -> Result<(), Problem> {
        match &manifest.content {
            Content::Image(parts) => self.check_parts(repository, parts).await,
            Content::Index(images) => {
                for image in self.relevant(images) {
                    let unknown = |error| Problem::of_source(&error, "MANIFEST_UNKNOWN");
                    let (_, manifest) = self.manifest(repository, &image.digest).await.map_err(unknown)?;
                    // An index of indexes is allowed, but no engine makes it. It is not followed.
                    if let Content::Image(parts) = &manifest.content {
                        self.check_parts(repository, parts).await?;
                    }
                }
                Ok(())
            }
        }
    }

    /// Returns the images for this platform, or all if none is.
    fn relevant<'a>(&self, images: &'a [Part]) -> Vec<&'a Part> {
        let own = &self.settings.platform;
        let is_own = |image: &&Part| {
            let platform = image.platform.as_ref();
            platform.is_some_and(|(os, architecture)| *os == own.os && *architecture == own.architecture)
        };
        let relevant: Vec<_> = images.iter().filter(is_own).collect();
        if relevant.is_empty() { images.iter().collect() } else { relevant }
    }

    async fn check_parts(&self, repository: &Repository, parts: &[Part]) -> Result<(), Problem> {
        for part in parts {
            let missing = |reason: &str| {
                let message = format!("the blob {} of the image cannot be had: {reason}", part.digest);
                Problem::missing("MANIFEST_UNKNOWN", message)
            };
            match self.limited(self.source.size(repository, &part.digest)).await {
                Ok(size) if size == part.size => {}
                Ok(_) => return Err(missing("it has another size")),
                Err(error) => return Err(missing(&error.to_string())),
            }
        }
        Ok(())
    }

    async fn answer_blob(
        &self,
        head: &RequestHead,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Response, Problem> {
        let unknown = |error| Problem::of_source(&error, "BLOB_UNKNOWN");
        let size = self.limited(self.source.size(repository, digest)).await.map_err(unknown)?;
        let asked = header_texts(&head.headers, header::RANGE).next();
        let part = range::parse(asked.unwrap_or_default(), size).map_err(|_| Problem {
            status: StatusCode::RANGE_NOT_SATISFIABLE,
            code: "SIZE_INVALID",
            message: format!("the blob has {size} bytes"),
        })?;
        let (status, first, bytes) = match part {
            Some(part) => (StatusCode::PARTIAL_CONTENT, part.first, part.bytes),
            None => (StatusCode::OK, 0, size),
        };
        let length = bytes.to_string();
        let range = format!("bytes {first}-{}/{size}", first + bytes.saturating_sub(1));
        let mut headers = vec![
            ("content-type", "application/octet-stream"),
            ("accept-ranges", "bytes"),
            ("content-length", length.as_str()),
            ("docker-content-digest", digest.as_str()),
        ];
        if part.is_some() {
            headers.push(("content-range", &range));
        }
        if head.method == Method::HEAD || bytes == 0 {
            return respond(status, &headers, body::whole(Bytes::new()));
        }
        let reader = self.limited(self.source.open(repository, digest, first)).await.map_err(unknown)?;
        let mut blob = Blob { reader, left: bytes, limit: self.settings.stall_limit };
        let first = blob.read().await.map_err(unknown)?;
        respond(status, &headers, body::chunks(first, blob))
    }
}

/// The bytes of a blob that are still to be sent.
struct Blob<R> {
    reader: R,
    left: u64,
    limit: Duration,
}

impl<R: Reader> Blob<R> {
    async fn read(&mut self) -> Result<Option<Bytes>, SourceError> {
        if self.left == 0 {
            return Ok(None);
        }
        let limit = self.limit;
        let next = timeout(limit, self.reader.next()).await.unwrap_or(Err(SourceError::Stalled { limit }))?;
        let mut chunk = next.ok_or_else(|| SourceError::Failed("the blob ended too early".to_owned()))?;
        chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= chunk.len() as u64;
        Ok(Some(chunk))
    }
}

impl<R: Reader> BodySource for Blob<R> {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.read().await.map_err(|error| Refusal::internal(error.to_string()))
    }
}

fn respond(
    status: StatusCode,
    headers: &[(&'static str, &str)],
    body: http_server::Body,
) -> Result<Response, Problem> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).map_err(|error| Problem {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: "UNKNOWN",
            message: error.to_string(),
        })?;
        response.headers_mut().insert(*name, value);
    }
    // Engines of other versions look for it on each answer.
    response
        .headers_mut()
        .insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    Ok(response)
}
