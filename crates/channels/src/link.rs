//! A TCP connection that carries the line protocol. One task reads, one writes, and both end together.
//!
//! An empty line is a keep-alive: it only shows that its sender is alive. The side that dialled a persistent link sends
//! one at regular intervals, and the other side answers each of them. So an idle link stays open, and a dead one is
//! detected. On all other links, keep-alives prevent the timeout only after the peer has sent a beacon, which shows that
//! the peer wants a long-lived link.

use crate::handshake::{EstablishedLink, Lines};
use crate::link_places::LinkUse;
use crate::reading_pace::ReadingPace;
use crate::route::Route;
use crate::switchboard::Switchboard;
use crate::web_server::is_web_server;
use futures::StreamExt as _;
use routing::{ChannelEvent, ChannelId, Envelope, Medium};
use seal::{LineOpener, LineSealer, is_hello};
use std::borrow::Cow;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::task::AbortOnDropHandle;

/// Maximum number of lines queued for writing. Large enough for several portions of an answer.
const MAX_WAITING: usize = 1024;

/// Maximum time for answering a peer that has asked and then closed its sending side.
const LINGER: Duration = Duration::from_secs(300);

/// Timeouts after which a link is closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkTimeouts {
    /// Maximum time without a valid line from the peer. Empty lines count only on long-lived links.
    pub(crate) silent: Duration,
    /// Maximum time for which the peer may accept no written data.
    pub(crate) stuck: Duration,
}

/// Records when a link was last used.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    pub(crate) link_use: Arc<LinkUse>,
    /// Reference point of the recorded times.
    pub(crate) started: Instant,
}

impl Activity {
    /// Returns the activity of a link that does not count towards the limits of accepted links.
    pub(crate) fn new() -> Self {
        Self { link_use: Arc::default(), started: Instant::now() }
    }

    /// Records a use and returns its time.
    fn note(&self) -> Instant {
        let now = Instant::now();
        self.link_use.note(now.saturating_duration_since(self.started));
        now
    }
}

/// The side that opened a link, and the planned duration of the link.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// Opened by the peer.
    Taken,
    /// Opened by this node, for as long as the brain needs it.
    Dialled(SocketAddr),
    /// Opened by this node and kept open. An empty line is sent once per interval.
    Persistent(SocketAddr, Duration),
}

impl Origin {
    fn medium(self) -> Medium {
        let (dialled, is_kept) = match self {
            Self::Taken => (None, false),
            Self::Dialled(address) => (Some(address), false),
            Self::Persistent(address, _) => (Some(address), true),
        };
        Medium::Link { dialled, is_kept }
    }
}

/// A channel that is up. Dropping it reports the channel down, however its link ended.
struct Up {
    channel: ChannelId,
    switchboard: Switchboard,
}

impl Drop for Up {
    fn drop(&mut self) {
        self.switchboard.remove(self.channel);
        self.switchboard.report_soon(ChannelEvent::Down { channel: self.channel });
    }
}

/// Runs a link until it ends. Reports `Up` first, and `Down` at the end even after a panic. Returns the kind of its
/// end.
pub(crate) async fn run_link(
    link: EstablishedLink,
    origin: Origin,
    timeouts: LinkTimeouts,
    switchboard: Switchboard,
    activity: Activity,
) -> End {
    let up = Up { channel: switchboard.new_id(), switchboard };
    let (lines, waiting) = mpsc::channel(MAX_WAITING);
    up.switchboard.add(up.channel, Route::Link(lines));
    up.switchboard.report(ChannelEvent::Up { channel: up.channel, medium: origin.medium() }).await;
    if matches!(origin, Origin::Taken) && is_from_here(&link.write) {
        up.switchboard.report(ChannelEvent::Local { channel: up.channel }).await;
    }
    let (sealer, opener) = link.seals.unzip();
    // One queued answer is enough for all empty lines that arrive before it is written.
    let (answers, to_answer) = mpsc::channel(1);
    let answer = matches!(origin, Origin::Taken).then_some(answers);
    let (channel, switchboard) = (up.channel, up.switchboard.clone());
    let is_kept = matches!(origin, Origin::Persistent(..));
    let reader = Reader { opener, answer, channel, switchboard, activity, is_kept };
    let (channel, switchboard) = (up.channel, up.switchboard.clone());
    let writer =
        Writer { write: BufWriter::new(link.write), sealer, channel, stuck: timeouts.stuck, switchboard };
    // The tasks are separate, so that `Down` is reported even after a panic in one of them.
    let mut reader = AbortOnDropHandle::new(tokio::spawn(reader.run(link.lines, timeouts.silent)));
    let mut writer = AbortOnDropHandle::new(tokio::spawn(writer.run(waiting, to_answer, origin)));
    tokio::select! {
        ended = &mut reader => {
            // After an orderly end the brain closes the link once it has sent its answer. The peer of a persistent link
            // has not asked anything, so its link is closed at once.
            if !matches!(ended, Ok(End::Orderly)) || matches!(origin, Origin::Persistent(..)) {
                up.switchboard.remove(up.channel);
            }
            let _ = tokio::time::timeout(LINGER, &mut writer).await;
            ended.unwrap_or(End::Broken)
        }
        _ = &mut writer => End::Orderly,
    }
}

/// Returns whether the peer connected from a loopback address of this computer.
fn is_from_here(write: &OwnedWriteHalf) -> bool {
    write.peer_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback())
}

/// The kind of end of a link.
pub(crate) enum End {
    /// The peer has sent all its lines and closed its sending side.
    Orderly,
    /// The peer broke the protocol or the connection, or was silent for too long.
    Broken,
    /// The peer has a swarm key, and this node has none.
    Keyed,
    /// A web server answers in place of the peer.
    WebServer,
}

struct Reader {
    opener: Option<LineOpener>,
    /// Requests the writer to answer a keep-alive; `None` on links where this node does not answer them.
    answer: Option<mpsc::Sender<()>>,
    channel: ChannelId,
    switchboard: Switchboard,
    activity: Activity,
    /// Whether the link is long-lived, so that empty lines keep it open.
    is_kept: bool,
}

impl Reader {
    async fn run(mut self, mut lines: Lines, silent: Duration) -> End {
        let channel = self.channel;
        let begun = Instant::now();
        let (mut end, mut pace) = (begun + silent, ReadingPace::default());
        loop {
            let line = match tokio::time::timeout_at(end, lines.next()).await {
                Ok(Some(Ok(line))) => line,
                Ok(None) => {
                    self.switchboard.report(ChannelEvent::Ended { channel }).await;
                    return End::Orderly;
                }
                // The line is too long, or the connection is broken.
                Ok(Some(Err(_))) => return self.broken().await,
                Err(_) => return End::Broken,
            };
            let bytes = line.len();
            let Some(line) = open(self.opener.as_mut(), line.strip_suffix(b"\r").unwrap_or(&line)) else {
                return self.broken().await;
            };
            if line.is_empty() {
                if self.is_kept {
                    end = self.activity.note() + silent;
                }
                // An error means that an answer is queued already, which is enough.
                let _ = self.answer.as_ref().map(|answer| answer.try_send(()));
            } else if self.opener.is_none() && is_hello(&line) {
                return End::Keyed;
            } else if self.opener.is_none() && is_web_server(&line) {
                return End::WebServer;
            } else {
                let event = received(channel, &line);
                let is_use = matches!(event, ChannelEvent::Received { .. });
                if let ChannelEvent::Received { envelope, .. } = &event {
                    self.is_kept |= envelope.beacon.is_some();
                }
                // Waits until the brain accepts the line, which may slow the peer down.
                self.switchboard.report(event).await;
                if is_use {
                    end = self.activity.note() + silent;
                }
            }
            let pause = pace.note(bytes, begun.elapsed());
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn broken(&self) -> End {
        self.switchboard.report(ChannelEvent::Malformed { channel: self.channel }).await;
        End::Broken
    }
}

/// Opens a sealed line, or returns a plain line unchanged. Returns `None` if the peer did not seal this line at this
/// position.
fn open<'line>(opener: Option<&mut LineOpener>, line: &'line [u8]) -> Option<Cow<'line, [u8]>> {
    match opener {
        None => Some(Cow::Borrowed(line)),
        Some(opener) => opener.open(line).ok().map(Cow::Owned),
    }
}

fn received(channel: ChannelId, line: &[u8]) -> ChannelEvent {
    match Envelope::decode(line) {
        Ok(envelope) => {
            ChannelEvent::Received { channel, source: None, envelope, bytes: line.len(), reaches_all: true }
        }
        Err(error) => {
            tracing::debug!(?channel, %error, "a received line is not an envelope");
            ChannelEvent::Malformed { channel }
        }
    }
}

struct Writer {
    write: BufWriter<OwnedWriteHalf>,
    sealer: Option<LineSealer>,
    channel: ChannelId,
    stuck: Duration,
    switchboard: Switchboard,
}

impl Writer {
    async fn run(
        mut self,
        mut waiting: mpsc::Receiver<String>,
        mut to_answer: mpsc::Receiver<()>,
        origin: Origin,
    ) {
        let mut keep_alives = match origin {
            Origin::Persistent(_, every) => Some(keep_alive_interval(every)),
            _ => None,
        };
        loop {
            let line = tokio::select! {
                biased;
                line = waiting.recv() => line,
                Some(()) = to_answer.recv() => Some(String::new()),
                () = tick(keep_alives.as_mut()) => Some(String::new()),
            };
            let Some(line) = line else { break };
            let is_last = waiting.is_empty();
            if !matches!(tokio::time::timeout(self.stuck, self.put(&line, is_last)).await, Ok(Ok(()))) {
                return;
            }
            if is_last && !line.is_empty() {
                self.switchboard.report(ChannelEvent::Drained { channel: self.channel }).await;
            }
        }
        // All lines are written: closes the sending side.
        let _ = tokio::time::timeout(self.stuck, self.write.shutdown()).await;
    }

    async fn put(&mut self, line: &str, is_last: bool) -> std::io::Result<()> {
        let line = match &mut self.sealer {
            None => Cow::Borrowed(line),
            Some(sealer) => Cow::Owned(sealer.seal(line.as_bytes())),
        };
        self.write.write_all(line.as_bytes()).await?;
        self.write.write_all(b"\n").await?;
        if is_last { self.write.flush().await } else { Ok(()) }
    }
}

fn keep_alive_interval(every: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + every, every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn tick(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => pending().await,
    }
}
