//! Nodes start, stop, move, and publish records.

use crate::action::Action;
use crate::budget::Budget;
use crate::disk::GROUP;
use crate::event::Event;
use crate::network::{Member, NetworkId, address};
use crate::node::{Body, Life, NodeId, Port};
use crate::world::World;
use brain::{Brain, Input, Settings};
use dcache::{BucketPath, Data, Item, Key, Kind, PeerId, Record, Statement, Time, Validity};
use rand::RngExt as _;
use routing::{Address, ChannelEvent, ChannelId, Envelope, Medium};
use std::time::Duration;

/// Duration of a commit, and time from its end until the brain gets the record.
const COMMIT: Duration = Duration::from_millis(10);
const TELLING: Duration = Duration::from_millis(1);

impl World {
    pub(crate) fn act(&mut self, action: Action) {
        self.note_text(&format!("{action:?}"));
        self.trace(&format!("* {action:?}"));
        match action {
            Action::Start { node } => self.start(node),
            Action::Stop { node } => self.stop(node),
            Action::Crash { node, off } => self.crash(node, off),
            Action::Depart { node, off } => self.depart(node, off),
            Action::CheckTables => self.check_tables(),
            Action::SetLevel { node, level } => self.set_level(node, level),
            Action::CheckHealth => self.check_health(),
            Action::Say { node, group, bucket, data, lifetime } => {
                self.say_somewhere(node, Some(group), &bucket, &data, lifetime.as_secs());
            }
            Action::Part { network, parts } => {
                self.networks[network].parts = parts;
                self.break_links();
            }
            Action::Heal { network } => self.networks[network].parts.clear(),
            Action::SetClock { node, ahead } => self.nodes[node].wall.ahead = ahead,
            Action::Leave { node, network } => self.leave(node, network),
            Action::Join { node, network } => {
                self.tables.moved();
                self.join(node, network);
            }
            Action::Measure => self.measured[0] = Some(self.sums()),
            Action::Share { node, number } => self.share(node, number),
            Action::FillDisk { node, lasting, files, is_urgent } => {
                self.fill_disk(node, lasting, files, is_urgent);
            }
            Action::KillHolders { killed, number } => self.kill_holders(killed, number),
            Action::CheckCopies => self.check_copies(),
            Action::Calm => {
                self.check_files();
                self.check_fetches();
                self.is_calm = true;
                self.measured[1] = Some(self.sums());
            }
            Action::Sabotage(sabotage) => self.spoil(sabotage),
        }
    }

    pub(crate) fn start(&mut self, node: NodeId) {
        if !self.nodes[node].is_off() {
            return;
        }
        let seed = self.seeds.random();
        let fresh = self.stock.remove(&node).unwrap_or_default();
        let of = &mut self.nodes[node];
        let kept = of.disk.as_ref().map(|disk| disk.records.values().cloned().collect::<Vec<_>>());
        let (mut set, dropped) = of.begin(fresh.into_iter().chain(kept.unwrap_or_default()), self.now);
        set.share_verified(self.verified.clone());
        of.body = Body::Brain(Box::new(Brain::new(of.me, set, Settings::default(), "sim", seed)));
        of.wake = None;
        self.meetings.started(self.now);
        let networks = of.networks.clone();
        dropped.into_iter().for_each(|key| self.keep(node, key, None));
        networks.into_iter().for_each(|network| self.channel_up(node, network));
        self.start_services(node);
        self.tables.started(node, self.now);
        self.health.started(node, self.now);
    }

    fn channel_up(&mut self, node: NodeId, id: NetworkId) {
        let channel = ChannelId(self.new_number());
        let network = &mut self.networks[id];
        let budget = Budget::new(&network.capacity, self.now);
        network.members.insert(node, Member { channel, budget, is_over: false });
        let line = network.is_dialable.then(|| Address::tcp_line(address(id, node)));
        let (name, capacity) = (network.name.clone(), network.capacity.clone());
        self.nodes[node].channels.insert(channel, Port::Network(id));
        let medium = Medium::Broadcast { name, at: None, line, capacity };
        self.input(node, Input::Channel(ChannelEvent::Up { channel, medium }));
    }

    pub(crate) fn join(&mut self, node: NodeId, network: NetworkId) {
        if self.nodes[node].networks.insert(network) && !self.nodes[node].is_off() {
            self.channel_up(node, network);
        }
    }

    pub(crate) fn leave(&mut self, node: NodeId, network: NetworkId) {
        self.nodes[node].networks.remove(&network);
        if let Some(Member { channel, .. }) = self.networks[network].members.remove(&node) {
            self.break_links();
            self.nodes[node].channels.remove(&channel);
            self.input(node, Input::Channel(ChannelEvent::Down { channel }));
        }
    }

    /// Shuts a node down cleanly: all waiting changes are written first.
    pub(crate) fn stop(&mut self, node: NodeId) {
        self.flush(self.nodes[node].life);
        self.crash(node, Duration::MAX);
    }

    fn crash(&mut self, node: NodeId, off: Duration) {
        if self.nodes[node].is_off() {
            return;
        }
        self.hang_up(node);
        self.tables.stopped(node, self.now);
        let of = &mut self.nodes[node];
        (of.body, of.services) = (Body::Off, None);
        of.life.number += 1;
        if let Some(disk) = &mut of.disk {
            disk.crash();
        }
        for network in &mut self.networks {
            network.members.remove(&node);
        }
        if let Some(at) = self.now.checked_add(off) {
            self.queue.push(at, Event::Act(Box::new(Action::Start { node })));
        }
    }

    /// Publishes a record at the node, or at the next running node if this one does not run.
    fn say_somewhere(&mut self, node: NodeId, group: Option<usize>, bucket: &str, data: &str, lifetime: u64) {
        let many = self.nodes.len();
        let runs = |node: &NodeId| self.nodes[*node].brain().is_some();
        if let Some(node) = (node..node + many).map(|node| node % many).find(runs) {
            match path(bucket, self.nodes[node].me) {
                Some(bucket) => self.say(node, group, &bucket, data, lifetime),
                None => self.fail(format!("the scenario names {bucket:?}, which is not a valid bucket")),
            }
        }
    }

    /// Signs a record at a node. The brain gets it once it is on the disk.
    fn say(&mut self, node: NodeId, group: Option<usize>, bucket: &BucketPath, data: &str, lifetime: u64) {
        let from = self.nodes[node].now(self.now).moment.time;
        let Some(statement) = statement(bucket, data, from, lifetime) else {
            return self
                .fail(format!("the scenario names {data:?} in {bucket:?}, which is not a valid item"));
        };
        self.publish(node, group, statement);
    }

    /// Signs a statement at a node. The brain gets the record once it is on the disk.
    pub(crate) fn publish(&mut self, node: NodeId, group: Option<usize>, statement: Statement) {
        let of = &mut self.nodes[node];
        let record = of.sign(statement);
        let life = of.life;
        self.ledger.signed(&record);
        if let Some(group) = group {
            self.ledger.watch(&record, group, self.now);
        }
        self.queue.push(self.now + COMMIT, Event::Written { life, record: Box::new(record) });
    }

    pub(crate) fn written(&mut self, life: Life, record: Box<Record>) {
        if self.nodes[life.node].life != life {
            return self.ledger.forget(&record);
        }
        let elapsed = self.now - self.nodes[life.node].started;
        let of = &mut self.nodes[life.node];
        let floor = of.clock.own_floor(elapsed);
        if let Some(disk) = &mut of.disk {
            disk.commit_own(&record, floor);
        }
        self.queue.push(self.now + TELLING, Event::Told { life, record });
    }

    pub(crate) fn tell(&mut self, life: Life, record: Record) {
        if self.nodes[life.node].life == life {
            let of = &mut self.nodes[life.node];
            of.settled(&record);
            let line = Envelope::record(Address::brain(of.me), Address::every_brain(), &record).encode();
            let (count, bytes) = &mut self.told;
            (*count, *bytes) = (*count + 1, *bytes + line.len() as u64 + 42);
            self.input(life.node, Input::Local(record));
        }
    }

    pub(crate) fn keep(&mut self, node: NodeId, key: Key, record: Option<Record>) {
        if self.nodes[node].keep(key, record) {
            let life = self.nodes[node].life;
            self.queue.push(self.now + GROUP, Event::Flush { life });
        }
    }

    pub(crate) fn flush(&mut self, life: Life) {
        let of = &mut self.nodes[life.node];
        if of.life == life {
            let floor = of.clock.own_floor(self.now - of.started);
            if let Some(disk) = &mut of.disk {
                disk.commit(floor);
            }
        }
    }
}

/// Returns the bucket that a scenario names; `ME` stands for the ID of `me`.
pub(crate) fn path(text: &str, me: PeerId) -> Option<BucketPath> {
    text.replace("ME", &me.to_string()).parse().ok()
}

fn item(bucket: &BucketPath, data: &str) -> Option<Item> {
    Some(Item { bucket: bucket.clone(), data: Data::new(data).ok()? })
}

pub(crate) fn statement(bucket: &BucketPath, data: &str, from: Time, lifetime: u64) -> Option<Statement> {
    Statement::new(Kind::Propose, item(bucket, data)?, Validity::starting(from, lifetime)).ok()
}
