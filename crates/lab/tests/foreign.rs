//! Robots without dt-swarm: facts of a real Avahi and of python-zeroconf are found, and a client of Duckietown finds
//! this robot. The client follows the description of the formats strictly.
#![expect(clippy::unwrap_used, reason = "a panic fails the test with a message")]

use std::net::UdpSocket;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use discovery::foreign::Profile;
use discovery::{ForeignRobot, ForeignRobots, ForeignSettings};
use lab::peers::{Avahi, Duckietown, avahi_available, duckietown_available};
use lab::{Error, Host, Lab, Result, or_skip, wait_until};
use serde_json::json;
use service::LocalFacts;
use tokio::sync::{oneshot, watch};

const SOON: Duration = Duration::from_secs(20);

/// The part of the daemon that is concerned with robots without dt-swarm, running on a host.
struct Running {
    robots: ForeignRobots,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(host: &Host, settings: ForeignSettings, profile: Profile) -> Self {
        let robots = ForeignRobots::new(settings);
        let (stop, stopped) = oneshot::channel();
        let lines = vec![(host.address(), 8000).into()];
        let (host, running) = (host.clone(), robots.clone());
        let run = move || {
            let facts = watch::Sender::new(LocalFacts { lines, ..LocalFacts::default() });
            let profile = watch::Sender::new(profile);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    _ = running.run_with(facts.subscribe(), profile.subscribe()) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = Some(thread::spawn(move || host.within(run).unwrap()));
        Self { robots, stop: Some(stop), thread }
    }

    /// Waits until the robot called `name` is in the table and `is_it`.
    fn wait_for(&self, name: &str, is_it: impl Fn(&ForeignRobot) -> bool) -> Result<ForeignRobot> {
        wait_until(SOON, &format!("{name} in the table"), || {
            self.robots.list().into_iter().find(|robot| robot.name == name && is_it(robot))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Settings that switch on only these parts.
fn only(find_foreign: bool, answer_pings: bool, publish_facts: bool) -> ForeignSettings {
    ForeignSettings { find_foreign, answer_pings, publish_facts, publish_service: false }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn profile(name: &str) -> Profile {
    let (robot_type, configuration, hardware) = (text("duckiebot"), text("DB21J"), text("jetson_nano"));
    Profile { name: name.to_owned(), robot_type, configuration, hardware, own: None }
}

/// Returns a service file of Avahi, as robots of Duckietown have it.
fn service(fact: &str, txt: &str) -> (String, String) {
    let txt = if txt.is_empty() { String::new() } else { format!("<txt-record>{txt}</txt-record>") };
    let content = format!(
        "<?xml version=\"1.0\" standalone='no'?><!DOCTYPE service-group SYSTEM \"avahi-service.dtd\">\n\
         <service-group><name replace-wildcards=\"yes\">DT::{fact}::%h</name>\
         <service><type>_duckietown._tcp</type>{txt}<port>0</port></service></service-group>"
    );
    (format!("dt.{}", fact.to_lowercase()), content)
}

#[test]
fn facts_that_avahi_publishes_are_found() -> Result {
    let Some(lab) = or_skip("facts of avahi", Lab::new("avahi")) else { return Ok(()) };
    if or_skip("facts of avahi", avahi_available()).is_none() {
        return Ok(());
    }
    let files = [
        service("PRESENCE", ""),
        service("ROBOT_TYPE", "{\"type\": \"duckiebot\"}"),
        service("ROBOT_CONFIGURATION", "{\"configuration\": \"DB21J\"}"),
        service("ROBOT_HARDWARE", "{\"hardware\": \"virtual\"}"),
    ];
    let files: Vec<(&str, String)> = files.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let (robot, watcher) = (lab.host("duckie7")?, lab.host("watcher")?);
    let _avahi = Avahi::start_with(&robot, &files)?;
    // The watcher has an Avahi of its own, which must not be disturbed.
    let own = Avahi::start(&watcher)?;
    let begun = Instant::now();
    let running = Running::start(&watcher, only(true, true, true), profile("watcher"));
    let found = running.wait_for("duckie7", |robot| robot.hardware.is_some())?;
    println!("the facts were found after {} ms", begun.elapsed().as_millis());
    let expected = ForeignRobot {
        name: "duckie7".to_owned(),
        robot_type: text("duckiebot"),
        configuration: text("DB21J"),
        hardware: text("virtual"),
        status: text("Ready"),
        address: Some(robot.address().into()),
        is_by_ping: false,
        age: found.age,
    };
    assert_eq!(found, expected);

    // A robot that starts later is found when a client asks, and counts as starting.
    let booting: Vec<(String, String)> = vec![service("PRESENCE", ""), service("BOOTING", "")];
    let booting: Vec<(&str, String)> =
        booting.iter().map(|(name, text)| (name.as_str(), text.clone())).collect();
    let _late = Avahi::start_with(&lab.host("late")?, &booting)?;
    wait_until(SOON, "a starting robot", || {
        running.robots.ask();
        let is_it = |robot: &ForeignRobot| robot.name == "late" && robot.status.as_deref() == Some("Booting");
        running.robots.list().iter().any(is_it).then_some(())
    })?;
    let is_disturbed = |line: &str| line.contains("another IPv4 mDNS stack");
    let log = own.process().lines();
    assert!(!log.is_empty() && !log.iter().any(|line| is_disturbed(line)), "{log:?}");
    Ok(())
}

#[test]
fn facts_in_a_damaged_form_are_found() -> Result {
    let Some(lab) = or_skip("facts of zeroconf", Lab::new("zeroconf")) else { return Ok(()) };
    if or_skip("facts of zeroconf", duckietown_available()).is_none() {
        return Ok(());
    }
    let (robot, watcher) = (lab.host("robot")?, lab.host("watcher")?);
    let mut publisher = Duckietown::start(&robot)?;
    // A space instead of the length, and more than 32 bytes.
    let raw = b" {\"device\": \"0123456789ab\", \"configuration\": \"DB21J\"}";
    publisher.publish("ROBOT_CONFIGURATION", "old", raw)?;
    publisher.publish("ROBOT_TYPE", "old", b"\x03a=b\x15{\"type\": \"duckiebot\"}")?;
    publisher.publish("PRESENCE", "old", b"\x00")?;
    let running = Running::start(&watcher, only(true, false, false), Profile::default());
    let is_whole = |robot: &ForeignRobot| robot.robot_type.is_some() && robot.configuration.is_some();
    let found = running.wait_for("old", is_whole)?;
    let values = (found.robot_type.as_deref(), found.configuration.as_deref(), found.status.as_deref());
    assert_eq!(values, (Some("duckiebot"), Some("DB21J"), Some("Ready")));
    assert_eq!(found.address, Some(robot.address().into()));
    Ok(())
}

#[test]
fn a_client_of_duckietown_finds_this_robot() -> Result {
    let Some(lab) = or_skip("a client of Duckietown", Lab::new("client")) else { return Ok(()) };
    if or_skip("a client of Duckietown", duckietown_available()).is_none() {
        return Ok(());
    }
    let (robot, laptop) = (lab.host("robot")?, lab.host("laptop")?);
    let mut client = Duckietown::start(&laptop)?;
    let running = Running::start(&robot, only(false, true, true), profile("duckie7"));
    let expected = json!({ "duckie7": {
        "PRESENCE": {},
        "ROBOT_TYPE": { "type": "duckiebot" },
        "ROBOT_CONFIGURATION": { "configuration": "DB21J" },
        "ROBOT_HARDWARE": { "hardware": "jetson_nano" },
    } });
    wait_until(SOON, "all facts at the client", || {
        let (robots, errors) = client.list().ok()?;
        assert_eq!(errors, json!([]));
        (robots == expected).then_some(())
    })?;
    // A client that starts later asks, and gets an answer.
    let mut late = Duckietown::start(&lab.host("late")?)?;
    wait_until(SOON, "all facts at a late client", || (late.list().ok()?.0 == expected).then_some(()))?;

    // The client fails if the answer has another set of keys.
    let pong = client.ping(&robot)?;
    let expected = json!({
        "version": "1", "name": "duckie7", "type": "duckiebot", "configuration": "DB21J", "hardware": "jetson_nano",
    });
    assert_eq!(pong, expected);
    for refused in [r#"{"version": "1", "port": PORT, "x": 1}"#, r#"{"port": PORT}"#, "hello"] {
        assert_eq!(client.send(&robot, refused)?, 0, "{refused}");
    }

    // A robot that ends withdraws its facts at once.
    drop(running);
    wait_until(SOON, "the end of the facts", || {
        (client.list().ok()?.0 == json!({ "duckie7": {} })).then_some(())
    })
}

#[test]
fn a_robot_that_only_answers_pings_is_found_on_request() -> Result {
    let Some(lab) = or_skip("pings", Lab::new("pings")) else { return Ok(()) };
    let (robot, taken, watcher) = (lab.host("robot")?, lab.host("taken")?, lab.host("watcher")?);
    let bind = || UdpSocket::bind(("0.0.0.0", 11_411));
    let _other =
        taken.within(bind)?.map_err(|source| Error::Io { what: "taking a port".to_owned(), source })?;
    let _robot = Running::start(&robot, only(false, true, false), profile("duckie7"));
    let _taken = Running::start(&taken, only(false, true, false), profile("silent"));
    let running = Running::start(&watcher, only(true, true, true), profile("watcher"));
    // A round that begins before the robot has opened its port finds nothing, and the next one comes 30 s later.
    let found = wait_until(SOON * 3, "the robot", || {
        running.robots.ask();
        running.robots.list().into_iter().find(|robot| robot.name == "duckie7")
    })?;
    assert_eq!((found.is_by_ping, found.address), (true, Some(robot.address().into())));
    assert_eq!(
        (found.status, found.configuration, found.hardware),
        (None, text("DB21J"), text("jetson_nano"))
    );
    assert!(!running.robots.list().iter().any(|robot| robot.name == "silent"), "its port is taken");
    Ok(())
}
