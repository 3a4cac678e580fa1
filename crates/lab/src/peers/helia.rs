//! Programs of npm that take content from us: Helia by Bitswap, and the reader of CARs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::installed::{cache_folder, installed};
use crate::{Error, Result, Unavailable, process};

const FETCH: &str = include_str!("../../peers/helia.mjs");
const READ_CAR: &str = include_str!("../../peers/read_car.mjs");

/// Dialling and 100 MB take a few seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Whether Helia is installed.
///
/// # Errors
/// [`Unavailable`] when not.
pub fn helia_available() -> Result<(), Unavailable> {
    installed("Helia (the npm package @helia/bitswap)", "helia/node_modules/@helia/bitswap").map(drop)
}

/// Whether the reader of CARs is installed.
///
/// # Errors
/// [`Unavailable`] when not.
pub fn car_reader_available() -> Result<(), Unavailable> {
    installed("the npm package @ipld/car", "helia/node_modules/@ipld/car").map(drop)
}

/// Has Helia dial a node and fetch a file from it: `bytes`, `sha256` and `seconds`.
///
/// # Errors
/// When Helia is not installed, or does not get it.
pub fn helia_fetch(address: &str, cid: &str) -> Result<Value> {
    helia_available()?;
    answer(FETCH, &[Path::new(address), Path::new(cid)], "Helia")
}

/// What is in a CAR by `@ipld/car`: `version`, `roots`, and `blocks` with their `cid` and `bytes`.
///
/// # Errors
/// When the reader is not installed, or cannot read it, or a block has not the hash that its CID names.
pub fn read_car(path: &Path) -> Result<Value> {
    car_reader_available()?;
    let path = path.canonicalize().map_err(Error::io(path.display().to_string()))?;
    answer(READ_CAR, &[&path], "@ipld/car")
}

fn answer(script: &str, arguments: &[&Path], what: &str) -> Result<Value> {
    let mut node = Command::new("node");
    // Imports of a program that is not a file resolve from the working folder.
    node.current_dir(cache_folder().join("helia"));
    node.args(["--input-type=module", "--eval", script, "--"]).args(arguments);
    let text = process::run(node, LIMIT)?.success(what)?;
    serde_json::from_str(&text).map_err(|problem| Error::answer(format!("{what}: {problem}"), text))
}
