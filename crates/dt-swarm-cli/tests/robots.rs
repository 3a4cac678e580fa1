//! Runs the commands about robots as a process of its own, against a test daemon whose control socket cannot be asked.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod served;
#[path = "../src/output/vocabulary.rs"]
#[allow(dead_code, reason = "here all documents come from the program")]
mod vocabulary;

use dcache::{Time, Validity};
use serde_json::Value;
use served::{Daemon, clock, peer, run, run_with};
use std::process::Stdio;

const DAY: u64 = 86_400;

/// Parses the printed document, and checks it against the vocabulary.
fn json(output: &served::Output) -> Value {
    let document = serde_json::from_str(&output.stdout).unwrap();
    vocabulary::check(&document);
    document
}

/// Returns the line of the output that contains `text`, with single spaces.
fn row(output: &served::Output, text: &str) -> String {
    let line = output.stdout.lines().find(|line| line.contains(text));
    line.unwrap_or_else(|| panic!("{text} in:\n{}", output.stdout))
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// Makes a daemon that knows four robots: two of one name, one that left, and one without a name.
fn robots() -> Daemon {
    let mut daemon = Daemon::new();
    let names = [(1, "entebot208"), (2, "entebot208"), (3, "duckie3")];
    for (who, name) in names {
        let bucket = format!("pri/{}/info/hostname", peer(who));
        daemon.propose(who, &bucket, name, Validity::stated(Time(clock().0 - 7300), 5 * DAY));
    }
    for who in [1, 2, 4] {
        daemon.propose(who, "peer", &peer(who).to_string(), Validity::stated(clock(), 600));
    }
    let profile = r#"{"type":"duckiebot","configuration":"DB21J","hardware":"jetson_nano"}"#;
    daemon.propose(1, &format!("pri/{}/info/robot", peer(1)), profile, Validity::stated(clock(), 5 * DAY));
    let address = format!("/ip4/10.0.0.7/tcp/8000/dswarm-line/dswarm/{}/brain", peer(1));
    daemon.propose(1, &format!("pri/{}/addresses", peer(1)), &address, Validity::stated(clock(), 3600));
    let ipfs = Validity::stated(clock(), 3600);
    daemon.propose(1, &format!("pri/{}/ipfs_peers", peer(1)), &peer(2).to_string(), ipfs);
    daemon
}

/// The last six characters of a peer ID.
fn end(who: u8) -> String {
    let id = peer(who).to_string();
    id[id.len() - 6..].to_owned()
}

#[test]
fn online_shows_the_robots_from_their_records() {
    let host = robots().serve();
    let output = run(&[&host, "online"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let first = row(&output, &format!("entebot208~{}", end(1)));
    assert!(first.contains(" jetson_nano duckiebot DB21J online by its record, "), "{first}");
    row(&output, &format!("entebot208~{}", end(2)));
    assert!(!output.stdout.contains("duckie3"), "{}", output.stdout);
    assert!(
        output.stdout.contains("4 robots online; --all also shows 1 robot that left\n"),
        "{}",
        output.stdout
    );
    let all = run(&[&host, "online", "--all"]);
    assert!(row(&all, "duckie3").contains(" left last heard 2 h ago "), "{}", all.stdout);
    let document = json(&run(&[&host, "online", "--json"]));
    assert_eq!((&document["robots_left"], document["robots"].as_array().unwrap().len()), (&1.into(), 4));
    assert_eq!(document["daemon"]["peer"], peer(served::DAEMON).to_string());
}

#[test]
fn online_watches_line_by_line_without_a_terminal() {
    use std::io::{BufRead as _, BufReader};
    let host = robots().serve();
    let mut command = run_with(&[&host, "online", "--watch"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.take(4).collect();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(lines.iter().all(|line| line.starts_with("+ ")), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.contains("entebot208~")).count(), 2, "{lines:#?}");
}

#[test]
fn find_shows_all_robots_of_a_name_and_says_why_one_is_not_found() {
    let host = robots().serve();
    let output = run(&[&host, "find", "entebot208.local"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    for part in [peer(1).to_string(), peer(2).to_string(), "DB21J  (".to_owned(), "/ip4/10.0.0.7/".to_owned()]
    {
        assert!(output.stdout.contains(&part), "{part} in:\n{}", output.stdout);
    }
    let one = json(&run(&[&host, "find", &format!("entebot208~{}", end(2)), "--json"]));
    assert_eq!(one["robots"].as_array().unwrap().len(), 1);
    assert_eq!(one["robots"][0]["peer"], peer(2).to_string());
    let left = run(&[&host, "find", "duckie3"]);
    assert_eq!(left.code, 1);
    assert!(left.stdout.contains(&peer(3).to_string()), "what is known is shown: {}", left.stdout);
    assert!(left.stderr.contains("duckie3 is not present any more: last heard 2 h ago"), "{}", left.stderr);
    let never = run(&[&host, "find", "dukcie3"]);
    assert_eq!((never.code, never.stdout.as_str()), (1, ""));
    assert!(never.stderr.contains("never heard of") && never.stderr.contains("duckie3?"), "{}", never.stderr);
}

#[test]
fn addresses_are_shown_one_per_line() {
    let host = robots().serve();
    let output = run(&[&host, "addresses", "entebot208"]);
    assert!(row(&output, "/ip4/10.0.0.7/tcp/8000/").contains("by a signed record"), "{}", output.stdout);
    let document = json(&run(&[&host, "addresses", &peer(1).to_string(), "--json"]));
    assert_eq!(document["robots"].as_array().unwrap().len(), 1);
    assert_eq!(document["robots"][0]["addresses"][0]["origin"], "record");
    let nobody = run(&[&host, "addresses", "nobody"]);
    assert_eq!(nobody.code, 1, "{nobody:?}");
}

#[test]
fn network_shows_links_and_writes_a_page() {
    let host = robots().serve();
    let document = json(&run(&[&host, "network", "--json"]));
    let link = &document["links"][0];
    assert_eq!((&link["channel"], &link["hearer"]["hostname"]), (&"ipfs".into(), &"entebot208".into()));
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("network.html");
    let path = page.to_str().unwrap();
    for _ in 0..2 {
        let output = run(&[&host, "network", "--html", path]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        assert!(output.stdout.contains("network.html was written."), "{}", output.stdout);
    }
    assert!(std::fs::read_to_string(&page).unwrap().contains("<svg "));
    std::fs::write(&page, "mine").unwrap();
    assert_eq!(run(&[&host, "network", "--html", path]).code, 1);
    assert_eq!(run(&[&host, "network", "--html", path, "--force"]).code, 0);
}
