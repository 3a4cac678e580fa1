//! Robots whose addresses change, are hidden among those of bridges, or are valid on one cable only.

mod files;

use files::{safe, wait_until_safe};
use lab::daemon::Robot;
use lab::{Host, Lab, Result, or_skip, wait_until};
use serde_json::Value;
use std::time::Duration;

/// Maximum time until a file of a robot that has moved is fetched, on a busy machine.
const SOON: Duration = Duration::from_secs(20);
const TOOL: Duration = Duration::from_secs(10);

/// Runs `ip` on a host.
fn ip(host: &Host, arguments: &str) -> Result {
    let mut command = host.command("ip");
    command.args(arguments.split(' '));
    host.run(command, TOOL)?.success(&format!("ip {arguments}")).map(drop)
}

/// Waits until all these robots hold a file.
fn wait_for(robots: &[&Robot], name: &str) -> Result<Vec<Value>> {
    let all = || robots.iter().map(|robot| safe(robot, name, robots.len()).ok().flatten()).collect();
    wait_until(SOON, &format!("{name} is safe on all robots"), all)
}

#[test]
fn a_file_shared_after_a_change_of_address_is_fetched_soon() -> Result {
    let Some(lab) = or_skip("another address", Lab::new("moved")) else {
        return Ok(());
    };
    let (a, b) = (Robot::start(&lab, "a")?, Robot::start(&lab, "b")?);
    a.share("before.bag", b"before")?;
    wait_until_safe(&[&a, &b], "before.bag", 2)?;
    ip(a.host(), "address flush dev eth0 scope global")?;
    ip(a.host(), "address add 10.77.0.77/24 broadcast + dev eth0")?;
    a.share("after.bag", b"after")?;
    wait_for(&[&a, &b], "after.bag")?;
    b.share("back.bag", b"the other way")?;
    wait_for(&[&a, &b], "back.bag")?;
    Ok(())
}

#[test]
fn a_later_address_is_published_though_bridges_have_more_than_the_limit() -> Result {
    let Some(lab) = or_skip("bridges", Lab::new("bridges")) else {
        return Ok(());
    };
    let here = Robot::start(&lab, "here")?;
    let host = lab.host("there")?;
    let address = host.address();
    ip(&host, "address flush dev eth0 scope global")?;
    for number in 17..27 {
        ip(&host, &format!("link add br-{number} type bridge"))?;
        ip(&host, &format!("address add 172.{number}.0.1/16 broadcast + dev br-{number}"))?;
        ip(&host, &format!("link set br-{number} up"))?;
    }
    let there = Robot::start_on(host, "")?;
    ip(there.host(), &format!("address add {address}/24 broadcast + dev eth0"))?;
    there.share("log.bag", b"a log")?;
    wait_for(&[&here, &there], "log.bag")?;
    let told = here.cli_text(&["summary", "pri/*/ipfs_addresses"])?;
    assert!(told.contains(&format!("/ip4/{address}/tcp/")) && !told.contains("/ip4/172."), "{told}");
    Ok(())
}

#[test]
fn two_robots_on_a_cable_without_other_addresses_share_files() -> Result {
    let Some(lab) = or_skip("link-local addresses", Lab::new("cable")) else {
        return Ok(());
    };
    let robot = |name| {
        let host = lab.host(name)?;
        ip(&host, "-4 address flush dev eth0")?;
        Robot::start_on(host, "")
    };
    let (a, b) = (robot("a")?, robot("b")?);
    a.share("log.bag", b"over a cable")?;
    wait_for(&[&a, &b], "log.bag")?;
    Ok(())
}
