//! Patterns that choose the files of a shared folder.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{Pattern, PatternError};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Maximum number of patterns of each kind for one folder. Each of them is compared with each file at each scan.
const MAX_PATTERNS: usize = 64;

/// A shared folder in the configuration: its path, or a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SharedFolder {
    /// Path of a folder of which all files are shared.
    Whole(PathBuf),
    /// A folder of which some files are shared.
    Selected(SelectedFolder),
}

/// A folder of which some files are shared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectedFolder {
    /// Path of the folder.
    pub path: PathBuf,
    /// Patterns of the files to share. Without any, all files are shared.
    #[serde(default)]
    pub include: Vec<String>,
    /// Patterns of the files not to share.
    #[serde(default)]
    pub exclude: Vec<String>,
}

impl From<SharedFolder> for SelectedFolder {
    fn from(folder: SharedFolder) -> Self {
        match folder {
            SharedFolder::Whole(path) => Self { path, include: Vec::new(), exclude: Vec::new() },
            SharedFolder::Selected(folder) => folder,
        }
    }
}

/// Error in the patterns of a folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectionError {
    /// A text is not a pattern.
    #[error("{0:?} is not a pattern for files: {1}. Examples: *.bag, run/*, *.{{bag,mcap}}")]
    Pattern(String, #[source] PatternError),
    /// There are more patterns than [`MAX_PATTERNS`].
    #[error("a shared folder has at most {MAX_PATTERNS} patterns to include and to exclude, not {0}")]
    TooMany(usize),
}

/// The files of a shared folder that are shared, by their paths relative to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl Selection {
    /// Reads the patterns.
    ///
    /// # Errors
    /// When a pattern is not well formed, or there are too many.
    pub(crate) fn new(include: &[String], exclude: &[String]) -> Result<Self, SelectionError> {
        Ok(Self { include: read(include)?, exclude: read(exclude)? })
    }

    /// Returns whether the file at this path is shared. A `*` in a pattern also matches `/`.
    pub(crate) fn takes(&self, path: &str) -> bool {
        let is_in = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches_text(path));
        (self.include.is_empty() || is_in(&self.include)) && !is_in(&self.exclude)
    }
}

fn read(patterns: &[String]) -> Result<Vec<Pattern>, SelectionError> {
    if patterns.len() > MAX_PATTERNS {
        return Err(SelectionError::TooMany(patterns.len()));
    }
    let pattern =
        |text: &String| Pattern::new(text).map_err(|error| SelectionError::Pattern(text.clone(), error));
    patterns.iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn exclusion_goes_before_inclusion_and_no_pattern_means_all() {
        let takes = |include: &[&str], exclude: &[&str], path| {
            Selection::new(&texts(include), &texts(exclude)).unwrap().takes(path)
        };
        for (include, exclude, path, is_taken) in [
            (&[][..], &[][..], "run/a.bag", true),
            (&["*.bag"], &[], "run/a.bag", true),
            (&["*.bag"], &[], "run/a.txt", false),
            (&["*.bag", "*.txt"], &["run/*"], "a.txt", true),
            (&["*.bag"], &["tmp/*"], "tmp/deep/a.bag", false),
            (&[], &["*.png"], "a.png", false),
            (&["run/*.{bag,mcap}"], &[], "run/a.mcap", true),
        ] {
            assert_eq!(takes(include, exclude, path), is_taken, "{include:?} {exclude:?} {path}");
        }
    }

    #[test]
    fn a_wrong_pattern_is_refused_with_examples() {
        let refused = Selection::new(&texts(&["[a"]), &[]).unwrap_err().to_string();
        assert!(refused.contains("\"[a\"") && refused.contains("*.bag"), "{refused}");
        let many = vec!["*".to_owned(); MAX_PATTERNS + 1];
        assert_eq!(Selection::new(&[], &many).unwrap_err(), SelectionError::TooMany(MAX_PATTERNS + 1));
    }

    #[test]
    fn a_folder_is_a_path_or_a_table() {
        #[derive(Deserialize)]
        struct Section {
            folders: Vec<SharedFolder>,
        }
        let read = |text: &str| toml_of(text);
        fn toml_of(text: &str) -> Result<Vec<SelectedFolder>, String> {
            let section: Section = serde_json::from_str(text).map_err(|error| error.to_string())?;
            Ok(section.folders.into_iter().map(SelectedFolder::from).collect())
        }
        let folders = read(r#"{"folders": ["/a", {"path": "/b", "exclude": ["*.tmp"]}]}"#).unwrap();
        assert_eq!((folders[0].path.to_str(), folders[0].include.len()), (Some("/a"), 0));
        assert_eq!(folders[1].exclude, ["*.tmp"]);
        assert!(read(r#"{"folders": [{"path": "/b", "exlude": []}]}"#).is_err());
    }
}
