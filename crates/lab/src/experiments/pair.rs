//! One file transferred between two hosts without any limit: by our content engine, by Kubo, and as a plain copy over
//! TCP.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::class::write_file;
use super::figures::print_table;
use crate::peers::{Kubo, content_node};
use crate::{Error, Lab, Result};

const SOON: Duration = Duration::from_secs(300);
const PORT: u16 = 7000;

/// Measure how fast one host fetches a file from another without any limit
///
/// The engines run alternately on pairs of hosts. Each figure is the best of all runs, because disturbances only make
/// it worse.
#[derive(Debug, Clone, clap::Args)]
pub struct Pair {
    /// Size of the file in millions of bytes
    #[arg(long, default_value_t = 200)]
    pub megabytes: u64,
    /// Number of runs of each engine
    #[arg(long, default_value_t = 3)]
    pub runs: u16,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Rates in millions of bytes per second, each the best of all runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct PairRates {
    /// Our engine, from the request until the last block is stored.
    pub ours: f64,
    /// Kubo as sender and receiver.
    pub kubo: f64,
    /// A copy over TCP from file to file.
    pub copy: f64,
    /// Processor seconds of both our nodes per 1000 million bytes.
    pub processor: f64,
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails, or Kubo is not installed.
pub fn pair(options: &Pair) -> Result<PairRates> {
    let mut best = PairRates { processor: f64::MAX, ..PairRates::default() };
    // The labs are kept until the end: for some seconds after the deletion of many files, ext4 is slow to make new
    // ones.
    let mut labs = Vec::new();
    for number in 0..options.runs {
        let bytes = options.megabytes * 1_000_000;
        let new = [Lab::new("pair")?, Lab::new("pair")?, Lab::new("pair")?];
        let [first, second, third] = &new;
        let (rate, processor) = ours(first, bytes, number)?;
        best.ours = best.ours.max(rate);
        best.processor = best.processor.min(processor);
        best.kubo = best.kubo.max(kubo(second, bytes, number)?);
        best.copy = best.copy.max(copy(third, bytes, number)?);
        labs.push(new);
    }
    Ok(best)
}

fn rate(bytes: u64, since: Instant) -> f64 {
    bytes as f64 / 1e6 / since.elapsed().as_secs_f64()
}

fn ours(lab: &Lab, bytes: u64, number: u16) -> Result<(f64, f64)> {
    let (from, to) = (lab.host("from")?, lab.host("to")?);
    let file = from.folder().join("file");
    write_file(&file, bytes, u64::from(number))?;
    let (mut source, mut fetcher) = (content_node(&from)?, content_node(&to)?);
    let cid = source.call(&format!("add {}", file.display()), SOON)?;
    fetcher.call(&format!("meet {}", source.ready()), SOON)?;
    let before = source.process().cpu_time()? + fetcher.process().cpu_time()?;
    let begun = Instant::now();
    fetcher.call(&format!("get {cid}"), SOON)?;
    let rate = rate(bytes, begun);
    let used = source.process().cpu_time()? + fetcher.process().cpu_time()? - before;
    Ok((rate, used.as_secs_f64() / (bytes as f64 / 1e9)))
}

fn kubo(lab: &Lab, bytes: u64, number: u16) -> Result<f64> {
    let (from, to) = (lab.host("from")?, lab.host("to")?);
    let file = from.folder().join("file");
    write_file(&file, bytes, u64::from(number))?;
    let (mut source, mut fetcher) = (Kubo::on_host(&from)?, Kubo::on_host(&to)?);
    let cid = source.add(&file)?;
    fetcher.connect(source.address())?;
    let begun = Instant::now();
    fetcher.get(&cid, &to.folder().join("copy"), SOON)?;
    Ok(rate(bytes, begun))
}

fn copy(lab: &Lab, bytes: u64, number: u16) -> Result<f64> {
    let (from, to) = (lab.host("from")?, lab.host("to")?);
    let file = from.folder().join("file");
    write_file(&file, bytes, u64::from(number))?;
    let failed = |error| Error::io("copying over TCP")(error);
    let listener = from.within(|| TcpListener::bind((from.address(), PORT)))?.map_err(failed)?;
    let begun = Instant::now();
    let sender = thread::spawn(move || send(&listener, &file));
    let stream = to.within(|| TcpStream::connect((from.address(), PORT)))?.map_err(failed)?;
    receive(stream, &to.folder().join("copy")).map_err(failed)?;
    let rate = rate(bytes, begun);
    sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(failed)?;
    Ok(rate)
}

fn send(listener: &TcpListener, file: &Path) -> io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    io::copy(&mut File::open(file)?, &mut stream).map(drop)
}

fn receive(mut stream: TcpStream, file: &Path) -> io::Result<()> {
    let mut file = File::create(file)?;
    io::copy(&mut stream, &mut file)?;
    file.flush()
}

impl PairRates {
    /// Returns all figures by name.
    pub fn json(&self) -> Value {
        json!({
            "ours_mb_per_s": self.ours,
            "kubo_mb_per_s": self.kubo,
            "tcp_copy_mb_per_s": self.copy,
            "ours_per_kubo": self.ours / self.kubo,
            "ours_per_tcp_copy": self.ours / self.copy,
            "processor_seconds_per_gb": self.processor,
        })
    }

    /// Prints a table of the figures.
    pub fn print(&self) {
        let row = |what: &str, rate: f64| (what.to_owned(), vec![Some(rate), Some(self.ours / rate)]);
        let rows = [row("ours", self.ours), row("Kubo to Kubo", self.kubo), row("plain TCP copy", self.copy)];
        print_table(&["MB/s", "ours / other"], &rows);
        println!("processor seconds of both our nodes per 1 GB: {:.2}", self.processor);
    }
}
