//! Handler of requests about the running swarm: signs and publishes statements, and changes the swarm of this node.

use crate::membership::{Membership, MembershipError};
use control::{Failure, FailureKind, Protocol};
use dcache::{Item, Key, Kind, Moment, NotAllowed, PeerId, Record, Set, Statements, SwarmFile, Time};
use logs::buckets::NoCid;
use service::Endpoint;
use std::sync::Arc;
use swarm::protocol::{
    Answer, Expiry, Intent, ItemHistory, Outcome, Prepared, Request, SignedStatement, StatementText, Status,
    SwarmProtocol,
};
use swarm::{SayError, Swarm};
use tokio::sync::{Mutex, watch};

/// Maximum number of peers in an [`Outcome`] that state the opposite of a published statement.
const MAX_OTHERS: usize = 8;

/// A signer, and the kind and the item of the statement that it intends to sign.
type Wanted = (PeerId, Kind, Item);

/// Handles requests about the running swarm. Clones refer to the same swarm.
#[derive(Clone)]
pub(crate) struct SwarmEndpoint {
    swarm: Swarm,
    membership: Arc<Mutex<Membership>>,
    /// The current swarm file, for the other parts of the daemon.
    current: watch::Sender<Option<SwarmFile>>,
}

impl Protocol for SwarmEndpoint {
    const NAME: &'static str = SwarmProtocol::NAME;
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for SwarmEndpoint {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Status {} => self.status().await,
            Request::Publish { statements, anyway } => self.publish(statements.into(), anyway).await,
            Request::Prepare { signer, intents } => self.prepare(signer, intents.into()).await,
            Request::Admit { records, anyway } => self.admit(records.into(), anyway).await,
            Request::Join { swarm } => self.change(|membership| membership.join(swarm)).await,
            Request::Leave {} => self.change(Membership::leave).await,
        }
    }
}

impl SwarmEndpoint {
    pub(crate) fn new(
        swarm: Swarm,
        membership: Membership,
        current: watch::Sender<Option<SwarmFile>>,
    ) -> Self {
        Self { swarm, membership: Arc::new(Mutex::new(membership)), current }
    }

    async fn status(&self) -> Result<Answer, Failure> {
        let now = self.swarm.read_at(|_, now| now).await?;
        let swarm = self.membership.lock().await.text().map(str::to_owned);
        Ok(Answer::Status(Status {
            peer: self.swarm.me(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            swarm,
            time: now.time,
            is_time_certain: now.is_certain,
        }))
    }

    async fn publish(&self, texts: Vec<StatementText>, anyway: bool) -> Result<Answer, Failure> {
        let me = self.swarm.me();
        let wanted: Vec<Wanted> =
            texts.iter().map(|text| (me, text.0.kind(), text.0.item().clone())).collect();
        self.check(wanted.clone(), anyway).await?;
        let mut statements = Statements::new();
        for StatementText(statement) in texts {
            let (item, validity) = (statement.item().clone(), *statement.validity());
            match statement.kind() {
                Kind::Propose => statements.propose(item, validity),
                Kind::Dismiss => statements.dismiss(item, validity),
            };
        }
        self.swarm.say(statements).await.map_err(publish_failure)?;
        self.outcomes(wanted).await
    }

    async fn admit(&self, records: Vec<SignedStatement>, anyway: bool) -> Result<Answer, Failure> {
        // The lock is held until the records are published: they must not be published in another swarm than the one in
        // which they were verified.
        let membership = self.membership.lock().await;
        let policy = membership.policy();
        let verify =
            |record: SignedStatement| Record::verify_for(&policy, record.payload.0, record.signature);
        let records: Vec<Record> = records
            .into_iter()
            .map(verify)
            .collect::<Result<_, _>>()
            .map_err(|error| Failure::new(FailureKind::Refused, error))?;
        let wanted = |record: &Record| (record.signer(), record.kind(), record.item().clone());
        let wanted: Vec<Wanted> = records.iter().map(wanted).collect();
        self.check(wanted.clone(), anyway).await?;
        self.swarm.carry(records).await.map_err(publish_failure)?;
        drop(membership);
        self.outcomes(wanted).await
    }

    /// Checks that all items have the form that their bucket requires. Unless `anyway` is set, also checks that all
    /// statements would count now.
    async fn check(&self, wanted: Vec<Wanted>, anyway: bool) -> Result<(), Failure> {
        let check = move |set: &Set, now: Moment| -> Result<(), Failure> {
            let form = |(_, kind, item): &Wanted| check_form(set, *kind, item);
            wanted.iter().try_for_each(form).map_err(|reason| Failure::new(FailureKind::Wrong, reason))?;
            let may = |(signer, kind, item): &Wanted| -> Result<(), NotAllowed> {
                if anyway { Ok(()) } else { set.may(*kind, item, *signer, now.time) }
            };
            wanted.iter().try_for_each(may).map_err(|reason| Failure::new(FailureKind::NotAllowed, reason))
        };
        self.swarm.read_at(check).await?
    }

    async fn outcomes(&self, wanted: Vec<Wanted>) -> Result<Answer, Failure> {
        let read = move |set: &Set, now: Moment| {
            let outcome = |(_, kind, item): &Wanted| outcome(set, now.time, *kind, item);
            wanted.iter().map(outcome).collect()
        };
        let outcomes = self.swarm.read_at(read).await?;
        Ok(Answer::Published { outcomes })
    }

    async fn prepare(&self, signer: Option<PeerId>, intents: Vec<Intent>) -> Result<Answer, Failure> {
        let signer = signer.unwrap_or_else(|| self.swarm.me());
        let read = move |set: &Set, now: Moment| prepare(set, now, signer, &intents);
        self.swarm.read_at(read).await.map(Answer::Prepared).map_err(Failure::from)
    }

    /// Changes the swarm to which this node belongs. Concurrent requests are handled one after the other.
    async fn change(
        &self,
        change: impl FnOnce(&mut Membership) -> Result<(), MembershipError> + Send + 'static,
    ) -> Result<Answer, Failure> {
        let endpoint = self.clone();
        // A separate task finishes the change even if the connection closes, so that the file and the policy always
        // agree.
        let changed = tokio::spawn(async move { endpoint.change_wholly(change).await }).await;
        changed.map_err(task_died)?
    }

    async fn change_wholly(
        self,
        change: impl FnOnce(&mut Membership) -> Result<(), MembershipError> + Send + 'static,
    ) -> Result<Answer, Failure> {
        let mut membership = self.membership.clone().lock_owned().await;
        // Writing to the disk may block.
        let changed = tokio::task::spawn_blocking(move || change(&mut membership).map(|()| membership));
        let membership = changed.await.map_err(task_died)?;
        let membership = membership.map_err(change_failure)?;
        tracing::info!(
            swarm = membership.name().unwrap_or("the open swarm"),
            "this node changed to another swarm, or to another version of its swarm file"
        );
        self.swarm.adopt(membership.policy()).await?;
        self.current.send_replace(membership.file().cloned());
        Ok(Answer::Done {})
    }
}

/// Checks that an item in a bucket of shared files is a CID. An item that is not a CID may only be dismissed, and only
/// if a peer proposes it.
fn check_form(set: &Set, kind: Kind, item: &Item) -> Result<(), NoCid> {
    let is_proposed = || set.records_about(item).iter().any(|record| record.kind() == Kind::Propose);
    match kind {
        Kind::Dismiss if is_proposed() => Ok(()),
        Kind::Propose | Kind::Dismiss => logs::buckets::check(item),
    }
}

fn outcome(set: &Set, now: Time, said: Kind, item: &Item) -> Outcome {
    let states_opposite = |record: &&Record| {
        let counts = || set.may(record.kind(), item, record.signer(), now).is_ok();
        record.kind() != said && record.validity().contains(now) && counts()
    };
    let others = set.records_about(item).iter().filter(states_opposite).map(Record::signer);
    Outcome { is_in_bucket: set.item(item, now).is_some(), others: others.take(MAX_OTHERS).collect() }
}

fn prepare(set: &Set, now: Moment, signer: PeerId, intents: &[Intent]) -> Prepared {
    let history = |intent: &Intent| {
        let item = intent.item();
        let proposals = set.records_about(&item).iter().filter(|record| record.kind() == Kind::Propose);
        let ends = proposals.map(|record| record.validity().end()).filter(|end| !end.is_over(now.time));
        let former = set.get(&Key { item: item.clone(), signer }).map(Record::keep);
        ItemHistory {
            former: former.map(|end| Expiry { at: end.time() }),
            proposed: ends.max().map(|end| Expiry { at: end.time() }),
        }
    };
    Prepared {
        signer,
        sequence: set.latest_sequence(signer),
        time: now.time,
        is_time_certain: now.is_certain,
        histories: intents.iter().map(history).collect(),
    }
}

fn task_died(_: tokio::task::JoinError) -> Failure {
    Failure::new(FailureKind::Disk, "the task that changes the membership died; try again")
}

fn publish_failure(error: SayError) -> Failure {
    let kind = match &error {
        SayError::Statement(_) => FailureKind::Wrong,
        SayError::Disk(_) => FailureKind::Disk,
        SayError::Refused(_) | SayError::Outlasted | SayError::OtherSwarm => FailureKind::Refused,
        SayError::Stopped(_) => FailureKind::Stopped,
    };
    Failure::new(kind, error)
}

fn change_failure(error: MembershipError) -> Failure {
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
    fn a_signer_gets_its_sequence_number_and_the_history_of_the_item() {
        let at = |seconds| Some(Expiry { at: Some(NOW.plus(seconds)) });
        let set = set(&[(1, Kind::Propose, 100), (2, Kind::Propose, 50), (3, Kind::Dismiss, 500)]);
        let first = prepared(&set, 1, 0);
        assert_eq!((first.signer, first.sequence, first.time), (peer(1), 7, NOW));
        assert_eq!(first.histories, [ItemHistory { former: at(100), proposed: at(100) }]);
        let stranger = prepared(&set, 9, 0);
        assert_eq!(stranger.sequence, 0);
        assert_eq!(stranger.histories, [ItemHistory { former: None, proposed: at(100) }]);
        let later = prepared(&set, 3, 200);
        assert_eq!(
            later.histories,
            [ItemHistory { former: at(500), proposed: None }],
            "a dismissal does not count as a proposal"
        );
    }

    #[test]
    fn a_text_that_is_not_a_cid_may_not_be_proposed_as_a_file_but_may_be_dismissed() {
        let mut set = Set::default();
        let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new("notes.txt").unwrap() };
        assert!(check_form(&set, Kind::Propose, &item).is_err());
        assert!(check_form(&set, Kind::Dismiss, &item).is_err());
        // A peer that runs an earlier version of dt-swarm, without this check, has proposed the item.
        let statement = Statement::new(Kind::Propose, item.clone(), Validity::starting(NOW, 100)).unwrap();
        let record = Record::sign(statement, &Keypair::from_seed([1; 32]), 7, End::default());
        set.admit_verified(record, NOW).unwrap();
        assert!(check_form(&set, Kind::Propose, &item).is_err());
        assert!(check_form(&set, Kind::Dismiss, &item).is_ok());
    }

    #[test]
    fn peers_that_state_the_opposite_are_named() {
        let set = set(&[(1, Kind::Propose, 100), (2, Kind::Dismiss, 50)]);
        let against = |said, after| outcome(&set, NOW.plus(after), said, &item());
        assert_eq!(against(Kind::Propose, 0), Outcome { is_in_bucket: false, others: vec![peer(2)] });
        assert_eq!(against(Kind::Propose, 60), Outcome { is_in_bucket: true, others: vec![] });
        assert_eq!(against(Kind::Dismiss, 60), Outcome { is_in_bucket: true, others: vec![peer(1)] });
    }
}
