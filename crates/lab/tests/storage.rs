//! Large, changing, homeless and many files, in a small form. In full: `lab storage --big`.

use lab::experiments::{Part, Storage, storage};
use lab::{Error, Lab, Result, or_skip};

fn run(part: Part) -> Result {
    let Some(lab) = or_skip("storage", Lab::new("storage")) else {
        return Ok(());
    };
    drop(lab);
    match storage(&Storage { big: false, only: Some(part) }) {
        // Without a disk or a memory limit of its own there is nothing to see.
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
fn nothing_wrong_is_delivered_of_files_that_change_and_they_heal() -> Result {
    run(Part::Damage)
}

#[test]
fn a_full_disk_is_told_and_waited_for() -> Result {
    run(Part::Full)
}

#[test]
fn many_files_cost_little() -> Result {
    run(Part::Many)
}
