/*!
`serin demo`: all of Serin on one machine, in two minutes, with nothing to set up.

A small shop in two deployments, a real Envoy in front of it, the agent, and two thousand users who watch: a good
version goes out to everybody, a bad one is off the air before most of them have met it, and a good one stays though both
versions fail for a moment. Nothing here is staged.
The agent, the filter and Envoy are those of production, and the numbers are what the users saw.
*/
mod fixture;
mod format;
mod progress;
mod record;
mod run;
mod screen;
mod script;
mod stats;
mod summary;
mod switch;
mod term_line;
mod timeline;
mod users;
mod view;
mod visit;

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};

use run::Run;
use screen::Screen;
use switch::Switches;

/// What was asked for on the command line.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Print the outcome as one JSON object; everything else goes to standard error.
    #[arg(long)]
    json: bool,
    /// How new versions come in.
    #[arg(long, value_enum, default_value = "canary")]
    strategy: Strategy,
    /// Leave everything running at the end, with another release to try things on, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Serve the page of the release for a browser, and leave everything running at the end as with --keep.
    #[arg(long)]
    page: bool,
    /// Seed of the random numbers: the shop's errors and the users' visits [default: another one each time].
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// How new versions come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Strategy {
    /// Step by step: a good version, a bad one, and a good one in an outage.
    Canary,
    /// Everybody at once, with a way back: over, back and over again, and a bad version.
    #[value(name = "blueGreen", alias = "blue-green")]
    BlueGreen,
}

/// Plays the demo. It fails when a promise was broken.
pub async fn run(options: Options) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // Whatever is left when a signal comes is taken down by being dropped.
    tokio::select! {
        ended = play(&options) => ended,
        _ = interrupt.recv() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
        _ = hang_up.recv() => Ok(ExitCode::from(129)),
    }
}

async fn play(options: &Options) -> Result<ExitCode> {
    let seed = options.seed.unwrap_or_else(any_seed);
    let screen = Screen::new(options.json);
    let (json, text, is_good, mut run) = match options.strategy {
        Strategy::Canary => {
            let mut run = Box::pin(begin(options, seed, screen, script::WALK)).await?;
            let summary = run.play_out().await?;
            (serde_json::to_string_pretty(&summary)?, summary.to_string(), summary.is_good(), run)
        }
        Strategy::BlueGreen => {
            let mut run = Box::pin(begin(options, seed, screen, script::SWITCH)).await?;
            let summary = Switches::play(&mut run).await?;
            (serde_json::to_string_pretty(&summary)?, summary.to_string(), summary.is_good(), run)
        }
    };
    if options.json {
        writeln!(io::stdout(), "{json}")?;
    }
    // A broken promise is explained even to a program.
    if !options.json || !is_good {
        run.say(&format!("\n{text}"))?;
    }
    if options.keep || options.page {
        run.keep().await?;
    } else if !options.json {
        run.say("\nAs a page in a browser, while it goes on: serin demo --page")?;
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Sets the stage, and says where its page is.
async fn begin(options: &Options, seed: u64, screen: Screen, strategy: &str) -> Result<Run> {
    let mut run = Run::begin(seed, screen, strategy).await?;
    if options.page {
        run.say(&format!("The page: {}\n", run.page()))?;
    }
    Ok(run)
}

/// Another number each time, short enough to be typed again.
fn any_seed() -> u64 {
    RandomState::new().hash_one(()) % 1_000_000
}
