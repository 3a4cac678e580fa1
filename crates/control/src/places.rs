//! Default paths of files and sockets, by the XDG Base Directory Specification 0.8.

use std::path::{Path, PathBuf};

/// File name of the socket.
const SOCKET: &str = "control.sock";

/// The folders that are set by environment variables. The default paths are below them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Value of `$HOME`, the user's home folder.
    pub home: Option<PathBuf>,
    /// Value of `$XDG_CONFIG_HOME`; without it, `.config` in the home folder is used.
    pub config_home: Option<PathBuf>,
    /// Value of `$XDG_DATA_HOME`; without it, `.local/share` in the home folder is used.
    pub data_home: Option<PathBuf>,
    /// Value of `$XDG_RUNTIME_DIR`; without it, the socket is in the data folder.
    pub runtime_dir: Option<PathBuf>,
}

impl Places {
    /// Reads the environment variables of this process. Relative paths are ignored, as the specification requires.
    pub fn current() -> Self {
        let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            home: folder("HOME"),
            config_home: folder("XDG_CONFIG_HOME"),
            data_home: folder("XDG_DATA_HOME"),
            runtime_dir: folder("XDG_RUNTIME_DIR"),
        }
    }

    /// Returns the folder for files that people write, or `None` if there is no home folder.
    pub fn config(&self) -> Option<PathBuf> {
        let folder = self.config_home.clone().or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(folder.join("dt-swarm"))
    }

    /// Returns the folder for files that the daemon writes, or `None` if there is no home folder.
    pub fn data(&self) -> Option<PathBuf> {
        let folder = self.data_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/share")))?;
        Some(folder.join("dt-swarm"))
    }

    /// Returns the path of the swarm file, which defines the swarm of this node.
    pub fn swarm_file(&self) -> Option<PathBuf> {
        Some(self.config()?.join("swarm.toml"))
    }

    /// Returns the folder of key files.
    pub fn keys(&self) -> Option<PathBuf> {
        Some(self.config()?.join("keys"))
    }

    /// Returns the path at which the daemon with this data folder opens its socket.
    pub fn socket(&self, data: &Path) -> PathBuf {
        match &self.runtime_dir {
            Some(runtime_dir) => runtime_dir.join("dt-swarm").join(SOCKET),
            None => data.join(SOCKET),
        }
    }

    /// Returns the possible paths of a daemon's socket, in the order in which a client tries them.
    ///
    /// The daemon may have been started without a runtime folder, for example by a boot script.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let runtime = self.runtime_dir.as_ref().map(|folder| folder.join("dt-swarm").join(SOCKET));
        runtime.into_iter().chain(self.data().map(|folder| folder.join(SOCKET))).collect()
    }

    /// Returns the possible paths of the sockets of all users' daemons, for a client that runs as root.
    ///
    /// At most `most` users are read from each folder of users. `root` is `/` except in tests.
    pub fn sockets_of_users(root: &Path, most: usize) -> Vec<PathBuf> {
        let folders = [("run/user", "dt-swarm"), ("home", ".local/share/dt-swarm")];
        let of_users = folders.into_iter().flat_map(|(users, inside)| {
            let users = std::fs::read_dir(root.join(users)).into_iter().flatten();
            let mut users: Vec<PathBuf> = users.flatten().map(|user| user.path()).take(most).collect();
            users.sort();
            users.into_iter().map(move |user| user.join(inside).join(SOCKET))
        });
        of_users.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_environment_or_else_the_home_folder() {
        let mut places = Places { home: Some("/home/duckie".into()), ..Places::default() };
        assert_eq!(places.keys().unwrap(), Path::new("/home/duckie/.config/dt-swarm/keys"));
        let data = Path::new("/home/duckie/.local/share/dt-swarm");
        assert_eq!(places.socket(data), data.join("control.sock"));
        assert_eq!(places.sockets(), [data.join("control.sock")]);
        places.config_home = Some("/c".into());
        places.runtime_dir = Some("/run/user/7".into());
        assert_eq!(places.swarm_file().unwrap(), Path::new("/c/dt-swarm/swarm.toml"));
        assert_eq!(places.socket(data), Path::new("/run/user/7/dt-swarm/control.sock"));
        assert_eq!(places.sockets().len(), 2);
    }

    #[test]
    fn root_finds_the_sockets_of_all_users() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["run/user/1000", "home/duckie", "home/another"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let found = Places::sockets_of_users(root.path(), 9);
        let expected = [
            "run/user/1000/dt-swarm/control.sock",
            "home/another/.local/share/dt-swarm/control.sock",
            "home/duckie/.local/share/dt-swarm/control.sock",
        ];
        assert_eq!(found, expected.map(|path| root.path().join(path)));
        assert_eq!(Places::sockets_of_users(root.path(), 1).len(), 2);
    }

    #[test]
    fn without_a_home_folder_there_are_no_paths() {
        let places = Places::default();
        assert_eq!((places.keys(), places.swarm_file(), places.sockets().len()), (None, None, 0));
    }
}
