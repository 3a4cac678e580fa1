//! S3-compatible storage as a destination.

mod answer;
mod client;
mod link;
mod xml;

pub use client::Patience;
pub use http_client::CertificatesError;

use crate::credentials::Credentials;
use crate::destination::Destination;
use crate::object::{Object, SHA256};
use crate::pace::Pace;
use crate::plan::{Part, Seen, hex};
use crate::trouble::Trouble;
use answer::{is_absent, trouble};
use bytes::Bytes;
use client::Client;
use http::{Method, Uri};
use http_client::Connector;
use md5::{Digest as _, Md5};
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ClientOptions, GetOptions, ObjectStore as _, PutMultipartOptions, PutOptions,
    PutPayload, RetryConfig,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Number of lists of multipart uploads that a sweep reads. Each names up to [`LISTED`]; an upload that fails leaves few.
const MAX_LISTS: usize = 20;
/// Maximum number of multipart uploads in one list.
const LISTED: usize = 200;

/// Configuration of a storage.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// Name of the bucket.
    pub bucket: String,
    /// Beginning of all keys, without `/` at its ends; may be empty.
    pub prefix: String,
    /// Address of the storage, such as `https://s3.example.org`; `None` is Amazon's.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: String,
    /// File with the certificates that the storage may have; `None` is those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Time limits of requests.
    pub patience: Patience,
}

/// An S3-compatible storage.
#[derive(Debug)]
pub struct S3 {
    name: String,
    prefix: String,
    store: AmazonS3,
    client: Client,
    credentials: AwsCredentialProvider,
    region: String,
    /// Address of the bucket.
    bucket: String,
}

/// Reason why a storage cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The endpoint is not an address.
    #[error("{0:?} is not an address of a storage, such as https://s3.example.org")]
    Endpoint(String),
    /// The certificates cannot be used.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The library refuses the configuration.
    #[error("the storage cannot be used as configured: {0}")]
    Build(#[from] object_store::Error),
}

impl S3 {
    /// Prepares the use of a storage, without connecting. This call blocks.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub fn open(config: S3Config, credentials: Credentials, pace: Pace) -> Result<Self, S3Error> {
        let S3Config { bucket, prefix, endpoint, region, ca_file, patience } = config;
        let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let is_encrypted = is_encrypted(&endpoint).ok_or_else(|| S3Error::Endpoint(endpoint.clone()))?;
        let connector =
            if is_encrypted { Connector::encrypted(ca_file.as_deref())? } else { Connector::plain() };
        let client = Client::new(connector, patience, pace);
        let credentials: AwsCredentialProvider = Arc::new(credentials);
        // The plan tries again by itself, after it has recorded what may have happened.
        let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let store = AmazonS3Builder::new()
            .with_bucket_name(&bucket)
            .with_endpoint(&endpoint)
            .with_region(&region)
            .with_credentials(credentials.clone())
            .with_retry(retry)
            .with_client_options(ClientOptions::new().with_allow_http(!is_encrypted))
            .with_http_connector(client.clone())
            .build()?;
        let place = if prefix.is_empty() { bucket.clone() } else { format!("{bucket}/{prefix}") };
        let name = format!("s3://{place} at {endpoint}");
        let bucket = format!("{endpoint}/{bucket}");
        Ok(Self { name, prefix, store, client, credentials, region, bucket })
    }

    fn full_key(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    fn path(&self, key: &str) -> Path {
        Path::from(self.full_key(key))
    }

    /// Returns the identifiers of the multipart uploads of this very key that are in progress, at most [`LISTED`].
    async fn in_progress(&self, key: &str) -> Result<Vec<String>, Trouble> {
        let key = self.full_key(key);
        let encoded = utf8_percent_encode(&key, NON_ALPHANUMERIC);
        let uri = format!("{}?max-uploads={LISTED}&prefix={encoded}&uploads=", self.bucket);
        let uri: Uri =
            uri.parse().map_err(|error: http::uri::InvalidUri| Trouble::NotS3(error.to_string()))?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        (*request.method_mut(), *request.uri_mut()) = (Method::GET, uri);
        let credentials = self.credentials.get_credential().await.map_err(|error| trouble(&error))?;
        let signer = AwsAuthorizer::new(&credentials, "s3", &self.region);
        signer.try_authorize(&mut request, None).map_err(|error| trouble(&error))?;
        let answer = self.client.send(request).await.map_err(|error| trouble(&error))?;
        listed_uploads(&key, answer.body()).map_err(|error| Trouble::NotS3(error.to_string()))
    }
}

/// Returns the identifiers of the uploads of this very key in a list of multipart uploads, at most [`LISTED`].
#[doc(hidden)]
pub fn listed_uploads(key: &str, list: &[u8]) -> Result<Vec<String>, xml::NotXml> {
    let (mut found, mut of, mut id, mut is_list) = (Vec::new(), String::new(), String::new(), false);
    xml::read(list, |path, text| match path {
        [root, _, name] if root == "ListMultipartUploadsResult" => match name.as_str() {
            "Key" => text.clone_into(&mut of),
            "UploadId" => text.clone_into(&mut id),
            _ => {}
        },
        [root, name] if root == "ListMultipartUploadsResult" && name == "Upload" => {
            let (of, id) = (std::mem::take(&mut of), std::mem::take(&mut id));
            if of == key && !id.is_empty() && found.len() < LISTED {
                found.push(id);
            }
        }
        [root] => is_list = root == "ListMultipartUploadsResult",
        _ => {}
    })?;
    if is_list { Ok(found) } else { Err(xml::NotXml) }
}

/// Returns whether an endpoint demands encryption; `None` if it is not an address.
fn is_encrypted(endpoint: &str) -> Option<bool> {
    let uri: Uri = endpoint.parse().ok()?;
    let is_bare = uri.path() == "/" && uri.query().is_none() && !uri.authority()?.as_str().contains('@');
    match uri.scheme_str() {
        Some("https") if is_bare => Some(true),
        Some("http") if is_bare => Some(false),
        _ => None,
    }
}

fn attributes(object: &Object) -> Attributes {
    let values = object.metadata.iter();
    let mut attributes: Attributes =
        values.map(|(name, value)| (Attribute::Metadata(name.clone().into()), value.clone())).collect();
    attributes.insert(Attribute::ContentType, "application/octet-stream".into());
    attributes
}

/// Returns the MD5 of a content in hexadecimal.
async fn md5_of(content: Bytes) -> String {
    let hashing = tokio::task::spawn_blocking(move || hex(&Md5::digest(&content)));
    // The task cannot panic. Without an MD5 the part counts as not verified.
    hashing.await.unwrap_or_default()
}

impl Destination for S3 {
    fn name(&self) -> &str {
        &self.name
    }

    async fn look(&self, key: &str) -> Result<Option<Seen>, Trouble> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get_opts(&self.path(key), options).await {
            Ok(found) => {
                let sha256 =
                    found.attributes.get(&Attribute::Metadata(SHA256.into())).map(|value| value.to_string());
                Ok(Some(Seen { size: found.meta.size, sha256, tag: found.meta.e_tag, is_hashed: false }))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(trouble(&error)),
        }
    }

    async fn put(&self, object: &Object, content: Bytes) -> Result<Part, Trouble> {
        let md5 = md5_of(content.clone()).await;
        let options = PutOptions { attributes: attributes(object), ..PutOptions::default() };
        let stored =
            self.store.put_opts(&self.path(&object.key), PutPayload::from_bytes(content), options).await;
        let tag = stored.map_err(|error| trouble(&error))?.e_tag.unwrap_or_default();
        Ok(Part { tag, md5 })
    }

    async fn create(&self, object: &Object) -> Result<String, Trouble> {
        let options =
            PutMultipartOptions { attributes: attributes(object), ..PutMultipartOptions::default() };
        let created = self.store.create_multipart_opts(&self.path(&object.key), options).await;
        created.map_err(|error| trouble(&error))
    }

    async fn put_part(
        &self,
        object: &Object,
        id: &str,
        number: u32,
        content: Bytes,
    ) -> Result<Part, Trouble> {
        let md5 = md5_of(content.clone()).await;
        let (path, id, content) = (self.path(&object.key), id.to_owned(), PutPayload::from_bytes(content));
        let stored = self.store.put_part(&path, &id, number as usize, content).await;
        Ok(Part { tag: stored.map_err(|error| trouble(&error))?.content_id, md5 })
    }

    async fn complete(&self, object: &Object, id: &str, parts: &BTreeMap<u32, Part>) -> Result<(), Trouble> {
        let parts = parts.values().map(|part| PartId { content_id: part.tag.clone() }).collect();
        let completed = self.store.complete_multipart(&self.path(&object.key), &id.to_owned(), parts).await;
        completed.map(drop).map_err(|error| trouble(&error))
    }

    async fn abort(&self, object: &Object, id: &str) -> Result<(), Trouble> {
        let aborted = self.store.abort_multipart(&self.path(&object.key), &id.to_owned()).await;
        aborted.map_err(|error| trouble(&error))
    }

    async fn sweep(&self, object: &Object) -> Result<(), Trouble> {
        for _ in 0..MAX_LISTS {
            let found = self.in_progress(&object.key).await?;
            if found.is_empty() {
                return Ok(());
            }
            for id in found {
                match self.abort(object, &id).await {
                    Ok(()) | Err(Trouble::NoUpload) => {}
                    Err(trouble) => return Err(trouble),
                }
            }
        }
        Err(Trouble::Rejected("aborted multipart uploads are still listed".to_owned()))
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Bytes, Trouble> {
        let options = GetOptions { range: Some(range.into()), ..GetOptions::default() };
        let found = self.store.get_opts(&self.path(key), options).await.map_err(|error| trouble(&error))?;
        found.bytes().await.map_err(|error| trouble(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_multipart_uploads_is_read_and_only_the_very_key_counts() {
        let list = "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Bucket>b</Bucket><Upload><Key>logs/a</Key><UploadId>1&amp;2</UploadId><Owner><ID>x</ID></Owner></Upload>\
            <Upload><Key>logs/ab</Key><UploadId>3</UploadId></Upload><Upload><UploadId>4</UploadId></Upload>\
            </ListMultipartUploadsResult>";
        assert_eq!(listed_uploads("logs/a", list.as_bytes()).unwrap(), ["1&2"]);
        assert!(listed_uploads("logs/a", b"<Other/>").is_err());
    }

    #[test]
    fn an_endpoint_is_an_address_without_path_and_user() {
        assert_eq!(is_encrypted("https://s3.example.org"), Some(true));
        assert_eq!(is_encrypted("http://127.0.0.1:8333/"), Some(false));
        for wrong in ["s3.example.org", "ftp://a", "https://a/b", "https://u:p@a", "https://a?b", ""] {
            assert_eq!(is_encrypted(wrong), None, "{wrong}");
        }
    }
}
