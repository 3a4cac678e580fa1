//! What follows the question mark.
use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use http_server::Refusal;

/// The longest file name that is taken.
const MAX_FILENAME: usize = 255;

/// The parameters of a request as they were given, decoded; those that the gateway does not know are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The name under which to offer the content.
    pub filename: Option<String>,
    /// Whether a browser is to save the content.
    pub download: bool,
    pub(crate) format: Option<String>,
    pub(crate) dag_scope: Option<String>,
    pub(crate) entity_bytes: Option<String>,
    pub(crate) car_version: Option<String>,
    pub(crate) car_order: Option<String>,
    pub(crate) car_dups: Option<String>,
}

impl Query {
    /// Reads the text after the question mark. Of a parameter that is given twice, the first counts.
    ///
    /// # Errors
    /// When a parameter that is known is not UTF-8 or too long.
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
    // As forms write it, a plus is a space.
    let value = if value.contains('+') { Cow::Owned(value.replace('+', " ")) } else { Cow::Borrowed(value) };
    let value = percent_decode_str(&value).decode_utf8();
    let value = value.map_err(|_| Refusal::bad_request(format!("the parameter {key} is not UTF-8")))?;
    match value.len() > MAX_FILENAME {
        true => Err(Refusal::bad_request(format!("the parameter {key} is too long"))),
        false => Ok(value.into_owned()),
    }
}
