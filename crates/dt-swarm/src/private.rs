//! Lists the files and folders that belong to the daemon itself and are never given to other peers.

use crate::config::{Arguments, Config, config_file};
use service::{Environment, PrivatePlace, PrivatePlaces};
use std::path::PathBuf;

/// Returns all files and folders of the daemon itself.
pub(crate) fn places(arguments: &Arguments, config: &Config, environment: &Environment) -> PrivatePlaces {
    let place = |path: PathBuf, what, option| PrivatePlace { path, what, option, may_hold_others: false };
    let named = [
        (Some(config.ipfs_dir.clone()), "the block store", "--ipfs-dir"),
        (Some(config.control_socket.clone()), "the control socket", "--socket"),
        (Some(config.swarm_file.clone()), "the swarm file", "--swarm"),
        (config_file(arguments, environment), "the configuration file", "--config"),
        (environment.places.keys(), "the folder of key files", "XDG_CONFIG_HOME"),
    ];
    // The data folder may contain the shared folder in addition to the daemon's own files.
    let data = place(config.data_dir.clone(), "the data folder", "--data-dir");
    let data = PrivatePlace { may_hold_others: true, ..data };
    let named = named.into_iter().filter_map(|(path, what, option)| Some(place(path?, what, option)));
    PrivatePlaces::new([data].into_iter().chain(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use control::Places;
    use std::fs;

    #[test]
    fn private_files_inside_the_shared_folder_are_reported() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name).display().to_string();
        let shared = root.path().join("shared");
        fs::create_dir_all(&shared).unwrap();
        let overlap = |option: &str, path: &str, home: &str| {
            let usual = [("--data-dir", at("data")), ("--socket", at("sock")), ("--swarm", at("swarm.toml"))];
            let mut flags = vec!["dt-swarm".to_owned()];
            for (usual, path) in usual.into_iter().filter(|(usual, _)| *usual != option) {
                flags.extend([usual.to_owned(), path]);
            }
            flags.extend([option.to_owned(), path.to_owned()]);
            let places = Places { home: Some(home.into()), ..Places::default() };
            let environment = Environment { places, ..Environment::default() };
            let arguments = Arguments::parse_from(flags);
            fs::write(shared.join("config.toml"), "").unwrap();
            let config = Config::load(&arguments, &environment, &[]).unwrap();
            super::places(&arguments, &config, &environment)
                .overlap(&shared)
                .map(|overlap| overlap.to_string())
        };
        let home = at("home");
        assert_eq!(overlap("--ipfs-dir", &at("ipfs"), &home), None);
        for option in ["--data-dir", "--ipfs-dir", "--socket", "--swarm", "--config"] {
            let file = if option == "--config" { "shared/config.toml" } else { "shared/run/x" };
            let told = overlap(option, &at(file), &home).unwrap();
            assert!(told.contains(option), "{told}");
        }
        let told = overlap("--ipfs-dir", &at("ipfs"), &at("shared")).unwrap();
        assert!(told.contains("shared"), "{told}");
    }
}
