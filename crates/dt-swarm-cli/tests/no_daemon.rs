//! Runs the program without a daemon, and against servers that are not daemons or that send forged records. The program
//! must end within its time limit, with one sentence on stderr.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod served;
#[path = "../src/output/vocabulary.rs"]
#[allow(dead_code, reason = "here all documents come from the program")]
mod vocabulary;

use dcache::{Kind, Record, Statement, SwarmFile, Validity};
use routing::{Address, Envelope, MAX_LINE_BYTES, MAX_SIGNATURES, Message};
use seal::{LinkHandshake, SwarmKey};
use served::{Daemon, Output, clock, item, key, peer, run, serve};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Runs the program, which has to exit with 1, print one line with `words` on stderr, and print nothing on stdout.
fn fails(arguments: &[&str], words: &str) -> Output {
    let output = run(arguments);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    assert!(output.stderr.contains(words), "{}", output.stderr);
    output
}

/// Starts a server that writes `bytes` and then waits until the other side closes the connection.
fn says(bytes: Vec<u8>) -> String {
    serve(move |mut stream| {
        let _ = stream.write_all(&bytes);
        hold(stream);
    })
}

fn hold(mut stream: TcpStream) {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).is_ok_and(|length| length > 0) {}
}

fn record(data: &str) -> Envelope {
    let validity = Validity::starting(clock(), 1000);
    let statement = Statement::new(Kind::Propose, item("share/files", data), validity).unwrap();
    let record = Record::sign(statement, &key(1), 1, dcache::End::default());
    Envelope::record(Address::brain(peer(1)), Address::command_line(), &record)
}

fn pong() -> Envelope {
    let payload = Message::pong(Validity::ALWAYS);
    Envelope::new(Address::brain(peer(1)), Address::command_line(), payload)
}

fn lines(envelopes: &[Envelope]) -> Vec<u8> {
    let lines = envelopes.iter().map(|envelope| envelope.encode() + "\n");
    lines.collect::<String>().into_bytes()
}

#[test]
fn a_port_without_a_listener_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    for command in ["summary", "report", "ping", "version"] {
        let words = format!(
            "no daemon answers at {host}: connection refused. Is dt-swarm running there? Start it with `dt-swarm`."
        );
        fails(&[&host, command], &words);
    }
}

#[test]
fn a_host_name_that_cannot_be_resolved_is_reported() {
    // A DNS label has at most 63 characters. This name is refused without a query to a DNS server.
    let name = "x".repeat(70);
    fails(&[&name, "report"], "cannot be resolved");
}

#[test]
fn a_server_of_another_protocol_is_recognised() {
    let long = vec![b'x'; MAX_LINE_BYTES + 2];
    for bytes in [
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"\xff\xfe\x00\n".to_vec(),
        b"\n".to_vec(),
        long,
        lines(&[Envelope::new(Address::brain(peer(1)), Address::command_line(), "{}".to_owned())]),
        lines(&[Envelope { from: Address::command_line(), ..pong() }]),
    ] {
        fails(&[&says(bytes), "report"], "is no dt-swarm daemon");
    }
}

#[test]
fn a_silent_server_leads_to_a_timeout() {
    let host = says(Vec::new());
    let output = fails(&[&host, "report", "--timeout", "0.3"], "sent nothing for 0.3 s");
    assert!(output.took >= Duration::from_millis(300));
}

#[test]
fn bytes_without_a_line_end_do_not_extend_the_timeout() {
    let host = serve(|mut stream| {
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    fails(&[&host, "report", "--timeout", "0.5"], "sent nothing for 0.5 s");
}

#[test]
fn an_incomplete_answer_is_an_error() {
    let part = lines(&[record("cid")]);
    let host = serve(move |mut stream| {
        let _ = stream.write_all(&part);
    });
    // Closing the connection with unread data may also reset it. In both cases the answer is incomplete.
    let output = run(&[&host, "report"]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(output.stderr.contains("Try again."), "{}", output.stderr);
}

#[test]
fn bytes_without_end_are_cut_off() {
    let mut chatter =
        Envelope::new(Address::brain(peer(1)), Address::command_line(), Message::ping(Validity::ALWAYS));
    chatter.comment = Some("x".repeat(MAX_LINE_BYTES - 1000));
    let line = lines(&[chatter]);
    let host = serve(move |mut stream| while stream.write_all(&line).is_ok() {});
    fails(&[&host, "report"], "does not end: it exceeds the limit of 100 MB");
}

#[test]
fn a_report_is_read_in_parts_that_have_limits_of_their_own() {
    let mut chatter = pong();
    (chatter.payload, chatter.comment) = (Message::ping(Validity::ALWAYS), Some("x".repeat(15_000)));
    let (flood, end) = (lines(&vec![chatter; 1700]), lines(&[record("cid"), pong()]));
    let host = serve(move |mut stream| {
        let questions = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        for question in questions {
            // Sends the flood once for each bucket that the question asks for: 130 MB in total.
            let all =
                if question.contains("/share/*") { 5 } else { usize::from(question.contains("/share/")) };
            let is_sent = (0..all).all(|_| stream.write_all(&flood).is_ok());
            if !is_sent || stream.write_all(&end).is_err() {
                return;
            }
        }
    });
    let output = run(&[&host, "report"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
}

#[test]
fn records_without_end_are_cut_off() {
    let mut crowded = record("cid");
    crowded.signatures = vec![crowded.signatures[0]; MAX_SIGNATURES];
    let line = lines(&[crowded]);
    let host = serve(move |mut stream| while stream.write_all(&line).is_ok() {});
    fails(&[&host, "report"], "does not end: it exceeds the limit of 200000 records");
}

#[test]
fn records_without_a_valid_signature_are_left_out() {
    let mut forged = record("true");
    forged.payload = forged.payload.replace("true", "false");
    let mut bare = record("bare");
    bare.signatures.clear();
    let host = says(lines(&[record("good"), forged, bare, pong()]));
    let output = run(&[&host, "summary"]);
    assert_eq!(output.code, 0);
    assert!(output.stdout.contains("good"), "{}", output.stdout);
    assert!(!output.stdout.contains("false") && !output.stdout.contains("bare"));
    assert!(
        output
            .stdout
            .contains("Left out here: 1, because: the signature does not fit, or was made in another swarm.")
    );
    assert!(output.stdout.contains("Left out here: 1, because: it has no signature."));
    assert!(output.stdout.contains("1 record read.\n"), "an original node's pong has no status");
}

#[test]
fn an_invalid_command_line_exits_with_2() {
    let host = Daemon::new().serve();
    for arguments in [
        &[&host, "fly"][..],
        &[&host],
        &["a b", "report"],
        &[&host, "ping", "-c", "0"],
        &[&host, "report", "--timeout", "0"],
    ] {
        assert_eq!(run(arguments).code, 2, "{arguments:?}");
    }
    fails(&[&host, "summary", "share/[a"], "not a pattern for buckets");
}

#[test]
fn help_has_examples() {
    let output = run(&["--help"]);
    assert_eq!(output.code, 0);
    assert!(output.stdout.contains("dt-swarm-cli localhost report"));
}

#[test]
fn commands_that_change_something_need_the_daemon_of_this_computer() {
    let elsewhere = ["duckie.local", "propose", "share/notes", "x"];
    fails(&elsewhere, "is another computer, and this command works only on the robot itself");
    fails(&["duckie.local", "swarm", "leave"], "is another computer");
    for command in
        [&["propose", "share/notes", "x"][..], &["dismiss", "share/notes", "x"], &["swarm", "leave"]]
    {
        let words = [&["localhost"], command].concat();
        fails(&words, "no daemon answers at");
        fails(&[&words[..], &["--socket", "/nowhere/s"]].concat(), "Is dt-swarm running here? Start it with");
    }
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mute.sock");
    let _ = std::fs::remove_file(&path);
    let _mute = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mute = ["localhost", "swarm", "leave", "--timeout", "0.3", "--socket", path.to_str().unwrap()];
    fails(&mute, "has not answered for 0.3 s");
}

/// Writes a swarm file with this key, and returns its path.
fn keyed(byte: u8) -> String {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keyed-{byte}.toml"));
    let swarm = SwarmFile::new("keyed", [peer(1)].into()).unwrap().with_key(SwarmKey::from_bytes([byte; 32]));
    std::fs::write(&file, swarm.to_toml()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Starts a server that does the handshake of a daemon with a key, and nothing else: it sends its hello, and then its
/// proof to a client that sent a hello.
fn greets(byte: u8) -> String {
    serve(move |mut stream| {
        let ours = LinkHandshake::new(&SwarmKey::from_bytes([byte; 32]), [byte; 32], false);
        let _ = stream.write_all((ours.hello() + "\n").as_bytes());
        let mut line = String::new();
        let _ = BufReader::new(stream.try_clone().unwrap()).read_line(&mut line);
        if let Ok((mut sealer, _)) = ours.finish(line.trim_end().as_bytes()) {
            let _ = stream.write_all((sealer.seal(b"") + "\n").as_bytes());
            hold(stream);
        }
    })
}

#[test]
fn a_different_or_missing_swarm_key_is_reported() {
    for command in ["ping", "summary", "report"] {
        fails(
            &[&greets(1), command],
            "belongs to a swarm with a key: name the file of that swarm with --swarm",
        );
        fails(
            &[&greets(1), command, "--swarm", &keyed(2)],
            "belongs to a different swarm, with a different key",
        );
        for plain in [says(lines(&[pong()])), says(Vec::new()), serve(drop)] {
            fails(
                &[&plain, command, "--swarm", &keyed(2), "--timeout", "0.3"],
                "did not prove that it has the key",
            );
        }
    }
    // With the right key, the handshake succeeds and only the answer is missing.
    fails(&[&greets(2), "ping", "--swarm", &keyed(2), "--timeout", "0.3"], "sent nothing for 0.3 s");
}

/// Parses the printed document, and checks it against the vocabulary.
fn document(text: &str) -> serde_json::Value {
    let document = serde_json::from_str(text).unwrap();
    vocabulary::check(&document);
    document
}

#[test]
fn a_swarm_and_its_key_are_made_without_a_daemon_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("made");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = served::run_with(&[&["localhost"], arguments].concat());
        let output = command.current_dir(&folder).env("HOME", &folder).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(run(&["swarm", "init", "a.toml", "--name", "Class 7"]).0, 0);
    let key = folder.join(".config/dt-swarm/keys/class-7-root.key");
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, _, told) = run(&["swarm", "init", "a.toml", "--name", "Class 7"]);
    assert!(code == 1 && told.contains("a.toml already exists"), "{told}");
    let (code, _, told) = run(&["swarm", "init", "b.toml", "--name", "Class 7"]);
    assert!(code == 1 && told.contains("a key is never overwritten"), "{told}");
    assert_eq!(run(&["swarm", "init", "b.toml", "--name", "again", "--root", "class-7-root"]).0, 0);
    let (code, _, told) = run(&["swarm", "init", "c.toml", "--name", "a\nb"]);
    assert!(code == 1 && told.contains("control characters"), "{told}");

    let (code, told, _) =
        run(&["swarm", "init", "k.toml", "--name", "x", "--root", "class-7-root", "--with-key"]);
    assert!(code == 0 && told.contains("Keep it secret"), "{told}");
    assert_eq!(std::fs::metadata(folder.join("k.toml")).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(folder.join("k.toml")).unwrap();
    let (_, hidden, _) = run(&["swarm", "show", "k.toml"]);
    let (_, shown, _) = run(&["swarm", "show", "k.toml", "--show-key"]);
    assert!(hidden.contains("--show-key") && shown.contains(&text), "{hidden}");

    let swarm = document(&run(&["swarm", "show", "a.toml", "--json"]).1);
    let keys = document(&run(&["keys", "--json", "--swarm", "b.toml"]).1);
    let peer = &swarm["roots"][0]["peer"];
    assert_eq!((&keys["keys"][1]["peer"], &keys["keys"][1]["role"]), (peer, &"root".into()));
    assert_eq!(run(&["keys", "new", "teacher"]).0, 0);
    std::fs::write(folder.join("a.toml"), "name = 'Class 7").unwrap();
    let (code, _, told) = run(&["swarm", "show", "a.toml"]);
    assert!(code == 1 && told.contains("a.toml is not a swarm file"), "{told}");
}
