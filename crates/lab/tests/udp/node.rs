//! The UDP channels of one host, without a daemon, so that a test sees each of their events.

use channels::{Switchboard, UdpSettings, run_udp};
use dcache::{Keypair, Validity};
use lab::{Error, Host, Result, wait_until};
use routing::{Address, ChannelCommand, ChannelEvent, ChannelId, Envelope, Medium, Message, Target};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use telemetry::FaultReport;
use tokio::sync::mpsc;

/// Time limit of every step.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Events of the channels so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// Channels that are up.
    pub(crate) up: BTreeMap<ChannelId, Medium>,
    /// Received lines, each with its channel and its sender.
    pub(crate) lines: Vec<(ChannelId, SocketAddr, Envelope)>,
    /// Present faults by the name of the channel.
    pub(crate) troubles: BTreeMap<String, FaultReport>,
}

impl Seen {
    fn take(&mut self, event: ChannelEvent) {
        match event {
            ChannelEvent::Up { channel, medium } => drop(self.up.insert(channel, medium)),
            ChannelEvent::Down { channel } => drop(self.up.remove(&channel)),
            ChannelEvent::Trouble { name, fault: Some(fault) } => drop(self.troubles.insert(name, fault)),
            ChannelEvent::Trouble { name, fault: None } => drop(self.troubles.remove(&name)),
            ChannelEvent::Received { channel, source: Some(source), envelope, .. } => {
                self.lines.push((channel, source, envelope));
            }
            _ => {}
        }
    }

    /// Returns the channel with this name, its own address, and the address of its links.
    pub(crate) fn channel(&self, name: &str) -> Option<(ChannelId, [String; 2])> {
        let text = |address: &Option<Address>| address.as_ref().map(Address::to_string).unwrap_or_default();
        self.up.iter().find_map(|(channel, medium)| match medium {
            Medium::Broadcast { name: own, at, line, .. } if own == name => {
                Some((*channel, [text(at), text(line)]))
            }
            _ => None,
        })
    }
}

/// A host with its channels, which end with the test.
pub(crate) struct Node {
    pub(crate) host: Host,
    switchboard: Switchboard,
    seen: Arc<Mutex<Seen>>,
    key: Keypair,
}

impl Node {
    pub(crate) fn start(host: Host, number: u8, settings: UdpSettings) -> Self {
        let (reports, mut events) = mpsc::channel(1024);
        let switchboard = Switchboard::new(reports);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (own, board, shared) = (host.clone(), switchboard.clone(), seen.clone());
        // The whole runtime runs in the host's namespace, because interfaces are listed there too.
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let take = async {
                while let Some(event) = events.recv().await {
                    shared.lock().unwrap_or_else(PoisonError::into_inner).take(event);
                }
            };
            let both = async { tokio::join!(run_udp(settings, board), take).0 };
            runtime.block_on(both).map_err(std::io::Error::other)
        };
        std::thread::spawn(move || own.within(run));
        Self { host, switchboard, seen, key: Keypair::from_seed([number; 32]) }
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `wanted` returns a value, and returns it with the time that this took.
    pub(crate) fn wait<T>(&self, what: &str, wanted: impl Fn(&Seen) -> Option<T>) -> Result<(T, Duration)> {
        let began = Instant::now();
        let found = wait_until(SOON, what, || wanted(&self.seen()));
        let found = found.map_err(|error| failed(self, &error, &self.seen()))?;
        Ok((found, began.elapsed()))
    }

    pub(crate) fn wait_for_channel(&self, name: &str) -> Result<ChannelId> {
        self.wait(name, |seen| seen.channel(name)).map(|((channel, _), _)| channel)
    }

    /// Sends a line with this text as its comment.
    pub(crate) fn say(&self, channel: ChannelId, target: Target, text: &str) {
        let from = Address::brain(self.key.peer_id());
        let mut envelope = Envelope::new(from, Address::every_brain(), Message::ping(Validity::ALWAYS));
        envelope.comment = Some(text.to_owned());
        self.switchboard.carry_out(ChannelCommand::Send { channel, target, line: envelope.encode() });
    }

    /// Returns the channel and the sender with which this line first arrived.
    pub(crate) fn heard(&self, text: &str) -> Option<(ChannelId, SocketAddr)> {
        let seen = self.seen();
        let line = seen.lines.iter().find(|(_, _, envelope)| envelope.comment.as_deref() == Some(text));
        line.map(|(channel, source, _)| (*channel, *source))
    }

    /// Sends a line to all on the channel with this name until the other node receives it. Returns its channel and
    /// sender there.
    pub(crate) fn reach(&self, name: &str, other: &Self, text: &str) -> Result<(ChannelId, SocketAddr)> {
        let channel = self.wait_for_channel(name)?;
        wait_until(SOON, &format!("{text} at {}", other.host.name()), || {
            self.say(channel, Target::All, text);
            other.heard(text)
        })
        .map_err(|error| failed(self, &error, &other.seen()))
    }

    /// Runs `ip` on the host.
    pub(crate) fn ip(&self, arguments: &str) -> Result {
        let mut command = self.host.command("ip");
        command.args(arguments.split(' '));
        self.host.run(command, SOON)?.success(arguments).map(drop)
    }
}

/// Replaces the rules of the host's firewall. Each rule is added to the chain that it names.
pub(crate) fn filter(host: &Host, rules: &[(&str, &str)]) -> Result {
    let chain = |name: &str| {
        let rules = rules.iter().filter(|(of, _)| *of == name).map(|(_, rule)| format!("  {rule}\n"));
        format!(
            " chain {name} {{\n  type filter hook {name} priority 0;\n{}\n }}\n",
            rules.collect::<String>()
        )
    };
    let script = format!(
        "table inet test\ndelete table inet test\ntable inet test {{\n{}{}}}\n",
        chain("input"),
        chain("output")
    );
    let mut command = host.command("sh");
    command.args(["-c", "printf %s \"$0\" | nft -f -", &script]);
    host.run(command, SOON)?.success("nft").map(drop)
}

/// Returns the packet counts of all counting rules, in their order.
pub(crate) fn counts(host: &Host) -> Result<Vec<u64>> {
    let mut command = host.command("nft");
    command.args(["list", "table", "inet", "test"]);
    let listed = host.run(command, SOON)?.success("nft")?;
    let counts =
        listed.split("counter packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse().ok());
    Ok(counts.collect())
}

pub(crate) fn is_link_local(source: SocketAddr) -> bool {
    matches!(source.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn failed(node: &Node, error: &Error, seen: &Seen) -> Error {
    let what = format!("{} reports {:?}: {error}", node.host.name(), node.seen().troubles);
    Error::Answer { what, answer: format!("{seen:?}") }
}
