//! Two networks behind NAT, and public hosts that relay, as several tests need them.
#![allow(dead_code, reason = "each test program uses some of the functions")]

use lab::daemon::Robot;
use lab::peers::Ngircd;
use lab::{Error, Lab, Nat, Network, Result, Router, wait_until};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Two robots behind routers, and public relays.
pub(crate) struct World {
    pub(crate) relays: Vec<Robot>,
    pub(crate) left: Robot,
    pub(crate) right: Robot,
    /// The router of the left robot.
    pub(crate) router: Router,
    /// Configuration of the robots behind NAT.
    pub(crate) configuration: String,
    _irc: Option<Ngircd>,
    /// The routers exist as long as the lab.
    lab: Lab,
}

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

fn robot_behind(
    lab: &Lab,
    name: &str,
    network: &Network,
    router: &Router,
    configuration: &str,
) -> Result<Robot> {
    let mut host = lab.lone_host(name)?;
    host.attach(network)?;
    router.serve(&host)?;
    Robot::start_on(host, configuration)
}

impl World {
    pub(crate) fn new(lab: Lab, nat: Nat, relays: usize) -> Result<Self> {
        Self::of_swarm(lab, nat, relays, "")
    }

    /// Makes a world with an IRC server on the public network, whose channel the robots behind NAT join.
    pub(crate) fn with_irc(lab: Lab, nat: Nat, relays: usize) -> Result<Self> {
        let wan = lab.network("wan")?;
        let mut host = lab.lone_host("irc")?;
        host.attach(&wan)?;
        let server = Ngircd::on_host(&host)?;
        let (at, port) = (host.address(), server.address().port());
        let channel = format!("/ip4/{at}/tcp/{port}/irc/#duckiebots/dswarm-line");
        let world = Self::build(lab, &wan, nat, relays, "", &[channel])?;
        Ok(Self { _irc: Some(server), ..world })
    }

    /// Makes a world whose robots and relays are in the swarm of a file, if `swarm` begins one. The relays are then in
    /// its list of addresses, and otherwise in the configuration of the robots.
    pub(crate) fn of_swarm(lab: Lab, nat: Nat, relays: usize, swarm: &str) -> Result<Self> {
        let wan = lab.network("wan")?;
        Self::build(lab, &wan, nat, relays, swarm, &[])
    }

    /// `channels` are further addresses for the robots behind NAT.
    fn build(
        lab: Lab,
        wan: &Network,
        nat: Nat,
        relays: usize,
        swarm: &str,
        channels: &[String],
    ) -> Result<Self> {
        let there = lab.network("there")?;
        let file = lab.folder().join("swarm.toml");
        let joined = if swarm.is_empty() { String::new() } else { format!("swarm_file = {file:?}\n") };
        write(&file, swarm)?;
        let relay = |number| {
            let mut host = lab.lone_host(&format!("relay-{number}"))?;
            host.attach(wan)?;
            Robot::start_on(host, &format!("{joined}relay = true\nkeep_others = false\n"))
        };
        let relays = (1..=relays).map(relay).collect::<Result<Vec<_>>>()?;
        let mut peers = Vec::new();
        for relay in &relays {
            let (at, id) = (relay.host().address(), relay.peer_id()?);
            peers.push(format!("'/ip4/{at}/tcp/6002/p2p/{id}', '/ip4/{at}/tcp/8000/dswarm-line'"));
        }
        peers.extend(channels.iter().map(|channel| format!("'{channel}'")));
        let peers = peers.join(", ");
        if !swarm.is_empty() {
            write(&file, &format!("bootstrap = [{peers}]\n{swarm}"))?;
        }
        let named = if swarm.is_empty() { format!("peers = [{peers}]\n") } else { joined.clone() };
        let configuration = format!("{named}settle_seconds = 0\n");
        let behind = |name: &str, network: &Network| {
            let router = Router::new(&lab, &format!("{name}-router"), network, wan, nat)?;
            if nat == Nat::None {
                relays.iter().try_for_each(|relay| router.lead(relay.host()))?;
            }
            Ok::<_, Error>((robot_behind(&lab, name, network, &router, &configuration)?, router))
        };
        let ((left, router), (right, _)) = (behind("left", lab.lan())?, behind("right", &there)?);
        Ok(Self { relays, left, right, router, configuration, _irc: None, lab })
    }

    /// Starts another robot behind the router of the left one.
    pub(crate) fn start_on_the_left(&self, name: &str) -> Result<Robot> {
        robot_behind(&self.lab, name, self.lab.lan(), &self.router, &self.configuration)
    }

    /// Asks the left robot for the paths to the right one.
    pub(crate) fn paths(&self) -> Option<Vec<Value>> {
        let found = self.left.cli(&["find", "right", "--json"]).ok()?;
        let open = found["robots"][0]["paths"]["open"].as_array()?.clone();
        Some(open).filter(|open| !open.is_empty())
    }

    pub(crate) fn wait_for_path(&self, within: Duration, state: &str) -> Result<Value> {
        let begun = Instant::now();
        let path = wait_until(within, &format!("a {state} path"), || {
            self.paths()?.into_iter().find(|path| path["state"] == state)
        })?;
        println!("{state} after {:.1} s: {path}", begun.elapsed().as_secs_f64());
        Ok(path)
    }
}
