//! `swarm init --from`: a swarm file that begins with another one.

use super::{NewSwarm, peer_or_key, write};
use crate::ask::clock;
use crate::error::CliError;
use crate::random;
use crate::swarm_file;
use dcache::{Binding, SwarmFile, SwarmId, Time};
use std::path::Path;

/// Time, in seconds, until signatures are bound to the ID of a swarm that had none: a week, in which each robot can join with
/// the new file. Until then robots with the old file and with the new one understand each other.
const TIME_TO_JOIN: u64 = 7 * 24 * 3600;

/// Writes the swarm file `old` anew, with an ID and, if some are named, with other roots.
pub(super) fn init(path: &Path, old: &Path, roots: &[String], with_key: bool) -> Result<NewSwarm, CliError> {
    if path.exists() {
        return Err(CliError::SwarmExists(path.to_owned()));
    }
    let file = bound(swarm_file::Swarm::read(old)?.file, SwarmId::from_bytes(random::bytes()?), clock());
    let file = match roots {
        [] => file,
        named => {
            let ids = named.iter().map(|root| peer_or_key(root)).collect::<Result<_, _>>()?;
            file.with_roots(ids).map_err(CliError::Swarm)?
        }
    };
    write(path, file, with_key, None)
}

/// Returns the file with its ID, or with a new one that counts from a week later on.
fn bound(file: SwarmFile, new: SwarmId, now: Time) -> SwarmFile {
    match file.binding() {
        Some(_) => file,
        None => file.with_binding(Binding { id: new, from: now.plus(TIME_TO_JOIN) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::PeerId;

    #[test]
    fn an_id_stays_and_a_file_without_one_gets_one_that_counts_later() {
        let [one, two] = [1, 2].map(|byte| SwarmId::from_bytes([byte; 16]));
        let old = SwarmFile::new("class", [PeerId::from_public_key([0; 32])].into()).unwrap();
        let new = bound(old, one, Time(5));
        assert_eq!(new.binding(), Some(Binding { id: one, from: Time(5 + TIME_TO_JOIN) }));
        assert_eq!(bound(new.clone(), two, Time(9)), new);
    }
}
