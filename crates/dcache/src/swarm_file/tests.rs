use super::*;
use crate::{Keypair, SwarmId};

fn root(seed: u8) -> PeerId {
    Keypair::from_seed([seed; 32]).peer_id()
}

fn file(rest: &str) -> Result<SwarmFile, SwarmFileError> {
    SwarmFile::parse(&format!("name = 'class'\nroots = ['{}', '{}']\n{rest}", root(1), root(2)))
}

const RULE: &str =
    "[[rule]]\nbucket = 'share/verified'\npropose = 'trusted'\npropose_threshold = 2\ndismiss = 'admin'\n";

#[test]
fn a_written_file_parses_back_to_the_same_swarm() {
    let full = file(&format!("root_threshold = 2\nbootstrap = ['/ip4/10.0.0.1/tcp/6002']\n{RULE}")).unwrap();
    assert_eq!(SwarmFile::parse(&full.to_toml()), Ok(full.clone()));
    let rule = full.policy().rule(&"share/verified".parse().unwrap()).clone();
    assert_eq!((rule.propose.threshold.get(), rule.dismiss.who), (2, Who::Role(Role::Admin)));
    assert_eq!(full.policy().rule(&"admin".parse().unwrap()).propose.threshold.get(), 2);
    let new = SwarmFile::new("class", [root(1)].into()).unwrap();
    assert_eq!(SwarmFile::parse(&new.to_toml()), Ok(new));
}

#[test]
fn an_id_binds_signatures_and_an_old_file_without_one_does_not() {
    let (id, old) = (SwarmId::from_bytes([7; 16]), file("").unwrap());
    assert_eq!((old.binding(), old.policy().mark()), (None, Binding::UNBOUND));
    for from in [Time(0), Time(9)] {
        let bound = old.clone().with_binding(Binding { id, from });
        assert_eq!(SwarmFile::parse(&bound.to_toml()).as_ref(), Ok(&bound));
        assert_eq!(bound.policy().mark(), Binding { id, from }.mark());
        let moved = bound.with_roots([root(3)].into()).unwrap();
        assert_eq!(moved.binding(), Some(Binding { id, from }), "the binding stays when the roots change");
    }
    assert_eq!(file("bound_from = 5"), Err(SwarmFileError::Unbound));
    assert_eq!(file("id = 'x'"), Err(SwarmFileError::Id(SwarmIdError)));
}

#[test]
fn an_error_names_the_part_that_is_wrong() {
    let told = |rest: &str| file(rest).unwrap_err().to_string();
    assert!(told("root_treshold = 1").contains("root_treshold"));
    assert!(told("root_threshold = 3").contains("there are 2 roots"));
    assert!(told("root_threshold = 0").contains("nonzero"));
    assert!(told(&RULE.replace("admin", "boss")).contains("boss"));
    assert!(told(&RULE.replace("share/verified", "a//b")).contains("a//b"));
    assert!(told(&RULE.replace("share/verified", "pri")).contains("same rule"));
    assert!(SwarmFile::parse("name = 'x'\nroots = []").unwrap_err().to_string().contains("1 to 16 roots"));
    assert!(SwarmFile::parse("name = 'x'\nroots = ['y']").unwrap_err().to_string().contains("root \"y\""));
    assert_eq!(SwarmFile::parse(&" ".repeat(70_000)), Err(SwarmFileError::Length(70_000)));
    assert!(SwarmFile::new("a\nb", [root(1)].into()).is_err());
}

#[test]
fn a_key_is_read_and_written_and_never_shown() {
    let key = SwarmKey::from_bytes([7; 32]);
    let text = key.reveal();
    let keyed = file(&format!("key = '{text}'")).unwrap();
    assert_eq!(keyed.key(), Some(&key));
    assert_eq!(SwarmFile::parse(&keyed.to_toml()).as_ref(), Ok(&keyed));
    assert_eq!(keyed, file("").unwrap().with_key(key));
    assert!(!format!("{keyed:?}").contains(&text));
    for (rest, why) in [
        (format!("key = '{text}x'"), "43 letters"),
        ("key = ''".to_owned(), "43 letters"),
        (format!("key = '{text}"), "line 3"),
        (format!("keys = '{text}'"), "unknown field `keys`"),
        (format!("key = ['{text}']"), "line 3"),
        (format!("key = '{text}' x"), "line 3"),
    ] {
        let told = file(&rest).unwrap_err().to_string();
        assert!(told.contains(why) && !told.contains(&text[..10]), "{told}");
    }
}

#[test]
fn no_rule_lets_the_holders_of_a_role_give_it_to_other_peers() {
    for (bucket, propose, dismiss) in [
        ("admin", "admin", "root"),
        ("admin", "root", "anybody"),
        ("trusted", "trusted", "admin"),
        ("trusted/x", "admin", "admin"),
        ("trusted", "nobody", "admin"),
    ] {
        let rule = format!("[[rule]]\nbucket = '{bucket}'\npropose = '{propose}'\ndismiss = '{dismiss}'\n");
        assert!(matches!(file(&rule), Err(SwarmFileError::Unsafe(..))), "{rule}");
    }
    assert!(file("[[rule]]\nbucket = 'trusted'\npropose = 'root'\ndismiss = 'admin'\n").is_ok());
}
