//! What a service adds to the daemon's start message.

/// Lines of the daemon's start message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Banner {
    /// Labels and values, such as `shared folder` and its path.
    pub lines: Vec<(&'static str, String)>,
    /// What a person can try next, and the CLI command that shows the effect.
    pub hints: Vec<(String, &'static str)>,
}
