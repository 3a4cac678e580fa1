//! Makes a world from a scenario and a seed, and plans all events that the scenario asks for.

mod fleet;

use crate::action::Action;
use crate::disk::Disk;
use crate::event::Event;
use crate::liar::Liar;
use crate::living::{path, statement};
use crate::network::{Conditions, Network, NetworkId, Sort};
use crate::node::{Body, Node, NodeId};
use crate::reading::ScenarioError;
use crate::scenario::{
    ConditionsText, Copies, LOOK_EVERY, Look, Partition, Records, Scenario, Seconds, Stock,
};
use crate::wall::{START, Wall};
use crate::world::{Options, World};
use dcache::{End, Keypair, Record};
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use routing::Capacity;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of networks. The number of a network is one byte of the addresses on it.
const MOST_NETWORKS: usize = 254;
/// Maximum number of nodes. The number of a node is two bytes of its addresses.
const MOST_NODES: usize = 65_000;

/// Returns the world of a scenario, before any event.
pub(crate) fn world(scenario: &Arc<Scenario>, options: Options) -> Result<World, ScenarioError> {
    let stream = |number| {
        let mut random = ChaCha8Rng::seed_from_u64(options.seed);
        random.set_stream(number);
        random
    };
    let world = World::empty(scenario.clone(), options, [stream(1), stream(2), stream(3)]);
    let mut planner =
        Planner { world, random: stream(0), scenario: scenario.clone(), lans: BTreeMap::new(), items: 0 };
    planner.networks()?;
    planner.nodes()?;
    planner.clocks();
    planner.disks()?;
    planner.stock()?;
    planner.lives()?;
    planner.partitions()?;
    planner.records()?;
    planner.files();
    planner.departures();
    planner.tables();
    planner.faults();
    planner.liars()?;
    planner.at(scenario.measure_from, Action::Measure);
    planner.at(scenario.duration, Action::Calm);
    if let Some(sabotage) = options.sabotage {
        planner.at(scenario.duration, Action::Sabotage(sabotage));
    }
    Ok(planner.world)
}

struct Planner {
    world: World,
    random: ChaCha8Rng,
    scenario: Arc<Scenario>,
    /// The honest nodes of each local network, without those that move.
    lans: BTreeMap<NetworkId, Vec<NodeId>>,
    /// Number of records made so far. It makes the data of each record unique.
    items: u64,
}

impl Planner {
    fn at(&mut self, time: Seconds, action: Action) {
        self.world.queue.push(time.0, Event::Act(Box::new(action)));
    }

    fn networks(&mut self) -> Result<(), ScenarioError> {
        let scenario = self.scenario.clone();
        for lan in scenario.lan.iter().flat_map(|lan| std::iter::repeat_n(lan, lan.count)) {
            let name = format!("lan {}", self.world.networks.len());
            self.network(name, Sort::Lan, Capacity::LAN, lan.conditions, true);
        }
        if let Some(wan) = &scenario.wan {
            self.network("wan".to_owned(), Sort::Mesh, Capacity::MESH, wan.conditions, wan.dialable);
        }
        for (number, line) in scenario.line.iter().enumerate() {
            self.network(format!("line {number}"), Sort::Line, Capacity::IRC, line.conditions, false);
        }
        match self.world.networks.len() {
            0..=MOST_NETWORKS => Ok(()),
            many => Err(ScenarioError::Sense(format!(
                "a scenario has at most {MOST_NETWORKS} networks, not {many}"
            ))),
        }
    }

    fn network(
        &mut self,
        name: String,
        sort: Sort,
        capacity: Capacity,
        text: ConditionsText,
        dialable: bool,
    ) {
        let conditions = Conditions {
            loss: if sort == Sort::Line { 0.0 } else { text.loss.clamp(0.0, 1.0) },
            duplication: text.duplication.clamp(0.0, 1.0),
            delay: Duration::from_secs_f64(text.delay_ms.max(0.0) / 1000.0),
            jitter: Duration::from_secs_f64(text.jitter_ms.max(0.0) / 1000.0),
            link_rate: text.link_rate,
        };
        let (members, parts) = (BTreeMap::new(), BTreeMap::new());
        let network = Network { name, sort, capacity, conditions, is_dialable: dialable, members, parts };
        self.world.networks.push(network);
    }

    fn find(&self, name: &str) -> Result<NetworkId, ScenarioError> {
        let found = self.world.networks.iter().position(|network| network.name == name);
        found.ok_or_else(|| ScenarioError::Sense(format!("there is no network {name:?}")))
    }

    fn node(&mut self, networks: BTreeSet<NetworkId>, is_honest: bool) -> NodeId {
        let id = self.world.nodes.len();
        let mut seed = [0; 32];
        self.random.fill_bytes(&mut seed);
        let mut node = Node::new(id, Keypair::from_seed(seed), is_honest);
        node.networks = networks;
        self.world.nodes.push(node);
        id
    }

    fn nodes(&mut self) -> Result<(), ScenarioError> {
        let scenario = self.scenario.clone();
        let lans = scenario.lan.iter().flat_map(|lan| std::iter::repeat_n(lan, lan.count));
        for (network, lan) in lans.enumerate() {
            for number in 0..lan.nodes {
                let mut on = BTreeSet::from([network]);
                if number < lan.gateways {
                    on.insert(self.find("wan")?);
                }
                let node = self.node(on, true);
                self.lans.entry(network).or_default().push(node);
            }
        }
        for (number, line) in scenario.line.iter().enumerate() {
            let on = self.find(&format!("line {number}"))?;
            for lan in &line.lans {
                let members = self.lans.get(&self.find(lan)?);
                let last = members.and_then(|nodes| nodes.last()).copied();
                let last = last.ok_or_else(|| ScenarioError::Sense(format!("{lan} has no nodes")))?;
                self.world.nodes[last].networks.insert(on);
            }
        }
        for laptop in &scenario.laptop {
            self.laptops(laptop)?;
        }
        match self.world.nodes.len() {
            0..=MOST_NODES => Ok(()),
            many => {
                Err(ScenarioError::Sense(format!("a scenario has at most {MOST_NODES} nodes, not {many}")))
            }
        }
    }

    /// Gives a disk to the nodes that may be off. In large swarms, disks for all nodes would take too much memory.
    fn disks(&mut self) -> Result<(), ScenarioError> {
        let copies = self.scenario.files.as_ref().and_then(|files| files.copies.as_ref());
        let are_killed = copies.is_some_and(|copies| copies.killed.is_some());
        let any_may_stop =
            are_killed || self.scenario.crashes.is_some() || self.scenario.departures.is_some();
        if any_may_stop || self.world.options.sabotage.is_some() {
            self.world.nodes.iter_mut().for_each(|node| node.disk = Some(Disk::default()));
        }
        for away in self.scenario.away.clone() {
            for node in self.last_of(&away.lan, away.nodes)? {
                self.world.nodes[node].disk.get_or_insert_default();
            }
        }
        Ok(())
    }

    fn clocks(&mut self) {
        let Some(clocks) = self.scenario.clocks.clone() else { return };
        let many = self.world.nodes.len();
        let (off, drift) = (clocks.off.0.as_secs() as i64, i64::from(clocks.drift));
        for node in 0..many {
            // The place is the position of the node in the order of all nodes, scaled to the range from -1000 to 1000.
            let place = (2000 * node as i64) / (many as i64 - 1).max(1) - 1000;
            let [ahead, drift] = [off, drift].map(|most| match clocks.even {
                true => most * place / 1000,
                false => self.random.random_range(-most..=most),
            });
            self.world.nodes[node].wall = Wall { ahead, drift };
        }
        if let Some(last) = self.world.nodes.last_mut().filter(|_| clocks.last_ahead != 0) {
            last.wall.ahead = clocks.last_ahead;
        }
        for node in self.world.nodes.iter_mut().rev().take(clocks.unset) {
            node.wall = Wall { ahead: -(START.0 as i64), drift: 0 };
        }
        let by = clocks.by.0.as_secs() as i64;
        for _ in 0..clocks.far {
            let node = self.random.random_range(0..many);
            self.world.nodes[node].wall.ahead = self.random.random_range(-by..=by);
        }
        let last = self.scenario.duration.0.saturating_sub(clocks.lasting.0);
        for _ in 0..clocks.steps {
            let node = self.random.random_range(0..many);
            let (usual, at) = (self.world.nodes[node].wall.ahead, last.mul_f64(self.random.random::<f64>()));
            let ahead = usual + self.random.random_range(-by..=by);
            self.at(Seconds(at), Action::SetClock { node, ahead });
            self.at(Seconds(at + clocks.lasting.0), Action::SetClock { node, ahead: usual });
        }
    }

    fn stock(&mut self) -> Result<(), ScenarioError> {
        for stock in self.scenario.stock.clone() {
            let owners = self.owners(&stock)?;
            for number in 0..stock.count {
                let Some(maker) = owners.get(number % owners.len().max(1)).copied() else { break };
                let (bucket, data) = self.think_of(&stock.look, number);
                let lifetime = stock.look.lifetime.0.as_secs();
                let of = &self.world.nodes[maker];
                // The records were made one after the other, in the last ten minutes before the run.
                let from = dcache::Time(START.0 - 600 + (number as u64 * 599) / stock.count as u64);
                let stated =
                    path(&bucket, of.me).and_then(|bucket| statement(&bucket, &data, from, lifetime));
                let Some(statement) = stated else {
                    return Err(ScenarioError::Sense(format!("{data:?} in {bucket:?} is not a valid item")));
                };
                let record = Record::sign(statement, &of.key, number as u64 + 1, End::default());
                self.world.ledger.signed(&record);
                for owner in &owners {
                    self.world.stock.entry(*owner).or_default().push(record.clone());
                }
            }
        }
        for (node, records) in &self.world.stock {
            if let Some(disk) = &mut self.world.nodes[*node].disk {
                disk.records.extend(records.iter().map(|record| (dcache::Key::from(record), record.clone())));
            }
        }
        Ok(())
    }

    fn owners(&self, stock: &Stock) -> Result<Vec<NodeId>, ScenarioError> {
        let named = stock.lans.iter().map(|lan| self.find(lan)).collect::<Result<BTreeSet<_>, _>>()?;
        let mut new = BTreeSet::new();
        for away in self.scenario.away.iter().filter(|away| away.from.0.is_zero()) {
            new.extend(self.last_of(&away.lan, away.nodes)?);
        }
        let lans = self.lans.iter().filter(|(lan, _)| named.is_empty() || named.contains(lan));
        let part = |nodes: &Vec<NodeId>| -> Vec<NodeId> {
            let numbered = nodes.iter().copied().enumerate();
            numbered
                .filter(|(number, _)| number % stock.parts.max(1) == stock.part)
                .map(|(_, node)| node)
                .collect()
        };
        Ok(lans.flat_map(|(_, nodes)| part(nodes)).filter(|node| !new.contains(node)).collect())
    }

    fn last_of(&self, lan: &str, many: usize) -> Result<Vec<NodeId>, ScenarioError> {
        let nodes = self.lans.get(&self.find(lan)?);
        Ok(nodes.into_iter().flat_map(|nodes| nodes.iter().rev().take(many).copied()).collect())
    }

    /// Plans the times at which nodes start, are switched off, and crash.
    fn lives(&mut self) -> Result<(), ScenarioError> {
        let mut new = BTreeSet::new();
        for away in self.scenario.away.clone() {
            for node in self.last_of(&away.lan, away.nodes)? {
                self.at(away.until, Action::Start { node });
                if away.from.0.is_zero() {
                    new.insert(node);
                } else {
                    self.at(away.from, Action::Stop { node });
                }
            }
        }
        let honest: Vec<NodeId> = self.world.honest().map(|(node, _)| node).collect();
        for node in honest.iter().copied().filter(|node| !new.contains(node)) {
            // The nodes start at random times within the first second of their network.
            let at = Duration::from_secs_f64(self.random.random::<f64>());
            self.at(Seconds(self.switched_on(node) + at), Action::Start { node });
        }
        let Some(crashes) = self.scenario.crashes.clone() else { return Ok(()) };
        for _ in 0..crashes.times {
            let Some(node) = honest.choose(&mut self.random).copied() else { break };
            let [least, most] = crashes.off;
            let at = self.between(crashes.from, crashes.until);
            let off = self.between(least, most).0;
            self.at(at, Action::Crash { node, off });
        }
        Ok(())
    }

    /// Returns the time at which the first network of a node is switched on.
    fn switched_on(&self, node: NodeId) -> Duration {
        let network = self.world.nodes[node].networks.first().copied().unwrap_or_default();
        let part = network as f64 / self.lans.len().max(1) as f64;
        self.scenario.starting.0.mul_f64(part.min(1.0))
    }

    fn between(&mut self, from: Seconds, until: Seconds) -> Seconds {
        let span = until.0.saturating_sub(from.0);
        Seconds(from.0 + span.mul_f64(self.random.random::<f64>()))
    }

    fn partitions(&mut self) -> Result<(), ScenarioError> {
        for partition in self.scenario.partition.clone() {
            match partition.times {
                None => self.cut(&partition, partition.from, partition.until)?,
                Some(times) => {
                    for _ in 0..times {
                        let from = self.between(partition.from, partition.until);
                        let most = partition.until.0.min(from.0 + partition.lasting.0);
                        let until = self.between(from, Seconds(most));
                        self.cut(&partition, from, until)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn cut(&mut self, partition: &Partition, from: Seconds, until: Seconds) -> Result<(), ScenarioError> {
        let lans: Vec<NetworkId> = self.lans.keys().copied().collect();
        let network = match partition.network.as_str() {
            "lan" => lans.choose(&mut self.random).copied().unwrap_or(0),
            name => self.find(name)?,
        };
        let count = partition.parts.max(1);
        let on: Vec<NodeId> = (0..self.world.nodes.len())
            .filter(|node| self.world.nodes[*node].networks.contains(&network))
            .collect();
        let part = |(number, node)| match partition.alternate {
            true => (node, number % count),
            false => (node, self.random.random_range(0..count)),
        };
        let parts = on.into_iter().enumerate().map(part).collect();
        self.at(from, Action::Part { network, parts });
        self.at(until, Action::Heal { network });
        Ok(())
    }

    fn records(&mut self) -> Result<(), ScenarioError> {
        for (group, records) in self.scenario.records.clone().into_iter().enumerate() {
            let makers = self.makers(&records)?;
            for number in 0..records.count {
                let Some(node) = makers.choose(&mut self.random).copied() else { break };
                let at = self.between(records.from, records.until);
                let (bucket, data) = self.think_of(&records.look, number);
                let lifetime = records.look.lifetime.0;
                self.at(at, Action::Say { node, group, bucket, data, lifetime });
            }
        }
        Ok(())
    }

    fn files(&mut self) {
        let Some(files) = self.scenario.files.clone() else { return };
        let owners: Vec<NodeId> = self.world.honest().map(|(node, _)| node).collect();
        for number in 0..files.count {
            let node = match files.by_turns {
                true => owners.get(number % owners.len().max(1)),
                false => owners.choose(&mut self.random),
            };
            let Some(node) = node.copied() else { break };
            let at = self.between(files.from, files.until);
            self.at(at, Action::Share { node, number });
        }
        if let Some(copies) = files.copies {
            self.copies(&copies, &owners);
        }
    }

    /// Plans the faults that endanger copies, and the checks of their number.
    fn copies(&mut self, copies: &Copies, owners: &[NodeId]) {
        self.at(Seconds(LOOK_EVERY), Action::CheckCopies);
        if let Some(killed) = copies.killed {
            let number = self.random.random_range(0..1000);
            self.at(killed.at, Action::KillHolders { killed, number });
        }
        let Some(full) = copies.full else { return };
        for _ in 0..full.times {
            let Some(node) = owners.choose(&mut self.random).copied() else { break };
            let at = self.between(full.from, full.until);
            let [least, most] = full.lasting;
            let lasting = self.between(least, most).0;
            let is_urgent = self.random.random();
            self.at(at, Action::FillDisk { node, lasting, files: full.files, is_urgent });
        }
    }

    fn makers(&self, records: &Records) -> Result<Vec<NodeId>, ScenarioError> {
        match &records.by {
            Some(name) => Ok(self.lans.get(&self.find(name)?).cloned().unwrap_or_default()),
            None => Ok(self.world.honest().map(|(node, _)| node).collect()),
        }
    }

    fn think_of(&mut self, look: &Look, number: usize) -> (String, String) {
        self.items += 1;
        let [least, most] = look.bytes;
        let length = self.random.random_range(least.max(8)..=most.max(least.max(8)));
        let mut letters = b"abcdefghijklmnopqrstuvwxyz234567".repeat(length / 32 + 1);
        letters.shuffle(&mut self.random);
        letters.truncate(length);
        let text: String = letters.into_iter().map(char::from).collect();
        let bucket = look.buckets.get(number % look.buckets.len().max(1)).cloned().unwrap_or_default();
        let number = format!("{}-", self.items);
        let rest = length.saturating_sub(number.len());
        (bucket, format!("{number}{}", &text[..rest]))
    }

    fn liars(&mut self) -> Result<(), ScenarioError> {
        for liars in self.scenario.liar.clone() {
            let on = liars.on.iter().map(|name| self.find(name)).collect::<Result<BTreeSet<_>, _>>()?;
            for _ in 0..liars.count {
                let node = self.node(on.clone(), false);
                self.world.nodes[node].body = Body::Liar(Box::new(Liar::new(&liars)));
                self.world.liar_joins(node);
            }
        }
        Ok(())
    }
}
