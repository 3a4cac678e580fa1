//! A network with delay: frames arrive later, some are lost, and groups of hosts can be cut off from each other.
//!
//! Not every kernel has netem, so this module is an Ethernet switch of our own. Each host has a TAP interface. One
//! thread of this process takes the frames from all interfaces, and delivers each frame to its receivers after the
//! delay. The counters of the interfaces count a host's frames as those of a cable do.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rustix::event::{Timespec, epoll};
use tun_rs::SyncDevice;

use crate::addresses::Addresses;
use crate::forwarding::{Forwarding, Receivers};
use crate::{Error, Result};

/// Maximum size in bytes of a frame from a TAP interface.
const FRAME_BYTES: usize = 64 * 1024;
/// Maximum number of frames that are read from one port before the other ports are read.
const BURST: usize = 64;
/// Maximum number of frames in transit. When it is reached, new frames are lost.
const MOST_FLIGHTS: usize = 65_536;
/// Maximum number of port events taken at once.
const EVENTS: usize = 64;
/// Event number that means the end of the network; the numbers of ports are smaller.
const STOP: u64 = u64::MAX;
/// Scheduling priority (nice value) of the thread. It is higher than that of the daemons, so that frames are delivered
/// on time even when the daemons are busy.
const PRIORITY: i32 = -15;

/// Delay and loss of frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// Time from the departure of a frame to its arrival.
    pub delay: Duration,
    /// Fraction of frames, 0 to 1, that a receiver loses at random. Each receiver of a frame loses it independently.
    pub loss: f64,
}

/// A switch with delay, with the addresses 10.77.K.0/24. A clone refers to the same network.
#[derive(Debug, Clone)]
pub struct DelayNetwork {
    addresses: Addresses,
    shared: Arc<Shared>,
    running: Arc<Mutex<Option<Running>>>,
}

/// The thread, which ends when the stream is closed.
#[derive(Debug)]
struct Running {
    stop: UnixStream,
    thread: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    epoll: OwnedFd,
    switch: Mutex<Switch>,
}

#[derive(Debug)]
struct Switch {
    conditions: Conditions,
    forwarding: Forwarding,
    ports: Vec<Port>,
    /// Frames in transit, by the time of their arrival and the order of their departure.
    flights: BTreeMap<(Instant, u64), Flight>,
    departed: u64,
    overflowed: u64,
    /// Maximum time by which a frame was delivered too late.
    latest: Duration,
    random: ChaCha8Rng,
}

struct Port {
    tap: SyncDevice,
    address: Ipv4Addr,
}

#[derive(Debug)]
struct Flight {
    from: usize,
    receivers: Receivers,
    frame: Box<[u8]>,
}

impl std::fmt::Debug for Port {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Port({})", self.address)
    }
}

impl DelayNetwork {
    pub(crate) fn start(number: u8, conditions: Conditions, seed: u64) -> Result<Self> {
        Self::start_thread(number, conditions, seed).map_err(Error::io("starting a delay network"))
    }

    fn start_thread(number: u8, conditions: Conditions, seed: u64) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let shared = Arc::new(Shared { epoll, switch: Mutex::new(Switch::new(conditions, seed)) });
        let (stop, stopped) = UnixStream::pair()?;
        epoll::add(&shared.epoll, &stopped, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        let in_thread = Arc::clone(&shared);
        let work = move || {
            // The thread owns the stream, so that it stays registered with epoll while the thread runs.
            let _stopped = stopped;
            in_thread.run();
        };
        let thread = thread::Builder::new().name("delay network".into()).spawn(work)?;
        let running = Arc::new(Mutex::new(Some(Running { stop, thread })));
        Ok(Self { addresses: Addresses::of_network(number), shared, running })
    }

    pub(crate) fn next_address(&self) -> Result<Ipv4Addr> {
        self.addresses.next()
    }

    /// Connects this interface: the switch takes its frames and delivers frames to it.
    pub(crate) fn plug(&self, tap: SyncDevice, address: Ipv4Addr) -> Result {
        let mut switch = self.shared.lock();
        let port = epoll::EventData::new_u64(switch.ports.len() as u64);
        let added = epoll::add(&self.shared.epoll, &tap, port, epoll::EventFlags::IN);
        added.map_err(|error| Error::io(format!("watching the TAP interface of {address}"))(error.into()))?;
        switch.forwarding.add_port();
        switch.ports.push(Port { tap, address });
        Ok(())
    }

    /// Changes the conditions of the frames that hosts send after this call.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.shared.lock().conditions = conditions;
    }

    /// Divides the hosts into groups that do not hear each other; no host loses its carrier. Frames in transit from one
    /// group to another are lost.
    pub fn set_groups(&self, group_of: impl Fn(Ipv4Addr) -> u32) {
        let switch = &mut *self.shared.lock();
        for (number, port) in switch.ports.iter().enumerate() {
            switch.forwarding.set_group(number, group_of(port.address));
        }
    }

    /// Makes all hosts one group again.
    pub fn heal(&self) {
        self.set_groups(|_| 0);
    }

    /// Returns the number of frames lost because too many were in transit. It is 0 unless the machine is too slow.
    pub fn overflowed(&self) -> u64 {
        self.shared.lock().overflowed
    }

    /// Returns the maximum time by which a frame was delivered too late since the last call, and resets it. It is small
    /// unless the machine is too slow.
    pub fn take_latest(&self) -> Duration {
        std::mem::take(&mut self.shared.lock().latest)
    }

    /// Ends the network and removes its interfaces.
    pub(crate) fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Running { stop, thread }) = running {
            drop(stop);
            // Fails only when the thread has panicked, which it has reported.
            let _ = thread.join();
        }
        self.shared.lock().ports.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Switch> {
        self.switch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        // This fails without the right to raise priorities. The thread then keeps the default.
        let _ = rustix::process::setpriority_process(None, PRIORITY);
        let mut events = Vec::with_capacity(EVENTS);
        let mut buffer = vec![0; FRAME_BYTES];
        loop {
            events.clear();
            let wait = self.lock().until_next(Instant::now());
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
                Err(rustix::io::Errno::INTR) | Ok(_) => {}
                Err(error) => return eprintln!("lab: a delay network ended: {error}"),
            }
            let ready: Vec<u64> = events.iter().map(|event| event.data.u64()).collect();
            if ready.contains(&STOP) {
                return;
            }
            let mut switch = self.lock();
            ready
                .into_iter()
                .filter_map(|port| port.try_into().ok())
                .for_each(|port| switch.take(port, &mut buffer));
            switch.deliver(Instant::now());
        }
    }
}

impl Switch {
    fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            forwarding: Forwarding::default(),
            ports: Vec::new(),
            flights: BTreeMap::new(),
            departed: 0,
            overflowed: 0,
            latest: Duration::ZERO,
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// Returns the time until the next delivery; `None` when no frame is in transit.
    fn until_next(&self, now: Instant) -> Option<Timespec> {
        let ((due, _), _) = self.flights.first_key_value()?;
        let left = due.saturating_duration_since(now);
        // The delay is always shorter than i64::MAX seconds.
        let seconds = left.as_secs().try_into().unwrap_or(i64::MAX);
        Some(Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() })
    }

    /// Takes the frames that a host has sent.
    fn take(&mut self, from: usize, buffer: &mut [u8]) {
        for _ in 0..BURST {
            let read = self.ports.get(from).and_then(|port| port.tap.recv(buffer).ok());
            // No more frames are there, or the host is being removed.
            let Some(read) = read else { return };
            let frame = &buffer[..read];
            if let Some(receivers) = self.forwarding.route(from, frame) {
                self.depart(Flight { from, receivers, frame: frame.into() });
            }
        }
    }

    fn depart(&mut self, flight: Flight) {
        if self.flights.len() >= MOST_FLIGHTS {
            self.overflowed += 1;
            return;
        }
        self.departed += 1;
        self.flights.insert((Instant::now() + self.conditions.delay, self.departed), flight);
    }

    /// Delivers the frames whose time has come.
    fn deliver(&mut self, now: Instant) {
        while let Some(arrival) = self.flights.first_entry().filter(|first| first.key().0 <= now) {
            self.latest = self.latest.max(now - arrival.key().0);
            let Flight { from, receivers, frame } = arrival.remove();
            for port in self.forwarding.hearers(from, receivers) {
                let is_lost =
                    self.conditions.loss > 0.0 && self.random.random::<f64>() < self.conditions.loss;
                if let (false, Some(port)) = (is_lost, self.ports.get(port)) {
                    // An interface that is down takes no frame, as with a cable.
                    let _ = port.tap.send(&frame);
                }
            }
        }
    }
}
