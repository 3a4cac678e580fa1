//! The formats of UDP port 11411: a ping with a port, and the answer of a robot to that port.
//!
//! Both are JSON objects. The programs of Duckietown refuse an object with a missing or an additional key, and so does
//! this module. Nobody checks the value of `version`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::foreign::Profile;
use serde::Deserialize;
use serde_json::Value;

/// The UDP port of robots that answer pings.
pub const PING_PORT: u16 = 11_411;
/// Maximum size of a ping, in bytes. A ping with the longest port has 35.
pub const MAX_PING_BYTES: usize = 256;
/// Maximum size of an answer, in bytes. Fits five texts of [`MAX_TEXT_BYTES`] with every character escaped.
pub const MAX_PONG_BYTES: usize = 2048;
/// Maximum size of a text in an answer, in bytes: that of a label in DNS names.
pub const MAX_TEXT_BYTES: usize = 63;
/// Version of the format.
const VERSION: &str = "1";
/// The value of a type, configuration or hardware that the robot does not know.
const UNKNOWN: &str = "unknown";

/// A ping: asks a robot for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// Version of the format.
    pub version: String,
    /// UDP port of the asker, to which the answer is sent.
    pub port: u16,
}

/// The answer of a robot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pong {
    /// Version of the format.
    pub version: String,
    /// Name of the robot.
    pub name: String,
    /// Type, in lower case, such as `duckiebot`.
    #[serde(rename = "type")]
    pub robot_type: String,
    /// Configuration, in upper case, such as `DB21J`.
    pub configuration: String,
    /// Hardware, in lower case, such as `jetson_nano`.
    pub hardware: String,
}

/// Error for a datagram that is no ping or no answer.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The datagram is too long.
    #[error("the datagram has {0} bytes, which is too long")]
    TooLong(usize),
    /// The datagram is not a JSON object with exactly the expected keys.
    #[error("the datagram has another form: {0}")]
    Form(#[from] serde_json::Error),
    /// A text is empty or too long, or the port is 0.
    #[error("a value is empty or too long")]
    Value,
}

impl Ping {
    /// Returns a ping whose answers go to this port.
    pub fn new(port: u16) -> Self {
        Self { version: VERSION.to_owned(), port }
    }

    /// Returns the bytes of the ping, written as Python's `json` writes them.
    pub fn encode(&self) -> Vec<u8> {
        format!(r#"{{"version": {}, "port": {}}}"#, quoted(&self.version), self.port).into_bytes()
    }

    /// Reads a ping.
    ///
    /// # Errors
    /// When the datagram is too long or has another form, or the port is 0.
    pub fn decode(bytes: &[u8]) -> Result<Self, PingError> {
        let ping: Self = parse(bytes, MAX_PING_BYTES)?;
        match ping.port != 0 && ping.version.len() <= MAX_TEXT_BYTES {
            true => Ok(ping),
            false => Err(PingError::Value),
        }
    }
}

impl Pong {
    /// Returns the answer of a robot with this profile, or `None` if the robot has no name or a name that is too long.
    pub fn of(profile: &Profile) -> Option<Self> {
        let text = |value: &Option<String>| {
            let value = value.as_deref().unwrap_or_default().trim();
            if is_text(value) { value.to_owned() } else { UNKNOWN.to_owned() }
        };
        let pong = Self {
            version: VERSION.to_owned(),
            name: profile.name.clone(),
            robot_type: text(&profile.robot_type).to_lowercase(),
            configuration: text(&profile.configuration).to_uppercase(),
            hardware: text(&profile.hardware).to_lowercase(),
        };
        // A change of case can make a text longer.
        pong.is_valid().then_some(pong)
    }

    /// Returns the bytes of the answer, written as Python's `json` writes them.
    pub fn encode(&self) -> Vec<u8> {
        let values = [
            ("version", &self.version),
            ("name", &self.name),
            ("type", &self.robot_type),
            ("configuration", &self.configuration),
            ("hardware", &self.hardware),
        ];
        let fields = values.map(|(key, value)| format!("{}: {}", quoted(key), quoted(value)));
        format!("{{{}}}", fields.join(", ")).into_bytes()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// When the datagram or a text in it is too long, or the datagram has another form.
    pub fn decode(bytes: &[u8]) -> Result<Self, PingError> {
        let pong: Self = parse(bytes, MAX_PONG_BYTES)?;
        if pong.is_valid() { Ok(pong) } else { Err(PingError::Value) }
    }

    fn is_valid(&self) -> bool {
        let others = [&self.version, &self.robot_type, &self.configuration, &self.hardware];
        is_text(&self.name) && others.iter().all(|text| text.len() <= MAX_TEXT_BYTES)
    }
}

fn is_text(text: &str) -> bool {
    (1..=MAX_TEXT_BYTES).contains(&text.len())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], limit: usize) -> Result<T, PingError> {
    match bytes.len() <= limit {
        true => Ok(serde_json::from_slice(bytes)?),
        false => Err(PingError::TooLong(bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PONG: &str = r#"{"version": "1", "name": "duckie7", "type": "duckiebot", "configuration": "DB21J", "hardware": "raspberry_pi_64"}"#;

    fn profile() -> Profile {
        Profile {
            name: "duckie7".to_owned(),
            robot_type: Some("Duckiebot".to_owned()),
            configuration: Some("db21j\n".to_owned()),
            hardware: Some("raspberry_pi_64".to_owned()),
            own: None,
        }
    }

    #[test]
    fn a_ping_has_exactly_the_bytes_of_the_original_client() {
        assert_eq!(Ping::new(40_123).encode(), br#"{"version": "1", "port": 40123}"#);
        assert_eq!(Ping::decode(br#"{"port":7000,"version":"2"}"#).unwrap().port, 7000);
    }

    #[test]
    fn an_answer_has_exactly_the_five_keys_and_the_right_case() {
        let pong = Pong::of(&profile()).unwrap();
        assert_eq!(String::from_utf8(pong.encode()).unwrap(), PONG);
        assert_eq!(Pong::decode(PONG.as_bytes()).unwrap(), pong);
    }

    #[test]
    fn a_robot_without_files_is_of_unknown_type() {
        let profile = Profile { name: "a".to_owned(), ..Profile::default() };
        let pong = Pong::of(&profile).unwrap();
        assert_eq!(
            (&*pong.robot_type, &*pong.configuration, &*pong.hardware),
            ("unknown", "UNKNOWN", "unknown")
        );
        assert_eq!(Pong::of(&Profile::default()), None);
        assert_eq!(Pong::of(&Profile { name: "a".repeat(64), ..profile }), None);
    }

    #[test]
    fn missing_and_additional_keys_are_refused() {
        let refused = [
            r#"{"port": 7000}"#,
            r#"{"version": "1"}"#,
            r#"{"version": "1", "port": 7000, "name": "a"}"#,
            r#"{"version": "1", "port": 0}"#,
            r#"{"version": "1", "port": 65536}"#,
            r#"{"version": "1", "port": "7000"}"#,
            "[]",
            "",
        ];
        for text in refused {
            assert!(Ping::decode(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Pong::decode(PONG.replace('}', r#", "ip": "10.0.0.1"}"#).as_bytes()).is_err());
        assert!(Pong::decode(PONG.replace(r#""type": "duckiebot", "#, "").as_bytes()).is_err());
        assert!(Pong::decode(PONG.replace("duckie7", "").as_bytes()).is_err());
    }

    #[test]
    fn long_datagrams_and_texts_are_refused() {
        let long = format!("{}{}", PONG, " ".repeat(MAX_PONG_BYTES));
        assert!(matches!(Pong::decode(long.as_bytes()), Err(PingError::TooLong(_))));
        let name = PONG.replace("duckie7", &"a".repeat(64));
        assert!(matches!(Pong::decode(name.as_bytes()), Err(PingError::Value)));
    }

    proptest! {
        #[test]
        fn an_answer_is_read_again(name in ".{1,15}", robot_type in ".{0,9}", configuration in ".{0,9}") {
            let [robot_type, configuration] = [robot_type, configuration].map(Some);
            let profile = Profile { name, robot_type, configuration, hardware: None, own: None };
            if let Some(pong) = Pong::of(&profile) {
                prop_assert!(pong.encode().len() <= MAX_PONG_BYTES);
                prop_assert_eq!(Pong::decode(&pong.encode()).unwrap(), pong);
            }
        }
    }
}
