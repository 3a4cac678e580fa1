//! Target: the question about metrics of a robot, and its answer.

use diagnostics::remote::wire::{Question, encode, read_question, read_reply};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let questions = [
        Question::Values {},
        Question::Points { metric: "hw.temperature".to_owned(), seconds: 7200, after: Some(9) },
    ];
    let replies = [
        r#"{"values":{"values":[{"series":{"metric":"hw.temperature","label":"cpu","unit":"Cel"},"value":50.5}]}}"#,
        r#"{"points":{"series":[{"metric":"a","unit":"1","is_counter":true}],"rows":[{"time":1800000000,"is_exact":true,"values":[1.0,null]}],"step_seconds":10,"next":7,"is_clock_certain":false}}"#,
        r#"{"refused":{"reason":"later"}}"#,
    ];
    let questions = questions.iter().map(|question| encode(question).trim_ascii_end().to_vec());
    questions.chain(replies.map(|reply| reply.as_bytes().to_vec())).collect()
}

/// Checks that a message that was read is the same after writing and reading it.
pub fn check(bytes: &[u8]) {
    if let Ok(question) = read_question(bytes) {
        let written = encode(&question);
        // Escapes can make the text longer than the limit.
        if let Ok(again) = read_question(written.trim_ascii_end()) {
            assert_eq!(again, question);
        }
    }
    if let Ok(reply) = read_reply(bytes) {
        let written = encode(&reply);
        assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1, "a message is one line");
        if let Ok(again) = read_reply(written.trim_ascii_end()) {
            assert_eq!(again, reply);
        }
    }
}
