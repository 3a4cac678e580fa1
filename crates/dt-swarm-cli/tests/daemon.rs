//! Runs `dt-swarm-cli` as a process of its own, which connects to a test daemon over TCP. The test daemon uses the
//! brain of the real daemon.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod served;
#[path = "../src/output/vocabulary.rs"]
#[allow(dead_code, reason = "here all documents come from the program")]
mod vocabulary;

use dcache::{Data, Kind, Record, Statement, SwarmFile, Time, Validity};
use routing::{Address, Envelope};
use seal::SwarmKey;
use serde_json::Value;
use served::{Daemon, clock, item, key, peer, run, run_with};
use std::process::Stdio;

const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
const DAY: u64 = 86_400;

/// Makes a daemon that knows the names of three hosts, and two files. All three hosts hold the first file. The second
/// file is shared, but no host states that it holds a copy.
fn class() -> Daemon {
    let mut daemon = Daemon::new();
    let half_ago = Time(clock().0 - 1800);
    for (who, name) in [(1, "duckie1"), (2, "duckie2"), (3, "duckie3")] {
        let bucket = format!("pri/{}/info/hostname", peer(who));
        daemon.propose(who, &bucket, name, Validity::starting(half_ago, 5 * DAY));
        daemon.propose(who, "share/safe", CID, Validity::starting(half_ago, 7 * DAY));
    }
    let week = Validity::starting(half_ago, 7 * DAY);
    let info = format!(
        r#"{{"filename":"example.bag","size":868400,"changed":1511000000,"uploader":"{}"}}"#,
        peer(1)
    );
    daemon.propose(1, "share/files", CID, week);
    daemon.propose(1, &format!("share/info/{CID}"), &info, week);
    daemon.propose(2, "share/files", "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH", week);
    daemon
}

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

#[test]
fn report_shows_the_size_uploader_state_and_holders_of_a_file() {
    let host = class().serve();
    let output = run(&[&host, "report", "--wide"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    let known = row(&output, CID);
    assert!(known.starts_with("example.bag 868 kB ") && known.contains(" days duckie1 (…"), "{known}");
    assert!(known.contains(" safe 3 of 3 "), "{known}");
    for name in ["duckie1", "duckie2", "duckie3"] {
        assert!(known.split(" safe ").nth(1).unwrap().contains(name), "{known}");
    }
    assert_eq!(
        row(&output, "QmbFMke1"),
        "? ? ? ? shared 0 of 3 nobody QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH"
    );
    assert!(output.stdout.contains("\n2 files\n"));
}

#[test]
fn report_fits_80_columns_and_shows_an_end_of_the_cid_that_names_the_file() {
    let host = class().serve();
    let output = run(&[&host, "report"]);
    assert!(output.stdout.lines().all(|line| line.chars().count() <= 80), "{}", output.stdout);
    let known = row(&output, "example.bag");
    let end = known.split_whitespace().last().unwrap();
    assert_eq!(end, format!("…{}", &CID[CID.len() - 8..]));
    assert!(known.contains(" safe 3 of 3 "), "{known}");
    assert_eq!(json(&run(&[&host, "log", end, "--json"]))["cid"], CID);
}

#[test]
fn report_is_sorted_and_shown_in_parts() {
    let host = class().serve();
    let cids = |options: &[&str]| -> Vec<Value> {
        let document = json(&run(&[&[host.as_str(), "report", "--json"], options].concat()));
        assert_eq!((&document["shared_files"], &document["chosen_files"]), (&2.into(), &2.into()));
        document["files"].as_array().unwrap().iter().map(|file| file["cid"].clone()).collect()
    };
    let other = "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH";
    assert_eq!(cids(&[]), [CID, other]);
    assert_eq!(cids(&["--sort", "state"]), [other, CID]);
    assert_eq!(cids(&["--sort", "state", "--reverse", "--limit", "1"]), [CID]);
    assert_eq!(cids(&["--offset", "1", "--limit", "0"]), [other]);
    let output = run(&[&host, "report", "--limit", "1"]);
    assert!(
        output.stdout.contains("2 files, of which 1 to 1 are shown. The next: --offset 1."),
        "{}",
        output.stdout
    );
}

#[test]
fn report_writes_a_page_and_replaces_only_a_page() {
    let host = class().serve();
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("files.html");
    let path = page.to_str().unwrap();
    for _ in 0..2 {
        let output = run(&[&host, "report", "--html", path]);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        assert!(output.stdout.contains("files.html was written."), "{}", output.stdout);
    }
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("\"example.bag\"") && text.contains(CID), "{text}");
    std::fs::write(&page, "mine").unwrap();
    assert_eq!(run(&[&host, "report", "--html", path]).code, 1);
    assert_eq!(json(&run(&[&host, "report", "--html", path, "--force", "--json"]))["path"], path);
    assert_eq!(run(&[&host, "report", "--html", path, "--watch"]).code, 2);
}

#[test]
fn report_watches_line_by_line_without_a_terminal() {
    use std::io::{BufRead as _, BufReader};
    let host = class().serve();
    let mut command = run_with(&[&host, "report", "--watch", "--timeout", "2"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    let lines: Vec<String> = lines.take(2).collect();
    watch.kill().unwrap();
    watch.wait().unwrap();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("+ example.bag (…") && line.ends_with(") safe, 3 of 3 copies")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("+ ? (…") && line.ends_with(") shared, 0 of 3 copies")),
        "{lines:#?}"
    );
}

#[test]
fn report_as_json_has_the_same_facts() {
    let host = class().serve();
    let document = json(&run(&[&host, "report", "--json"]));
    let file = &document["files"][0];
    assert_eq!(file["cid"], CID);
    assert_eq!((&file["name"], &file["bytes"]), (&"example.bag".into(), &868_400.into()));
    assert_eq!((&file["state"], &file["is_signed_by_uploader"]), (&"safe".into(), &true.into()));
    assert_eq!(file["uploader"]["peer"], peer(1).to_string());
    assert_eq!(file["uploader"]["hostname"], "duckie1");
    assert_eq!(file["modified_time"], "2017-11-18T10:13:20Z");
    assert_eq!(file["holders"].as_array().unwrap().len(), 3);
    assert_eq!(document["files"][1]["name"], Value::Null);
    assert_eq!(document["daemon"]["peer"], peer(served::DAEMON).to_string());
}

#[test]
fn summary_shows_the_signer_end_and_age_of_each_record() {
    let host = class().serve();
    let output = run(&[&host, "summary"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert!(output.stdout.contains("share/safe: 1 item\n"), "{}", output.stdout);
    let safe = output.stdout.split("share/safe").nth(1).unwrap();
    let who = |name: &str| safe.contains(&format!("{name} (…"));
    assert!(who("duckie1") && who("duckie2") && who("duckie3"), "{safe}");
    assert!(safe.contains("in 6 days") && safe.contains("30 min"), "{safe}");
    assert!(safe.contains("9 records read, 9 held by the daemon.\n"), "{safe}");
    let uploader = peer(1).to_string();
    let info = r#"{"filename":"example.bag","size":868400,"#;
    assert!(output.stdout.contains(info), "{}", output.stdout);
    let is_whole = output.stdout.contains(&format!("\"uploader\":\"{uploader}"));
    assert!(!is_whole, "a long item is shortened: {}", output.stdout);
}

#[test]
fn summary_shows_only_the_buckets_that_match() {
    let host = class().serve();
    for pattern in ["share/files", "/share/files", "*/files"] {
        let output = run(&[&host, "summary", pattern]);
        assert!(output.stdout.starts_with("share/files: 2 items\n"), "{}", output.stdout);
        assert!(!output.stdout.contains("share/safe") && !output.stdout.contains("pri/"));
    }
    let output = run(&[&host, "summary", "nothing/here"]);
    assert_eq!(output.code, 0);
    assert!(output.stdout.starts_with("No bucket that matches /nothing/here"));
}

#[test]
fn summary_for_programs_shortens_nothing() {
    let host = class().serve();
    let document = json(&run(&[&host, "--json", "summary"]));
    let buckets = document["buckets"].as_array().unwrap();
    let bucket = |name: &str| buckets.iter().find(|bucket| bucket["bucket"] == name).unwrap();
    let info = &bucket(&format!("share/info/{CID}"))["items"][0];
    assert!(info["data"].as_str().unwrap().contains("1511000000"));
    let signer = &info["signers"][0];
    assert_eq!((&signer["hostname"], &signer["peer"]), (&"duckie1".into(), &peer(1).to_string().into()));
    let number = |name: &str| signer[name].as_u64().unwrap();
    assert_eq!(number("left_seconds") + number("age_seconds"), 7 * DAY);
    assert!((1800..1900).contains(&number("age_seconds")));
    let time = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second() as u64;
    assert_eq!(time(&signer["until"]) - time(&signer["from"]), 7 * DAY);
    assert_eq!(time(&document["time"]) - time(&signer["from"]), number("age_seconds"));
}

#[test]
fn records_that_the_daemon_refused_are_counted_below_the_summary() {
    let mut daemon = class();
    let validity = Validity::starting(clock(), 60);
    let statement = Statement::new(Kind::Propose, item("share/files", "forged"), validity).unwrap();
    let mut envelope = Envelope::record(
        Address::brain(peer(9)),
        Address::every_brain(),
        &Record::sign(statement, &key(9), 1, dcache::End::default()),
    );
    envelope.payload = envelope.payload.replace("forged", "forger");
    daemon.hear(envelope);
    let host = daemon.serve();
    let metric = &telemetry::metrics::BRAIN_RECORDS_REFUSED_FORGED;
    let words = metric.help.trim_end_matches('.');
    let shown = run(&[&host, "summary"]).stdout;
    assert!(shown.contains(&format!("The daemon counts: {words}: 1.")), "{shown}");
    let document = json(&run(&[&host, "summary", "--json"]));
    assert_eq!(document["refused_by_daemon"][metric.name], 1);
}

#[test]
fn an_answer_of_many_lines_is_complete() {
    let mut daemon = Daemon::new();
    for number in 0..1500 {
        let validity = Validity::starting(clock(), 1000);
        daemon.propose(1, "share/other", &format!("number {number}"), validity);
    }
    let document = json(&run(&[&daemon.serve(), "summary", "share/other", "--json"]));
    assert_eq!(document["buckets"][0]["items"].as_array().unwrap().len(), 1500);
}

#[test]
fn hostile_texts_do_not_reach_the_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\u{202e}gpj\u{9b}2J";
    // The parser of file descriptions refuses file names with control characters. It accepts other misleading
    // characters, so the output has to escape them.
    let name = "\u{202e}gpj.bag";
    let mut daemon = Daemon::new();
    let validity = Validity::starting(clock(), 1000);
    let name_text = serde_json::to_string(name).unwrap();
    let info = format!(r#"{{"filename":{name_text},"size":1,"changed":1,"uploader":"{}"}}"#, peer(1));
    daemon.propose(1, &format!("pri/{}/info/hostname", peer(1)), evil, validity);
    daemon.propose(1, "share/files", CID, validity);
    daemon.propose(1, "share/files", evil, validity);
    daemon.propose(1, &format!("share/info/{CID}"), &info, validity);
    daemon.propose(1, "share/a\u{202e}b", "x", validity);
    let host = daemon.serve();
    for command in ["summary", "report", "ping", "version", "online", "network"] {
        for form in ["--json", "--timeout=10"] {
            let output = run(&[&host, command, form]);
            assert_eq!(output.code, 0, "{}", output.stderr);
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!output.stdout.contains(steers), "{command} {form}: {:?}", output.stdout);
        }
    }
    let document = json(&run(&[&host, "report", "--json"]));
    assert_eq!(document["files"][0]["name"], name, "programs get the unchanged name");
}

#[test]
fn ping_shows_times_and_the_identity_of_the_daemon() {
    let mut daemon = class();
    let bucket = format!("pri/{}/info/hostname", peer(served::DAEMON));
    daemon.propose(served::DAEMON, &bucket, "duckie0", Validity::starting(clock(), 1000));
    let host = daemon.serve();
    let output = run(&[&host, "ping"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(output.stdout.matches("pong ").count(), 3);
    for (name, value) in [
        ("peer", peer(served::DAEMON).to_string()),
        ("hostname", "duckie0".to_owned()),
        ("version", "9.9.9".to_owned()),
        ("clock", "the same as this computer's".to_owned()),
    ] {
        assert_eq!(row(&output, &format!("{name:<8}")), format!("{name} {value}"));
    }
    let document = json(&run(&[&host, "ping", "-c", "5", "--json"]));
    assert_eq!(document["round_trip_seconds"].as_array().unwrap().len(), 5);
    assert_eq!(document["daemon"]["hostname"], "duckie0");
    assert_eq!(document["is_proven"], true);
}

#[test]
fn ping_says_that_a_host_with_the_peer_id_of_another_robot_proves_nothing() {
    for prover in [None, Some(key(9))] {
        let mut impostor = Daemon::new();
        if let Some(key) = prover {
            impostor.brain.set_prover(dcache::Prover::new(key));
        } else {
            impostor.brain = brain::Brain::new(
                peer(served::DAEMON),
                dcache::Set::default(),
                brain::Settings::default(),
                "9.9.9",
                1,
            );
        }
        let host = impostor.serve();
        let output = run(&[&host, "ping"]);
        assert!(row(&output, "peer    ").ends_with("(not proven: another host may have answered)"));
        assert_eq!(json(&run(&[&host, "ping", "--json"]))["is_proven"], false);
    }
}

#[test]
fn version_shows_the_versions_of_the_program_and_of_the_daemon() {
    let host = class().serve();
    let own = env!("CARGO_PKG_VERSION");
    let expected = format!("dt-swarm-cli {own}\ndt-swarm at {host}: 9.9.9\n");
    assert_eq!(run(&[&host, "version"]).stdout, expected);
    let document = json(&run(&[&host, "version", "--json"]));
    let versions = (&document["cli_version"], &document["daemon"]["version"]);
    assert_eq!(versions, (&own.into(), &"9.9.9".into()));
}

#[test]
fn a_wrong_clock_is_reported_and_the_clock_of_the_daemon_is_used() {
    let mut daemon = Daemon::new();
    daemon.clock_ahead = 3 * DAY;
    let then = Time(clock().0 + 3 * DAY);
    daemon.propose(1, "share/files", CID, Validity::starting(Time(then.0 - 100), 1000));
    let host = daemon.serve();
    let output = run(&[&host, "report", "--wide"]);
    assert!(output.stdout.contains(CID), "{}", output.stdout);
    let warning = format!("the clock of {host} is 3 days ahead of this computer's");
    assert!(output.stderr.contains(&warning), "{}", output.stderr);
    let document = json(&run(&[&host, "ping", "--json"]));
    let ahead = document["daemon"]["clock_ahead_seconds"].as_i64().unwrap();
    assert!((ahead - (3 * DAY) as i64).abs() <= 5, "{ahead}");
}

#[test]
fn a_pipe_that_its_reader_closes_is_no_error() {
    let mut daemon = Daemon::new();
    for number in 0..200 {
        let data = Data::new(&"x".repeat(1000)).unwrap();
        let validity = Validity::starting(clock(), 1000);
        daemon.propose(1, &format!("share/{number}"), data.as_str(), validity);
    }
    let host = daemon.serve();
    let mut child = run_with(&[&host, "summary", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn query_shows_every_statement_and_whether_it_counts() {
    let mut daemon = class();
    let now = clock();
    daemon.propose(1, "trusted", &peer(2).to_string(), Validity::starting(now, DAY));
    daemon.propose(1, "share/notes", "later", Validity::starting(now.plus(3600), DAY));
    daemon.say(2, Kind::Dismiss, "share/files", CID, Validity::starting(now, DAY));
    let host = daemon.serve();

    let output = run(&[&host, "query", "share/files"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert!(output.stdout.starts_with("share/files: 2 items\n"), "{}", output.stdout);
    assert!(row(&output, "dismissed").contains(" no dismissed duckie2 (…"), "{}", output.stdout);

    let given = json(&run(&[&host, "query", "trusted", "--json"]));
    let word = &given["items"][0]["statements"][0];
    assert_eq!((&given["items"][0]["is_in_bucket"], &word["is_counted"]), (&false.into(), &false.into()));
    assert!(word["reason"].as_str().unwrap().contains("this swarm has no roots"), "{word}");

    let notes =
        |arguments: &[&str]| json(&run(&[&[&host, "query", "share/notes", "--json"], arguments].concat()));
    assert_eq!(notes(&[])["items"][0]["is_in_bucket"], false);
    let at = format!("@{}", now.0 + 4000);
    assert_eq!(notes(&["--at", &at])["items"][0]["is_in_bucket"], true);
    assert!(run(&[&host, "query", "nothing"]).stdout.starts_with("There are no statements about"));
}

#[test]
fn a_swarm_file_decides_which_records_count() {
    let mut daemon = Daemon::new();
    let (now, root) = (clock(), peer(1));
    let roots = format!("name = \"class\"\nroots = [\"{root}\"]\n");
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("decides.toml");
    std::fs::write(&file, roots).unwrap();
    daemon.propose(1, "trusted", &peer(2).to_string(), Validity::starting(now, DAY));
    daemon.propose(2, "share/verified", CID, Validity::starting(now, DAY));
    daemon.propose(3, "share/verified", "other", Validity::starting(now, DAY));
    let host = daemon.serve();
    let items = |arguments: &[&str]| {
        let summary = json(&run(&[&[&host, "summary", "share/verified", "--json"], arguments].concat()));
        summary["buckets"][0]["items"].as_array().unwrap().len()
    };
    assert_eq!(items(&[]), 2, "in the open swarm");
    assert_eq!(items(&["--swarm", file.to_str().unwrap()]), 1, "in the swarm of the file");
}

#[test]
fn questions_and_answers_are_sealed_in_a_swarm_with_a_key() {
    let key = SwarmKey::from_bytes([5; 32]);
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("sealed.toml");
    let swarm = SwarmFile::new("class", [peer(1)].into()).unwrap().with_key(key.clone());
    std::fs::write(&file, swarm.to_toml()).unwrap();
    let mut daemon = class();
    daemon.swarm_key = Some(key);
    // These records do not fit into one line.
    for number in 0..200 {
        daemon.propose(
            1,
            "share/notes",
            &format!("{number} {}", "x".repeat(500)),
            Validity::starting(clock(), DAY),
        );
    }
    let host = daemon.serve();
    let ask =
        |command: &[&str]| run(&[&[host.as_str(), "--swarm", file.to_str().unwrap()], command].concat());
    assert_eq!(ask(&["ping", "-c", "2"]).code, 0);
    let summary = json(&ask(&["summary", "share/notes", "--json"]));
    assert_eq!(summary["buckets"][0]["items"].as_array().unwrap().len(), 200);
    assert_eq!(ask(&["report"]).code, 0);
}

#[test]
fn watch_prints_the_present_items_at_once() {
    use std::io::{BufRead as _, BufReader};
    let host = class().serve();
    let mut command = run_with(&[&host, "watch", "share/safe", "--json"]);
    let mut watch = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watch.stdout.take().unwrap()).read_line(&mut line).unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    let change: Value = serde_json::from_str(&line).unwrap();
    vocabulary::check(&change);
    assert_eq!((&change["change"], &change["data"]), (&"appeared".into(), &CID.into()));
    assert_eq!(change["signers"].as_array().unwrap().len(), 3);
}

#[test]
fn stats_show_channels_counters_and_how_far_behind_the_daemon_is() {
    let host = class().serve();
    let output = run(&[&host, "stats"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert!(
        output.stdout.contains("no peer was heard lately; no peer has had the same records yet"),
        "{}",
        output.stdout
    );
    // If HOST is this computer, the program first pings the daemon to find out its identity. So the daemon receives
    // two lines: the ping and the question.
    let links = row(&output, "links");
    assert!(links.starts_with("links 1 lines ") && links.contains(" B 2 lines "), "{links}");
    assert!(
        row(&output, telemetry::metrics::BRAIN_LINES_RECEIVED.help).starts_with("2 "),
        "{}",
        output.stdout
    );
    let stats = json(&run(&[&host, "stats", "--json"]));
    assert_eq!(stats["channels"][0]["name"], "links");
    assert_eq!(stats["sync"]["behind"], 0);
    assert_eq!(
        stats["daemon"]["records"],
        stats["counters"][telemetry::metrics::BRAIN_OWN_RECORDS_TAKEN.name]
    );
    let channels = json(&run(&[&host, "channels", "--json"]));
    assert_eq!(
        (&channels["channels"][0]["name"], &channels["troubles"]),
        (&"links".into(), &Value::Array(vec![]))
    );
}
