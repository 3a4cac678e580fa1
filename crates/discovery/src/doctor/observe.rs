//! The I/O shell: observes the host, the networks and the swarm. Each probe has a deadline, and all run in parallel
//! where they can.

mod folders;
mod probes;
mod records;
mod system;

pub(super) use probes::page;

use super::checks::is_silent;
use super::observed::{Channel, Neighbour, Observed, OtherHost, Reply};
use dcache::PeerId;
use routing::Reach;
use service::{Context, Failure, OpenQuestions};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Maximum time for each part that only reads the host.
const DEADLINE: Duration = Duration::from_secs(4);
/// Maximum number of pings on each network. Together with their answers they take longer than the longest interval between
/// beacons on a local network, so a robot that does not hear this one is heard meanwhile.
const PINGS: u32 = 6;
/// Time for the answers to a ping.
const ANSWERS: Duration = Duration::from_millis(400);
/// Time after which a silent robot is not expected to answer.
const LATELY: Duration = Duration::from_secs(60);
/// Maximum number of silent robots that are tried by TCP.
const MAX_TRIED: usize = 4;
/// Ports of the line protocol and of IPFS unless the configuration names others.
const USUAL_PORTS: [u16; 2] = [8000, 6002];

/// Observes everything that the checks need. Takes at most eight seconds.
///
/// # Errors
/// When the daemon is stopping.
pub(super) async fn observe(context: &Context, peer: Option<PeerId>) -> Result<Observed, Failure> {
    let (hearing, host, data, shared) = tokio::join!(
        hear(context),
        blocking(system::read),
        blocking(folders::data(context)),
        blocking(folders::shared(context)),
    );
    let mut observed = hearing?;
    let host = host.unwrap_or_default();
    observed.has_battery_clock = host.has_battery_clock;
    observed.networks = host.networks;
    observed.has_default_route = host.has_default_route;
    observed.memory = host.memory;
    if let Ok(node) = context.current_node() {
        observed.outside = node.outside().borrow().clone();
    }
    observed.responders = host.responders;
    (observed.data, observed.shared) = (data, shared.flatten());
    records::add(context, &mut observed, peer).await?;
    let (servers, ()) = tokio::join!(
        probes::name_servers(host.name_servers.unwrap_or_default()),
        connect(context, &mut observed)
    );
    observed.name_servers = Some(servers);
    Ok(observed)
}

/// Runs blocking work in a thread of its own; `None` if it does not end in time.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    timeout(DEADLINE, tokio::task::spawn_blocking(work)).await.ok()?.ok()
}

/// Pings all robots, and returns what the brain knows.
async fn hear(context: &Context) -> Result<Observed, Failure> {
    let (swarm, begun) = (&context.swarm, Instant::now());
    for _ in 0..PINGS {
        swarm.ping().await?;
        sleep(ANSWERS).await;
        let pinged = begun.elapsed();
        let all_answer = swarm.ask(move |brain, now| {
            let all = brain.hearings(now).into_iter().filter(|one| one.reach != Reach::World);
            let mut expected = all.filter(|one| one.heard <= LATELY);
            expected.all(|one| one.answered.is_some_and(|age| age <= pinged))
        });
        if all_answer.await? {
            break;
        }
    }
    let told = swarm.ask(move |brain, now| {
        let clocks = brain.clocks_heard(now, begun.elapsed());
        let others = [brain.other_key(now), brain.other_records(now)];
        let others = others.map(|other| other.map(|other| (other.source, other.age)));
        let neighbours = brain.hearings(now).into_iter().map(|one| Neighbour {
            peer: one.peer,
            channel: one.channel,
            reach: one.reach,
            heard: one.heard,
            answered: one.answered,
        });
        (brain.status(now), now.elapsed, clocks, others, neighbours.collect())
    });
    let (status, uptime, clocks, [other_key, other_records], neighbours) = told.await?;
    let channels = status.channels.into_iter().map(|one| Channel { name: one.name, reach: one.reach });
    let facts = context.facts.borrow().clone();
    Ok(Observed {
        uptime,
        clocks,
        troubles: status.troubles,
        channels: channels.collect(),
        neighbours,
        pinged: Some(begun.elapsed()),
        other_key: other_key.map(other_host),
        other_records: other_records.map(other_host),
        own_addresses: facts.lines.iter().map(SocketAddr::ip).collect(),
        hostname: facts.hostname,
        has_key: facts.has_key,
        questions: context.shared.get::<OpenQuestions>().list(),
        ..Observed::default()
    })
}

fn other_host((source, age): (Option<SocketAddr>, Duration)) -> OtherHost {
    OtherHost { address: source.map(|source| source.ip().to_canonical()), age }
}

/// Connects to the robot whose path is checked, and to a few robots that are silent although they are on a network of
/// this host.
async fn connect(context: &Context, observed: &mut Observed) {
    let facts = context.facts.borrow().clone();
    let own = facts.lines.iter().map(SocketAddr::port);
    let own_ports: Vec<u16> =
        own.chain(facts.ipfs.iter().flatten().filter_map(|at| records::port(at))).collect();
    let own_ports = [own_ports.as_slice(), &USUAL_PORTS].concat();
    let is_fit = |address: &SocketAddr| targets::check(*address, &own_ports, false).is_ok();
    let networks = observed.networks.clone().unwrap_or_default();
    let is_here = |address: &SocketAddr| networks.iter().any(|network| network.contains(address.ip()));
    let silent = observed.present.iter().enumerate().filter(|(_, robot)| is_silent(observed, robot));
    let to_try = silent.filter_map(|(place, robot)| {
        Some((place, *robot.lines.iter().find(|address| is_here(address) && is_fit(address))?))
    });
    let to_try: Vec<(usize, SocketAddr)> = to_try.take(MAX_TRIED).collect();
    if let Some(target) = &mut observed.target {
        target.lines.retain(|(address, _)| is_fit(address));
        target.ipfs.retain(|(address, _)| is_fit(address));
    }
    let (target, has_key) = (observed.target.as_ref(), observed.has_key);
    let of_silent =
        to_try.iter().filter_map(|(place, address)| Some((*address, observed.present.get(*place)?.peer)));
    let of_target =
        target.iter().flat_map(|target| target.lines.iter().map(|(address, _)| (*address, target.peer)));
    let ipfs = target.iter().flat_map(|target| target.ipfs.iter().map(|(address, _)| *address));
    let (replies, accepting, connection) = tokio::join!(
        probes::replies(of_silent.chain(of_target).collect(), has_key),
        probes::accepting(ipfs.collect()),
        connection(context, target.filter(|target| !target.is_me).map(|target| target.peer)),
    );
    let reply =
        |address: &SocketAddr, peer: PeerId| replies.get(&(*address, peer)).copied().unwrap_or_default();
    for (place, address) in to_try {
        if let Some(robot) = observed.present.get_mut(place) {
            robot.reached = match reply(&address, robot.peer) {
                Reply::None => Some(false),
                Reply::Proven => Some(true),
                // With a key, lines are sealed. Otherwise another host may have the address now.
                Reply::Unproven => has_key.then_some(true),
            };
        }
    }
    if let Some(target) = &mut observed.target {
        let peer = target.peer;
        target.lines.iter_mut().for_each(|(address, answers)| *answers = reply(address, peer));
        target.ipfs.iter_mut().for_each(|(address, accepts)| *accepts = accepting.contains(address));
        target.connection = connection;
    }
}

/// Connects with a robot over IPFS, which proves its identity. Returns the connection, for people, or why there is none.
async fn connection(context: &Context, peer: Option<PeerId>) -> Result<String, String> {
    let peer = peer.ok_or("it was not tried")?;
    let (paths, reason) = crate::paths::paths(context, peer).await.map_err(|failure| failure.to_string())?;
    let path =
        paths.into_iter().next().ok_or_else(|| reason.unwrap_or_else(|| "it is not reached".to_owned()))?;
    let by = if path.is_relayed { "through a relay" } else { "directly" };
    Ok(format!("{by}, at {}", path.address))
}
