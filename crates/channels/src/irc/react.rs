//! Reactions of a session to messages of the server.

use super::inbox::Text;
use super::nick::nick;
use super::session::{MAX_NICKS, Session, State};
use super::session_error::SessionError;
use super::understand::{Heard, understand};
use crate::route::Route;
use irc_proto::{Command, Message};
use routing::{Capacity, ChannelEvent, Medium};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Maximum number of lines queued while the fragments of another line are sent.
const MAX_WAITING: usize = 16;

impl Session<'_> {
    /// Handles one line of the server.
    pub(super) async fn hear(&mut self, line: &[u8]) -> Result<(), SessionError> {
        // People may write in any encoding. Lines that cannot be parsed are ignored.
        let Ok(message) = String::from_utf8_lossy(line).parse::<Message>() else { return Ok(()) };
        match understand(message, &self.nick.name, &self.settings.channel) {
            Heard::Text(sender, text) => self.take(&sender, &text).await,
            Heard::Ping(token) => self.send(Command::PONG(token, None)).await?,
            Heard::Welcome(nick) => self.welcome(nick),
            Heard::NickTaken => self.next_nick()?,
            Heard::Renamed(nick) => self.nick.name = nick,
            Heard::Joined => self.joined().await,
            Heard::NotInside(error) => self.not_inside(error).await,
            Heard::Moderated(error) => self.moderated(error).await?,
            Heard::Over(error) => return Err(error),
            Heard::Nothing => {}
        }
        Ok(())
    }

    fn welcome(&mut self, nick: String) {
        if let State::Entering { .. } = self.state {
            self.nick.name = nick;
            self.state = State::Outside { join_at: Instant::now(), is_let_in: false };
        }
    }

    fn next_nick(&mut self) -> Result<(), SessionError> {
        let State::Entering { .. } = self.state else { return Ok(()) };
        self.nick.attempt = self.nick.attempt.wrapping_add(1);
        if self.nick.attempt.wrapping_sub(self.nick.first) >= MAX_NICKS {
            return Err(SessionError::NicksTaken(self.nick.name.clone()));
        }
        self.nick.name = nick(&self.settings.hostname, &self.settings.peer, self.nick.attempt);
        self.state =
            State::Entering { is_nick_due: true, until: Instant::now() + self.settings.waits.answer };
        Ok(())
    }

    /// Handles the report that this node has joined the channel. If it has not asked yet, it stays outside until the
    /// wait ends. Otherwise a server that lets it in and out again and again would circumvent the backoff.
    async fn joined(&mut self) {
        match &mut self.state {
            State::Joining { .. } => self.come_in().await,
            State::Outside { is_let_in, .. } => *is_let_in = true,
            State::Entering { .. } | State::Inside { .. } => {}
        }
    }

    /// Reports the channel up to the brain.
    pub(super) async fn come_in(&mut self) {
        let channel = self.switchboard.new_id();
        let (sender, waiting) = mpsc::channel(MAX_WAITING);
        self.switchboard.add(channel, Route::Network(sender));
        self.state = State::Inside { channel, since: Instant::now(), waiting };
        let medium = Medium::Broadcast {
            name: self.settings.name(),
            at: Some(self.settings.at.clone()),
            line: None,
            capacity: match self.settings.wire.is_sealed() {
                true => Capacity::IRC.sealed_as_text(),
                false => Capacity::IRC,
            },
        };
        self.switchboard.report(ChannelEvent::Up { channel, medium }).await;
        self.reporter.works(&self.nick.name).await;
    }

    /// Reports the channel down to the brain, if it was up.
    pub(super) async fn leave(&mut self) {
        if let State::Inside { channel, since, .. } = self.state {
            self.time_inside = since.elapsed();
            self.pieces.clear();
            self.state = State::Outside { join_at: Instant::now(), is_let_in: false };
            self.switchboard.remove(channel);
            self.switchboard.report(ChannelEvent::Down { channel }).await;
        }
    }

    /// Handles a removal from the channel, or a refusal to let this node in. Schedules the next attempt.
    pub(super) async fn not_inside(&mut self, error: SessionError) {
        match &mut self.state {
            State::Inside { .. } | State::Joining { .. } => {}
            State::Outside { is_let_in, .. } => return *is_let_in = false,
            State::Entering { .. } => return,
        }
        self.leave().await;
        if self.time_inside >= self.settings.waits.steady {
            self.rejoin.reset();
        }
        let wait = self.rejoin.next();
        self.state = State::Outside { join_at: Instant::now() + wait, is_let_in: false };
        self.reporter.failed(&error, wait).await;
    }

    /// Leaves a channel in which this node may not speak, and tries again later.
    async fn moderated(&mut self, error: SessionError) -> Result<(), SessionError> {
        if let State::Inside { .. } = self.state {
            self.not_inside(error).await;
            self.send(Command::PART(self.settings.channel.clone(), None)).await?;
        }
        Ok(())
    }

    async fn take(&mut self, sender: &str, text: &str) {
        let State::Inside { channel, .. } = self.state else { return };
        match self.inbox.take(self.begun.elapsed(), sender, text) {
            Text::Line(envelope, bytes) => {
                let received =
                    ChannelEvent::Received { channel, source: None, envelope, bytes, reaches_all: true };
                self.switchboard.report(received).await;
            }
            Text::Malformed => self.switchboard.report(ChannelEvent::Malformed { channel }).await,
            Text::Nothing => {}
        }
    }
}
