//! The services of a node: discovery, diagnostics and log sharing, with the deciders that the daemon runs.
//!
//! Only the deciders are real; the rest of each service is modelled. A decision is made when a record of interest
//! comes, when a fetch ends, and at the time that the decider has asked for. A fetch takes the time that the scenario
//! sets, and succeeds if a running node has the file.

use crate::action::Action as Step;
use crate::copies::FILE_BYTES;
use crate::event::Event;
use crate::network::address;
use crate::node::{Life, NodeId};
use crate::scenario::Scenario;
use crate::world::World;
use brain::Now;
use dcache::{BucketPath, Moment, PeerId, Set, Statements, Time};
use diagnostics::HealthAnnouncer;
use discovery::Announcer;
use ipfs::Cid;
use logs::buckets::concerns_copies;
use logs::{Action, Description, LetGo, LetGoFiles, Proposal, Reason, Replication, State, index};
use multihash_codetable::{Code, MultihashDigest as _};
use service::{Decide, Decision, LocalFacts};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time in which records of interest are gathered for one decision, as in the daemon.
const GATHER: Duration = Duration::from_millis(50);
/// Maximum time between two decisions, as in the daemon.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Time between the last statement of a node and its end, as in the daemon.
const LAST_COPIES: Duration = Duration::from_millis(350);
/// Codec of raw bytes in a CID.
const RAW: u64 = 0x55;

/// Files that a node has and knows. They are on the node's disk.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Files of the node's own folder.
    own: BTreeSet<Cid>,
    /// Files that the node has checked and pinned, its own included.
    kept: BTreeMap<Cid, Description>,
    /// Files that the node no longer keeps, and the reason for each.
    let_go: LetGoFiles,
}

impl Files {
    /// Returns whether the disk has a file.
    pub(crate) fn has(&self, cid: &Cid) -> bool {
        self.kept.contains_key(cid)
    }

    /// Removes a file that the node does not keep any more.
    pub(crate) fn lose(&mut self, cid: &Cid) {
        self.kept.remove(cid);
    }

    /// Returns the files of the node's own folder.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Cid> {
        self.own.iter()
    }
}

/// The deciders of one run of a node.
#[derive(Debug)]
pub(crate) struct Services {
    announcer: Announcer,
    pub(crate) health: HealthAnnouncer,
    proposal: Proposal,
    replication: Replication,
    fetching: BTreeSet<Cid>,
    /// The time of day at the last input.
    seen: Option<Now>,
    /// Time of the next planned decision.
    planned: Option<Duration>,
}

impl Services {
    fn new(me: PeerId, facts: LocalFacts) -> Self {
        let (announcer, proposal, replication) =
            (Announcer::new(me, facts), Proposal::new(me), Replication::new(me));
        let health = HealthAnnouncer::new(me);
        Self {
            announcer,
            health,
            proposal,
            replication,
            fetching: BTreeSet::new(),
            seen: None,
            planned: None,
        }
    }
}

impl World {
    /// Starts the services of a node, if the scenario has any.
    pub(crate) fn start_services(&mut self, node: NodeId) {
        let Scenario { presence, files, health, .. } = &*self.scenario;
        if presence.is_none() && files.is_none() && health.is_none() {
            return;
        }
        let (facts, measured) = (self.facts(node), self.measured_health(node));
        let of = &mut self.nodes[node];
        let mut services = Services::new(of.me, facts);
        if let Some(copies) = self.scenario.files.as_ref().and_then(|files| files.copies.as_ref()) {
            services.replication.set_copy_rules(copies.rules());
        }
        services.health.set_health(&measured);
        of.services = Some(Box::new(services));
        self.plan_decision(node, self.now);
    }

    /// Shuts a node down cleanly, and starts it again later. Its services publish their last statements first.
    pub(crate) fn depart(&mut self, node: NodeId, off: Duration) {
        if let Some(services) = &mut self.nodes[node].services {
            services.announcer.leave();
            services.health.leave();
            self.tables.says_farewell(node);
        }
        self.plan_decision(node, self.now);
        let end = self.now + LAST_COPIES;
        self.queue.push(end, Event::Act(Box::new(Step::Stop { node })));
        self.queue.push(end + off, Event::Act(Box::new(Step::Start { node })));
    }

    fn facts(&self, node: NodeId) -> LocalFacts {
        let mut facts = LocalFacts::default();
        let at = self.nodes[node].networks.first().map(|network| address(*network, node));
        if self.scenario.presence.as_ref().is_some_and(|presence| presence.info) {
            (facts.hostname, facts.version) = (format!("robot{node}"), "sim".to_owned());
            facts.lines = at.into_iter().collect();
        }
        if self.scenario.files.is_some() {
            let me = self.nodes[node].me;
            facts.ipfs = at.map(|at| vec![format!("/ip4/{}/tcp/6002/p2p/{me}", at.ip())]);
        }
        facts
    }

    /// Notes that a record came into a node's set.
    pub(crate) fn services_hear(&mut self, node: NodeId, bucket: &BucketPath) {
        if self.scenario.files.is_some() && concerns_copies(bucket) {
            self.plan_decision(node, self.now + GATHER);
        }
    }

    /// Notes that a node's clock was read. If it jumped, the node decides again, as the daemon's loop does.
    pub(crate) fn services_see(&mut self, node: NodeId, now: Now) {
        let Some(services) = &mut self.nodes[node].services else { return };
        let Some(before) = services.seen.replace(now) else { return };
        if now.moment.has_jumped(&before.moment, now.elapsed.saturating_sub(before.elapsed)) {
            self.plan_decision(node, self.now);
        }
    }

    pub(crate) fn plan_decision(&mut self, node: NodeId, at: Duration) {
        let of = &mut self.nodes[node];
        let life = of.life;
        let Some(services) = &mut of.services else { return };
        if services.planned.is_none_or(|planned| planned > at) {
            services.planned = Some(at);
            self.queue.push(at, Event::Decide { life });
        }
    }

    /// Makes the decision that is planned for this time.
    pub(crate) fn decide(&mut self, life: Life) {
        let node = life.node;
        if self.is_calm || self.nodes[node].life != life {
            return;
        }
        let Some(mut services) = self.nodes[node].services.take() else { return };
        let mut wait = MAX_WAIT;
        if services.planned == Some(self.now) {
            services.planned = None;
            wait = self.run_deciders(life, &mut services);
        }
        let is_planned = services.planned.is_some();
        self.nodes[node].services = Some(services);
        self.note_safe(node);
        if !is_planned {
            self.plan_decision(node, self.now + wait);
        }
    }

    /// Runs the deciders, and returns the time until the next decision.
    fn run_deciders(&mut self, life: Life, services: &mut Services) -> Duration {
        let node = life.node;
        let moment = self.nodes[node].now(self.now).moment;
        let mut wakes = Vec::new();
        if self.is_announced() {
            wakes.push(self.state(node, moment, |set| services.announcer.decide(set, moment)).1);
        }
        if self.scenario.health.is_some() {
            wakes.push(self.state(node, moment, |set| services.health.decide(set, moment)).1);
        }
        if self.scenario.files.is_some() {
            let (room, pressure) = self.space(node);
            services.replication.set_room(room);
            services.replication.set_pressure(pressure);
            let Files { own, kept, let_go } = &self.nodes[node].files;
            let is_shared = |cid: &&Cid| kept.contains_key(*cid) && !let_go.contains_key(*cid);
            services.proposal.set_own(own.iter().filter(is_shared).copied().collect());
            services.replication.set_kept(kept.clone());
            services.replication.set_let_go(let_go.clone());
            wakes.push(self.state(node, moment, |set| services.proposal.decide(set, moment)).1);
            let (actions, wake) = self.state(node, moment, |set| services.replication.decide(set, moment));
            wakes.push(wake);
            for action in actions {
                self.act_for(life, services, action);
            }
        }
        let next = wakes.into_iter().flatten().min();
        next.map_or(MAX_WAIT, |at| Duration::from_secs(at.since(moment.time).max(1)).min(MAX_WAIT))
    }

    fn is_announced(&self) -> bool {
        let presence = self.scenario.presence.as_ref();
        presence.is_some_and(|presence| presence.until.is_none_or(|until| self.now < until.0))
    }

    /// Signs those statements of a decider that are worth a record, as the daemon's loop does.
    fn state<A>(
        &mut self,
        node: NodeId,
        moment: Moment,
        decide: impl FnOnce(&Set) -> Decision<A>,
    ) -> (Vec<A>, Option<Time>) {
        let of = &self.nodes[node];
        let Some(set) = of.set() else { return (Vec::new(), None) };
        let Decision { mut statements, actions, wake } = decide(set);
        statements.keep_worthwhile(set, of.me, moment);
        self.publish_all(node, statements);
        (actions, wake)
    }

    fn publish_all(&mut self, node: NodeId, statements: Statements) {
        match statements.into_signable() {
            Ok(statements) => {
                statements.into_iter().for_each(|statement| self.publish(node, None, statement))
            }
            Err(error) => self.fail(format!("a decider of node {node} made an invalid statement: {error}")),
        }
    }

    fn act_for(&mut self, life: Life, services: &mut Services, action: Action) {
        match action {
            Action::Take { file, providers } => {
                if !providers.is_empty() && services.fetching.insert(file.cid) {
                    let takes = self.scenario.files.as_ref().map_or(Duration::ZERO, |files| files.fetch.0);
                    self.queue.push(self.now + takes, Event::Fetched { life, cid: file.cid });
                }
            }
            Action::Drop(cid) => {
                self.nodes[life.node].files.kept.remove(&cid);
                services.replication.lose(BTreeSet::from([cid]));
            }
            Action::Release(cid, reason) => {
                self.release(life.node, cid, reason);
                self.plan_decision(life.node, self.now);
            }
            Action::Withdraw(cid) => {
                let time = self.nodes[life.node].now(self.now).moment.time;
                let files = &mut self.nodes[life.node].files;
                files.let_go.insert(cid, LetGo { reason: Reason::Withdrawn, time });
                services.replication.lose(BTreeSet::from([cid]));
            }
            Action::TakeBack(cids) => {
                let files = &mut self.nodes[life.node].files;
                files.let_go.retain(|cid, _| !cids.contains(cid));
            }
        }
    }

    /// Ends a fetch. It succeeds if a running node has the file.
    pub(crate) fn fetched(&mut self, life: Life, cid: Cid) {
        if self.nodes[life.node].life != life {
            return;
        }
        let others = self.nodes.iter().filter(|node| node.life.node != life.node && !node.is_off());
        let description = others.filter_map(|node| node.files.kept.get(&cid)).next().cloned();
        let of = &mut self.nodes[life.node];
        if let Some(services) = &mut of.services {
            services.fetching.remove(&cid);
        }
        let is_new = !of.files.has(&cid);
        of.files.kept.extend(description.map(|description| (cid, description)));
        self.copies.fetched += usize::from(is_new && of.files.has(&cid));
        self.plan_decision(life.node, self.now);
    }

    /// Puts a file into a node's shared folder, or into that of the next running node.
    pub(crate) fn share(&mut self, node: NodeId, number: usize) {
        let many = self.nodes.len();
        let runs = |node: &NodeId| self.nodes[*node].brain().is_some();
        let Some(node) = (node..node + many).map(|node| node % many).find(runs) else { return };
        let changed = self.nodes[node].now(self.now).moment.time;
        let of = &mut self.nodes[node];
        let filename = format!("{number}.bag");
        let cid = Cid::new_v1(RAW, Code::Sha2_256.digest(filename.as_bytes()));
        let description =
            Description { filename, path: None, size: FILE_BYTES, changed, uploader: of.me, recording: None };
        of.files.own.insert(cid);
        of.files.kept.insert(cid, description);
        self.safety.shared(cid, self.now);
        self.plan_decision(node, self.now);
    }

    /// Checks that each shared file is safe in the set of each honest node, with all running honest nodes among its
    /// holders.
    pub(crate) fn check_files(&mut self) {
        if self.scenario.files.is_none() {
            return;
        }
        let now = self.now;
        let wanted =
            self.scenario.files.as_ref().and_then(|files| files.copies.as_ref()).map(|copies| copies.wanted);
        let shared: BTreeSet<Cid> =
            self.nodes.iter().flat_map(|node| node.files.own.iter().copied()).collect();
        let running: BTreeSet<PeerId> =
            self.honest().filter(|(_, node)| !node.is_off()).map(|(_, node)| node.me).collect();
        let mut wrong = Vec::new();
        for (id, node) in self.nodes.iter_mut().enumerate().filter(|(_, node)| node.is_honest) {
            let time = node.now(now).moment.time;
            let Some(set) = node.set() else { continue };
            let files = index(set, time);
            for cid in &shared {
                let file = files.get(cid).filter(|file| file.state == State::Safe);
                let holders = file.map(|file| file.holders.keys().copied().collect::<BTreeSet<_>>());
                let holders = holders.unwrap_or_default();
                let (lacking, all) = match wanted {
                    Some(wanted) => (wanted.saturating_sub(holders.len()), wanted),
                    None => (running.difference(&holders).count(), running.len()),
                };
                if lacking > 0 {
                    wrong.push(format!("node {id} does not see {lacking} of {all} holders of {cid}"));
                }
            }
        }
        wrong.into_iter().for_each(|wrong| self.fail(wrong));
    }
}
