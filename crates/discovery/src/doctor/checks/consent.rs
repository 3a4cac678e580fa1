//! Questions to the owner of this robot, where others wait for the answer. An open question is never a fault.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::findings::told;
use crate::doctor::observed::Observed;
use crate::protocol::{Finding, Verdict};
use telemetry::FaultReport;

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let finding = |question: &FaultReport| {
        told(question.code(), Verdict::Unknown, question.sentence(), Some(question.way_out()))
    };
    observed.questions.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::report;

    telemetry::faults! {
        QUESTION = "consent.one": "nobody has decided it"; "decide it";
    }

    #[test]
    fn an_open_question_is_shown_with_the_way_to_answer_it() {
        assert_eq!(check(&Observed::default()), []);
        let observed = Observed { questions: vec![report!(QUESTION)], ..Observed::default() };
        let [finding] = check(&observed).try_into().unwrap();
        assert_eq!((finding.code.as_str(), finding.verdict), ("consent.one", Verdict::Unknown));
        assert_eq!(finding.remedy.as_deref(), Some("decide it"));
    }
}
