//! What becomes of files that are larger than memory and disk, that change, that find no room, and that are many.

mod checks;
mod damage;
mod full;
mod in_place;
mod many;
mod noise;
mod robots;

use crate::{Lab, Result};

/// Show what becomes of large, changing, homeless and many files
///
/// Four parts: a file in the shared folder of a robot with little memory and little disk; files that are altered, cut,
/// rewritten or replaced while they are fetched; a disk that gets full while a file comes; many small files, and a large
/// one that is mostly holes. Each ends with an error when something is not as it should be.
#[derive(Debug, Clone, clap::Args)]
pub struct Storage {
    /// 2 GiB and 10,000 files instead of 64 MiB and 500
    #[arg(long)]
    pub big: bool,
    /// Only this part
    #[arg(long, value_enum)]
    pub only: Option<Part>,
}

/// A part of the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// A file that neither fits into memory nor once more onto the disk.
    InPlace,
    /// Files that change while they are served.
    Damage,
    /// A disk that gets full.
    Full,
    /// Many small files, and one with large holes.
    Many,
}

/// Does the parts that are wanted, and prints figures.
///
/// # Errors
/// When something is not as it should be.
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
