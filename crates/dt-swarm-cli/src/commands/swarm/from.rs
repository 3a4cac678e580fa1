//! `swarm init --from`: writes a new swarm file that is based on an existing one.

use super::{NewSwarm, peer_or_key, write};
use crate::ask::clock;
use crate::error::CliError;
use crate::random;
use crate::swarm_file;
use dcache::{Binding, SwarmFile, SwarmId, Time};
use std::path::Path;

/// Time, in seconds, until signatures are bound to the ID of a swarm that had none. During this week each robot can
/// join with the new file. Robots with the old file and with the new file accept each other's signatures until then.
const TIME_TO_JOIN: u64 = 7 * 24 * 3600;

/// Writes a copy of the swarm file `old` that has an ID. If `roots` is not empty, these roots replace those of the
/// file.
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

/// Returns the file unchanged if it has an ID. Otherwise adds the ID `new`, which takes effect a week later.
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
    fn an_id_stays_and_a_new_id_takes_effect_a_week_later() {
        let [one, two] = [1, 2].map(|byte| SwarmId::from_bytes([byte; 16]));
        let old = SwarmFile::new("class", [PeerId::from_public_key([0; 32])].into()).unwrap();
        let new = bound(old, one, Time(5));
        assert_eq!(new.binding(), Some(Binding { id: one, from: Time(5 + TIME_TO_JOIN) }));
        assert_eq!(bound(new.clone(), two, Time(9)), new);
    }
}
