//! Command line of the lab: measurements that are started by hand, and a content node that tests control.

mod content_node;
mod health;
mod idle;
mod share_v0;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use content_node::{ContentNode, content_node};
use health::{Health, health};
use idle::{Idle, idle};
use lab::experiments::{
    Attack, Catalog, Class, Copies, Crashes, Discover, Faults, Heal, Irc, LimitsHeld, Merge, Pair, Shown,
    Spread, Storage, Table, attack, catalog, class, copies, crashes, discover, faults, heal, irc,
    limits_held, merge, pair, spread, storage, table,
};
use lab::{Lab, sweep_leftovers};
use share_v0::{ShareV0, share_v0};

/// Real hosts in network namespaces on one machine. Needs root; without root, run it with tools/in-namespace. The
/// daemons are built in the same profile as this program: `cargo run --release -p lab -- idle` measures the release
/// build that users run. DT_SWARM_BIN_DIR names a folder with other builds of dt-swarm and dt-swarm-cli to measure.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print what idle daemons use: memory, processor time, network and disk
    Idle(Idle),
    /// Print what measuring a robot and stating its health cost: processor, memory, network and disk
    Health(Health),
    // The types of the options of these commands hold their descriptions.
    Spread(Spread),
    Discover(Discover),
    Faults(Faults),
    Heal(Heal),
    Merge(Merge),
    Irc(Irc),
    Class(Class),
    Catalog(Catalog),
    Pair(Pair),
    /// Run one of our IPFS nodes alone, controlled by commands on its standard input
    ContentNode(ContentNode),
    Storage(Storage),
    Table(Table),
    Copies(Copies),
    Crashes(Crashes),
    Limits(LimitsHeld),
    Attack(Attack),
    /// Remove the namespaces and processes that labs of killed processes left behind
    Sweep,
    /// Share files with CIDv0 through a daemon on another host; our daemon itself never makes CIDv0
    ShareV0(ShareV0),
}

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Idle(options) => idle(&options).map_err(Into::into),
        Command::Health(options) => health(&options).map_err(Into::into),
        Command::Spread(options) => spread(&options).map_err(Into::into),
        Command::Discover(options) => run_discover(&options).map_err(Into::into),
        Command::Faults(options) => run_faults(&options).map_err(Into::into),
        Command::Heal(options) => run_heal(&options).map_err(Into::into),
        Command::Merge(options) => run_merge(&options).map_err(Into::into),
        Command::Catalog(options) => run_catalog(&options).map_err(Into::into),
        Command::Class(options) => run_class(&options).map_err(Into::into),
        Command::Pair(options) => run_pair(&options).map_err(Into::into),
        Command::ContentNode(options) => content_node(options),
        Command::Irc(options) => run_irc(&options).map_err(Into::into),
        Command::Storage(options) => storage(&options).map_err(Into::into),
        Command::Table(options) => run_table(&options).map_err(Into::into),
        Command::Copies(options) => run_copies(&options).map_err(Into::into),
        Command::Crashes(options) => run_crashes(&options).map_err(Into::into),
        Command::Limits(options) => run_limits(&options).map_err(Into::into),
        Command::Attack(options) => run_attack(&options).map_err(Into::into),
        Command::Sweep => {
            sweep_leftovers();
            Ok(())
        }
        Command::ShareV0(options) => share_v0(options),
    };
    if let Err(problem) = result {
        eprintln!("lab: {problem}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run_discover(options: &Discover) -> lab::Result {
    let discovered = discover(options)?;
    match options.json {
        true => println!("{}", discovered.json(options)),
        false => discovered.print(),
    }
    Ok(())
}

fn run_faults(options: &Faults) -> lab::Result {
    let shown = faults(&Lab::new("faults")?, options)?;
    match options.json {
        true => println!("{}", serde_json::Value::from_iter(shown.iter().map(Shown::json))),
        false => shown.iter().for_each(Shown::print),
    }
    Ok(())
}

fn run_table(options: &Table) -> lab::Result {
    let tabled = table(&Lab::new("table")?, options)?;
    match options.json {
        true => println!("{}", tabled.json()),
        false => tabled.print(),
    }
    Ok(())
}

fn run_heal(options: &Heal) -> lab::Result {
    let healed = heal(&Lab::new("heal")?, options)?;
    match options.json {
        true => println!("{}", healed.json()),
        false => healed.print(),
    }
    Ok(())
}

fn run_copies(options: &Copies) -> lab::Result {
    let copied = copies(&Lab::new("copies")?, options)?;
    match options.json {
        true => println!("{}", copied.json()),
        false => copied.print(),
    }
    Ok(())
}

fn run_crashes(options: &Crashes) -> lab::Result {
    let survived = crashes(options)?;
    match options.json {
        true => println!("{}", survived.json()),
        false => survived.print(),
    }
    Ok(())
}

fn run_limits(options: &LimitsHeld) -> lab::Result {
    let held = limits_held(options)?;
    match options.json {
        true => println!("{}", held.json()),
        false => held.print(),
    }
    Ok(())
}

fn run_attack(options: &Attack) -> lab::Result {
    let attacked = attack(options)?;
    match options.json {
        true => println!("{}", attacked.json()),
        false => attacked.print(),
    }
    Ok(())
}

fn run_merge(options: &Merge) -> lab::Result {
    let merged = merge(&Lab::new("merge")?, options)?;
    match options.json {
        true => println!("{}", merged.json()),
        false => merged.print(),
    }
    Ok(())
}

fn run_irc(options: &Irc) -> lab::Result {
    let seen = irc(&Lab::new("irc")?, options)?;
    match options.json {
        true => println!("{}", seen.json()),
        false => seen.print(),
    }
    Ok(())
}

fn run_class(options: &Class) -> lab::Result {
    let runs = class(options)?;
    match options.json {
        true => println!("{}", runs.json()),
        false => runs.print(),
    }
    Ok(())
}

fn run_catalog(options: &Catalog) -> lab::Result {
    let catalogued = catalog(&Lab::new("catalog")?, options)?;
    match options.json {
        true => println!("{}", catalogued.json()),
        false => catalogued.print(),
    }
    Ok(())
}

fn run_pair(options: &Pair) -> lab::Result {
    let rates = pair(options)?;
    match options.json {
        true => println!("{}", rates.json()),
        false => rates.print(),
    }
    Ok(())
}
