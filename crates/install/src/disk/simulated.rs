//! A disk in memory that loses power at a given operation.
//!
//! The model is a file system that keeps only what it must. Of the content that was not synced, any part may be on the disk,
//! the rest is zeros or missing. Of the changes in a folder since its last sync, the first ones are on the disk and the
//! others are lost. Folders do not wait for each other. A rename within a folder is one change.

use super::{Disk, EntryKind, NewFile};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Number of a file, folder or link.
type Id = usize;
/// The names in a folder.
type Names = BTreeMap<OsString, Id>;

const ROOT: Id = 0;

#[derive(Clone, Debug)]
enum Node {
    File {
        content: Vec<u8>,
        synced: Vec<u8>,
        is_executable: bool,
    },
    /// The names, those on the disk, and the states of the names after each change since then.
    Folder {
        names: Names,
        synced: Names,
        changes: Vec<Names>,
    },
    Link(PathBuf),
}

#[derive(Clone, Debug, Default)]
struct State {
    nodes: Vec<Node>,
    operations: u64,
    cut_at: Option<u64>,
    is_off: bool,
}

/// A disk in memory. Clones share the same disk.
#[derive(Clone, Debug)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { nodes: vec![empty_folder()], ..State::default() })))
    }
}

fn empty_folder() -> Node {
    Node::Folder { names: Names::new(), synced: Names::new(), changes: Vec::new() }
}

/// A small generator: the tests need no quality, only different numbers for each seed.
struct Choices(u64);

impl Choices {
    /// Returns a number from 0 up to the limit, with the limit.
    fn up_to(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = usize::try_from(self.0 >> 33).unwrap_or(0);
        number % (limit + 1)
    }
}

impl SimulatedDisk {
    /// Lets the power fail at an operation, counted from 0 since the last start. Operations that change nothing are not
    /// counted. The failing operation is not performed, but a write may be performed in part.
    pub fn cut_at(&self, operation: u64) {
        let mut state = self.state();
        state.operations = 0;
        state.cut_at = Some(operation);
    }

    /// Tells whether the power has failed.
    pub fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// Returns the number of operations since the last start.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Switches the power on again after a cut. The seed decides which of the changes that were not synced are on the disk.
    pub fn start_again(&self, seed: u64) {
        let mut choices = Choices(seed);
        let mut state = self.state();
        for node in &mut state.nodes {
            match node {
                Node::File { content, synced, .. } => survive(content, synced, &mut choices),
                Node::Folder { names, synced, changes } => {
                    let kept = choices.up_to(changes.len());
                    if let Some(last) = kept.checked_sub(1).and_then(|last| changes.get(last)) {
                        *synced = last.clone();
                    }
                    *names = synced.clone();
                    changes.clear();
                }
                Node::Link(_) => {}
            }
        }
        (state.operations, state.cut_at, state.is_off) = (0, None, false);
    }

    /// Returns the whole content of a file, following links.
    ///
    /// # Errors
    /// Returns an error if there is no such file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        match state.nodes.get(state.find(path, true)?) {
            Some(Node::File { content, .. }) => Ok(content.clone()),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Puts a file on the disk, safe from power cuts, with all its folders. It counts as no operation.
    ///
    /// # Errors
    /// Returns an error if a file is in the place of a folder.
    pub fn put(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let folder = state.make_folders(path.parent().unwrap_or(path))?;
        let content = content.to_vec();
        let file = state.add(Node::File { synced: content.clone(), content, is_executable: true });
        state.put_name(folder, last_name(path)?, file)
    }

    /// Makes a folder with its parents, safe from power cuts. It counts as no operation.
    ///
    /// # Errors
    /// Returns an error if a file is in the place of a folder.
    pub fn put_folder(&self, path: &Path) -> io::Result<()> {
        self.state().make_folders(path).map(drop)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides what is in a file after a power cut.
fn survive(content: &mut Vec<u8>, synced: &mut Vec<u8>, choices: &mut Choices) {
    if content != synced {
        let end = content.len();
        match choices.up_to(3) {
            0 => *content = synced.clone(),
            1 => content.truncate(choices.up_to(end)),
            2 => content[choices.up_to(end)..].fill(0),
            _ => {}
        }
    }
    *synced = content.clone();
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

fn last_name(path: &Path) -> io::Result<OsString> {
    Ok(path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned())
}

impl State {
    /// Counts an operation that changes something. Fails if the power is off.
    fn operate(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.is_off = self.cut_at == Some(self.operations);
        self.operations += 1;
        self.check_power()
    }

    fn check_power(&self) -> io::Result<()> {
        if self.is_off { Err(power_is_off()) } else { Ok(()) }
    }

    fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn names(&self, folder: Id) -> io::Result<&Names> {
        match self.nodes.get(folder) {
            Some(Node::Folder { names, .. }) => Ok(names),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    /// Changes the names in a folder, as one change.
    fn change(&mut self, folder: Id, change: impl FnOnce(&mut Names)) -> io::Result<()> {
        match self.nodes.get_mut(folder) {
            Some(Node::Folder { names, changes, .. }) => {
                change(names);
                changes.push(names.clone());
                Ok(())
            }
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn sync(&mut self, folder: Id) -> io::Result<()> {
        match self.nodes.get_mut(folder) {
            Some(Node::Folder { names, synced, changes }) => {
                *synced = names.clone();
                changes.clear();
                Ok(())
            }
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn put_name(&mut self, folder: Id, name: OsString, node: Id) -> io::Result<()> {
        self.change(folder, |names| {
            names.insert(name, node);
        })?;
        self.sync(folder)
    }

    fn make_folders(&mut self, path: &Path) -> io::Result<Id> {
        let mut folder = ROOT;
        for name in path.components().skip(1).map(|name| name.as_os_str().to_owned()) {
            folder = match self.names(folder)?.get(&name).copied() {
                Some(known) => known,
                None => {
                    let new = self.add(empty_folder());
                    self.put_name(folder, name, new)?;
                    new
                }
            };
        }
        Ok(folder)
    }

    /// Finds an absolute path. Links to relative targets are followed, at most a few of them.
    fn find(&self, path: &Path, follows_last: bool) -> io::Result<Id> {
        let mut path = path.to_path_buf();
        for _ in 0..8 {
            match self.find_once(&path, follows_last)? {
                Ok(found) => return Ok(found),
                Err(next) => path = next,
            }
        }
        Err(ErrorKind::NotFound.into())
    }

    fn find_once(&self, path: &Path, follows_last: bool) -> io::Result<Result<Id, PathBuf>> {
        let names: Vec<_> = path.components().skip(1).map(|name| name.as_os_str().to_owned()).collect();
        let (mut id, mut walked) = (ROOT, PathBuf::from("/"));
        for (index, name) in names.iter().enumerate() {
            id = *self.names(id)?.get(name).ok_or(ErrorKind::NotFound)?;
            let is_last = index + 1 == names.len();
            match &self.nodes[id] {
                Node::Link(target) if follows_last || !is_last => {
                    return Ok(Err(walked.join(target).join(names[index + 1..].iter().collect::<PathBuf>())));
                }
                _ => walked.push(name),
            }
        }
        Ok(Ok(id))
    }

    fn parent(&self, path: &Path) -> io::Result<Id> {
        self.find(path.parent().ok_or(ErrorKind::InvalidInput)?, true)
    }

    /// Adds a name that must be new.
    fn add_name(&mut self, path: &Path, node: Node) -> io::Result<Id> {
        let (folder, name) = (self.parent(path)?, last_name(path)?);
        if self.names(folder)?.contains_key(&name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let id = self.add(node);
        self.change(folder, |names| {
            names.insert(name, id);
        })?;
        Ok(id)
    }
}

/// A file that is written to a simulated disk.
struct Writer {
    disk: SimulatedDisk,
    id: Id,
}

impl Write for Writer {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.check_power()?;
        let result = state.operate();
        // The power fails in the middle of this write.
        let written = if result.is_ok() { buffer.len() } else { buffer.len() / 2 };
        if let Some(Node::File { content, .. }) = state.nodes.get_mut(self.id) {
            content.extend_from_slice(&buffer[..written]);
        }
        result.map(|()| buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for Writer {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        if let Some(Node::File { content, synced, .. }) = state.nodes.get_mut(self.id) {
            *synced = content.clone();
        }
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        self.state().check_power()?;
        Ok(Box::new(io::Cursor::new(self.read(path)?)))
    }

    fn create(&self, path: &Path, is_executable: bool) -> io::Result<Box<dyn NewFile>> {
        let mut state = self.state();
        state.operate()?;
        let id =
            state.add_name(path, Node::File { content: Vec::new(), synced: Vec::new(), is_executable })?;
        drop(state);
        Ok(Box::new(Writer { disk: self.clone(), id }))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.add_name(path, empty_folder()).map(drop)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let folder = state.find(path, true)?;
        state.sync(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let folder = state.parent(from)?;
        if folder != state.parent(to)? {
            return Err(io::Error::other("the model has no renames between folders"));
        }
        let (from, to) = (last_name(from)?, last_name(to)?);
        let id = *state.names(folder)?.get(&from).ok_or(ErrorKind::NotFound)?;
        state.change(folder, |names| {
            names.remove(&from);
            names.insert(to, id);
        })
    }

    fn symbolic_link(&self, target: &Path, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.add_name(path, Node::Link(target.to_path_buf())).map(drop)
    }

    fn hard_link(&self, existing: &Path, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let id = state.find(existing, false)?;
        let (folder, name) = (state.parent(path)?, last_name(path)?);
        state.change(folder, |names| {
            names.insert(name, id);
        })
    }

    fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let state = self.state();
        state.check_power()?;
        match state.find(path, false).ok().and_then(|id| state.nodes.get(id)) {
            Some(Node::Link(target)) => Ok(Some(target.clone())),
            _ => Ok(None),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let (folder, name) = (state.parent(path)?, last_name(path)?);
        if !state.names(folder)?.contains_key(&name) {
            return Ok(());
        }
        state.change(folder, |names| {
            names.remove(&name);
        })
    }

    /// Removes the entries one by one, as a file system does, so that the power can fail between them.
    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        for (name, kind) in self.list(path)? {
            let entry = path.join(name);
            if kind == EntryKind::Folder {
                self.remove_folder(&entry)?;
            } else {
                self.remove_file(&entry)?;
            }
        }
        self.remove_file(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(OsString, EntryKind)>> {
        let state = self.state();
        state.check_power()?;
        let Ok(folder) = state.find(path, true) else {
            return Ok(Vec::new());
        };
        let kind = |id: &Id| match &state.nodes[*id] {
            Node::File { .. } => EntryKind::File,
            Node::Folder { .. } => EntryKind::Folder,
            Node::Link(_) => EntryKind::Other,
        };
        Ok(state.names(folder)?.iter().map(|(name, id)| (name.clone(), kind(id))).collect())
    }

    fn file(&self, path: &Path) -> io::Result<Option<(u64, bool)>> {
        let state = self.state();
        state.check_power()?;
        match state.find(path, true).ok().and_then(|id| state.nodes.get(id)) {
            Some(Node::File { content, is_executable, .. }) => {
                Ok(Some((content.len() as u64, *is_executable)))
            }
            _ => Ok(None),
        }
    }

    fn free_bytes(&self, _: &Path) -> Option<u64> {
        None
    }
}
