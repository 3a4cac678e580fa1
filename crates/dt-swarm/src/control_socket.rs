//! What the local CLI asks of this daemon.

use crate::membership::{Membership, MembershipError};
use crate::routes::{Routes, RoutesError};
use crate::shelf::Shelf;
use brain::{Brain, Now};
use control::{
    Answer, Door, DoorError, Ending, Failure, FailureKind, Intent, Learned, Outcome, Prepared, Request,
    SignedWord, Standing, Status, Word,
};
use dcache::{Item, Key, Kind, Moment, NotAllowed, PeerId, Record, Set, Statements, SwarmFile, Time};
use routing::Address;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use swarm::{SayError, Stopped, Swarm};
use tokio::sync::{Mutex, watch};
use transfers::{BookError, Downloads, Rates};

/// The most peers that are named because they say otherwise.
const MAX_OTHERS: usize = 8;

/// Who wants to say what.
type Wanted = (PeerId, Kind, Item);

/// Whoever answers at the socket. A clone is the same.
#[derive(Clone)]
pub(crate) struct Control {
    swarm: Swarm,
    membership: Arc<Mutex<Membership>>,
    /// Tells the rest of the daemon of which swarm it is.
    told: watch::Sender<Option<SwarmFile>>,
    routes: Routes,
    downloads: Downloads,
    rates: Rates,
    shelf: Shelf,
}

/// Why the socket is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error("the control socket takes no connections: {0}")]
    Accept(#[from] std::io::Error),
}

impl Control {
    pub(crate) fn new(
        swarm: Swarm,
        membership: Membership,
        told: watch::Sender<Option<SwarmFile>>,
        routes: Routes,
        (downloads, rates): (Downloads, Rates),
        shelf: Shelf,
    ) -> Self {
        Self { swarm, membership: Arc::new(Mutex::new(membership)), told, routes, downloads, rates, shelf }
    }

    /// Serves the socket at `path` until it is dropped.
    pub(crate) async fn serve(self, path: PathBuf) -> Result<Infallible, ControlError> {
        let door = Door::open(&path)?;
        let answer = move |request| {
            let control = self.clone();
            async move { control.answer(request).await }
        };
        Ok(control::serve(door, answer).await?)
    }

    async fn answer(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Status {} => self.status().await,
            Request::Say { words, anyway } => self.say(words, anyway).await,
            Request::Prepare { signer, intents } => self.prepare(signer, intents).await,
            Request::Admit { records, anyway } => self.admit(records, anyway).await,
            Request::Join { swarm } => self.change(|membership| membership.join(swarm)).await,
            Request::Leave {} => self.change(Membership::leave).await,
            Request::Routes {} => self.swarm.ask(routes).await.map_err(stopped),
            Request::AddRoute { rule } => self.routes.add(rule).await.map(done).map_err(unrouted),
            Request::RemoveRoute { rule } => self.routes.remove(&rule).await.map(done).map_err(unrouted),
            Request::Explain { address } => {
                self.swarm.ask(move |brain, now| explain(brain, now, &address)).await.map_err(stopped)
            }
            Request::Add { path, copy } => self.shelf.add(path.into(), copy),
            Request::Pin { cid } => self.shelf.pin(&cid),
            Request::Look { work } => self.shelf.look(work).await,
            Request::Unpin { cid } => self.shelf.unpin(&cid).await,
            Request::CollectGarbage {} => self.shelf.collect_garbage().await,
            Request::Storage {} => self.shelf.storage().await,
            Request::Pins { from } => self.shelf.pins(from).await,
            Request::Files { from } => self.shelf.files(from).await,
            other => self.answer_of_transfers(other).await,
        }
    }

    async fn answer_of_transfers(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Fetch(order) => self.downloads.order(order).await,
            Request::Download { number } => self.downloads.show(number),
            Request::Transfers {} => Ok(self.downloads.show_all()),
            Request::Cancel { download } => self.downloads.cancel(&download).await,
            Request::Read { number, offset } => self.downloads.read(number, offset).await,
            Request::Collected { number } => self.downloads.collected(number).await,
            Request::SetLimits(limits) => {
                self.rates.set(limits).await.map_err(unwritten)?;
                self.limits().await
            }
            Request::Limits {} => self.limits().await,
            _ => Err(Failure::new(FailureKind::Wrong, "nobody here answers that")),
        }
    }

    async fn limits(&self) -> Result<Answer, Failure> {
        let (now, set) = self.rates.show().await;
        Ok(Answer::Limits { now, set })
    }

    async fn status(&self) -> Result<Answer, Failure> {
        let now = self.swarm.read_at(|_, now| now).await.map_err(stopped)?;
        let swarm = self.membership.lock().await.text().map(str::to_owned);
        Ok(Answer::Status(Status {
            peer: self.swarm.me(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            swarm,
            time: now.time,
            is_time_certain: now.is_certain,
        }))
    }

    async fn say(&self, words: Vec<Word>, anyway: bool) -> Result<Answer, Failure> {
        let me = self.swarm.me();
        let wanted: Vec<Wanted> =
            words.iter().map(|word| (me, word.0.kind(), word.0.item().clone())).collect();
        self.check(wanted.clone(), anyway).await?;
        let mut statements = Statements::new();
        for Word(statement) in words {
            let (item, validity) = (statement.item().clone(), *statement.validity());
            match statement.kind() {
                Kind::Propose => statements.propose(item, validity),
                Kind::Dismiss => statements.dismiss(item, validity),
            };
        }
        self.swarm.say(statements).await.map_err(unsaid)?;
        self.said(wanted).await
    }

    async fn admit(&self, records: Vec<SignedWord>, anyway: bool) -> Result<Answer, Failure> {
        let verify = |record: SignedWord| Record::verify(record.payload.0, record.signature);
        let records: Vec<Record> = records
            .into_iter()
            .map(verify)
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::new(FailureKind::Refused, error))?;
        let wanted = |record: &Record| (record.signer(), record.kind(), record.item().clone());
        let wanted: Vec<Wanted> = records.iter().map(wanted).collect();
        self.check(wanted.clone(), anyway).await?;
        self.swarm.carry(records).await.map_err(unsaid)?;
        self.said(wanted).await
    }

    /// Whether all of this would count now.
    async fn check(&self, wanted: Vec<Wanted>, anyway: bool) -> Result<(), Failure> {
        if anyway {
            return Ok(());
        }
        let may = move |set: &Set, now: Moment| -> Result<(), NotAllowed> {
            wanted.iter().try_for_each(|(signer, kind, item)| set.may(*kind, item, *signer, now.time))
        };
        let allowed = self.swarm.read_at(may).await.map_err(stopped)?;
        allowed.map_err(|reason| Failure::new(FailureKind::NotAllowed, reason))
    }

    async fn said(&self, wanted: Vec<Wanted>) -> Result<Answer, Failure> {
        let read = move |set: &Set, now: Moment| {
            let outcome = |(_, kind, item): &Wanted| outcome(set, now.time, *kind, item);
            wanted.iter().map(outcome).collect()
        };
        let outcomes = self.swarm.read_at(read).await.map_err(stopped)?;
        Ok(Answer::Said { outcomes })
    }

    async fn prepare(&self, signer: Option<PeerId>, intents: Vec<Intent>) -> Result<Answer, Failure> {
        let signer = signer.unwrap_or_else(|| self.swarm.me());
        let read = move |set: &Set, now: Moment| prepare(set, now, signer, &intents);
        self.swarm.read_at(read).await.map(Answer::Prepared).map_err(stopped)
    }

    /// Changes the swarm to which this node belongs. Whoever asks at the same time waits.
    async fn change(
        &self,
        change: impl FnOnce(&mut Membership) -> Result<(), MembershipError> + Send + 'static,
    ) -> Result<Answer, Failure> {
        let control = self.clone();
        // Once begun, the change is finished whatever happens to the connection: file and policy change together.
        let changed = tokio::spawn(async move { control.change_wholly(change).await }).await;
        changed.map_err(|_| Failure::new(FailureKind::Disk, "the change failed"))?
    }

    async fn change_wholly(
        self,
        change: impl FnOnce(&mut Membership) -> Result<(), MembershipError> + Send + 'static,
    ) -> Result<Answer, Failure> {
        let mut membership = self.membership.clone().lock_owned().await;
        // The disk may take its time.
        let changed = tokio::task::spawn_blocking(move || change(&mut membership).map(|()| membership));
        let membership = changed.await.map_err(|_| Failure::new(FailureKind::Disk, "the change failed"))?;
        let membership = membership.map_err(unchanged)?;
        tracing::info!(swarm = membership.name().unwrap_or("the open one"), "the swarm of this node changed");
        self.swarm.adopt(membership.policy()).await.map_err(stopped)?;
        self.told.send_replace(membership.file().cloned());
        Ok(Answer::Done {})
    }
}

fn done((): ()) -> Answer {
    Answer::Done {}
}

fn routes(brain: &Brain, now: Now) -> Answer {
    let learned = |route: routing::LearnedRoute| Learned {
        peer: route.peer,
        via: route.via,
        cost: route.cost,
        seconds: route.age,
    };
    let table = brain.table();
    Answer::Routes {
        rules: table.rules().to_vec(),
        learned: table.learned(now.elapsed).map(learned).collect(),
        paths: brain.paths().cloned().collect(),
        forwards: brain.forwards(),
    }
}

fn explain(brain: &Brain, now: Now, address: &Address) -> Answer {
    let explanation = brain.table().explain(address, now.elapsed);
    let last = brain.explain_way(&explanation);
    let words = format!("{explanation}\n{last}");
    let steps = serde_json::to_value(&explanation).unwrap_or_default();
    Answer::Explained { words, steps, last }
}

fn unrouted(error: RoutesError) -> Failure {
    let kind = match &error {
        RoutesError::Write(..) => FailureKind::Disk,
        RoutesError::Stopped(_) => FailureKind::Stopped,
        RoutesError::Table(_) | RoutesError::Absent(_) | RoutesError::Configured => FailureKind::Wrong,
    };
    Failure::new(kind, error)
}

fn outcome(set: &Set, now: Time, said: Kind, item: &Item) -> Outcome {
    let says_otherwise = |record: &&Record| {
        let counts = || set.may(record.kind(), item, record.signer(), now).is_ok();
        record.kind() != said && record.validity().contains(now) && counts()
    };
    let others = set.records_about(item).iter().filter(says_otherwise).map(Record::signer);
    Outcome { is_in_bucket: set.item(item, now).is_some(), others: others.take(MAX_OTHERS).collect() }
}

fn prepare(set: &Set, now: Moment, signer: PeerId, intents: &[Intent]) -> Prepared {
    let standing = |intent: &Intent| {
        let item = intent.item();
        let proposals = set.records_about(&item).iter().filter(|record| record.kind() == Kind::Propose);
        let ends = proposals.map(|record| record.validity().end()).filter(|end| !end.is_over(now.time));
        let former = set.get(&Key { item: item.clone(), signer }).map(Record::keep);
        Standing {
            former: former.map(|end| Ending { at: end.time() }),
            proposed: ends.max().map(|end| Ending { at: end.time() }),
        }
    };
    Prepared {
        signer,
        sequence: set.latest_sequence(signer),
        time: now.time,
        is_time_certain: now.is_certain,
        standings: intents.iter().map(standing).collect(),
    }
}

fn unwritten(error: BookError) -> Failure {
    Failure::new(FailureKind::Disk, error)
}

fn stopped(error: Stopped) -> Failure {
    Failure::new(FailureKind::Stopped, error)
}

fn unsaid(error: SayError) -> Failure {
    let kind = match &error {
        SayError::Statement(_) => FailureKind::Wrong,
        SayError::Disk(_) => FailureKind::Disk,
        SayError::Refused(_) | SayError::Outlasted => FailureKind::Refused,
        SayError::Stopped(_) => FailureKind::Stopped,
    };
    Failure::new(kind, error)
}

fn unchanged(error: MembershipError) -> Failure {
    let kind = match &error {
        MembershipError::Read(..) | MembershipError::Write(..) => FailureKind::Disk,
        MembershipError::Open
        | MembershipError::Named(_)
        | MembershipError::NoSwarm(_)
        | MembershipError::Wrong(..) => FailureKind::Wrong,
    };
    Failure::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, End, Keypair, Statement, Validity};

    const NOW: Time = Time(1_800_000_000);

    fn item() -> Item {
        Item { bucket: "share/notes".parse().unwrap(), data: Data::new("a").unwrap() }
    }

    fn peer(seed: u8) -> PeerId {
        Keypair::from_seed([seed; 32]).peer_id()
    }

    fn set(words: &[(u8, Kind, u64)]) -> Set {
        let mut set = Set::default();
        for (seed, kind, seconds) in words {
            let statement = Statement::new(*kind, item(), Validity::starting(NOW, *seconds)).unwrap();
            let record = Record::sign(statement, &Keypair::from_seed([*seed; 32]), 7, End::default());
            set.admit_verified(record, NOW).unwrap();
        }
        set
    }

    fn prepared(set: &Set, signer: u8, after: u64) -> Prepared {
        let Item { bucket, data } = item();
        let now = Moment::certain(NOW.plus(after));
        prepare(set, now, peer(signer), &[Intent { kind: Kind::Dismiss, bucket, data }])
    }

    #[test]
    fn a_signer_is_told_what_it_has_to_know() {
        let at = |seconds| Some(Ending { at: Some(NOW.plus(seconds)) });
        let set = set(&[(1, Kind::Propose, 100), (2, Kind::Propose, 50), (3, Kind::Dismiss, 500)]);
        let first = prepared(&set, 1, 0);
        assert_eq!((first.signer, first.sequence, first.time), (peer(1), 7, NOW));
        assert_eq!(first.standings, [Standing { former: at(100), proposed: at(100) }]);
        let stranger = prepared(&set, 9, 0);
        assert_eq!(stranger.sequence, 0);
        assert_eq!(stranger.standings, [Standing { former: None, proposed: at(100) }]);
        let later = prepared(&set, 3, 200);
        assert_eq!(later.standings, [Standing { former: at(500), proposed: None }], "a dismissal is none");
    }

    #[test]
    fn who_says_otherwise_is_named() {
        let set = set(&[(1, Kind::Propose, 100), (2, Kind::Dismiss, 50)]);
        let against = |said, after| outcome(&set, NOW.plus(after), said, &item());
        assert_eq!(against(Kind::Propose, 0), Outcome { is_in_bucket: false, others: vec![peer(2)] });
        assert_eq!(against(Kind::Propose, 60), Outcome { is_in_bucket: true, others: vec![] });
        assert_eq!(against(Kind::Dismiss, 60), Outcome { is_in_bucket: true, others: vec![peer(1)] });
    }
}
