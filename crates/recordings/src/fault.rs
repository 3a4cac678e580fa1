//! Reasons why a file is not what it says.

use serde::{Deserialize, Serialize};

/// Reason why a file is not what it says. The text is for people; the serialised form is a fixed word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A file without a byte.
    #[error("the file is empty")]
    Empty,
    /// The end of the name promises another content.
    #[error("the content is not what the name of the file promises")]
    NotAsNamed,
    /// The format has a version that this program does not know.
    #[error("the version of the format is unknown")]
    Version,
    /// The record at the begin, which names the place of the index, is not valid.
    #[error("the first record cannot be read")]
    Header,
    /// The index is said to begin after the end of the file, or before the begin of the content.
    #[error(
        "the index is said to be outside the file: the end of the file is missing, or the file is forged"
    )]
    IndexOutside,
    /// A record of the index is not valid.
    #[error("the index cannot be read")]
    Index,
    /// The index contradicts itself or the content.
    #[error("the index does not match the content")]
    IndexFalse,
    /// A record between the chunks is not valid.
    #[error("a record cannot be read")]
    Record,
    /// One number of a connection stands for two topics.
    #[error("two topics have the same number")]
    TopicTwice,
    /// A folder without any part of a recording.
    #[error("the folder has no recording")]
    NoParts,
    /// The file `metadata.yaml` is longer than [`crate::MAX_METADATA_BYTES`].
    #[error("metadata.yaml is too long")]
    MetadataTooLong,
    /// The file `metadata.yaml` is not the YAML of a recording.
    #[error("metadata.yaml cannot be read")]
    Metadata,
    /// The file `metadata.yaml` names a file outside the folder.
    #[error("metadata.yaml names a file outside the folder")]
    PartOutside,
    /// The file `metadata.yaml` names a file that the folder does not have.
    #[error("metadata.yaml names a file that is missing")]
    PartMissing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_serialised_as_a_word() {
        let word = serde_json::to_string(&Fault::IndexOutside).unwrap();
        assert_eq!(word, "\"index_outside\"");
        assert_eq!(serde_json::from_str::<Fault>(&word).unwrap(), Fault::IndexOutside);
    }
}
