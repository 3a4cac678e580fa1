//! Prints the figures of runs as tables or as JSON.

use crate::usage::Used;
use comfy_table::{LineStyle, Table, TableStyle};
use serde::Serialize;
use sim::{CopiesSeen, HealthSeen, Kind, Report, Spans, TablesSeen};

/// Maximum number of failed runs whose failures are printed.
const MOST_FAILED: usize = 10;

#[derive(Serialize)]
struct Output<'a> {
    runs: &'a [Report],
    used: &'a Used,
}

/// Prints one run, or the summary of many.
pub(crate) fn print(reports: &[Report], used: &Used, json: bool) {
    if json {
        match serde_json::to_string(&Output { runs: reports, used }) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("sim: {error}"),
        }
    } else {
        match reports {
            [report] => print_run(report, used),
            many => print_summary(many, used),
        }
    }
    let failed = reports.iter().filter(|report| !report.failures.is_empty());
    for report in failed.take(MOST_FAILED) {
        eprintln!("\nFAILED with seed {}:", report.seed);
        report.failures.iter().for_each(|failure| eprintln!("  {failure}"));
        eprintln!("  again: cargo run --release -p sim -- --seed {} {}", report.seed, report.scenario);
    }
}

/// Table style of the CLI: a line below the header, and no other lines.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_header(header.iter().copied());
    table
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "never".to_owned(), |value| format!("{value:.3} s"))
}

fn spans(spans: Spans) -> String {
    format!("{} / {}", seconds(spans.median), seconds(spans.worst))
}

fn print_run(report: &Report, used: &Used) {
    let Report { nodes, events, virtual_seconds, records, .. } = report;
    println!(
        "{} with seed {}: {nodes} honest nodes, {virtual_seconds:.1} s, {events} events",
        report.scenario, report.seed
    );
    println!(
        "all honest nodes held the same {records} records {} after the calm began",
        seconds(report.converged_after)
    );
    println!("hash of all events {}\n", report.hash);
    if let Some(files) = report.files {
        let (count, complete, time) = (files.count, files.complete, spans(files.time));
        println!(
            "{complete} of {count} shared files became safe at all nodes, median / worst after {time}\n"
        );
    }
    if let Some(CopiesSeen { first_bytes, fetched_bytes, released, fewest_left, longest_lack }) =
        report.copies
    {
        println!(
            "{fetched_bytes} bytes of files were fetched, the first copies have {first_bytes}; {released} copies were let go of, and at least {} disks still had the file then; a copy was missing for at most {longest_lack:.0} s\n",
            fewest_left.unwrap_or_default()
        );
    }
    if let Some(tables) = report.tables {
        print_tables(&tables);
    }
    if let Some(HealthSeen { read, changes, wrong, stale }) = report.health {
        println!(
            "the health of all robots was read {read} times, and changed {changes} times: a running robot was seen with a wrong level for at most {wrong:.1} s; {stale} times a robot that did not run was shown as STALE\n"
        );
    }
    if let Some(met) = report.meetings {
        println!("each node lists all others, median / worst after the last start: {}\n", spans(met));
    }
    if !report.spreads.is_empty() {
        let mut table = table(&["new records", "count", "to all", "50 % median / worst", "99 %", "100 %"]);
        for spread in &report.spreads {
            let (count, complete) = (spread.count.to_string(), spread.complete.to_string());
            let [half, most, all] = [spread.to_50, spread.to_99, spread.to_100].map(spans);
            table.add_row([spread.name.clone(), count, complete, half, most, all]);
        }
        println!("{table}\n");
    }
    print_traffic(report);
    print_used(&[report], used);
}

fn print_tables(seen: &TablesSeen) {
    let TablesSeen { read, missing, shown_after_end, shown_after_farewell, .. } = seen;
    println!(
        "robots were started {} times, killed {} times, shut down cleanly {} times, and moved to another network {} times",
        seen.starts, seen.kills, seen.farewells, seen.moves
    );
    println!(
        "{read} tables of robots were read: a running robot was missing for at most {missing:.1} s; a robot was shown for at most {shown_after_end:.1} s after its end, and for at most {shown_after_farewell:.1} s if it was shut down cleanly\n"
    );
}

fn print_traffic(report: &Report) {
    let traffic = &report.traffic;
    let mut table = table(&["measured", "lines sent", "bytes sent", "lines received", "bytes received"]);
    for kind in [Kind::Records, Kind::Beacons, Kind::Repair, Kind::Others] {
        let [sent, received] =
            [&traffic.sent, &traffic.received].map(|all| all.get(&kind).copied().unwrap_or_default());
        let counts = [sent.lines, sent.bytes, received.lines, received.bytes].map(|count| count.to_string());
        table.add_row(std::iter::once(format!("{kind:?}").to_lowercase()).chain(counts));
    }
    println!("{table}\n");
    println!(
        "in {:.0} s: {} records published ({} bytes), {} taken by other nodes",
        traffic.seconds, traffic.told, traffic.told_bytes, traffic.taken
    );
    let each = traffic.bytes_per_taken.map_or_else(|| "-".to_owned(), |bytes| format!("{bytes:.0}"));
    println!(
        "bytes per minute {:.0}, beyond one line per record {:.0}; bytes per record taken {each}; per node-hour: {:.0} bytes, {:.0} lines",
        traffic.bytes_per_minute,
        traffic.bytes_per_minute_beyond,
        traffic.bytes_per_node_hour,
        traffic.messages_per_node_hour
    );
    if !report.refusals.is_empty() {
        let refusals: Vec<String> =
            report.refusals.iter().map(|(why, count)| format!("{why} {count}")).collect();
        println!("refused: {}", refusals.join("; "));
    }
}

/// Prints the time until each node listed all others: of all runs the median of the medians and of the worst nodes, and
/// the worst node of all.
fn print_meetings(reports: &[Report]) {
    let met: Vec<Spans> = reports.iter().filter_map(|report| report.meetings).collect();
    if met.is_empty() {
        return;
    }
    let sorted = |of: fn(&Spans) -> Option<f64>| {
        let mut times: Vec<f64> = met.iter().map(|spans| of(spans).unwrap_or(f64::INFINITY)).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (medians, worst) = (sorted(|spans| spans.median), sorted(|spans| spans.worst));
    let at = |times: &[f64], part: f64| times.get(((times.len() - 1) as f64 * part) as usize).copied();
    println!(
        "each node lists all others after the last start: median of runs {}; worst node of a run: median {}, 90 % {}, \
         worst {}",
        seconds(at(&medians, 0.5)),
        seconds(at(&worst, 0.5)),
        seconds(at(&worst, 0.9)),
        seconds(at(&worst, 1.0))
    );
}

/// Prints the figures about copies: sums and worst values of all runs.
fn print_copies(reports: &[Report]) {
    let seen: Vec<CopiesSeen> = reports.iter().filter_map(|report| report.copies).collect();
    if seen.is_empty() {
        return;
    }
    let sum = |value: fn(&CopiesSeen) -> u64| seen.iter().map(value).sum::<u64>() / seen.len() as u64;
    let extra = |seen: &CopiesSeen| seen.fetched_bytes.saturating_sub(seen.first_bytes);
    println!(
        "bytes of files fetched per run: {}, of these beyond the first copies {} on average and {} at most",
        sum(|seen| seen.fetched_bytes),
        seen.iter().map(extra).sum::<u64>() / seen.len() as u64,
        seen.iter().map(extra).max().unwrap_or_default()
    );
    println!(
        "{} copies were let go of, at least {} disks still had the file then; a copy was missing for at most {:.0} s",
        seen.iter().map(|seen| seen.released).sum::<usize>(),
        seen.iter().filter_map(|seen| seen.fewest_left).min().unwrap_or_default(),
        seen.iter().map(|seen| seen.longest_lack).fold(0.0, f64::max)
    );
}

fn print_used(reports: &[&Report], used: &Used) {
    let node_hours: f64 =
        reports.iter().map(|report| report.nodes as f64 * report.virtual_seconds / 3600.0).sum();
    let nodes = reports.iter().map(|report| report.nodes).max().unwrap_or(0).max(1);
    println!(
        "used: {:.1} s, {:.1} s of processors ({:.4} s per node-hour), {:.1} MB of memory ({:.0} kB per node)",
        used.seconds,
        used.cpu_seconds,
        used.cpu_seconds / node_hours.max(f64::MIN_POSITIVE),
        used.memory as f64 / 1e6,
        used.memory as f64 / 1e3 / nodes as f64
    );
}

fn print_summary(reports: &[Report], used: &Used) {
    let passed = reports.iter().filter(|report| report.failures.is_empty()).count();
    println!("{passed} of {} runs passed", reports.len());
    let mut converged: Vec<f64> = reports.iter().filter_map(|report| report.converged_after).collect();
    converged.sort_by(f64::total_cmp);
    let at = |part: f64| converged.get(((converged.len() as f64 - 1.0).max(0.0) * part) as usize).copied();
    println!(
        "all sets equal after (time of calm): median {}, 99 % {}, worst {}",
        seconds(at(0.5)),
        seconds(at(0.99)),
        seconds(at(1.0))
    );
    print_meetings(reports);
    print_copies(reports);
    let mean =
        |value: fn(&Report) -> f64| reports.iter().map(value).sum::<f64>() / reports.len().max(1) as f64;
    println!(
        "on average: bytes per node-hour {:.0}, lines per node-hour {:.0}, bytes per record taken {:.0}",
        mean(|report| report.traffic.bytes_per_node_hour),
        mean(|report| report.traffic.messages_per_node_hour),
        mean(|report| report.traffic.bytes_per_taken.unwrap_or(0.0)),
    );
    print_used(&reports.iter().collect::<Vec<_>>(), used);
}
