//! The canonical form of JSON, over which metadata is signed.
//!
//! It is that of the library `securesystemslib`, and not RFC 8785. Keys are sorted by their code points, and there is no
//! white space. In a string, only the quotation mark and the backslash are escaped, each by a backslash. All other
//! characters stay as they are, and so do control characters. Numbers are integers.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde_json::Value;

/// Reason why a value has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the number {number} has no canonical form: metadata may contain integers only, so write it as a text"
)]
pub struct NotCanonical {
    /// The number, as JSON.
    pub number: String,
}

/// Returns the canonical form of a value.
///
/// # Errors
/// Returns an error if the value contains a number that is not an integer of 64 bits.
pub fn canonical(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) if number.is_i64() || number.is_u64() => out.extend(number.to_string().bytes()),
        Value::Number(number) => return Err(NotCanonical { number: number.to_string() }),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            write_list(b"[]", items, out, write)?;
        }
        Value::Object(members) => {
            // The order of the map depends on features of the JSON library, so the keys are sorted here.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            write_list(b"{}", members, out, |(key, value), out| {
                write_text(key, out);
                out.push(b':');
                write(value, out)
            })?;
        }
    }
    Ok(())
}

fn write_list<T>(
    brackets: &[u8; 2],
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    write_item: impl Fn(T, &mut Vec<u8>) -> Result<(), NotCanonical>,
) -> Result<(), NotCanonical> {
    out.push(brackets[0]);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_item(item, out)?;
    }
    out.push(brackets[1]);
    Ok(())
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Any value that has a canonical form. `texts` is the pattern of its strings.
    fn values(texts: &'static str) -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            texts.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(texts, inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_form_of_printable_texts_is_json_of_the_same_value(value in values("\\PC*")) {
            let form = canonical(&value).unwrap();
            let read: Value = serde_json::from_slice(&form).unwrap();
            prop_assert_eq!(&read, &value);
            prop_assert_eq!(canonical(&read).unwrap(), form);
        }

        #[test]
        fn the_canonical_form_does_not_depend_on_the_order_and_the_layout(value in values("\\PC*")) {
            let pretty = serde_json::to_vec_pretty(&value).unwrap();
            let read: Value = serde_json::from_slice(&pretty).unwrap();
            prop_assert_eq!(canonical(&read).unwrap(), canonical(&value).unwrap());
        }

        #[test]
        fn two_values_never_have_the_same_form(one in values("(?s).{0,8}"), other in values("(?s).{0,8}")) {
            prop_assert_eq!(one == other, canonical(&one).unwrap() == canonical(&other).unwrap());
        }

        #[test]
        fn the_library_of_the_client_has_the_same_form(value in values("(?s).*")) {
            let theirs = sigstore_tuf::canonical_json::to_canonical_bytes(&value).unwrap();
            prop_assert_eq!(canonical(&value).unwrap(), theirs);
        }
    }

    #[test]
    fn keys_are_sorted_and_only_two_characters_are_escaped() {
        let value =
            json!({"b": [1, -2, true, null], "a": "x\\\"\n\u{1f916}", "B": {}, "aa": [], "é": u64::MAX});
        let form = "{\"B\":{},\"a\":\"x\\\\\\\"\n\u{1f916}\",\"aa\":[],\"b\":[1,-2,true,null],\"é\":18446744073709551615}";
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), form);
    }

    #[test]
    fn fractions_have_no_form() {
        let refused = canonical(&json!({"a": [1.5]})).unwrap_err();
        assert_eq!(refused.number, "1.5");
        assert!(canonical(&json!(1.0)).is_err());
    }
}
