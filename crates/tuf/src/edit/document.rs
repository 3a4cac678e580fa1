//! A metadata file: a draft, or as it was published.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::edit_error::EditError;
use super::key::{KeyId, PublicKey, Signer};
use super::metadata::{FileEntry, Key, Payload, Root, Snapshot, Targets, Timestamp};
use crate::canonical::canonical;
use crate::hex;
use crate::names::Role;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// A metadata file.
#[derive(Clone, Debug)]
pub(super) struct Document<T> {
    role: Role,
    content: T,
    signatures: BTreeMap<KeyId, String>,
    /// The bytes of the file, if it was published.
    published: Option<Vec<u8>>,
}

/// The form of a file.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    signatures: Vec<Signature>,
    signed: T,
}

#[derive(Serialize, Deserialize)]
struct Signature {
    keyid: KeyId,
    sig: String,
}

impl<T: Payload> Document<T> {
    /// Returns a draft of the first version.
    pub(super) fn draft(role: Role, content: T) -> Self {
        Self { role, content, signatures: BTreeMap::new(), published: None }
    }

    /// Parses a published file.
    pub(super) fn parse_published(role: Role, bytes: Vec<u8>) -> Result<Self, EditError> {
        let parsed = Self::parse_draft(role, &bytes)?;
        Ok(Self { published: Some(bytes), ..parsed })
    }

    /// Parses a draft.
    pub(super) fn parse_draft(role: Role, bytes: &[u8]) -> Result<Self, EditError> {
        let malformed = |source| EditError::Malformed { role: role.clone(), source };
        let file: Envelope<T> = serde_json::from_slice(bytes).map_err(malformed)?;
        if file.signed.header().kind != T::KIND {
            return Err(malformed(serde::de::Error::custom("it is of another role")));
        }
        let signatures =
            file.signatures.into_iter().map(|signature| (signature.keyid, signature.sig)).collect();
        Ok(Self { role, content: file.signed, signatures, published: None })
    }

    pub(super) fn content(&self) -> &T {
        &self.content
    }

    pub(super) fn version(&self) -> u64 {
        self.content.header().version
    }

    pub(super) fn is_draft(&self) -> bool {
        self.published.is_none()
    }

    /// Makes the file a draft of the next version, if it is none yet, and returns its content. Signatures are dropped.
    pub(super) fn edit(&mut self) -> &mut T {
        self.signatures.clear();
        if self.published.take().is_some() {
            let header = self.content.header_mut();
            header.version = header.version.saturating_add(1);
        }
        &mut self.content
    }

    /// Returns the bytes of the file.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, EditError> {
        if let Some(bytes) = &self.published {
            return Ok(bytes.clone());
        }
        let signature =
            |(keyid, sig): (&KeyId, &String)| Signature { keyid: keyid.clone(), sig: sig.clone() };
        let signatures = self.signatures.iter().map(signature).collect();
        let file = Envelope { signatures, signed: &self.content };
        serde_json::to_vec(&file).map_err(|source| EditError::Malformed { role: self.role.clone(), source })
    }

    /// Returns the entry of this file in a snapshot or a timestamp.
    pub(super) fn entry(&self) -> Result<FileEntry, EditError> {
        let bytes = self.bytes()?;
        let hashes = BTreeMap::from([("sha256".to_owned(), hex::encode(&Sha256::digest(&bytes)))]);
        Ok(FileEntry { version: self.version(), length: Some(bytes.len() as u64), hashes, extra: Map::new() })
    }

    /// Marks a draft as published, and returns the bytes of the file.
    pub(super) fn publish(&mut self) -> Result<Vec<u8>, EditError> {
        let bytes = self.bytes()?;
        self.published = Some(bytes.clone());
        Ok(bytes)
    }

    /// Adds a signature to a draft.
    pub(super) fn sign(&mut self, signer: &dyn Signer) -> Result<(), EditError> {
        let signature = signer.sign(&self.signed()?);
        self.signatures.insert(signer.public_key().id(), hex::encode(&signature));
        Ok(())
    }

    /// Returns how many of these keys have signed the file. A key with two identifiers counts once.
    pub(super) fn count_signatures(
        &self,
        ids: &[KeyId],
        keys: &BTreeMap<KeyId, Key>,
    ) -> Result<usize, EditError> {
        let signed = self.signed()?;
        let mut good = BTreeSet::new();
        for id in ids {
            let key = keys
                .get(id)
                .and_then(PublicKey::of_metadata)
                .ok_or_else(|| EditError::OtherKey(id.to_string()))?;
            if self.signatures.get(id).is_some_and(|signature| key.verifies(&signed, signature)) {
                good.insert(key.to_string());
            }
        }
        Ok(good.len())
    }

    /// Returns the bytes that are signed.
    fn signed(&self) -> Result<Vec<u8>, EditError> {
        let malformed = |source| EditError::Malformed { role: self.role.clone(), source };
        let signed = match &self.published {
            // Another program may have written members in a form that this one would not write.
            Some(bytes) => serde_json::from_slice::<Envelope<Value>>(bytes).map_err(malformed)?.signed,
            None => serde_json::to_value(&self.content).map_err(malformed)?,
        };
        Ok(canonical(&signed)?)
    }
}

/// Parses a file as a draft of each role, and checks that it is the same after writing and parsing. For the fuzzer.
#[doc(hidden)]
pub fn reread_document(bytes: &[u8]) {
    fn reread<T: Payload + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
        let Ok(read) = Document::<T>::parse_draft(Role::Root, bytes) else { return };
        let Ok(written) = read.bytes() else { return };
        let again = Document::<T>::parse_draft(Role::Root, &written).map(|again| again.content);
        assert!(again.is_ok_and(|again| again == read.content));
    }
    reread::<Root>(bytes);
    reread::<Timestamp>(bytes);
    reread::<Snapshot>(bytes);
    reread::<Targets>(bytes);
}
