//! Questions that the owner of this robot has not answered yet, for `doctor`.

use std::collections::BTreeMap;
use telemetry::FaultReport;
use tokio::sync::watch;

/// Questions that the owner of this robot has not answered yet, such as whether usage statistics may be sent. A service asks
/// only where an answer matters: where others wait for the data. A clone refers to the same questions. All services get them
/// by [`SharedValues::get`](crate::SharedValues::get).
#[derive(Clone, Debug, Default)]
pub struct OpenQuestions(watch::Sender<BTreeMap<&'static str, FaultReport>>);

impl OpenQuestions {
    /// Replaces the question of a service, which it names by its own name. `None` means that there is none.
    pub fn set(&self, service: &'static str, question: Option<FaultReport>) {
        self.0.send_modify(|questions| {
            match question {
                Some(question) => questions.insert(service, question),
                None => questions.remove(service),
            };
        });
    }

    /// Returns the questions of all services.
    pub fn list(&self) -> Vec<FaultReport> {
        self.0.borrow().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedValues;
    use telemetry::report;

    telemetry::faults! {
        QUESTION = "question.one": "is it so?"; "say yes or no";
    }

    #[test]
    fn a_service_has_one_question_until_it_is_answered() {
        let values = SharedValues::default();
        let of = |service| values.get::<OpenQuestions>().set(service, Some(report!(QUESTION)));
        of("a");
        of("a");
        of("b");
        assert_eq!(values.get::<OpenQuestions>().list().len(), 2);
        values.get::<OpenQuestions>().set("a", None);
        assert_eq!(values.get::<OpenQuestions>().list(), [report!(QUESTION)]);
    }
}
