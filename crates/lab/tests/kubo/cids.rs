//! Our CIDs equal those of the reference implementations.

use std::path::Path;
use std::time::Instant;

use ipfs::store::{Store, StoreConfig};
use ipfs::unixfs::{Content, Format, add_file};
use lab::peers::{CidVersion, Kubo, javascript_available, javascript_cid, kubo_available};
use lab::{Error, Result, or_skip};
use tempfile::TempDir;

use crate::files::{Sample, failed, samples};

fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(failed(&std::env::temp_dir()))
}

/// Returns the CID that we compute, with a real block store.
fn our_cid(folder: &Path, sample: &Sample, format: Format) -> Result<String> {
    let refused = |error: &dyn std::error::Error| Error::Answer {
        what: format!("adding {}", sample.name),
        answer: error.to_string(),
    };
    let config = StoreConfig { directory: folder.join("blocks"), max_bytes: 1 << 30, min_free_bytes: 0 };
    let (store, _) = Store::open(config).map_err(|error| refused(&error))?;
    let begun = Instant::now();
    let added = add_file(&store, &Content::File(sample.path.clone()), format, &mut |_, _, _| true);
    let added = added.map_err(|error| refused(&error))?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} as {format:?}: {} after {seconds:.1} s", sample.name, added.root);
    Ok(added.root.to_string())
}

#[test]
fn our_version_0_equals_that_of_kubo() -> Result {
    let Some(()) = or_skip("CIDs as Kubo's", kubo_available()) else {
        return Ok(());
    };
    let folder = folder()?;
    let mut kubo = Kubo::on_loopback(folder.path())?;
    for sample in samples(folder.path())? {
        assert_eq!(our_cid(folder.path(), &sample, Format::V0)?, kubo.add(&sample.path)?, "{}", sample.name);
    }
    Ok(())
}

#[test]
fn our_version_1_equals_that_of_the_javascript_importer() -> Result {
    let Some(()) = or_skip("CIDs as the JavaScript importer's", javascript_available()) else {
        return Ok(());
    };
    let folder = folder()?;
    for sample in samples(folder.path())? {
        let theirs = javascript_cid(&sample.path, CidVersion::V1)?;
        assert_eq!(our_cid(folder.path(), &sample, Format::V1)?, theirs, "{}", sample.name);
    }
    Ok(())
}
