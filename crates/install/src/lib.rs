//! Installs verified files on one robot, with a way back. It knows nothing of swarms, records or signatures: the caller
//! fetches and verifies a file, and knows the conditions and the health of the robot.
//!
//! A target is a file, an archive, a Debian package, or dt-swarm itself ([`Kind`]). Its new version is unpacked beside the
//! version in use, and one operation switches to it. Then its health is watched for a while. If it is bad, the version
//! before is restored. A version that failed is not tried again, unless a person or a plan permits it.
//!
//! Power can be lost at any moment, and the process can be killed. Each step is written to the journal of the target
//! before the next one begins, and each step can be repeated. So one working version is in use at any moment, and after a
//! restart the installation goes on or is undone by itself.
//!
//! # Format on the disk
//! A target has the folder `FOLDER/NAME`:
//!
//! | entry | content |
//! |---|---|
//! | `VERSION/` | the content of a version, complete; the version in use and the one before it are kept |
//! | `current` | symbolic link to the version in use; renaming replaces it in one operation |
//! | `journal` | what is installed, what is being installed, and what failed; renaming replaces it in one operation |
//! | names that begin with `.` | new entries before they are renamed; removed when an installation ends or begins |
//!
//! The first line of the journal is `dt-swarm install journal 1` and the SHA-256 of the rest, which is JSON. A damaged
//! journal is set aside. The link then says what is installed.
//!
//! # In short
//! - **Inputs**: requests, the conditions and the health of the robot, and the time since the process started.
//! - **Outputs**: the content in use under `FOLDER/NAME/current`, and the state of each target.
//! - **Invariants**: `current` never names an incomplete version; a first version that fails leaves nothing behind; nothing
//!   of an archive is written outside of its folder.
//! - **Start reading** at `machine.rs`, which is pure, then `installer.rs`; for archives at `archive.rs`; for updates of
//!   dt-swarm itself at `starter.rs`.

mod actions;
pub mod archive;
pub mod disk;
mod folder;
mod hex;
mod hooks;
mod installer;
mod journal;
mod machine;
mod name;
mod package;
mod process;
mod request;
mod settings;
pub mod starter;
mod state;
#[cfg(test)]
mod tests;
mod unpack;

#[cfg(any(test, feature = "fault-injection"))]
pub use disk::simulated::SimulatedDisk;
pub use installer::{BeginError, InstallError, Installer, Next, Progress, RollBackError};
pub use journal::Target;
pub use machine::{Accepted, Running};
pub use name::{Name, NameError, Version};
pub use package::PackageTools;
pub use process::{Command, Ended, RealRunner, Runner};
pub use request::{Conditions, Health, Inputs, Kind, Permissions, Request, Requirements, Staged};
pub use settings::{PROGRAM_NAME, Settings};
pub use state::{Failure, Refusal, State, Step, Waiting};
