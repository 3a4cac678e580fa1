//! New records reach all nodes: at once, after a partition, by a moved laptop, and when two swarms meet.
//!
//! `cargo run --release -p lab -- help` lists the same experiments in full size; `DT_SWARM_LAB_LONG=1` runs them here.

mod options;

use std::time::{Duration, Instant};

use lab::experiments::{Heal, Merge, heal, merge};
use lab::{Conditions, Error, Fleet, Host, Lab, Result, hosts, or_skip};

const SOON: Duration = Duration::from_secs(60);
/// Promised maximum time after a partition until all records are on all nodes.
const HEALED: Duration = Duration::from_secs(3);

/// Returns the options of the full size with `DT_SWARM_LAB_LONG=1`, otherwise these.
fn options<T: clap::Args>(short: &[&str]) -> T {
    let is_long = std::env::var("DT_SWARM_LAB_LONG").is_ok_and(|value| value == "1");
    options::options(if is_long { &[] } else { short })
}

#[test]
fn a_record_soon_reaches_all_nodes_though_a_fifth_of_all_packets_is_lost() -> Result {
    let Some(lab) = or_skip("spread", Lab::new("spread")) else {
        return Ok(());
    };
    let network = lab.delay_network(Conditions { delay: Duration::from_millis(20), loss: 0.2 }, 1)?;
    let mut fleet = Fleet::on(hosts(&lab, &network, "h", 8)?)?;
    fleet.start()?;
    fleet.wait_until_acquainted(8, SOON)?;
    for number in 0..8 {
        let (told, what) = fleet.robots()[number].say(&format!("event-{number}"))?;
        let last = fleet.sightings().wait_for(std::slice::from_ref(&what), told + SOON);
        let last = last.ok_or_else(|| missed(&what))?;
        println!("{what} is on all nodes after {:?}", last - told);
    }
    Ok(())
}

fn missed(what: &str) -> Error {
    Error::Deadline { what: format!("{what} on all nodes"), within: SOON, seen: String::new() }
}

#[test]
fn two_halves_agree_again_within_three_seconds() -> Result {
    let Some(lab) = or_skip("heal", Lab::new("heal")) else {
        return Ok(());
    };
    let options: Heal = options(&["--nodes=8", "--partition-seconds=12", "--records=16"]);
    let healed = heal(&lab, &options)?;
    healed.print();
    assert_eq!(healed.absent, 0);
    assert!(healed.all_on_all.is_some_and(|time| time <= HEALED), "{:?}", healed.all_on_all);
    Ok(())
}

#[test]
fn a_merge_costs_less_than_sending_everything_once() -> Result {
    let Some(lab) = or_skip("merge", Lab::new("merge")) else {
        return Ok(());
    };
    let short = [
        "--nodes=2",
        "--records=2000",
        "--different=20",
        "--settle-seconds=5",
        "--after-seconds=5",
        "--within-seconds=60",
    ];
    let merged = merge(&lab, &options::<Merge>(&short))?;
    merged.print();
    assert_eq!(merged.absent, 0);
    assert!(merged.all_on_all.is_some());
    assert!(merged.wire_bytes < merged.whole_bytes, "{merged:?}");
    Ok(())
}

#[test]
fn a_laptop_that_is_moved_carries_news_both_ways() -> Result {
    let Some(lab) = or_skip("laptop", Lab::new("laptop")) else {
        return Ok(());
    };
    let far = lab.network("far")?;
    let there = |name| -> Result<Host> {
        let mut host = lab.lone_host(name)?;
        host.attach(&far)?;
        Ok(host)
    };
    let mut laptop = lab.host("laptop")?;
    let (to_near, to_far) = (laptop.links()[0].clone(), laptop.attach(&far)?);
    to_far.disconnect()?;
    let mut fleet = Fleet::on(vec![lab.host("a1")?, lab.host("a2")?, there("b1")?, there("b2")?, laptop])?;
    fleet.start()?;
    let wait = |nodes: &[usize], what: &String, move_began: Instant| -> Result<Duration> {
        let seen = fleet.sightings().wait_for_at(nodes, std::slice::from_ref(what), Instant::now() + SOON);
        Ok(seen.ok_or_else(|| missed(what))?.saturating_duration_since(move_began))
    };
    let (said, from_a) = fleet.robots()[0].say("from-a")?;
    let (_, from_b) = fleet.robots()[2].say("from-b")?;
    println!("published near, at the laptop after {:?}", wait(&[0, 1, 4], &from_a, said)?);
    wait(&[2, 3], &from_b, said)?;
    assert_eq!([fleet.sightings().lacking(&from_a), fleet.sightings().lacking(&from_b)], [2, 3]);
    let moved = Instant::now();
    to_near.disconnect()?;
    to_far.reconnect()?;
    println!("the laptop moved: news from near are far after {:?}", wait(&[2, 3], &from_a, moved)?);
    println!("news from far at the laptop after {:?}", wait(&[4], &from_b, moved)?);
    let moved = Instant::now();
    to_far.disconnect()?;
    to_near.reconnect()?;
    println!("and back: news from far are near after {:?}", wait(&[0, 1], &from_b, moved)?);
    Ok(())
}
