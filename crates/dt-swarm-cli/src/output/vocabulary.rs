//! Checks documents against the vocabulary in the documentation of the parent module. The integration tests include this
//! file, too.

use serde::Serialize;
use serde_json::Value;

/// Field names that the vocabulary replaces by other names.
const OTHERS: [&str; 10] =
    ["size", "rate", "seconds", "who", "says", "words", "at", "timestamp", "file", "because"];

/// Returns the JSON form of a document, after [`check`].
pub(crate) fn checked(document: &impl Serialize) -> Value {
    let json = serde_json::to_value(document).unwrap();
    check(&json);
    json
}

/// Panics if a field anywhere in the document has a value that does not fit its name.
pub(crate) fn check(json: &Value) {
    match json {
        Value::Object(fields) => {
            assert_eq!(fields.contains_key("peer"), fields.contains_key("hostname"), "{json:#}");
            for (name, value) in fields {
                assert!(is_sound(name, value), "{name}: {value}");
                check(value);
            }
        }
        Value::Array(values) => values.iter().for_each(check),
        _ => {}
    }
}

fn is_sound(name: &str, value: &Value) -> bool {
    let is_null = value.is_null();
    match name {
        "from" | "until" | "time" => is_null || is_time(value),
        "bytes" => is_null || value.is_u64(),
        "code" | "peer" | "hostname" | "cid" | "name" | "path" | "bucket" | "data" | "state" | "reason" => {
            is_null || value.is_string()
        }
        "daemon" | "uploader" | "source" | "signer" => is_null || is_peer(value),
        "signers" | "holders" | "discarders" | "sources" | "roots" | "opponents" => {
            value.as_array().is_some_and(|all| all.iter().all(is_peer))
        }
        _ if OTHERS.contains(&name) => false,
        _ if name.ends_with("_time") => is_null || is_time(value),
        _ if name.ends_with("_bytes") || name.ends_with("_per_second") || name.ends_with("_per_minute") => {
            is_null || value.is_u64()
        }
        _ if name.ends_with("_seconds") => match value.as_array() {
            Some(all) => all.iter().all(Value::is_number),
            None => is_null || value.is_number(),
        },
        _ if name.starts_with("is_") || name.starts_with("has_") => is_null || value.is_boolean(),
        _ => true,
    }
}

fn is_time(value: &Value) -> bool {
    let shape = |text: &str| text.len() == 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    value.as_str().is_some_and(|text| shape(text) || text.starts_with('@'))
}

fn is_peer(value: &Value) -> bool {
    value["peer"].is_string()
}
