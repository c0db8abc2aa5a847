/*!
`serin simulate`: how soon a bad canary would be caught, and how often a good one thrown away.
*/
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context as _;

use super::read_release;
use serin_release::{Percent, Release, rule};
use serin_simulate::{
    Change, DEFAULT_RELEASE, Fault, Life, LifeReport, Named, Report, Scenario, Spread, Traffic,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The Release, a YAML file, whose steps and analysis are simulated [default: a Release with every default].
    #[arg(long, value_name = "FILE")]
    release: Option<PathBuf>,
    /// Requests per second, of all users together.
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = rate)]
    rps: f64,
    /// Number of users.
    #[arg(long, value_name = "NUMBER", default_value = "2000", value_parser = users)]
    users: u32,
    /// How much users differ in activity: the σ of a log-normal distribution; 0 for no difference.
    #[arg(long, value_name = "SIGMA", default_value = "2", value_parser = sigma)]
    activity: f64,
    /// Share of requests that fail on stable.
    #[arg(long, value_name = "PERCENT", default_value = "0.5%", value_parser = Percent::parse)]
    error_rate: Percent,
    /// Share of requests that are slow on stable.
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = Percent::parse)]
    slow_rate: Percent,
    /// Errors of the bad canary: x10 for ten times stable's, or 5% for that share of requests.
    #[arg(long, value_name = "CHANGE", default_value = "x10", value_parser = Change::from_str)]
    fault: Change,
    /// Slow requests of the bad canary, in the same form.
    #[arg(long, value_name = "CHANGE", default_value = "x1", value_parser = Change::from_str)]
    slow: Change,
    /// How failures are spread: independent, sticky (for 1% of users 30% of their requests fail), clusters (of 5 failures),
    /// or clusters:N.
    #[arg(long, default_value = "independent", value_parser = Spread::from_str)]
    spread: Spread,
    /// How many good and how many bad releases to simulate under each rule.
    #[arg(long, value_name = "NUMBER", default_value = "200", value_parser = runs)]
    runs: NonZeroU32,
    /// Seed of the random numbers [default: another one each time].
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// How often each rule looks [default: for Serin the Release's interval, for Flagger's rule 1m, for the z-test 15s].
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    interval: Option<Duration>,
    /// After how many failed checks Flagger's rule takes the canary back.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    threshold: u32,
    /// Play the scenarios of ordinary life instead, each with every default: those of these names, or all.
    #[arg(long, value_name = "NAMES", num_args = 0.., value_delimiter = ',', value_parser = scenario)]
    life: Option<Vec<Named>>,
    /// Draw one bad release and one good one into this folder: their shares, their evidence, their users beforehand.
    #[arg(long, value_name = "DIR", conflicts_with = "life")]
    svg: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn scenario(name: &str) -> Result<Named, String> {
    Named::find(name).ok_or_else(|| {
        let names: Vec<_> = Named::all().iter().map(|scenario| scenario.name).collect();
        format!("there is no such scenario; there are {}", names.join(", "))
    })
}

fn runs(text: &str) -> Result<NonZeroU32, &'static str> {
    let possible = text.parse().ok().filter(|runs: &NonZeroU32| runs.get() <= 1_000_000);
    possible.ok_or("give a number of releases from 1 to 1000000")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let possible = text.parse().ok().filter(|rate| (0.001..=1e6).contains(rate));
    possible.ok_or("give a number of requests from 0.001 to 1000000")
}

fn users(text: &str) -> Result<u32, &'static str> {
    let possible = text.parse().ok().filter(|users| (1..=1_000_000).contains(users));
    possible.ok_or("give a number of users from 1 to 1000000")
}

fn sigma(text: &str) -> Result<f64, &'static str> {
    let possible = text.parse().ok().filter(|sigma| (0.0..=5.0).contains(sigma));
    possible.ok_or("give a number from 0, for users who all do as much, to 5")
}

fn interval(text: &str) -> Result<Duration, String> {
    rule::INTERVAL.parse(text)
}

pub(super) fn simulate(args: &Args) -> anyhow::Result<()> {
    // Short enough to be typed again.
    let seed = args.seed.unwrap_or_else(|| RandomState::new().hash_one(()) % 1_000_000);
    if let Some(scenarios) = &args.life {
        return ordinary_life(scenarios, seed, args);
    }
    let release = match &args.release {
        Some(file) => read_release(file)?,
        None => Release::from_yaml(DEFAULT_RELEASE)?,
    };
    let traffic = Traffic {
        rps: args.rps,
        users: args.users,
        activity: args.activity,
        errors: args.error_rate,
        slow: args.slow_rate,
        spread: args.spread,
    };
    let scenario = Scenario {
        release,
        traffic,
        life: Life::default(),
        fault: Fault { errors: args.fault, slow: args.slow },
        runs: args.runs,
        seed,
        interval: args.interval,
        threshold: args.threshold,
    };
    let report = scenario.simulate();
    if let Some(folder) = &args.svg {
        draw(&report, folder)?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

fn draw(report: &Report, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for picture in report.pictures()? {
        let file = folder.join(picture.name).with_extension("svg");
        std::fs::write(&file, picture.svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn ordinary_life(scenarios: &[Named], seed: u64, args: &Args) -> anyhow::Result<()> {
    let all;
    let scenarios = if scenarios.is_empty() {
        all = Named::all();
        &all
    } else {
        scenarios
    };
    let report = LifeReport::play(scenarios, args.runs, seed, |scenario| {
        eprintln!("{}: {}", scenario.name, scenario.what);
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
