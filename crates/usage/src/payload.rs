//! The report of a robot about one week: the only bytes of usage statistics that leave a robot.
//!
//! Its text is one line of JSON without spaces between its parts, and a report has only one text:
//! `{"list":1,"week":"2026-W49","id":"<64 digits>","fields":{"robot_type":"duckiebot",...}}`. All fields of this version of the
//! list are present, in the order of the table. So the text has no room for anything but rows of the table.
//!
//! The ID is a hash of a random secret and of everything else in the report. The robot draws a new secret each week, so the IDs of
//! two weeks have no relation. Only with the secret, which stays on the robot, a report can be deleted.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::fields::{Field, LIST_VERSION, fields_of};
use crate::hex::{Hex32, NotHex};
use crate::week::{NotAWeek, Week};
use dcache::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

/// Maximum size of the text of a report in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1024;
/// First bytes of what is hashed, so that the hash is not one of another protocol.
const DOMAIN: &[u8] = b"dt-swarm usage report\n";

/// A report about one week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Payload {
    list: u16,
    week: Week,
    id: Hex32,
    /// One value for each field of the list.
    values: Vec<&'static str>,
}

/// Reason why a text is no report.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The text is too long.
    #[error("a report has at most {MAX_PAYLOAD_BYTES} bytes")]
    TooLong,
    /// The text is no JSON of a report.
    #[error("not a report: {0}")]
    Json(#[from] serde_json::Error),
    /// The version of the list is not known here.
    #[error("the version {0} of the list of fields is not known")]
    List(u16),
    /// The week is no week.
    #[error(transparent)]
    Week(#[from] NotAWeek),
    /// The ID is no ID.
    #[error(transparent)]
    Id(#[from] NotHex),
    /// A field is missing, or has a value that is not in the table.
    #[error("the field {0} has no value of the table")]
    Value(&'static str),
    /// The text is not the one that this report has.
    #[error("the report is not in its only form")]
    Form,
}

/// The parts of a text, before they are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    list: u16,
    week: String,
    id: String,
    fields: BTreeMap<String, String>,
}

impl Payload {
    /// Makes the report of a week, with the fields of this version of the list. `value` returns the value of a field.
    pub(crate) fn new(
        list: u16,
        week: Week,
        secret: &Hex32,
        value: impl Fn(&'static Field) -> &'static str,
    ) -> Self {
        let values = fields_of(list).map(value).collect();
        let draft = Self { list, week, id: Hex32([0; 32]), values };
        Self { id: draft.id_with(secret), ..draft }
    }

    /// Returns this report with an ID of zeros, as an example that nobody can send.
    #[must_use]
    pub(crate) fn into_example(self) -> Self {
        Self { id: Hex32([0; 32]), ..self }
    }

    /// Returns the ID that follows from a secret.
    fn id_with(&self, secret: &Hex32) -> Hex32 {
        let content = Self { id: Hex32([0; 32]), ..self.clone() }.to_string();
        Hex32(*Digest::of(&[DOMAIN, &secret.0, content.as_bytes()].concat()).as_bytes())
    }

    /// Returns whether the report was made with this secret.
    pub fn is_of(&self, secret: &Hex32) -> bool {
        self.id == self.id_with(secret)
    }

    /// Returns the version of the list of fields.
    pub fn list(&self) -> u16 {
        self.list
    }

    /// Returns the week that the report is about.
    pub fn week(&self) -> Week {
        self.week
    }

    /// Returns the ID.
    pub fn id(&self) -> Hex32 {
        self.id
    }

    /// Returns the fields with their values.
    pub fn values(&self) -> impl Iterator<Item = (&'static Field, &'static str)> {
        fields_of(self.list).zip(self.values.iter().copied())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No name or value needs escapes in JSON.
        let mut fields = String::new();
        for (field, value) in self.values() {
            let comma = if fields.is_empty() { "" } else { "," };
            write!(fields, "{comma}\"{}\":\"{value}\"", field.name)?;
        }
        let Self { list, week, id, .. } = self;
        write!(f, "{{\"list\":{list},\"week\":\"{week}\",\"id\":\"{id}\",\"fields\":{{{fields}}}}}")
    }
}

impl FromStr for Payload {
    type Err = PayloadError;

    fn from_str(text: &str) -> Result<Self, PayloadError> {
        if text.len() > MAX_PAYLOAD_BYTES {
            return Err(PayloadError::TooLong);
        }
        let Parts { list, week, id, fields } = serde_json::from_str(text)?;
        if !(1..=LIST_VERSION).contains(&list) {
            return Err(PayloadError::List(list));
        }
        let value = |field: &'static Field| {
            fields.get(field.name).and_then(|text| field.value(text)).ok_or(PayloadError::Value(field.name))
        };
        let values = fields_of(list).map(value).collect::<Result<_, _>>()?;
        let read = Self { list, week: week.parse()?, id: id.parse()?, values };
        if read.to_string() == text { Ok(read) } else { Err(PayloadError::Form) }
    }
}

impl TryFrom<String> for Payload {
    type Error = PayloadError;

    fn try_from(text: String) -> Result<Self, PayloadError> {
        text.parse()
    }
}

impl From<Payload> for String {
    fn from(payload: Payload) -> Self {
        payload.to_string()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fields::FIELDS;
    use dcache::Time;
    use proptest::prelude::*;

    pub(crate) const NOW: Time = Time(1_796_050_800);

    /// A report with the first value of each field.
    pub(crate) fn report(secret: u8, week: Week) -> Payload {
        Payload::new(LIST_VERSION, week, &Hex32([secret; 32]), |field| field.values[0])
    }

    /// Any report that a robot can make.
    pub(crate) fn any_report() -> impl Strategy<Value = (Payload, Hex32)> {
        let places = proptest::collection::vec(any::<prop::sample::Index>(), FIELDS.len());
        (places, any::<[u8; 32]>(), 0u64..4_000_000_000).prop_map(|(places, secret, time)| {
            let value = |field: &'static Field| {
                let number = crate::fields::field(field.name).unwrap().0;
                field.values[places[number].index(field.values.len())]
            };
            let secret = Hex32(secret);
            (Payload::new(LIST_VERSION, Week::of(Time(time)), &secret, value), secret)
        })
    }

    #[test]
    fn a_report_has_this_form() {
        let text = report(1, Week::of(NOW)).to_string();
        let (head, tail) =
            (text.split("\"id\":\"").next().unwrap(), text.split("\"fields\":").nth(1).unwrap());
        assert_eq!(head, r#"{"list":1,"week":"2026-W49","#);
        assert_eq!(
            tail,
            r#"{"robot_type":"duckiebot","configuration":"DB17","hardware":"jetson_nano","distribution":"daffy","version":"0.1.0","swarm":"keyed","robots":"1","days":"1","hours":"1-5","logs":"0","keeps":"no","uploads":"no"}}"#
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let text = report(1, Week::of(NOW)).to_string();
        assert!(text.parse::<Payload>().is_ok());
        for (from, to) in [
            ("\"list\":1", "\"list\":2"),
            ("\"list\":1", "\"list\":0"),
            ("\"list\":1", "\"list\": 1"),
            ("duckiebot", "megabot"),
            ("\"DB17\"", "\"DB17\",\"owner\":\"me\""),
            ("\"robot_type\":\"duckiebot\",", ""),
            ("2026-W49", "2026-W60"),
            ("\"keeps\":\"no\",\"uploads\":\"no\"", "\"uploads\":\"no\",\"keeps\":\"no\""),
            ("}}", "}}\n"),
            ("{\"list\"", "{\"peer\":\"x\",\"list\""),
        ] {
            let wrong = text.replacen(from, to, 1);
            assert_ne!(wrong, text);
            assert!(wrong.parse::<Payload>().is_err(), "{wrong}");
        }
        assert!(matches!("[".repeat(2000).parse::<Payload>(), Err(PayloadError::TooLong)));
    }

    proptest! {
        #[test]
        fn a_report_consists_of_rows_of_the_table_and_an_id((report, secret) in any_report()) {
            let text = report.to_string();
            prop_assert!(text.len() <= MAX_PAYLOAD_BYTES);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
            prop_assert_eq!(keys, ["fields", "id", "list", "week"]);
            for (name, value) in json["fields"].as_object().unwrap() {
                let (_, field) = crate::fields::field(name).unwrap();
                prop_assert!(field.values.contains(&value.as_str().unwrap()));
            }
            prop_assert_eq!(&text.parse::<Payload>().unwrap(), &report);
            prop_assert!(report.is_of(&secret));
            prop_assert!(!report.is_of(&Hex32([7; 32])));
        }

        #[test]
        fn no_other_text_is_a_report(text in ".{0,200}") {
            prop_assert!(text.parse::<Payload>().is_err());
        }
    }
}
