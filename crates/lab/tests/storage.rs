//! Large, changing, unstorable and many files, in a small form. The full form is `lab storage --big`.

use lab::experiments::{Part, Storage, storage};
use lab::{Error, Lab, Result, or_skip};

fn run(part: Part) -> Result {
    let Some(lab) = or_skip("storage", Lab::new("storage")) else {
        return Ok(());
    };
    drop(lab);
    match storage(&Storage { big: false, only: Some(part) }) {
        // Without a disk or a memory limit for the test, the part cannot be run.
        Err(Error::Unavailable(reason)) => {
            or_skip::<()>("storage", Err(reason));
            Ok(())
        }
        result => result,
    }
}

#[test]
fn a_file_larger_than_memory_and_free_disk_is_served_in_place() -> Result {
    run(Part::InPlace)
}

#[test]
fn files_that_change_are_never_delivered_wrong_and_heal() -> Result {
    run(Part::Damage)
}

#[test]
fn a_full_disk_is_reported_and_the_file_waits_for_space() -> Result {
    run(Part::Full)
}

#[test]
fn many_files_cost_little() -> Result {
    run(Part::Many)
}
