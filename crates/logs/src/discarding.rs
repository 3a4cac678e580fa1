//! User requests to discard files, and to undo discards.

use crate::ledger::Ledger;
use crate::let_go::{LetGo, LetGoFiles, Reason};
use crate::protocol::{Answer, DiscardedFile, MAX_DISCARDS};
use crate::{buckets, reasons, removal};
use dcache::{Moment, NotAllowed, PeerId, Set, Statements};
use ipfs::Cid;
use service::{Failure, FailureKind};
use swarm::{SayError, Swarm};

/// Reason why a discard or its undoing is refused.
enum Objection {
    NotAllowed(NotAllowed),
    /// These peers undid a discard of the file before.
    Defended(Cid, Vec<PeerId>),
    /// No peer discarded the file, and this node did not let go of it.
    NothingToUndo(Cid),
}

/// Discards files in the whole swarm. This node renews its statements until a peer undoes them.
pub(crate) async fn discard(
    swarm: &Swarm,
    ledger: &Ledger,
    cids: &[String],
    reason: Option<String>,
) -> Result<Answer, Failure> {
    let cids = parse(cids)?;
    let (me, wanted, kept) = (swarm.me(), cids.clone(), ledger.kept());
    let read = move |set: &Set, now: Moment| {
        let mut statements = Statements::new();
        for cid in &wanted {
            // A discard by the uploader is valid even when other peers undid it.
            let is_own = kept.get(cid).is_some_and(|description| description.uploader == me);
            let defenders = removal::defenders(set, cid, me, now.time);
            if !defenders.is_empty() && !is_own {
                return Err(Objection::Defended(*cid, defenders.into_iter().collect()));
            }
            statements.append(removal::discard(set, cid, me, now.time));
            reasons::give(&mut statements, (set, me), cid, reason.as_deref(), now.time);
        }
        removal::check(&statements, set, me, now.time).map_err(Objection::NotAllowed)?;
        Ok((statements, now.time))
    };
    let (statements, time) = swarm.read_at(read).await?.map_err(Objection::failure)?;
    let row = |cid: &Cid| (*cid, LetGo { reason: Reason::Discarded, time });
    ledger.let_go(cids.iter().map(row).collect()).await.map_err(|error| disk(&error))?;
    swarm.say_what_counts(statements).await.map_err(unsaid)?;
    tracing::info!(files = cids.len(), "a user of this robot discarded files");
    Ok(Answer::Discarded { files: describe(&cids, ledger) })
}

/// Undoes discards of files by any peer. This node keeps the files again, for whatever reason it let go of them.
pub(crate) async fn undiscard(swarm: &Swarm, ledger: &Ledger, cids: &[String]) -> Result<Answer, Failure> {
    let cids = parse(cids)?;
    let (me, wanted, let_go) = (swarm.me(), cids.clone(), ledger.let_go_files());
    let read = move |set: &Set, now: Moment| undo(set, &wanted, &let_go, me, now);
    let statements = swarm.read_at(read).await?.map_err(Objection::failure)?;
    ledger.take_back(&cids).await.map_err(|error| disk(&error))?;
    swarm.say_what_counts(statements).await.map_err(unsaid)?;
    tracing::info!(files = cids.len(), "a user of this robot undid the discard of files");
    Ok(Answer::Discarded { files: describe(&cids, ledger) })
}

/// Returns the statements that undo the discards of these files.
fn undo(
    set: &Set,
    cids: &[Cid],
    let_go: &LetGoFiles,
    me: PeerId,
    now: Moment,
) -> Result<Statements, Objection> {
    let mut statements = Statements::new();
    for cid in cids {
        let of_file = removal::undiscard(set, cid, me, now.time);
        if of_file.is_empty() && !let_go.contains_key(cid) {
            return Err(Objection::NothingToUndo(*cid));
        }
        statements.append(of_file);
    }
    removal::check(&statements, set, me, now.time).map_err(Objection::NotAllowed)?;
    Ok(statements)
}

impl Objection {
    fn failure(self) -> Failure {
        match self {
            Self::NotAllowed(reason) => Failure::new(FailureKind::NotAllowed, reason),
            Self::Defended(cid, peers) => {
                let peers: Vec<String> = peers.iter().map(PeerId::to_string).collect();
                let peers = peers.join(", ");
                let message =
                    format!("{cid} was undiscarded by {peers}, so only these robots can discard it now");
                Failure::new(FailureKind::Refused, message)
            }
            Self::NothingToUndo(cid) => {
                let message = format!("{cid} is not discarded, and this robot did not let go of it");
                Failure::new(FailureKind::Wrong, message)
            }
        }
    }
}

fn parse(cids: &[String]) -> Result<Vec<Cid>, Failure> {
    if cids.len() > MAX_DISCARDS {
        let message =
            format!("one request can discard or undiscard at most {MAX_DISCARDS} files, not {}", cids.len());
        return Err(Failure::new(FailureKind::Wrong, message));
    }
    let wrong = |text| Failure::new(FailureKind::Wrong, format!("{text:?} is not the CID of a shared file"));
    cids.iter().map(|text| buckets::parse(text).ok_or_else(|| wrong(text))).collect()
}

/// Returns rows for the files, with the paths of those that are in a shared folder.
fn describe(cids: &[Cid], ledger: &Ledger) -> Vec<DiscardedFile> {
    let path = |cid: &Cid| Some(ledger.path_of(cid)?.to_string_lossy().into_owned());
    cids.iter().map(|cid| DiscardedFile { cid: cid.to_string(), path: path(cid) }).collect()
}

fn disk(error: &store::TableError) -> Failure {
    Failure::new(FailureKind::Disk, error)
}

fn unsaid(error: SayError) -> Failure {
    let kind = match &error {
        SayError::Stopped(_) => FailureKind::Stopped,
        SayError::Disk(_) => FailureKind::Disk,
        SayError::Statement(_) | SayError::Refused(_) | SayError::Outlasted | SayError::OtherSwarm => {
            FailureKind::Refused
        }
    };
    Failure::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::Station;
    use crate::index::tests::{NOW, cid, peer, say};
    use dcache::Kind;

    #[test]
    fn undoing_a_discard_that_does_not_exist_is_refused() {
        let mut set = Set::default();
        let undo = |set: &Set, let_go: &LetGoFiles| {
            undo(set, &[cid()], let_go, peer(1), Moment::certain(NOW))
                .map_err(|error| error.failure().message)
        };
        say(&mut set, 2, Kind::Propose, Station::Safe.item(&cid()), 200);
        let refused = undo(&set, &LetGoFiles::new()).unwrap_err();
        assert!(refused.contains("is not discarded"), "{refused}");
        let row = LetGo { reason: Reason::Unpinned, time: NOW };
        assert!(undo(&set, &LetGoFiles::from([(cid(), row)])).unwrap().is_empty(), "this node let go of it");
        say(&mut set, 2, Kind::Propose, Station::Discard.item(&cid()), 200);
        assert!(!undo(&set, &LetGoFiles::new()).unwrap().is_empty());
    }
}
