//! The copies that the daemon on this computer let go of lately.

use crate::context::Context;
use crate::output::fields::{FileRef, Timestamp};
use crate::text::{clean, count, size};
use logs::{Answer, DroppedFile, Logs, Request};
use serde::Serialize;

/// Maximum number of files that a line names.
const MAX_NAMED: usize = 3;
/// Maximum number of characters of a name.
const MAX_NAME_SHOWN: usize = 48;

/// A copy that the daemon let go of, because other robots keep the file.
#[derive(Debug, Serialize)]
pub(super) struct Dropped {
    #[serde(flatten)]
    file: FileRef,
    /// When the copy was let go of.
    dropped_time: Timestamp,
    /// Whether the disk had too little free space. Otherwise there were more copies than needed.
    was_for_space: bool,
    /// Whether it was a file of this robot, which was deleted from its shared folder to free space.
    was_own: bool,
}

impl From<DroppedFile> for Dropped {
    fn from(DroppedFile { cid, name, bytes, time, was_for_space, was_own }: DroppedFile) -> Self {
        let file = FileRef { cid, name: Some(name), bytes: Some(bytes) };
        Self { file, dropped_time: Timestamp(time), was_for_space, was_own }
    }
}

/// Asks the daemon. Returns `None` when it runs on another computer, its control socket cannot be used, or it does not
/// know the request.
pub(super) fn ask(context: &Context) -> Option<Vec<Dropped>> {
    match context.client().ok()?.call::<Logs>(&Request::Dropped {}).ok()? {
        Answer::Dropped { files } => Some(files.into_iter().map(Dropped::from).collect()),
        _ => None,
    }
}

/// Returns a line for each reason for which copies were let go of.
pub(super) fn show(dropped: &[Dropped]) -> String {
    let line = |is_meant: fn(&Dropped) -> bool, why: &str| {
        let of: Vec<&Dropped> = dropped.iter().filter(|file| is_meant(file)).collect();
        if of.is_empty() {
            return String::new();
        }
        let bytes = of.iter().filter_map(|file| file.file.bytes).fold(0, u64::saturating_add);
        let name = |file: &&Dropped| clean(file.file.name.as_deref().unwrap_or("?"), MAX_NAME_SHOWN);
        let names: Vec<String> = of.iter().take(MAX_NAMED).map(name).collect();
        let more = if of.len() > MAX_NAMED { ", …" } else { "" };
        format!(
            "{} ({}) not kept here any more, {why}: {}{more}\n",
            count(of.len(), "file"),
            size(bytes),
            names.join(", ")
        )
    };
    let free = "deleted from the shared folder to free space; they are safe elsewhere";
    line(|file| file.was_own, free)
        + &line(
            |file| file.was_for_space && !file.was_own,
            "to keep space on the disk free; other robots keep them",
        )
        + &line(|file| !file.was_for_space && !file.was_own, "because enough other robots keep them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::Time;

    fn dropped(name: &str, was_for_space: bool) -> Dropped {
        let file = DroppedFile {
            cid: "bafy".into(),
            name: name.into(),
            bytes: 2_000_000,
            time: Time(1),
            was_for_space,
            was_own: name.starts_with("own"),
        };
        file.into()
    }

    #[test]
    fn each_reason_has_a_line_with_the_newest_files() {
        assert_eq!(show(&[]), "");
        let many = [dropped("a\u{1b}.bag", true), dropped("b.bag", false), dropped("c.bag", true)];
        let shown = show(&many);
        assert!(
            shown.starts_with("2 files (4.0 MB) not kept here any more, to keep space on the disk free"),
            "{shown}"
        );
        assert!(
            shown.contains("a\\u{1b}.bag, c.bag\n1 file (2.0 MB)") && shown.ends_with(": b.bag\n"),
            "{shown}"
        );
        vocabulary::checked(&many[0]);
        let own = show(&[dropped("own.bag", true)]);
        assert!(
            own.contains("deleted from the shared folder to free space") && own.ends_with(": own.bag\n"),
            "{own}"
        );
    }
}
