//! The rules that rewrite addresses. Some are in the configuration; `route add` adds others, which are stored in a
//! file.

use brain::Routing;
use routing::{Address, Rule, Table, TableError};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use swarm::{Stopped, Swarm};
use tokio::sync::Mutex;

/// The rules, and the paths of the plan. Clones share one state.
#[derive(Clone)]
pub(crate) struct Routes(Arc<Mutex<RouteState>>);

struct RouteState {
    swarm: Swarm,
    path: PathBuf,
    configured: Vec<Rule>,
    added: Vec<Rule>,
    paths: Vec<Address>,
    forwards: bool,
}

/// Reason why a rule is not added or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoutesError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("there is no such rule: {0}")]
    Absent(Rule),
    #[error(
        "this rule is in the configuration file: remove it from the key `routes`, and start the daemon again"
    )]
    Configured,
    #[error("the rules cannot be written to {0}: {1}")]
    Write(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Reads the rules of a file, one on each line. Logs and skips a line that is no rule.
pub(crate) fn read(path: &std::path::Path) -> Vec<Rule> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "the added routes cannot be read");
            }
            return Vec::new();
        }
    };
    let rule = |line: &str| match line.parse() {
        Ok(rule) => Some(rule),
        Err(error) => {
            tracing::warn!(line, %error, "a line in the file of added routes is not a rule and is ignored");
            None
        }
    };
    text.lines().filter(|line| !line.trim().is_empty()).filter_map(rule).collect()
}

impl Routes {
    pub(crate) fn new(
        swarm: Swarm,
        path: PathBuf,
        configured: Vec<Rule>,
        added: Vec<Rule>,
        forwards: bool,
    ) -> Self {
        let paths = Vec::new();
        Self(Arc::new(Mutex::new(RouteState { swarm, path, configured, added, paths, forwards })))
    }

    /// Sets the paths: chains of channels that the brain uses like a single channel.
    pub(crate) async fn set_paths(&self, paths: Vec<Address>) -> Result<(), Stopped> {
        let mut state = self.0.lock().await;
        if state.paths != paths {
            state.paths = paths;
            state.tell().await?;
        }
        Ok(())
    }

    /// Adds a rule. The rule is on the disk when the method returns.
    pub(crate) async fn add(&self, rule: Rule) -> Result<(), RoutesError> {
        let mut state = self.0.lock().await;
        let mut table = Table::new(state.swarm.me());
        for known in state.rules().chain([rule.clone()]) {
            table.add(known)?;
        }
        let added = state.added.iter().cloned().chain([rule]).collect();
        state.change(added).await
    }

    /// Removes a rule that was added. A rule of the configuration cannot be removed.
    pub(crate) async fn remove(&self, rule: &Rule) -> Result<(), RoutesError> {
        let mut state = self.0.lock().await;
        if !state.added.contains(rule) {
            let is_configured = state.configured.contains(rule);
            return Err(if is_configured {
                RoutesError::Configured
            } else {
                RoutesError::Absent(rule.clone())
            });
        }
        let added = state.added.iter().filter(|known| *known != rule).cloned().collect();
        state.change(added).await
    }
}

impl RouteState {
    fn rules(&self) -> impl Iterator<Item = Rule> + use<'_> {
        self.configured.iter().chain(&self.added).cloned()
    }

    async fn change(&mut self, added: Vec<Rule>) -> Result<(), RoutesError> {
        let text: String = added.iter().map(|rule| format!("{rule}\n")).collect();
        let path = self.path.clone();
        // Writing to the disk may block.
        let written =
            tokio::task::spawn_blocking(move || control::replace(&path, text.as_bytes(), 0o644)).await;
        let written = written.unwrap_or_else(|_| Err(io::Error::other("the writing task failed")));
        written.map_err(|error| RoutesError::Write(self.path.clone(), error))?;
        self.added = added;
        Ok(self.tell().await?)
    }

    async fn tell(&self) -> Result<(), Stopped> {
        self.swarm.route(self.routing()).await
    }

    fn routing(&self) -> Routing {
        Routing { rules: self.rules().collect(), paths: self.paths.clone(), forwards: self.forwards }
    }
}
