//! Stands in for `routing::fragment` until that is merged.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fragment {
    fragment: usize,
    n: usize,
    sha256_base58: String,
    chunk_base58: String,
}

pub(crate) fn fragments(line: &str) -> Vec<String> {
    let chunks: Vec<&[u8]> = line.as_bytes().chunks(150).collect();
    let sha256_base58 = bs58::encode(Sha256::digest(line.as_bytes())).into_string();
    let one = |(fragment, chunk): (usize, &&[u8])| {
        let chunk_base58 = bs58::encode(chunk).into_string();
        let fragment =
            Fragment { fragment, n: chunks.len(), sha256_base58: sha256_base58.clone(), chunk_base58 };
        serde_json::to_string(&fragment).unwrap_or_default()
    };
    chunks.iter().enumerate().map(one).collect()
}

#[derive(Debug, Default)]
pub(crate) struct Assembler {
    partial: BTreeMap<(String, String), BTreeMap<usize, Vec<u8>>>,
}

impl Assembler {
    /// `None` when it is no fragment.
    pub(crate) fn take(&mut self, sender: &str, text: &str) -> Option<Option<Vec<u8>>> {
        let fragment: Fragment = serde_json::from_str(text).ok()?;
        if self.partial.len() > 64 || fragment.n > 120 {
            self.partial.clear();
        }
        let chunk = bs58::decode(&fragment.chunk_base58).into_vec().ok()?;
        let key = (sender.to_owned(), fragment.sha256_base58);
        let partial = self.partial.entry(key.clone()).or_default();
        partial.insert(fragment.fragment, chunk);
        if partial.len() < fragment.n {
            return Some(None);
        }
        let whole: Vec<u8> = self.partial.remove(&key)?.into_values().flatten().collect();
        let is_right = bs58::encode(Sha256::digest(&whole)).into_string() == key.1;
        is_right.then_some(Some(whole))
    }
}
