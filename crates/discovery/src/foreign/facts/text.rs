//! Names and values of facts.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::foreign::dns::{Name, strings};
use serde_json::{Map, Value};

/// Maximum size of a host name and of a value, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 63;
/// The labels of the service type.
const SERVICE: [&str; 3] = ["_duckietown", "_tcp", "local"];

/// The kind of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactKind {
    /// The robot is switched on.
    Presence,
    /// The robot is starting.
    Booting,
    /// The type, such as `duckiebot`.
    RobotType,
    /// The configuration, such as `DB21J`.
    Configuration,
    /// The hardware, such as `virtual`.
    Hardware,
}

impl FactKind {
    /// All kinds, in the order in which they are published.
    pub const ALL: [Self; 5] =
        [Self::Presence, Self::Booting, Self::RobotType, Self::Configuration, Self::Hardware];

    /// Returns the name of the fact, as it stands in the name of an instance.
    pub fn name(self) -> &'static str {
        match self {
            Self::Presence => "PRESENCE",
            Self::Booting => "BOOTING",
            Self::RobotType => "ROBOT_TYPE",
            Self::Configuration => "ROBOT_CONFIGURATION",
            Self::Hardware => "ROBOT_HARDWARE",
        }
    }

    /// Returns the key of the value in the JSON object, or `None` for a fact without a value.
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::Presence | Self::Booting => None,
            Self::RobotType => Some("type"),
            Self::Configuration => Some("configuration"),
            Self::Hardware => Some("hardware"),
        }
    }
}

/// Returns the name of the service type, `_duckietown._tcp.local`.
pub fn service_name() -> Name {
    Name::new(SERVICE).unwrap_or_default()
}

/// Returns the kind of the fact and the host name in the name of an instance. Returns `None` for another service type,
/// for a fact that this program does not know, and for a name without exactly three parts, the first of them `DT`.
pub fn parse_instance(name: &Name, service: &Name) -> Option<(FactKind, String)> {
    // A host name may have dots. Avahi keeps them in the label of the instance, other programs divide the name there.
    let instance = name.before(service)?.join(b".".as_slice());
    let instance = std::str::from_utf8(&instance).ok()?;
    let mut parts = instance.split("::");
    let (prefix, fact, host) = (parts.next()?, parts.next()?, parts.next()?);
    if prefix != "DT" || parts.next().is_some() || !(1..=MAX_TEXT_BYTES).contains(&host.len()) {
        return None;
    }
    let kind = FactKind::ALL.into_iter().find(|kind| kind.name() == fact)?;
    Some((kind, host.to_owned()))
}

/// Returns the value of a fact in the content of its TXT record, or `None` if the record has no such value.
///
/// Of several strings, the last one counts, as in python-zeroconf. Some robots publish the JSON object with one space in
/// front of it. A reader takes the space for a length of 32 bytes, which may be wrong.
pub fn value_of(kind: FactKind, rdata: &[u8]) -> Option<String> {
    let key = kind.key()?;
    let object = whole(rdata).or_else(|| strings(rdata).into_iter().rev().find_map(object))?;
    let value = object.get(key)?.as_str()?.trim();
    (1..=MAX_TEXT_BYTES).contains(&value.len()).then(|| value.to_owned())
}

/// Returns the object in a record that consists of a space and JSON.
fn whole(rdata: &[u8]) -> Option<Map<String, Value>> {
    object(rdata.strip_prefix(b" ").filter(|rest| rest.first() == Some(&b'{'))?)
}

fn object(text: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(instance: &str) -> Option<(FactKind, String)> {
        let labels = std::iter::once(instance).chain(SERVICE);
        parse_instance(&Name::new(labels)?, &service_name())
    }

    /// Returns the content of a TXT record with these strings.
    fn txt(strings: &[&str]) -> Vec<u8> {
        strings.iter().flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat()).collect()
    }

    fn configuration(rdata: &[u8]) -> Option<String> {
        value_of(FactKind::Configuration, rdata)
    }

    #[test]
    fn instance_names_need_exactly_three_parts() {
        assert_eq!(parse("DT::PRESENCE::duckie7"), Some((FactKind::Presence, "duckie7".to_owned())));
        assert_eq!(
            parse("DT::ROBOT_TYPE::entebot208-2"),
            Some((FactKind::RobotType, "entebot208-2".to_owned()))
        );
        let long = format!("DT::BOOTING::{}", "a".repeat(50));
        assert!(parse(&long).is_some());
        let ignored = [
            "DT::PRESENCE",
            "DT::PRESENCE::",
            "DT::PRESENCE::a::b",
            "XX::PRESENCE::a",
            "DT::presence::a",
            "DT::ONLINE::a",
            "DT::FILES-API::a",
            "dt::PRESENCE::a",
            "PRESENCE::a",
            "::::",
        ];
        for instance in ignored {
            assert_eq!(parse(instance), None, "{instance}");
        }
        let other = Name::new(["DT::PRESENCE::a", "_http", "_tcp", "local"]).unwrap();
        assert_eq!(parse_instance(&other, &service_name()), None);
        let divided = Name::new(["DT::PRESENCE::a", "b", "_duckietown", "_tcp", "local"]).unwrap();
        assert_eq!(parse_instance(&divided, &service_name()).unwrap().1, "a.b");
    }

    #[test]
    fn trap_1_the_json_stands_in_the_string_without_a_key() {
        assert_eq!(configuration(&txt(&[r#"{"configuration": "DB21J"}"#])).unwrap(), "DB21J");
        assert_eq!(value_of(FactKind::RobotType, &txt(&[r#"{"type": "duckiebot"}"#])).unwrap(), "duckiebot");
        assert_eq!(configuration(&txt(&[r#"configuration=DB21J"#])), None);
        assert_eq!(configuration(&txt(&[r#"{"id": "abc==", "configuration": "DB21J"}"#])).unwrap(), "DB21J");
    }

    #[test]
    fn trap_2_of_several_strings_the_last_one_counts() {
        let strings = [r#"{"configuration": "DB18"}"#, r#"{"configuration": "DB21J"}"#];
        assert_eq!(configuration(&txt(&strings)).unwrap(), "DB21J");
        // The client of Duckietown fails here; this reader looks for an object.
        assert_eq!(configuration(&txt(&[strings[0], "a=b", "x=1"])).unwrap(), "DB18");
    }

    #[test]
    fn trap_3_an_empty_record_has_no_value() {
        for rdata in [b"".as_slice(), b"\x00", b"\x02{}", b"\x00\x00"] {
            assert_eq!(configuration(rdata), None);
        }
        assert_eq!(value_of(FactKind::Presence, &txt(&[r#"{"type": "duckiebot"}"#])), None);
    }

    #[test]
    fn trap_8_json_behind_a_space_is_read_at_any_length() {
        let short = r#" {"configuration": "DB21J"}"#;
        let long = r#" {"device": "0123456789ab", "configuration": "DB21J", "version": "1.2"}"#;
        for text in [short, long] {
            assert_eq!(configuration(text.as_bytes()).unwrap(), "DB21J", "{text}");
        }
        // A string of exactly 32 bytes, and another one behind it.
        let first = r#"{"x": "yyyyyyyyyyyyyyyyyyyyyyy"}"#;
        let strings = txt(&[first, r#"{"configuration": "DB21J"}"#]);
        assert!(strings.starts_with(b" {"));
        assert_eq!(configuration(&strings).unwrap(), "DB21J");
        let overrun = [&[200], txt(&[r#"{"configuration": "DB21J"}"#])[1..].to_vec().as_slice()].concat();
        assert_eq!(configuration(&overrun).unwrap(), "DB21J", "a length beyond the end of the record");
    }

    #[test]
    fn values_of_another_form_are_left_out() {
        let long = format!(r#"{{"configuration": "{}"}}"#, "a".repeat(64));
        for text in [r#"{"configuration": 7}"#, r#"["DB21J"]"#, r#"{"configuration": ""}"#, "{", &long] {
            assert_eq!(configuration(&txt(&[text])), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(rdata in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(configuration(&rdata).is_none_or(|value| value.len() <= MAX_TEXT_BYTES));
        }

        #[test]
        fn each_published_value_is_read(value in "[A-Za-z0-9_]{1,40}", with_space in any::<bool>()) {
            let json = format!(r#"{{"configuration": "{value}"}}"#);
            let rdata = if with_space { format!(" {json}").into_bytes() } else { txt(&[&json]) };
            prop_assert_eq!(configuration(&rdata), Some(value));
        }
    }
}
