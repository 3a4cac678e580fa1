//! What should work and does not, in the words of the channels.

use routing::MAX_CHANNELS;
use std::collections::BTreeMap;
use std::time::Duration;

/// The most that are remembered; one more drives out the oldest.
const MOST: usize = MAX_CHANNELS;

/// One trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trouble {
    words: String,
    since: Duration,
}

/// Troubles by the names of their channels.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    by_name: BTreeMap<String, Trouble>,
}

impl Troubles {
    /// Something is wrong with a channel, or with `None` right again.
    pub(crate) fn note(&mut self, name: String, words: Option<String>, at: Duration) {
        let Some(words) = words else {
            self.by_name.remove(&name);
            return;
        };
        if let Some(trouble) = self.by_name.get_mut(&name) {
            trouble.words = words;
            return;
        }
        if self.by_name.len() >= MOST {
            let oldest = self.by_name.iter().min_by_key(|(_, trouble)| trouble.since);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.by_name.remove(&name);
            }
        }
        self.by_name.insert(name, Trouble { words, since: at });
    }

    /// All of them, by name: the words, and since when.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str, Duration)> {
        self.by_name.iter().map(|(name, trouble)| (name.as_str(), trouble.words.as_str(), trouble.since))
    }
}
