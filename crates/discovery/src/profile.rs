//! The profile of a robot: the properties that it states about itself in one item.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{Data, DataError};
use serde::Serialize;
use serde_json::{Map, Value};

/// Maximum size, in bytes, of one text of a profile.
pub const MAX_PROFILE_TEXT_BYTES: usize = 64;
/// Maximum size, in bytes, of the text form of a profile. Longer data is not read. Seven texts of the maximum size
/// fit.
pub const MAX_PROFILE_BYTES: usize = 640;

/// The properties of a robot. Each text has 1 to 64 bytes, without control characters, quotation marks and backslashes;
/// [`profile_text`] checks that.
///
/// The text form is compact JSON with sorted keys, such as
/// `{"boot":"0d3ad5b4a5e44d9c","configuration":"DB21J","type":"duckiebot"}`. Properties that are not known are left
/// out. A reader ignores unknown keys and wrong texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Profile {
    // The fields are in the order of their keys, because the text form has sorted keys.
    /// The ID of the present boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// The configuration, such as `DB21J`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// The device ID: the MAC address of eth0 without colons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The Duckietown distribution, such as `ente`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distro: Option<String>,
    /// The hardware, such as `jetson_nano`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// A tag of the device, which stands for the device ID where strangers must not learn it. Two hosts with the same
    /// key have different tags. See [`crate::privacy`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The type, such as `duckiebot`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub robot_type: Option<String>,
}

impl Profile {
    /// Returns whether no property is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the text form. Texts that a profile must not have are left out.
    ///
    /// # Errors
    /// When the text form is too long for an item. This does not happen, because the texts are short.
    pub fn to_data(&self) -> Result<Data, DataError> {
        Data::new(&serde_json::to_string(&self.checked()).unwrap_or_default())
    }

    /// Reads a text form. Other texts give a profile without properties.
    pub fn from_data(data: &Data) -> Self {
        let text = Some(data.as_str()).filter(|text| text.len() <= MAX_PROFILE_BYTES);
        let Some(Ok(keys)) = text.map(serde_json::from_str::<Map<String, Value>>) else {
            return Self::default();
        };
        let text = |key: &str| keys.get(key).and_then(Value::as_str).and_then(profile_text);
        Self {
            boot: text("boot"),
            configuration: text("configuration"),
            device: text("device"),
            distro: text("distro"),
            hardware: text("hardware"),
            host: text("host"),
            robot_type: text("type"),
        }
    }

    /// Returns this profile without the texts that it must not have.
    #[must_use]
    pub fn checked(&self) -> Self {
        let checked = |text: &Option<String>| text.as_deref().and_then(profile_text);
        Self {
            boot: checked(&self.boot),
            configuration: checked(&self.configuration),
            device: checked(&self.device),
            distro: checked(&self.distro),
            hardware: checked(&self.hardware),
            host: checked(&self.host),
            robot_type: checked(&self.robot_type),
        }
    }
}

/// Returns the text without white space at its ends, if a profile may have it.
pub fn profile_text(text: &str) -> Option<String> {
    let text = text.trim();
    // JSON needs no escapes for the allowed characters, so the text form is never longer than allowed.
    let is_wrong = |char: char| char.is_control() || matches!(char, '"' | '\\');
    let is_fit = (1..=MAX_PROFILE_TEXT_BYTES).contains(&text.len()) && !text.chars().any(is_wrong);
    is_fit.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Profile {
        Profile::from_data(&Data::new(text).unwrap())
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn the_text_form_is_compact_json_with_sorted_keys() {
        let profile = Profile {
            boot: text("0d3ad5b4a5e44d9c"),
            configuration: text("DB21J"),
            device: text("00044be5a1b2"),
            distro: text("ente"),
            hardware: text("jetson_nano"),
            host: text("5f0c6a1e9b7d2438"),
            robot_type: text("duckiebot"),
        };
        let written = profile.to_data().unwrap();
        assert_eq!(
            written.as_str(),
            r#"{"boot":"0d3ad5b4a5e44d9c","configuration":"DB21J","device":"00044be5a1b2","distro":"ente","hardware":"jetson_nano","host":"5f0c6a1e9b7d2438","type":"duckiebot"}"#
        );
        let keys: Map<String, Value> = serde_json::from_str(written.as_str()).unwrap();
        assert!(keys.keys().is_sorted());
        assert_eq!(Profile::from_data(&written), profile);
        assert_eq!(Profile::default().to_data().unwrap().as_str(), "{}");
    }

    #[test]
    fn unknown_keys_are_ignored_and_wrong_texts_are_dropped() {
        let long = "x".repeat(65);
        let profile = read(&format!(
            r#"{{"type":"duckiebot","x":[1],"boot":7,"distro":"a\nb","hardware":"{long}","device":""}}"#
        ));
        assert_eq!(profile, Profile { robot_type: text("duckiebot"), ..Profile::default() });
        for junk in ["", "7", "[]", "null", "{", "\"type\"", &"[".repeat(400)] {
            assert!(read(junk).is_empty(), "{junk}");
        }
        let padded = format!(r#"{{"type":"duckiebot"{}}}"#, " ".repeat(MAX_PROFILE_BYTES));
        assert!(read(&padded).is_empty(), "data that is too long is not read");
    }

    #[test]
    fn a_profile_of_the_longest_texts_fits() {
        let longest = text(&"é".repeat(32));
        let profile = Profile {
            boot: longest.clone(),
            configuration: longest.clone(),
            device: longest.clone(),
            distro: longest.clone(),
            hardware: longest.clone(),
            host: longest.clone(),
            robot_type: longest,
        };
        let data = profile.to_data().unwrap();
        assert!(data.as_str().len() <= MAX_PROFILE_BYTES);
        assert_eq!(Profile::from_data(&data), profile);
    }

    proptest! {
        #[test]
        fn every_profile_is_the_same_after_a_round_trip(texts in proptest::collection::vec("(?s).{0,40}", 7)) {
            let mut texts = texts.into_iter();
            let profile = Profile {
                boot: texts.next(),
                configuration: texts.next(),
                device: texts.next(),
                distro: texts.next(),
                hardware: texts.next(),
                host: texts.next(),
                robot_type: texts.next(),
            };
            let data = profile.to_data().unwrap();
            prop_assert!(data.as_str().len() <= MAX_PROFILE_BYTES);
            prop_assert_eq!(Profile::from_data(&data), profile.checked());
        }

        #[test]
        fn any_text_is_read_within_the_limits(text in "(?s).{0,200}") {
            let read = read(&text);
            prop_assert_eq!(read.checked(), read);
        }
    }
}
