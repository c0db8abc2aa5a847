/*!
What Serin costs, in one command: `cargo run --release -p serin-tests --bin bench`.

CPU per request ([`cost`]), and what a push takes until it is felt ([`pushes`]). Figures of different runs or machines
say nothing beside each other; the ratios of one run do. Nothing else should run on the machine meanwhile.
*/
mod backend;
mod client;
mod cost;
mod figures;
mod machine;
mod module;
mod proxy;
mod pushes;
mod report;
mod requests;
mod ticks;
mod variants;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use serin_local::envoy;

use crate::backend::Backends;
use crate::cost::{Costs, Effort};
use crate::proxy::Ground;

/// Measures what Serin costs, against what Envoy can do without it.
#[derive(Debug, Parser)]
struct Options {
    /// Rounds in which each variant is measured once; none leaves this part out.
    #[arg(long, default_value_t = 60)]
    rounds: usize,
    /// Requests to each variant in a round.
    #[arg(long, default_value_t = 1_500)]
    requests: usize,
    /// Pushes of each size of document; none leaves this part out.
    #[arg(long, default_value_t = 200)]
    pushes: usize,
    /// Ticks of an agent with many releases; none leaves this part out.
    #[arg(long, default_value_t = 200)]
    ticks: usize,
    /// Seed of all that is drawn.
    #[arg(long, default_value_t = 20_261_121)]
    seed: u64,
    /// Another build of the filter, to be measured beside this one; its exports must be cut already.
    #[arg(long, value_name = "FILE")]
    module: Vec<PathBuf>,
    /// Keeps the tables in docs/benchmarks.md.
    #[arg(long)]
    save: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    machine::pin_self()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let ground = Ground {
        binary: runtime.block_on(envoy::find(|line| eprintln!("{line}")))?,
        backends: Backends::start()?,
        folder: folder.path().to_owned(),
    };
    let mut page = preface(&ground.binary, &options)?;
    print!("{page}");
    if options.rounds > 0 {
        let variants = variants::all(other_modules(&options.module)?)?;
        let effort = Effort { rounds: options.rounds, requests: options.requests, seed: options.seed };
        let Costs { table, spoilt } = cost::measure(&runtime, &ground, &variants, effort)?;
        let made = format!(
            "{} rounds of {} requests to each variant; {spoilt} more were thrown away because others used the machine.",
            options.rounds, options.requests
        );
        add(&mut page, &format!("\n## CPU per request\n\n{COST_NOTES}\n\n{made}\n\n{table}"));
    }
    if options.pushes > 0 {
        let table = pushes::measure(&runtime, &ground, options.pushes, options.seed)?;
        add(&mut page, &format!("\n## From a push to its effect\n\n{PUSH_NOTES}\n\n{table}"));
    }
    if options.ticks > 0 {
        let table = ticks::measure(&[1, 100, 1_000], options.ticks)?;
        add(&mut page, &format!("\n## A tick of the agent\n\n{TICK_NOTES}\n\n{table}"));
    }
    if options.save {
        report::save(&page)?;
    }
    Ok(())
}

const COST_NOTES: &str = "\
CPU time of the whole Envoy process per request, as a ratio to the mean of two turns of native weighted clusters, one
just before and one just after. Each variant has an Envoy of its own with one worker, replaced by a new one several
times; all of them are pinned to one core and measured in short turns, in another order each round, while load and
backends run on another core. Every answer is checked. What the first two rows differ from 1 is the error of the method.";

const TICK_NOTES: &str = "\
One tick of an agent whose releases have their counts from one query to Prometheus, on one core and without the
network: reading the answer, booking what is new of each series, judging and planning each release. Two proxies, four
cohorts, four series of each.";

const PUSH_NOTES: &str = "\
One Envoy with one worker under steady load, the canary's weight going to and fro between 0 and 100 %. The effect is the
first answer from the other version after the ECDS file was renamed into place. The longest answer is the median, over
all pushes, of the longest that any request took in a spell with a push and in one of the same length without. CPU of an
update is the median of the Envoy process without load, its main thread included, above what it uses when idle. Other
work is the share of the machine that others used meanwhile: figures are too high where it is more than a few percent.";

fn preface(binary: &Path, options: &Options) -> Result<String> {
    Ok(format!(
        "# Benchmarks\n\n\
         Written by `cargo run --release -p serin-tests --bin bench -- --save`. Compare ratios within this page, never\n\
         figures of two runs or machines.\n\n\
         {}\n",
        report::circumstances(binary, options.seed)?
    ))
}

fn other_modules(paths: &[PathBuf]) -> Result<Vec<(String, Vec<u8>)>> {
    let read = |path: &PathBuf| {
        let module = fs::read(path).with_context(|| path.display().to_string())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, module))
    };
    paths.iter().map(read).collect()
}

/// Prints a part of the page as soon as it is there.
fn add(page: &mut String, part: &str) {
    print!("{part}");
    page.push_str(part);
}
