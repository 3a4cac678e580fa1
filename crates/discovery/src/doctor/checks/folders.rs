//! The permissions of the data folder and of the shared folder.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::{FOLDER_DATA_OPEN, FOLDER_SHARED_UNREADABLE};
use crate::doctor::findings::{broken, works};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;
use telemetry::report;

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let data = observed.data.as_ref().map(|data| match &data.open_path {
        Some(path) => broken(&report!(FOLDER_DATA_OPEN, path = path)),
        None => works("folder.data", format!("no other user of this host can read {}", data.path)),
    });
    let shared = observed.shared.as_ref().map(|shared| match &shared.error {
        Some(error) => broken(&report!(FOLDER_SHARED_UNREADABLE, folder = shared.path, error = error)),
        None => works("folder.shared", format!("the shared folder {} can be read", shared.path)),
    });
    data.into_iter().chain(shared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::observed::{DataFolder, SharedFolder};

    #[test]
    fn an_open_data_folder_and_an_unreadable_shared_folder_are_named() {
        let check = |open: bool| {
            let data = DataFolder { open_path: open.then(|| "/data".into()), ..DataFolder::default() };
            let shared = SharedFolder { path: "/logs".into(), error: open.then(|| "gone".into()) };
            check(&Observed { data: Some(data), shared: Some(shared), ..Observed::default() })
        };
        let codes = |open| check(open).into_iter().map(|finding| finding.code).collect::<Vec<_>>();
        assert_eq!(codes(true), ["folder.data-open", "folder.shared-unreadable"]);
        assert_eq!(codes(false), ["folder.data", "folder.shared"]);
    }
}
