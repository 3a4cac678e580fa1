//! Regression test: runs every target with its seeds, and with the inputs that an earlier run of the fuzzer found and
//! that were kept.
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

use fuzz_targets::{TARGETS, Target};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Returns the folder of the fuzzer's workspace.
fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// Returns the names of the files in a folder. A missing folder has none.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn targets() -> BTreeSet<String> {
    TARGETS.iter().map(|target| target.name.to_owned()).collect()
}

/// Returns whether the target accepts the input without a panic.
fn passes(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.check)(input))).is_ok()
}

/// Returns the places of the inputs with which a target panics.
fn refused(target: &Target) -> Vec<String> {
    let corpus = fuzz().join("corpus").join(target.name);
    let seeds = (target.seeds)().into_iter().enumerate();
    let seeds = seeds.map(|(number, seed)| (format!("seed {number} of {}", target.name), seed));
    let kept = names(&corpus).into_iter().map(|name| {
        let bytes = fs::read(corpus.join(&name)).unwrap();
        (format!("fuzz/corpus/{}/{name}", target.name), bytes)
    });
    seeds.chain(kept).filter(|(_, input)| !passes(target, input)).map(|(place, _)| place).collect()
}

#[test]
fn every_kept_input_and_every_seed_passes() {
    let refused: Vec<String> = TARGETS.iter().flat_map(refused).collect();
    assert!(
        refused.is_empty(),
        "these inputs made their target panic (each panic message is above): {refused:#?}"
    );
}

#[test]
fn the_targets_their_binaries_and_their_corpora_match() {
    let shells = names(&fuzz().join("targets"));
    assert_eq!(shells, targets().iter().map(|name| format!("{name}.rs")).collect());
    let corpus = fuzz().join("corpus");
    assert_eq!(names(&corpus), targets());
    for target in targets() {
        assert!(
            !names(&corpus.join(&target)).is_empty(),
            "the corpus is empty: run tools/fuzz --keep {target}"
        );
    }
}

#[test]
fn a_panic_of_a_target_is_detected() {
    let fragile =
        Target { name: "fragile", check: |bytes| assert!(bytes.is_empty()), seeds: || vec![vec![], vec![1]] };
    assert_eq!(refused(&fragile), ["seed 1 of fragile"]);
}
