//! The task that owns the brain.

mod load;
mod time;

use self::load::{Saved, load};
use crate::copies::CopyDetector;
use crate::handle::{Command, SayError, Swarm};
use crate::record_signer::RecordSigner;
use crate::refusals::Refusals;
use crate::write_behind::{Change, EndedCommit, OwnRecords, WriteBehind};
use brain::{Brain, Input, Now, Output, Routing, Settings};
use channels::Switchboard;
use dcache::{Clock, Key, Keypair, Limits, Policy, Prover, Record, Refusal, Set, Time};
use routing::ChannelEvent;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use store::{ReadError, Store};
use time::LastTime;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Maximum number of commands of services that may wait.
const MAX_COMMANDS: usize = 256;
/// Maximum number of records that give roles and wait until the time is known.
const MAX_DOUBTFUL: usize = 4096;

/// The parts and the settings of a running brain.
pub struct Setup {
    /// The key with which this node signs.
    pub keypair: Keypair,
    /// Store of its records on the disk.
    pub store: Arc<Store>,
    /// Policy at the start.
    pub policy: Policy,
    /// Routing of lines at the start.
    pub routing: Routing,
    /// Function that reads the wall clock: [`crate::system_clock`], except in tests.
    pub wall_clock: fn() -> Time,
    /// Function that returns whether the operating system knows that the wall clock, which shows this time, is set:
    /// [`crate::is_system_clock_set`], except in tests.
    pub is_clock_set: fn(Time) -> bool,
    /// Build time of the program. It is a lower bound of the current time.
    pub built: Time,
    /// Protocol parameters of the brain.
    pub settings: Settings,
    /// Version of the program, as the status shows it.
    pub version: String,
    /// Seed of all random choices in the brain.
    pub seed: u64,
    /// Absolute path of the control socket, as pongs name it to programs on this computer; `None` if there is none.
    pub control_socket: Option<String>,
}

/// An error after which the driver cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The records cannot be read from the disk.
    #[error("the records cannot be read: {0}")]
    Read(#[from] ReadError),
}

/// Runs the brain. If a run fails, another can be begun with the same driver: the services keep their handles, and the
/// records are read from the disk again.
pub struct Driver {
    setup: Setup,
    swarm: Swarm,
    commands: tokio::sync::Mutex<mpsc::Receiver<Command>>,
    policy: Mutex<Policy>,
    routing: Mutex<Routing>,
    started: Instant,
}

impl Driver {
    /// Returns a driver, and the handle for the services.
    pub fn new(setup: Setup) -> (Self, Swarm) {
        let (sender, commands) = mpsc::channel(MAX_COMMANDS);
        let swarm = Swarm::new(setup.keypair.peer_id(), sender);
        let (policy, commands) = (Mutex::new(setup.policy.clone()), tokio::sync::Mutex::new(commands));
        let routing = Mutex::new(setup.routing.clone());
        let driver = Self { setup, swarm: swarm.clone(), commands, policy, routing, started: Instant::now() };
        (driver, swarm)
    }

    /// Runs until `stop` is cancelled. Then writes all records that wait, and returns.
    ///
    /// # Errors
    /// When the records cannot be read at the start.
    pub async fn run(
        &self,
        mut events: mpsc::Receiver<ChannelEvent>,
        switchboard: Switchboard,
        stop: CancellationToken,
    ) -> Result<(), DriverError> {
        let mut commands = self.commands.lock().await;
        let mut run = self.begin(switchboard).await?;
        loop {
            let wake = self.started + run.brain.next_wake();
            // Commands precede channel events, so that the commands of this node do not starve in a flood of lines.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                ended = run.write_behind.next() => run.committed(ended),
                Some(command) = commands.recv() => self.command(&mut run, command),
                () = tokio::time::sleep_until(wake.into()) => run.input(Input::Tick),
                Some(event) = events.recv() => run.input(Input::Channel(event)),
            }
        }
        for ended in run.write_behind.finish().await {
            run.committed(Some(ended));
        }
        Ok(())
    }

    async fn begin(&self, switchboard: Switchboard) -> Result<Run, DriverError> {
        let (store, policy) = (self.setup.store.clone(), self.policy());
        let judged = policy.clone();
        let read = tokio::task::spawn_blocking(move || load(&store, &judged));
        let Saved { records, sequence, time: saved } = match read.await {
            Ok(read) => read.map_err(DriverError::Read)?,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let elapsed = self.started.elapsed();
        let (wall, mut clock) = ((self.setup.wall_clock)(), Clock::new(self.setup.built, saved, elapsed));
        let moment = clock.read(wall, elapsed);
        let mut set = Set::new(policy.clone(), Limits::of(&policy));
        let dropped = set.restore(records, moment);
        let me = self.swarm.me();
        // A node that lost its disk no longer knows its last sequence number. Counting from the clock, it most likely
        // starts above its earlier records. If not, it hears of them from its peers, and continues above them.
        let last = sequence.unwrap_or(moment.time.0).max(set.latest_sequence(me));
        tracing::info!(records = set.len(), "the records on the disk are loaded");
        let mut brain =
            Brain::new(me, set, self.setup.settings.clone(), &self.setup.version, self.setup.seed);
        brain.set_control_socket(self.setup.control_socket.clone());
        brain.set_prover(Prover::new(Keypair::from_seed(self.setup.keypair.seed())));
        brain.route(self.routing(), Now { moment, elapsed });
        let mut write_behind = WriteBehind::new(self.setup.store.clone());
        if !dropped.is_empty() {
            write_behind.remove(dropped);
        }
        self.swarm.tell_copied(None);
        Ok(Run {
            brain,
            copies: CopyDetector::new(sequence),
            signer: RecordSigner::new(Keypair::from_seed(self.setup.keypair.seed()), last),
            write_behind,
            clock,
            wall_clock: self.setup.wall_clock,
            is_clock_set: self.setup.is_clock_set,
            last_time: LastTime::default(),
            was_certain: moment.is_certain,
            doubtful: BTreeSet::new(),
            refusals: Refusals::default(),
            swarm: self.swarm.clone(),
            switchboard,
            started: self.started,
            telling: None,
        })
    }

    fn policy(&self) -> Policy {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn routing(&self) -> Routing {
        self.routing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn command(&self, run: &mut Run, command: Command) {
        // The policy and the routing are kept for the next run of the brain.
        match &command {
            Command::Adopt { policy, .. } => {
                *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy.clone();
            }
            Command::Route { routing, .. } => {
                *self.routing.lock().unwrap_or_else(PoisonError::into_inner) = routing.clone();
            }
            _ => {}
        }
        run.command(command);
    }
}

/// Returns the content that the disk should have at `key`.
fn held_at(set: &Set, key: &Key) -> Change {
    set.get(key).cloned()
}

/// One run of the brain.
struct Run {
    brain: Brain,
    signer: RecordSigner,
    copies: CopyDetector,
    write_behind: WriteBehind,
    refusals: Refusals,
    swarm: Swarm,
    switchboard: Switchboard,
    started: Instant,
    clock: Clock,
    wall_clock: fn() -> Time,
    is_clock_set: fn(Time) -> bool,
    last_time: LastTime,
    /// Whether the time was known at the last input.
    was_certain: bool,
    /// Keys of records that gave roles while the time was not known.
    doubtful: BTreeSet<Key>,
    /// The own record that is given to the brain after its commit, and the reason if the brain refuses it.
    telling: Option<(Record, Option<Refusal>)>,
}

impl Run {
    fn input(&mut self, input: Input) {
        let now = self.now();
        for (metric, by) in self.swarm.take_counted().iter() {
            self.brain.count_by(metric, by);
        }
        for output in self.brain.handle(now, input) {
            self.output(output);
        }
        self.tell_copies();
    }

    /// Reports when it becomes known that another host uses the key of this node, or no longer uses it.
    fn tell_copies(&mut self) {
        if let Some(fault) = self.copies.news() {
            self.swarm.tell_copied(fault.as_ref());
            self.input(Input::Channel(ChannelEvent::Trouble { name: "identity".to_owned(), fault }));
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Channel(command) => self.switchboard.carry_out(command),
            Output::Admitted { record, is_renewal } => self.admitted(record, is_renewal),
            Output::Removed(keys) => self.write_behind.remove(keys),
            Output::NotSaid(reason) => {
                if let Some((_, refusal)) = &mut self.telling {
                    *refusal = Some(reason);
                }
            }
            Output::Refused { source, reason, .. } => self.refusals.note(reason, source, Instant::now()),
        }
    }

    fn admitted(&mut self, record: Record, is_renewal: bool) {
        // A record in `telling` was written to the disk just before.
        let is_told = self.telling.as_ref().is_some_and(|(telling, _)| *telling == record);
        if record.signer() == self.signer.me() {
            self.signer.heard_own(&record);
            if !is_told {
                self.copies.heard(&record, self.started.elapsed());
            }
        }
        match is_told {
            true => self.write_behind.is_there(&Key::from(&record)),
            false if self.is_doubtful(&record) => self.note_doubtful(&record),
            false if is_renewal && record.signer() != self.signer.me() => {
                self.write_behind.renew(record.clone())
            }
            false => self.write_behind.put(record.clone()),
        }
        self.swarm.changed(record);
    }

    /// Returns whether a record gives a role while the time is not known. Such a record is written only once the time
    /// is known, because at the next start all roles on the disk count as known
    /// from the beginning, even if the time is unknown.
    fn is_doubtful(&self, record: &Record) -> bool {
        let gives_role =
            record.kind() == dcache::Kind::Propose && dcache::is_role_bucket(&record.item().bucket);
        gives_role && !self.was_certain
    }

    /// Notes a record that gives a role. If there is no space, the record is not written at all; after a restart of
    /// this node, peers send it again.
    fn note_doubtful(&mut self, record: &Record) {
        if self.doubtful.len() < MAX_DOUBTFUL {
            self.doubtful.insert(Key::from(record));
        }
    }

    /// Writes the doubtful records to the disk, now that the time is known.
    fn settle_doubts(&mut self) {
        for key in std::mem::take(&mut self.doubtful) {
            if let Some(record) = self.brain.set().get(&key) {
                self.write_behind.put(record.clone());
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Read(reading) => {
                let now = self.now();
                reading(self.brain.set(), now.moment);
            }
            Command::Ask(asking) => {
                let now = self.now();
                asking(&self.brain, now);
            }
            Command::Ping { pinged } => {
                let now = self.now();
                self.brain.ping(now).into_iter().for_each(|output| self.output(output));
                let _ = pinged.send(());
            }
            Command::Route { routing, routed } => {
                let now = self.now();
                self.brain.route(routing, now);
                let _ = routed.send(());
            }
            Command::Say { statements, said } => {
                // If the clock was corrected meanwhile, this input removes records that are too far in the future. They
                // would take precedence over the new ones.
                self.input(Input::Tick);
                let records = self.signer.sign(statements, self.brain.set());
                self.copies.signed(&records);
                self.write_to_send(self.own(records, said));
            }
            Command::Carry { records, said } => self.write_to_send(self.own(records, said)),
            Command::Adopt { policy, adopted } => {
                let now = self.now();
                if self.brain.set().policy().mark() != policy.mark() {
                    // Records that are written from now on may have been signed in another swarm.
                    self.write_behind.is_mixed();
                }
                self.brain.adopt(policy, now).into_iter().for_each(|output| self.output(output));
                // Services have to repeat in this swarm the statements that they made in the former one.
                self.swarm.clock_was_set();
                let _ = adopted.send(());
            }
        }
    }

    fn own(&self, records: Vec<Record>, said: oneshot::Sender<Result<(), SayError>>) -> OwnRecords {
        OwnRecords { records, mark: self.brain.set().policy().mark(), said }
    }

    /// Writes the records that this node is to send: all of them, or none if the set would refuse one.
    fn write_to_send(&mut self, own: OwnRecords) {
        let now = self.now().moment.time;
        let set = self.brain.set();
        let refused = own.records.iter().find_map(|record| match set.would_take(record, now) {
            Ok(true) => None,
            // Publishing the same record once more changes nothing, and is no error.
            Ok(false) => (set.get(&Key::from(record)) != Some(record)).then_some(SayError::Outlasted),
            Err(refusal) => Some(SayError::Refused(refusal)),
        });
        match refused {
            None => self.write_behind.put_own(own, self.signer.last()),
            Some(refused) => {
                self.signer.settled(&own.records);
                let _ = own.said.send(Err(refused));
            }
        }
    }

    /// Handles the end of a commit: sends its own records if it succeeded, and queues the other changes again if not.
    fn committed(&mut self, ended: Option<EndedCommit>) {
        let Some(ended) = ended else { return };
        let (result, own, batch) = ended.into_parts();
        match result {
            Ok(()) => own.into_iter().for_each(|own| self.tell(own)),
            Err(error) => {
                tracing::error!(%error, "the records could not be written; trying again later");
                let failed = SayError::Disk(Arc::new(error));
                let set = self.brain.set();
                self.write_behind.try_again_later(batch, &own, |key| held_at(set, key));
                own.iter().for_each(|own| self.signer.settled(&own.records));
                own.into_iter().for_each(|own| drop(own.said.send(Err(failed.clone()))));
            }
        }
    }

    /// Gives own records that are on the disk now to the brain. The brain does not verify them, so they are given up if
    /// this node changed to another swarm while they were written.
    fn tell(&mut self, own: OwnRecords) {
        let mut result = Ok(());
        self.signer.settled(&own.records);
        let is_of_this_swarm = own.mark == self.brain.set().policy().mark();
        for record in own.records {
            let key = Key::from(&record);
            let refusal = if is_of_this_swarm { self.give(&record) } else { None };
            if self.brain.set().get(&key) != Some(&record) {
                let held = held_at(self.brain.set(), &key);
                self.write_behind.change(key, held);
                result = Err(match refusal {
                    _ if !is_of_this_swarm => SayError::OtherSwarm,
                    Some(refusal) => SayError::Refused(refusal),
                    None => SayError::Outlasted,
                });
            }
        }
        let _ = own.said.send(result);
    }

    /// Gives an own record to the brain, and returns the reason if the brain refuses it.
    fn give(&mut self, record: &Record) -> Option<Refusal> {
        self.telling = Some((record.clone(), None));
        self.input(Input::Local(record.clone()));
        self.telling.take().and_then(|(_, refusal)| refusal)
    }
}

#[cfg(test)]
mod tests;
