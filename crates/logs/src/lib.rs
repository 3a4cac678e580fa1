//! Log sharing: a file that is put into the shared folder is found, fetched, checked and kept by the whole swarm.
//!
//! The life of a file (IPSD): the *proposer* makes it an IPFS directory of the file and its `upload_info1.yaml` and
//! puts the directory's CID into `share/files`. A *verifier* elsewhere fetches and checks it: good ones go to
//! `share/verified`, bad ones to `share/discard`. A *pinner* keeps what is verified and says so in `share/safe`. An
//! entry that reached a later bucket leaves the earlier ones; who holds a file are those who say `share/safe` of it.
//! What it is called and how large it is stands in `share/info/CID`, so that it can be chosen from a list before
//! anything of it is fetched.
//!
//! What to do is decided by pure functions over the set ([`index()`], [`keep`], [`propose`], [`settle`]); the shells
//! [`run_proposer`] and [`run_keeper`] do it.

pub mod buckets;
mod check;
mod index;
mod info;
pub mod keep;
mod keeper;
mod ledger;
pub mod propose;
mod proposer;
mod providers;
mod scan;
pub mod settle;

pub use index::{SharedFile, State, Voices, index};
pub use info::{Description, INFO_NAME, InfoError};
pub use keeper::{KeeperSettings, run_keeper};
pub use ledger::{Ledger, LedgerError, NoRoom};
pub use proposer::{ProposerSettings, run_proposer};
pub use providers::{providers, providers_of};
