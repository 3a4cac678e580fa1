//! The numbers of files that the daemon on this computer leaves out for now, by reason.

use crate::context::Context;
use crate::text::count;
use logs::{Answer, LeftOutFiles, Logs, Request};
use serde::Serialize;
use std::fmt::Write as _;

/// The numbers of files that are left out for now.
#[derive(Debug, Serialize)]
pub(super) struct LeftOut {
    /// Files of the shared folder that are not shared, because the swarm keeps a limited number of records of each
    /// robot.
    own_files: usize,
    /// Files of other robots that this robot does not keep, for the same reason.
    other_files: usize,
    /// Files of the shared folder that a program holds open for writing.
    open_files: usize,
}

impl LeftOut {
    /// Asks the daemon. Returns `None` when it runs on another computer, its control socket cannot be used, or it does
    /// not know the request.
    pub(super) fn ask(context: &Context) -> Option<Self> {
        match context.client().ok()?.call::<Logs>(&Request::LeftOut {}).ok()? {
            Answer::LeftOut(LeftOutFiles { own, others, open }) => {
                Some(Self { own_files: own, other_files: others, open_files: open })
            }
            _ => None,
        }
    }

    /// Returns a line for each reason for which files are left out.
    pub(super) fn show(&self) -> String {
        let lines = [
            (
                self.own_files,
                "of the shared folder left out: the catalogue of a robot lists at most 100,000 files. Pack small files into \
                 one, or remove some.",
            ),
            (
                self.other_files,
                "of other robots not kept here: the catalogue of a robot lists at most 100,000 files.",
            ),
            (self.open_files, "of the shared folder not shared yet: still open for writing in a program."),
        ];
        let mut shown = String::new();
        for (number, reason) in lines.into_iter().filter(|(number, _)| *number > 0) {
            // Writing to a String does not fail.
            let _ = writeln!(shown, "{} {reason}", count(number, "file"));
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;

    #[test]
    fn each_reason_has_a_line_only_if_it_has_files() {
        let left_out = |own_files, other_files, open_files| LeftOut { own_files, other_files, open_files };
        assert_eq!(left_out(0, 0, 0).show(), "");
        let shown = left_out(1303, 0, 1).show();
        assert!(
            shown.starts_with("1303 files of the shared folder left out") && shown.lines().count() == 2,
            "{shown}"
        );
        vocabulary::checked(&left_out(1, 2, 3));
    }
}
