//! One file fetched by a whole class through one slow uplink, with our content engine and with others in the same run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::figures::print_table;
use crate::peers::{Driven, Kubo, TorrentMode, content_node, torrent, torrent_address};
use crate::{Error, Host, Lab, Result};

/// Time limit of starting, connecting and adding.
const SOON: Duration = Duration::from_secs(120);

/// Measure how long a class takes to get one file through the slow uplink of one host
///
/// The seeder's uplink is limited; all other hosts are as fast as the machine. The limit of the time is the size of the
/// file divided by the rate of the uplink: no engine can be faster. Each row shows the median of the runs and their
/// range. The engines run alternately.
#[derive(Debug, Clone, clap::Args)]
pub struct Class {
    /// Number of hosts that fetch
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub fetchers: u16,
    /// Size of the file in millions of bytes
    #[arg(long, default_value_t = 100)]
    pub megabytes: u64,
    /// Rate of the seeder's uplink in Mbit/s
    #[arg(long, default_value_t = 50)]
    pub uplink: u64,
    /// Percentage of packets that each host loses
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=100))]
    pub loss: u16,
    /// Number of fetchers that are killed when half of the limit of the time has passed
    #[arg(long, default_value_t = 0)]
    pub killed: u16,
    /// Number of fetchers that begin only when half of the limit of the time has passed; their time is counted from the
    /// start of the experiment
    #[arg(long, default_value_t = 0)]
    pub late: u16,
    /// Give the fetchers' links rates between once and ten times the uplink's rate
    #[arg(long)]
    pub uneven: bool,
    /// Number of runs of each engine
    #[arg(long, default_value_t = 3)]
    pub runs: u16,
    /// Engines to measure
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Engine::Ours, Engine::Libtorrent, Engine::LibtorrentSuper])]
    pub engines: Vec<Engine>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// The program that transfers the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// Our content engine.
    Ours,
    /// libtorrent with its default settings.
    Libtorrent,
    /// libtorrent over TCP with super-seeding.
    LibtorrentSuper,
    /// An unmodified Kubo seeds, and our nodes fetch.
    KuboSeeds,
}

/// Figures of one run.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// Time until the last fetcher has the file, divided by the limit of the time.
    time: f64,
    /// Time until the last fetcher has also pinned the file and synced it to the disk, divided by the limit of the time.
    /// Only our engine does that.
    durable: Option<f64>,
    /// Bytes sent through the seeder's rate limit, including all headers, divided by the size of the file.
    sent: f64,
    /// Bytes of blocks that the seeder sent, divided by the size of the file. Only our engine reports them.
    copies: Option<f64>,
    /// Processor time of all processes together, in seconds.
    processor: f64,
}

/// All runs of all engines.
#[derive(Debug, Clone)]
pub struct ClassRuns(Vec<(Engine, Vec<Run>)>);

/// Runs the experiment, each run in a lab of its own.
///
/// # Errors
/// When the lab or a program fails, or an engine is not installed.
pub fn class(options: &Class) -> Result<ClassRuns> {
    let mut all: Vec<(Engine, Vec<Run>)> =
        options.engines.iter().map(|engine| (*engine, Vec::new())).collect();
    for number in 0..options.runs {
        for (engine, runs) in &mut all {
            let run = Scene::build(options, number)?.run(*engine)?;
            eprintln!("{engine:?} {run:.3?}");
            runs.push(run);
        }
    }
    Ok(ClassRuns(all))
}

struct Scene<'a> {
    options: &'a Class,
    seeder: Host,
    fetchers: Vec<Host>,
    file: PathBuf,
    /// The last field, so that it is dropped last.
    _lab: Lab,
}

/// The running programs, and the command with which each fetcher begins.
struct Players {
    seeder: Player,
    fetchers: Vec<Driven>,
    begin: Vec<String>,
}

enum Player {
    Driven(Driven),
    Kubo(Kubo),
}

impl<'a> Scene<'a> {
    fn build(options: &'a Class, number: u16) -> Result<Self> {
        let lab = Lab::new("class")?;
        let seeder = lab.host("seeder")?;
        let fetchers =
            (0..options.fetchers).map(|n| lab.host(&format!("f{n}"))).collect::<Result<Vec<_>>>()?;
        let file = seeder.folder().join("file");
        write_file(&file, options.megabytes * 1_000_000, u64::from(number))?;
        seeder.limit_rate(options.uplink * 1_000_000)?;
        let loss = f64::from(options.loss) / 100.0;
        for host in fetchers.iter().chain([&seeder]).filter(|_| options.loss > 0) {
            host.set_loss(loss)?;
        }
        if options.uneven {
            for (number, host) in fetchers.iter().enumerate() {
                host.limit_rate(options.uplink * 1_000_000 * (1 + (number as u64 * 7) % 10))?;
            }
        }
        Ok(Self { options, seeder, fetchers, file, _lab: lab })
    }

    fn run(&self, engine: Engine) -> Result<Run> {
        let mut players = match engine {
            Engine::Ours => self.ours()?,
            Engine::Libtorrent => self.torrents(TorrentMode::Default)?,
            Engine::LibtorrentSuper => self.torrents(TorrentMode::SuperSeeding)?,
            Engine::KuboSeeds => self.kubo_seeds()?,
        };
        let limit = self.options.megabytes as f64 * 8.0 / self.options.uplink as f64;
        let (sent, processor) = (self.seeder.sent_through_limits()?, players.processor()?);
        let begun = Instant::now();
        self.play(&mut players, Duration::from_secs_f64(limit))?;
        let time = begun.elapsed().as_secs_f64() / limit;
        let sent = (self.seeder.sent_through_limits()? - sent) as f64 / (self.options.megabytes as f64 * 1e6);
        let durable = matches!(engine, Engine::Ours | Engine::KuboSeeds);
        let durable = durable.then(|| players.wait_until_durable()).transpose()?;
        let durable = durable.map(|()| begun.elapsed().as_secs_f64() / limit);
        let processor = players.processor()? - processor;
        let copies = match &mut players.seeder {
            Player::Driven(seeder) if engine == Engine::Ours => Some(self.copies(seeder)?),
            _ => None,
        };
        Ok(Run { time, durable, sent, copies, processor })
    }

    /// Lets the fetchers begin, and waits until all that were not killed have the file.
    fn play(&self, players: &mut Players, limit: Duration) -> Result {
        let (killed, late) = (usize::from(self.options.killed), usize::from(self.options.late));
        let begun = Instant::now();
        let early = players.fetchers.len() - late;
        for (fetcher, line) in players.fetchers.iter_mut().zip(&players.begin).take(early) {
            fetcher.tell(line)?;
        }
        if killed + late > 0 {
            // The time itself is the event here.
            std::thread::sleep((limit / 2).saturating_sub(begun.elapsed()));
            for (fetcher, line) in players.fetchers.iter_mut().zip(&players.begin).skip(early) {
                fetcher.tell(line)?;
            }
            for mut fetcher in players.fetchers.drain(..killed) {
                fetcher.kill()?;
            }
        }
        players.fetchers.iter().try_for_each(|fetcher| fetcher.answer(limit * 20 + SOON).map(drop))
    }

    /// Returns the bytes of blocks that our seeder sent, divided by the size of the file.
    fn copies(&self, seeder: &mut Driven) -> Result<f64> {
        // The node updates its statistics about once a second.
        std::thread::sleep(Duration::from_millis(1100));
        let told = seeder.call("stats", SOON)?;
        let read: Option<Value> = serde_json::from_str(&told).ok();
        let bytes = read.and_then(|read| read["bytes_sent"].as_f64());
        let bytes = bytes.ok_or_else(|| Error::answer("a content node", told))?;
        Ok(bytes / (self.options.megabytes as f64 * 1e6))
    }

    fn ours(&self) -> Result<Players> {
        let mut seeder = content_node(&self.seeder)?;
        let cid = seeder.call(&format!("add {}", self.file.display()), SOON)?;
        let address = seeder.ready().to_owned();
        let fetchers = self.our_fetchers(&address)?;
        let begin = vec![format!("get {cid}"); fetchers.len()];
        Ok(Players { seeder: Player::Driven(seeder), fetchers, begin })
    }

    /// Starts fetchers that are connected with each other and with the seeder.
    fn our_fetchers(&self, seeder: &str) -> Result<Vec<Driven>> {
        let mut fetchers = self.fetchers.iter().map(content_node).collect::<Result<Vec<_>>>()?;
        let mut addresses = vec![seeder.to_owned()];
        for fetcher in &mut fetchers {
            fetcher.call(&format!("meet {}", addresses.join(" ")), SOON)?;
            addresses.push(fetcher.ready().to_owned());
        }
        Ok(fetchers)
    }

    fn kubo_seeds(&self) -> Result<Players> {
        let mut seeder = Kubo::on_host(&self.seeder)?;
        let cid = seeder.add(&self.file)?;
        let fetchers = self.our_fetchers(seeder.address())?;
        let begin = vec![format!("get {cid}"); fetchers.len()];
        Ok(Players { seeder: Player::Kubo(seeder), fetchers, begin })
    }

    fn torrents(&self, mode: TorrentMode) -> Result<Players> {
        let mut seeder = torrent(&self.seeder, "seed", mode)?;
        let description = self.seeder.folder().join("file.torrent");
        seeder.call(&format!("make {} {}", self.file.display(), description.display()), SOON)?;
        let fetchers =
            self.fetchers.iter().map(|host| torrent(host, "fetch", mode)).collect::<Result<Vec<_>>>()?;
        let mut peers = vec![torrent_address(&self.seeder)];
        peers.extend(self.fetchers.iter().map(torrent_address));
        let line = |own: &Host| {
            let own = torrent_address(own);
            let others: Vec<String> = peers.iter().filter(|peer| **peer != own).cloned().collect();
            format!("get {} {}", description.display(), others.join(" "))
        };
        Ok(Players {
            seeder: Player::Driven(seeder),
            fetchers,
            begin: self.fetchers.iter().map(line).collect(),
        })
    }
}

impl Players {
    fn wait_until_durable(&self) -> Result {
        let is_pinned = |line: &str| line == "PINNED";
        self.fetchers
            .iter()
            .try_for_each(|fetcher| fetcher.process().wait_for_line(is_pinned, SOON).map(drop))
    }

    fn processor(&self) -> Result<f64> {
        let seeder = match &self.seeder {
            Player::Driven(seeder) => seeder.process(),
            Player::Kubo(kubo) => kubo.process(),
        };
        let mut sum = seeder.cpu_time()?.as_secs_f64();
        for fetcher in &self.fetchers {
            sum += fetcher.process().cpu_time()?.as_secs_f64();
        }
        Ok(sum)
    }
}

/// Writes a file of pseudo-random bytes, so that no two blocks are equal.
pub(super) fn write_file(path: &Path, bytes: u64, seed: u64) -> Result {
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    ChaCha8Rng::seed_from_u64(seed).fill(content.as_mut_slice());
    std::fs::write(path, content).map_err(Error::io(format!("writing {}", path.display())))
}

impl ClassRuns {
    /// Returns the figures of each engine: medians and ranges.
    pub fn json(&self) -> Value {
        let of = |(engine, runs): &(Engine, Vec<Run>)| {
            let [time, sent, processor, durable, copies] = spread(runs);
            json!({
                "engine": format!("{engine:?}"),
                "time_per_limit": time,
                "durable_per_limit": durable,
                "sent_per_size": sent,
                "copies": copies,
                "processor_seconds": processor,
            })
        };
        self.0.iter().map(of).collect()
    }

    /// Prints a table of the figures.
    pub fn print(&self) {
        let headings = ["time", "least", "most", "durable", "sent", "copies", "CPU s"];
        let row = |(engine, runs): &(Engine, Vec<Run>)| {
            let [time, sent, processor, durable, copies] = spread(runs);
            let figures = [time.0, time.1, time.2, durable.0, sent.0, copies.0, processor.0];
            let figures = figures.map(|figure| Some(figure).filter(|figure| figure.is_finite())).to_vec();
            (format!("{engine:?}"), figures)
        };
        print_table(&headings, &self.0.iter().map(row).collect::<Vec<_>>());
    }
}

/// Returns the median, the minimum and the maximum of each figure.
fn spread(runs: &[Run]) -> [(f64, f64, f64); 5] {
    let figures: [fn(&Run) -> f64; 5] = [
        |run| run.time,
        |run| run.sent,
        |run| run.processor,
        |run| run.durable.unwrap_or(f64::NAN),
        |run| run.copies.unwrap_or(f64::NAN),
    ];
    figures.map(|figure| {
        let mut all: Vec<f64> = runs.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        let at = |place: usize| all.get(place).copied().unwrap_or(f64::NAN);
        (at(all.len() / 2), at(0), at(all.len().saturating_sub(1)))
    })
}
