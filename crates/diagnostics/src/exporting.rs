//! Sends the rows of a collector to other databases: by Prometheus remote write, or by OTLP.
//!
//! The log of the stored rows has each row once, in the order in which the rows got their places in time. An export keeps
//! the number of the next row to send. It advances only after the database has acknowledged the rows. When a request
//! fails, the export goes back to the rows of the last seconds, because the database may have lost them ([`unsettled`]).
//! Rows that are sent again have the same series, times and values, so the database has them once.
//!
//! [`unsettled`]: crate::unsettled

use crate::collected::{CollectedError, CollectedRows};
use crate::collectors::outgoing::OutgoingRow;
use crate::collectors::remote_write::TooManyRows;
use crate::collectors::{otlp, remote_write};
use crate::row_store::LoggedRow;
use crate::unsettled::Unsettled;
use http::header::{AUTHORIZATION, HeaderName, USER_AGENT};
use http::{HeaderValue, StatusCode, Uri};
use http_client::{CertificatesError, Connector, PostError, post};
use serde::{Deserialize, Serialize};
use service::{Context, ServiceError};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use telemetry::Metric;
use tokio::time::{Instant, sleep};

/// Maximum number of rows in a request. With 80 values each, it has 40,000 values and about 300 kB.
const MAX_ROWS: usize = 500;
/// Time after which an export looks for new rows.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// Minimum and maximum time before a request is repeated. The time doubles with each failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));
/// Maximum time of a request.
const PATIENCE: Duration = Duration::from_secs(60);
/// Maximum size of an answer in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Maximum number of characters of an answer that the log shows.
const MAX_SHOWN: usize = 300;
/// Maximum size, in bytes, of the file with the header `Authorization`.
const MAX_AUTHORIZATION_BYTES: usize = 4096;

pub(crate) static EXPORTED: Metric =
    Metric::counter("diagnostics.exported.rows", "{row}", "Rows of robots that another database took.");
pub(crate) static UNEXPORTED: Metric = Metric::counter(
    "diagnostics.exported.refused",
    "{row}",
    "Rows of robots that another database refused for ever, such as rows that are too old for it.",
);

/// The format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Prometheus remote write, version 1.
    RemoteWrite,
    /// OTLP over HTTP, with protobuf.
    Otlp,
}

/// A database to which a collector sends all rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportSettings {
    /// Address, such as `http://127.0.0.1:9090/api/v1/write`.
    pub url: String,
    /// Format: `remote_write` or `otlp`.
    pub format: ExportFormat,
    /// PEM file with the certificates that the server may have; default: those that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// File whose only line is the header `Authorization`, such as `Bearer` and a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_file: Option<PathBuf>,
}

/// Reason why an export of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WrongExport {
    #[error("[diagnostics.export.{0}] url: it is no address, such as http://127.0.0.1:9090/api/v1/write")]
    Url(String),
    #[error("[diagnostics.export.{0}] ca_file: {1}")]
    Certificates(String, CertificatesError),
    #[error("[diagnostics.export.{0}] authorization_file: {1}")]
    Authorization(String, std::io::Error),
}

/// Sends the rows to one database.
#[derive(Clone)]
pub(crate) struct Exporter {
    context: Context,
    rows: CollectedRows,
    name: String,
    uri: Uri,
    format: ExportFormat,
    headers: Vec<(HeaderName, HeaderValue)>,
    connector: Arc<Connector>,
}

/// Reason why rows were not sent.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(transparent)]
    Post(#[from] PostError),
    #[error("the database answers {status}: {text}")]
    Refused { status: StatusCode, text: String },
    #[error(transparent)]
    Rows(#[from] CollectedError),
    #[error(transparent)]
    TooMany(#[from] TooManyRows),
}

impl ExportError {
    /// Returns whether the same request will never succeed. A wrong address or password can be repaired.
    fn is_final(&self) -> bool {
        let status = match self {
            Self::Refused { status, .. } => *status,
            _ => return false,
        };
        [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY, StatusCode::CONFLICT].contains(&status)
    }

    /// Returns whether the database may have failed, so that it may have lost rows that it acknowledged.
    fn is_outage(&self) -> bool {
        match self {
            Self::Post(_) => true,
            Self::Refused { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    fn is_too_long(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::PAYLOAD_TOO_LARGE)
    }
}

impl Exporter {
    /// Creates the export with this name. This call blocks.
    pub(crate) fn new(
        (context, rows): (Context, CollectedRows),
        name: &str,
        settings: &ExportSettings,
    ) -> Result<Self, WrongExport> {
        let wrong = || WrongExport::Url(name.to_owned());
        let uri: Uri = settings.url.parse().map_err(|_| wrong())?;
        let is_encrypted = match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => true,
            (Some("http"), Some(_)) => false,
            _ => return Err(wrong()),
        };
        let ca_file = settings.ca_file.clone().map(|file| context.environment.expand(file));
        let connector = match is_encrypted {
            true => Connector::encrypted(ca_file.as_deref())
                .map_err(|error| WrongExport::Certificates(name.to_owned(), error))?,
            false => Connector::plain(),
        };
        let mut headers = headers(settings.format);
        if let Some(file) = settings.authorization_file.clone() {
            let value = authorization(&context.environment.expand(file));
            headers.push((
                AUTHORIZATION,
                value.map_err(|error| WrongExport::Authorization(name.to_owned(), error))?,
            ));
        }
        let (name, format, connector) = (name.to_owned(), settings.format, Arc::new(connector));
        Ok(Self { context, rows, name, uri, format, headers, connector })
    }

    /// Returns the name of the export.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sends rows until the future is dropped.
    ///
    /// # Errors
    /// When the place in the log cannot be kept.
    pub(crate) async fn run(self) -> Result<Infallible, ServiceError> {
        let (mut most, mut wait, mut unsettled) = (MAX_ROWS, RETRY.0, Unsettled::default());
        loop {
            let begun = Instant::now();
            match self.send_some(most).await {
                Ok(None) => sleep(LOOK_EVERY).await,
                Ok(Some(first)) => {
                    unsettled.note(Instant::now(), first);
                    (most, wait) = (MAX_ROWS, RETRY.0);
                }
                Err(error) if error.is_too_long() && most > 1 => most /= 2,
                Err(error) => {
                    tracing::warn!(export = self.name, %error, again_in = ?wait, "rows of robots could not be sent to another database");
                    if error.is_outage()
                        && let Some(first) = unsettled.take(begun)
                    {
                        self.advance(first).await.map_err(ServiceError::other)?;
                    }
                    sleep(wait).await;
                    wait = (wait * 2).min(RETRY.1);
                }
            }
        }
    }

    /// Sends the next rows. Returns the number of the first one in the log, if there were any.
    async fn send_some(&self, most: usize) -> Result<Option<u64>, ExportError> {
        let name = self.name.clone();
        let read = self.rows.run_if_any(move |rows| rows.logged(rows.cursor(&name)?, most)).await?;
        let rows = read.unwrap_or_default();
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(None) };
        let sendable: Vec<&LoggedRow> = rows.iter().filter(|row| !row.readings.is_empty()).collect();
        if !sendable.is_empty() {
            match self.send(&sendable).await {
                Ok(()) => self.context.count(&EXPORTED, sendable.len() as u64),
                Err(error) if error.is_final() => {
                    tracing::warn!(export = self.name, %error, rows = sendable.len(), "another database refuses rows of robots; they are left out");
                    self.context.count(&UNEXPORTED, sendable.len() as u64);
                }
                Err(error) => return Err(error),
            }
        }
        self.advance(last.number.saturating_add(1)).await?;
        Ok(Some(first.number))
    }

    /// Notes the number of the next row to send.
    async fn advance(&self, next: u64) -> Result<(), CollectedError> {
        let name = self.name.clone();
        self.rows.run(move |rows| rows.set_cursor(&name, next)).await
    }

    async fn send(&self, rows: &[&LoggedRow]) -> Result<(), ExportError> {
        let outgoing: Vec<OutgoingRow<'_>> = rows
            .iter()
            .map(|row| OutgoingRow {
                robot: row.robot,
                name: row.name.as_deref(),
                time: row.time,
                readings: &row.readings,
            })
            .collect();
        let body = match self.format {
            ExportFormat::RemoteWrite => remote_write::encode(&outgoing)?,
            ExportFormat::Otlp => otlp::encode(&outgoing),
        };
        let limits = (PATIENCE, MAX_ANSWER_BYTES);
        let answer = post(&self.connector, &self.uri, &self.headers, body.into(), limits).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        let text = telemetry::clean(&String::from_utf8_lossy(answer.body()), MAX_SHOWN);
        Err(ExportError::Refused { status: answer.status(), text })
    }
}

/// Returns the headers of all requests in a format.
fn headers(format: ExportFormat) -> Vec<(HeaderName, HeaderValue)> {
    let own: &[(&'static str, &'static str)] = match format {
        ExportFormat::RemoteWrite => &remote_write::HEADERS,
        ExportFormat::Otlp => &otlp::HEADERS,
    };
    let named = own.iter().filter_map(|(name, value)| {
        Some((HeaderName::try_from(*name).ok()?, HeaderValue::from_static(value)))
    });
    named.chain([(USER_AGENT, HeaderValue::from_static("dt-swarm"))]).collect()
}

/// Reads the header `Authorization` from a file.
fn authorization(file: &std::path::Path) -> std::io::Result<HeaderValue> {
    let text = std::fs::read_to_string(file)?;
    let line = text.trim();
    let is_line = !line.is_empty() && line.len() <= MAX_AUTHORIZATION_BYTES;
    let mut value = HeaderValue::from_str(line)
        .ok()
        .filter(|_| is_line)
        .ok_or_else(|| std::io::Error::other("the file must have one short line"))?;
    value.set_sensitive(true);
    Ok(value)
}
