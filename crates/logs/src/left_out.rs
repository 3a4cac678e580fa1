//! Counts the files and folders in the shared folder that are not shared, by reason.

use crate::info::INFO_NAME;
use crate::scan::{MAX_DEPTH, MAX_FILES};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of example paths per reason.
const MAX_EXAMPLES: usize = 3;

/// Reason why a file or folder is not shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The name is not UTF-8.
    NotUtf8,
    /// The name has control characters.
    ControlCharacters,
    /// The name is that of the info file that is shared with each file.
    Reserved,
    /// It is nested deeper than [`MAX_DEPTH`] folders.
    TooDeep,
    /// The folder has more than [`MAX_FILES`] files.
    TooMany,
    /// It is a symbolic link.
    Link,
    /// It is neither a file nor a folder, such as a device.
    Special,
    /// The daemon cannot read it.
    Unreadable,
    /// It is a file or folder of the daemon itself, such as a key.
    Private,
    /// A user withdrew it.
    Unshared,
    /// The patterns of the configuration leave it out.
    Excluded,
}

impl Reason {
    /// Returns the code for programs.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::NotUtf8 => "not_utf8",
            Self::ControlCharacters => "control_characters",
            Self::Reserved => "reserved_name",
            Self::TooDeep => "too_deep",
            Self::TooMany => "too_many",
            Self::Link => "link",
            Self::Special => "special",
            Self::Unreadable => "unreadable",
            Self::Private => "private",
            Self::Unshared => "unshared",
            Self::Excluded => "excluded",
        }
    }

    /// Returns the reason as a sentence for people, with advice where there is any.
    pub(crate) fn sentence(self) -> String {
        match self {
            Self::NotUtf8 => "the name is not UTF-8; rename it".to_owned(),
            Self::ControlCharacters => "the name has control characters; rename it".to_owned(),
            Self::Reserved => {
                format!("{INFO_NAME} is the description that is shared with each file; rename it")
            }
            Self::TooDeep => format!("it is nested more than {MAX_DEPTH} folders deep; move it up"),
            Self::TooMany => format!("only {MAX_FILES} files of the folder are shared"),
            Self::Link => "links are not followed; put the file itself there".to_owned(),
            Self::Special => "it is neither a file nor a folder".to_owned(),
            Self::Unreadable => "it cannot be read; check its permissions".to_owned(),
            Self::Private => "it belongs to the daemon itself and is never shared".to_owned(),
            Self::Unshared => "it was unshared; `share` undoes this".to_owned(),
            Self::Excluded => "the patterns of the configuration leave it out".to_owned(),
        }
    }
}

/// The files and folders that are left out for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOutFor {
    /// Number of files and folders.
    pub(crate) total: usize,
    /// Paths of the first [`MAX_EXAMPLES`], relative to the shared folder.
    pub(crate) examples: Vec<String>,
}

/// The files and folders that one scan left out, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut(pub(crate) BTreeMap<Reason, LeftOutFor>);

impl LeftOut {
    /// Counts a file or folder.
    pub(crate) fn add(&mut self, reason: Reason, path: &str) {
        let row = self.0.entry(reason).or_default();
        row.total += 1;
        if row.examples.len() < MAX_EXAMPLES {
            row.examples.push(path.to_owned());
        }
    }

    /// Logs each reason once. `told` remembers the logged reasons, and forgets those that do not apply any more.
    pub(crate) fn tell(&self, told: &mut BTreeSet<Reason>) {
        for (reason, LeftOutFor { total, examples }) in &self.0 {
            if told.insert(*reason) {
                let reason = reason.sentence();
                tracing::warn!(total, ?examples, reason, "not everything in the shared folder is shared");
            }
        }
        told.retain(|reason| self.0.contains_key(reason));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_logged_once_and_again_after_it_disappeared() {
        let (mut left_out, mut told) = (LeftOut::default(), BTreeSet::new());
        for number in 0..5 {
            left_out.add(Reason::Link, &number.to_string());
        }
        let row = &left_out.0[&Reason::Link];
        assert_eq!((row.total, row.examples.len()), (5, MAX_EXAMPLES));
        left_out.tell(&mut told);
        assert_eq!(told, BTreeSet::from([Reason::Link]));
        LeftOut::default().tell(&mut told);
        assert!(told.is_empty());
    }
}
