//! Where things are when nobody said otherwise (XDG Base Directory Specification 0.8).

use std::path::{Path, PathBuf};

/// The socket's name in its folder.
const SOCKET: &str = "control.sock";

/// What the environment says about folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// `$HOME`.
    pub home: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `$XDG_DATA_HOME`.
    pub data_home: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<PathBuf>,
}

impl Places {
    /// Those of this process. The specification has relative paths ignored.
    pub fn current() -> Self {
        let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Self {
            home: folder("HOME"),
            config_home: folder("XDG_CONFIG_HOME"),
            data_home: folder("XDG_DATA_HOME"),
            runtime_dir: folder("XDG_RUNTIME_DIR"),
        }
    }

    /// Our folder for what people write; `None` when there is no home.
    pub fn config(&self) -> Option<PathBuf> {
        let folder = self.config_home.clone().or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(folder.join("dt-swarm"))
    }

    /// Our folder for what the daemon writes; `None` when there is no home.
    pub fn data(&self) -> Option<PathBuf> {
        let folder = self.data_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/share")))?;
        Some(folder.join("dt-swarm"))
    }

    /// The swarm that this node belongs to.
    pub fn swarm_file(&self) -> Option<PathBuf> {
        Some(self.config()?.join("swarm.toml"))
    }

    /// The folder of key files.
    pub fn keys(&self) -> Option<PathBuf> {
        Some(self.config()?.join("keys"))
    }

    /// Where the daemon with this data folder opens its socket.
    pub fn socket(&self, data: &Path) -> PathBuf {
        match &self.runtime_dir {
            Some(runtime_dir) => runtime_dir.join("dt-swarm").join(SOCKET),
            None => data.join(SOCKET),
        }
    }

    /// Where a daemon's socket is to be looked for, in this order: the daemon may have been started without a runtime
    /// folder, by a boot script.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let runtime = self.runtime_dir.as_ref().map(|folder| folder.join("dt-swarm").join(SOCKET));
        runtime.into_iter().chain(self.data().map(|folder| folder.join(SOCKET))).collect()
    }

    /// Where the sockets of all users' daemons are to be looked for, by root: of at most so many users below `root`, which
    /// is `/` but for tests.
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
    fn follows_the_environment_and_else_the_home() {
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
    fn root_looks_at_the_places_of_all_users() {
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
    fn without_a_home_there_are_none() {
        let places = Places::default();
        assert_eq!((places.keys(), places.swarm_file(), places.sockets().len()), (None, None, 0));
    }
}
