//! npm programs that receive content from us: Helia over Bitswap, and a reader of CAR files.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::installed::{cache_folder, installed};
use crate::{Error, Result, Unavailable, process};

const FETCH: &str = include_str!("../../peers/helia.mjs");
const READ_CAR: &str = include_str!("../../peers/read_car.mjs");

/// Time limit of a program. Dialling and fetching 100 MB take a few seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Checks that Helia is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn helia_available() -> Result<(), Unavailable> {
    installed("Helia (the npm package @helia/bitswap)", "helia/node_modules/@helia/bitswap").map(drop)
}

/// Checks that the reader of CAR files is installed.
///
/// # Errors
/// [`Unavailable`] when it is not.
pub fn car_reader_available() -> Result<(), Unavailable> {
    installed("the npm package @ipld/car", "helia/node_modules/@ipld/car").map(drop)
}

/// Lets Helia dial a node and fetch a file from it. The answer has the keys `bytes`, `sha256` and `seconds`.
///
/// # Errors
/// When Helia is not installed, or does not get the file.
pub fn helia_fetch(address: &str, cid: &str) -> Result<Value> {
    helia_available()?;
    answer(FETCH, &[Path::new(address), Path::new(cid)], "Helia")
}

/// Returns the contents of a CAR file as `@ipld/car` reads it: `version`, `roots`, and `blocks` with `cid` and `bytes`.
///
/// # Errors
/// When the reader is not installed, it cannot read the file, or a block does not have the hash in its CID.
pub fn read_car(path: &Path) -> Result<Value> {
    car_reader_available()?;
    let path = path.canonicalize().map_err(Error::io(path.display().to_string()))?;
    answer(READ_CAR, &[&path], "@ipld/car")
}

fn answer(script: &str, arguments: &[&Path], what: &str) -> Result<Value> {
    let mut node = Command::new("node");
    // The imports of a script given by `--eval` resolve from the working folder.
    node.current_dir(cache_folder().join("helia"));
    node.args(["--input-type=module", "--eval", script, "--"]).args(arguments);
    let text = process::run(node, LIMIT)?.success(what)?;
    serde_json::from_str(&text).map_err(|problem| Error::answer(format!("{what}: {problem}"), text))
}
