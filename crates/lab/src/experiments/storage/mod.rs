//! Files that are larger than memory and disk, that change, that do not fit, and that are many.

mod checks;
mod damage;
mod full;
mod in_place;
mod many;
mod noise;
mod robots;

use crate::{Lab, Result};

/// Test the storage of large, changing, unstorable and many files
///
/// Part 1: a file in the shared folder of a robot with little memory and disk space. Part 2: files that are altered,
/// cut, rewritten or replaced while they are fetched. Part 3: a disk that becomes full during a transfer. Part 4: many
/// small files, and a large one that consists mostly of holes. Each part ends with an error when a check fails.
#[derive(Debug, Clone, clap::Args)]
pub struct Storage {
    /// Use 2 GiB and 10,000 files instead of 64 MiB and 500
    #[arg(long)]
    pub big: bool,
    /// Run only this part
    #[arg(long, value_enum)]
    pub only: Option<Part>,
}

/// A part of the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// A file that fits neither into memory nor a second time onto the disk.
    InPlace,
    /// Files that change while they are served.
    Damage,
    /// A disk that becomes full.
    Full,
    /// Many small files, and one with large holes.
    Many,
}

/// Runs the selected parts, and prints their figures.
///
/// # Errors
/// When a check fails.
pub fn storage(options: &Storage) -> Result {
    let is_wanted = |part| options.only.is_none_or(|only| only == part);
    type Run = fn(&Lab, bool) -> Result;
    let parts: [(Part, &str, Run); 4] = [
        (Part::InPlace, "inplace", in_place::run),
        (Part::Damage, "damage", |_, big| damage::run(big)),
        (Part::Full, "full", full::run),
        (Part::Many, "many", many::run),
    ];
    for (part, name, run) in parts {
        if is_wanted(part) {
            println!("{name}:");
            run(&Lab::new(name)?, options.big)?;
        }
    }
    Ok(())
}
