//! Limits on everything that a mirror, or the holder of a delegated key, can send.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// Maximum size of a root file, in bytes. A root with fifty Ed25519 keys and their signatures has 20 kB.
pub const MAX_ROOT_BYTES: u64 = 128_000;

/// Maximum size of `timestamp.json`, in bytes. A mirror can send it without knowing any hash, so it is small.
pub const MAX_TIMESTAMP_BYTES: u64 = 16_384;

/// Maximum size of a snapshot and of a file of targets, in bytes: about 1,500 targets. The text of a file fits into a
/// row of the store ([`store::MAX_SERVICE_VALUE_BYTES`]), where each quotation mark takes two bytes.
pub const MAX_LISTING_BYTES: u64 = 500_000;

/// Maximum number of new root files in one refresh. Only holders of root keys can write one. The next refresh continues
/// after the last one.
pub const MAX_NEW_ROOTS: u32 = 256;

/// Maximum number of files of targets that one search reads. Each costs up to [`MAX_LISTING_BYTES`] to fetch.
pub const MAX_ROLES_VISITED: usize = 32;

/// Maximum number of delegations from `targets.json` to the file that lists a target.
pub const MAX_DELEGATION_DEPTH: usize = 8;

/// Maximum number of files of delegated roles in the metadata store. Further ones are fetched for each search.
pub const MAX_SAVED_ROLES: usize = 64;

/// Maximum length of a target's path, in bytes.
pub const MAX_PATH_BYTES: usize = 1024;

/// Maximum length of a delegated role's name, in bytes.
pub const MAX_ROLE_NAME_BYTES: usize = 128;

/// Maximum time, in seconds, to wait for one file of a mirror. The largest file takes this long at 8 kB/s.
pub const FETCH_SECONDS: u64 = 60;

/// Maximum time, in seconds, of one refresh or one search. A mirror that sends each file just in time is left after it.
pub const TOTAL_SECONDS: u64 = 600;

/// Maximum number of keys of one role that the editor writes. Each one costs a client up to one verification a file.
pub const MAX_KEYS: usize = 32;
