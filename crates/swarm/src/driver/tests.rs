mod binding;

use super::*;
use crate::{Stopped, system_clock};
use dcache::{Data, Item, Statements, Validity};
use std::time::Duration;
use store::{Fault, Faults, Store};

const DEADLINE: Duration = Duration::from_secs(20);

fn item(data: &str) -> Item {
    Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() }
}

fn proposal(data: &str, from: Time) -> Statements {
    let mut statements = Statements::new();
    statements.propose(item(data), Validity::starting(from, 3600));
    statements
}

/// One run of a driver, from its start to its end.
struct Life {
    swarm: Swarm,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), DriverError>>,
    reports: mpsc::Sender<ChannelEvent>,
}

impl Life {
    fn begin(file: &std::path::Path) -> Self {
        Self::on_disk(file, Faults::default())
    }

    fn on_disk(file: &std::path::Path, faults: Faults) -> Self {
        Self::by_clock(file, faults, system_clock)
    }

    fn by_clock(file: &std::path::Path, faults: Faults, wall_clock: fn() -> Time) -> Self {
        Self::in_swarm(file, faults, wall_clock, Policy::default())
    }

    fn in_swarm(file: &std::path::Path, faults: Faults, wall_clock: fn() -> Time, policy: Policy) -> Self {
        let store = Arc::new(Store::open_with_faults(file, faults).unwrap().0);
        let keypair = Keypair::from_seed([1; 32]);
        let settings = Settings::default();
        let (driver, swarm) = Driver::new(Setup {
            keypair,
            store,
            policy,
            routing: Routing::default(),
            wall_clock,
            is_clock_set: |_| false,
            built: Time(1),
            settings,
            version: "test".into(),
            seed: 1,
            control_socket: None,
        });
        let (reports, events) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let (switchboard, stopped) = (Switchboard::new(reports.clone()), stop.clone());
        let task = tokio::spawn(async move { driver.run(events, switchboard, stopped).await });
        Self { swarm, stop, task, reports }
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.expect("the driver ends in time").unwrap().unwrap();
        assert_eq!(self.swarm.read(|_, now| now).await, Err(Stopped));
    }

    async fn sequence(&self) -> u64 {
        let me = self.swarm.me();
        self.swarm.read(move |set, _| set.latest_sequence(me)).await.unwrap()
    }
}

#[tokio::test]
async fn a_published_record_is_heard_read_and_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let life = Life::begin(&file);
    let mut changes = life.swarm.changes();
    let now = life.swarm.read(|_, now| now).await.unwrap();
    life.swarm.say(proposal("one", now)).await.unwrap();
    assert_eq!(changes.recv().await.unwrap().item(), &item("one"));
    let first = life.sequence().await;
    life.end().await;

    let life = Life::begin(&file);
    assert!(life.swarm.read(|set, now| set.item(&item("one"), now).is_some()).await.unwrap());
    life.swarm.say(proposal("two", now)).await.unwrap();
    assert_eq!(life.sequence().await, first + 1);
    life.end().await;
}

#[tokio::test]
async fn a_statement_that_the_set_refuses_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(&folder.path().join("records.redb"));
    let over = life.swarm.say(proposal("over", Time(1))).await;
    assert!(matches!(over, Err(SayError::Refused(Refusal::Expired))), "{over:?}");
    life.end().await;
}

#[tokio::test]
async fn either_all_or_none_of_several_statements_are_published() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(&folder.path().join("records.redb"));
    let now = life.swarm.read(|_, now| now).await.unwrap();
    let mut statements = proposal("good", now);
    statements.propose(item("for ever"), Validity::ALWAYS);
    let refused = life.swarm.say(statements).await;
    assert!(matches!(refused, Err(SayError::Refused(Refusal::Lifetime))), "{refused:?}");
    assert_eq!(life.swarm.read(|set, _| set.len()).await, Ok(0));
    life.end().await;
}

#[tokio::test]
async fn publishing_fails_while_the_disk_fails_and_works_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    for fault in [Fault::Full, Fault::Unsynced, Fault::Dead] {
        let faults = Faults::default();
        let life = Life::on_disk(&file, faults.clone());
        let mut changes = life.swarm.changes();
        let now = life.swarm.read(|_, now| now).await.unwrap();
        faults.begin(fault, 0);
        for _ in 0..3 {
            assert!(matches!(life.swarm.say(proposal("unsaid", now)).await, Err(SayError::Disk(_))));
        }
        faults.end();
        life.swarm.say(proposal("said", now)).await.unwrap();
        assert_eq!(changes.recv().await.unwrap().item(), &item("said"));
        life.end().await;

        let life = Life::begin(&file);
        let held = life.swarm.read(|set, _| set.len()).await.unwrap();
        assert_eq!(held, 1, "records that no peer received do not appear later, {fault:?}");
        life.end().await;
    }
}

#[tokio::test]
async fn the_driver_ends_although_the_disk_fails() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let life = Life::on_disk(&folder.path().join("records.redb"), faults.clone());
    let now = life.swarm.read(|_, now| now).await.unwrap();
    faults.begin(Fault::Dead, 0);
    assert!(matches!(life.swarm.say(proposal("unsaid", now)).await, Err(SayError::Disk(_))));
    life.end().await;
}

/// Returns a policy with peer 2 as its root.
fn policy() -> Policy {
    let roots = [Keypair::from_seed([2; 32]).peer_id()].into();
    dcache::SwarmFile::new("class", roots).unwrap().policy()
}

fn signed_by(seed: u8, item: Item, from: Time) -> Record {
    let statement =
        dcache::Statement::new(dcache::Kind::Propose, item, Validity::starting(from, 3600)).unwrap();
    Record::sign(statement, &Keypair::from_seed([seed; 32]), 1, dcache::End::default())
}

#[tokio::test]
async fn a_record_that_another_key_signed_is_carried_and_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let life = Life::begin(&file);
    let now = life.swarm.read(|_, now| now).await.unwrap();
    let record = signed_by(2, item("theirs"), now);
    life.swarm.carry(vec![record.clone()]).await.unwrap();
    let over = life.swarm.carry(vec![signed_by(2, item("over"), Time(1))]).await;
    assert!(matches!(over, Err(SayError::Refused(Refusal::Expired))), "{over:?}");
    life.end().await;

    let life = Life::begin(&file);
    let held = life.swarm.read(|set, _| set.records().cloned().collect::<Vec<_>>()).await.unwrap();
    assert_eq!(held, [record]);
    life.end().await;
}

#[tokio::test]
async fn a_new_policy_applies_at_once_and_services_omit_statements_without_effect() {
    let folder = tempfile::tempdir().unwrap();
    let life = Life::begin(&folder.path().join("records.redb"));
    let now = life.swarm.read(|_, now| now).await.unwrap();
    let verified = Item { bucket: "share/verified".parse().unwrap(), ..item("cid") };
    let mut statements = Statements::new();
    statements.propose(verified.clone(), Validity::starting(now, 3600));
    life.swarm.say_what_counts(statements.clone()).await.unwrap();
    let asked = verified.clone();
    let counts = async |swarm: &Swarm| {
        let asked = asked.clone();
        swarm.read(move |set, now| (set.item(&asked, now).is_some(), set.len())).await.unwrap()
    };
    assert_eq!(counts(&life.swarm).await, (true, 1));
    life.swarm.adopt(policy()).await.unwrap();
    assert_eq!(counts(&life.swarm).await, (false, 1));
    let mut more = proposal("cid", now);
    more.append(statements);
    life.swarm.say_what_counts(more).await.unwrap();
    assert_eq!(counts(&life.swarm).await, (false, 2), "only the statement that has an effect was published");
    let sequence = life.sequence().await;
    assert_eq!(
        life.swarm.read(|set, _| set.records().map(|one| one.signature().sequence).min()).await,
        Ok(Some(sequence - 1))
    );
    life.end().await;
}

#[tokio::test]
async fn a_node_whose_clock_shows_1970_uses_its_saved_time_and_accepts_no_new_roles() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let saved = Time(1_800_000_000);
    let store = Store::open(&file).unwrap().0;
    let root = Keypair::from_seed([2; 32]).peer_id();
    store.write(&store::Batch { sequence: Some(5), time: Some(saved), ..store::Batch::default() }).unwrap();
    drop(store);
    let life = Life::by_clock(&file, Faults::default(), || Time(100));
    let moment = life.swarm.read_at(|_, now| now).await.unwrap();
    assert!(!moment.is_certain && moment.time >= saved && moment.time < saved.plus(60), "{moment:?}");
    life.swarm.adopt(policy()).await.unwrap();
    let grant =
        Item { bucket: "admin".parse().unwrap(), data: Data::new(&life.swarm.me().to_string()).unwrap() };
    life.swarm.carry(vec![signed_by(2, grant, saved)]).await.unwrap();
    let me = life.swarm.me();
    let roles = life.swarm.read(move |set, now| (set.len(), set.role(me, now), set.role(root, now)));
    assert_eq!(roles.await, Ok((1, None, Some(dcache::Role::Root))));
    life.end().await;
}

#[tokio::test]
async fn a_role_received_while_the_time_is_unknown_has_no_effect_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let saved = Time(1_800_000_000);
    let store = Store::open(&file).unwrap().0;
    store.write(&store::Batch { sequence: Some(5), time: Some(saved), ..store::Batch::default() }).unwrap();
    drop(store);
    let admin = Keypair::from_seed([3; 32]).peer_id();
    let data = Data::new(&admin.to_string()).unwrap();
    let grant = signed_by(2, Item { bucket: "admin".parse().unwrap(), data }, saved);
    let from = routing::Address::brain(Keypair::from_seed([9; 32]).peer_id());
    let line = routing::Envelope::record(from, routing::Address::every_brain(), &grant);
    for is_heard in [true, false] {
        let life = Life::in_swarm(&file, Faults::default(), || Time(100), policy());
        if is_heard {
            let mut changes = life.swarm.changes();
            let channel = routing::ChannelId(7);
            let medium = routing::Medium::Link { dialled: None, is_kept: false };
            life.reports.send(ChannelEvent::Up { channel, medium }).await.unwrap();
            let heard = ChannelEvent::Received {
                channel,
                source: None,
                envelope: line.clone(),
                bytes: 0,
                reaches_all: true,
            };
            life.reports.send(heard).await.unwrap();
            tokio::time::timeout(DEADLINE, changes.recv()).await.unwrap().unwrap();
        }
        let role = life.swarm.read(move |set, now| (set.len(), set.role(admin, now)));
        assert_eq!(role.await, Ok((usize::from(is_heard), None)));
        life.end().await;
    }
}

/// Makes a peer send this record to the node.
async fn bring(life: &Life, record: &Record) {
    let from = routing::Address::brain(Keypair::from_seed([9; 32]).peer_id());
    let envelope = routing::Envelope::record(from, routing::Address::every_brain(), record);
    let channel = routing::ChannelId(7);
    let medium = routing::Medium::Link { dialled: None, is_kept: false };
    life.reports.send(ChannelEvent::Up { channel, medium }).await.unwrap();
    let heard = ChannelEvent::Received { channel, source: None, envelope, bytes: 0, reaches_all: true };
    life.reports.send(heard).await.unwrap();
}

/// Returns the codes of the faults that a node reports.
async fn faults_of(life: &Life) -> Vec<String> {
    let status = life.swarm.ask(|brain, now| brain.status(now)).await.unwrap();
    status.troubles.into_iter().map(|trouble| trouble.code).collect()
}

#[tokio::test]
async fn a_record_that_another_host_signs_with_this_nodes_key_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records.redb");
    // A node without a stored sequence number first learns from the swarm which numbers it has used. The first run
    // stores a number, so the second run knows them.
    let life = Life::begin(&path);
    let now = life.swarm.read(|_, now| now).await.unwrap();
    life.swarm.say(proposal("of the life before", now)).await.unwrap();
    life.end().await;
    let life = Life::begin(&path);
    let (mut copied, mut changes) = (life.swarm.is_copied(), life.swarm.changes());
    let now = life.swarm.read(|_, now| now).await.unwrap();
    life.swarm.say(proposal("own", now)).await.unwrap();
    let own = changes.recv().await.unwrap();
    bring(&life, &own).await;
    bring(&life, &signed_by(1, item("before the store was lost"), Time(now.0 - 60))).await;
    while changes.recv().await.unwrap().item() != &item("before the store was lost") {}
    assert_eq!((*copied.borrow(), faults_of(&life).await), (false, Vec::new()));
    let elsewhere =
        dcache::Statement::new(dcache::Kind::Propose, item("elsewhere"), Validity::starting(now, 3600));
    let key = Keypair::from_seed([1; 32]);
    bring(&life, &Record::sign(elsewhere.unwrap(), &key, 1 << 40, dcache::End::default())).await;
    tokio::time::timeout(DEADLINE, copied.wait_for(|is_copied| *is_copied)).await.unwrap().unwrap();
    assert_eq!(faults_of(&life).await, ["identity.copied"]);
    life.end().await;
}

/// A clock that a test sets.
static WALL: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

fn set_wall(time: u64) {
    WALL.store(time, std::sync::atomic::Ordering::SeqCst);
}

fn wall() -> Time {
    Time(WALL.load(std::sync::atomic::Ordering::SeqCst))
}

#[tokio::test]
async fn a_node_that_published_in_2040_can_publish_after_its_clock_is_set_right() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    set_wall(2_209_000_000);
    let life = Life::by_clock(&file, Faults::default(), wall);
    life.swarm.say(proposal("a", wall())).await.unwrap();
    set_wall(1_800_000_000);
    life.swarm.say(proposal("a", wall())).await.unwrap();
    life.end().await;
    let life = Life::by_clock(&file, Faults::default(), wall);
    life.swarm.say(proposal("a", wall())).await.unwrap();
    life.end().await;
}

#[tokio::test]
async fn a_node_whose_clock_shows_1970_uses_its_neighbours_clocks_and_notifies_services() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let saved = Time(1_800_000_000);
    let store = Store::open(&file).unwrap().0;
    store.write(&store::Batch { sequence: Some(5), time: Some(saved), ..store::Batch::default() }).unwrap();
    drop(store);
    let life = Life::by_clock(&file, Faults::default(), || Time(100));
    assert!(!life.swarm.read_at(|_, now| now).await.unwrap().is_certain);
    let mut jumps = life.swarm.clock_sets();
    let real = saved.plus(30 * 86_400);
    let channel = routing::ChannelId(7);
    let medium = routing::Medium::Broadcast {
        name: "lan".to_owned(),
        at: None,
        line: None,
        capacity: routing::Capacity::LAN,
    };
    life.reports.send(ChannelEvent::Up { channel, medium }).await.unwrap();
    let from = routing::Address::brain(Keypair::from_seed([9; 32]).peer_id());
    let pong = routing::Message::pong(Validity::starting(real, 60));
    let envelope = routing::Envelope::new(from, routing::Address::every_brain(), pong);
    let source = Some("10.0.0.9:1240".parse().unwrap());
    life.reports
        .send(ChannelEvent::Received { channel, source, envelope, bytes: 0, reaches_all: true })
        .await
        .unwrap();
    let told = tokio::time::timeout(DEADLINE, jumps.changed()).await;
    told.expect("services are notified").unwrap();
    let moment = life.swarm.read_at(|_, now| now).await.unwrap();
    assert!(moment.time >= real && moment.time < real.plus(60) && !moment.is_certain, "{moment:?}");
    assert!(moment.settled < saved.plus(60), "the guessed time removes no record");
    life.end().await;

    let life = Life::by_clock(&file, Faults::default(), || Time(100));
    let moment = life.swarm.read_at(|_, now| now).await.unwrap();
    assert!(moment.time < saved.plus(60), "the guessed time is not saved: {moment:?}");
    life.end().await;
}
