//! CIDs by the JavaScript importer.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::installed::{cache_folder, installed};
use crate::{Error, Result, Unavailable, process};

const SCRIPT: &str = include_str!("../../peers/unixfs_cids.mjs");

/// For 300 MiB it needs a second or two.
const LIMIT: Duration = Duration::from_secs(120);

/// How a file becomes blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CidVersion {
    /// As `ipfs add`: leaves wrapped in UnixFS, CIDs that begin with `Qm`.
    V0,
    /// As `ipfs add --cid-version=1`: raw leaves.
    V1,
}

/// Whether the importer is installed.
///
/// # Errors
/// [`Unavailable`] when not.
pub fn javascript_available() -> Result<(), Unavailable> {
    installed("the npm package ipfs-unixfs-importer", "javascript/node_modules/ipfs-unixfs-importer")
        .map(drop)
}

/// The CID of a file at Kubo's parameters: chunks of 262144 bytes, 174 links to a node.
///
/// # Errors
/// When the importer is not installed or fails.
pub fn javascript_cid(path: &Path, version: CidVersion) -> Result<String> {
    compute(path, version, None)
}

/// The CID of a directory that holds this one file under `name`.
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
    // Imports of a program that is not a file resolve from the working folder.
    node.current_dir(folder).args(["--input-type=module", "--eval", SCRIPT, "--"]).arg(path);
    node.arg(if version == CidVersion::V0 { "0" } else { "1" }).args(name);
    let cid = process::run(node, LIMIT)?.success("the JavaScript importer")?;
    Ok(cid.trim().to_owned())
}
