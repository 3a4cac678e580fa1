//! The lines that a service adds to the start message of the daemon.

/// Lines of a service in the start message of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Banner {
    /// Labels and values, such as `shared folder` and its path.
    pub lines: Vec<(&'static str, String)>,
    /// Steps that the user can try next, each with the CLI command that shows the effect.
    pub hints: Vec<(String, &'static str)>,
}
