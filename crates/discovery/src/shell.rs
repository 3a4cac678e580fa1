//! The I/O shell of the service: runs the decider whenever the facts about the node change, and answers requests.

use crate::directory::{HEARD_HERE, Sighting, Surroundings, rows};
use crate::foreign::own_service::OwnService;
use crate::privacy::{Privacy, SALT_BYTES, Salt};
use crate::protocol::{Answer, Request, Robot};
use crate::robot_files::read_profile;
use crate::table_cache::TableCache;
use crate::{Announcer, ForeignRobots, Profile, Settings, foreign};
use rand::TryRng as _;
use routing::Reach;
use service::{Context, DecisionLoop, Endpoint, Failure, LocalFacts, Protocol, Service, ServiceError};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use store::TableError;
use swarm::Stopped;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// Time in which changed facts are gathered for one decision. When a network comes up, several facts change at once.
const GATHER: Duration = Duration::from_millis(100);
/// Pauses before the first looks whether neighbours are heard. Where broadcasts work, they are heard within a second.
const FIRST_LOOKS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(6), Duration::from_secs(12)];
/// Pause between later looks.
const LOOK_FOR_NEIGHBOURS: Duration = Duration::from_secs(60);
/// Interval between two readings of the robot files. They are also read when the host is renamed.
const READ_FILES: Duration = Duration::from_secs(3600);
/// Time for which a stopping node waits after its last statement, so that the copies of the statement for lossy networks
/// are sent as well. The brain sends the last copy 300 ms after the first.
const LAST_COPIES: Duration = Duration::from_millis(350);

/// The stages of the service's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The node states what it is.
    Present,
    /// The daemon stops, so the node has to withdraw its presence.
    Leaving,
    /// The node has withdrawn its presence.
    Left,
}

/// The service `discovery`.
pub struct Discovery {
    pub(crate) context: Context,
    settings: Settings,
    salt: Option<Salt>,
    profile: watch::Sender<Profile>,
    stage: watch::Sender<Stage>,
    table: TableCache,
    pub(crate) foreign: ForeignRobots,
}

impl Protocol for Discovery {
    const NAME: &'static str = "discovery";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Discovery {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Robots { from, is_brief } => {
                Ok(Answer::Robots { robots: self.robots(from, is_brief).await? })
            }
            Request::Changes { mark, seconds } => {
                Ok(Answer::Changed { mark: self.changed(mark, seconds).await? })
            }
            Request::Paths { peer } => {
                let (paths, reason) = crate::paths::paths(&self.context, peer).await?;
                Ok(Answer::Paths { paths, reason })
            }
            Request::Doctor { peer } => {
                let findings = crate::doctor::diagnose(&self.context, &self.settings, peer).await?;
                Ok(Answer::Findings { findings })
            }
        }
    }
}

impl Service for Discovery {
    type Settings = Settings;

    fn open(context: Context, settings: Settings) -> Result<Self, ServiceError> {
        let (profile, stage) = (watch::Sender::new(robot_profile()), watch::Sender::new(Stage::Present));
        let (table, foreign) = (TableCache::default(), ForeignRobots::new(settings.foreign()));
        let salt = match salt(&context) {
            Ok(salt) => Some(salt),
            Err(error) => {
                tracing::warn!(%error, "the salt cannot be stored, so no tag of this host is stated");
                None
            }
        };
        Ok(Self { context, settings, salt, profile, stage, table, foreign })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        tokio::select! {
            ended = self.state_facts() => ended,
            never = self.follow_foreign() => match never {},
        }
    }

    async fn close(&self) {
        let mut stage = self.stage.subscribe();
        self.stage.send_replace(Stage::Leaving);
        // The sender is in `self`, so waiting cannot fail.
        let _ = stage.wait_for(|stage| *stage == Stage::Left).await;
    }
}

impl Discovery {
    /// States the facts about this node, and withdraws its presence when the daemon stops.
    async fn state_facts(&self) -> Result<Infallible, ServiceError> {
        let mut facts = self.context.facts.clone();
        let swarm = self.context.swarm.clone();
        let (mut copied, mut stage) = (swarm.is_copied(), self.stage.subscribe());
        let mut announcer = Announcer::new(swarm.me(), facts.borrow_and_update().clone());
        announcer.set_profile(self.profile.borrow().clone());
        announcer.set_privacy(Privacy { share: self.settings.share_profile, salt: self.salt });
        // No record triggers a decision, since statements of other peers do not change the claims of this node.
        let mut decisions = DecisionLoop::new(swarm, announcer, |_| false, GATHER);
        let mut files_read = Instant::now();
        loop {
            decisions.decide().await?;
            let hostname = facts.borrow().hostname.clone();
            tokio::select! {
                () = leaving(&mut stage) => break,
                Ok(()) = facts.changed() => sleep(GATHER).await,
                Ok(()) = copied.changed() => {}
                () = sleep_until(files_read + READ_FILES) => {}
                () = decisions.changed() => {}
            }
            if facts.borrow().hostname != hostname || files_read.elapsed() >= READ_FILES {
                files_read = Instant::now();
                self.read_files().await;
            }
            let mut announcer = decisions.decider();
            announcer.set_facts(facts.borrow_and_update().clone());
            announcer.set_copied(*copied.borrow_and_update());
            announcer.set_profile(self.profile.borrow().clone());
        }
        decisions.decider().leave();
        decisions.decide().await?;
        sleep(LAST_COPIES).await;
        self.stage.send_replace(Stage::Left);
        // The daemon is stopping and drops this future.
        std::future::pending().await
    }

    /// Finds robots without dt-swarm, and tells them the facts about this robot.
    async fn follow_foreign(&self) -> Infallible {
        let (mut facts, mut profile) = (self.context.facts.clone(), self.profile.subscribe());
        let told = watch::Sender::new(foreign::Profile::default());
        let follow = async {
            loop {
                let known = profile.borrow_and_update().clone();
                let name = facts.borrow_and_update().hostname.clone();
                let privacy = Privacy { share: self.settings.share_profile, salt: None };
                // Strangers on the network hear multicast DNS, whatever the swarm is.
                let shared = privacy.stated(&known, true);
                let Profile { robot_type, configuration, hardware, .. } = known;
                // A swarm with a key hides the peer IDs of its robots from hosts without the key.
                let own = match &*facts.borrow() {
                    LocalFacts { has_key: false, lines, .. } if self.settings.publish_service => {
                        lines.first().map(SocketAddr::port)
                    }
                    _ => None,
                };
                let own = own.map(|port| OwnService { peer: self.context.swarm.me(), port, shared });
                let now = foreign::Profile { name, robot_type, configuration, hardware, own };
                // A change withdraws the former records, so a profile that stays the same is not told again.
                told.send_if_modified(|told| std::mem::replace(told, now.clone()) != now);
                tokio::select! {
                    Ok(()) = facts.changed() => {}
                    Ok(()) = profile.changed() => {}
                    else => std::future::pending().await,
                }
            }
        };
        let greet = async {
            let mut nearby = self.foreign.nearby();
            loop {
                self.context.nearby.send_replace(nearby.borrow_and_update().clone());
                if nearby.changed().await.is_err() {
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            never = self.foreign.run(&self.context, told.subscribe()) => never,
            never = follow => never,
            never = greet => never,
            never = self.watch_for_neighbours() => never,
        }
    }

    /// Looks whether neighbours are heard, often at the start and rarely later.
    async fn watch_for_neighbours(&self) -> Infallible {
        for pause in FIRST_LOOKS.into_iter().chain(std::iter::repeat(LOOK_FOR_NEIGHBOURS)) {
            sleep(pause).await;
            let heard = self.context.swarm.ask(|brain, now| {
                let mut all = brain.sightings(now).into_iter();
                all.any(|seen| seen.reach == Reach::Lan && seen.age <= HEARD_HERE)
            });
            match heard.await {
                Ok(is_heard) => self.foreign.set_alone(!is_heard),
                // The daemon is stopping and drops this future.
                Err(Stopped) => break,
            }
        }
        std::future::pending().await
    }

    /// Reads the robot files again. If reading fails, the former profile stays.
    async fn read_files(&self) {
        if let Ok(profile) = tokio::task::spawn_blocking(robot_profile).await {
            self.profile.send_if_modified(|known| {
                let is_new = *known != profile;
                *known = profile;
                is_new
            });
        }
    }

    /// Returns the page of the table of robots after the first `from` rows.
    async fn robots(&self, from: usize, is_brief: bool) -> Result<Vec<Robot>, Stopped> {
        let page = || self.table.page(from, is_brief);
        let kept = if from == 0 { None } else { page() };
        match kept {
            Some(page) => Ok(page),
            None => {
                let rows = self.rows().await?;
                let first = self.table.put(rows, is_brief);
                if from == 0 { Ok(first) } else { Ok(page().unwrap_or_default()) }
            }
        }
    }

    /// Makes the table of robots.
    pub(crate) async fn rows(&self) -> Result<Vec<Robot>, Stopped> {
        let swarm = &self.context.swarm;
        let (me, is_copied, foreign) = (swarm.me(), *swarm.is_copied().borrow(), self.foreign.list());
        self.foreign.ask();
        let is_near = foreign::near(&self.context.facts.borrow().lines);
        let rows = swarm.ask(move |brain, now| {
            let sightings = brain.sightings(now).into_iter().map(|seen| Sighting {
                peer: seen.peer,
                channel: seen.channel,
                // Where broadcasts are filtered, neighbours send by unicast, each on a channel of its own.
                is_on_network: seen.reach == Reach::Lan
                    || seen.is_source && seen.address.is_some_and(|address| is_near(address.ip())),
                address: seen.address,
                age: seen.age,
            });
            let around = Surroundings { me, is_copied, sightings: sightings.collect(), foreign };
            rows(brain.set(), now.moment.time, &around)
        });
        rows.await
    }
}

/// Reason why there is no salt for tags.
#[derive(Debug, thiserror::Error)]
enum SaltError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("the system provides no random bytes")]
    Random,
}

/// Returns the salt of the tags that strangers see. Makes a new one at the first start with an identity. This call
/// blocks.
fn salt(context: &Context) -> Result<Salt, SaltError> {
    let (table, key) = (context.table::<String, Salt>("salt"), context.swarm.me().to_string());
    if let Some(salt) = table.read(&key)? {
        return Ok(salt);
    }
    let mut bytes = [0; SALT_BYTES];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|_| SaltError::Random)?;
    let salt = Salt(bytes);
    table.write(&[(key, Some(salt))])?;
    Ok(salt)
}

/// Waits until the daemon stops.
async fn leaving(stage: &mut watch::Receiver<Stage>) {
    // The sender is in the service, so waiting cannot fail.
    let _ = stage.wait_for(|stage| *stage != Stage::Present).await;
}

/// Reads the profile of this robot. This call blocks.
fn robot_profile() -> Profile {
    read_profile(Path::new("/"), |name| std::env::var(name).ok())
}
