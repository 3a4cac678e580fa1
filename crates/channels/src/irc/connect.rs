//! Connects to an IRC server: from its name to a stream of bytes.

use super::session_error::SessionError;
use super::settings::{IrcSettings, IrcTls};
use routing::Family;
use rustls_native_certs::load_native_certs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
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

/// A connection, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
/// A connection of either kind.
pub(crate) type Socket = Box<dyn Stream>;

/// Connects to the server. Each step has a timeout.
pub(crate) async fn connect(settings: &IrcSettings) -> Result<Socket, SessionError> {
    let roots = match &settings.tls {
        IrcTls::Off => None,
        IrcTls::System => Some(system_roots()?),
        IrcTls::Roots(file) => {
            Some(roots_of(file).map_err(|source| SessionError::Certificates { file: file.clone(), source })?)
        }
    };
    let stream = dial(settings).await?;
    match roots {
        None => Ok(Box::new(stream)),
        Some(roots) => encrypt(settings, stream, roots).await,
    }
}

async fn dial(settings: &IrcSettings) -> Result<TcpStream, SessionError> {
    let mut error = unresolved(settings, io::Error::other("it has no address"));
    for address in look_up(settings).await?.into_iter().take(MAX_ADDRESSES) {
        match dial_one(address, settings).await {
            Ok(stream) => return Ok(stream),
            Err(last) => error = last,
        }
    }
    Err(error)
}

async fn look_up(settings: &IrcSettings) -> Result<Vec<SocketAddr>, SessionError> {
    let asked = tokio::net::lookup_host((settings.server.as_str(), settings.port));
    let answer = timeout(settings.waits.answer, asked).await;
    let answer = answer.unwrap_or_else(|_| Err(io::Error::other("no name server answers")));
    let is_meant = |address: &SocketAddr| match settings.family {
        Family::Any => true,
        Family::Ip4 => address.is_ipv4(),
        Family::Ip6 => address.is_ipv6(),
    };
    Ok(answer.map_err(|source| unresolved(settings, source))?.filter(is_meant).collect())
}

fn unresolved(settings: &IrcSettings, source: io::Error) -> SessionError {
    SessionError::NameUnresolved { server: settings.server.clone(), source }
}

async fn dial_one(address: SocketAddr, settings: &IrcSettings) -> Result<TcpStream, SessionError> {
    let patience = settings.waits.answer;
    match timeout(patience, TcpStream::connect(address)).await {
        Err(_) => Err(SessionError::NoAnswer { address, patience }),
        Ok(Ok(stream)) => {
            // Each line is one write. If the kernel refuses the option, lines arrive a little later.
            let _ = stream.set_nodelay(true);
            Ok(stream)
        }
        Ok(Err(error)) => Err(match error.kind() {
            io::ErrorKind::ConnectionRefused => SessionError::Refused(address),
            io::ErrorKind::TimedOut => SessionError::NoAnswer { address, patience },
            _ => SessionError::Unreachable { address, source: error },
        }),
    }
}

async fn encrypt(
    settings: &IrcSettings,
    stream: TcpStream,
    roots: RootCertStore,
) -> Result<Socket, SessionError> {
    let name = ServerName::try_from(settings.server.clone())
        .map_err(|_| SessionError::ServerName(settings.server.clone()))?;
    // The provider is given explicitly, because there is no default when the program links two of them.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| SessionError::Tls(io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let connected = timeout(settings.waits.answer, connecting).await;
    let connected = connected.unwrap_or_else(|_| Err(io::Error::other("the server does not answer")));
    Ok(Box::new(connected.map_err(SessionError::Tls)?))
}

/// Returns the certificates that the system trusts. Certificates that cannot be read are skipped.
fn system_roots() -> Result<RootCertStore, SessionError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(load_native_certs().certs);
    if roots.is_empty() { Err(SessionError::NoCertificates) } else { Ok(roots) }
}

fn roots_of(file: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(io::Error::other)? {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    if roots.is_empty() { Err(io::Error::other("there is no certificate in it")) } else { Ok(roots) }
}
