//! Connections to a server, encrypted or not.

use http::Uri;
use rustls_native_certs::load_native_certs;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Maximum number of addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Maximum number of bytes that the system holds before they are sent. More would only hide how far a request is.
const MAX_UNSENT: u32 = 128 << 10;

/// Reason why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address has no host, or one that no certificate can name.
    #[error("{0} is not an address")]
    Address(String),
    /// The name of the host has no address.
    #[error("{host} has no address: {source}")]
    Unresolved {
        /// Name of the host.
        host: String,
        /// Error of the resolver.
        source: io::Error,
    },
    /// The host does not accept a connection.
    #[error("{address}: {source}")]
    Unreachable {
        /// The last address that was tried.
        address: SocketAddr,
        /// Error of the connection.
        source: io::Error,
    },
    /// The encryption could not be set up.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
}

/// A connection of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens connections to servers.
pub struct Connector(Option<TlsConnector>);

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("is_encrypted", &self.0.is_some()).finish()
    }
}

/// The certificates that a server may have cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The file cannot be read, or has no certificate.
    #[error("the certificates in {} cannot be used ({source}): `ca_file` names a PEM file", file.display())]
    File {
        /// Path of the file.
        file: PathBuf,
        /// Reason of the failure.
        source: io::Error,
    },
    /// The system has no certificates.
    #[error("this system trusts no certificates: install the package ca-certificates, or set `ca_file`")]
    None,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(tokio_rustls::rustls::Error),
}

impl Connector {
    /// Creates a connector without encryption.
    pub fn plain() -> Self {
        Self(None)
    }

    /// Creates a connector with TLS, which trusts the certificates of the system or those in a file. This call blocks.
    ///
    /// # Errors
    /// When there are no certificates, or the file cannot be read.
    pub fn encrypted(ca_file: Option<&Path>) -> Result<Self, CertificatesError> {
        let roots = match ca_file {
            None => system_roots()?,
            Some(file) => {
                roots_of(file).map_err(|source| CertificatesError::File { file: file.to_owned(), source })?
            }
        };
        // The provider is given explicitly, because there is no default when the program links two of them.
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(CertificatesError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Some(TlsConnector::from(Arc::new(config)))))
    }

    /// Connects to the host of an address. Each step has this time limit.
    ///
    /// # Errors
    /// When the host has no address, cannot be reached, or has no valid certificate.
    pub async fn connect(&self, uri: &Uri, patience: Duration) -> Result<Box<dyn Stream>, ConnectError> {
        let host = uri.host().ok_or_else(|| ConnectError::Address(uri.to_string()))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if self.0.is_some() { 443 } else { 80 });
        let stream = dial(bare, port, patience).await?;
        let Some(tls) = &self.0 else { return Ok(Box::new(stream)) };
        let name =
            ServerName::try_from(bare.to_owned()).map_err(|_| ConnectError::Address(uri.to_string()))?;
        let connected = timeout(patience, tls.connect(name, stream)).await;
        let connected = connected.unwrap_or_else(|_| Err(io::Error::other("the server does not answer")));
        Ok(Box::new(connected.map_err(ConnectError::Tls)?))
    }
}

async fn dial(host: &str, port: u16, patience: Duration) -> Result<TcpStream, ConnectError> {
    let unresolved = |source| ConnectError::Unresolved { host: host.to_owned(), source };
    let found = timeout(patience, tokio::net::lookup_host((host, port))).await;
    let found = found.unwrap_or_else(|_| Err(io::Error::other("no name server answers")));
    let mut last = unresolved(io::Error::other("it has none"));
    for address in found.map_err(unresolved)?.take(MAX_ADDRESSES) {
        let dialled = timeout(patience, TcpStream::connect(address)).await;
        match dialled.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut))) {
            Ok(stream) => return Ok(tuned(stream)),
            Err(source) => last = ConnectError::Unreachable { address, source },
        }
    }
    Err(last)
}

fn tuned(stream: TcpStream) -> TcpStream {
    // If the kernel refuses an option, the connection works without it.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT);
    stream
}

/// Returns the certificates that the system trusts. Certificates that cannot be read are skipped.
fn system_roots() -> Result<RootCertStore, CertificatesError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(load_native_certs().certs);
    if roots.is_empty() { Err(CertificatesError::None) } else { Ok(roots) }
}

fn roots_of(file: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    if roots.is_empty() { Err(io::Error::other("there is no certificate in it")) } else { Ok(roots) }
}
