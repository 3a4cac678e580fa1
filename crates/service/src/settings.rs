//! Reads sections of the configuration file, and suggests known keys for misspelt ones.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use toml::Table;

/// Minimum similarity, from 0 to 1, at which a known key is suggested for an unknown one.
const SIMILAR: f64 = 0.7;

/// Error in a section of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The section has no such key.
    #[error("[{section}] has no key `{key}`{}", suggestion(.nearest.as_deref(), .known))]
    Unknown {
        /// Name of the section.
        section: String,
        /// The unknown key.
        key: String,
        /// The most similar known key, if one is similar enough.
        nearest: Option<String>,
        /// All known keys.
        known: Vec<String>,
    },
    /// A value has the wrong type or is out of bounds.
    #[error("[{section}] is wrong: {source}")]
    Value {
        /// Name of the section.
        section: String,
        /// The reason, with the key and its position.
        source: Box<toml::de::Error>,
    },
}

fn suggestion(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None if known.is_empty() => "; the section has no keys".to_owned(),
        None => format!("; its keys are {}", known.join(", ")),
    }
}

/// Reads the settings of a section. Missing keys have their defaults.
///
/// # Errors
/// When a key is unknown or a value is wrong.
pub fn parse_settings<S>(section: &str, table: &Table) -> Result<S, SettingsError>
where
    S: DeserializeOwned + Serialize + Default,
{
    let known = keys::<S>();
    if let Some(key) = table.keys().find(|key| !known.contains(key)) {
        let nearest = nearest(key, known.iter().map(String::as_str)).map(str::to_owned);
        return Err(SettingsError::Unknown { section: section.to_owned(), key: key.clone(), nearest, known });
    }
    let read = table.clone().try_into();
    read.map_err(|source| SettingsError::Value { section: section.to_owned(), source: Box::new(source) })
}

/// Returns the keys of the default settings.
fn keys<S: Serialize + Default>() -> Vec<String> {
    defaults::<S>().into_iter().map(|(key, _)| key).collect()
}

fn defaults<S: Serialize + Default>() -> Map<String, Value> {
    match serde_json::to_value(S::default()) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// A type of settings, for programs that describe the configuration.
#[derive(Clone, Debug)]
pub struct SettingsType {
    /// Path of the type, such as `logs::shell::Settings`. Its fields are documented in the source code.
    pub path: &'static str,
    /// All keys, with their default values. The value `null` stands for a default that the daemon computes.
    pub defaults: Map<String, Value>,
}

impl SettingsType {
    /// Describes the type `S`.
    pub fn of<S: Serialize + Default>() -> Self {
        Self { path: std::any::type_name::<S>(), defaults: defaults::<S>() }
    }
}

/// Returns the known name that is most similar to `name`, if one is similar enough.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let rated = known.map(|known| (strsim::jaro_winkler(name, known), known));
    let similar = rated.filter(|(similarity, _)| *similarity >= SIMILAR);
    similar.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Sample {
        interval_seconds: u64,
        folder: Option<String>,
    }

    fn read(text: &str) -> Result<Sample, String> {
        parse_settings("sample", &text.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn missing_keys_have_their_defaults() {
        assert_eq!(read(""), Ok(Sample::default()));
        assert_eq!(read("interval_seconds = 5").unwrap().interval_seconds, 5);
    }

    #[test]
    fn an_unknown_key_is_reported_with_the_nearest_known_key() {
        let error = read("intervall_second = 5").unwrap_err();
        assert!(error.contains("[sample]") && error.contains("`interval_seconds`?"), "{error}");
        let error = read("xyz = 5").unwrap_err();
        assert!(error.contains("its keys are folder, interval_seconds"), "{error}");
    }

    #[test]
    fn a_wrong_value_is_reported_with_its_section() {
        let error = read("interval_seconds = 'soon'").unwrap_err();
        assert!(error.contains("[sample]") && error.contains("interval_seconds"), "{error}");
    }
}
