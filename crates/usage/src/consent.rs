//! Consent: whether statistics of this robot may be sent, and which fields.
//!
//! The permission file decides where it exists, and the answer of the owner elsewhere. A denial always counts: neither a file that
//! grants overrules the owner's denial, nor an answer overrules a file that denies. Consent holds for the fields that the list had
//! when it was given.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::fields::LIST_VERSION;
use dcache::Time;
use serde::{Deserialize, Serialize};
use service::PermissionFile;

/// The answer of the owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerAnswer {
    /// Whether statistics may be sent.
    pub is_allowed: bool,
    /// Version of the list of fields to which the answer was given.
    pub list: u16,
    /// Time of the answer.
    pub time: Time,
}

/// The row on the disk about consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConsentRow {
    /// The answer of the owner.
    #[serde(default)]
    pub(crate) answer: Option<OwnerAnswer>,
    /// Version of the list of fields when a file that grants was first found.
    #[serde(default)]
    pub(crate) found: Option<u16>,
}

/// The source of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentSource {
    /// The permission file decides.
    File,
    /// The answer of the owner decides.
    Owner,
    /// The owner was not asked yet, and there is no file.
    Nobody,
}

/// Whether statistics of this robot may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consent {
    /// Version of the list whose fields may be sent; `None` if nothing may be sent.
    pub(crate) list: Option<u16>,
    pub(crate) source: ConsentSource,
}

impl ConsentRow {
    /// Notes when a file that grants was first found. Returns whether the row changed.
    pub(crate) fn note_file(&mut self, file: &PermissionFile) -> bool {
        let found = (*file == PermissionFile::Grants).then(|| self.found.unwrap_or(LIST_VERSION));
        let has_changed = found != self.found;
        self.found = found;
        has_changed
    }

    /// Decides whether statistics may be sent.
    pub(crate) fn consent(&self, file: &PermissionFile) -> Consent {
        let allowed = self.answer.filter(|answer| answer.is_allowed).map(|answer| answer.list);
        let of = |list: Option<u16>, source| Consent {
            list: list.map(|list| list.min(LIST_VERSION)).filter(|list| *list > 0),
            source,
        };
        match (self.answer, file) {
            (Some(OwnerAnswer { is_allowed: false, .. }), _) => of(None, ConsentSource::Owner),
            (_, PermissionFile::Denies | PermissionFile::Unreadable(_)) => of(None, ConsentSource::File),
            (_, PermissionFile::Grants) => of(self.found.max(allowed), ConsentSource::File),
            (Some(_), PermissionFile::Absent) => of(allowed, ConsentSource::Owner),
            (None, PermissionFile::Absent) => of(None, ConsentSource::Nobody),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(is_allowed: bool, list: u16) -> Option<OwnerAnswer> {
        Some(OwnerAnswer { is_allowed, list, time: Time(1) })
    }

    fn decided(answer: Option<OwnerAnswer>, file: &PermissionFile) -> (Option<u16>, ConsentSource) {
        let mut row = ConsentRow { answer, found: None };
        row.note_file(file);
        let Consent { list, source } = row.consent(file);
        (list, source)
    }

    #[test]
    fn nothing_is_sent_before_consent() {
        assert_eq!(decided(None, &PermissionFile::Absent), (None, ConsentSource::Nobody));
        assert_eq!(decided(answer(true, 1), &PermissionFile::Absent), (Some(1), ConsentSource::Owner));
        assert_eq!(decided(answer(false, 1), &PermissionFile::Absent), (None, ConsentSource::Owner));
        assert_eq!(decided(None, &PermissionFile::Grants), (Some(LIST_VERSION), ConsentSource::File));
    }

    #[test]
    fn a_denial_always_counts() {
        let unreadable = PermissionFile::Unreadable("no".to_owned());
        for denies in [PermissionFile::Denies, unreadable] {
            assert_eq!(decided(answer(true, 1), &denies), (None, ConsentSource::File));
        }
        assert_eq!(decided(answer(false, 1), &PermissionFile::Grants), (None, ConsentSource::Owner));
    }

    #[test]
    fn a_file_grants_the_fields_that_there_were_when_it_was_found() {
        let (mut row, file) = (ConsentRow { answer: None, found: Some(0) }, PermissionFile::Grants);
        assert!(!row.note_file(&file));
        assert_eq!(row.consent(&file).list, None, "the list is newer than the consent");
        row.answer = answer(true, LIST_VERSION);
        assert_eq!(row.consent(&file).list, Some(LIST_VERSION), "the owner agreed to the new fields");
        assert!(row.note_file(&PermissionFile::Absent) && row.found.is_none());
        assert!(row.note_file(&file) && row.found == Some(LIST_VERSION));
    }

    proptest! {
        #[test]
        fn consent_never_covers_more_than_was_agreed(is_allowed: bool, list in 0u16..9, found in proptest::option::of(0u16..9)) {
            let row = ConsentRow { answer: answer(is_allowed, list), found };
            for file in [PermissionFile::Absent, PermissionFile::Grants, PermissionFile::Denies] {
                let covered = row.consent(&file).list;
                prop_assert!(covered.is_none_or(|covered| is_allowed && covered <= list.max(found.unwrap_or(0)) && covered <= LIST_VERSION));
            }
        }
    }
}
