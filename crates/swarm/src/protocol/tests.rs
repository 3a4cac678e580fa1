use super::*;
use dcache::{End, Keypair, Validity};

fn text(data: &str) -> StatementText {
    let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() };
    StatementText(Statement::new(Kind::Propose, item, Validity::starting(Time(1), 9)).unwrap())
}

fn batch<T>(values: Vec<T>) -> Batch<T> {
    Batch::try_from(values).unwrap()
}

fn requests() -> Vec<Request> {
    let key = Keypair::from_seed([1; 32]);
    let payload = text("signed");
    let signature = key.sign(7, End::default(), &payload.0.payload());
    let Item { bucket, data } = text("a").0.item().clone();
    let intent = Intent { kind: Kind::Dismiss, bucket, data };
    vec![
        Request::Status {},
        Request::Publish { statements: batch(vec![text("a"), text("b\n\"é")]), anyway: true },
        Request::Prepare { signer: Some(key.peer_id()), intents: batch(vec![intent.clone()]) },
        Request::Prepare { signer: None, intents: batch(vec![intent.clone(), intent]) },
        Request::Admit { records: batch(vec![SignedStatement { payload, signature }]), anyway: false },
        Request::Join { swarm: "name = 'class'\n".into() },
        Request::Leave {},
    ]
}

#[test]
fn requests_are_the_same_after_writing_and_reading() {
    for request in requests() {
        let json = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request, "{json}");
    }
    assert_eq!(serde_json::to_string(&Request::Status {}).unwrap(), r#"{"status":{}}"#);
}

#[test]
fn answers_are_the_same_after_writing_and_reading_and_allow_no_other_keys() {
    let peer = Keypair::from_seed([1; 32]).peer_id();
    let (never, soon) = (Some(Expiry { at: None }), Some(Expiry { at: Some(Time(9)) }));
    let histories =
        vec![ItemHistory { former: None, proposed: never }, ItemHistory { former: soon, proposed: None }];
    let (version, swarm) = ("0.1.0".to_owned(), Some("name = 'a'\n".to_owned()));
    let (time, is_time_certain) = (Time(7), true);
    for answer in [
        Answer::Done {},
        Answer::Status(Status { peer, version, swarm, time, is_time_certain }),
        Answer::Prepared(Prepared { signer: peer, sequence: 3, time, is_time_certain, histories }),
        Answer::Published { outcomes: vec![Outcome { is_in_bucket: true, others: vec![peer] }] },
    ] {
        let json = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), answer);
        let longer = json.replacen(":{", ":{\"more\":1,", 1).replace(",}", "}");
        assert!(serde_json::from_str::<Answer>(&longer).is_err(), "{longer}");
    }
}

#[test]
fn requests_out_of_bounds_are_refused() {
    assert_eq!(Batch::try_from(vec![0; MAX_STATEMENTS + 1]), Err(BatchError(MAX_STATEMENTS + 1)));
    assert_eq!(Batch::<u8>::try_from(vec![]), Err(BatchError(0)));
    for wrong in [
        r#"{"publish":{"statements":[]}}"#.to_owned(),
        r#"{"publish":{"statements":["{}"]}}"#.to_owned(),
        r#"{"status":{"more":1}}"#.to_owned(),
        r#"{"quit":{}}"#.to_owned(),
        r#"{"join":{}}"#.to_owned(),
        serde_json::to_string(&requests()[2]).unwrap().replace("12D3", "12D4"),
        format!(r#"{{"join":{{"swarm":{}{}}}}}"#, "[".repeat(5000), "]".repeat(5000)),
    ] {
        assert!(serde_json::from_str::<Request>(&wrong).is_err(), "{wrong}");
    }
}
