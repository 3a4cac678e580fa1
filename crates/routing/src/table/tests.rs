use super::*;
use crate::AddressError;
use crate::Segments;
use dcache::Keypair;
use proptest::prelude::*;
use proptest::sample::select;
use std::cmp::Reverse;

const NOW: Duration = Duration::from_secs(10_000);

fn peer(seed: u8) -> PeerId {
    Keypair::from_seed([seed; 32]).peer_id()
}

fn brain(seed: u8) -> Address {
    Address::brain(peer(seed))
}

fn udp(host: u8) -> Address {
    Address::udp_line(([10, 0, 0, host], 1240).into())
}

fn rule(text: &str) -> Rule {
    text.parse().unwrap()
}

fn table(rules: &[&str]) -> Table {
    let mut table = Table::new(peer(0));
    rules.iter().for_each(|text| table.add(rule(text)).unwrap());
    table
}

fn ago(seconds: u64) -> Duration {
    NOW - Duration::from_secs(seconds)
}

/// Returns the channel address to which an address resolves.
fn channel(table: &Table, to: &Address) -> String {
    match table.resolve(to, NOW) {
        Ok(Resolution::Channel { address }) => address.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rule_is_the_same_after_parsing_and_printing() {
    for text in [
        format!("{} => {}/$0", brain(1), udp(7)),
        "/dswarm/*/brain => /ipfs-pubsub/duckiebots/dswarm-line/$0".to_owned(),
        "/irc/*/* => /dns4/$1/tcp/6667/irc/$2/dswarm-line".to_owned(),
        "/* => /later/$1".to_owned(),
    ] {
        assert_eq!(rule(&text).to_string(), text);
        assert_eq!(
            serde_json::from_str::<Rule>(&serde_json::to_string(&rule(&text)).unwrap()).unwrap(),
            rule(&text)
        );
    }
    assert_eq!(rule("  /a=>/b ").to_string(), "/a => /b");
}

#[test]
fn an_invalid_rule_is_refused_with_the_reason() {
    let error = |text: &str| text.parse::<Rule>().unwrap_err();
    assert_eq!(error("/a"), RuleError::Arrow);
    assert!(matches!(error("a => /b"), RuleError::Pattern(_)));
    assert!(matches!(error("/a => /b/"), RuleError::Template(_)));
    assert!(matches!(error(&format!("{} => /ip4/10.0.0.7/$0", brain(1))), RuleError::Template(_)));
    assert_eq!(error("/dswarm/*/a => /b/$2"), RuleError::Placeholder { number: 2, wildcards: 1 });
    assert!(matches!(error(&format!("{} => /cli", udp(1))), RuleError::Channel(_)));
}

#[test]
fn the_example_of_ipsd_is_resolved() {
    let table = table(&[&format!("{} => {}/$0", brain(1), udp(7))]);
    assert_eq!(channel(&table, &brain(1)), format!("{}{}", udp(7), brain(1)));
    assert_eq!(table.resolve(&brain(2), NOW), Ok(Resolution::NoRoute { address: brain(2) }));
    let pinner: Address = format!("/dswarm/{}/pinner", peer(1)).parse().unwrap();
    assert_eq!(table.resolve(&pinner, NOW), Ok(Resolution::NoRoute { address: pinner.clone() }));
}

#[test]
fn the_longest_match_with_the_fewest_wildcards_is_used() {
    let (one, any) = (format!("{} => {}/$0", brain(1), udp(1)), format!("/dswarm/*/brain => {}/$0", udp(2)));
    let (short, end) = (format!("/dswarm => {}/$0", udp(3)), format!("/dswarm/*/brain/cli => {}/$0", udp(4)));
    let table = table(&[&short, &any, &end, &one]);
    let texts: Vec<String> = table.rules().iter().map(ToString::to_string).collect();
    assert_eq!(texts, [&end, &one, &any, &short].map(String::clone));
    assert_eq!(channel(&table, &brain(1)), format!("{}{}", udp(1), brain(1)));
    assert_eq!(channel(&table, &brain(2)), format!("{}{}", udp(2), brain(2)));
    let cli = brain(1).then(&Address::command_line()).unwrap();
    assert_eq!(channel(&table, &cli), format!("{}{cli}", udp(4)));
    let pinner: Address = format!("/dswarm/{}/pinner", peer(1)).parse().unwrap();
    assert_eq!(channel(&table, &pinner), format!("{}{pinner}", udp(3)));
}

#[test]
fn placeholders_are_filled_from_wildcards_and_the_rest_follows() {
    let table = table(&["/irc/*/* => /dns4/$1/tcp/6667/irc/$2/dswarm-line"]);
    let to: Address = format!("/irc/server/#duckiebots{}", brain(1)).parse().unwrap();
    assert_eq!(
        channel(&table, &to),
        format!("/dns4/server/tcp/6667/irc/#duckiebots/dswarm-line{}", brain(1))
    );
}

#[test]
fn a_star_in_an_address_matches_no_rule_or_route_for_one_peer() {
    let mut table = table(&[&format!("{} => {}/$0", brain(1), udp(1)), "/dswarm/*/pinner => /cli"]);
    table.learn(peer(2), &udp(2), 1, NOW);
    let to: Address = "/dswarm/*/*".parse().unwrap();
    assert_eq!(table.resolve(&to, NOW), Ok(Resolution::NoRoute { address: to }));
}

#[test]
fn a_line_for_this_brain_ends_here_or_is_forwarded() {
    let mut table = table(&[]);
    for here in [brain(0), Address::every_brain()] {
        assert_eq!(table.resolve(&here, NOW), Ok(Resolution::Here));
    }
    table.learn(peer(1), &udp(1), 1, NOW);
    assert_eq!(channel(&table, &brain(0).then(&brain(1)).unwrap()), format!("{}{}", udp(1), brain(1)));
    let by_all = Address::every_brain().then(&brain(1)).unwrap();
    assert_eq!(table.resolve(&by_all, NOW), Ok(Resolution::NoRoute { address: by_all }));
    let chain = udp(9).then(&brain(0)).unwrap();
    assert_eq!(channel(&table, &chain), chain.to_string());
}

#[test]
fn a_peer_may_be_reached_through_another() {
    let mut table = table(&[&format!("{} => {}/$0", brain(1), brain(2))]);
    assert!(table.learn(peer(2), &udp(2), 1, NOW));
    assert_eq!(channel(&table, &brain(1)), format!("{}{}{}", udp(2), brain(2), brain(1)));
}

#[test]
fn loops_and_growing_addresses_are_errors() {
    let circle = table(&["/a => /b", "/b => /a"]);
    assert!(matches!(circle.resolve(&"/a/x".parse().unwrap(), NOW), Err(RouteError::Loop { .. })));
    let chain: Vec<String> = (0..9).map(|n| format!("/a{n} => /a{}", n + 1)).collect();
    let chain = table(&chain.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(matches!(chain.resolve(&"/a0".parse().unwrap(), NOW), Err(RouteError::Steps(_))));
    assert_eq!(chain.explain(&"/a1".parse().unwrap(), NOW).steps.len(), MAX_STEPS);
    let growth = table(&["/a => /b/$0/$0/$0/$0", "/b => /c/$0/$0/$0/$0", "/c => /d/$0/$0/$0/$0"]);
    let error = growth.resolve(&format!("/a/{}", "x".repeat(30)).parse().unwrap(), NOW);
    assert!(matches!(error, Err(RouteError::Rewritten { error: AddressError::Length(_), .. })), "{error:?}");
}

#[test]
fn the_cheapest_recent_route_is_used_or_else_the_latest() {
    let mut table = table(&[]);
    table.learn(peer(1), &udp(1), 1, ago(130));
    table.learn(peer(1), &udp(2), 5, ago(100));
    table.learn(peer(1), &udp(3), 3, ago(110));
    assert_eq!(channel(&table, &brain(1)), format!("{}{}", udp(3), brain(1)));
    table.learn(peer(2), &udp(1), 1, ago(200));
    table.learn(peer(2), &udp(2), 5, ago(190));
    assert_eq!(channel(&table, &brain(2)), format!("{}{}", udp(2), brain(2)));
    // The peer is heard again on the first channel.
    table.learn(peer(2), &udp(1), 1, NOW);
    assert_eq!(channel(&table, &brain(2)), format!("{}{}", udp(1), brain(2)));
}

#[test]
fn learned_routes_expire() {
    let mut table = table(&[]);
    table.learn(peer(1), &udp(1), 1, ago(15 * 60));
    table.learn(peer(2), &udp(1), 1, ago(15 * 60 + 1));
    assert_eq!(table.learned(NOW).map(|route| route.peer).collect::<Vec<_>>(), [peer(1)]);
    assert!(matches!(table.resolve(&brain(2), NOW), Ok(Resolution::NoRoute { .. })));
    table.age_out(NOW);
    assert_eq!(table.learned(ago(10)).count(), 1);
}

#[test]
fn a_configured_rule_precedes_a_learned_route_unless_it_matches_fewer_segments() {
    let mut table = table(&["/dswarm => /ipfs-pubsub/a/dswarm-line/$0"]);
    table.learn(peer(1), &udp(1), 1, NOW);
    assert_eq!(channel(&table, &brain(1)), format!("{}{}", udp(1), brain(1)));
    table.add(rule("/dswarm/*/brain => /ipfs-pubsub/b/dswarm-line/$0")).unwrap();
    assert_eq!(channel(&table, &brain(1)), format!("/ipfs-pubsub/b/dswarm-line{}", brain(1)));
}

#[test]
fn only_channels_are_learned_as_routes_and_their_number_is_limited() {
    let mut table = table(&[]);
    assert!(!table.learn(peer(0), &udp(1), 1, NOW), "a node learns no route to itself");
    assert!(!table.learn(peer(1), &udp(1).then(&brain(2)).unwrap(), 1, NOW));
    let long = Address::pubsub_line(&"a".repeat(450)).unwrap();
    assert!(!table.learn(peer(1), &long, 1, NOW), "no room for the peer behind it");
    for host in 0..20 {
        assert!(table.learn(peer(1), &udp(host), 1, ago(100 - u64::from(host))));
    }
    assert_eq!(table.learned(NOW).count(), MAX_ROUTES_OF_PEER);
    assert!(table.learned(NOW).all(|route| route.age <= 88), "the oldest routes of this peer were evicted");
    for number in 0..1100u32 {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        table.learn(PeerId::from_public_key(key), &udp(1), 1, NOW);
    }
    assert_eq!(table.learned(NOW).count(), MAX_LEARNED);
    assert!(
        matches!(table.resolve(&brain(1), NOW), Ok(Resolution::NoRoute { .. })),
        "the oldest routes of all were evicted"
    );
}

#[test]
fn rules_are_added_once_and_removed_by_their_text() {
    let mut table = table(&["/a => /b"]);
    assert_eq!(table.add(rule("/a => /c")), Err(TableError::Exists("/a => /b".to_owned())));
    assert!(!table.remove(&rule("/a => /c")) && table.remove(&rule("/a => /b")));
    for number in 0..MAX_RULES {
        table.add(rule(&format!("/a{number} => /b"))).unwrap();
    }
    assert_eq!(table.add(rule("/a => /c")), Err(TableError::Full));
}

#[test]
fn an_explanation_shows_each_step_to_people_and_to_programs() {
    let mut table = table(&[&format!("{} => {}/$0", brain(1), brain(2))]);
    table.learn(peer(2), &udp(2), 1, ago(12));
    let explanation = table.explain(&brain(1), NOW);
    let both = format!("{}{}", brain(2), brain(1));
    let told = format!(
        "{}\n  rule {} => {}/$0\n    -> {both}\n  learned {} => {}/$0 (heard 12 s ago, cost 1)\n    -> {}{both}\n  \
         sent over {}, from there on to {both}",
        brain(1),
        brain(1),
        brain(2),
        brain(2),
        udp(2),
        udp(2),
        udp(2)
    );
    assert_eq!(explanation.to_string(), told);
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["steps"][1]["by"]["learned"]["age"], 12);
    assert_eq!(json["end"], serde_json::json!({"end": "channel", "address": format!("{}{both}", udp(2))}));
    let lost = serde_json::to_value(table.explain(&Address::command_line(), NOW)).unwrap();
    assert_eq!(lost["end"]["end"], "no_route");
    let circle = self::table(&["/a => /a"]).explain(&"/a".parse().unwrap(), NOW);
    assert_eq!(serde_json::to_value(circle).unwrap()["end"]["end"], "failed");
}

fn any_segments(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    let text = |names: Vec<&str>| names.iter().map(|name| format!("/{name}")).collect::<String>();
    prop::collection::vec(select(of), 1..4).prop_map(text)
}

/// Independent implementation of the matching that the documentation of [`Rule`] describes.
fn fits(pattern: &Segments, address: &Address) -> bool {
    let (pattern, address): (Vec<&str>, Vec<&str>) = (pattern.iter().collect(), address.segments().collect());
    pattern.len() <= address.len()
        && pattern.iter().zip(&address).all(|(expected, found)| *expected == "*" || expected == found)
}

proptest! {
    #[test]
    fn each_step_uses_the_first_matching_rule_and_none_is_used_twice(
        patterns in prop::collection::vec(any_segments(&["a", "b", "c", "*"]), 1..12),
        templates in prop::collection::vec(any_segments(&["a", "b", "c", "$0"]), 12),
        to in any_segments(&["a", "b", "c"]),
    ) {
        let mut table = Table::new(peer(0));
        for (pattern, template) in patterns.iter().zip(&templates) {
            let _ = table.add(rule(&format!("{pattern} => {template}")));
        }
        let explanation = table.explain(&to.parse().unwrap(), NOW);
        prop_assert_eq!(&explanation.end, &table.resolve(&explanation.address, NOW));
        prop_assert!(explanation.steps.len() <= MAX_STEPS);
        let mut used = Vec::new();
        for step in &explanation.steps {
            let wildcards = |rule: &&Rule| rule.pattern().iter().filter(|segment| *segment == "*").count();
            let first = table.rules().iter().filter(|rule| fits(rule.pattern(), &step.before)).min_by_key(|rule| {
                (Reverse(rule.pattern().iter().count()), wildcards(rule), rule.pattern().to_string())
            });
            let By::Rule(rule) = &step.by else { panic!("{step:?}") };
            prop_assert_eq!(Some(rule), first);
            prop_assert!(!used.contains(rule));
            used.push(rule.clone());
        }
    }
}
