//! Signs statements with the key of this robot or with a key file. The commands `propose`, `dismiss`, `replace`,
//! `grant` and `revoke` share this code.

use crate::context::Context;
use crate::error::CliError;
use crate::key_files;
use crate::output::fields::{PeerRef, TimeRange, Timestamp};
use crate::output::{Output, warn};
use crate::text::{clean, date, duration};
use crate::validity::{DefaultLength, HOUR, ValidityOptions};
use clap::Args;
use control::{Client, KeyFile};
use dcache::{BucketPath, Data, End, Item, Kind, PeerId, Policy, Record, Statement, Time};
use serde::Serialize;
use swarm::protocol::{
    Answer, Batch, Intent, ItemHistory, Outcome, Prepared, Request, StatementText, SwarmProtocol,
};

/// Maximum number of characters of an item's text in a message.
const MAX_DATA_SHOWN: usize = 120;

/// The item of `propose` and `dismiss`.
#[derive(Debug, Args)]
pub(crate) struct ItemArguments {
    /// The bucket, such as share/notes.
    bucket: BucketPath,
    /// The text of the item. If it begins with a dash, put -- before it.
    #[arg(value_parser = Data::new)]
    data: Data,
    #[command(flatten)]
    validity: ValidityOptions,
    #[command(flatten)]
    signing: SigningOptions,
}

/// The options that choose the signer, and that permit statements that do not count.
#[derive(Debug, Args)]
pub(crate) struct SigningOptions {
    /// Signs with this key file instead of the robot's key: its name, as `keys` shows it, or its path
    #[arg(long, value_name = "NAME|FILE")]
    key: Option<String>,
    /// Publishes the statement even if it does not count now. It counts as soon as the signer has the required role
    #[arg(long)]
    anyway: bool,
}

impl SigningOptions {
    /// Makes the options to sign with this key file, or with the robot's key if `key` is `None`.
    pub(crate) fn by(key: Option<String>) -> Self {
        Self { key, anyway: false }
    }

    /// Returns whether a key file signs.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Returns the peer that signs.
    pub(crate) fn signer(&self, context: &Context) -> Result<PeerId, CliError> {
        match &self.key {
            Some(key) => Ok(key_files::open(key)?.peer_id()),
            None => context.robot(),
        }
    }
}

/// A statement that is to be signed.
pub(crate) struct Unsigned<'a> {
    pub(crate) kind: Kind,
    pub(crate) item: Item,
    pub(crate) validity: &'a ValidityOptions,
    /// Length of the validity if no option sets it.
    pub(crate) default_length: DefaultLength,
}

/// The output of a command that signs statements.
#[derive(Debug, Serialize)]
pub(crate) struct Signed {
    /// The peer that signed.
    signer: PeerRef,
    /// The time of signing, by the clock of the robot.
    time: Timestamp,
    /// The signed statements, in the order of the command.
    statements: Vec<SignedStatement>,
}

/// A statement that was signed, and its effect.
#[derive(Debug, Serialize)]
struct SignedStatement {
    /// `propose` or `dismiss`.
    kind: Kind,
    /// The path of the bucket.
    bucket: String,
    /// The item's text.
    data: String,
    #[serde(flatten)]
    range: TimeRange,
    /// Whether the item is in its bucket now.
    is_in_bucket: bool,
    /// Some of the peers whose statement counts now and contradicts this one.
    opponents: Vec<PeerRef>,
}

/// Returns the length of the validity of a statement of this kind if no option sets it. A proposal is valid for an
/// hour. A dismissal is valid for as long as the item is proposed, but at least for an hour.
pub(crate) fn default_length(kind: Kind) -> DefaultLength {
    match kind {
        Kind::Propose => DefaultLength::Seconds(HOUR),
        Kind::Dismiss => DefaultLength::Until(Time::default()),
    }
}

impl ItemArguments {
    /// Returns the bucket.
    pub(crate) fn bucket(&self) -> &BucketPath {
        &self.bucket
    }

    /// Signs a statement of this kind about the item.
    pub(crate) fn sign(&self, context: &Context, kind: Kind) -> Result<Signed, CliError> {
        let item = Item { bucket: self.bucket.clone(), data: self.data.clone() };
        let default_length = default_length(kind);
        let statement = Unsigned { kind, item, validity: &self.validity, default_length };
        sign(context, vec![statement], &self.signing)
    }
}

/// Signs and publishes the statements in one request.
pub(crate) fn sign(
    context: &Context,
    statements: Vec<Unsigned<'_>>,
    options: &SigningOptions,
) -> Result<Signed, CliError> {
    let mut client = context.client()?;
    let key = options.key.as_deref().map(key_files::open).transpose()?;
    let intent = |statement: &Unsigned<'_>| {
        let Item { bucket, data } = statement.item.clone();
        Intent { kind: statement.kind, bucket, data }
    };
    let intents = statements.iter().map(intent).collect();
    let prepared = prepare(&mut client, key.as_ref(), intents)?;
    check_forms(&statements, &prepared)?;
    if !prepared.is_time_certain {
        warn(&format!(
            "this robot does not know the time; it uses {}, and the real time is later",
            date(prepared.time)
        ));
    }
    let statements = decide(statements, &prepared)?;
    let key = match key {
        Some(key) => Some((key, context.policy_and_key()?.0)),
        None => None,
    };
    let outcomes = publish(&mut client, key.as_ref(), statements.clone(), &prepared, options.anyway)?;
    let signed = statements.iter().zip(outcomes).map(|(one, outcome)| SignedStatement::new(one, outcome));
    Ok(Signed {
        signer: PeerRef::unnamed(prepared.signer),
        time: Timestamp(prepared.time),
        statements: signed.collect(),
    })
}

/// Checks that items in the buckets of shared files are CIDs. An item there that is not a CID may only be dismissed,
/// and only if a peer proposes it.
fn check_forms(statements: &[Unsigned<'_>], prepared: &Prepared) -> Result<(), CliError> {
    let mut both = statements.iter().zip(&prepared.histories);
    both.try_for_each(|(statement, history)| match statement.kind {
        Kind::Dismiss if history.proposed.is_some() => Ok(()),
        Kind::Propose | Kind::Dismiss => Ok(logs::buckets::check(&statement.item)?),
    })
}

fn decide(statements: Vec<Unsigned<'_>>, prepared: &Prepared) -> Result<Vec<Statement>, CliError> {
    let decide = |(unsigned, history): (Unsigned<'_>, &ItemHistory)| {
        let default_length = match (unsigned.default_length, history.proposed) {
            (DefaultLength::Until(_), Some(expiry)) => {
                expiry.at.map_or(DefaultLength::Forever, DefaultLength::Until)
            }
            (length, _) => length,
        };
        let validity = unsigned.validity.decide(prepared.time, default_length)?;
        Ok(Statement::new(unsigned.kind, unsigned.item, validity)?)
    };
    statements.into_iter().zip(&prepared.histories).map(decide).collect()
}

/// Asks the daemon to sign and publish the statements. With a key, signs the statements here, and asks the daemon to
/// publish the records.
fn publish(
    client: &mut Client,
    key: Option<&(KeyFile, Policy)>,
    statements: Vec<Statement>,
    prepared: &Prepared,
    anyway: bool,
) -> Result<Vec<Outcome>, CliError> {
    let Some((key, policy)) = key else {
        let statements = batch(statements.into_iter().map(StatementText).collect())?;
        return outcomes(client, &Request::Publish { statements, anyway });
    };
    let keep = |history: &ItemHistory| history.former.map_or(End::default(), |expiry| expiry.at.into());
    let kept = statements.into_iter().zip(prepared.histories.iter().map(keep)).collect();
    // Several computers may use copies of one key file, and do not know each other's sequence numbers. The numbers are
    // at least the present time, so they are higher than the earlier numbers of all copies.
    let records = key.sign(kept, prepared.sequence.max(prepared.time.0), policy)?;
    let signed = |record: &Record| swarm::protocol::SignedStatement {
        payload: StatementText(record.statement().clone()),
        signature: *record.signature(),
    };
    let records = batch(records.iter().map(signed).collect())?;
    outcomes(client, &Request::Admit { records, anyway })
}

/// Asks the daemon for its time, and for the sequence number and the earlier records of the signer.
fn prepare(client: &mut Client, key: Option<&KeyFile>, intents: Vec<Intent>) -> Result<Prepared, CliError> {
    let number = intents.len();
    let request = Request::Prepare { signer: key.map(KeyFile::peer_id), intents: batch(intents)? };
    match client.call::<SwarmProtocol>(&request)? {
        Answer::Prepared(prepared) if prepared.histories.len() == number => Ok(prepared),
        other => Err(client.unexpected(&other).into()),
    }
}

fn outcomes(client: &mut Client, request: &Request) -> Result<Vec<Outcome>, CliError> {
    match client.call::<SwarmProtocol>(request)? {
        Answer::Published { outcomes } => Ok(outcomes),
        other => Err(client.unexpected(&other).into()),
    }
}

fn batch<T>(values: Vec<T>) -> Result<Batch<T>, CliError> {
    Batch::try_from(values).map_err(|error| CliError::Failed(error.to_string()))
}

impl SignedStatement {
    fn new(statement: &Statement, outcome: Outcome) -> Self {
        Self {
            kind: statement.kind(),
            bucket: statement.item().bucket.as_str().to_owned(),
            data: statement.item().data.as_str().to_owned(),
            range: TimeRange::from(statement.validity()),
            is_in_bucket: outcome.is_in_bucket,
            opponents: outcome.others.into_iter().map(PeerRef::unnamed).collect(),
        }
    }

    /// Returns a sentence that describes the statement.
    fn sentence(&self, now: Time) -> String {
        let verb = match self.kind {
            Kind::Propose => "Proposed in",
            Kind::Dismiss => "Dismissed from",
        };
        let from = match self.range.from {
            Some(Timestamp(from)) if from > now => format!("from {} ", date(from)),
            _ => String::new(),
        };
        let until = match self.range.until {
            Some(Timestamp(until)) => format!("until {} ({})", date(until), duration(until.since(now))),
            None => "forever".to_owned(),
        };
        format!(
            "{verb} /{}: {}, {from}{until}.\n",
            clean(&self.bucket, 200),
            clean(&self.data, MAX_DATA_SHOWN)
        )
    }

    /// Returns a sentence that says why the statement has no effect. Returns `None` if the statement has its effect, or
    /// is not valid now.
    fn doubt(&self, now: Time) -> Option<String> {
        let is_as_said = self.is_in_bucket == (self.kind == Kind::Propose);
        let is_due = self.range.from.is_none_or(|from| from.0 <= now)
            && self.range.until.is_none_or(|until| now < until.0);
        if is_as_said || !is_due {
            return None;
        }
        let opponents: Vec<String> = self.opponents.iter().map(|one| one.peer.to_string()).collect();
        let opponents = opponents.join(", ");
        Some(match (self.kind, self.opponents.is_empty()) {
            (Kind::Propose, false) => {
                format!(
                    "The item is not in the bucket: it is dismissed by {opponents}. Only they can withdraw the dismissal.\n"
                )
            }
            (Kind::Dismiss, false) => {
                format!("The item is still in the bucket: it is proposed by {opponents}.\n")
            }
            (Kind::Propose, true) => {
                "The item is not in the bucket yet: this statement alone does not count. The bucket may require a role, or \
                 statements of several signers.\n"
                    .to_owned()
            }
            (Kind::Dismiss, true) => {
                "The item is still in the bucket: this statement alone does not count. The bucket may require a role, or \
                 statements of several signers.\n"
                    .to_owned()
            }
        })
    }
}

impl Signed {
    /// Returns the peer that signed.
    pub(crate) fn signer(&self) -> PeerId {
        self.signer.peer
    }
}

impl Output for Signed {
    fn show(&self) -> String {
        let now = self.time.0;
        let statement = |one: &SignedStatement| one.sentence(now) + &one.doubt(now).unwrap_or_default();
        let statements: String = self.statements.iter().map(statement).collect();
        format!("{statements}Signed by {}.\n", self.signer.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::{Data, Keypair};
    use swarm::protocol::Expiry;

    const NOW: Time = Time(1_800_000_000);

    fn unsigned(kind: Kind, validity: &ValidityOptions) -> Unsigned<'_> {
        let item = Item { bucket: "share/notes".parse().unwrap(), data: Data::new("a\x1bb").unwrap() };
        Unsigned { kind, item, validity, default_length: default_length(kind) }
    }

    fn prepared(proposed: Option<Expiry>) -> Prepared {
        Prepared {
            signer: Keypair::from_seed([1; 32]).peer_id(),
            sequence: 0,
            time: NOW,
            is_time_certain: true,
            histories: vec![ItemHistory { former: None, proposed }],
        }
    }

    fn until(kind: Kind, proposed: Option<Expiry>) -> Option<Time> {
        let options = ValidityOptions::default();
        let statements = decide(vec![unsigned(kind, &options)], &prepared(proposed)).unwrap();
        statements[0].validity().until()
    }

    #[test]
    fn a_dismissal_is_valid_for_as_long_as_the_proposal_that_it_denies() {
        let (hour, far) = (Some(NOW.plus(HOUR)), Some(NOW.plus(1_000_000)));
        assert_eq!(until(Kind::Dismiss, None), hour);
        assert_eq!(until(Kind::Dismiss, Some(Expiry { at: Some(NOW.plus(5)) })), hour);
        assert_eq!(until(Kind::Dismiss, Some(Expiry { at: far })), far);
        assert_eq!(until(Kind::Dismiss, Some(Expiry { at: None })), None);
        assert_eq!(until(Kind::Propose, Some(Expiry { at: far })), hour);
    }

    #[test]
    fn a_text_that_is_not_a_cid_may_not_be_proposed_as_a_file_but_may_be_dismissed() {
        let options = ValidityOptions::default();
        let check = |bucket: &str, kind, proposed| {
            let item = Item { bucket: bucket.parse().unwrap(), data: Data::new("notes.txt").unwrap() };
            check_forms(&[Unsigned { item, ..unsigned(kind, &options) }], &prepared(proposed))
        };
        for kind in [Kind::Propose, Kind::Dismiss] {
            let refused = check("share/discard", kind, None).unwrap_err().to_string();
            assert!(refused.contains("notes.txt") && refused.contains("discard FILE|CID"), "{refused}");
            assert!(check("share/notes", kind, None).is_ok());
        }
        let somebody = Some(Expiry { at: Some(NOW.plus(5)) });
        assert!(check("share/files", Kind::Dismiss, somebody).is_ok());
        assert!(check("share/files", Kind::Propose, somebody).is_err());
    }

    #[test]
    fn a_statement_and_its_effect_are_shown_in_sentences() {
        let options = ValidityOptions::default();
        let statement = &decide(vec![unsigned(Kind::Propose, &options)], &prepared(None)).unwrap()[0];
        let signed = |is_in_bucket, others: &[PeerId]| {
            SignedStatement::new(statement, Outcome { is_in_bucket, others: others.to_vec() })
        };
        let expected = "Proposed in /share/notes: a\\u{1b}b, until 2027-01-15T09:00:00Z (60 min).\n";
        assert_eq!(signed(true, &[]).sentence(NOW), expected);
        let doubt = |is_in_bucket, others: &[PeerId]| signed(is_in_bucket, others).doubt(NOW);
        let other = Keypair::from_seed([2; 32]).peer_id();
        assert_eq!(doubt(true, &[]), None);
        assert!(doubt(false, &[other]).unwrap().contains(&format!("dismissed by {other}")));
        assert!(doubt(false, &[]).unwrap().contains("does not count"));
        assert_eq!(signed(false, &[]).doubt(Time(5)), None);

        let signer = PeerRef::unnamed(prepared(None).signer);
        let document = Signed { signer, time: Timestamp(NOW), statements: vec![signed(false, &[other])] };
        let json = vocabulary::checked(&document);
        assert_eq!(
            (&json["statements"][0]["kind"], &json["time"]),
            (&"propose".into(), &"2027-01-15T08:00:00Z".into())
        );
        assert_eq!(json["statements"][0]["opponents"][0]["peer"], other.to_string());
    }
}
