//! Daemons that are connected only by an IRC channel.

use lab::experiments::{Irc, irc};
use lab::peers::ngircd_available;
use lab::{Lab, Result, or_skip};

#[test]
fn records_reach_all_over_irc_alone_also_after_a_restart_and_a_netsplit() -> Result {
    let test = "records_reach_all_over_irc_alone_also_after_a_restart_and_a_netsplit";
    let Some(()) = or_skip(test, ngircd_available()) else { return Ok(()) };
    let Some(lab) = or_skip(test, Lab::new("irc")) else { return Ok(()) };
    let options = Irc { daemons: 3, records: 6, within_seconds: 240, json: false };
    let seen = irc(&lab, &options)?;
    seen.print();
    assert!(seen.all_on_all.is_some() && seen.absent == 0, "{seen:?}");
    assert_eq!(seen.disconnected, 0, "{seen:?}");
    // One more than 30, because both ends of the minute are included.
    assert!((1..=31).contains(&seen.lines_a_minute), "{seen:?}");
    assert!(seen.after_restart.is_some() && seen.after_split.is_some(), "{seen:?}");
    Ok(())
}
