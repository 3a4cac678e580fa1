//! CIDs computed by the JavaScript importer.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::installed::{cache_folder, installed};
use crate::{Error, Result, Unavailable, process};

const SCRIPT: &str = include_str!("../../peers/unixfs_cids.mjs");

/// Time limit of the importer. It needs a second or two for 300 MiB.
const LIMIT: Duration = Duration::from_secs(120);

/// The way in which a file is split into blocks, named after the version of its CID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CidVersion {
    /// Like `ipfs add`: leaves wrapped in UnixFS, CIDs that begin with `Qm`.
    V0,
    /// Like `ipfs add --cid-version=1`: raw leaves.
    V1,
}

/// Checks that the importer is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn javascript_available() -> Result<(), Unavailable> {
    installed("the npm package ipfs-unixfs-importer", "javascript/node_modules/ipfs-unixfs-importer")
        .map(drop)
}

/// Returns the CID of a file with Kubo's parameters: chunks of 262144 bytes, 174 links per node.
///
/// # Errors
/// When the importer is not installed or fails.
pub fn javascript_cid(path: &Path, version: CidVersion) -> Result<String> {
    compute(path, version, None)
}

/// Returns the CID of a directory that contains only this file, under `name`.
///
/// # Errors
/// When the importer is not installed or fails.
pub fn javascript_cid_in_folder(path: &Path, version: CidVersion, name: &str) -> Result<String> {
    compute(path, version, Some(name))
}

fn compute(path: &Path, version: CidVersion, name: Option<&str>) -> Result<String> {
    javascript_available()?;
    let path = path.canonicalize().map_err(Error::io(path.display().to_string()))?;
    let folder = cache_folder().join("javascript");
    let mut node = Command::new("node");
    // The imports of a script given by `--eval` resolve from the working folder.
    node.current_dir(folder).args(["--input-type=module", "--eval", SCRIPT, "--"]).arg(path);
    node.arg(if version == CidVersion::V0 { "0" } else { "1" }).args(name);
    let cid = process::run(node, LIMIT)?.success("the JavaScript importer")?;
    Ok(cid.trim().to_owned())
}
