//! Waits for changes of the table of robots, for clients that show it live.

use crate::protocol::{MAX_WAIT_SECONDS, Robot};
use crate::shell::Discovery;
use dcache::Record;
use dcache::buckets::{PEER, PRIVATE};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;
use swarm::Stopped;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep, timeout_at};

/// Time in which several changes are gathered for one look at the table.
const GATHER: Duration = Duration::from_millis(200);
/// Minimum time between two looks, as a multiple of the time that the last look took.
const REST_FACTOR: u32 = 20;
/// Maximum time between two looks. A robot may leave or move although no record came, because time passes.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl Discovery {
    /// Waits until the table differs from the state `mark`, at most for `seconds`. Returns its present state.
    pub(crate) async fn changed(&self, mark: Option<u64>, seconds: u64) -> Result<u64, Stopped> {
        let deadline = Instant::now() + Duration::from_secs(seconds.min(MAX_WAIT_SECONDS));
        let (mut changes, mut heard) = (self.context.swarm.changes(), self.foreign.changes());
        loop {
            let begun = Instant::now();
            let now = state(&self.rows().await?);
            if Some(now) != mark || Instant::now() >= deadline {
                return Ok(now);
            }
            let rest = GATHER.max(begun.elapsed() * REST_FACTOR);
            let next = deadline.min(Instant::now() + LOOK_EVERY.max(rest));
            let event = async {
                tokio::select! {
                    () = about_robots(&mut changes) => {}
                    Ok(()) = heard.changed() => {}
                }
            };
            if timeout_at(next, event).await.is_ok() {
                sleep(rest.min(deadline.saturating_duration_since(Instant::now()))).await;
            }
        }
    }
}

/// Waits for a record about a robot, or until records were missed.
async fn about_robots(changes: &mut Receiver<Record>) {
    loop {
        match changes.recv().await {
            Ok(record) => {
                let bucket = &record.item().bucket;
                if PEER.contains(bucket) || PRIVATE.contains(bucket) {
                    return;
                }
            }
            Err(RecvError::Lagged(_)) => return,
            // The daemon is stopping, and the next look fails.
            Err(RecvError::Closed) => return,
        }
    }
}

/// Returns a number for the state of a table: everything but the ages. Tables with the same state very likely have the
/// same number.
fn state(rows: &[Robot]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for robot in rows {
        let Robot {
            name, robot_type, configuration, hardware, distro, device, version, boot, status, ..
        } = robot;
        let facts = [name, robot_type, configuration, hardware, distro, device, version, boot, status];
        let values = facts.map(|fact| fact.as_ref().map(|fact| fact.value.as_str()));
        let peer = robot.peer.map(|peer| peer.to_string());
        let flags = [robot.is_me, robot.is_copied, robot.shares_name];
        (peer, robot.place as u8, values, flags).hash(&mut hasher);
        robot.addresses.iter().for_each(|address| address.value.hash(&mut hasher));
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Fact, Heard, Place, Source};

    #[test]
    fn the_state_of_a_table_does_not_depend_on_ages() {
        let fact = |value: &str, age_seconds| {
            Some(Fact { value: value.to_owned(), age_seconds, source: Source::Record })
        };
        let robot = |name, age| Robot { name: fact(name, age), place: Place::Here, ..Robot::default() };
        let heard = |age_seconds| Heard { channel: "udp eth0".to_owned(), address: None, age_seconds };
        let known = state(&[robot("a", 1)]);
        assert_eq!(state(&[Robot { heard: vec![heard(7)], ..robot("a", 9) }]), known);
        let away = Robot { place: Place::Away, ..robot("a", 1) };
        let moved = Robot { addresses: fact("/ip4/10.0.0.1", 1).into_iter().collect(), ..robot("a", 1) };
        for other in
            [vec![], vec![robot("b", 1)], vec![away], vec![moved], vec![robot("a", 1), robot("b", 1)]]
        {
            assert_ne!(state(&other), known, "{other:?}");
        }
    }
}
