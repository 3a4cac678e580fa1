//! Finding and reading scenarios.

use crate::Scenario;

/// The reason why a scenario cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The argument is neither the name of a built-in scenario nor a file.
    #[error("{0:?} is not a scenario: name a file or one of {names}", names = names().join(", "))]
    Unknown(String),
    /// The file cannot be read.
    #[error("{0} cannot be read: {1}")]
    File(String, std::io::Error),
    /// The file does not have the format of a scenario.
    #[error("{0}: {1}")]
    Shape(String, toml::de::Error),
    /// The scenario is contradictory.
    #[error("{0}")]
    Sense(String),
}

/// The built-in scenarios: name and text of each.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("mixed", include_str!("../scenarios/mixed.toml")),
    ("wrong-clocks", include_str!("../scenarios/wrong-clocks.toml")),
    ("skewed-clocks", include_str!("../scenarios/skewed-clocks.toml")),
    ("quiet-5", include_str!("../scenarios/quiet-5.toml")),
    ("quiet-20", include_str!("../scenarios/quiet-20.toml")),
    ("quiet-80", include_str!("../scenarios/quiet-80.toml")),
    ("newcomer", include_str!("../scenarios/newcomer.toml")),
    ("day-away", include_str!("../scenarios/day-away.toml")),
    ("merge", include_str!("../scenarios/merge.toml")),
    ("laptop", include_str!("../scenarios/laptop.toml")),
    ("ten-thousand", include_str!("../scenarios/ten-thousand.toml")),
    ("irc-only", include_str!("../scenarios/irc-only.toml")),
    ("join-20", include_str!("../scenarios/join-20.toml")),
    ("join-20-loss", include_str!("../scenarios/join-20-loss.toml")),
    ("join-50", include_str!("../scenarios/join-50.toml")),
    ("join-50-loss", include_str!("../scenarios/join-50-loss.toml")),
    ("files", include_str!("../scenarios/files.toml")),
    ("copies", include_str!("../scenarios/copies.toml")),
    ("short-absences", include_str!("../scenarios/short-absences.toml")),
    ("come-and-go", include_str!("../scenarios/come-and-go.toml")),
    ("health", include_str!("../scenarios/health.toml")),
];

fn names() -> Vec<&'static str> {
    BUILT_IN.iter().map(|(name, _)| *name).collect()
}

impl Scenario {
    /// Reads a scenario from its text; `name` is used in error messages.
    ///
    /// # Errors
    /// When the text does not have the format of [`Scenario`].
    pub fn read(name: &str, text: &str) -> Result<Self, ScenarioError> {
        toml::from_str(text).map_err(|error| ScenarioError::Shape(name.to_owned(), error))
    }

    /// Returns the built-in scenario of this name.
    ///
    /// # Errors
    /// When there is no built-in scenario of this name.
    pub fn built_in(name: &str) -> Result<Self, ScenarioError> {
        let found = BUILT_IN.iter().find(|(known, _)| *known == name);
        let (_, text) = found.ok_or_else(|| ScenarioError::Unknown(name.to_owned()))?;
        Self::read(name, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_built_in_scenarios_can_be_read() {
        for (name, text) in BUILT_IN {
            Scenario::read(name, text).unwrap();
        }
        assert!(matches!(Scenario::built_in("none"), Err(ScenarioError::Unknown(_))));
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        let text = "about = ''\nduration = 1\ncalm = 1\n[[lan]]\nnodes = 2\n";
        assert!(Scenario::read("it", text).is_ok());
        assert!(Scenario::read("it", &format!("{text}lose = 0.1")).is_err());
        assert!(Scenario::read("it", &text.replace("calm = 1", "calm = -1")).is_err());
    }
}
