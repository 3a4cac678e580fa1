//! The comms: the brain with its channels. They live and die together, since a new brain knows of no old channels.

use crate::supervise::supervise;
use channels::{IrcSettings, Switchboard, TcpSettings, UdpSettings, run_irc, run_tcp, run_udp};
use swarm::{Driver, DriverError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many events of channels may wait for the brain.
const MAX_EVENTS: usize = 1024;

/// How to reach others.
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    pub(crate) udp: UdpSettings,
    pub(crate) tcp: TcpSettings,
    pub(crate) irc: Vec<IrcSettings>,
}

/// Runs the brain and its channels until `stop`; a channel that fails is begun again and does not disturb the others.
pub(crate) async fn run_comms(
    driver: &Driver,
    doors: Doors,
    stop: CancellationToken,
) -> Result<(), DriverError> {
    let (reports, events) = mpsc::channel(MAX_EVENTS);
    let switchboard = Switchboard::new(reports);
    // Dropped, and so ended, together with this future.
    let mut channels = JoinSet::new();
    let Doors { udp, tcp, irc } = doors;
    let board = switchboard.clone();
    channels.spawn(supervise("udp", stop.clone(), move || run_udp(udp.clone(), board.clone())));
    let board = switchboard.clone();
    channels.spawn(supervise("tcp", stop.clone(), move || run_tcp(tcp.clone(), board.clone())));
    for settings in irc {
        let board = switchboard.clone();
        let run = move || {
            let run = run_irc(settings.clone(), board.clone());
            async move { run.await.map(|never| match never {}) }
        };
        channels.spawn(supervise("irc", stop.clone(), run));
    }
    driver.run(events, switchboard, stop).await
}
