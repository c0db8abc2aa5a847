/*!
`serin simulate`: how soon a bad canary would be caught, and how often a good one thrown away.
*/
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::read_release;
use serin_release::{Percent, Release, duration};
use serin_simulate::{Change, Fault, Scenario, Spread, Traffic};

/// What is released where no Release is given: every default.
const RELEASE: &str = "{apiVersion: serin.dev/v1alpha1, kind: Release, metadata: {name: simulated}, \
                       spec: {service: {name: simulated}, canary: {version: simulated}}}";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The Release, a YAML file, for its steps and its analysis [default: one with every default].
    #[arg(long, value_name = "FILE")]
    release: Option<PathBuf>,
    /// Requests of all users per second.
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = rate)]
    rps: f64,
    /// How many users there are.
    #[arg(long, value_name = "NUMBER", default_value = "2000", value_parser = users)]
    users: u32,
    /// How unlike users are in how much they do: σ of a log-normal distribution.
    #[arg(long, value_name = "SIGMA", default_value = "2", value_parser = sigma)]
    activity: f64,
    /// The share of requests that fails on stable.
    #[arg(long, value_name = "PERCENT", default_value = "0.5%", value_parser = Percent::parse)]
    error_rate: Percent,
    /// The share of requests that is slow on stable.
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = Percent::parse)]
    slow_rate: Percent,
    /// What the bad canary does to errors: x10 for ten times as many, or 5% for that share.
    #[arg(long, value_name = "CHANGE", default_value = "x10", value_parser = Change::from_str)]
    fault: Change,
    /// What it does to slow requests.
    #[arg(long, value_name = "CHANGE", default_value = "x1", value_parser = Change::from_str)]
    slow: Change,
    /// How failures are spread: independent, sticky (1% of users fail 30% of their requests), or clusters of 5 or
    /// clusters:N.
    #[arg(long, default_value = "independent", value_parser = Spread::from_str)]
    spread: Spread,
    /// How many releases to play, good and bad, under each rule.
    #[arg(long, value_name = "NUMBER", default_value = "200", value_parser = runs)]
    runs: NonZeroU32,
    /// What chance is seeded with [default: another one each time].
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// How often every rule looks [default: Serin as often as the release says, Flagger's rule every 1m, the
    /// z-test every 15s].
    #[arg(long, value_name = "DURATION", value_parser = interval)]
    interval: Option<Duration>,
    /// How many failed checks are too many for Flagger's rule.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    threshold: u32,
    /// Print it as one JSON object.
    #[arg(long)]
    json: bool,
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
    let interval = duration::parse(text)?;
    let possible = (Duration::from_millis(100)..=Duration::from_mins(5)).contains(&interval);
    possible.then_some(interval).ok_or_else(|| "give 100ms to 5m".to_owned())
}

pub(super) fn simulate(args: &Args) -> anyhow::Result<()> {
    let release = match &args.release {
        Some(file) => read_release(file)?,
        None => Release::from_yaml(RELEASE)?,
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
        fault: Fault { errors: args.fault, slow: args.slow },
        runs: args.runs,
        // Short enough to be typed again.
        seed: args.seed.unwrap_or_else(|| RandomState::new().hash_one(()) % 1_000_000),
        interval: args.interval,
        threshold: args.threshold,
    };
    let report = scenario.simulate();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
