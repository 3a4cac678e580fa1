//! One connection to an IRC server, from its first message to its last.

use super::connect::Socket;
use super::inbox::Inbox;
use super::nick::nick;
use super::pace::Pace;
use super::reporter::Reporter;
use super::session_error::SessionError;
use super::settings::IrcSettings;
use crate::backoff::Backoff;
use crate::route::OutgoingLine;
use crate::switchboard::Switchboard;
use crate::web_server::is_web_server;
use futures::StreamExt as _;
use irc_proto::{Command, Message};
use routing::ChannelId;
use routing::fragments;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::{AnyDelimiterCodec, FramedRead};

/// Maximum number of bytes of a received line. RFC 2812 allows 512; some servers send more.
const MAX_IRC_LINE: usize = 4096;
/// Maximum number of nicks that are tried on one connection.
pub(super) const MAX_NICKS: u32 = 10;
/// Maximum number of characters of the real name, so that its command is shorter than 512 bytes.
const MAX_REAL_NAME: usize = 160;
/// User name, which stands before the `@` in the prefix of this node.
const USER: &str = "dswarm";

/// A connection and its state.
pub(crate) struct Session<'a> {
    pub(super) settings: &'a IrcSettings,
    pub(super) switchboard: &'a Switchboard,
    pub(super) reporter: &'a mut Reporter,
    pub(super) state: State,
    pub(super) inbox: Inbox,
    pub(super) begun: Instant,
    pub(super) rejoin: Backoff,
    pub(super) nick: Nick,
    /// Duration of this node's last stay in the channel.
    pub(super) time_inside: Duration,
    /// Remaining fragments of the line that is being sent.
    pub(super) pieces: VecDeque<String>,
    lines: FramedRead<ReadHalf<Socket>, AnyDelimiterCodec>,
    write: WriteHalf<Socket>,
    pace: Pace,
    heard: Instant,
    pinged: Option<Instant>,
}

/// Nick of this node, and the numbers of its first and current candidate.
#[derive(Debug)]
pub(super) struct Nick {
    pub(super) first: u32,
    pub(super) attempt: u32,
    pub(super) name: String,
}

/// Progress of this node on the server.
#[derive(Debug)]
pub(super) enum State {
    /// Waits for the welcome of the server. `is_nick_due` means that the next nick is still to be sent.
    Entering { is_nick_due: bool, until: Instant },
    /// Not in the channel; joins it at `join_at`. `is_let_in` means that the server has let this node in before that.
    Outside { join_at: Instant, is_let_in: bool },
    /// Waits for the answer to a JOIN.
    Joining { until: Instant },
    /// In the channel; `waiting` yields the lines to send there.
    Inside { channel: ChannelId, since: Instant, waiting: mpsc::Receiver<OutgoingLine> },
}

impl<'a> Session<'a> {
    /// Creates a session on a new connection. `first` is the number of the first nick to try.
    pub(crate) fn new(
        settings: &'a IrcSettings,
        switchboard: &'a Switchboard,
        reporter: &'a mut Reporter,
        socket: Socket,
        first: u32,
    ) -> Self {
        let (read, write) = tokio::io::split(socket);
        let codec = AnyDelimiterCodec::new_with_max_length(b"\r\n".into(), b"\r\n".into(), MAX_IRC_LINE);
        let now = Instant::now();
        Self {
            settings,
            switchboard,
            reporter,
            state: State::Entering { is_nick_due: false, until: now + settings.waits.answer },
            inbox: Inbox::new(settings.wire.clone()),
            begun: now,
            rejoin: Backoff::new(settings.waits.rejoin),
            nick: Nick { first, attempt: first, name: nick(&settings.hostname, &settings.peer, first) },
            time_inside: Duration::ZERO,
            pieces: VecDeque::new(),
            lines: FramedRead::new(read, codec),
            write,
            pace: Pace::new(settings.pace, now),
            heard: now,
            pinged: None,
        }
    }

    /// Runs until the connection is no longer usable. Returns the reason, and how long this node was in the channel.
    pub(crate) async fn run(mut self) -> (SessionError, Duration) {
        let error = match self.enter().await {
            Ok(()) => loop {
                if let Err(error) = self.step().await {
                    break error;
                }
            },
            Err(error) => error,
        };
        let is_in = !matches!(self.state, State::Entering { .. });
        self.leave().await;
        (if is_in { error } else { error.before_welcome() }, self.time_inside)
    }

    async fn enter(&mut self) -> Result<(), SessionError> {
        let real_name = format!("{} {}", self.settings.hostname, self.settings.peer);
        let real_name = real_name.chars().filter(|c| !c.is_control()).take(MAX_REAL_NAME).collect();
        self.send(Command::NICK(self.nick.name.clone())).await?;
        self.send(Command::USER(USER.to_owned(), "0".to_owned(), real_name)).await
    }

    async fn step(&mut self) -> Result<(), SessionError> {
        let (wake, is_idle) = (self.wake(), self.pieces.is_empty());
        tokio::select! {
            line = self.lines.next() => {
                let line = line.ok_or(SessionError::Closed)??;
                (self.heard, self.pinged) = (Instant::now(), None);
                if matches!(self.state, State::Entering { .. }) && is_web_server(&line) {
                    return Err(SessionError::WebServer);
                }
                self.hear(&line).await
            }
            Some(datagram) = next_waiting(&mut self.state), if is_idle => {
                self.cut(&datagram.line);
                Ok(())
            }
            () = sleep_until(wake) => self.on_time(Instant::now()).await,
        }
    }

    /// Returns when to act next if the server sends nothing.
    fn wake(&self) -> Instant {
        let due = match &self.state {
            State::Entering { is_nick_due: false, until } => return *until,
            State::Entering { until, .. } => return self.pace.free_for_control().min(*until),
            State::Outside { join_at, .. } => self.pace.free_for_control().max(*join_at),
            State::Joining { until } => *until,
            State::Inside { .. } if !self.pieces.is_empty() => self.pace.free(),
            State::Inside { .. } => self.silent_until(),
        };
        due.min(self.silent_until())
    }

    /// Returns until when the server may stay silent.
    fn silent_until(&self) -> Instant {
        match self.pinged {
            Some(pinged) => pinged + self.settings.waits.answer,
            None => self.heard + self.settings.waits.quiet,
        }
    }

    async fn on_time(&mut self, now: Instant) -> Result<(), SessionError> {
        match &self.state {
            State::Entering { until, .. } if now >= *until => Err(SessionError::Silent),
            State::Entering { .. } => self.send_nick().await,
            _ if now >= self.silent_until() => self.ping(now).await,
            State::Outside { join_at, is_let_in } if now >= *join_at => match is_let_in {
                true => {
                    self.come_in().await;
                    Ok(())
                }
                false => self.join(now).await,
            },
            State::Joining { until } if now >= *until => {
                self.not_inside(SessionError::JoinUnanswered).await;
                Ok(())
            }
            State::Inside { .. } if now >= self.pace.free() => self.send_piece().await,
            _ => Ok(()),
        }
    }

    async fn send_nick(&mut self) -> Result<(), SessionError> {
        if let State::Entering { is_nick_due, .. } = &mut self.state {
            *is_nick_due = false;
        }
        self.send(Command::NICK(self.nick.name.clone())).await
    }

    async fn ping(&mut self, now: Instant) -> Result<(), SessionError> {
        if self.pinged.is_some() {
            return Err(SessionError::PingUnanswered);
        }
        self.pinged = Some(now);
        self.send(Command::PING(self.nick.name.clone(), None)).await
    }

    async fn join(&mut self, now: Instant) -> Result<(), SessionError> {
        self.state = State::Joining { until: now + self.settings.waits.answer };
        self.send(Command::JOIN(self.settings.channel.clone(), None, None)).await
    }

    /// Sends the next fragment.
    async fn send_piece(&mut self) -> Result<(), SessionError> {
        match self.pieces.pop_front() {
            Some(piece) => self.send(Command::PRIVMSG(self.settings.channel.clone(), piece)).await,
            None => Ok(()),
        }
    }

    fn cut(&mut self, line: &str) {
        self.pieces.extend(fragments(&self.settings.wire.write_text(line)));
    }

    /// Sends a command at once and counts it.
    pub(super) async fn send(&mut self, command: Command) -> Result<(), SessionError> {
        let line = Message::from(command).to_string();
        self.pace.count(Instant::now());
        let written = async {
            self.write.write_all(line.as_bytes()).await?;
            self.write.flush().await
        };
        timeout(self.settings.waits.answer, written)
            .await
            .map_err(|_| SessionError::PingUnanswered)?
            .map_err(SessionError::from)
    }
}

/// Returns the next line to send; `None` outside the channel, which disables the branch of `select!`.
async fn next_waiting(state: &mut State) -> Option<OutgoingLine> {
    match state {
        State::Inside { waiting, .. } => waiting.recv().await,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maximum number of bytes of a message in RFC 2812, including its line end.
    const MAX_BYTES: usize = 512;

    #[test]
    fn no_message_is_too_long_even_with_the_longest_prefix() {
        // Nicks of 30 letters are the longest that servers allow; a host has at most 63, a channel 50.
        let prefix = format!(":{}!~{USER}@{} ", "n".repeat(30), "h".repeat(63));
        let texts = fragments(&"x".repeat(routing::MAX_LINE_BYTES * 2));
        for text in texts.into_iter().chain(["y ".repeat(routing::MAX_WHOLE_BYTES / 2)]) {
            let said = Message::from(Command::PRIVMSG("c".repeat(50), text)).to_string();
            // Servers put a colon before the last parameter, whether it needs one or not.
            assert!(prefix.len() + said.len() < MAX_BYTES, "{}", prefix.len() + said.len());
        }
    }
}
