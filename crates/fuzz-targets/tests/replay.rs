//! Every target reads its seeds and the inputs that the fuzzer found worth keeping: what was once right stays right.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use fuzz_targets::{TARGETS, Target};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The workspace of the fuzzer.
fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The names in a folder, in their order; none when there is no such folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn targets() -> BTreeSet<String> {
    TARGETS.iter().map(|target| target.name.to_owned()).collect()
}

/// Whether the target accepts the input.
fn passes(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.check)(input))).is_ok()
}

/// The inputs that a target refuses, by the place to find them again.
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
        "these inputs made their target panic (each panic is told above): {refused:#?}"
    );
}

#[test]
fn every_target_has_a_shell_and_a_corpus_and_neither_is_without_a_target() {
    let shells = names(&fuzz().join("targets"));
    assert_eq!(shells, targets().iter().map(|name| format!("{name}.rs")).collect());
    let corpus = fuzz().join("corpus");
    assert_eq!(names(&corpus), targets());
    for target in targets() {
        assert!(!names(&corpus.join(&target)).is_empty(), "tools/fuzz --keep {target} has never been run");
    }
}

#[test]
fn a_panic_is_noticed() {
    let fragile =
        Target { name: "fragile", check: |bytes| assert!(bytes.is_empty()), seeds: || vec![vec![], vec![1]] };
    assert_eq!(refused(&fragile), ["seed 1 of fragile"]);
}
