//! Saying something: by the robot, or signed with a key file.

use crate::arguments::{Arguments, ItemArguments, Voice};
use crate::commands::warn;
use crate::error::CliError;
use crate::text::{clean, duration};
use crate::validity::{HOUR, Length, ValidityOptions, date};
use crate::{keys, local};
use control::{Client, Intent, KeyFile, Outcome, Prepared, Request, SignedWord, Standing, Word};
use dcache::{End, Item, Kind, PeerId, Record, Statement, Time};
use serde_json::{Value, json};

/// The most characters of data in a sentence.
const MAX_DATA_SHOWN: usize = 120;

/// Something that is to be said.
pub(crate) struct Wish<'a> {
    pub(crate) kind: Kind,
    pub(crate) item: Item,
    pub(crate) validity: &'a ValidityOptions,
    /// For how long, when nobody said.
    pub(crate) usual: Length,
}

/// `propose` and `dismiss`.
pub(crate) fn one(
    arguments: &Arguments,
    kind: Kind,
    wanted: &ItemArguments,
) -> Result<(String, Value), CliError> {
    let item = Item { bucket: wanted.bucket.clone(), data: wanted.data.clone() };
    let wish = Wish { kind, item, validity: &wanted.validity, usual: usual(kind) };
    run(arguments, vec![wish], &wanted.voice)
}

/// `replace`.
pub(crate) fn replace(
    arguments: &Arguments,
    [old, new]: [Item; 2],
    validity: &ValidityOptions,
    voice: &Voice,
) -> Result<(String, Value), CliError> {
    if old == new {
        return Err(CliError::Same);
    }
    // How long the new is to be there says nothing about the old, which is to be gone for as long as anybody has it there.
    let always = ValidityOptions::default();
    let dismiss = Wish { kind: Kind::Dismiss, item: old, validity: &always, usual: usual(Kind::Dismiss) };
    let propose = Wish { kind: Kind::Propose, item: new, validity, usual: usual(Kind::Propose) };
    run(arguments, vec![dismiss, propose], voice)
}

fn usual(kind: Kind) -> Length {
    match kind {
        Kind::Propose => Length::Seconds(HOUR),
        Kind::Dismiss => Length::Until(Time::default()),
    }
}

/// Says all of it together.
pub(crate) fn run(
    arguments: &Arguments,
    wishes: Vec<Wish<'_>>,
    voice: &Voice,
) -> Result<(String, Value), CliError> {
    let mut client = local::open(arguments)?;
    let key = voice.key.as_deref().map(keys::open).transpose()?;
    let intent = |wish: &Wish<'_>| {
        let Item { bucket, data } = wish.item.clone();
        Intent { kind: wish.kind, bucket, data }
    };
    let prepared = client.prepare(key.as_ref().map(KeyFile::peer_id), wishes.iter().map(intent).collect())?;
    warn((!prepared.is_time_certain).then(|| {
        format!(
            "this robot does not know the time; it goes by {}, which has certainly passed",
            date(prepared.time)
        )
    }));
    let statements = decide(wishes, &prepared)?;
    let outcomes = say(&mut client, key.as_ref(), statements.clone(), &prepared, voice.anyway)?;
    Ok(tell(&statements, &outcomes, &prepared))
}

fn decide(wishes: Vec<Wish<'_>>, prepared: &Prepared) -> Result<Vec<Statement>, CliError> {
    let decide = |(wish, standing): (Wish<'_>, &Standing)| {
        let usual = match (wish.usual, standing.proposed) {
            (Length::Until(_), Some(ending)) => ending.at.map_or(Length::Forever, Length::Until),
            (usual, _) => usual,
        };
        let validity = wish.validity.decide(prepared.time, usual)?;
        Ok(Statement::new(wish.kind, wish.item, validity)?)
    };
    wishes.into_iter().zip(&prepared.standings).map(decide).collect()
}

fn say(
    client: &mut Client,
    key: Option<&KeyFile>,
    statements: Vec<Statement>,
    prepared: &Prepared,
    anyway: bool,
) -> Result<Vec<Outcome>, CliError> {
    let Some(key) = key else {
        let words = statements.into_iter().map(Word).collect();
        return Ok(client.say(&Request::Say { words, anyway })?);
    };
    let keep = |standing: &Standing| standing.former.map_or(End::default(), |ending| ending.at.into());
    let kept = statements.into_iter().zip(prepared.standings.iter().map(keep)).collect();
    // Copies of a key do not know of each other: counting from the time keeps one above what another has said before.
    let records = key.sign(kept, prepared.sequence.max(prepared.time.0))?;
    let signed = |record: &Record| SignedWord {
        payload: Word(record.statement().clone()),
        signature: *record.signature(),
    };
    Ok(client.say(&Request::Admit { records: records.iter().map(signed).collect(), anyway })?)
}

/// What was said, and what came of it.
fn tell(statements: &[Statement], outcomes: &[Outcome], prepared: &Prepared) -> (String, Value) {
    let mut shown = String::new();
    let mut said = Vec::new();
    for (statement, outcome) in statements.iter().zip(outcomes) {
        shown += &sentence(statement, prepared.time);
        shown += &doubt(statement, outcome, prepared.time).unwrap_or_default();
        let validity = statement.validity();
        said.push(json!({
            "says": statement.kind(),
            "bucket": statement.item().bucket.as_str(),
            "data": statement.item().data.as_str(),
            "from": validity.from(),
            "until": validity.until(),
            "is_in_bucket": outcome.is_in_bucket,
            "others": outcome.others,
        }));
    }
    shown += &format!("Signed by {}.\n", prepared.signer);
    (shown, json!({ "signer": prepared.signer, "said": said }))
}

fn sentence(statement: &Statement, now: Time) -> String {
    let (Item { bucket, data }, validity) = (statement.item(), statement.validity());
    let verb = match statement.kind() {
        Kind::Propose => "Proposed in",
        Kind::Dismiss => "Dismissed from",
    };
    let from = match validity.from() {
        Some(from) if from > now => format!("from {} ", date(from)),
        _ => String::new(),
    };
    let until = match validity.until() {
        Some(until) => format!("until {} ({})", date(until), duration(until.since(now))),
        None => "for ever".to_owned(),
    };
    format!(
        "{verb} /{}: {}, {from}{until}.\n",
        clean(bucket.as_str(), 200),
        clean(data.as_str(), MAX_DATA_SHOWN)
    )
}

/// Why it is not so although it was said.
fn doubt(statement: &Statement, outcome: &Outcome, now: Time) -> Option<String> {
    let is_as_said = outcome.is_in_bucket == (statement.kind() == Kind::Propose);
    if is_as_said || !statement.validity().contains(now) {
        return None;
    }
    let others: Vec<String> = outcome.others.iter().map(PeerId::to_string).collect();
    Some(match (statement.kind(), others.is_empty()) {
        (Kind::Propose, false) => {
            format!(
                "It is not there: it is dismissed by {}, who would have to take that back.\n",
                others.join(", ")
            )
        }
        (Kind::Dismiss, false) => format!("It is still there: it is proposed by {}.\n", others.join(", ")),
        (Kind::Propose, true) => "It is not there yet: this word alone does not count.\n".to_owned(),
        (Kind::Dismiss, true) => "It is still there: this word alone does not count.\n".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::Ending;
    use dcache::{Data, Keypair};

    const NOW: Time = Time(1_800_000_000);

    fn wish(kind: Kind, validity: &ValidityOptions) -> Wish<'_> {
        let item = Item { bucket: "share/notes".parse().unwrap(), data: Data::new("a\x1bb").unwrap() };
        Wish { kind, item, validity, usual: usual(kind) }
    }

    fn prepared(proposed: Option<Ending>) -> Prepared {
        Prepared {
            signer: Keypair::from_seed([1; 32]).peer_id(),
            sequence: 0,
            time: NOW,
            is_time_certain: true,
            standings: vec![Standing { former: None, proposed }],
        }
    }

    fn until(kind: Kind, proposed: Option<Ending>) -> Option<Time> {
        let options = ValidityOptions::default();
        let statements = decide(vec![wish(kind, &options)], &prepared(proposed)).unwrap();
        statements[0].validity().until()
    }

    #[test]
    fn a_dismissal_lasts_as_long_as_what_it_denies() {
        let (hour, far) = (Some(NOW.plus(HOUR)), Some(NOW.plus(1_000_000)));
        assert_eq!(until(Kind::Dismiss, None), hour);
        assert_eq!(until(Kind::Dismiss, Some(Ending { at: Some(NOW.plus(5)) })), hour);
        assert_eq!(until(Kind::Dismiss, Some(Ending { at: far })), far);
        assert_eq!(until(Kind::Dismiss, Some(Ending { at: None })), None);
        assert_eq!(until(Kind::Propose, Some(Ending { at: far })), hour);
    }

    #[test]
    fn what_was_said_and_what_came_of_it_in_words() {
        let options = ValidityOptions::default();
        let statement = &decide(vec![wish(Kind::Propose, &options)], &prepared(None)).unwrap()[0];
        let expected = "Proposed in /share/notes: a\\u{1b}b, until 2027-01-15T09:00:00Z (60 min).\n";
        assert_eq!(sentence(statement, NOW), expected);
        let words = |is_in_bucket, others: &[PeerId]| {
            doubt(statement, &Outcome { is_in_bucket, others: others.to_vec() }, NOW)
        };
        let other = Keypair::from_seed([2; 32]).peer_id();
        assert_eq!(words(true, &[]), None);
        assert!(words(false, &[other]).unwrap().contains(&format!("dismissed by {other}")));
        assert!(words(false, &[]).unwrap().contains("does not count"));
        assert_eq!(doubt(statement, &Outcome { is_in_bucket: false, others: vec![] }, Time(5)), None);
    }
}
