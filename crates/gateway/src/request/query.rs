//! The query parameters of a request.
use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use http_server::Refusal;

/// Maximum length of a decoded parameter, in bytes.
const MAX_FILENAME: usize = 255;

/// The decoded parameters of a request. Unknown parameters are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// File name for a browser to save the content under.
    pub filename: Option<String>,
    /// Whether a browser should save the content instead of showing it.
    pub download: bool,
    pub(crate) format: Option<String>,
    pub(crate) dag_scope: Option<String>,
    pub(crate) entity_bytes: Option<String>,
    pub(crate) car_version: Option<String>,
    pub(crate) car_order: Option<String>,
    pub(crate) car_dups: Option<String>,
}

impl Query {
    /// Parses the text after the question mark. If a parameter is given twice, the first counts.
    ///
    /// # Errors
    /// Returns an error if a known parameter is too long or not UTF-8.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let mut query = Self::default();
        let mut download = None;
        for pair in text.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match key {
                "filename" => &mut query.filename,
                "download" => &mut download,
                "format" => &mut query.format,
                "dag-scope" => &mut query.dag_scope,
                "entity-bytes" => &mut query.entity_bytes,
                "car-version" => &mut query.car_version,
                "car-order" => &mut query.car_order,
                "car-dups" => &mut query.car_dups,
                _ => continue,
            };
            if slot.is_none() {
                *slot = Some(decode(key, value)?);
            }
        }
        query.download = download.is_some_and(|value| value == "true");
        query.filename = query.filename.filter(|name| !name.is_empty());
        Ok(query)
    }
}

fn decode(key: &str, value: &str) -> Result<String, Refusal> {
    // In the encoding of HTML forms, a plus is a space.
    let value = if value.contains('+') { Cow::Owned(value.replace('+', " ")) } else { Cow::Borrowed(value) };
    let value = percent_decode_str(&value).decode_utf8();
    let value = value.map_err(|_| Refusal::bad_request(format!("the parameter {key} is not UTF-8")))?;
    match value.len() > MAX_FILENAME {
        true => Err(Refusal::bad_request(format!("the parameter {key} is too long"))),
        false => Ok(value.into_owned()),
    }
}
