//! Recordings that the PyPI packages `rosbags` and `mcap` wrote are described as their readers describe them.

use std::process::Command;
use std::time::Duration;

use lab::peers::{recordings_available, write_recordings};
use lab::{Error, Result, example, or_skip, run};
use serde_json::Value;

/// Time limit for describing all recordings.
const LIMIT: Duration = Duration::from_secs(60);

/// Returns the keys of an expectation that differ, with both values. Keys that a description leaves out are false or none.
fn differences(expected: &Value, description: &Value) -> Vec<String> {
    let keys = ["from", "until", "messages", "topics", "is_cut", "is_partial", "fault"];
    let unset = |value: &Value| value.is_null() || *value == false;
    let difference = |key: &str| {
        let (expected, found) = (&expected[key], value(description, key));
        let is_same = *expected == found || unset(expected) && unset(&found);
        (!is_same).then(|| format!("{key}: {found} not {expected}"))
    };
    keys.into_iter().filter_map(difference).collect()
}

/// Returns a value of a description in the form of an expectation.
fn value(description: &Value, key: &str) -> Value {
    if key != "topics" {
        return description[key].clone();
    }
    let topics = description["topics"].as_array().cloned().unwrap_or_default();
    let topic = |topic: Value| {
        Value::from(["name", "message_type", "messages"].map(|key| topic[key].clone()).to_vec())
    };
    topics.into_iter().map(topic).collect()
}

#[test]
fn recordings_of_other_writers_are_described_rightly() -> Result {
    let test = "recordings_of_other_writers_are_described_rightly";
    if or_skip(test, recordings_available()).is_none() {
        return Ok(());
    }
    let folder =
        tempfile::tempdir().map_err(|source| Error::Io { what: "a temporary folder".into(), source })?;
    let expected = write_recordings(folder.path())?;
    let mut command = Command::new(example("recordings", "describe")?);
    let expected = expected.as_object().cloned().unwrap_or_default();
    command.current_dir(folder.path()).args(expected.keys());
    let lines = run(command, LIMIT)?.success("describing recordings")?;
    let mut wrong = Vec::new();
    for (line, (name, expected)) in lines.lines().zip(&expected) {
        let line: Value = serde_json::from_str(line)
            .map_err(|problem| Error::Answer { what: problem.to_string(), answer: line.to_owned() })?;
        assert_eq!(line["path"], name.as_str());
        let found = differences(expected, &line["description"]);
        println!("{name}: {} reads, {} bytes", line["reads"], line["bytes"]);
        wrong.extend(found.into_iter().map(|difference| format!("{name}: {difference}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(lines.lines().count(), expected.len());
    assert!(expected.len() >= 30, "{} recordings", expected.len());
    Ok(())
}
