//! Daemons that are started within a second soon list each other.
//!
//! `cargo run --release -p lab -- discover` runs the same experiment in full size, beside Serf and Avahi.

mod options;

use std::time::Duration;

use lab::experiments::{Discover, discover};
use lab::{Lab, Result, or_skip};
use options::options;

/// Maximum time, from the start of the last daemon, until each daemon lists all others. Long, because tests run at the
/// same time and the daemons are debug builds.
const WITHIN: Duration = Duration::from_secs(15);

fn five_list_each_other(loss: &str) -> Result {
    let Some(_) = or_skip("discover", Lab::new("may-discover")) else { return Ok(()) };
    let discovered = discover(&options::<Discover>(&["--nodes=5", loss]))?;
    discovered.print();
    let ours = discovered.ours()?;
    assert_eq!(ours.failed, 0);
    assert!(ours.times.share(1.0).is_some_and(|time| time <= WITHIN), "{:?}", ours.times);
    Ok(())
}

#[test]
fn five_daemons_list_each_other() -> Result {
    five_list_each_other("--loss=0")
}

#[test]
fn five_daemons_list_each_other_although_a_fifth_of_all_packets_is_lost() -> Result {
    five_list_each_other("--loss=0.2")
}
